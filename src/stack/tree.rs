//! Parses YAML into a tree that records the position of every key and value. The parser's limits bound memory
//! and time by the size of the file.

use super::diagnostics::{Diagnostics, SourceText, Span};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_yaml::{Budget, DuplicateKeyPolicy, MergeKeyPolicy, Options, Spanned};
use std::{fmt, io, panic::resume_unwind, thread};

/// Maximum size of a stack file, in bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// Maximum size of a manifest, in bytes: the definitions of the larger operators are several MB in one file.
pub const MAX_MANIFEST_BYTES: usize = 8 << 20;

/// A value and its position.
#[derive(Clone, Debug, PartialEq)]
pub struct YamlNode {
    /// The value.
    pub raw: Raw,
    /// Position of the value.
    pub span: Span,
    /// Text of the value as the file has it, with its `${VAR}`, if environment variables were substituted in
    /// it. Errors show this text instead of the value, which may be a secret.
    pub template: Option<String>,
}

/// A YAML value.
#[derive(Clone, Debug, PartialEq)]
pub enum Raw {
    /// `null`, `~` or no value.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A string.
    Text(String),
    /// A sequence.
    List(Vec<YamlNode>),
    /// A mapping, in the order of the file.
    Map(Vec<(Key, YamlNode)>),
}

/// A key of a mapping.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Text of the key.
    pub name: String,
    /// Position of the key.
    pub span: Span,
}

impl<'de> Deserialize<'de> for YamlNode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Raw>::deserialize(deserializer)?;
        Ok(YamlNode { raw: spanned.value, span: span(spanned.referenced), template: None })
    }
}

fn span(location: serde_yaml::Location) -> Span {
    let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    let length = location.span().len();
    let (line, column) = (number(location.line()), number(location.column()));
    Span { file: 0, line, column, length: number(length).max(1) }
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
            // No field takes such a number. As text it is rejected with its position.
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
            let key = Key { name: key.value, span: span(key.referenced) };
            entries.push((key, map.next_value()?));
        }
        Ok(Raw::Map(entries))
    }
}

/// Parser limits that differ between stack files and manifests.
struct Limits {
    documents: usize,
    /// Maximum nesting depth.
    depth: usize,
    /// Whether it is a manifest, which other tools write: larger, with anchors, and with numbers of YAML 1.1 such as `0400`,
    /// as kubectl reads them.
    manifest: bool,
}

fn options(limits: &Limits) -> Options {
    let mut budget = Budget::default();
    let (scale, anchors) = if limits.manifest { (10, 1000) } else { (1, 0) };
    budget.max_events = 60_000 * scale;
    budget.max_aliases = anchors;
    budget.max_anchors = anchors;
    budget.max_depth = limits.depth;
    budget.max_documents = limits.documents;
    budget.max_nodes = 20_000 * scale;
    budget.max_total_scalar_bytes = if limits.manifest { MAX_MANIFEST_BYTES } else { MAX_BYTES };
    budget.max_merge_keys = anchors;
    let mut options = Options::default();
    options.budget = Some(budget);
    options.duplicate_keys = DuplicateKeyPolicy::Error;
    options.merge_keys = if limits.manifest { MergeKeyPolicy::Merge } else { MergeKeyPolicy::Error };
    options.legacy_octal_numbers = limits.manifest;
    options.strict_booleans = true;
    options.with_snippet = false;
    options
}

/// Parses a file of one document, the stack file.
///
/// # Errors
/// A file that is too large, is not UTF-8, is not valid YAML or exceeds the parser's limits.
pub fn parse(file_name: &str, bytes: &[u8]) -> Result<(YamlNode, SourceText), Diagnostics> {
    let (text, source) = read(file_name, bytes, MAX_BYTES)?;
    let limits = Limits { documents: 1, depth: 32, manifest: false };
    let node = serde_yaml::from_str_with_options(text, options(&limits));
    Ok((node.map_err(|error| parse_error(&source, &error))?, source))
}

/// Stack of the thread that parses manifests, in bytes. Nested values take much of it, and the threads of a runtime have 2 MiB.
const PARSER_STACK: usize = 64 << 20;

