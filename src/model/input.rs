//! Values that another resource supplies.

use super::Address;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// An input that is known now, or is a field of another resource's live form.
///
/// Serialised, a reference is the object `{"ref": address, "field": name}` and a known value is itself, so one
/// walk over the serialised spec gives the dependencies, the substitution and the "(known after up)" text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum In<T> {
    /// The field `field` of the live form of `ref`.
    Ref {
        /// The resource that supplies the value.
        r#ref: Address,
        /// The name of a field of its live form.
        field: String,
    },
    /// The value itself.
    Known(T),
}

impl<T> In<T> {
    /// A reference to a field of another resource.
    pub fn of(address: &Address, field: &str) -> Self {
        In::Ref { r#ref: address.clone(), field: field.to_owned() }
    }

    /// The value, where it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            In::Known(value) => Some(value),
            In::Ref { .. } => None,
        }
    }
}

/// The two members of a serialised reference, if `value` is one.
fn parts(value: &Value) -> Option<(&str, &str)> {
    let map = value.as_object().filter(|map| map.len() == 2)?;
    Some((map.get("ref")?.as_str()?, map.get("field")?.as_str()?))
}

/// A text of which a part is another resource's to supply: `{"text": [part, ...]}`, each part a text or a reference.
pub fn joined(parts: Vec<Value>) -> Value {
    json!({ "text": parts })
}

/// The parts of a serialised text, if `value` is one with a reference in it.
fn pieces(value: &Value) -> Option<&[Value]> {
    let map = value.as_object().filter(|map| map.len() == 1)?;
    let list = map.get("text")?.as_array()?;
    list.iter().any(|part| parts(part).is_some()).then_some(list)
}

/// Whether a serialised value is a reference that nothing has resolved yet, or a text with one in it.
pub fn is_reference(value: &Value) -> bool {
    parts(value).is_some() || pieces(value).is_some()
}

/// Every resource that a serialised spec refers to.
pub fn references(spec: &Value) -> BTreeSet<Address> {
    let mut found = BTreeSet::new();
    collect(spec, &mut found);
    found
}

fn collect(value: &Value, found: &mut BTreeSet<Address>) {
    if let Some((address, _)) = parts(value) {
        found.insert(Address::from(address));
        return;
    }
    match value {
        Value::Object(map) => map.values().for_each(|value| collect(value, found)),
        Value::Array(list) => list.iter().for_each(|value| collect(value, found)),
        _ => {}
    }
}

/// Replaces each reference by what `lookup` knows of it; one that it does not know stays a reference.
pub fn resolve(value: &Value, lookup: &dyn Fn(&str, &str) -> Option<Value>) -> Value {
    if let Some((address, field)) = parts(value) {
        return lookup(address, field).unwrap_or_else(|| value.clone());
    }
    if let Some(list) = pieces(value) {
        let list: Vec<Value> = list.iter().map(|part| resolve(part, lookup)).collect();
        let texts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
        return texts.map_or_else(|| joined(list.clone()), |texts| Value::String(texts.concat()));
    }
    match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), resolve(value, lookup))).collect(),
        Value::Array(list) => list.iter().map(|value| resolve(value, lookup)).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_found_at_any_depth_and_resolved_where_known() {
        let spec = json!({
            "vpc": In::<String>::of(&"network/vpc".into(), "id"),
            "groups": [In::<String>::of(&"network/group".into(), "id"), "sg-1"],
            "policy": {"ref": "x", "field": "y", "third": 1},
        });
        let names: Vec<_> = references(&spec).into_iter().map(|a| a.to_string()).collect();
        assert_eq!(names, ["network/group", "network/vpc"]);
        let resolved = resolve(&spec, &|address, field| {
            (address == "network/vpc" && field == "id").then(|| json!("vpc-1"))
        });
        assert_eq!(resolved.get("vpc"), Some(&json!("vpc-1")));
        assert_eq!(references(&resolved).len(), 1);
    }

    #[test]
    fn a_text_with_a_reference_in_it_is_a_text_once_that_is_known() {
        let vpc = json!(In::<String>::of(&"network/vpc".into(), "id"));
        let spec = json!({"args": [joined(vec![json!("--vpc="), vpc])], "map": {"text": ["a"]}});
        assert_eq!(references(&spec).len(), 1);
        assert!(is_reference(&spec["args"][0]) && !is_reference(&spec["map"]));
        assert_eq!(resolve(&spec, &|_, _| None), spec);
        let resolved = resolve(&spec, &|_, _| Some(json!("vpc-1")));
        assert_eq!(resolved, json!({"args": ["--vpc=vpc-1"], "map": {"text": ["a"]}}));
    }
}
