//! Whether EKS takes the change of the Kubernetes version that a plan holds: an upgrade that its insights do not block, or a
//! rollback within seven days of the upgrade.

use super::{OperationError, PlanOptions, Workspace};
use crate::{
    aws::{VersionChange, kubernetes_versions, last_version_change, upgrade_blockers},
    graph::cluster_name,
    model::{Action, Desired as _, Plan, PlannedChange, StepError, is_newer},
    resources::eks_cluster,
    stack::cluster::UpgradePolicy,
};
use std::time::{Duration, SystemTime};

/// How long after an upgrade EKS takes a rollback.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/rollback-cluster.html>
const WINDOW: Duration = Duration::from_secs(7 * 24 * 3600);

/// Returns why EKS will refuse the change of the version that the plan holds; nothing for another plan.
pub async fn version_refusals(
    workspace: &Workspace,
    options: &PlanOptions,
    plan: &Plan,
) -> Result<Vec<StepError>, OperationError> {
    match plan.changes.iter().find_map(|change| Some((change, versions(change)?))) {
        None => Ok(Vec::new()),
        Some((change, (old, new))) if is_newer(&old, &new) => {
            rollback_refusals(workspace, change, &old, &new).await
        }
        Some(_) if options.force_upgrade => Ok(Vec::new()),
        Some((change, (_, new))) => upgrade_refusals(workspace, change, &new).await,
    }
}

/// Returns EKS's insights that block an upgrade.
async fn upgrade_refusals(
    workspace: &Workspace,
    change: &PlannedChange,
    new: &str,
) -> Result<Vec<StepError>, OperationError> {
    let name = cluster_name(&workspace.stack);
    let clients = &workspace.target.clients;
    let found = workspace.patient(async || Ok(upgrade_blockers(clients, &name, new).await?)).await?;
    let told = found.into_iter().map(|insight| {
        StepError::refused(
            &change.address,
            format!("EKS blocks the upgrade to Kubernetes {new}: {insight}"),
            format!(
                "correct it, and refresh with `aws eks start-insights-refresh --cluster-name {name}`; \
                 `--force-upgrade` ignores EKS's insights"
            ),
        )
    });
    Ok(told.collect())
}

/// Returns why EKS will refuse a rollback.
async fn rollback_refusals(
    workspace: &Workspace,
    change: &PlannedChange,
    old: &str,
    new: &str,
) -> Result<Vec<StepError>, OperationError> {
    let name = cluster_name(&workspace.stack);
    let clients = &workspace.target.clients;
    let last = workspace.patient(async || Ok(last_version_change(clients, &name).await?)).await?;
    let offered = workspace.patient(async || Ok(kubernetes_versions(clients).await?)).await?;
    let policy = workspace.stack.cluster.as_ref().map(|it| it.upgrade_policy).unwrap_or_default();
    let extended = offered.iter().any(|it| it.version == new && !it.standard);
    let unpaid = (extended && policy == UpgradePolicy::Standard).then(|| {
        format!("Kubernetes {new} is in extended support, and `cluster.upgradePolicy` is `standard`")
    });
    let refused = refusal(last, SystemTime::now(), workspace.target.pace.0).or(unpaid);
    let told = refused.map(|why| {
        StepError::refused(
            &change.address,
            format!("the cluster cannot go back from Kubernetes {old} to {new}: {why}"),
            format!("set `cluster.version: \"{old}\"` in the stack file"),
        )
    });
    Ok(told.into_iter().collect())
}

/// Returns the versions of a change of the cluster's version, the live one first.
fn versions(change: &PlannedChange) -> Option<(String, String)> {
    if change.kind != eks_cluster::Spec::KIND || change.action != Action::Update {
        return None;
    }
    let version = change.fields.0.iter().find(|field| field.path == "version")?;
    Some((version.old.as_str()?.to_owned(), version.new.as_str()?.to_owned()))
}

/// Why EKS refuses a rollback after the last change of the version. `pace` is how many times faster than in AWS time passes.
fn refusal(last: Option<VersionChange>, now: SystemTime, pace: f64) -> Option<String> {
    match last {
        None => Some("it was created with that version, and EKS takes back only an upgrade".to_owned()),
        Some(VersionChange { back: true, .. }) => {
            Some("its last change was a rollback, and EKS takes back only an upgrade".to_owned())
        }
        Some(VersionChange { at, .. }) => {
            let since = now.duration_since(at).unwrap_or_default().mul_f64(pace.max(1.0));
            (since > WINDOW).then(|| "the upgrade was more than seven days ago".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollback_needs_an_upgrade_of_the_last_seven_days() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100 * 24 * 3600);
        let days = |days: u64, back: bool| {
            Some(VersionChange { at: now - Duration::from_secs(days * 24 * 3600), back })
        };
        for (last, said) in [
            (None, Some("created with that version")),
            (days(1, true), Some("last change was a rollback")),
            (days(8, false), Some("more than seven days ago")),
            (days(7, false), None),
            (days(0, false), None),
        ] {
            let why = refusal(last.clone(), now, 1.0);
            match said {
                Some(said) => {
                    assert!(why.as_ref().is_some_and(|why| why.contains(said)), "{last:?}: {why:?}");
                }
                None => assert_eq!(why, None, "{last:?}"),
            }
        }
        let an_hour_ago = Some(VersionChange { at: now - Duration::from_secs(3600), back: false });
        assert!(refusal(an_hour_ago, now, 600.0).is_some(), "the sandbox's days are shorter");
    }
}
