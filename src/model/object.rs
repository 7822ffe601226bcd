//! Kubernetes objects as values: whose they are, and where they are in the graph.

use super::{Address, tag};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The annotations that say whose an object is, and the tags that they stand for.
const OWNER: &[(&str, &str)] = &[
    ("provisioner/stack", tag::STACK),
    ("provisioner/lineage", tag::LINEAGE),
    ("provisioner/resource", tag::RESOURCE),
];

/// Writes the owner's annotations into an object.
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

/// The owner's tags that an object's annotations stand for.
pub fn marks(object: &Value) -> BTreeMap<String, String> {
    let annotations = object.pointer("/metadata/annotations");
    let mark = |name: &str| annotations.and_then(|it| it.get(name)?.as_str()).map(str::to_owned);
    OWNER.iter().filter_map(|(name, tag)| Some(((*tag).to_owned(), mark(name)?))).collect()
}

/// Where an object of a manifest is in the graph: `application/deployment/NAMESPACE/NAME`. None for what is no object.
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
