//! Errors in a YAML file, shown with the field, the position and the source line, as rustc shows them.

use crate::model::{blotted, one_line, shortened};
use std::{fmt, sync::Arc};

/// A span of one line. Line and column count from 1; line 0 stands for the file as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Index of the file in its [`SourceText`]: 0 for the first one.
    pub file: usize,
    /// Line number, from 1.
    pub line: usize,
    /// Column of the first character, from 1, in characters.
    pub column: usize,
    /// Length of the span, in characters.
    pub length: usize,
}

/// A line with an index of character positions: a line may be as long as the file and hold thousands of
/// spans, and counting characters from its start for each of them would take quadratic time.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    text: Arc<str>,
    /// Byte offset of every [`STRIDE`]th character.
    marks: Vec<usize>,
}

/// Distance between two indexed positions of a [`Line`], in characters.
const STRIDE: usize = 256;

/// The names and the lines of one or several files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceText {
    files: Vec<FileText>,
}

/// The name and the lines of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FileText {
    name: Arc<str>,
    lines: Arc<[Line]>,
}

impl SourceText {
    /// Indexes the text of the file `name`.
    pub fn new(name: &str, text: &str) -> Self {
        let line = |text: &str| {
            let marks = text.char_indices().step_by(STRIDE).map(|(at, _)| at).collect();
            Line { text: text.into(), marks }
        };
        SourceText { files: vec![FileText { name: name.into(), lines: text.lines().map(line).collect() }] }
    }

    /// Adds the files of another text after its own. Spans of the other one count from the number of files before.
    pub fn append(&mut self, other: SourceText) {
        self.files.extend(other.files);
    }

    /// Returns the number of files.
    pub fn count(&self) -> usize {
        self.files.len()
    }

    fn line(&self, span: Span) -> Option<&Line> {
        self.files.get(span.file)?.lines.get(span.line.checked_sub(1)?)
    }

    /// Returns the first character of a span.
    pub fn char_at(&self, span: Span) -> Option<char> {
        let (line, index) = (self.line(span)?, span.column.checked_sub(1)?);
        let near = line.marks.get(index.checked_div(STRIDE)?)?;
        line.text.get(*near..)?.chars().nth(index.checked_rem(STRIDE)?)
    }

    /// Returns an error at a span. `path` is the field, or empty.
    pub fn at(&self, span: Span, path: &str, message: String, hint: Option<String>) -> Diagnostic {
        let line = self.line(span);
        Diagnostic {
            file: self.files.get(span.file).map(|file| Arc::clone(&file.name)).unwrap_or_default(),
            message: shortened(&message, MAX_MESSAGE_CHARS).into_owned(),
            path: path.to_owned(),
            line: span.line,
            column: span.column,
            length: span.length,
            source_line: line.map(|line| Arc::clone(&line.text)).unwrap_or_default(),
            hint: hint.map(|hint| shortened(&hint, MAX_MESSAGE_CHARS).into_owned()),
        }
    }
}

/// An error in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Name of the file.
    pub file: Arc<str>,
    /// What is wrong, without the field.
    pub message: String,
    /// Path of the field, such as `network.zones[1]`; empty for an error of the file as a whole.
    pub path: String,
    /// Line number, from 1; 0 for an error of the file as a whole.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    length: usize,
    /// Text of the whole source line.
    pub source_line: Arc<str>,
    /// Hint on how to fix the error.
    pub hint: Option<String>,
}

/// Maximum number of characters of a source line that are shown.
const WIDTH: usize = 96;

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            writeln!(f, "error: {}", one_line(&self.message))?;
        } else {
            let path = shortened(&self.path, MAX_PATH_CHARS);
            writeln!(f, "error: {}: {}", one_line(&path), one_line(&self.message))?;
        }
        if self.line == 0 {
            writeln!(f, "  --> {}", self.file)?;
        } else {
            writeln!(f, "  --> {}:{}:{}", self.file, self.line, self.column)?;
            let number = self.line.to_string();
            let gap = " ".repeat(number.len());
            let start = self.column.saturating_sub(1);
            // A long line is cut so that the span stays visible.
            let skipped = if start > WIDTH / 2 && self.source_line.chars().count() > WIDTH {
                start.saturating_sub(WIDTH / 2)
            } else {
                0
            };
            let shown: String = self.source_line.chars().skip(skipped).take(WIDTH).collect();
            let room = shown.chars().count().saturating_sub(start.saturating_sub(skipped)).max(1);
            writeln!(f, " {gap} |")?;
            writeln!(f, " {number} | {}", blotted(&shown))?;
            let indent = " ".repeat(start.saturating_sub(skipped));
            writeln!(f, " {gap} | {indent}{}", "^".repeat(self.length.clamp(1, room)))?;
        }
        match &self.hint {
            Some(hint) => writeln!(f, "   = hint: {}", one_line(hint)),
            None => Ok(()),
        }
    }
}

/// Maximum length of a message or hint, in characters: both may quote the file.
const MAX_MESSAGE_CHARS: usize = 600;

/// Maximum length of a field's path as shown, in characters: keys may be as long as the file.
const MAX_PATH_CHARS: usize = 200;

/// Maximum length of a value that a message quotes, in characters.
pub(super) const MAX_VALUE_CHARS: usize = 80;

/// Maximum number of errors of one file that are shown.
const MAX_DIAGNOSTICS: usize = 100;

/// The errors of one or more files; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    told: Vec<Diagnostic>,
    /// Number of errors that are not shown.
    more: usize,
}

impl Diagnostics {
    /// Returns `None` if the list is empty.
    pub fn new(mut list: Vec<Diagnostic>) -> Option<Self> {
        let more = list.len().saturating_sub(MAX_DIAGNOSTICS);
        list.truncate(MAX_DIAGNOSTICS);
        (!list.is_empty()).then_some(Diagnostics { told: list, more })
    }

    /// Iterates over the errors that are shown, in the order of checking.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.told.iter()
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Diagnostics { told: vec![diagnostic], more: 0 }
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.told.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            diagnostic.fmt(f)?;
        }
        match self.more {
            0 => Ok(()),
            1 => writeln!(f, "\n1 more error is not shown"),
            more => writeln!(f, "\n{more} more errors are not shown"),
        }
    }
}

impl std::error::Error for Diagnostics {}
