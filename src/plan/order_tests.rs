//! Plans of small graphs: what comes first and what comes last, in one run and stage by stage.

use super::{
    fill_names, left_dependents, take_back,
    tests::{Case, kind, on, steps},
};
use crate::model::{Action, Address, Observation, Origin, Plan, Stage};
use serde_json::json;

/// A root, a group on it, and what uses the group.
fn grouped() -> Case {
    let mut case = Case::new();
    case.want("root", &json!({}));
    case.want("group/main", &json!({"parent": on("root"), "name": "main"}));
    case.want("user", &json!({}));
    case.graph.nodes.get_mut("user").unwrap().after.insert("group/main".into());
    case.stands("root", &json!({}), &[]);
    case.stands("group/main", &json!({"parent": "id-root", "name": "main"}), &["root"]);
    case.stands("user", &json!({}), &["group/main"]);
    case.of_kind("group/main", "group");
    case
}

fn note<'a>(plan: &'a Plan, address: &str) -> &'a str {
    let change = plan.changes.iter().find(|change| change.address.as_str() == address).unwrap();
    change.note.as_deref().unwrap_or_default()
}

#[test]
fn a_group_is_created_first_under_another_name_and_keeps_it() {
    let mut case = grouped();
    assert!(case.make().unwrap().is_empty());
    case.want("group/main", &json!({"parent": on("root"), "name": "main", "cidr": "b"}));
    case.of_kind("group/main", "group");
    let plan = case.make().unwrap();
    assert_eq!(steps(&plan), ["ensure group/main", "remove group/main#main"]);
    assert_eq!((plan.totals().replace, plan.totals().changes()), (1, 1));
    let ensure = &plan.steps[0];
    let name = ensure.spec["name"].as_str().unwrap().to_owned();
    assert!(name.starts_with("main-") && name.len() == 10, "{name}");
    assert_eq!(ensure.retires, Some("group/main#main".into()));
    let said = note(&plan, "group/main");
    assert_eq!(said, format!("{name} is created first, then main is deleted"));

    // The name in the file is that of another one from then on, and nothing differs.
    case.stands("group/main", &json!({"parent": "id-root", "name": name, "cidr": "b"}), &["root"]);
    case.of_kind("group/main", "group");
    fill_names(&mut case.graph, &case.snapshot, &kind);
    let plan = case.make().unwrap();
    assert!(plan.is_empty() && plan.refresh.is_empty(), "{plan:#?}");
}

#[test]
fn what_the_deletion_of_others_needs_is_deleted_after_them() {
    let mut case = grouped();
    case.stands("an-entry", &json!({"parent": "id-root"}), &["root"]);
    case.of_kind("an-entry", "entry");
    let mut replaced = Case { graph: case.graph.clone(), ..grouped() };
    replaced.stands("an-entry", &json!({"parent": "id-root"}), &["root"]);
    replaced.of_kind("an-entry", "entry");
    // The recorded dependencies say nothing of it.
    case.graph = crate::model::Graph::default();
    let expected = ["remove user", "remove group/main", "remove an-entry", "remove root"];
    assert_eq!(steps(&case.make().unwrap()), expected);
    replaced.want("group/main", &json!({"parent": on("root"), "name": "main", "cidr": "b"}));
    replaced.of_kind("group/main", "group");
    let expected = ["ensure group/main", "remove group/main#main", "remove an-entry"];
    assert_eq!(steps(&replaced.make().unwrap()), expected);
}

#[test]
fn what_is_replaced_with_its_parent_is_deleted_first() {
    let mut case = grouped();
    case.want("root", &json!({"cidr": "b"}));
    let plan = case.make().unwrap();
    assert_eq!(steps(&plan), ["remove group/main", "remove root", "ensure root", "ensure group/main"]);
    assert!(plan.steps.iter().all(|step| step.retires.is_none()));
    assert_eq!(plan.steps[3].spec["name"], "main");
}

