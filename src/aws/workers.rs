//! What keeps EKS from deleting a cluster.

use super::{Call, Clients, if_found};
use crate::model::CallError;

/// Returns the names of the node groups and of the Fargate profiles of a cluster.
///
/// # Errors
/// Any but that the cluster does not exist.
pub async fn workers(clients: &Clients, cluster: &str) -> Result<(Vec<String>, Vec<String>), CallError> {
    let groups = clients.eks.list_nodegroups().cluster_name(cluster).into_paginator().items().send();
    let profiles = clients.eks.list_fargate_profiles().cluster_name(cluster).into_paginator().items().send();
    let (groups, profiles) = tokio::join!(groups.try_collect(), profiles.try_collect());
    let found = |names| Ok::<Vec<String>, CallError>(if_found(names)?.unwrap_or_default());
    Ok((found(groups.call())?, found(profiles.call())?))
}
