//! Whose a resource is: tags, birth marks, intents, abandoned creates and parents.

use super::{Ownership, is_abandoned_create, judge, names_parent};
use crate::model::{
    Address, Changes, DeletePolicy, Entry, Identity, Intent, Kind, KindInfo, Owner, Process, Readiness,
    Stage, tag,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

fn kind(info: &KindInfo) -> Kind {
    Kind {
        info: Box::leak(Box::new(*info)),
        diff: |_, _| Ok(Changes::default()),
        ready: |_| Ok(Readiness::Ready),
        validate_change: |_, _| Ok(None),
        deletion_note: |_| Ok(None),
        holds: |_| Ok(None),
        ahead: |_, _, _| Ok(None),
        not_applied: |_, _, _| Ok(None),
        service_made: |_| Ok(None),
        delete_failed: |_| Ok(None),
        deletion_guard: |_| Ok(None),
        deleting: |_| Ok(false),
        deleted: |_| Ok(false),
        assume_recorded: |live, _| Ok(live.clone()),
    }
}

fn named() -> Kind {
    kind(&KindInfo { identity: Identity::Name, birth_mark: Some("birth"), ..KindInfo::DEFAULT })
}

fn owner() -> Owner {
    Owner { stack: "shop".into(), lineage: "l-1".into() }
}

fn tags(of: &Owner) -> Value {
    json!(of.tags(&Address::from("network/x")))
}

fn live(tags: Value, birth: &str) -> Value {
    json!({"name": "x", "birth": birth, "version": 3, "tags": tags})
}

fn entry(live: Value) -> Entry {
    let (kind, stage, spec) = ("thing".to_owned(), Stage::Network, Value::Null);
    Entry { kind, stage, spec, live, dependencies: BTreeSet::new(), leaving: false, update: None }
}

fn intent(nonce: &str, made: bool) -> Intent {
    Intent {
        kind: "thing".into(),
        stage: Stage::Network,
        nonce: nonce.into(),
        token: "t".into(),
        signed_at: 0,
        request: Value::Null,
        dependencies: BTreeSet::new(),
        owner: "run".into(),
        process: Process::default(),
        made,
    }
}

/// The word for an ownership.
fn word(own: &Ownership) -> &'static str {
    match own {
        Ownership::Ours => "ours",
        Ownership::TagsLost => "tags lost",
        Ownership::Foreign { .. } => "foreign",
        Ownership::Leftover => "leftover",
        Ownership::Unproven => "unproven",
    }
}

#[test]
fn tags_and_birth_mark_decide_together() {
    let other = Owner { stack: "other".into(), ..owner() };
    let lineage = Owner { lineage: "l-2".into(), ..owner() };
    let mut with_nonce = tags(&owner());
    with_nonce[tag::INTENT] = json!("n-1");
    let partly = json!({tag::STACK: "shop"});
    let recorded = || Some(entry(live(tags(&owner()), "born")));
    let before_births = || Some(entry(json!({"name": "x", "tags": tags(&owner())})));
    // What is recorded, which create is open, the live tags and birth mark, and whose it is then.
    let cases: Vec<(Option<Entry>, Option<Intent>, Value, &str, &str)> = vec![
        (recorded(), None, tags(&owner()), "born", "ours"),
        (recorded(), None, tags(&owner()), "again", "foreign"),
        (recorded(), None, json!({}), "born", "tags lost"),
        (recorded(), None, partly.clone(), "born", "tags lost"),
        (recorded(), None, json!({}), "again", "foreign"),
        (recorded(), None, tags(&other), "born", "foreign"),
        (recorded(), None, tags(&lineage), "born", "foreign"),
        (recorded(), Some(intent("n-1", false)), with_nonce.clone(), "again", "ours"),
        (before_births(), None, tags(&owner()), "born", "ours"),
        (before_births(), None, json!({}), "born", "foreign"),
        (None, None, tags(&owner()), "born", "unproven"),
        (None, None, with_nonce.clone(), "born", "unproven"),
        (None, None, partly, "born", "foreign"),
        (None, None, json!({}), "born", "foreign"),
        (None, None, tags(&other), "born", "foreign"),
        (None, Some(intent("n-1", false)), with_nonce.clone(), "born", "ours"),
        (None, Some(intent("n-2", false)), with_nonce, "born", "unproven"),
        (None, Some(intent("n-1", false)), tags(&other), "born", "foreign"),
        (None, Some(intent("n-1", false)), json!({}), "born", "foreign"),
        // A name is unique: after its create was accepted, it is what that created. Without tags, only the state says so.
        (None, Some(intent("n-1", true)), tags(&owner()), "born", "ours"),
        (None, Some(intent("n-1", true)), json!({}), "born", "foreign"),
        (None, Some(intent("n-1", true)), tags(&other), "born", "foreign"),
    ];
    for (number, (entry, intent, tags, birth, expected)) in cases.into_iter().enumerate() {
        let own = judge(named(), &owner(), entry.as_ref(), intent.as_ref(), &live(tags, birth));
        assert_eq!(word(&own), expected, "case {number}: {own:?}");
    }
}

