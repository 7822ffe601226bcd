//! Plans of small graphs: what is decided, why, and in which order it is done.

use super::{Consent, Input, Strays, counts, make, render};
use crate::model::{
    Action, Address, CallError, Changes, Entry, Graph, Identity, In, Kind, KindInfo, Node, Observation,
    Observed, Origin, Owner, Plan, Readiness, ReplacementOrder, ServiceMade, Snapshot, Stage, Verb,
};
use serde_json::{Value, json};

fn diff(want: &Value, live: &Value) -> Result<Changes, CallError> {
    Ok(Changes::default()
        .fixed("parent", &want["parent"], &live["parent"])
        .fixed("cidr", &want["cidr"], &live["cidr"])
        .fixed("name", &want["name"], &live["name"])
        .mutable("target", &want["target"], &live["target"])
        .mutable("tags", &want["tags"], &live["tags"]))
}

pub(super) fn kind(name: &str) -> Option<Kind> {
    let identity = if name == "named" { Identity::Name } else { Identity::OwnerTag };
    let ready = |live: &Value| match live["state"].as_str() {
        Some("failed") => Ok(Readiness::Failed("no room".to_owned())),
        Some("paused" | "scheduled") => {
            Ok(Readiness::Suspended { why: "it is paused".to_owned(), remedy: "resume it".to_owned() })
        }
        _ => Ok(Readiness::Ready),
    };
    let validate_change = |want: &Value, _: &Value| {
        Ok(want["refused"].as_bool().unwrap_or_default().then(|| "no way leads there".to_owned()))
    };
    Some(Kind {
        info: Box::leak(Box::new(KindInfo {
            name: match name {
                "group" => "group",
                "entry" => "entry",
                _ => "thing",
            },
            identity,
            replacement: match name {
                "group" => ReplacementOrder::CreateFirst,
                _ => ReplacementOrder::DeleteFirst,
            },
            exclusive: if name == "sole" { &["cidr"] } else { &[] },
            outlives: if name == "entry" { &["group"] } else { &[] },
            birth_mark: Some("id"),
            protected: name == "crown",
            tagged: name != "part",
            part_of: (name == "part").then_some(("thing", "target")),
            computed_on_update: &["version"],
            parent: (name == "tenant").then_some(("thing", "landlord")),
            ..KindInfo::DEFAULT
        })),
        diff,
        ready,
        validate_change,
        ahead: |_, _, _| Ok(None),
        not_applied: |_, _, _| Ok(None),
        service_made: |live| {
            Ok(live["untouched"].as_bool().map(|untouched| ServiceMade {
                by: "thing",
                name: "maker".to_owned(),
                while_set: "logs",
                untouched,
            }))
        },
        delete_failed: |_| Ok(None),
        deletion_note: |_| Ok(Some("with all in it".to_owned())),
        holds: |live| Ok(live["images"].as_bool().unwrap_or_default().then_some("its images")),
        deletion_guard: |live| Ok(live["guarded"].as_bool().unwrap_or_default().then_some("thing.guarded")),
        deleting: |live| Ok(live["state"] == "deleting"),
        deleted: |live| Ok(live["state"] == "scheduled"),
        assume_recorded: |live, _| Ok(live.clone()),
    })
}

fn owner() -> Owner {
    Owner { stack: "shop".into(), lineage: "l-1".into() }
}

/// Desired, recorded and live things, each by its address.
pub(super) struct Case {
    pub(super) graph: Graph,
    pub(super) snapshot: Snapshot,
    pub(super) observed: Observed,
    pub(super) consent: Consent,
    pub(super) strays: Strays,
}

impl Case {
    pub(super) fn new() -> Self {
        Case {
            graph: Graph::default(),
            snapshot: Snapshot::new(&owner(), "1", "r"),
            observed: Observed::default(),
            consent: Consent::default(),
            strays: Strays::Keep,
        }
    }

    fn spec(address: &str, fields: &Value) -> Value {
        let mut spec =
            json!({"parent": null, "cidr": "a", "target": null, "tags": owner().tags(&address.into())});
        spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        spec
    }

    pub(super) fn want(&mut self, address: &str, fields: &Value) {
        let node = Node {
            address: address.into(),
            kind: "thing".into(),
            stage: Stage::Network,
            spec: Self::spec(address, fields),
            after: Default::default(),
            follows: Default::default(),
        };
        self.graph.nodes.insert(address.into(), node);
    }

