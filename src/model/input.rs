//! References to values that another resource supplies.

use super::Address;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Field of a spec: a known value, or a reference to a field of another resource's live form.
///
/// A reference serialises to `{"ref": address, "field": name}`, a known value to itself. One walk over the
/// serialised spec thus finds the dependencies, the fields to resolve and those that are known after `up`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum In<T> {
    /// Reference to a field that is resolved once the other resource exists.
    Ref {
        /// Address of the resource that supplies the value.
        r#ref: Address,
        /// Name of a field of its serialised live form, such as `arn`.
        field: String,
    },
    /// Known value.
    Known(T),
}

/// Field of a kind's live form that other resources refer to. It stands beside the live form, under the name that the field
/// has in the serialised form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field(&'static str);

impl Field {
    /// Returns the field with this name.
    pub const fn new(name: &'static str) -> Self {
        Field(name)
    }

    /// Returns the name in the serialised form.
    pub const fn name(self) -> &'static str {
        self.0
    }

    /// Returns a reference to the field of the resource at `address`.
    pub fn of(self, address: &Address) -> In<String> {
        In::Ref { r#ref: address.clone(), field: self.0.to_owned() }
    }
}

impl<T> In<T> {
    /// Returns a reference to a field of a kind that only a test has.
    #[cfg(test)]
    pub fn of(address: &Address, field: &str) -> Self {
        In::Ref { r#ref: address.clone(), field: field.to_owned() }
    }

    /// Returns the value, if it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            In::Known(value) => Some(value),
            In::Ref { .. } => None,
        }
    }
}

/// Returns address and field of a serialised reference.
fn reference_parts(value: &Value) -> Option<(&str, &str)> {
    let map = value.as_object().filter(|map| map.len() == 2)?;
    Some((map.get("ref")?.as_str()?, map.get("field")?.as_str()?))
}

/// Returns a text that contains references: `{"text": [part, ...]}`, each part a text or a reference.
pub fn joined(parts: Vec<Value>) -> Value {
    json!({ "text": parts })
}

/// Returns the parts of a serialised text that contains a reference.
fn text_parts(value: &Value) -> Option<&[Value]> {
    let map = value.as_object().filter(|map| map.len() == 1)?;
    let list = map.get("text")?.as_array()?;
    list.iter().any(|part| reference_parts(part).is_some()).then_some(list)
}

/// Returns whether a serialised value is an unresolved reference, or a text that contains one.
pub fn is_reference(value: &Value) -> bool {
    reference_parts(value).is_some() || text_parts(value).is_some()
}

/// Returns the addresses of all resources that a serialised spec refers to.
pub fn references(spec: &Value) -> BTreeSet<Address> {
    let mut found = BTreeSet::new();
    collect(spec, &mut found);
    found
}

fn collect(value: &Value, found: &mut BTreeSet<Address>) {
    if let Some((address, _)) = reference_parts(value) {
        found.insert(Address::from(address));
        return;
    }
    match value {
        Value::Object(map) => map.values().for_each(|value| collect(value, found)),
        Value::Array(list) => list.iter().for_each(|value| collect(value, found)),
        _ => {}
    }
}

/// Replaces each reference by the value that `lookup` returns for it; without one it stays a reference.
pub fn resolve(value: &Value, lookup: &dyn Fn(&str, &str) -> Option<Value>) -> Value {
    if let Some((address, field)) = reference_parts(value) {
        return lookup(address, field).unwrap_or_else(|| value.clone());
    }
    if let Some(list) = text_parts(value) {
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
            "vpc": Field::new("id").of(&"network/vpc".into()),
            "groups": [Field::new("id").of(&"network/group".into()), "sg-1"],
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
        let vpc = json!(Field::new("id").of(&"network/vpc".into()));
        let spec = json!({"args": [joined(vec![json!("--vpc="), vpc])], "map": {"text": ["a"]}});
        assert_eq!(references(&spec).len(), 1);
        assert!(is_reference(&spec["args"][0]) && !is_reference(&spec["map"]));
        assert_eq!(resolve(&spec, &|_, _| None), spec);
        let resolved = resolve(&spec, &|_, _| Some(json!("vpc-1")));
        assert_eq!(resolved, json!({"args": ["--vpc=vpc-1"], "map": {"text": ["a"]}}));
    }
}
