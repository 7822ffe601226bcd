//! IAM policy documents, compared by meaning. AWS returns a document with single-element lists unwrapped or in
//! another order, so a comparison of the texts would always show a difference.

use serde_json::{Map, Value};

/// Parses a policy as AWS returns it: JSON text, percent-encoded (RFC 3986) by IAM. Text that is not valid JSON
/// is kept as a string, so that it shows as a difference.
pub fn parse(text: &str) -> Value {
    let decoded = if text.trim_start().starts_with('{') { text.to_owned() } else { percent_decode(text) };
    serde_json::from_str(&decoded).map_or_else(|_| Value::String(text.to_owned()), |value| normal(&value))
}

/// Returns the normal form of a policy: lists of one element unwrapped, all other lists sorted and without
/// duplicates.
pub fn normal(policy: &Value) -> Value {
    match policy {
        Value::Array(list) => {
            let mut list: Vec<Value> = list.iter().map(normal).collect();
            list.sort_by_key(Value::to_string);
            list.dedup();
            match list.len() {
                1 => list.pop().unwrap_or_default(),
                _ => Value::Array(list),
            }
        }
        Value::Object(map) => {
            Value::Object(map.iter().map(|(key, value)| (key.clone(), normal(value))).collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = (*first == b'%').then(|| tail.get(..2)).flatten();
        let code = hex
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        if let Some(code) = code {
            bytes.push(code);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn documents_with_the_same_meaning_are_equal() {
        let ours = json!({"Statement": [{"Action": ["b:Y", "a:X"], "Resource": "*"}]});
        let theirs = "%7B%22Statement%22%3A%7B%22Action%22%3A%5B%22a%3AX%22%2C%22b%3AY%22%5D%2C%22Resource%22%3A%5B%22%2A%22%5D%7D%7D";
        assert_eq!(normal(&ours), parse(theirs));
        assert_ne!(normal(&ours), parse(r#"{"Statement":{"Action":"a:X","Resource":"*"}}"#));
    }
}
