//! Objects that are not deleted by a call of their own when their cluster is deleted, because that call would delete data.

use super::{Conclusion, workspace::kind};
use crate::{
    engine::StateWriter,
    model::{Action, Address, CallError, Desired as _, Observed, Plan, Record, Sent, StepProgress},
    resources::{eks_cluster, manifest},
};
use serde_json::Value;
use std::collections::BTreeSet;

/// Returns the objects that a plan leaves to the end of their cluster: those that hold data, which their controllers would
/// delete with them, such as the volume of a claim, and Namespaces, which may contain such objects of others.
pub fn ending_with_cluster(plan: &Plan, observed: &Observed) -> BTreeSet<Address> {
    let deleted = || plan.changes.iter().filter(|change| change.action == Action::Delete);
    if !deleted().any(|change| change.kind == eks_cluster::Spec::KIND) {
        return BTreeSet::new();
    }
    let keeps_data = |live: &Value| {
        let is_namespace = live.get("kind").and_then(Value::as_str) == Some("Namespace");
        let holds = kind(manifest::Spec::KIND).map(|kind| (kind.holds)(live));
        is_namespace || holds.is_some_and(|holds| holds.is_ok_and(|holds| holds.is_some()))
    };
    let objects = deleted().filter(|change| change.kind == manifest::Spec::KIND);
    let found = objects.filter_map(|change| observed.found.get_key_value(&change.address));
    found.filter(|(_, found)| keeps_data(&found.live)).map(|(address, _)| address.clone()).collect()
}

/// Records that these objects ended, if the cluster did.
pub async fn record_ended(
    writer: &mut StateWriter,
    plan: &Plan,
    ended: &BTreeSet<Address>,
    conclusion: &mut Conclusion,
) -> Result<(), CallError> {
    if ended.is_empty() || writer.snapshot.resources.values().any(|it| it.kind == eks_cluster::Spec::KIND) {
        return Ok(());
    }
    writer.record(ended.iter().cloned().map(Record::Deleted)).await?;
    for step in plan.steps.iter().filter(|step| ended.contains(&step.id.address)) {
        conclusion.report.note(&step.id, Sent::Nothing, StepProgress::Done);
    }
    Ok(())
}