#[test]
fn a_resource_without_a_unique_name_is_not_ours_because_a_create_was_accepted() {
    let plain = kind(&KindInfo { birth_mark: Some("birth"), ..KindInfo::DEFAULT });
    let own = judge(plain, &owner(), None, Some(&intent("n", true)), &live(json!({}), "born"));
    assert_eq!(word(&own), "foreign");
}

#[test]
fn a_counter_that_fell_is_another_birth() {
    let counted = kind(&KindInfo { birth_counter: Some("version"), ..KindInfo::DEFAULT });
    let recorded = entry(live(tags(&owner()), ""));
    for (version, expected) in [(1, "foreign"), (3, "ours"), (4, "ours")] {
        let mut now = live(tags(&owner()), "");
        now["version"] = json!(version);
        assert_eq!(word(&judge(counted, &owner(), Some(&recorded), None, &now)), expected, "{version}");
    }
    // The same count at another time is another one's first value.
    let dated = kind(&KindInfo { counted_at: Some("modified"), ..*counted.info });
    for (recorded_at, at, expected) in [("1", "1", "ours"), ("1", "2", "foreign"), ("", "2", "ours")] {
        let (mut recorded, mut now) = (recorded.clone(), live(tags(&owner()), ""));
        (recorded.live["modified"], now["modified"]) = (json!(recorded_at), json!(at));
        now["version"] = recorded.live["version"].clone();
        assert_eq!(
            word(&judge(dated, &owner(), Some(&recorded), None, &now)),
            expected,
            "{recorded_at}, {at}"
        );
    }
    // It proves nothing without tags.
    assert_eq!(word(&judge(counted, &owner(), Some(&recorded), None, &live(json!({}), ""))), "foreign");
}

#[test]
fn the_backend_is_known_by_its_own_tag() {
    let backend = Owner { stack: crate::model::BACKEND_OWNER.into(), lineage: "bucket".into() };
    let tagged = json!({tag::BACKEND: "bucket"});
    let recorded = entry(live(tagged.clone(), "born"));
    for (entry, tags, birth, expected) in [
        (None, tagged.clone(), "born", "ours"),
        (None, json!({}), "born", "foreign"),
        (Some(&recorded), json!({}), "born", "tags lost"),
        (Some(&recorded), json!({}), "again", "foreign"),
        (None, tags(&owner()), "born", "foreign"),
    ] {
        assert_eq!(word(&judge(named(), &backend, entry, None, &live(tags, birth))), expected);
    }
}

#[test]
fn an_abandoned_create_is_proven_by_its_nonce_at_its_address_only() {
    let abandoned: BTreeMap<String, Address> = [("n-1".to_owned(), Address::from("network/x"))].into();
    let mut marked = tags(&owner());
    marked[tag::INTENT] = json!("n-1");
    let proven = |address: &str, tags: &Value| {
        is_abandoned_create(&abandoned, &owner(), &address.into(), &live(tags.clone(), ""))
    };
    assert!(proven("network/x", &marked) && proven("network/x#vpc-1", &marked));
    assert!(!proven("network/y", &marked) && !proven("network/xy", &marked));
    assert!(!proven("network/x", &tags(&owner())));
    marked[tag::LINEAGE] = json!("l-2");
    assert!(!proven("network/x", &marked), "of another lineage");
}

#[test]
fn parts_name_their_parent() {
    let route =
        kind(&KindInfo { tagged: false, part_of: Some(("route_table", "table")), ..KindInfo::DEFAULT });
    let table = json!({"id": "rtb-1", "tags": {}});
    let names = |live: Value, of: &str| names_parent(route, &live, of, &table);
    assert!(names(json!({"table": "rtb-1", "destination": "0.0.0.0/0"}), "route_table"));
    assert!(!names(json!({"table": "rtb-1", "destination": "0.0.0.0/0"}), "vpc"));
    assert!(!names(json!({"table": "rtb-2", "destination": "rtb-1"}), "route_table"));
    assert!(!names_parent(route, &json!({"table": ""}), "route_table", &json!({"id": ""})));
    let untagged = kind(&KindInfo { tagged: false, ..KindInfo::DEFAULT });
    let inherited = kind(&KindInfo { delete_policy: DeletePolicy::WithParent, ..KindInfo::DEFAULT });
    let part = |kind: Kind, entry: Option<&Entry>, live: &Value| {
        super::is_part_of_parent(kind, &owner(), entry, live)
    };
    assert!(part(untagged, None, &json!({})));
    assert!(part(inherited, None, &json!({"tags": {}})));
    assert!(!part(named(), None, &json!({})));
    // A run may end after it has tagged what came with the parent, and before it records that.
    let mut tagged = json!({"tags": tags(&owner())});
    assert!(part(inherited, None, &tagged));
    assert!(!part(inherited, Some(&entry(json!({}))), &tagged));
    tagged["tags"][tag::LINEAGE] = json!("l-2");
    assert!(!part(inherited, None, &tagged), "of another stack");
}
