//! What is in a cluster: node groups and Fargate profiles keep EKS from deleting it, and the rest is deleted with it.

use super::{Call, Clients, if_found};
use crate::model::CallError;
use aws_sdk_eks::types::PodIdentityAssociationSummary;

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

/// What EKS deletes together with a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterMembers {
    /// The names of its add-ons.
    pub addons: Vec<String>,
    /// The principals of its access entries.
    pub principals: Vec<String>,
    /// Its Pod Identity associations: the id, and `NAMESPACE/SERVICE_ACCOUNT`. Those of add-ons are left out.
    pub associations: Vec<(String, String)>,
}

/// Returns what EKS deletes together with a cluster, except for access entries of service-linked roles.
///
/// # Errors
/// Any but that the cluster does not exist.
pub async fn cluster_members(clients: &Clients, cluster: &str) -> Result<ClusterMembers, CallError> {
    let addons = clients.eks.list_addons().cluster_name(cluster).into_paginator().items().send();
    let entries = clients.eks.list_access_entries().cluster_name(cluster).into_paginator().items().send();
    let associations = clients.eks.list_pod_identity_associations().cluster_name(cluster);
    let associations = associations.into_paginator().items().send();
    let (addons, entries, associations) =
        tokio::join!(addons.try_collect(), entries.try_collect(), associations.try_collect());
    let mut principals: Vec<String> = if_found(entries.call())?.unwrap_or_default();
    principals.retain(|principal| !principal.contains(":role/aws-service-role/"));
    let associations: Vec<PodIdentityAssociationSummary> = if_found(associations.call())?.unwrap_or_default();
    let by_hand = associations.into_iter().filter(|association| association.owner_arn.is_none());
    let named = |association: PodIdentityAssociationSummary| {
        let (namespace, account) = (association.namespace?, association.service_account?);
        Some((association.association_id?, format!("{namespace}/{account}")))
    };
    Ok(ClusterMembers {
        addons: if_found(addons.call())?.unwrap_or_default(),
        principals,
        associations: by_hand.filter_map(named).collect(),
    })
}
