//! Comparing a manifest of which a part is supplied only later, or where the server cannot be asked. Pure.

use super::compare::joined;
use crate::model::{Change, is_reference, references};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A field that another resource supplies later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Later {
    /// Where it is in the manifest, as a JSON pointer.
    pub pointer: String,
    /// The same for people.
    pub path: String,
    /// What is there.
    pub old: Value,
}

impl Later {
    /// What `object`, of which more is known by now, changes there, if anything.
    pub fn change(&self, object: &Value) -> Option<Change> {
        let new = object.pointer(&self.pointer)?.clone();
        let (path, old) = (self.path.clone(), self.old.clone());
        (new != old).then_some(Change { path, old, new, forces_replace: false })
    }
}

/// `want` with what is there in the place of what is known only later, and each such place.
pub fn filled(want: &Value, live: &Value) -> (Value, Vec<Later>) {
    let mut later = Vec::new();
    let known = fill(("", ""), want, live, &mut later);
    (known, later)
}

fn fill((pointer, path): (&str, &str), want: &Value, live: &Value, later: &mut Vec<Later>) -> Value {
    if is_reference(want) {
        later.push(Later { pointer: pointer.to_owned(), path: path.to_owned(), old: live.clone() });
        // Where nothing is there yet, any text will do: the server sees the real one later.
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
                (key.clone(), fill((&pointer, &joined(path, key)), value, there, later))
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
                fill((&format!("{pointer}/{index}"), &format!("{path}[{shown}]")), value, there, later)
            };
            list.iter().enumerate().map(each).collect()
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
        let (known, later) = filled(&want, &live);
        assert_eq!(known["spec"]["containers"][0]["image"], "r@sha256:1");
        assert_eq!(known["spec"]["x"], 1);
        assert_eq!((later.len(), later[0].path.as_str()), (1, "spec.containers[app].image"));
        assert_eq!(later[0].old, "r@sha256:1");
        let with = |image: &Value| {
            let mut object = want.clone();
            object["spec"]["containers"][0]["image"] = image.clone();
            later[0].change(&object)
        };
        assert_eq!(with(&json!("r@sha256:1")), None, "it is known by now, and the same");
        assert_eq!(with(&json!("r@sha256:2")).unwrap().new, "r@sha256:2");
        assert_eq!(with(&image).unwrap().new, image);
    }
}
