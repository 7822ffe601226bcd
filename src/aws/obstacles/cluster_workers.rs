//! Node groups and Fargate profiles of others in a cluster: EKS deletes no cluster with any of them.
//! Source: <https://docs.aws.amazon.com/eks/latest/APIReference/API_DeleteCluster.html>

use super::{
    super::{Clients, workers},
    holdings::Holdings,
    obstacle::Obstacle,
};
use crate::model::CallError;

/// Returns those that the stack does not record.
pub(super) async fn find(
    clients: &Clients,
    cluster: &str,
    holdings: &Holdings,
) -> Result<Vec<Obstacle>, CallError> {
    let (groups, profiles) = workers(clients, cluster).await?;
    let obstacle = |kind: &'static str, name: String, delete: &str, option: &str| Obstacle {
        kind,
        detail: format!("in cluster {cluster}"),
        ends: holdings.has(&format!("worker/{name}")),
        blocks: [format!("cluster/{cluster}")].into(),
        hint: format!("delete it: `aws eks {delete} --cluster-name {cluster} --{option} {name}`"),
        id: name,
        name: None,
    };
    let group = |name| obstacle("node group", name, "delete-nodegroup", "nodegroup-name");
    let profile = |name| obstacle("Fargate profile", name, "delete-fargate-profile", "fargate-profile-name");
    Ok(groups.into_iter().map(group).chain(profiles.into_iter().map(profile)).collect())
}
