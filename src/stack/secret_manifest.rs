//! Secrets in manifests: `stringData` becomes `data`, and values that the API server would refuse are refused. Pure.

use crate::model::{is_reference, is_secret};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

/// Brings a Secret into the form that the API server stores. Other objects stay as they are.
///
/// # Errors
/// What is wrong, and what to do about it, without a value.
pub fn normalize(object: &mut Value) -> Result<(), (String, String)> {
    if !is_secret(object) {
        return Ok(());
    }
    let Some(object) = object.as_object_mut() else { return Ok(()) };
    let mut data = entries(object, "data")?;
    for (key, value) in &data {
        let text = text("data", key, value)?;
        if STANDARD.decode(text.replace(['\n', '\r'], "")).is_err() {
            let hint = "encode the value with base64, or write it as it is in `stringData`";
            return Err((format!("`data.{key}` is not base64"), hint.to_owned()));
        }
    }
    for value in data.values_mut() {
        // The API server ignores line breaks in base64, and returns the value without them.
        *value = json!(value.as_str().unwrap_or_default().replace(['\n', '\r'], ""));
    }
    for (key, value) in entries(object, "stringData")? {
        let encoded = STANDARD.encode(text("stringData", &key, &value)?);
        data.insert(key, json!(encoded));
    }
    if !data.is_empty() {
        object.insert("data".to_owned(), Value::Object(data));
    }
    Ok(())
}

/// Removes a map of values from the object and returns it.
fn entries(object: &mut Map<String, Value>, field: &str) -> Result<Map<String, Value>, (String, String)> {
    match object.remove(field) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(entries)) if !is_reference(&json!(entries)) => Ok(entries),
        Some(_) => Err((format!("`{field}` is not a map"), "write `KEY: VALUE` for each value".to_owned())),
    }
}

fn text<'a>(field: &str, key: &str, value: &'a Value) -> Result<&'a str, (String, String)> {
    match value {
        Value::String(text) => Ok(text),
        Value::Object(_) => Err((
            format!("`{field}.{key}` is known only when `up` runs, which a Secret's value cannot be"),
            "put the value into a ConfigMap, or use a variable whose value is known".to_owned(),
        )),
        _ => Err((format!("`{field}.{key}` is not a text"), "put the value in quotes".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_base64() {
        let of = |fields: Value| {
            let mut object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}});
            object.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            normalize(&mut object).map(|()| object)
        };
        let both = of(json!({"data": {"a": "eA\n==\n", "b": "eQ=="}, "stringData": {"b": "z"}})).unwrap();
        assert_eq!((&both["data"], both.get("stringData")), (&json!({"a": "eA==", "b": "eg=="}), None));
        assert!(of(json!({"type": "Opaque"})).unwrap().get("data").is_none());
        let refused = |fields: Value| of(fields).unwrap_err().0;
        assert_eq!(refused(json!({"data": {"a": "plain text"}})), "`data.a` is not base64");
        assert_eq!(refused(json!({"stringData": {"port": 5432}})), "`stringData.port` is not a text");
        assert_eq!(refused(json!({"data": ["a"]})), "`data` is not a map");
        let later = json!({"stringData": {"arn": {"ref": "data/key", "field": "arn"}}});
        assert!(refused(later).starts_with("`stringData.arn` is known only"));
        let mut other = json!({"apiVersion": "x.io/v1", "kind": "Secret", "data": {"a": 1}});
        assert_eq!(normalize(&mut other), Ok(()));
    }
}
