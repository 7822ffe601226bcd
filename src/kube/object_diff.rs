//! Lists what an apply would change, field by field. Pure.

use crate::model::Change;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Metadata that only the server writes.
const SERVER_FIELDS: &[&str] =
    &["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp"];

/// Returns the fields in which `would`, the result of a dry run, differs from `live`.
pub fn changes(live: &Value, would: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    walk("", live, would, &mut found);
    found
}

fn walk(path: &str, old: &Value, new: &Value, found: &mut Vec<Change>) {
    if old == new {
        return;
    }
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys.into_iter().filter(|key| !is_server_field(path, key)) {
                walk(&joined(path, key), of(a, key), of(b, key), found);
            }
        }
        (Value::Array(a), Value::Array(b)) => lists(path, a, b, found),
        _ => found.push(Change {
            path: path.to_owned(),
            old: old.clone(),
            new: new.clone(),
            forces_replace: false,
        }),
    }
}

/// Compares lists: by name if all items have one, otherwise by index.
fn lists(path: &str, old: &[Value], new: &[Value], found: &mut Vec<Change>) {
    let name = |item: &Value| item.get("name").and_then(Value::as_str).map(str::to_owned);
    let names = |items: &[Value]| items.iter().map(name).collect::<Option<Vec<String>>>();
    match (names(old), names(new)) {
        (Some(before), Some(after)) if !before.is_empty() || !after.is_empty() => {
            let all: BTreeSet<&String> = before.iter().chain(&after).collect();
            let get = |items: &[Value], wanted: &String| {
                items.iter().find(|item| name(item).as_ref() == Some(wanted)).cloned().unwrap_or_default()
            };
            for item in all {
                walk(&format!("{path}[{item}]"), &get(old, item), &get(new, item), found);
            }
        }
        _ if old.len() == new.len() => {
            for (index, (a, b)) in old.iter().zip(new).enumerate() {
                walk(&format!("{path}[{index}]"), a, b, found);
            }
        }
        _ => found.push(Change {
            path: path.to_owned(),
            old: Value::Array(old.to_vec()),
            new: Value::Array(new.to_vec()),
            forces_replace: false,
        }),
    }
}

fn of<'a>(map: &'a Map<String, Value>, key: &str) -> &'a Value {
    map.get(key).unwrap_or(&Value::Null)
}

fn is_server_field(path: &str, key: &str) -> bool {
    (path.is_empty() && key == "status") || (path == "metadata" && SERVER_FIELDS.contains(&key))
}

/// Returns the path of the field `key` below `path`, such as `metadata.labels[app.kubernetes.io/name]`.
pub fn joined(path: &str, key: &str) -> String {
    match (path.is_empty(), key.contains(['.', '/'])) {
        (true, _) => key.to_owned(),
        (false, true) => format!("{path}[{key}]"),
        (false, false) => format!("{path}.{key}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn changes_have_readable_paths() {
        let live = json!({
            "metadata": {"name": "a", "generation": 1, "labels": {"app.kubernetes.io/name": "x"}},
            "spec": {"replicas": 3, "list": [1, 2], "containers": [{"name": "app", "image": "i:1"}, {"name": "old"}]},
            "status": {"x": 1},
        });
        let would = json!({
            "metadata": {"name": "a", "generation": 2, "labels": {"app.kubernetes.io/name": "y"}},
            "spec": {"replicas": 3, "list": [1], "containers": [{"name": "app", "image": "i:2"}], "new": true},
            "status": {"x": 2},
        });
        let found = changes(&live, &would);
        let paths: Vec<&str> = found.iter().map(|change| change.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "metadata.labels[app.kubernetes.io/name]",
                "spec.containers[app].image",
                "spec.containers[old]",
                "spec.list",
                "spec.new"
            ]
        );
        assert_eq!((&found[1].old, &found[1].new), (&json!("i:1"), &json!("i:2")));
        assert_eq!(found[4].old, Value::Null);
        assert!(changes(&live, &live).is_empty());
    }
}
