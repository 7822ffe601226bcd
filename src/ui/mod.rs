//! All output: progress, JSON lines, plans in colour, errors and prompts.
//!
//! Every text passes `printer.rs`, which lets nothing from outside steer the terminal. Data goes to stdout, everything else to stderr. Writing to a closed pipe is not an error; other errors of stdout end in an
//! exit code that says so.

mod ansi;
mod paint;
mod printer;
mod problem;
mod progress;
mod progress_text;
mod wrapping;

pub use paint::plan_in_colour;
pub use progress::{Progress, follow};

use crate::model::{Event, PlanRefusal, StepError, hanging};
use serde_json::{Value, json};
use std::{
    io::{self, BufRead as _, IsTerminal as _},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The version of the JSON lines. It increases when a change could break a reader.
const FORMAT: u32 = 1;

/// Why data could not be written to stdout, if it could not.
static STDOUT_ERROR: OnceLock<String> = OnceLock::new();

/// Returns why data could not be written to stdout, if it could not. A pipe whose reader ended is not an error.
pub fn stdout_error() -> Option<&'static str> {
    STDOUT_ERROR.get().map(String::as_str)
}

/// Whether the reader of stdout has ended.
static STDOUT_CLOSED: AtomicBool = AtomicBool::new(false);

/// Returns whether the reader of stdout has ended, as in a pipe to `head`: what is printed to it is lost.
pub fn stdout_is_closed() -> bool {
    STDOUT_CLOSED.load(Ordering::Relaxed)
}

/// How a command prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ui {
    /// JSON lines on stdout instead of text.
    pub json: bool,
    /// Whether stderr shows colour.
    pub colour: bool,
    /// Whether stderr is a terminal.
    pub terminal: bool,
    /// Whether stderr can show bars: a terminal that moves its cursor.
    pub bars: bool,
    /// Whether stderr is the log of a GitHub workflow.
    pub github: bool,
    /// How often `-v` was given.
    pub verbose: u8,
}

impl Ui {
    /// Returns the settings for the options, the streams, `NO_COLOR`, `TERM` and `GITHUB_ACTIONS`.
    ///
    /// Source: <https://no-color.org>,
    /// <https://docs.github.com/en/actions/reference/workflows-and-actions/variables>
    pub fn new(json: bool, no_color: bool, verbose: u8) -> Self {
        let terminal = io::stderr().is_terminal();
        let unwanted = no_color || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let moves = terminal && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let github = std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true");
        Ui { json, colour: moves && !unwanted, terminal, bars: moves && !json, github, verbose }
    }

    /// Prints text for people to stderr.
    pub fn say(&self, text: &str) {
        printer::say(text, self.colour);
    }

    /// Prints text for people to stderr, unless JSON is asked for.
    pub fn tell(&self, text: &str) {
        if !self.json {
            self.say(text);
        }
    }

    /// Prints a warning to stderr.
    pub fn warn(&self, text: &str) {
        self.say(&format!("{} {}", self.paint("33;1", "warning:"), hanging(text)));
    }

    /// Prints data for people to stdout, ending with a newline.
    pub fn data(&self, text: &str) {
        note(printer::show(text, self.colour));
    }

    /// Prints a document for programs to stdout, to the byte, ending with a newline.
    pub fn document(&self, text: &str) {
        note(printer::document(text));
    }

    /// Prints JSON to stdout, indented.
    pub fn json(&self, value: &Value) {
        self.document(&printer::escaped_json(&format!("{value:#}")));
    }

    /// Prints one JSON line, to which it adds the time and the format's version.
    pub fn line(&self, mut object: Value) {
        if let Some(map) = object.as_object_mut() {
            map.insert("time".to_owned(), json!(now()));
            map.insert("v".to_owned(), json!(FORMAT));
        }
        self.document(&printer::escaped_json(&object.to_string()));
    }

    /// Prints an error: as a JSON line on stdout, or as text on stderr.
    pub fn problem(&self, problem: &StepError) {
        if self.json {
            self.line(problem::as_json(problem));
        } else {
            self.say(&problem::as_text(problem, self.colour));
        }
    }

    /// Prints a resource that is not planned, with what it blocks.
    pub fn refusal(&self, refusal: &PlanRefusal) {
        if self.json {
            self.line(problem::refusal_json(refusal));
        } else {
            self.say(&problem::refusal_text(refusal, self.colour));
        }
    }

    /// Prints an event as a JSON line.
    pub fn event(&self, event: &Event) {
        self.line(problem::event_json(event));
    }

    /// Returns `text` in an ANSI colour, if colour is on.
    pub fn paint(&self, colour: &str, text: &str) -> String {
        ansi::painted(self.colour, colour, text)
    }

    /// Asks for confirmation. Anything but `y` or `yes` is a no, and so is the end of input.
    pub fn confirm(&self, question: &str) -> bool {
        let answer = self.ask(&format!("{question} [y/N]"));
        matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
    }

    /// Asks for a line of text; empty at the end of input.
    pub fn ask(&self, question: &str) -> String {
        printer::prompt(&self.paint("1", question), self.colour);
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        if read.is_ok() { answer } else { String::new() }
    }

    /// Returns whether stdout is a terminal.
    pub fn data_is_shown(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Returns whether a person can be asked: both stdin and stderr are terminals.
    pub fn can_ask(&self) -> bool {
        self.terminal && io::stdin().is_terminal()
    }
}

/// Remembers why data could not be written.
fn note(written: io::Result<()>) {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            STDOUT_CLOSED.store(true, Ordering::Relaxed);
        }
        Err(error) => drop(STDOUT_ERROR.get_or_init(|| error.to_string())),
        Ok(()) => {}
    }
}

/// Returns the current time in UTC, in the format of RFC 3339.
pub fn now() -> String {
    OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default()
}
