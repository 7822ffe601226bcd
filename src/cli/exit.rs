//! Exit codes, which say what to do next.

use crate::{
    model::{Class, Fault, Outcome, Problem},
    sandbox::SandboxError,
    stack::Diagnostics,
    ui::Ui,
};
use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or no changes.
    Done,
    /// Failed, nothing was changed.
    Failed,
    /// Changes are present (`plan --detailed-exitcode`).
    Changes,
    /// What the file or the arguments ask for cannot be.
    Invalid,
    /// Locked by someone else.
    Locked,
    /// Interrupted by a signal, state saved.
    Interrupted,
    /// Failed after something was changed, state saved.
    Partial,
    /// No credentials, or access denied before anything was changed.
    Denied,
}

impl Exit {
    /// The number.
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

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// The exit codes as `--help` lists them.
pub const CODES: &str = "\
Exit codes:
  0  done, or no changes
  1  failed, nothing was changed
  2  changes are present (plan --detailed-exitcode only)
  3  what the file or the arguments ask for cannot be; nothing was changed
  4  locked by someone else
  5  interrupted by a signal, state saved: run again to go on
  6  failed after something was changed, state saved: run again to go on
  7  no credentials, or access denied before anything was changed";

/// Why a command ended early.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The file is not valid.
    #[error("{0}")]
    File(#[from] Diagnostics),
    /// Something failed before anything was changed.
    #[error("{0}")]
    Problem(Problem),
    /// The sandbox.
    #[error("{0}")]
    Sandbox(#[from] SandboxError),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Failure::Problem(fault.into())
    }
}

impl Failure {
    /// What the arguments ask for cannot be.
    pub fn refused(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Fault::new(Class::Refused, message).hint(hint).into()
    }

    /// Prints it; the exit code that it stands for.
    pub fn report(&self, ui: &Ui) -> Exit {
        match self {
            Failure::File(diagnostics) => {
                if ui.json {
                    for diagnostic in diagnostics.iter() {
                        ui.line(serde_json::json!({
                            "type": "error", "class": "invalid", "message": diagnostic.message, "path": diagnostic.path,
                            "line": diagnostic.line, "column": diagnostic.column, "hint": diagnostic.help,
                        }));
                    }
                } else {
                    ui.say(diagnostics.to_string().trim_end());
                }
                Exit::Invalid
            }
            Failure::Problem(problem) => {
                ui.problem(problem);
                untouched(problem.fault.class)
            }
            Failure::Sandbox(error) => {
                let problem = Fault::new(Class::Other, error.to_string()).hint(error.hint()).into();
                ui.problem(&problem);
                Exit::Failed
            }
        }
    }
}

/// The exit code of a failure before anything was changed.
fn untouched(class: Class) -> Exit {
    match class {
        Class::Refused => Exit::Invalid,
        Class::Locked => Exit::Locked,
        Class::Interrupted => Exit::Interrupted,
        Class::Denied | Class::Credentials => Exit::Denied,
        _ => Exit::Failed,
    }
}

/// The exit code of a run. `signalled`: a signal ended it, and not a lost lease.
pub fn of_run(outcome: &Outcome, signalled: bool) -> Exit {
    let report = outcome.report();
    match outcome {
        Outcome::Done(_) => Exit::Done,
        Outcome::Stopped(_) if signalled => Exit::Interrupted,
        _ if report.changed => Exit::Partial,
        _ => report.problems.first().map_or(Exit::Failed, |problem| untouched(problem.fault.class)),
    }
}
