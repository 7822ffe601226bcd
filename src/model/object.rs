//! Kubernetes objects as JSON: their owner annotations and their addresses.

use super::{Address, tag};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The annotation that holds the nonce of the create.
const INTENT: &str = "provisioner/intent";

/// Annotations of the owner, and the tags whose values they hold.
const OWNER: &[(&str, &str)] = &[
    ("provisioner/stack", tag::STACK),
    ("provisioner/lineage", tag::LINEAGE),
    ("provisioner/resource", tag::RESOURCE),
    (INTENT, tag::INTENT),
];

/// Returns the object with the owner tags as annotations.
pub fn owned(mut object: Value, tags: &BTreeMap<String, String>) -> Value {
    let metadata = object.as_object_mut().map(|map| map.entry("metadata").or_insert_with(|| json!({})));
    if let Some(Value::Object(metadata)) = metadata {
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        if let Some(map) = annotations.as_object_mut() {
            let marks =
                OWNER.iter().filter_map(|(name, tag)| Some(((*name).to_owned(), json!(tags.get(*tag)?))));
            map.extend(marks);
        }
    }
    object
}

/// Returns the owner tags that an object's annotations hold.
pub fn marks(object: &Value) -> BTreeMap<String, String> {
    let annotations = object.pointer("/metadata/annotations");
    let mark = |name: &str| annotations.and_then(|it| it.get(name)?.as_str()).map(str::to_owned);
    OWNER.iter().filter_map(|(name, tag)| Some(((*tag).to_owned(), mark(name)?))).collect()
}

/// Writes the nonce of the create that an object comes from into it.
pub fn with_nonce(mut object: Value, nonce: &str) -> Value {
    if let Some(Value::Object(annotations)) = object.pointer_mut("/metadata/annotations") {
        annotations.insert(INTENT.to_owned(), json!(nonce));
    }
    object
}

/// Returns the address of an object, `application/deployment/NAMESPACE/NAME`; none without a kind or name.
pub fn address(object: &Value) -> Option<Address> {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str);
    let (kind, name) = (text("/kind")?.to_ascii_lowercase(), text("/metadata/name")?);
    Some(Address::new(match text("/metadata/namespace") {
        Some(namespace) => format!("application/{kind}/{namespace}/{name}"),
        None => format!("application/{kind}/{name}"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_in_the_annotations_and_read_back_from_them() {
        let tags: BTreeMap<String, String> =
            [(tag::STACK, "s"), (tag::LINEAGE, "l"), (tag::RESOURCE, "a/b"), ("Name", "n")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into();
        let object = owned(json!({"metadata": {"name": "x", "annotations": {"a": "b"}}}), &tags);
        assert_eq!(object["metadata"]["annotations"]["provisioner/stack"], "s");
        assert_eq!(object["metadata"]["annotations"]["a"], "b");
        let back = marks(&object);
        assert_eq!((back.len(), back[tag::RESOURCE].as_str()), (3, "a/b"));
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "n", "namespace": "s"}});
        assert_eq!(
            address(&deployment).map(|it| it.to_string()).as_deref(),
            Some("application/deployment/s/n")
        );
    }
}
