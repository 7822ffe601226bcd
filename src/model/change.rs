//! What differs between a wanted and a live resource, field by field.

use super::is_reference;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// One field that differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The field's name in the spec, dotted where it is inside another.
    pub path: String,
    /// What is there; `null` where nothing is.
    pub old: Value,
    /// What is wanted; a reference where it is known only after `up`.
    pub new: Value,
    /// Whether AWS cannot change this field, so that the resource is made anew.
    pub forces_replace: bool,
}

/// The fields that differ, in the order in which a kind names them. Empty: nothing to do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Changes(pub Vec<Change>);

impl Changes {
    /// A field that AWS cannot change: a difference means that the resource is replaced.
    pub fn fixed<W: Serialize, L: Serialize>(self, path: &str, want: &W, live: &L) -> Self {
        self.field(path, want, live, true)
    }

    /// A field that is changed in place.
    pub fn mutable<W: Serialize, L: Serialize>(self, path: &str, want: &W, live: &L) -> Self {
        self.field(path, want, live, false)
    }

    fn field<W: Serialize, L: Serialize>(mut self, path: &str, want: &W, live: &L, fixed: bool) -> Self {
        // What cannot be serialised counts as absent: both sides come from the same derive, so they agree.
        let (new, old) =
            (serde_json::to_value(want).unwrap_or_default(), serde_json::to_value(live).unwrap_or_default());
        match (&old, &new) {
            _ if new == old => {}
            // A map of plain values, such as tags, differs key by key.
            (Value::Object(there), Value::Object(wanted))
                if plain(there) && plain(wanted) && !is_reference(&new) =>
            {
                let keys: BTreeSet<&String> = there.keys().chain(wanted.keys()).collect();
                for key in keys.into_iter().filter(|key| there.get(*key) != wanted.get(*key)) {
                    let of = |map: &Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                    let (old, new) = (of(there), of(wanted));
                    self.0.push(Change { path: format!("{path}.{key}"), old, new, forces_replace: fixed });
                }
            }
            _ => self.0.push(Change { path: path.to_owned(), old, new, forces_replace: fixed }),
        }
        self
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a field differs that AWS cannot change.
    pub fn force_replace(&self) -> bool {
        self.0.iter().any(|change| change.forces_replace)
    }
}

fn plain(map: &Map<String, Value>) -> bool {
    map.values().all(|value| !value.is_object() && !value.is_array())
}

/// A list whose order AWS does not keep, brought into one order so that it can be compared.
pub fn same_set<T: Ord + Clone>(list: &[T]) -> Vec<T> {
    let mut sorted = list.to_vec();
    sorted.sort();
    sorted.dedup();
    sorted
}
