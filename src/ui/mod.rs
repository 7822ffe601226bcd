//! What people and programs see: events as progress or JSON lines, plans in colour, the one error printer, prompts.
//!
//! Data goes to stdout, all else to stderr. A closed stream is no error: there is nobody to tell.

mod paint;
mod problem;
mod progress;

pub use paint::plan_in_colour;
pub use progress::{Progress, follow};

use crate::model::{Event, Problem};
use serde_json::{Value, json};
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The version of the JSON lines; grows when a reader could break.
const FORMAT: u32 = 1;

/// How to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ui {
    /// JSON lines on stdout instead of text.
    pub json: bool,
    /// Whether stderr takes colour.
    pub colour: bool,
    /// Whether stderr is a terminal.
    pub terminal: bool,
    /// How much is told.
    pub verbose: u8,
}

impl Ui {
    /// Looks at the streams and at `NO_COLOR` (<https://no-color.org>).
    pub fn new(json: bool, no_color: bool, verbose: u8) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let unwanted = no_color || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Ui { json, colour: terminal && !unwanted, terminal, verbose }
    }

    /// Text for people.
    pub fn say(&self, text: &str) {
        let _ = writeln!(std::io::stderr(), "{text}");
    }

    /// Text for people, unless programs are reading.
    pub fn tell(&self, text: &str) {
        if !self.json {
            self.say(text);
        }
    }

    /// Something that a person should not overlook.
    pub fn warn(&self, text: &str) {
        self.say(&format!("{} {text}", self.paint("33;1", "warning:")));
    }

    /// Data.
    pub fn data(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes());
        if !text.ends_with('\n') {
            let _ = out.write_all(b"\n");
        }
        let _ = out.flush();
    }

    /// One JSON line, with its time and the format's version.
    pub fn line(&self, mut object: Value) {
        if let Some(map) = object.as_object_mut() {
            map.insert("time".to_owned(), json!(now()));
            map.insert("v".to_owned(), json!(FORMAT));
        }
        self.data(&object.to_string());
    }

    /// The one error printer.
    pub fn problem(&self, problem: &Problem) {
        if self.json {
            self.line(problem::as_json(problem));
        } else {
            self.say(&problem::as_text(problem, self));
        }
    }

    /// An event as a JSON line.
    pub fn event(&self, event: &Event) {
        self.line(problem::event_json(event));
    }

    /// `text` in an ANSI colour, where colour is wanted.
    pub fn paint(&self, colour: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Asks for a yes. Anything else, and the end of input, is a no.
    pub fn confirm(&self, question: &str) -> bool {
        let _ = write!(std::io::stderr(), "{} [y/N] ", self.paint("1", question));
        let _ = std::io::stderr().flush();
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
    }

    /// Whether stdout is a terminal, too.
    pub fn data_is_shown(&self) -> bool {
        std::io::stdout().is_terminal()
    }

    /// Whether somebody is there to be asked.
    pub fn can_ask(&self) -> bool {
        self.terminal && std::io::stdin().is_terminal()
    }
}

/// The time of day, RFC 3339, UTC.
pub fn now() -> String {
    OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default()
}
