//! Comparing a manifest of which a part is supplied only later, or where the server cannot be asked. Pure.

use crate::model::{Change, is_reference, references};
use serde_json::{Value, json};

/// `want` with what is there in the place of what is known only later; each such place is a change of its own.
pub fn filled(path: &str, want: &Value, live: &Value, later: &mut Vec<Change>) -> Value {
    if is_reference(want) {
        let old = live.clone();
        later.push(Change {
            path: path.to_owned(),
            old: old.clone(),
            new: want.clone(),
            forces_replace: false,
        });
        // Where nothing is there yet, any text will do: the server sees the real one later.
        return if old.is_null() { json!("") } else { old };
    }
    if references(want).is_empty() {
        return want.clone();
    }
    match want {
        Value::Object(map) => {
            let fill = |(key, value): (&String, &Value)| {
                let there = live.get(key).cloned().unwrap_or_default();
                let at = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                (key.clone(), filled(&at, value, &there, later))
            };
            map.iter().map(fill).collect()
        }
        Value::Array(list) => {
            let fill = |(index, value): (usize, &Value)| {
                let name = value.get("name").and_then(Value::as_str);
                let by_name = name.and_then(|name| {
                    live.as_array()?
                        .iter()
                        .find(|item| item.get("name").and_then(Value::as_str) == Some(name))
                });
                let there = by_name.or_else(|| live.get(index)).cloned().unwrap_or_default();
                let at = name.map_or_else(|| format!("{path}[{index}]"), |name| format!("{path}[{name}]"));
                filled(&at, value, &there, later)
            };
            list.iter().enumerate().map(fill).collect()
        }
        other => other.clone(),
    }
}

/// Fields that `want` names and that are otherwise there.
pub fn named(live: &Value, want: &Value, path: &str, found: &mut Vec<Change>) {
    match want {
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            let at = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            named(live.get(key).unwrap_or(&Value::Null), value, &at, found);
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
    fn what_is_known_only_later_is_a_change_and_the_rest_is_compared() {
        let image = json!({"ref": "application/image", "field": "uri"});
        let want = json!({"spec": {"containers": [{"name": "app", "image": image, "args": ["a"]}], "x": 1}});
        let live =
            json!({"spec": {"containers": [{"name": "side"}, {"name": "app", "image": "r@sha256:1"}]}});
        let mut later = Vec::new();
        let known = filled("", &want, &live, &mut later);
        assert_eq!(known["spec"]["containers"][0]["image"], "r@sha256:1");
        assert_eq!(known["spec"]["x"], 1);
        assert_eq!((later.len(), later[0].path.as_str()), (1, "spec.containers[app].image"));
        assert_eq!(later[0].old, "r@sha256:1");
    }
}
