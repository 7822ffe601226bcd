//! Where a cluster's API server is.

use super::{Call, Clients};
use crate::model::{Class, Fault};

/// Where it is, and how it proves that it is the one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The cluster's ARN.
    pub arn: String,
    /// The API server's URL.
    pub endpoint: String,
    /// Its certificate authority, PEM in base64.
    pub ca: String,
}

/// Where the API server of the cluster `name` is. None where there is no such cluster, or it has no endpoint yet.
pub async fn reach(clients: &Clients, name: &str) -> Result<Option<Reach>, Fault> {
    let cluster = match clients.eks.describe_cluster().name(name).send().await.call("eks", "DescribeCluster")
    {
        Err(fault) if fault.class == Class::Gone => return Ok(None),
        answer => answer?.cluster,
    };
    Ok(cluster.and_then(|cluster| {
        Some(Reach {
            arn: cluster.arn?,
            endpoint: cluster.endpoint?,
            ca: cluster.certificate_authority.and_then(|authority| authority.data)?,
        })
    }))
}