/// Parses a file of several documents, such as a manifest, and leaves out empty ones.
///
/// # Errors
/// See [`parse`].
pub fn parse_all(file_name: &str, bytes: &[u8]) -> Result<(Vec<YamlNode>, SourceText), Diagnostics> {
    let (text, source) = read(file_name, bytes, MAX_MANIFEST_BYTES)?;
    let limits = Limits { documents: 1000, depth: 60, manifest: true };
    let parse = || serde_yaml::from_multiple_with_options::<YamlNode>(text, options(&limits));
    let nodes = thread::scope(|scope| {
        let parser = thread::Builder::new().stack_size(PARSER_STACK).spawn_scoped(scope, parse)?;
        // A bug of the parser is reported as one of this thread.
        io::Result::Ok(parser.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    let nodes = nodes.map_err(|error| {
        let hint = Some("free memory, or end other processes, then run again".to_owned());
        source.at(Span::default(), "", format!("no thread can be started for the parser: {error}"), hint)
    })?;
    let mut nodes = nodes.map_err(|error| parse_error(&source, &error))?;
    nodes.retain(|node| node.raw != Raw::Null);
    Ok((nodes, source))
}

fn parse_error(source: &SourceText, error: &serde_yaml::Error) -> Diagnostics {
    let place = error.location().map(span).unwrap_or_default();
    let (message, hint) = reworded(&error.to_string());
    source.at(place, "", message, hint).into()
}

/// Decodes the text of a file and rejects what the parser has no clear message for.
fn read<'a>(file_name: &str, bytes: &'a [u8], most: usize) -> Result<(&'a str, SourceText), Diagnostics> {
    if bytes.len() > most {
        let source = SourceText::new(file_name, "");
        let message = format!("file too large: at most {most} bytes (got {})", bytes.len());
        return Err(source
            .at(Span::default(), "", message, Some("check that this is the right file".to_owned()))
            .into());
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let sound =
                String::from_utf8_lossy(bytes.get(..error.valid_up_to()).unwrap_or_default()).into_owned();
            let line = sound.lines().count().max(1);
            let column = sound.rsplit('\n').next().unwrap_or_default().chars().count().saturating_add(1);
            let source = SourceText::new(file_name, &String::from_utf8_lossy(bytes));
            let span = Span { file: 0, line, column, length: 1 };
            let hint = Some("save the file with UTF-8 encoding".to_owned());
            return Err(source.at(span, "", "file is not valid UTF-8".to_owned(), hint).into());
        }
    };
    let source = SourceText::new(file_name, text);
    // A tab in the indentation is the most common mistake, and the parser's message does not name it.
    if let Some((index, line)) = text
        .lines()
        .enumerate()
        .find(|(_, line)| line.trim_start_matches(' ').starts_with('\t') && !line.trim().is_empty())
    {
        let column = line.chars().take_while(|c| *c == ' ').count().saturating_add(1);
        let span = Span { file: 0, line: index.saturating_add(1), column, length: 1 };
        let hint = Some("indent with spaces; YAML does not allow tabs".to_owned());
        return Err(source.at(span, "", "tab in the indentation".to_owned(), hint).into());
    }
    Ok((text, source))
}

/// Returns the parser's message without its position, which is shown with the source line, and a hint if one
/// is known.
fn reworded(text: &str) -> (String, Option<String>) {
    let first = text.lines().next().unwrap_or_default();
    let message = first.split(" at line ").next().unwrap_or(first).trim_end_matches([':', ' ']).to_owned();
    let lower = text.to_ascii_lowercase();
    let says = |word: &str| lower.contains(word);
    let (message, hint) = if says("alias") || says("anchor") {
        (
            "anchors (`&name`), aliases (`*name`) and merge keys (`<<`) are not supported".to_owned(),
            "write the value in each place",
        )
    } else if says("merge key") {
        ("merge keys (`<<`) are not supported".to_owned(), "write the value in each place")
    } else if says("duplicate") {
        let key =
            message.rsplit_once(": ").map(|(_, rest)| rest.split(',').next().unwrap_or_default().to_owned());
        (format!("duplicate key `{}`", key.unwrap_or_default()), "remove one of the two")
    } else if says("document") {
        (
            "the file contains more than one document".to_owned(),
            "keep one stack per file and remove everything after `---`",
        )
    } else if says("depth") || says("nest") {
        (
            "the file is nested too deeply".to_owned(),
            "reduce the nesting; a stack file needs at most 8 levels",
        )
    } else if says("budget") || says("limit") {
        (message, "check that this is the right file; a stack file is much smaller")
    } else {
        return (message, None);
    };
    (message, Some(hint.to_owned()))
}
