//! What a plan refuses, drops, leaves and loses.

use super::{
    Strays, change_json, render,
    tests::{Case, on, standing, steps},
};
use crate::model::{Action, CallError, ErrorKind, Origin, Plan, tag};
use serde_json::json;

fn actions(plan: &Plan) -> Vec<(&str, Action)> {
    plan.changes.iter().map(|change| (change.address.as_str(), change.action)).collect()
}

/// The refused addresses, and how many resources each blocks.
fn refused(plan: &Plan) -> Vec<(&str, usize)> {
    plan.refusals.iter().map(|refusal| (refusal.address.as_str(), refusal.blocks.len())).collect()
}

/// `standing` and beside it a resource on which nothing depends, which the file changes.
fn beside() -> Case {
    let mut case = standing();
    case.stands("beside", &json!({"target": "old"}), &[]);
    case.want("beside", &json!({"target": "new"}));
    case
}

#[test]
fn one_refusal_blocks_what_depends_on_it_and_hides_nothing_else() {
    let breaks: [fn(&mut Case); 5] = [
        |case| case.live("root")["tags"][tag::STACK] = json!("other"),
        |case| case.live("root")["tags"][tag::LINEAGE] = json!("l-2"),
        |case| case.live("root")["id"] = json!("another-birth"),
        |case| case.live("root")["state"] = json!("paused"),
        |case| case.want("root", &json!({"refused": true})),
    ];
    for (number, harm) in breaks.into_iter().enumerate() {
        let mut case = beside();
        harm(&mut case);
        let plan = case.make().unwrap();
        assert_eq!(refused(&plan), [("root", 2)], "case {number}");
        assert_eq!(actions(&plan), [("beside", Action::Update)], "case {number}");
        assert_eq!(steps(&plan), ["ensure beside"], "case {number}");
    }
}

#[test]
fn a_suspended_resource_names_the_command_that_resumes_it() {
    let mut case = standing();
    case.live("root")["state"] = json!("paused");
    let plan = case.make().unwrap();
    assert_eq!(
        (plan.refusals[0].reason.as_str(), plan.refusals[0].hint.as_str()),
        ("it is paused", "`resume it`")
    );
}

#[test]
fn what_a_service_left_is_adopted_only_if_it_is_unused_and_unchanged() {
    let left = |untouched: bool, unused: bool| {
        let mut case = standing();
        case.snapshot.resources.remove("root");
        let live = case.live("root");
        live["untouched"] = json!(untouched);
        live["tags"] = json!({});
        if unused {
            case.observed.leftovers.insert("root".into());
        }
        case.make().unwrap()
    };
    let plan = left(true, true);
    assert_eq!((refused(&plan), actions(&plan)), (vec![], vec![("root", Action::Adopt)]));
    assert!(plan.changes[0].note.as_ref().is_some_and(|note| note.contains("what it contains is kept")));
    for (untouched, unused) in [(true, false), (false, true), (false, false)] {
        assert_eq!(refused(&left(untouched, unused)), [("root", 2)], "{untouched} {unused}");
    }
    // One that replaced a recorded resource is another owner's, as always.
    let mut case = standing();
    let live = case.live("root");
    live["untouched"] = json!(true);
    live["tags"] = json!({});
    live["id"] = json!("another-birth");
    case.observed.leftovers.insert("root".into());
    assert_eq!(refused(&case.make().unwrap()), [("root", 2)]);
}

#[test]
fn a_new_stack_adopts_nothing_without_being_told() {
    let mut case = standing();
    case.snapshot.resources.remove("child");
    let plan = case.make().unwrap();
    assert_eq!(refused(&plan), [("child", 1)]);
    assert!(plan.refusals[0].hint.contains("state import child id-child"), "{:?}", plan.refusals);
    case.consent.adopt = Some(("child".into(), false));
    assert_eq!(actions(&case.make().unwrap()), [("child", Action::Adopt)]);
    // Another owner's is taken over only if that is said, too. That is no advice for what another stack uses.
    case.live("child")["tags"][tag::STACK] = json!("other");
    let hint = &case.make().unwrap().refusals[0].hint;
    assert!(hint.contains("the other stack uses it") && !hint.contains("--take-over"), "{hint}");
    assert_eq!(refused(&case.make().unwrap()), [("child", 1)]);
    case.consent.adopt = Some(("child".into(), true));
    assert_eq!(actions(&case.make().unwrap()), [("child", Action::Adopt)]);
}

