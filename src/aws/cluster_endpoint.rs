//! The endpoint of a cluster's API server.

use super::{Call, Clients, required};
use crate::model::CallError;

/// The API server's URL and the certificate authority that it is verified with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterEndpoint {
    /// The cluster's ARN.
    pub arn: String,
    /// The API server's URL.
    pub endpoint: String,
    /// The certificate authority, PEM in base64.
    pub ca: String,
}

/// Returns the endpoint of the cluster `name`; `None` if the cluster does not exist or has no endpoint yet.
pub async fn cluster_endpoint(clients: &Clients, name: &str) -> Result<Option<ClusterEndpoint>, CallError> {
    let answer = clients.eks.describe_cluster().name(name).send().await;
    let found = answer.read_if_found(|answer| {
        let cluster = required(answer.cluster, "cluster")?;
        let arn = required(cluster.arn, "arn")?;
        let ca = cluster.certificate_authority.and_then(|authority| authority.data);
        Ok(cluster.endpoint.zip(ca).map(|(endpoint, ca)| ClusterEndpoint { arn, endpoint, ca }))
    });
    Ok(found?.flatten())
}
