//! Errors in the file, each with its place and its line.

use std::{fmt, sync::Arc};

/// A place in the file; both numbers count from 1, and 0 stands for the file as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spot {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
    /// How many characters are meant.
    pub length: usize,
}

/// A line that is cheap to point into: it may be as long as the file, and have thousands of places.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    text: Arc<str>,
    /// Where every [`STRIDE`]th character begins, in bytes.
    marks: Vec<usize>,
}

const STRIDE: usize = 256;

/// The file's name and lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    name: Arc<str>,
    lines: Arc<[Line]>,
}

impl Source {
    /// The file `name` with its text.
    pub fn new(name: &str, text: &str) -> Self {
        let line = |text: &str| {
            let marks = text.char_indices().step_by(STRIDE).map(|(at, _)| at).collect();
            Line { text: text.into(), marks }
        };
        Source { name: name.into(), lines: text.lines().map(line).collect() }
    }

    /// The character at a place.
    pub fn char_at(&self, spot: Spot) -> Option<char> {
        let (line, index) = (self.lines.get(spot.line.checked_sub(1)?)?, spot.column.checked_sub(1)?);
        let near = line.marks.get(index.checked_div(STRIDE)?)?;
        line.text.get(*near..)?.chars().nth(index.checked_rem(STRIDE)?)
    }

    /// An error at a place.
    pub fn at(&self, spot: Spot, path: &str, message: String, help: Option<String>) -> Diagnostic {
        let line = spot.line.checked_sub(1).and_then(|index| self.lines.get(index));
        Diagnostic {
            file: Arc::clone(&self.name),
            message: cut(message),
            path: path.to_owned(),
            line: spot.line,
            column: spot.column,
            length: spot.length,
            source_line: line.map(|line| Arc::clone(&line.text)).unwrap_or_default(),
            help: help.map(cut),
        }
    }
}

/// One error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    file: Arc<str>,
    /// What is wrong.
    pub message: String,
    /// The field, `network.zones[1]`; empty for the file as a whole.
    pub path: String,
    /// The line, from 1; 0 where it is the file as a whole.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    length: usize,
    /// The line's text.
    pub source_line: Arc<str>,
    /// What to do.
    pub help: Option<String>,
}

/// How much of a line is shown.
const WIDTH: usize = 96;

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", clean(&self.message))?;
        if self.line == 0 {
            writeln!(f, "  --> {}", self.file)?;
        } else {
            writeln!(f, "  --> {}:{}:{}", self.file, self.line, self.column)?;
            let number = self.line.to_string();
            let gap = " ".repeat(number.len());
            let start = self.column.saturating_sub(1);
            // A long line is cut so that the place stays in sight.
            let skipped = if start > WIDTH / 2 && self.source_line.chars().count() > WIDTH {
                start.saturating_sub(WIDTH / 2)
            } else {
                0
            };
            let shown: String = self.source_line.chars().skip(skipped).take(WIDTH).collect();
            let room = shown.chars().count().saturating_sub(start.saturating_sub(skipped)).max(1);
            writeln!(f, " {gap} |")?;
            writeln!(f, " {number} | {}", clean(&shown))?;
            let indent = " ".repeat(start.saturating_sub(skipped));
            writeln!(f, " {gap} | {indent}{}", "^".repeat(self.length.clamp(1, room)))?;
        }
        match &self.help {
            Some(help) => writeln!(f, "   = help: {}", clean(help)),
            None => Ok(()),
        }
    }
}

/// How much of a message is kept: it may quote the file.
const MESSAGE: usize = 600;

fn cut(text: String) -> String {
    match text.char_indices().nth(MESSAGE) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// Text from the file must not steer the terminal.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// How many errors of a file are told at once.
const MOST: usize = 100;

/// One error or more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    told: Vec<Diagnostic>,
    more: usize,
}

impl Diagnostics {
    /// None where there are none.
    pub fn new(mut list: Vec<Diagnostic>) -> Option<Self> {
        let more = list.len().saturating_sub(MOST);
        list.truncate(MOST);
        (!list.is_empty()).then_some(Diagnostics { told: list, more })
    }

    /// The errors, in the file's order.
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
            more => writeln!(f, "\nand {more} errors more"),
        }
    }
}

impl std::error::Error for Diagnostics {}