#[test]
fn what_a_killed_run_retired_is_deleted_last_or_taken_up_again() {
    let mut case = grouped();
    let old = Address::from("group/main").retired("main");
    let entry = case.snapshot.resources.remove("group/main").unwrap();
    let found = case.observed.found.remove("group/main").unwrap();
    case.snapshot.resources.insert(old.clone(), entry.clone());
    case.observed.found.insert(old.clone(), found);
    // Nothing was begun in its place.
    let mut restored = Case { snapshot: case.snapshot.clone(), ..grouped() };
    restored.snapshot.restore_retired();
    assert!(restored.make().unwrap().is_empty());
    // Its successor was created; the old one is still there.
    let mut live = entry.live.clone();
    live["name"] = json!("main-0a1b2");
    let new = Observation { kind: "group".into(), live: live.clone() };
    case.observed.found.insert("group/main".into(), new);
    let mut spec = entry.spec.clone();
    spec["name"] = json!("main-0a1b2");
    case.snapshot.resources.insert("group/main".into(), crate::model::Entry { spec, live, ..entry.clone() });
    fill_names(&mut case.graph, &case.snapshot, &kind);
    let plan = case.make().unwrap();
    assert_eq!(steps(&plan), ["remove group/main#main"]);
    // What is being deleted keeps its name until it is gone.
    case.snapshot.resources.remove("group/main");
    case.observed.found.remove("group/main");
    case.snapshot.resources.get_mut(&old).unwrap().leaving = true;
    let mut again = Case { snapshot: case.snapshot.clone(), ..grouped() };
    again.observed.found = case.observed.found.clone();
    again.snapshot.restore_retired();
    fill_names(&mut again.graph, &again.snapshot, &kind);
    let plan = again.make().unwrap();
    assert_eq!(steps(&plan), ["ensure group/main", "remove group/main#main"]);
    assert_ne!(plan.steps[0].spec["name"], "main");
}

#[test]
fn what_fits_the_file_again_serves_on_and_its_successor_is_deleted() {
    let mut case = grouped();
    let (address, old) = (Address::from("group/main"), Address::from("group/main").retired("main"));
    let entry = case.snapshot.resources.remove(&address).unwrap();
    let form = |form: &serde_json::Value| {
        let mut form = form.clone();
        (form["name"], form["cidr"]) = (json!("main-0a1b2"), json!("b"));
        form
    };
    let new = crate::model::Entry { spec: form(&entry.spec), live: form(&entry.live), ..entry.clone() };
    case.snapshot.resources.insert(old.clone(), entry.clone());
    // The new one exists, or its create call was sent.
    for is_recorded in [true, false] {
        let mut case = Case { snapshot: case.snapshot.clone(), observed: case.observed.clone(), ..grouped() };
        let intent = || crate::model::Intent {
            kind: "group".into(),
            stage: Stage::Network,
            nonce: "n".into(),
            token: "t".into(),
            signed_at: 0,
            request: new.spec.clone(),
            dependencies: entry.dependencies.clone(),
            owner: "run".into(),
            process: crate::model::Process::default(),
            made: true,
        };
        match is_recorded {
            true => drop(case.snapshot.resources.insert(address.clone(), new.clone())),
            false => drop(case.snapshot.intents.insert(address.clone(), intent())),
        }
        let before = case.snapshot.clone();
        // The file still asks for the new one.
        let mut wanted = Case { snapshot: before.clone(), ..grouped() };
        wanted.want("group/main", &json!({"parent": on("root"), "name": "main", "cidr": "b"}));
        wanted.of_kind("group/main", "group");
        take_back(&wanted.graph, &mut wanted.snapshot, &kind);
        assert_eq!(wanted.snapshot, before);
        // What is being deleted does not serve on.
        let mut leaving = before.clone();
        leaving.resources.get_mut(&old).unwrap().leaving = true;
        let unchanged = leaving.clone();
        take_back(&case.graph, &mut leaving, &kind);
        assert_eq!(leaving, unchanged);

        take_back(&case.graph, &mut case.snapshot, &kind);
        let live = Observation { kind: "group".into(), live: new.live.clone() };
        case.observed.found.insert(address.retired("main-0a1b2"), live);
        fill_names(&mut case.graph, &case.snapshot, &kind);
        assert_eq!(steps(&case.make().unwrap()), ["remove group/main#main-0a1b2"]);
        assert_eq!(case.snapshot.resources[&address], entry);
        case.snapshot.encode().unwrap();
    }
}

#[test]
fn deletions_wait_for_all_that_is_new_and_take_their_dependents_along() {
    let mut case = grouped();
    case.graph.nodes.remove("group/main");
    case.graph.nodes.remove("user");
    case.want("group/other", &json!({"parent": on("root"), "name": "other"}));
    case.of_kind("group/other", "group");
    case.want("zeta", &json!({}));
    let plan = case.make().unwrap();
    assert_eq!(steps(&plan), ["ensure group/other", "ensure zeta", "remove user", "remove group/main"]);
    let user = plan.steps.iter().find(|step| step.id.address.as_str() == "user").unwrap();
    assert_eq!(user.after.len(), 2, "{user:?}");
}

