//! The differences between a wanted and a live resource, field by field.

use super::is_reference;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Difference in one field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Name of the field in the spec, dotted for a nested field (`tags.Name`).
    pub path: String,
    /// Live value; `null` if the field is not set.
    pub old: Value,
    /// Wanted value; a reference if it is only known after `up`.
    pub new: Value,
    /// Whether AWS cannot change the field, so that the resource is replaced.
    pub forces_replace: bool,
}

/// Differences of a resource, in the order in which its kind compares the fields. Empty if none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Changes(pub Vec<Change>);

impl Changes {
    /// Compares a field that AWS cannot change: if it differs, the resource is replaced. An answer of AWS that leaves the
    /// field out does not tell its value, and nothing is replaced for a value that is not known.
    pub fn fixed<W: Serialize, L: Serialize>(self, path: &str, want: &W, live: &L) -> Self {
        let live = serde_json::to_value(live).unwrap_or_default();
        match &live {
            Value::Null => self,
            Value::String(text) if text.is_empty() => self,
            _ => self.field(path, want, &live, true),
        }
    }

    /// Compares a field that AWS cannot change and that a resource can be without: AWS leaves it out then.
    pub fn fixed_optional<W: Serialize, L: Serialize>(self, path: &str, want: &W, live: &Option<L>) -> Self {
        self.field(path, want, live, true)
    }

    /// Compares a field that can be updated in place.
    pub fn mutable<W: Serialize, L: Serialize>(self, path: &str, want: &W, live: &L) -> Self {
        self.field(path, want, live, false)
    }

    fn field<W: Serialize, L: Serialize>(mut self, path: &str, want: &W, live: &L, fixed: bool) -> Self {
        // A value that cannot be serialised counts as absent, on both sides alike: both derive `Serialize`.
        let (new, old) =
            (serde_json::to_value(want).unwrap_or_default(), serde_json::to_value(live).unwrap_or_default());
        match (&old, &new) {
            _ if new == old => {}
            // Flat maps, such as tags, are compared key by key.
            (Value::Object(live), Value::Object(wanted))
                if is_flat(live) && is_flat(wanted) && !is_reference(&new) =>
            {
                let keys: BTreeSet<&String> = live.keys().chain(wanted.keys()).collect();
                for key in keys.into_iter().filter(|key| live.get(*key) != wanted.get(*key)) {
                    let of = |map: &Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                    let (old, new) = (of(live), of(wanted));
                    self.0.push(Change { path: format!("{path}.{key}"), old, new, forces_replace: fixed });
                }
            }
            _ => self.0.push(Change { path: path.to_owned(), old, new, forces_replace: fixed }),
        }
        self
    }

    /// Returns whether no field differs.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether a field differs that AWS cannot change.
    pub fn force_replace(&self) -> bool {
        self.0.iter().any(|change| change.forces_replace)
    }
}

/// Returns whether a map holds neither maps nor lists.
fn is_flat(map: &Map<String, Value>) -> bool {
    map.values().all(|value| !value.is_object() && !value.is_array())
}

/// Returns a list sorted and without duplicates, to compare lists whose order AWS does not keep.
pub fn sorted_set<T: Ord + Clone>(list: &[T]) -> Vec<T> {
    let mut sorted = list.to_vec();
    sorted.sort();
    sorted.dedup();
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_replaced_for_a_value_that_an_answer_leaves_out() {
        let compared = |live: Option<&str>| Changes::default().fixed("vpc", &"vpc-1", &live);
        assert!(compared(None).is_empty());
        assert!(compared(Some("")).is_empty());
        assert!(compared(Some("vpc-1")).is_empty());
        assert!(compared(Some("vpc-2")).force_replace());
    }

    #[test]
    fn what_a_resource_can_be_without_is_compared_also_when_it_is_left_out() {
        let compared = |live: Option<&str>| Changes::default().fixed_optional("key", &"arn:1", &live);
        assert!(compared(None).force_replace());
        assert!(compared(Some("arn:1")).is_empty());
    }
}
