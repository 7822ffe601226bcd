//! The three-way comparison of one resource: what is asked for, what was recorded, what is there.

use crate::model::{Change, Changes, Entry, Origin, is_hidden_change, is_reference};
use serde_json::{Map, Value};

/// Reduces the live tags to those that this program manages: the wanted ones, and the ones it once set. Tags that
/// others put there (EKS, cost tools, the organisation) are not drift.
pub fn managed_tags(want: &Value, recorded: Option<&Value>, live: &Value) -> Value {
    let Some(tags) = live.get("tags").and_then(Value::as_object) else { return live.clone() };
    let known = |side: Option<&Value>, key: &str| {
        side.and_then(|side| side.get("tags"))
            .and_then(Value::as_object)
            .is_some_and(|tags| tags.contains_key(key))
    };
    let kept: Map<String, Value> = tags
        .iter()
        .filter(|(key, _)| known(Some(want), key) || known(recorded, key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let mut reduced = live.clone();
    if let Some(map) = reduced.as_object_mut() {
        map.insert("tags".to_owned(), Value::Object(kept));
    }
    reduced
}

/// Where a difference comes from: the file, when what it asks for is not what was recorded; else the account moved.
pub fn origin(changes: &Changes, want: &Value, entry: Option<&Entry>) -> Origin {
    let Some(entry) = entry else { return Origin::File };
    let drifted = changes.0.iter().all(|change| drift(change, want, entry));
    if drifted { Origin::Drift } else { Origin::File }
}

/// Whether one field differs though the file asks for what was recorded.
pub fn drift(change: &Change, want: &Value, entry: &Entry) -> bool {
    // What is known only after `up` differs because of another change of this plan.
    if is_reference(&change.new) {
        return false;
    }
    if is_hidden_change(change) {
        return false;
    }
    let field = change.path.split(['.', '[']).next().unwrap_or_default();
    match (want.get(field), entry.spec.get(field)) {
        (Some(want), Some(recorded)) => want == recorded,
        // A field that the kind derives from several: compare the whole specs.
        _ => *want == entry.spec,
    }
}

/// All fields of a spec as changes from nothing, for a create.
pub fn from_nothing(spec: &Value) -> Changes {
    let fields =
        spec.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()).map(|(path, value)| {
            Change { path: path.clone(), old: Value::Null, new: value.clone(), forces_replace: false }
        });
    Changes(fields.collect())
}