#[test]
fn a_record_does_not_prove_whose_a_resource_without_tags_is() {
    let mut case = standing();
    case.live("pointer")["tags"] = json!({});
    let plan = case.make().unwrap();
    assert_eq!((refused(&plan), plan.changes.len()), (vec![("pointer", 0)], 0));
    let hint = &plan.refusals[0].hint;
    assert!(hint.contains("`provisioner state import pointer id-pointer --take-over`"), "{hint}");
    case.consent.adopt = Some(("pointer".into(), false));
    assert_eq!(refused(&case.make().unwrap()), [("pointer", 0)]);
    case.consent.adopt = Some(("pointer".into(), true));
    assert_eq!(actions(&case.make().unwrap()), [("pointer", Action::Update)]);
    case.want("pointer", &json!({"target": on("child"), "cidr": "b"}));
    assert_eq!(refused(&case.make().unwrap()), [("pointer", 0)], "no replacement");
    case.graph.nodes.remove("pointer");
    let plan = case.make().unwrap();
    assert_eq!(refused(&plan), [("pointer", 0)], "no deletion");
    assert!(plan.changes.is_empty() && plan.dropped.is_empty(), "{plan:?}");
}

#[test]
fn a_record_whose_resource_is_another_owners_is_dropped_without_a_call() {
    for change in [(tag::STACK, "other"), (tag::LINEAGE, "l-2"), ("", "")] {
        let mut case = standing();
        case.graph.nodes.remove("pointer");
        match change {
            ("", _) => case.live("pointer")["id"] = json!("another-birth"),
            (key, value) => case.live("pointer")["tags"][key] = json!(value),
        }
        let plan = case.make().unwrap();
        assert!(plan.changes.is_empty() && plan.steps.is_empty(), "{plan:?}");
        assert_eq!(plan.dropped[0].address.as_str(), "pointer");
    }
}

#[test]
fn a_forged_record_of_an_untagged_resource_is_not_deleted() {
    let mut case = standing();
    case.stands("forged", &json!({}), &[]);
    case.live("forged")["tags"] = json!({"owner": "payroll"});
    let plan = case.make().unwrap();
    assert_eq!((refused(&plan), plan.changes.len()), (vec![("forged", 0)], 0));
    case.snapshot.resources.get_mut("forged").unwrap().live["id"] = json!("guessed");
    let plan = case.make().unwrap();
    assert_eq!((plan.dropped.len(), plan.changes.len()), (1, 0), "{plan:?}");
}

/// `standing` with a recorded part of `root`.
fn with_part() -> Case {
    let mut case = standing();
    case.stands("part", &json!({"target": "id-root"}), &["root"]);
    case.of_kind("part", "part");
    case
}

#[test]
fn a_part_is_its_parents() {
    let mut case = with_part();
    assert_eq!(actions(&case.make().unwrap()), [("part", Action::Delete)]);
    // In a table of others, whatever the record says.
    case.live("part")["target"] = json!("id-of-others");
    assert_eq!(case.make().unwrap().dropped.len(), 1);
    // Only the field that AWS gives counts.
    case.live("part")["cidr"] = json!("id-root");
    assert_eq!(case.make().unwrap().dropped.len(), 1);
    case.live("part")["target"] = json!("id-root");
    case.live("root")["tags"][tag::STACK] = json!("other");
    assert_eq!(case.make().unwrap().dropped.len(), 1);
}

#[test]
fn a_part_of_others_at_a_wanted_address_is_refused() {
    let mut case = with_part();
    case.want("part", &json!({"target": on("root")}));
    case.of_kind("part", "part");
    assert!(refused(&case.make().unwrap()).is_empty());
    case.live("part")["target"] = json!("id-of-others");
    assert_eq!(refused(&case.make().unwrap()), [("part", 0)]);
}