#[test]
fn what_can_exist_only_once_is_freed_before_it_is_taken() {
    let mut case = Case::new();
    case.stands("old", &json!({}), &[]);
    case.want("new", &json!({}));
    assert_eq!(steps(&case.make().unwrap()), ["ensure new", "remove old"]);
    case.of_kind("old", "sole");
    case.of_kind("new", "sole");
    assert_eq!(steps(&case.make().unwrap()), ["remove old", "ensure new"]);
    case.want("new", &json!({"cidr": "b"}));
    case.of_kind("new", "sole");
    assert_eq!(steps(&case.make().unwrap()), ["ensure new", "remove old"]);
}

#[test]
fn the_old_half_waits_for_all_that_the_new_half_needs() {
    let mut case = Case::new();
    case.want("template", &json!({"target": "b"}));
    case.want("role", &json!({"parent": on("template")}));
    case.want("thing", &json!({"cidr": "b"}));
    case.graph.nodes.get_mut("thing").unwrap().after.insert("role".into());
    case.stands("template", &json!({"target": "a"}), &[]);
    case.stands("role", &json!({"parent": "id-template"}), &["template"]);
    case.stands("thing", &json!({}), &["role"]);
    // The role between them stays as it is.
    assert_eq!(steps(&case.make().unwrap()), ["ensure template", "remove thing", "ensure thing"]);
}

#[test]
fn stage_by_stage_what_waits_for_later_stages_comes_last() {
    let mut case = grouped();
    case.stands("vpn", &json!({}), &[]);
    case.want("group/main", &json!({"parent": on("root"), "name": "main", "cidr": "b"}));
    case.of_kind("group/main", "group");
    case.want("app", &json!({}));
    for (address, stage) in [("group/main", Stage::Cluster), ("app", Stage::Application)] {
        case.graph.nodes.get_mut(address).unwrap().stage = stage;
    }
    let plan = case.make().unwrap();
    let parts: Vec<(Option<Stage>, Vec<String>)> = plan
        .parts()
        .iter()
        .map(|(stage, part)| (*stage, steps(part)))
        .filter(|it| !it.1.is_empty())
        .collect();
    assert_eq!(
        parts,
        [
            (Some(Stage::Cluster), vec!["ensure group/main".to_owned()]),
            (Some(Stage::Application), vec!["ensure app".to_owned()]),
            (None, vec!["remove group/main#main".to_owned(), "remove vpn".to_owned()]),
        ]
    );
    let (_, last) = plan.parts().pop().unwrap();
    assert_eq!((last.totals().delete, last.totals().changes()), (2, 2));
    // Without anything later, a deletion is part of its own stage.
    case.graph.nodes.remove("app");
    case.graph.nodes.remove("group/main");
    case.graph.nodes.remove("user");
    let plan = case.make().unwrap();
    let parts: Vec<Option<Stage>> =
        plan.parts().iter().filter(|(_, part)| !part.is_empty()).map(|(stage, _)| *stage).collect();
    assert_eq!(parts, [Some(Stage::Network)]);
}

#[test]
fn what_a_deletion_would_take_from_others_is_named() {
    let mut case = grouped();
    let plan = |case: &Case, target: &str| {
        let input = super::Input {
            graph: &crate::model::Graph::default(),
            snapshot: &case.snapshot,
            observed: &case.observed,
            targets: &[target.to_owned()],
            strays: super::Strays::RemoveAll,
            consent: &super::Consent { removal: true, ..Default::default() },
            kinds: &kind,
        };
        super::make(&input).unwrap()
    };
    let left = |case: &Case, target: &str| {
        let left = left_dependents(&plan(case, target), &case.snapshot, &case.observed);
        left.keys().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(left(&case, "root"), ["group/main"]);
    assert_eq!(left(&case, "group"), ["user"]);
    assert_eq!(left(&case, "user"), [""; 0]);
    case.observed.found.remove("user");
    assert_eq!(left(&case, "group"), [""; 0], "what is gone depends on nothing");
}

#[test]
fn what_an_earlier_run_deleted_is_not_reported_as_drift() {
    let mut case = grouped();
    case.observed.found.remove("user");
    let origin = |case: &Case| {
        let plan = case.make().unwrap();
        (plan.changes[0].action, plan.changes[0].origin)
    };
    assert_eq!(origin(&case), (Action::Create, Origin::Drift));
    case.snapshot.resources.get_mut("user").unwrap().leaving = true;
    assert_eq!(origin(&case), (Action::Create, Origin::File));
    case.graph.nodes.remove("user");
    assert_eq!(origin(&case), (Action::Delete, Origin::File));
}
