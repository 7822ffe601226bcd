//! Keeps the values of a Secret out of messages.

use crate::model::{CallError, is_secret};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

/// Returns the error without the server's message if that quotes a value of the Secret. Errors about another object stay as
/// they are.
pub fn without_values(error: CallError, secret: &Value) -> CallError {
    let data = secret.get("data").filter(|_| is_secret(secret)).and_then(Value::as_object);
    let encoded: Vec<&str> = data
        .into_iter()
        .flatten()
        .filter_map(|(_, value)| value.as_str())
        .filter(|it| !it.is_empty())
        .collect();
    let quotes = |text: &str| {
        encoded.iter().any(|encoded| {
            let plain = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            text.contains(encoded) || plain.is_some_and(|plain| text.contains(&plain))
        })
    };
    if !quotes(&error.message) && !error.hint.as_deref().is_some_and(quotes) {
        return error;
    }
    let message = "the API server did not accept the Secret; its answer quotes a value and is not shown";
    CallError { message: message.to_owned(), hint: None, ..error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ErrorKind;
    use serde_json::json;

    #[test]
    fn an_answer_that_quotes_a_value_is_not_shown() {
        let encoded = STANDARD.encode("correct horse");
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": encoded, "empty": ""}});
        let failed = |text: &str| CallError::new(ErrorKind::Invalid, text.to_owned());
        for text in ["Secret with correct horse".to_owned(), format!("cannot decode {encoded}")] {
            let error = without_values(failed(&text), &secret);
            assert!(error.message.contains("is not shown") && error.class == ErrorKind::Invalid, "{error}");
            assert!(without_values(failed("x").hint(text.clone()), &secret).hint.is_none());
            let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "correct horse"}});
            assert_eq!(without_values(failed(&text), &other).message, text);
        }
        assert_eq!(without_values(failed("data is too long"), &secret).message, "data is too long");
    }
}