#[test]
fn a_record_that_depends_on_a_forged_one_is_as_little_proof_as_that() {
    let mut case = with_part();
    case.stands("forged", &json!({}), &[]);
    case.live("forged")["tags"] = json!({});
    case.live("part")["target"] = json!("id-forged");
    case.snapshot.resources.get_mut("part").unwrap().dependencies = ["forged".into()].into();
    let plan = case.make().unwrap();
    assert_eq!((refused(&plan).len(), plan.changes.len()), (2, 0), "{plan:?}");
    // Nor one that was never there.
    case.observed.found.remove("forged");
    case.snapshot.resources.get_mut("forged").unwrap().live["id"] = json!("a-ghost");
    let plan = case.make().unwrap();
    assert_eq!(plan.dropped.len(), 1, "{plan:?}");
    assert!(plan.changes.iter().all(|change| change.address.as_str() != "part"), "{plan:?}");
}

#[test]
fn a_kind_that_cannot_be_looked_at_matters_only_if_it_is_needed() {
    let mut case = standing();
    case.want("tenant", &json!({"landlord": "root"}));
    let node = case.graph.nodes.get_mut("tenant").unwrap();
    "tenant".clone_into(&mut node.kind);
    node.after.insert("root".into());
    let error = CallError::new(ErrorKind::Invalid, "not in this mode");
    case.observed.failed.insert("tenant".to_owned(), error);
    assert_eq!(case.make().unwrap_err().message, "not in this mode");
    case.live("root")["tags"][tag::STACK] = json!("other");
    let plan = case.make().unwrap();
    assert_eq!(refused(&plan), [("root", 3)]);
    case.graph.nodes.remove("root");
    case.graph.nodes.remove("tenant");
    assert!(case.make().is_ok(), "nothing of it is recorded");
}

#[test]
fn strays_are_reported_and_only_proven_ones_deleted() {
    let mut case = standing();
    case.stands("stray", &json!({}), &[]);
    case.snapshot.resources.remove("stray");
    case.live("stray")["tags"][tag::INTENT] = json!("n");
    case.strays = Strays::Remove;
    let plan = case.make().unwrap();
    assert_eq!((plan.changes.len(), plan.strays[0].id.as_str()), (0, "id-stray"));
    case.strays = Strays::RemoveAll;
    assert_eq!(actions(&case.make().unwrap()), [("stray", Action::Delete)]);
    case.strays = Strays::Remove;
    case.snapshot.abandon("n".to_owned(), "stray".into());
    assert_eq!(actions(&case.make().unwrap()), [("stray", Action::Delete)]);
    case.snapshot.forget("stray".into());
    assert!(case.make().unwrap().strays[0].forgotten);
    case.strays = Strays::RemoveProven;
    assert_eq!(actions(&case.make().unwrap()), [("stray", Action::Delete)]);
    case.live("stray")["tags"][tag::LINEAGE] = json!("l-2");
    let plan = case.make().unwrap();
    assert!(plan.changes.is_empty() && plan.strays.is_empty(), "{plan:?}");
}

/// `standing` where the child holds data.
fn holding() -> Case {
    let mut case = standing();
    case.live("child")["images"] = json!(true);
    case
}

#[test]
fn drift_never_replaces_what_holds_data() {
    let mut case = holding();
    case.live("child")["cidr"] = json!("changed");
    let plan = case.make().unwrap();
    assert_eq!(refused(&plan), [("child", 1)]);
    assert!(plan.refusals[0].reason.contains("its images"), "{:?}", plan.refusals);
    case.consent.replace = vec!["child".to_owned()];
    let plan = case.make().unwrap();
    assert_eq!(plan.changes[0].loses.as_deref(), Some("its images"));
    // A failed one, and one whose dependency was deleted by hand, are drift as well.
    let mut case = holding();
    case.live("child")["state"] = json!("failed");
    assert_eq!(refused(&case.make().unwrap()), [("child", 1)]);
    let mut case = holding();
    case.observed.found.remove("root");
    let plan = case.make().unwrap();
    assert_eq!(refused(&plan), [("child", 1)]);
    assert_eq!(actions(&plan), [("root", Action::Create)]);
}

