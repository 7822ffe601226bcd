//! The updates of EKS clusters, node groups and add-ons, by their ids.

use super::{Call, Clients, Cx, if_found};
use crate::model::{CallError, UpdateId, UpdateOutcome};
use aws_sdk_eks::types::{Update, UpdateStatus, UpdateType};
use futures_util::future::try_join_all;
use std::time::SystemTime;

/// The resource that an update changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EksUpdate<'a> {
    /// The cluster of this name.
    Cluster(&'a str),
    /// A node group: the cluster's name and its own.
    NodeGroup(&'a str, &'a str),
    /// An add-on: the cluster's name and its own.
    Addon(&'a str, &'a str),
}

/// How many updates of one resource are looked at to find the running one. EKS lists them without a status.
const MAX_LISTED: i32 = 100;

impl EksUpdate<'_> {
    fn names(self) -> (String, Option<String>, Option<String>) {
        match self {
            EksUpdate::Cluster(cluster) => (cluster.to_owned(), None, None),
            EksUpdate::NodeGroup(cluster, group) => (cluster.to_owned(), Some(group.to_owned()), None),
            EksUpdate::Addon(cluster, addon) => (cluster.to_owned(), None, Some(addon.to_owned())),
        }
    }

    async fn describe(self, cx: &Cx, id: &str) -> Result<Option<Update>, CallError> {
        let (cluster, group, addon) = self.names();
        let call = cx.eks.describe_update().update_id(id).name(cluster);
        let call = call.set_nodegroup_name(group).set_addon_name(addon);
        Ok(call.send().await.call()?.update)
    }

    /// Returns the state of the update `id`.
    pub async fn outcome(self, cx: &Cx, id: &str) -> Result<UpdateOutcome, CallError> {
        let update = self.describe(cx, id).await?;
        Ok(update.as_ref().map_or(UpdateOutcome::InProgress, outcome))
    }

    /// Returns the id of the update that EKS is working on while the resource has this status. EKS takes one at a time.
    pub async fn running(self, cx: &Cx, status: &str) -> Result<Option<UpdateId>, CallError> {
        if status != "UPDATING" {
            return Ok(None);
        }
        let (cluster, group, addon) = self.names();
        let call = cx.eks.list_updates().name(cluster).max_results(MAX_LISTED);
        let call = call.set_nodegroup_name(group).set_addon_name(addon);
        let ids = call.send().await.call()?.update_ids.unwrap_or_default();
        let updates = try_join_all(ids.iter().map(|id| self.describe(cx, id))).await?;
        let running =
            |update: &&Update| matches!(outcome(update), UpdateOutcome::InProgress) && update.id().is_some();
        Ok(updates.iter().flatten().find(running).and_then(|update| update.id.clone()))
    }
}

/// The last change of a cluster's Kubernetes version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionChange {
    /// When EKS accepted it.
    pub at: SystemTime,
    /// Whether it was a rollback.
    pub back: bool,
}

/// Returns the last change of a cluster's version that EKS completed; `None` if the cluster has the version that it was
/// created with.
pub async fn last_version_change(
    clients: &Clients,
    cluster: &str,
) -> Result<Option<VersionChange>, CallError> {
    let ids: Result<Vec<String>, _> =
        clients.eks.list_updates().name(cluster).into_paginator().items().send().try_collect().await;
    let mut last: Option<VersionChange> = None;
    for id in if_found(ids.call())?.unwrap_or_default() {
        let answer = clients.eks.describe_update().name(cluster).update_id(id).send().await.call()?;
        let Some(update) = answer.update else { continue };
        let back = match update.r#type() {
            Some(UpdateType::VersionUpdate) => false,
            Some(UpdateType::VersionRollback) => true,
            _ => continue,
        };
        let at = update.created_at().and_then(|at| SystemTime::try_from(*at).ok());
        let done = update.status() == Some(&UpdateStatus::Successful);
        if let Some(at) = at.filter(|at| done && last.as_ref().is_none_or(|last| last.at < *at)) {
            last = Some(VersionChange { at, back });
        }
    }
    Ok(last)
}

fn outcome(update: &Update) -> UpdateOutcome {
    match update.status() {
        Some(UpdateStatus::Successful) => UpdateOutcome::Successful,
        Some(status @ (UpdateStatus::Failed | UpdateStatus::Cancelled)) => {
            let errors = update.errors();
            let code = errors.iter().find_map(|error| error.error_code());
            let messages: Vec<&str> = errors.iter().filter_map(|error| error.error_message()).collect();
            UpdateOutcome::Failed {
                code: code.map_or_else(|| status.as_str().to_owned(), |code| code.as_str().to_owned()),
                message: messages.join("; "),
                resources: errors.iter().flat_map(|error| error.resource_ids().to_vec()).collect(),
            }
        }
        _ => UpdateOutcome::InProgress,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_eks::types::{ErrorCode, ErrorDetail};

    #[test]
    fn the_outcome_holds_code_message_and_resources_of_every_error() {
        let of = |status: UpdateStatus, errors: Vec<ErrorDetail>| {
            outcome(&Update::builder().status(status).set_errors(Some(errors)).build())
        };
        let error = |code: ErrorCode, message: &str, node: &str| {
            ErrorDetail::builder().error_code(code).error_message(message).resource_ids(node).build()
        };
        let failed = |code: &str, message: &str, resources: &[&str]| UpdateOutcome::Failed {
            code: code.to_owned(),
            message: message.to_owned(),
            resources: resources.iter().map(|id| (*id).to_owned()).collect(),
        };
        let eviction = error(ErrorCode::PodEvictionFailure, "max retries", "ip-10-0-0-7");
        let unreachable = error(ErrorCode::from("New"), "no answer", "ip-10-0-0-8");
        let cases = [
            (of(UpdateStatus::InProgress, vec![]), UpdateOutcome::InProgress),
            (of(UpdateStatus::from("Queued"), vec![]), UpdateOutcome::InProgress),
            (of(UpdateStatus::Successful, vec![]), UpdateOutcome::Successful),
            (of(UpdateStatus::Cancelled, vec![]), failed("Cancelled", "", &[])),
            (
                of(UpdateStatus::Failed, vec![eviction, unreachable]),
                failed("PodEvictionFailure", "max retries; no answer", &["ip-10-0-0-7", "ip-10-0-0-8"]),
            ),
        ];
        for (got, want) in cases {
            assert_eq!(got, want);
        }
    }
}
