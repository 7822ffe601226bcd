//! Exit codes, and the error type that maps to them.

use crate::{
    model::{CallError, ErrorKind, Report},
    operations::OperationError,
    sandbox::SandboxError,
    ui::Ui,
};
use std::process::ExitCode;

/// Exit status of a command. Each one tells the caller what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or no changes.
    Done,
    /// Failed; nothing was changed.
    Failed,
    /// Changes are present (`plan --detailed-exitcode` only).
    Changes,
    /// Invalid stack file or arguments, or refused by a rule; nothing was changed.
    Invalid,
    /// Locked by someone else.
    Locked,
    /// Interrupted by a signal; the state is saved.
    Interrupted,
    /// Failed after something was changed; the state is saved.
    Partial,
    /// No credentials, or access denied before anything was changed.
    Denied,
}

impl Exit {
    /// Returns the number that the process exits with.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Changes => 2,
            Exit::Invalid => 3,
            Exit::Locked => 4,
            Exit::Interrupted => 5,
            Exit::Partial => 6,
            Exit::Denied => 7,
        }
    }
}

impl Exit {
    /// Returns the exit code of an error that came after something was changed.
    pub fn after_change(self) -> Exit {
        match self {
            Exit::Done | Exit::Interrupted => self,
            _ => Exit::Partial,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// The list of exit codes that `--help` ends with.
pub const CODES: &str = "\
Exit codes:
  0  done, or no changes
  1  failed, nothing was changed
  2  changes present (plan --detailed-exitcode only)
  3  invalid stack file or arguments, or refused by a rule; nothing was changed
  4  locked by someone else
  5  interrupted by a signal, state saved: run again to resume
  6  failed after something was changed, state saved: run again to resume
  7  no credentials, or access denied before anything was changed";

/// Error that ends a command before it has changed anything.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// An operation refused or failed.
    #[error("{0}")]
    Operation(#[from] OperationError),
    /// The sandbox cannot be started, stopped or reached.
    #[error("{0}")]
    Sandbox(#[from] SandboxError),
}

impl From<CallError> for CommandError {
    fn from(error: CallError) -> Self {
        CommandError::Operation(error.into())
    }
}

impl CommandError {
    /// Returns the error for invalid arguments or anything else that a rule refuses (exit code 3).
    pub fn refused(message: impl Into<String>, hint: impl Into<String>) -> Self {
        CallError::new(ErrorKind::Refused, message).hint(hint).into()
    }

    /// Prints the error, and returns its exit code.
    pub fn report(&self, ui: &Ui) -> Exit {
        match self {
            CommandError::Operation(error) => report(error, ui),
            CommandError::Sandbox(error) => {
                let problem = CallError::new(ErrorKind::Other, error.to_string()).hint(error.hint()).into();
                ui.problem(&problem);
                Exit::Failed
            }
        }
    }
}

/// Prints the error of an operation, and returns its exit code.
pub fn report(error: &OperationError, ui: &Ui) -> Exit {
    match error {
        OperationError::File(diagnostics) => {
            if ui.json {
                for diagnostic in diagnostics.iter() {
                    ui.line(serde_json::json!({
                        "type": "error", "class": "invalid", "message": diagnostic.message, "path": diagnostic.path,
                        "file": &*diagnostic.file, "line": diagnostic.line, "column": diagnostic.column, "hint": diagnostic.hint,
                    }));
                }
            } else {
                ui.say(diagnostics.to_string().trim_end());
            }
            Exit::Invalid
        }
        OperationError::Step(problem) => {
            ui.problem(problem);
            untouched(problem.error.class)
        }
    }
}

/// Returns the exit code of an error before anything was changed.
fn untouched(class: ErrorKind) -> Exit {
    match class {
        ErrorKind::Refused => Exit::Invalid,
        ErrorKind::Locked => Exit::Locked,
        ErrorKind::Interrupted => Exit::Interrupted,
        ErrorKind::Denied | ErrorKind::Credentials => Exit::Denied,
        _ => Exit::Failed,
    }
}

/// Returns the exit code of what a report says. `signalled` tells a run that a signal stopped from one that lost its lease or ran
/// out of time.
pub fn of_report(report: &Report, stopped: bool, signalled: bool) -> Exit {
    if report.is_complete() {
        return Exit::Done;
    }
    if stopped && signalled {
        return Exit::Interrupted;
    }
    if report.changed() {
        return Exit::Partial;
    }
    report.problems.first().map_or(Exit::Failed, |problem| untouched(problem.error.class))
}
