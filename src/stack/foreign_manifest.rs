//! What manifests that other tools wrote have, such as the output of `helm template` and `kustomize build`: lists of objects,
//! generated names, hooks, and objects without a namespace. Pure.

use super::tree::{Raw, YamlNode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The comment at the head of a file whose texts have no variables.
const LITERAL: &str = "provisioner: literal";

/// Returns whether a comment before the first line of YAML says that `${` in the file is no variable.
pub fn is_literal(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let head = text.lines().map(str::trim).take_while(|line| line.is_empty() || line.starts_with('#'));
    head.into_iter().any(|line| line.trim_start_matches('#').trim() == LITERAL)
}

fn entry<'a>(node: &'a YamlNode, key: &str) -> Option<&'a YamlNode> {
    let Raw::Map(entries) = &node.raw else { return None };
    entries.iter().find(|(name, _)| name.name == key).map(|(_, value)| value)
}

/// Returns the documents, with the items of each list of objects in its place.
pub fn items(documents: Vec<YamlNode>) -> Vec<YamlNode> {
    let of = |document: YamlNode| {
        let kind = entry(&document, "kind").map(|kind| &kind.raw);
        let is_list = matches!(kind, Some(Raw::Text(kind)) if kind.ends_with("List"));
        match entry(&document, "items").map(|items| &items.raw) {
            Some(Raw::List(items)) if is_list => items.clone(),
            _ => vec![document],
        }
    };
    documents.into_iter().flat_map(of).collect()
}

/// How many hexadecimal digits a generated name ends in.
const NAME_DIGITS: usize = 8;

/// Gives an object with `metadata.generateName` a name that its content determines: another content is another object, and
/// the same content the same one.
pub fn name_generated(object: &mut Value) {
    let digest = Sha256::digest(object.to_string());
    let Some(Value::Object(metadata)) = object.get_mut("metadata") else { return };
    let start = metadata.get("generateName").and_then(Value::as_str).map(str::to_owned);
    let (None, Some(start)) = (metadata.get("name"), start) else { return };
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    metadata.remove("generateName");
    let name = format!("{start}{}", digits.get(..NAME_DIGITS).unwrap_or(&digits));
    metadata.insert("name".to_owned(), json!(name));
}

/// When a hook of Helm runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Before the other objects.
    Before,
    /// After the other objects.
    After,
    /// At other times than an installation or upgrade, such as `test`.
    Never(String),
}

/// Returns when an object is applied that is a hook of Helm; `None` if it is none.
/// Source: <https://helm.sh/docs/topics/charts_hooks/#the-available-hooks>
pub fn hook(object: &Value) -> Option<Hook> {
    let text = object.pointer("/metadata/annotations/helm.sh~1hook")?.as_str()?;
    let all: Vec<&str> = text.split(',').map(str::trim).collect();
    let has = |names: &[&str]| all.iter().any(|name| names.contains(name));
    Some(if has(&["pre-install", "pre-upgrade", "crd-install"]) {
        Hook::Before
    } else if has(&["post-install", "post-upgrade"]) {
        Hook::After
    } else {
        Hook::Never(text.to_owned())
    })
}

/// Kinds of Kubernetes that belong to no namespace.
const CLUSTER_KINDS: &[&str] = &[
    "APIService",
    "CSIDriver",
    "CSINode",
    "CertificateSigningRequest",
    "ClusterRole",
    "ClusterRoleBinding",
    "ClusterTrustBundle",
    "ComponentStatus",
    "CustomResourceDefinition",
    "DeviceClass",
    "FlowSchema",
    "IngressClass",
    "IPAddress",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "PriorityLevelConfiguration",
    "ResourceSlice",
    "RuntimeClass",
    "ServiceCIDR",
    "StorageClass",
    "StorageVersion",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
    "VolumeAttachment",
    "VolumeAttributesClass",
];

/// Sets the namespace of an object of a kind of Kubernetes that has none, as `kubectl apply --namespace` does. Of custom
/// resources only the cluster knows whether they have one.
pub fn set_namespace(object: &mut Value, namespace: &str) {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let group = text("/apiVersion").split_once('/').map_or("", |(group, _)| group);
    let known = !group.contains('.') || group.ends_with(".k8s.io");
    if !known || CLUSTER_KINDS.contains(&text("/kind")) || !text("/metadata/namespace").is_empty() {
        return;
    }
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.insert("namespace".to_owned(), json!(namespace));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_are_applied_at_their_time() {
        let of = |text: &str| hook(&json!({"metadata": {"annotations": {"helm.sh/hook": text}}}));
        assert_eq!(of("pre-install,pre-upgrade"), Some(Hook::Before));
        assert_eq!(of("post-install, post-upgrade"), Some(Hook::After));
        assert_eq!(of("test"), Some(Hook::Never("test".to_owned())));
        assert_eq!(of("pre-delete"), Some(Hook::Never("pre-delete".to_owned())));
        assert_eq!(hook(&json!({"metadata": {}})), None);
    }

    #[test]
    fn only_objects_of_namespaces_get_one() {
        let namespace = |api_version: &str, kind: &str, own: Value| {
            let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": own});
            set_namespace(&mut object, "shop");
            object["metadata"]["namespace"].clone()
        };
        assert_eq!(namespace("v1", "ConfigMap", json!({})), "shop");
        assert_eq!(namespace("apps/v1", "Deployment", json!({"namespace": "own"})), "own");
        assert_eq!(namespace("rbac.authorization.k8s.io/v1", "Role", json!({})), "shop");
        assert!(namespace("rbac.authorization.k8s.io/v1", "ClusterRole", json!({})).is_null());
        assert!(namespace("v1", "Namespace", json!({})).is_null());
        assert!(namespace("acid.zalan.do/v1", "Database", json!({})).is_null());
    }

    #[test]
    fn the_comment_stands_before_everything_else() {
        assert!(is_literal(b"\n# a chart\n#provisioner: literal\na: 1\n"));
        assert!(
            !is_literal(b"a: 1\n# provisioner: literal\n") && !is_literal(b"---\n# provisioner: literal\n")
        );
    }
}