#[test]
fn what_the_file_destroys_is_told_first() {
    let mut case = holding();
    case.want("child", &json!({"parent": on("root"), "cidr": "b"}));
    let plan = case.make().unwrap();
    let first = "DESTROYS DATA: replaces child and loses its images; only with `--replace child`";
    assert!(render(&plan, false).starts_with(first));
    assert_eq!(change_json(&plan.changes[0])["loses"], "its images");
    assert!(change_json(&plan.changes[0])["hint"].as_str().unwrap().contains("`--replace child`"));
    assert_eq!(change_json(&plan.changes[1]).get("loses"), None);
    case.graph.nodes.remove("child");
    case.graph.nodes.remove("pointer");
    let plan = case.make().unwrap();
    let child = plan.changes.iter().find(|change| change.address.as_str() == "child").unwrap();
    assert_eq!((child.action, child.loses.as_deref()), (Action::Delete, Some("its images")));
    case.consent.removal = true;
    assert!(case.make().unwrap().changes.iter().all(|change| change.loses.is_none()));
}

#[test]
fn protection_counts_for_replacements_too() {
    let mut case = holding();
    case.live("child")["guarded"] = json!(true);
    case.want("child", &json!({"parent": on("root"), "cidr": "b"}));
    case.consent.replace = vec!["child".to_owned()];
    let plan = case.make().unwrap();
    assert_eq!(refused(&plan), [("child", 1)]);
    assert!(plan.refusals[0].hint.contains("thing.guarded: false"), "{:?}", plan.refusals);
    case.consent.removal = true;
    case.graph.nodes.clear();
    assert!(case.make().unwrap().refusals.is_empty(), "`down` is the word");
}

#[test]
fn what_is_being_deleted_is_waited_for_and_created_again() {
    let mut case = holding();
    case.live("child")["state"] = json!("deleting");
    let plan = case.make().unwrap();
    let child = plan.changes.iter().find(|change| change.address.as_str() == "child").unwrap();
    assert_eq!((child.action, child.origin), (Action::Create, Origin::Drift));
    let steps = steps(&plan);
    let place = |step: &str| steps.iter().position(|it| it == step).unwrap();
    assert!(place("remove child") < place("ensure child"), "{steps:?}");
}

#[test]
fn a_deletion_that_did_not_begin_is_not_continued_where_data_is() {
    let mut case = holding();
    case.snapshot.resources.get_mut("child").unwrap().leaving = true;
    let plan = case.make().unwrap();
    assert!(plan.changes.is_empty() && plan.refresh.len() == 1, "{plan:?}");
    // One that began and is scheduled counts as done.
    case.live("child")["state"] = json!("scheduled");
    let plan = case.make().unwrap();
    assert_eq!(plan.changes[0].action, Action::Create);
    case.snapshot.resources.get_mut("child").unwrap().leaving = false;
    assert_eq!(refused(&case.make().unwrap()), [("child", 1)], "by another hand");
    case.graph.nodes.remove("child");
    case.graph.nodes.remove("pointer");
    assert!(case.make().unwrap().refusals.is_empty());
}

#[test]
fn a_deletion_continues_past_what_may_not_be_looked_at() {
    let mut case = standing();
    case.graph = crate::model::Graph::default();
    case.of_kind("child", "sole");
    case.observed.found.remove("child");
    let denied = CallError::new(ErrorKind::Denied, "not authorized");
    case.observed.failed.insert("thing".into(), denied.clone());
    // What `up` would delete must have been seen; so must everything that could not be read for another cause.
    assert_eq!(case.make().unwrap_err(), denied);
    case.consent.removal = true;
    let plan = case.make().unwrap();
    let child = plan.changes.iter().find(|change| change.address.as_str() == "child").unwrap();
    assert_eq!(child.action, Action::Delete);
    assert!(
        child.note.as_deref().unwrap().starts_with("could not be looked at: not authorized"),
        "{child:?}"
    );
    case.observed.failed.insert("thing".into(), CallError::new(ErrorKind::Ambiguous, "no answer"));
    assert!(case.make().is_err());
}