    /// Makes what is at an address, wanted or there, be of another kind.
    pub(super) fn of_kind(&mut self, address: &str, kind: &str) {
        if let Some(node) = self.graph.nodes.get_mut(address) {
            kind.clone_into(&mut node.kind);
        }
        if let Some(entry) = self.snapshot.resources.get_mut(address) {
            kind.clone_into(&mut entry.kind);
        }
        if let Some(found) = self.observed.found.get_mut(address) {
            kind.clone_into(&mut found.kind);
        }
    }

    /// There and recorded.
    pub(super) fn stands(&mut self, address: &str, fields: &Value, on: &[&str]) {
        let spec = Self::spec(address, fields);
        let mut live = spec.clone();
        live["id"] = json!(format!("id-{address}"));
        self.observed.found.insert(address.into(), Observation { kind: "thing".into(), live: live.clone() });
        let dependencies = on.iter().map(|on| Address::from(*on)).collect();
        let entry = Entry {
            kind: "thing".into(),
            stage: Stage::Network,
            spec,
            live,
            dependencies,
            leaving: false,
            update: None,
        };
        self.snapshot.resources.insert(address.into(), entry);
    }

    pub(super) fn live(&mut self, address: &str) -> &mut Value {
        &mut self.observed.found.get_mut(address).unwrap().live
    }

    pub(super) fn make(&self) -> Result<Plan, CallError> {
        let Case { graph, snapshot, observed, consent, strays } = self;
        let strays = *strays;
        make(&Input { graph, snapshot, observed, targets: &[], strays, consent, kinds: &kind })
    }
}

pub(super) fn on(address: &str) -> In<String> {
    In::of(&address.into(), "id")
}

pub(super) fn steps(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|step| step.id.to_string()).collect()
}

/// A root, a child that depends on it for good, and a pointer that can be turned to another target.
pub(super) fn standing() -> Case {
    let mut case = Case::new();
    case.want("root", &json!({}));
    case.want("child", &json!({"parent": on("root")}));
    case.want("pointer", &json!({"target": on("child")}));
    case.stands("root", &json!({}), &[]);
    case.stands("child", &json!({"parent": "id-root"}), &["root"]);
    case.stands("pointer", &json!({"target": "id-child"}), &["child"]);
    case
}

#[test]
fn what_is_as_it_should_be_is_left_alone() {
    let plan = standing().make().unwrap();
    assert!(plan.is_empty() && plan.steps.is_empty() && plan.refresh.is_empty(), "{plan:#?}");
    assert_eq!((render(&plan, true).as_str(), counts(plan.totals(), false).as_str()), ("", "no changes"));
}

#[test]
fn a_fixed_field_replaces_the_resource_and_its_dependents() {
    let mut case = standing();
    case.want("root", &json!({"cidr": "b"}));
    let plan = case.make().unwrap();
    let actions: Vec<_> = plan.changes.iter().map(|c| (c.address.as_str(), c.action, c.origin)).collect();
    assert_eq!(
        actions,
        [
            ("child", Action::Replace, Origin::File),
            ("pointer", Action::Update, Origin::File),
            ("root", Action::Replace, Origin::File)
        ]
    );
    assert_eq!(
        steps(&plan),
        ["remove child", "remove root", "ensure root", "ensure child", "ensure pointer"]
    );
    let text = render(&plan, false);
    assert!(text.contains("-/+ root") && text.contains("cidr: a -> b  # forces replacement"), "{text}");
    assert!(text.contains("target: id-child -> (known after up)"), "{text}");
}

#[test]
fn what_exists_inside_a_resource_is_replaced_with_it() {
    let mut case = standing();
    case.want("tenant", &json!({"landlord": "root"}));
    case.stands("tenant", &json!({"landlord": "root"}), &["root"]);
    let node = case.graph.nodes.get_mut("tenant").unwrap();
    "tenant".clone_into(&mut node.kind);
    node.after.insert("root".into());
    case.observed.found.get_mut("tenant").unwrap().kind = "tenant".into();
    assert!(case.make().unwrap().is_empty());
    case.want("root", &json!({"cidr": "b"}));
    let plan = case.make().unwrap();
    let change = plan.changes.iter().find(|change| change.address.as_str() == "tenant").unwrap();
    assert_eq!((change.action, change.origin), (Action::Replace, Origin::File));
    assert_eq!(change.fields.0[0].path, "landlord");
    let steps = steps(&plan);
    let place = |step: &str| steps.iter().position(|it| it == step).unwrap();
    assert!(place("remove tenant") < place("remove root") && place("ensure root") < place("ensure tenant"));
}

