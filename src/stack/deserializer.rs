//! A serde deserializer over the YAML tree. Each error has the field's path and position, the value that was
//! found, and a hint where one is known.

use super::{
    diagnostics::{MAX_VALUE_CHARS, Span},
    tree::{Key, Raw, YamlNode},
};
use crate::model::shortened;
use serde::{
    de::{self, DeserializeSeed, IntoDeserializer, Visitor},
    forward_to_deserialize_any,
};
use std::fmt;

/// A deserialization error. It gains its position and path on the way up through the tree.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    /// Position, once known.
    pub span: Option<Span>,
    /// Path of the field, extended to the left on the way up.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// Hint on how to fix the error.
    pub hint: Option<String>,
    /// Whether the message is complete. Otherwise the value that was found is appended when its node is
    /// known.
    complete: bool,
}

impl FieldError {
    fn new(message: impl Into<String>, hint: Option<String>) -> Self {
        FieldError { span: None, path: String::new(), message: message.into(), hint, complete: false }
    }

    fn complete(message: impl Into<String>, hint: Option<String>) -> Self {
        FieldError { complete: true, ..FieldError::new(message, hint) }
    }

    /// Adds what is known of the error at `node`: the value, the position, and a step of the path.
    fn at_node(mut self, node: &YamlNode, step: &str) -> Self {
        if !self.complete {
            self.message = format!("{} (got {})", self.message, node.describe());
            self.complete = true;
        }
        self.at(node.span, step)
    }

    fn at(mut self, span: Span, step: &str) -> Self {
        self.span.get_or_insert(span);
        let joint = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{step}{joint}{}", self.path);
        self
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for FieldError {}

impl de::Error for FieldError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        // Visitors of this crate put a hint after a line break, since serde passes only one text on.
        let text = message.to_string();
        match text.split_once('\n') {
            Some((message, hint)) => FieldError::new(message, Some(hint.to_owned())),
            None => FieldError::new(text, None),
        }
    }

    fn invalid_value(unexpected: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        match (unexpected, expected.to_string().as_str()) {
            (de::Unexpected::Signed(number), "u16") => {
                FieldError::complete(format!("must be between 0 and {} (got {number})", u16::MAX), None)
            }
            (de::Unexpected::Signed(number), "i32") => {
                let message = format!("must be between {} and {} (got {number})", i32::MIN, i32::MAX);
                FieldError::complete(message, None)
            }
            // The found value is left to `at_node`: serde would show one that comes from the environment.
            (_, expected) => FieldError::new(format!("expected {expected}"), None),
        }
    }

    fn invalid_type(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        FieldError::new(format!("expected {expected}"), None)
    }

    fn missing_field(field: &'static str) -> Self {
        FieldError::complete(format!("missing field `{field}`"), Some(format!("add `{field}: ...`")))
    }
}

/// Returns the entry of `known` that is most similar to `text`, if it is similar enough for a suggestion.
pub fn nearest<'a>(text: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // No known name is as long, and the comparison takes time and memory for both lengths.
    if text.len() > 100 {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    let scored = known.map(|known| (strsim::damerau_levenshtein(&lower, &known.to_ascii_lowercase()), known));
    let limit = text.chars().count().div_ceil(3).clamp(1, 4);
    let prefix = |known: &str| known.len() >= 3 && lower.starts_with(&known.to_ascii_lowercase());
    let (distance, best) = scored.min_by_key(|(distance, _)| *distance)?;
    (distance <= limit || prefix(best)).then_some(best)
}

impl Raw {
    /// Describes the value for a message. Floats are named by their type only: the source line shows their
    /// digits.
    fn describe(&self) -> String {
        match self {
            Raw::Null => "nothing".to_owned(),
            Raw::Bool(value) => value.to_string(),
            Raw::Int(value) => value.to_string(),
            Raw::Float(_) => "a number".to_owned(),
            Raw::Text(text) => format!("\"{}\"", shortened(text, MAX_VALUE_CHARS)),
            Raw::List(_) => "a list".to_owned(),
            Raw::Map(_) => "a map".to_owned(),
        }
    }
}

impl YamlNode {
    /// Describes the value for a message, as the file has it: never the content of an environment variable.
    fn describe(&self) -> String {
        match &self.template {
            Some(template) => format!("\"{}\"", shortened(template, MAX_VALUE_CHARS)),
            None => self.raw.describe(),
        }
    }
}

/// Deserializes a value from a node.
#[derive(Clone, Copy)]
pub struct NodeReader<'a>(pub &'a YamlNode);

