//! The calls that empty a node.

use super::{client::KubeClient, errors::DISRUPTION_BUDGET};
use crate::model::{CallError, ErrorKind};
use http::Method;
use serde_json::{Value, json};

/// The namespace, name and uid that identify a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodRef {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Uid, which a pod that is created again does not share.
    pub uid: String,
}

impl std::fmt::Display for PodRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The answer to an eviction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvictionAnswer {
    /// The pod terminates.
    Accepted,
    /// The pod does not exist.
    Gone,
    /// A PodDisruptionBudget forbids it for now, in the API server's words.
    Forbidden(String),
}

impl KubeClient {
    /// Returns all nodes.
    pub async fn nodes(&self) -> Result<Vec<Value>, CallError> {
        self.items("list nodes", "/api/v1/nodes").await
    }

    /// Returns the pods of all namespaces.
    pub async fn all_pods(&self) -> Result<Vec<Value>, CallError> {
        self.items("list pods", "/api/v1/pods").await
    }

    /// Keeps new pods off a node.
    pub async fn cordon(&self, node: &str) -> Result<(), CallError> {
        let body = json!({"spec": {"unschedulable": true}}).to_string().into_bytes();
        let path = format!("/api/v1/nodes/{node}");
        let body = ("application/merge-patch+json", body);
        match self.call(&format!("cordon node {node}"), Method::PATCH, &path, body).await {
            Err(error) if error.class != ErrorKind::Gone => Err(error),
            _ => Ok(()),
        }
    }

    /// Asks for the eviction of a pod.
    /// Source: <https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/>
    pub async fn evict(&self, pod: &PodRef) -> Result<EvictionAnswer, CallError> {
        let PodRef { namespace, name, uid } = pod;
        let body = json!({
            "apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": {"namespace": namespace, "name": name},
            "deleteOptions": {"preconditions": {"uid": uid}},
        });
        let body = ("application/json", body.to_string().into_bytes());
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/eviction");
        match self.call(&format!("evict pod {pod}"), Method::POST, &path, body).await {
            Ok(_) => Ok(EvictionAnswer::Accepted),
            // With a conflict, the name belongs to another pod by now.
            Err(error) if error.class == ErrorKind::Gone || error.code == "Conflict" => {
                Ok(EvictionAnswer::Gone)
            }
            Err(error) if error.code == DISRUPTION_BUDGET || is_ambiguous_budget(&error) => {
                Ok(EvictionAnswer::Forbidden(error.message))
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether several PodDisruptionBudgets select the pod, which the API server answers with an internal error.
fn is_ambiguous_budget(error: &CallError) -> bool {
    error.message.contains("more than one PodDisruptionBudget")
}
