//! How a command says what its runs did: the one place from which last words, `result` line and exit code come.

use super::exit::{CommandError, Exit, of_report, report};
use crate::{
    model::counted,
    operations::{Conclusion, End},
    plan::{result_json, stopped_text, success_text, waiting_lines},
    ui::Ui,
};
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a command of this process changed anything, for what comes after its last words.
static CHANGED: AtomicBool = AtomicBool::new(false);

/// Returns whether AWS may not be as it was before this process.
pub fn has_changed() -> bool {
    CHANGED.load(Ordering::Relaxed)
}

/// Where a command prints, and whether a signal arrived.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    /// Where output appears.
    pub ui: Ui,
    /// Whether a signal has arrived.
    pub signalled: bool,
}

/// Prints the errors and the last words of an operation whose runs ended, and returns the exit code.
pub fn conclude(at: Ending, place: &str, conclusion: &Conclusion) -> Exit {
    CHANGED.fetch_or(conclusion.changed(), Ordering::Relaxed);
    conclusion.report.problems.iter().for_each(|problem| at.ui.problem(problem));
    let exit = exit_of(at, conclusion);
    last_words(at, place, conclusion, exit);
    exit
}

/// Returns the exit code of an operation whose runs ended.
pub fn exit_of(at: Ending, conclusion: &Conclusion) -> Exit {
    of_report(&conclusion.report, conclusion.stopped || at.signalled, at.signalled)
}

/// Prints how an operation ended, whatever it did, and returns the exit code. After a change, that of an error says so.
pub fn finish(at: Ending, place: &str, conclusion: Conclusion) -> Result<Exit, CommandError> {
    CHANGED.fetch_or(conclusion.changed(), Ordering::Relaxed);
    match &conclusion.end {
        End::Failed(error) if conclusion.changed() => {
            let exit = report(error, &at.ui).after_change();
            last_words(at, place, &conclusion, exit);
            Ok(exit)
        }
        End::NotApproved if at.signalled || conclusion.changed() => Ok(conclude(at, place, &conclusion)),
        End::Ran => Ok(conclude(at, place, &conclusion)),
        _ => not_begun(at, conclusion.end),
    }
}

/// Prints why an operation changed nothing, and returns the exit code.
pub fn not_begun(at: Ending, end: End) -> Result<Exit, CommandError> {
    let ui = at.ui;
    match end {
        End::Failed(error) => return Err(error.into()),
        End::Refused { refused, others } => {
            let hint =
                if others { "; `--target ADDRESS` applies a part that does not depend on it" } else { "" };
            ui.tell(&format!("nothing was changed: the plan refuses {}{hint}", counted(refused, "resource")));
            return Ok(Exit::Invalid);
        }
        End::LossNotApproved | End::NotApproved | End::Ran => ui.tell("nothing was changed"),
    }
    Ok(match (at.signalled, end) {
        (true, _) => Exit::Interrupted,
        (false, End::LossNotApproved) => Exit::Invalid,
        (false, _) => Exit::Failed,
    })
}

fn last_words(at: Ending, place: &str, conclusion: &Conclusion, exit: Exit) {
    let (ui, report) = (at.ui, &conclusion.report);
    match exit {
        Exit::Done if report.done().changes() == 0 => ui.tell(&format!("{place}: no changes")),
        Exit::Done => ui.tell(&format!("{place}: {}", ui.paint("32", &success_text(report)))),
        _ => {
            ui.tell(&format!("{place}: {}", stopped_text(report)));
            waiting_lines(report).iter().for_each(|line| ui.tell(line));
        }
    }
    if ui.json {
        let mut line = result_json(report);
        if let Some(fields) = line.as_object_mut() {
            fields.insert("exit".to_owned(), json!(exit.code()));
        }
        ui.line(line);
    }
}