impl NodeReader<'_> {
    fn expected<T>(self, what: &str, hint: Option<&str>) -> Result<T, FieldError> {
        let message = format!("expected {what} (got {})", self.0.describe());
        Err(FieldError::complete(message, hint.map(str::to_owned)))
    }

    fn entries(&self) -> Result<&[(Key, YamlNode)], FieldError> {
        match &self.0.raw {
            Raw::Map(entries) => Ok(entries),
            Raw::List(_) => self.expected("a map", Some("write `key: value` lines without the leading `-`")),
            _ => self.expected("a map", Some("write indented `key: value` lines below it")),
        }
    }
}

/// Returns the error for a key without a value, which may be a section whose lines are not indented.
fn empty(key: &Key) -> FieldError {
    let hint = format!("add a value, or `{{}}` for the defaults, or remove `{}`", key.name);
    FieldError::complete("no value", Some(hint)).at(key.span, &key.name)
}

impl<'de> de::Deserializer<'de> for NodeReader<'_> {
    type Error = FieldError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        match &self.0.raw {
            Raw::Null => visitor.visit_unit(),
            Raw::Bool(value) => visitor.visit_bool(*value),
            Raw::Int(value) => visitor.visit_i64(*value),
            Raw::Float(value) => visitor.visit_f64(*value),
            Raw::Text(text) => visitor.visit_str(text),
            Raw::List(list) => visitor.visit_seq(Items { list: list.iter(), index: 0 }),
            Raw::Map(entries) => visitor.visit_map(Entries { entries: entries.iter(), value: None }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        match self.0.raw {
            Raw::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        match &self.0.raw {
            Raw::Bool(value) => visitor.visit_bool(*value),
            Raw::Text(text)
                if matches!(
                    text.to_ascii_lowercase().as_str(),
                    "yes" | "no" | "on" | "off" | "true" | "false"
                ) =>
            {
                self.expected("true or false", Some("write `true` or `false`, without quotes"))
            }
            _ => self.expected("true or false", None),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        match &self.0.raw {
            Raw::Text(text) => visitor.visit_str(text),
            Raw::Bool(_) | Raw::Int(_) | Raw::Float(_) => {
                self.expected("a string", Some("put the value in quotes"))
            }
            _ => self.expected("a string", None),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        match &self.0.raw {
            Raw::Int(value) => visitor.visit_i64(*value),
            Raw::Text(text) if text.parse::<i64>().is_ok() => {
                self.expected("an integer", Some("remove the quotes"))
            }
            _ => self.expected("an integer", None),
        }
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, FieldError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        match &self.0.raw {
            Raw::List(list) => visitor.visit_seq(Items { list: list.iter(), index: 0 }),
            Raw::Text(_) => self.expected("a list", Some("write `[value]`, or one `- value` per line")),
            _ => self.expected("a list", None),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        let entries = self.entries()?;
        visitor.visit_map(Entries { entries: entries.iter(), value: None })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FieldError> {
        let entries = self.entries()?;
        for (key, _) in entries {
            if !fields.contains(&key.name.as_str()) {
                let hint = match nearest(&key.name, fields.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("expected one of: {}", fields.join(", ")),
                };
                return Err(FieldError::complete("unknown field", Some(hint)).at(key.span, &key.name));
            }
        }
        visitor.visit_map(Entries { entries: entries.iter(), value: None })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FieldError> {
        let all = format!("one of `{}`", variants.join("`, `"));
        let Raw::Text(text) = &self.0.raw else { return self.expected(&all, None) };
        if variants.contains(&text.as_str()) {
            return visitor.visit_enum(text.as_str().into_deserializer());
        }
        let hint = nearest(text, variants.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        self.expected(&all, hint.as_deref())
    }

    forward_to_deserialize_any! {
        i8 i16 i128 u8 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

struct Items<'a> {
    list: std::slice::Iter<'a, YamlNode>,
    index: usize,
}

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = FieldError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, FieldError> {
        let Some(node) = self.list.next() else { return Ok(None) };
        let step = format!("[{}]", self.index);
        self.index = self.index.saturating_add(1);
        if node.raw == Raw::Null {
            let hint = Some("add a value, or remove the item".to_owned());
            return Err(FieldError::complete("no value", hint).at(node.span, &step));
        }
        seed.deserialize(NodeReader(node)).map(Some).map_err(|error| error.at_node(node, &step))
    }
}

struct Entries<'a> {
    entries: std::slice::Iter<'a, (Key, YamlNode)>,
    value: Option<&'a (Key, YamlNode)>,
}

impl<'de> de::MapAccess<'de> for Entries<'_> {
    type Error = FieldError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, FieldError> {
        self.value = self.entries.next();
        let Some((key, node)) = self.value else { return Ok(None) };
        if node.raw == Raw::Null {
            return Err(empty(key));
        }
        seed.deserialize(key.name.as_str().into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, FieldError> {
        let Some((key, node)) = self.value.take() else {
            return Err(FieldError::complete("value without a key", None));
        };
        seed.deserialize(NodeReader(node)).map_err(|error| error.at_node(node, &key.name))
    }
}
