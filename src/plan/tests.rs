//! Plans of small graphs: what is decided, why, and in which order it is done.

use super::{Input, Strays, counts, make, render};
use crate::model::{
    Action, Address, Changes, Class, Departure, Entry, Fault, Graph, Identity, In, Kind, Node, Observation,
    Observed, Origin, Owner, Plan, Ready, Snapshot, Stage, Verb,
};
use serde_json::{Value, json};

fn diff(want: &Value, live: &Value) -> Result<Changes, Fault> {
    Ok(Changes::default()
        .fixed("parent", &want["parent"], &live["parent"])
        .fixed("cidr", &want["cidr"], &live["cidr"])
        .mutable("target", &want["target"], &live["target"])
        .mutable("tags", &want["tags"], &live["tags"]))
}

fn kind(name: &str) -> Option<Kind> {
    let identity = if name == "named" { Identity::Name } else { Identity::OwnerTag };
    let ready = |live: &Value| match live["state"].as_str() {
        Some("failed") => Ok(Ready::Failed("no room".to_owned())),
        _ => Ok(Ready::Yes),
    };
    let refuse = |want: &Value, _: &Value| {
        Ok(want["refused"].as_bool().unwrap_or_default().then(|| "no way leads there".to_owned()))
    };
    Some(Kind {
        name: "thing",
        identity,
        tagged: true,
        departure: Departure::Deleted,
        iam: &[],
        one_at_a_time: false,
        mends: false,
        moves: &["version"],
        within: (name == "tenant").then_some(("thing", "landlord")),
        named: None,
        diff,
        ready,
        refuse,
        farewell: |_| Ok(Some("with all in it".to_owned())),
        hides: false,
        unseen: |live, _| Ok(live.clone()),
    })
}

fn owner() -> Owner {
    Owner { stack: "shop".into(), lineage: "l-1".into() }
}

/// Desired, recorded and live things, each by its address.
struct Case {
    graph: Graph,
    snapshot: Snapshot,
    observed: Observed,
}

impl Case {
    fn new() -> Self {
        Case {
            graph: Graph::default(),
            snapshot: Snapshot::new(&owner(), "1", "r"),
            observed: Observed::default(),
        }
    }

    fn spec(address: &str, fields: &Value) -> Value {
        let mut spec =
            json!({"parent": null, "cidr": "a", "target": null, "tags": owner().tags(&address.into())});
        spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        spec
    }

    fn want(&mut self, address: &str, fields: &Value) {
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

    /// There and recorded.
    fn stands(&mut self, address: &str, fields: &Value, on: &[&str]) {
        let spec = Self::spec(address, fields);
        let mut live = spec.clone();
        live["id"] = json!(format!("id-{address}"));
        self.observed.found.insert(address.into(), Observation { kind: "thing".into(), live: live.clone() });
        let dependencies = on.iter().map(|on| Address::from(*on)).collect();
        let entry =
            Entry { kind: "thing".into(), stage: Stage::Network, spec, live, dependencies, leaving: false };
        self.snapshot.resources.insert(address.into(), entry);
    }

    fn live(&mut self, address: &str) -> &mut Value {
        &mut self.observed.found.get_mut(address).unwrap().live
    }

    fn make(&self) -> Result<Plan, Fault> {
        let Case { graph, snapshot, observed } = self;
        make(&Input { graph, snapshot, observed, targets: &[], strays: Strays::Keep, kinds: &kind })
    }
}

fn on(address: &str) -> In<String> {
    In::of(&address.into(), "id")
}

fn steps(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|step| step.id.to_string()).collect()
}

/// A root, a child that stands on it for good, and a pointer that can be turned to another target.
fn standing() -> Case {
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
fn a_fixed_field_replaces_and_takes_along_what_stands_on_it() {
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
fn what_lives_in_a_thing_by_its_name_is_made_anew_with_it() {
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
    case.live("child")["tags"]["team"] = json!("somebody's own");
    assert!(case.make().unwrap().is_empty(), "other people's tags are nobody's drift");
    case.live("child")["target"] = json!("elsewhere");
    let plan = case.make().unwrap();
    assert_eq!((plan.changes[0].action, plan.changes[0].origin), (Action::Update, Origin::Drift));
    case.observed.found.remove("pointer");
    let plan = case.make().unwrap();
    let gone = plan.changes.iter().find(|change| change.address.as_str() == "pointer").unwrap();
    assert_eq!((gone.action, gone.origin, plan.totals().drift), (Action::Create, Origin::Drift, 2));
}

#[test]
fn what_failed_is_made_anew_and_what_is_unrecorded_is_adopted() {
    let mut case = standing();
    case.live("pointer")["state"] = json!("failed");
    case.snapshot.resources.remove("child");
    let plan = case.make().unwrap();
    let actions: Vec<_> = plan.changes.iter().map(|c| (c.address.as_str(), c.action)).collect();
    assert_eq!(actions, [("child", Action::Adopt), ("pointer", Action::Replace)]);
    assert_eq!(plan.changes[1].note.as_deref(), Some("it failed: no room"));
}

#[test]
fn what_belongs_to_somebody_else_is_refused() {
    for (tag, value) in [("provisioner:stack", "other"), ("provisioner:lineage", "l-2")] {
        let mut case = standing();
        case.live("root")["tags"][tag] = json!(value);
        let fault = case.make().unwrap_err();
        assert_eq!(fault.code, "NotOurs", "{fault}");
    }
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
fn what_cannot_become_as_wanted_is_refused_with_the_reason() {
    let mut case = standing();
    case.want("root", &json!({"refused": true}));
    let fault = case.make().unwrap_err();
    assert_eq!(fault.class, Class::Refused);
    assert!(fault.message.contains("root") && fault.message.contains("no way leads there"), "{fault}");
}

#[test]
fn a_field_that_an_update_moves_is_known_only_after_it() {
    let version = In::<String>::of(&"root".into(), "version");
    let mut case = standing();
    case.live("root")["version"] = json!("1");
    case.want("pointer", &json!({"target": version}));
    case.stands("pointer", &json!({"target": "1"}), &["root"]);
    assert!(case.make().unwrap().is_empty(), "nothing moves by itself");
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
