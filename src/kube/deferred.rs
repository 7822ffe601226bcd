//! Compares a manifest with the live object if a part of it is not known yet or the server cannot be asked.
//! Pure.

use super::object_diff::joined;
use crate::model::{Change, is_reference, references};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A field whose value another resource supplies during the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeferredField {
    /// JSON pointer to the field in the manifest.
    pub pointer: String,
    /// Path of the field as a plan shows it.
    pub path: String,
    /// Live value, or null.
    pub old: Value,
}

impl DeferredField {
    /// Returns how `object`, of which more is known by now, changes the field, or `None` if it does not.
    pub fn change(&self, object: &Value) -> Option<Change> {
        let new = object.pointer(&self.pointer)?.clone();
        let (path, old) = (self.path.clone(), self.old.clone());
        (new != old).then_some(Change { path, old, new, forces_replace: false })
    }
}

/// Returns `want` with the live value of each field that is not known yet, and these fields.
pub fn fill_deferred(want: &Value, live: &Value) -> (Value, Vec<DeferredField>) {
    let mut deferred = Vec::new();
    let known = fill(("", ""), want, live, &mut deferred);
    (known, deferred)
}

fn fill(
    (pointer, path): (&str, &str),
    want: &Value,
    live: &Value,
    deferred: &mut Vec<DeferredField>,
) -> Value {
    if is_reference(want) {
        deferred.push(DeferredField {
            pointer: pointer.to_owned(),
            path: path.to_owned(),
            old: live.clone(),
        });
        // Any text will do if the field has no live value: the server gets the real one later.
        return if live.is_null() { json!("") } else { live.clone() };
    }
    if references(want).is_empty() {
        return want.clone();
    }
    match want {
        Value::Object(map) => {
            let each = |(key, value): (&String, &Value)| {
                let there = live.get(key).unwrap_or(&Value::Null);
                let pointer = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
                (key.clone(), fill((&pointer, &joined(path, key)), value, there, deferred))
            };
            map.iter().map(each).collect()
        }
        Value::Array(list) => {
            let name = |item: &Value| item.get("name").and_then(Value::as_str).map(str::to_owned);
            let each = |(index, value): (usize, &Value)| {
                let own = name(value);
                let same = |item: &&Value| own.is_some() && name(item) == own;
                let by_name = live.as_array().and_then(|items| items.iter().find(same));
                let there = by_name.or_else(|| live.get(index)).unwrap_or(&Value::Null);
                let shown = own.clone().unwrap_or_else(|| index.to_string());
                fill((&format!("{pointer}/{index}"), &format!("{path}[{shown}]")), value, there, deferred)
            };
            list.iter().enumerate().map(each).collect()
        }
        other => other.clone(),
    }
}

/// Collects the fields that `want` names and whose live value differs.
pub fn changed_fields(live: &Value, want: &Value, path: &str, found: &mut Vec<Change>) {
    match want {
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            let at = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            changed_fields(live.get(key).unwrap_or(&Value::Null), value, &at, found);
        }),
        _ if want != live => found.push(Change {
            path: path.to_owned(),
            old: live.clone(),
            new: want.clone(),
            forces_replace: false,
        }),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_are_filled_and_compared_later() {
        let image = json!({"ref": "application/image", "field": "uri"});
        let want = json!({"spec": {"containers": [{"name": "app", "image": image, "args": ["a"]}], "x": 1}});
        let live =
            json!({"spec": {"containers": [{"name": "side"}, {"name": "app", "image": "r@sha256:1"}]}});
        let (known, deferred) = fill_deferred(&want, &live);
        assert_eq!(known["spec"]["containers"][0]["image"], "r@sha256:1");
        assert_eq!(known["spec"]["x"], 1);
        assert_eq!((deferred.len(), deferred[0].path.as_str()), (1, "spec.containers[app].image"));
        assert_eq!(deferred[0].old, "r@sha256:1");
        let with = |image: &Value| {
            let mut object = want.clone();
            object["spec"]["containers"][0]["image"] = image.clone();
            deferred[0].change(&object)
        };
        assert_eq!(with(&json!("r@sha256:1")), None, "the value is known by now, and is the same");
        assert_eq!(with(&json!("r@sha256:2")).unwrap().new, "r@sha256:2");
        assert_eq!(with(&image).unwrap().new, image);
    }
}
