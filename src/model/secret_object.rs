//! Kubernetes Secrets of the manifests: their values are kept in memory only, and a text stands for each wherever the object is
//! recorded or shown. Pure.

use super::{Address, Change};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// Stands for a value that is not shown.
const HIDDEN: &str = "(hidden)";

/// Stands for another value than the hidden one.
const HIDDEN_OTHER: &str = "(hidden, another value)";

/// The values of a Secret by key, in base64 as in `data`.
#[derive(Clone, PartialEq)]
pub struct SecretData(Map<String, Value>);

impl fmt::Debug for SecretData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The values of all Secrets of a stack's manifests by address, as the files hold them now. All copies share them.
#[derive(Clone, Debug, Default)]
pub struct ManifestSecrets(Arc<Mutex<BTreeMap<Address, SecretData>>>);

impl ManifestSecrets {
    /// Replaces the values.
    pub fn set(&self, values: BTreeMap<Address, SecretData>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = values;
    }

    /// Puts the values of an object back in place of the texts that stand for them. An object that is no Secret stays as it is.
    /// Returns whether all of the object is known.
    pub fn reveal(&self, address: &Address, object: &mut Value) -> bool {
        if !is_secret(object) || object.get("data").is_none() {
            return true;
        }
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((data, found)) = object.get_mut("data").zip(all.get(address)) else { return false };
        *data = Value::Object(found.0.clone());
        true
    }
}

/// Returns whether an object is a Secret.
pub fn is_secret(object: &Value) -> bool {
    let is = |field: &str, text: &str| object.get(field).is_some_and(|value| value == text);
    is("kind", "Secret") && is("apiVersion", "v1")
}

/// Replaces the values of a Secret with a text, and returns them; `None` for another object, and for a Secret without values.
pub fn hide(object: &mut Value) -> Option<SecretData> {
    if !is_secret(object) {
        return None;
    }
    let Value::Object(data) = object.get_mut("data")? else { return None };
    let hidden = data.keys().map(|key| (key.clone(), json!(HIDDEN))).collect();
    Some(SecretData(std::mem::replace(data, hidden)))
}

/// Returns the change of a field of a Secret without values.
pub fn hidden_change(change: Change) -> Change {
    if change.path != "data" && !change.path.starts_with("data.") && !change.path.starts_with("data[") {
        return change;
    }
    let (old, new) = (hidden(&change.old, HIDDEN), hidden(&change.new, HIDDEN_OTHER));
    Change { old, new, ..change }
}

/// Returns whether the file has another value for a key of a Secret: the record has no value to compare it with, and a field
/// that another manager set is no part of the changes.
pub fn is_hidden_change(change: &Change) -> bool {
    let is_other = |value: &Value| value == HIDDEN_OTHER;
    let has_other = change.new.as_object().is_some_and(|all| all.values().any(is_other));
    (is_other(&change.new) || has_other) && !change.old.is_null()
}

/// Returns a live value of a Secret as it may be shown and recorded.
pub fn hidden_live(value: &Value) -> Value {
    hidden(value, HIDDEN_OTHER)
}

fn hidden(value: &Value, text: &str) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), hidden(value, text))).collect(),
        _ => json!(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_hidden_and_put_back() {
        let secret =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "eA=="}});
        let (mut shown, address) = (secret.clone(), Address::from("application/secret/n/s"));
        let data = hide(&mut shown).unwrap();
        assert_eq!(format!("{data:?}"), "{\"a\"}");
        assert_eq!(shown["data"], json!({"a": "(hidden)"}));
        let secrets = ManifestSecrets::default();
        assert!(!secrets.reveal(&address, &mut shown.clone()), "nothing is known yet");
        secrets.set([(address.clone(), data)].into());
        assert!(secrets.reveal(&address, &mut shown));
        assert_eq!(shown, secret);
        assert!(!format!("{secrets:?}").contains("eA=="));

        let mut other = json!({"apiVersion": "example.com/v1", "kind": "Secret", "data": {"a": "eA=="}});
        assert!(hide(&mut other).is_none() && secrets.reveal(&address, &mut other));
        assert_eq!(other["data"]["a"], "eA==");
    }

    #[test]
    fn changes_of_values_are_shown_without_them() {
        let change = |path: &str, old: Value, new: Value| {
            let shown = hidden_change(Change { path: path.to_owned(), old, new, forces_replace: false });
            (shown.old, shown.new)
        };
        let shown = |old: Value, new: Value| {
            hidden_change(Change { path: "data.a".to_owned(), old, new, forces_replace: false })
        };
        assert!(is_hidden_change(&shown(json!("eA=="), json!("eQ=="))));
        // All of an immutable Secret.
        let all = Change {
            path: "data".to_owned(),
            old: json!({"a": "eA=="}),
            new: json!({"a": "eQ=="}),
            forces_replace: true,
        };
        assert!(is_hidden_change(&hidden_change(all)));
        assert!(!is_hidden_change(&shown(Value::Null, json!("eQ=="))), "another removed it");
        assert_eq!(
            change("data.a", json!("eA=="), json!("eQ==")),
            (json!("(hidden)"), json!("(hidden, another value)"))
        );
        assert_eq!(
            change("data", Value::Null, json!({"a": "eQ=="})),
            (Value::Null, json!({"a": "(hidden, another value)"}))
        );
        assert_eq!(change("type", json!("a"), json!("b")), (json!("a"), json!("b")));
    }
}
