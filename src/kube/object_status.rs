//! Reads the status of an object.

use serde_json::Value;

/// Returns status, reason and message of a condition.
pub fn condition<'a>(object: &'a Value, kind: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let list = object.pointer("/status/conditions").and_then(Value::as_array)?;
    let found = list.iter().find(|condition| text(condition, "/type") == kind)?;
    Some((text(found, "/status"), text(found, "/reason"), text(found, "/message")))
}

/// Returns a text, or an empty one.
pub fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// Returns a number.
pub fn number(value: &Value, path: &str) -> Option<i64> {
    value.pointer(path).and_then(Value::as_i64)
}

/// Returns a number, or zero.
pub fn count(value: &Value, path: &str) -> i64 {
    number(value, path).unwrap_or_default()
}
