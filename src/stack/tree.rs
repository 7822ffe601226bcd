//! YAML to a tree that knows where everything stands. Limits are the parser's: nothing in the file costs more memory or
//! time than its size allows.

use super::diagnostics::{Diagnostics, Source, Spot};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_yaml::{Budget, DuplicateKeyPolicy, MergeKeyPolicy, Options, Spanned};
use std::fmt;

/// The largest file that is read, in bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it is.
    pub raw: Raw,
    /// Where it begins.
    pub spot: Spot,
}

/// A YAML value.
#[derive(Clone, Debug, PartialEq)]
pub enum Raw {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the file's order.
    Map(Vec<(Key, Node)>),
}

/// A map's key.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Its text.
    pub name: String,
    /// Where it begins.
    pub spot: Spot,
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Raw>::deserialize(deserializer)?;
        Ok(Node { raw: spanned.value, spot: spot(spanned.referenced) })
    }
}

fn spot(location: serde_yaml::Location) -> Spot {
    let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    let length = location.span().len();
    Spot { line: number(location.line()), column: number(location.column()), length: number(length).max(1) }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        match i64::try_from(value) {
            Ok(value) => Ok(Raw::Int(value)),
            // Beyond every field's range; as text it is refused with its place.
            Err(_) => Ok(Raw::Text(value.to_string())),
        }
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = seq.next_element()? {
            list.push(node);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let key = Key { name: key.value, spot: spot(key.referenced) };
            entries.push((key, map.next_value()?));
        }
        Ok(Raw::Map(entries))
    }
}

/// How much of a file there may be.
struct Most {
    documents: usize,
    depth: usize,
}

fn options(most: &Most) -> Options {
    let mut budget = Budget::default();
    budget.max_events = 60_000;
    budget.max_aliases = 0;
    budget.max_anchors = 0;
    budget.max_depth = most.depth;
    budget.max_documents = most.documents;
    budget.max_nodes = 20_000;
    budget.max_total_scalar_bytes = MAX_BYTES;
    budget.max_merge_keys = 0;
    let mut options = Options::default();
    options.budget = Some(budget);
    options.duplicate_keys = DuplicateKeyPolicy::Error;
    options.merge_keys = MergeKeyPolicy::Error;
    options.strict_booleans = true;
    options.with_snippet = false;
    options
}

/// Parses a stack file.
pub fn parse(file_name: &str, bytes: &[u8]) -> Result<(Node, Source), Diagnostics> {
    let (text, source) = read(file_name, bytes)?;
    let most = Most { documents: 1, depth: 32 };
    let node = serde_yaml::from_str_with_options(text, options(&most));
    Ok((node.map_err(|error| misread(&source, &error))?, source))
}

/// Parses a file of many documents; empty ones are left out.
pub fn parse_all(file_name: &str, bytes: &[u8]) -> Result<(Vec<Node>, Source), Diagnostics> {
    let (text, source) = read(file_name, bytes)?;
    let most = Most { documents: 256, depth: 40 };
    let nodes = serde_yaml::from_multiple_with_options::<Node>(text, options(&most));
    let mut nodes = nodes.map_err(|error| misread(&source, &error))?;
    nodes.retain(|node| node.raw != Raw::Null);
    Ok((nodes, source))
}

fn misread(source: &Source, error: &serde_yaml::Error) -> Diagnostics {
    let place = error.location().map(spot).unwrap_or_default();
    let (message, help) = reworded(&error.to_string());
    source.at(place, "", message, help).into()
}

/// The text of a file, where it is one that a person may have meant.
fn read<'a>(file_name: &str, bytes: &'a [u8]) -> Result<(&'a str, Source), Diagnostics> {
    if bytes.len() > MAX_BYTES {
        let source = Source::new(file_name, "");
        let message = format!("the file has more than the {MAX_BYTES} bytes that such a file may have");
        return Err(source
            .at(Spot::default(), "", message, Some("is this the right file?".to_owned()))
            .into());
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let sound =
                String::from_utf8_lossy(bytes.get(..error.valid_up_to()).unwrap_or_default()).into_owned();
            let line = sound.lines().count().max(1);
            let column = sound.rsplit('\n').next().unwrap_or_default().chars().count().saturating_add(1);
            let source = Source::new(file_name, &String::from_utf8_lossy(bytes));
            let spot = Spot { line, column, length: 1 };
            let help = Some("save the file as UTF-8".to_owned());
            return Err(source.at(spot, "", "the file is not UTF-8 text".to_owned(), help).into());
        }
    };
    let source = Source::new(file_name, text);
    // An indentation by tab is the most common slip, and the parser's word for it is no help.
    if let Some((index, line)) = text
        .lines()
        .enumerate()
        .find(|(_, line)| line.trim_start_matches(' ').starts_with('\t') && !line.trim().is_empty())
    {
        let column = line.chars().take_while(|c| *c == ' ').count().saturating_add(1);
        let spot = Spot { line: index.saturating_add(1), column, length: 1 };
        let help = Some("YAML is indented with spaces".to_owned());
        return Err(source.at(spot, "", "a tab in the indentation".to_owned(), help).into());
    }
    Ok((text, source))
}

/// The parser's message without its place, which is shown beside the line, and with advice where there is some.
fn reworded(text: &str) -> (String, Option<String>) {
    let first = text.lines().next().unwrap_or_default();
    let message = first.split(" at line ").next().unwrap_or(first).trim_end_matches([':', ' ']).to_owned();
    let lower = text.to_ascii_lowercase();
    let says = |word: &str| lower.contains(word);
    let (message, help) = if says("alias") || says("anchor") {
        (
            "anchors (`&name`), aliases (`*name`) and merge keys (`<<`) are not taken".to_owned(),
            "write the value out in both places",
        )
    } else if says("merge key") {
        ("merge keys (`<<`) are not taken".to_owned(), "write the value out in both places")
    } else if says("duplicate") {
        let key =
            message.rsplit_once(": ").map(|(_, rest)| rest.split(',').next().unwrap_or_default().to_owned());
        (format!("`{}` is there twice", key.unwrap_or_default()), "keep one of the two")
    } else if says("document") {
        (
            "the file holds more than one document".to_owned(),
            "keep one stack a file; remove what follows `---`",
        )
    } else if says("depth") || says("nest") {
        ("the file is nested too deeply".to_owned(), "a stack file needs no more than 8 levels")
    } else if says("budget") || says("limit") {
        (message, "a stack file is far smaller than this")
    } else {
        return (message, None);
    };
    (message, Some(help.to_owned()))
}
