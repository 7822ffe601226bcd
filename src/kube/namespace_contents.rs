//! What a Namespace contains, and loses with its deletion.
//! Source: <https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/>

use super::client::KubeClient;
use crate::model::{CallError, ErrorKind};
use serde_json::Value;

/// The kinds of objects that people create, each with the path of its list.
const KINDS: [(&str, &str, &str); 11] = [
    ("PersistentVolumeClaim", "/api/v1", "persistentvolumeclaims"),
    ("StatefulSet", "/apis/apps/v1", "statefulsets"),
    ("Deployment", "/apis/apps/v1", "deployments"),
    ("DaemonSet", "/apis/apps/v1", "daemonsets"),
    ("CronJob", "/apis/batch/v1", "cronjobs"),
    ("Job", "/apis/batch/v1", "jobs"),
    ("Pod", "/api/v1", "pods"),
    ("Service", "/api/v1", "services"),
    ("Ingress", "/apis/networking.k8s.io/v1", "ingresses"),
    ("ConfigMap", "/api/v1", "configmaps"),
    ("Secret", "/api/v1", "secrets"),
];

impl KubeClient {
    /// Returns the kinds and the objects of a namespace, except those that belong to another object or that every namespace
    /// has. Kinds that the cluster does not know, or that the caller may not list, are left out.
    pub async fn contents(&self, namespace: &str) -> Result<Vec<(&'static str, Value)>, CallError> {
        let mut all = Vec::new();
        for (kind, group, plural) in KINDS {
            let path = format!("{group}/namespaces/{namespace}/{plural}");
            let found = match self.items(&format!("list {plural}"), &path).await {
                Err(error) if is_passed_over(&error) => continue,
                found => found?,
            };
            all.extend(found.into_iter().filter(|object| is_of_people(kind, object)).map(|it| (kind, it)));
        }
        Ok(all)
    }
}

/// Whether a kind is not known, or its objects may not be listed. A target other than Kubernetes does not serve all kinds.
fn is_passed_over(error: &CallError) -> bool {
    matches!(error.class, ErrorKind::Gone | ErrorKind::Denied) || error.code == "NotImplemented"
}

fn is_of_people(kind: &str, object: &Value) -> bool {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str);
    let owned = object
        .pointer("/metadata/ownerReferences")
        .and_then(Value::as_array)
        .is_some_and(|it| !it.is_empty());
    let comes_with_it = match kind {
        // https://kubernetes.io/docs/concepts/configuration/configmap/ and .../secret/#serviceaccount-token-secrets
        "ConfigMap" => text("/metadata/name") == Some("kube-root-ca.crt"),
        "Secret" => text("/type") == Some("kubernetes.io/service-account-token"),
        _ => false,
    };
    !owned && !comes_with_it && object.pointer("/metadata/deletionTimestamp").is_none_or(Value::is_null)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_comes_with_a_namespace_or_belongs_to_another_object_is_left_out() {
        assert!(is_of_people("ConfigMap", &json!({"metadata": {"name": "settings"}})));
        assert!(!is_of_people("ConfigMap", &json!({"metadata": {"name": "kube-root-ca.crt"}})));
        assert!(!is_of_people("Secret", &json!({"type": "kubernetes.io/service-account-token"})));
        assert!(!is_of_people("Pod", &json!({"metadata": {"ownerReferences": [{"name": "web-1"}]}})));
        assert!(!is_of_people("Job", &json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})));
    }
}
