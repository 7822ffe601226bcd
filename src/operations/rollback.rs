//! Rolls back a rollout that failed.

use super::Workspace;
use crate::model::{Action, Outcome, Plan, Snapshot, Step, StepId};
use serde_json::Value;
use std::collections::BTreeSet;

/// Returns the plan that restores the application's objects which the failed run changed, as they were
/// recorded `before` it. `None` if no rollout of the application failed, if it had no earlier release, or if
/// the file disables rollbacks.
pub fn way_back(workspace: &Workspace, before: &Snapshot, plan: &Plan, outcome: &Outcome) -> Option<Plan> {
    workspace.stack.app.as_ref().filter(|app| app.rollback)?;
    let workload = |spec: &Value| {
        let kind = spec.pointer("/object/kind").and_then(Value::as_str).unwrap_or_default();
        ["Deployment", "StatefulSet", "DaemonSet"].contains(&kind)
    };
    let mine = |spec: &Value| spec.get("part").and_then(Value::as_str) == Some("app");
    let failed = outcome.report().problems.iter().filter_map(|problem| problem.address.as_ref());
    let failed: BTreeSet<_> = failed
        .filter(|address| {
            before.resources.get(*address).is_some_and(|it| mine(&it.spec) && workload(&it.spec))
        })
        .collect();
    if failed.is_empty() {
        return None;
    }
    let changed = plan.changes.iter().filter(|change| change.action == Action::Update);
    let steps = changed.filter_map(|change| {
        let entry = before.resources.get(&change.address).filter(|entry| mine(&entry.spec))?;
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
