//! The fields of an answer that AWS documents as always present. The SDK has all fields as optional.

/// The name of a field that an answer does not have, as the API names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingField(pub &'static str);

/// Returns the value of a field.
///
/// # Errors
/// If the answer does not have the field.
pub fn required<T>(value: Option<T>, field: &'static str) -> Result<T, MissingField> {
    value.ok_or(MissingField(field))
}

/// Returns a field's value as text: an id, a name, or the API's word for a state.
///
/// # Errors
/// If the answer does not have the field.
pub fn required_text<T: AsRef<str>>(value: Option<T>, field: &'static str) -> Result<String, MissingField> {
    required(value, field).map(|value| value.as_ref().to_owned())
}

/// Returns a field's value as text, and an empty text if AWS leaves the field out.
pub fn optional_text<T: AsRef<str>>(value: Option<T>) -> String {
    value.map(|value| value.as_ref().to_owned()).unwrap_or_default()
}
