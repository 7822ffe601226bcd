//! What runs ahead of its spec and is kept: versions and sizes that moved on in the account.

use super::plan_input::Input;
use crate::model::{CallError, Graph, Note};

/// Returns the graph with the specs of what is ahead brought to what runs, and a note for everything that a person
/// should know of. None: nothing is ahead.
pub(super) fn keep_ahead(input: &Input<'_>) -> Result<Option<(Graph, Vec<Note>)>, CallError> {
    let mut kept: Option<(Graph, Vec<Note>)> = None;
    for (address, node) in &input.graph.nodes {
        let found = input.observed.found.get(address).filter(|found| found.kind == node.kind);
        let (Some(found), Some(kind)) = (found, (input.kinds)(&node.kind)) else { continue };
        let recorded = input.snapshot.resources.get(address).map(|entry| (&entry.spec, &entry.live));
        let Some(ahead) = (kind.ahead)(&node.spec, &found.live, recorded)? else { continue };
        if ahead.spec == node.spec && ahead.note.is_none() {
            continue;
        }
        let (graph, notes) = kept.get_or_insert_with(|| (input.graph.clone(), Vec::new()));
        if let Some(node) = graph.nodes.get_mut(address) {
            node.spec = ahead.spec;
        }
        notes.extend(ahead.note.map(|message| Note {
            address: address.clone(),
            kind: node.kind.clone(),
            stage: node.stage,
            message,
            hint: ahead.hint,
            pending: false,
        }));
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use crate::{
        model::{
            Action, Ahead, Changes, Entry, Graph, Identity, Kind, KindInfo, Node, Observation, Observed,
            Owner, Plan, Readiness, Snapshot, Stage,
        },
        plan::{Consent, Input, Strays, make},
    };
    use serde_json::{Value, json};

    const INFO: KindInfo = KindInfo { name: "thing", identity: Identity::Name, ..KindInfo::DEFAULT };

    /// A kind with a version that does not go back.
    fn kind(_: &str) -> Option<Kind> {
        Some(Kind {
            info: &INFO,
            diff: |want, live| {
                Ok(Changes::default().mutable("version", &want["version"], &live["version"]).mutable(
                    "size",
                    &want["size"],
                    &live["size"],
                ))
            },
            ready: |_| Ok(Readiness::Ready),
            ahead: |want, live, recorded| {
                let ahead = live["version"].as_u64() > want["version"].as_u64();
                let said = recorded.is_some_and(|(_, last)| last["version"] == live["version"]);
                let mut spec = want.clone();
                spec["version"] = live["version"].clone();
                let note = (!said).then(|| "it is kept".to_owned());
                Ok(ahead.then_some(Ahead { spec, note, hint: None }))
            },
            not_applied: |_, _, _| Ok(None),
            service_made: |_| Ok(None),
            delete_failed: |_| Ok(None),
            holds: |_| Ok(None),
            deletion_guard: |_| Ok(None),
            deleting: |_| Ok(false),
            deleted: |_| Ok(false),
            validate_change: |_, _| Ok(None),
            deletion_note: |_| Ok(None),
            assume_recorded: |live, _| Ok(live.clone()),
        })
    }

    /// The plan for a thing that is wanted, recorded and live in these versions and sizes.
    fn plan(want: &Value, recorded: &Value, live: &Value) -> Plan {
        let owner = Owner { stack: "s".into(), lineage: "l".into() };
        let mut snapshot = Snapshot::new(&owner, "1", "r");
        let form = |fields: &Value| {
            let mut form = fields.clone();
            form["tags"] = json!(owner.tags(&"thing".into()));
            form
        };
        let (address, stage) = ("thing".into(), Stage::Network);
        let entry = Entry {
            kind: "thing".into(),
            stage,
            spec: form(recorded),
            live: form(recorded),
            dependencies: Default::default(),
            leaving: false,
            update: None,
        };
        snapshot.resources.insert("thing".into(), entry);
        let mut graph = Graph::default();
        let (spec, kind_name) = (form(want), "thing".to_owned());
        let node = Node {
            address,
            kind: kind_name.clone(),
            stage,
            spec,
            after: Default::default(),
            follows: Default::default(),
        };
        graph.nodes.insert("thing".into(), node);
        let mut observed = Observed::default();
        observed.found.insert("thing".into(), Observation { kind: kind_name, live: form(live) });
        let (graph, snapshot, observed) = (&graph, &snapshot, &observed);
        make(&Input {
            graph,
            snapshot,
            observed,
            targets: &[],
            strays: Strays::Keep,
            consent: &Consent::default(),
            kinds: &kind,
        })
        .unwrap()
    }

    #[test]
    fn what_moved_ahead_is_kept_recorded_and_told_once() {
        let old = json!({"version": 1, "size": 1});
        let new = json!({"version": 2, "size": 1});
        let first = plan(&old, &old, &new);
        assert!(first.is_empty() && first.steps.is_empty(), "{first:#?}");
        assert_eq!(first.refresh[0].spec["version"], 2);
        assert_eq!(first.notes.len(), 1);
        assert_eq!(first.notes[0].message, "it is kept");
        // The state holds it: silence, though the pin behind the file is as old as before.
        let second = plan(&old, &new, &new);
        assert!(second.is_empty() && second.refresh.is_empty() && second.notes.is_empty(), "{second:#?}");
    }

    #[test]
    fn what_else_the_file_changes_is_planned_with_the_kept_version() {
        let old = json!({"version": 1, "size": 1});
        let plan = plan(&json!({"version": 1, "size": 2}), &old, &json!({"version": 2, "size": 1}));
        assert_eq!(plan.changes.len(), 1);
        assert_eq!(plan.changes[0].action, Action::Update);
        let paths: Vec<&str> = plan.changes[0].fields.0.iter().map(|change| change.path.as_str()).collect();
        assert_eq!(paths, ["size"]);
        assert_eq!(plan.steps[0].spec["version"], 2, "the engine brings it to the kept version, too");
    }

    #[test]
    fn a_newer_version_that_is_asked_for_is_an_update() {
        let old = json!({"version": 1, "size": 1});
        let plan = plan(&json!({"version": 2, "size": 1}), &old, &old);
        assert_eq!((plan.changes.len(), plan.notes.len()), (1, 0));
    }
}
