//! Rolls back a rollout that failed.

use super::Workspace;
use crate::{
    graph::{SHARED_PART, part},
    model::{Action, Outcome, Plan, Snapshot, Step, StepId},
    stack::delivery::App,
};
use serde_json::Value;
use std::collections::BTreeSet;

/// Returns the plan that restores the objects of applications which the failed run changed, as they were
/// recorded `before` it. `None` if no rollout of an application failed, if it had no earlier release, or if
/// the file disables rollbacks.
pub fn way_back(workspace: &Workspace, before: &Snapshot, plan: &Plan, outcome: &Outcome) -> Option<Plan> {
    // Objects that all applications share, or that an application had before it got a name, go back only with all of them.
    let (back, stay): (Vec<&App>, Vec<&App>) = workspace.stack.apps.iter().partition(|app| app.rollback);
    let shared = stay.is_empty().then(|| SHARED_PART.to_owned());
    let undone: BTreeSet<String> = back.into_iter().map(part).chain(shared).collect();
    let workload = |spec: &Value| {
        let kind = spec.pointer("/object/kind").and_then(Value::as_str).unwrap_or_default();
        ["Deployment", "StatefulSet", "DaemonSet"].contains(&kind)
    };
    let of = |spec: &Value| spec.get("part").and_then(Value::as_str).map(str::to_owned);
    let mine = |spec: &Value| of(spec).is_some_and(|part| undone.contains(&part));
    let failed = outcome.report().problems.iter().filter_map(|problem| problem.address.as_ref());
    let failed: BTreeSet<_> = failed
        .filter(|address| {
            before.resources.get(*address).is_some_and(|it| mine(&it.spec) && workload(&it.spec))
        })
        .collect();
    if failed.is_empty() {
        return None;
    }
    let parts: BTreeSet<Option<String>> =
        failed.iter().filter_map(|address| Some(of(&before.resources.get(*address)?.spec))).collect();
    let changed = plan.changes.iter().filter(|change| change.action == Action::Update);
    let steps = changed.filter_map(|change| {
        let entry = before.resources.get(&change.address).filter(|entry| parts.contains(&of(&entry.spec)))?;
        Some(Step {
            id: StepId::ensure(&change.address),
            kind: entry.kind.clone(),
            stage: entry.stage,
            action: Action::Update,
            spec: entry.spec.clone(),
            live: entry.live.clone(),
            dependencies: entry.dependencies.iter().cloned().collect(),
            after: Vec::new(),
            retires: None,
        })
    });
    Some(Plan { steps: steps.collect(), standing: plan.standing.clone(), ..Plan::default() })
}
