//! The tree as a serde source whose every error has a place, a plain word for what was found, and a suggestion.

use super::{
    diagnostics::Spot,
    tree::{Key, Node, Raw},
};
use serde::{
    de::{self, DeserializeSeed, IntoDeserializer, Visitor},
    forward_to_deserialize_any,
};
use std::fmt;

/// An error on its way up to where its place is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Located {
    /// The place, once known.
    pub spot: Option<Spot>,
    /// The field, from the inside out.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl Located {
    fn new(message: impl Into<String>, help: Option<String>) -> Self {
        Located { spot: None, path: String::new(), message: message.into(), help }
    }

    fn at(mut self, spot: Spot, step: &str) -> Self {
        self.spot.get_or_insert(spot);
        let joint = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{step}{joint}{}", self.path);
        self
    }
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Located {}

impl de::Error for Located {
    fn custom<T: fmt::Display>(message: T) -> Self {
        // A message of our own types may carry its advice behind a line break.
        let text = message.to_string();
        match text.split_once('\n') {
            Some((message, help)) => Located::new(message, Some(help.to_owned())),
            None => Located::new(text, None),
        }
    }

    fn invalid_value(unexpected: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        match (unexpected, expected.to_string().as_str()) {
            (de::Unexpected::Signed(number), "u16") => {
                Located::new(format!("{number} is not between 0 and 65535"), None)
            }
            (de::Unexpected::Signed(number), "i32") => {
                Located::new(format!("{number} is out of range"), None)
            }
            (unexpected, expected) => Located::new(format!("expected {expected}, found {unexpected}"), None),
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Located::new(format!("`{field}` is missing"), Some(format!("add `{field}: ...`")))
    }
}

/// The nearest of `known`, if it is near.
pub fn nearest<'a>(text: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // No name is as long, and the comparison takes time and room for both lengths.
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
    /// The word for what this is.
    pub fn noun(&self) -> &'static str {
        match self {
            Raw::Null => "nothing",
            Raw::Bool(_) => "true or false",
            Raw::Int(_) | Raw::Float(_) => "a number",
            Raw::Text(_) => "text",
            Raw::List(_) => "a list",
            Raw::Map(_) => "a map",
        }
    }
}

/// Reads a value off a node.
#[derive(Clone, Copy)]
pub struct NodeReader<'a>(pub &'a Node);

impl NodeReader<'_> {
    fn expected<T>(self, what: &str, help: Option<&str>) -> Result<T, Located> {
        Err(Located::new(format!("expected {what}, found {}", self.0.raw.noun()), help.map(str::to_owned)))
    }

    fn entries(&self) -> Result<&[(Key, Node)], Located> {
        match &self.0.raw {
            Raw::Map(entries) => Ok(entries),
            Raw::List(_) => self.expected("a map", Some("write `key: value` lines, without the `-`")),
            _ => self.expected("a map", Some("write `key: value` lines below it, indented")),
        }
    }
}

/// A key without a value is nothing that can be meant.
fn empty(key: &Key) -> Located {
    let help =
        format!("give it a value (`{}: {{}}` for a section with its defaults), or remove it", key.name);
    Located::new(format!("`{}` has no value", key.name), Some(help)).at(key.spot, &key.name)
}

impl<'de> de::Deserializer<'de> for NodeReader<'_> {
    type Error = Located;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Located> {
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

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Located> {
        match self.0.raw {
            Raw::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Located> {
        match &self.0.raw {
            Raw::Bool(value) => visitor.visit_bool(*value),
            Raw::Text(text)
                if matches!(
                    text.to_ascii_lowercase().as_str(),
                    "yes" | "no" | "on" | "off" | "true" | "false"
                ) =>
            {
                self.expected(
                    "true or false",
                    Some("YAML 1.2 knows `true` and `false` alone, without quotes"),
                )
            }
            _ => self.expected("true or false", None),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Located> {
        match &self.0.raw {
            Raw::Text(text) => visitor.visit_str(text),
            Raw::Bool(_) | Raw::Int(_) | Raw::Float(_) => {
                self.expected("text", Some("put it in quotes: a bare number or `true` is not text in YAML"))
            }
            _ => self.expected("text", None),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Located> {
        self.deserialize_str(visitor)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Located> {
        match &self.0.raw {
            Raw::Int(value) => visitor.visit_i64(*value),
            Raw::Text(text) if text.parse::<i64>().is_ok() => {
                self.expected("a whole number", Some("remove the quotes"))
            }
            _ => self.expected("a whole number", None),
        }
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Located> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Located> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Located> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Located> {
        match &self.0.raw {
            Raw::List(list) => visitor.visit_seq(Items { list: list.iter(), index: 0 }),
            Raw::Text(_) => self.expected("a list", Some("write `[value]`, or one `- value` a line")),
            _ => self.expected("a list", None),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Located> {
        let entries = self.entries()?;
        visitor.visit_map(Entries { entries: entries.iter(), value: None })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Located> {
        let entries = self.entries()?;
        for (key, _) in entries {
            if !fields.contains(&key.name.as_str()) {
                let help = match nearest(&key.name, fields.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("there are: {}", fields.join(", ")),
                };
                return Err(
                    Located::new(format!("unknown field `{}`", key.name), Some(help)).at(key.spot, &key.name)
                );
            }
        }
        visitor.visit_map(Entries { entries: entries.iter(), value: None })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Located> {
        let all = format!("one of {}", variants.join(", "));
        let Raw::Text(text) = &self.0.raw else { return self.expected(&all, None) };
        if variants.contains(&text.as_str()) {
            return visitor.visit_enum(text.as_str().into_deserializer());
        }
        let help = nearest(text, variants.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        Err(Located::new(format!("expected {all}"), help))
    }

    forward_to_deserialize_any! {
        i8 i16 i128 u8 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

struct Items<'a> {
    list: std::slice::Iter<'a, Node>,
    index: usize,
}

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = Located;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Located> {
        let Some(node) = self.list.next() else { return Ok(None) };
        let step = format!("[{}]", self.index);
        self.index = self.index.saturating_add(1);
        if node.raw == Raw::Null {
            let help = Some("give it a value, or remove it".to_owned());
            return Err(Located::new("a list item without a value", help).at(node.spot, &step));
        }
        seed.deserialize(NodeReader(node)).map(Some).map_err(|error| error.at(node.spot, &step))
    }
}

struct Entries<'a> {
    entries: std::slice::Iter<'a, (Key, Node)>,
    value: Option<&'a (Key, Node)>,
}

impl<'de> de::MapAccess<'de> for Entries<'_> {
    type Error = Located;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Located> {
        self.value = self.entries.next();
        let Some((key, node)) = self.value else { return Ok(None) };
        if node.raw == Raw::Null {
            return Err(empty(key));
        }
        seed.deserialize(key.name.as_str().into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Located> {
        let Some((key, node)) = self.value.take() else {
            return Err(Located::new("a value without its key", None));
        };
        seed.deserialize(NodeReader(node)).map_err(|error| error.at(node.spot, &key.name))
    }
}
