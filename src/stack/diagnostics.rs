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

/// The file's name and lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    name: Arc<str>,
    lines: Arc<[String]>,
}

impl Source {
    /// The file `name` with its text.
    pub fn new(name: &str, text: &str) -> Self {
        Source { name: name.into(), lines: text.lines().map(str::to_owned).collect() }
    }

    /// The character at a place.
    pub fn char_at(&self, spot: Spot) -> Option<char> {
        self.lines.get(spot.line.checked_sub(1)?)?.chars().nth(spot.column.checked_sub(1)?)
    }

    /// An error at a place.
    pub fn at(&self, spot: Spot, path: &str, message: String, help: Option<String>) -> Diagnostic {
        let line = spot.line.checked_sub(1).and_then(|index| self.lines.get(index));
        Diagnostic {
            file: Arc::clone(&self.name),
            message,
            path: path.to_owned(),
            line: spot.line,
            column: spot.column,
            length: spot.length,
            source_line: line.cloned().unwrap_or_default(),
            help,
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
    pub source_line: String,
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

/// Text from the file must not steer the terminal.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// One error or more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// None where there are none.
    pub fn new(list: Vec<Diagnostic>) -> Option<Self> {
        (!list.is_empty()).then_some(Diagnostics(list))
    }

    /// The errors, in the file's order.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Diagnostics(vec![diagnostic])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            diagnostic.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}