#[test]
fn what_lets_go_of_a_thing_does_so_before_it_goes() {
    let mut case = standing();
    case.graph.nodes.remove("child");
    case.want("pointer", &json!({"target": on("root")}));
    let plan = case.make().unwrap();
    assert_eq!(steps(&plan), ["ensure pointer", "remove child"]);
    case.graph.nodes.clear();
    assert_eq!(steps(&case.make().unwrap()), ["remove pointer", "remove child", "remove root"]);
}

#[test]
fn drift_is_told_apart_from_the_file() {
    let mut case = standing();
    case.live("child")["tags"]["team"] = json!("another team's");
    assert!(case.make().unwrap().is_empty(), "other people's tags are not drift");
    case.live("child")["target"] = json!("elsewhere");
    let plan = case.make().unwrap();
    assert_eq!((plan.changes[0].action, plan.changes[0].origin), (Action::Update, Origin::Drift));
    case.observed.found.remove("pointer");
    let plan = case.make().unwrap();
    let gone = plan.changes.iter().find(|change| change.address.as_str() == "pointer").unwrap();
    assert_eq!((gone.action, gone.origin, plan.totals().drift), (Action::Create, Origin::Drift, 2));
}

#[test]
fn what_failed_is_replaced_and_what_the_state_began_is_adopted() {
    let mut case = standing();
    case.live("pointer")["state"] = json!("failed");
    let entry = case.snapshot.resources.remove("child").unwrap();
    case.live("child")["tags"]["provisioner:intent"] = json!("n");
    case.snapshot.abandon("n".to_owned(), "child".into());
    drop(entry);
    let plan = case.make().unwrap();
    let actions: Vec<_> = plan.changes.iter().map(|c| (c.address.as_str(), c.action)).collect();
    assert_eq!(actions, [("child", Action::Adopt), ("pointer", Action::Replace)]);
    assert_eq!(plan.changes[1].note.as_deref(), Some("it failed: no room"));
}

#[test]
fn a_stage_alone_waits_for_nothing_outside_it() {
    let plan = standing().make().unwrap().stage(Stage::Cluster);
    assert!(plan.is_empty());
    let mut case = standing();
    case.snapshot.resources.clear();
    case.observed.found.clear();
    let part = case.make().unwrap().stage(Stage::Network);
    assert!(part.steps.iter().all(|step| step.id.verb == Verb::Ensure) && part.steps.len() == 3);
}

#[test]
fn a_field_that_an_update_moves_is_known_only_after_it() {
    let version = In::<String>::of(&"root".into(), "version");
    let mut case = standing();
    case.live("root")["version"] = json!("1");
    case.want("pointer", &json!({"target": version}));
    case.stands("pointer", &json!({"target": "1"}), &["root"]);
    assert!(case.make().unwrap().is_empty(), "nothing changes without a cause");
    case.want("root", &json!({"target": "elsewhere"}));
    let plan = case.make().unwrap();
    let text = render(&plan, false);
    assert!(text.contains("target: 1 -> (known after up)"), "{text}");
    assert_eq!(steps(&plan), ["ensure root", "ensure pointer"]);
}

#[test]
fn an_update_follows_another_whatever_order_they_were_made_in() {
    let mut case = standing();
    for address in ["child", "pointer"] {
        case.stands(address, &json!({"target": "old"}), &["root"]);
    }
    // The pointer was made before the child; both move, and the child goes first.
    case.want("child", &json!({"target": on("root")}));
    case.want("pointer", &json!({"target": on("root")}));
    case.graph.nodes.get_mut("child").unwrap().after = ["pointer".into()].into();
    assert_eq!(steps(&case.make().unwrap()), ["ensure pointer", "ensure child"]);
    case.graph.nodes.get_mut("pointer").unwrap().follows = ["child".into()].into();
    assert_eq!(steps(&case.make().unwrap()), ["ensure child", "ensure pointer"]);
    // Where only one of them moves there is nothing to follow.
    case.stands("child", &json!({"target": "id-root"}), &["root", "pointer"]);
    assert_eq!(steps(&case.make().unwrap()), ["ensure pointer"]);
}

#[test]
fn a_removal_says_what_goes_with_it() {
    let mut case = standing();
    case.graph.nodes.remove("pointer");
    let plan = case.make().unwrap();
    assert_eq!(plan.changes[0].note.as_deref(), Some("with all in it"));
    assert!(render(&plan, false).contains("with all in it"));
}
