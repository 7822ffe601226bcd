//! The last words of a run, as text and as JSON. Both say what the report says, and nothing else.

use super::counts;
use crate::model::{Address, Report, Totals, counted};
use serde_json::{Value, json};

/// Returns the last words of a run that did everything: what it did.
pub fn success_text(report: &Report) -> String {
    match report.done() {
        done if done.changes() == 0 => "no changes".to_owned(),
        done => counts(done, true),
    }
}

/// Returns the last words of a run that ended early: what it did, what is half done, how much is left.
pub fn stopped_text(report: &Report) -> String {
    let (done, mut parts) = (report.done(), Vec::new());
    if done.changes() > 0 {
        parts.push(counts(done, true));
    }
    let not_created = report.not_created_again();
    if !not_created.is_empty() {
        parts.push(format!("{} deleted, not created again: {}", not_created.len(), listed(&not_created)));
    }
    let not_deleted = report.not_deleted_yet();
    if !not_deleted.is_empty() {
        parts.push(format!(
            "{} created, the old one not deleted yet: {}",
            not_deleted.len(),
            listed(&not_deleted)
        ));
    }
    let unfinished = report.unfinished();
    if !unfinished.is_empty() {
        parts.push(format!("unfinished: {}", listed(&unfinished)));
    }
    if parts.is_empty() {
        parts.push("nothing changed".to_owned());
    }
    let (left, planned) = (report.left(), report.planned());
    if left > 0 {
        parts.push(format!("{left} of {} left", counted(planned, "change")));
    }
    let state = if report.saved { "the state is saved" } else { "the state is NOT saved" };
    parts.push(format!("{state}: run again to resume"));
    parts.join("; ")
}

/// Returns the object of the line `{"type":"result",...}`, without the exit code.
pub fn result_json(report: &Report) -> Value {
    let Totals { create, update, replace, delete, adopt, .. } = report.done();
    json!({
        "type": "result",
        "create": create,
        "update": update,
        "replace": replace,
        "delete": delete,
        "adopt": adopt,
        "left": report.left(),
        "saved": report.saved,
        "changed": report.changed(),
        "notCreatedAgain": report.not_created_again(),
        "unfinished": report.unfinished(),
        "waiting": report.waiting,
    })
}

/// Returns a line for each step that was still running when the run ended: what it waited for.
pub fn waiting_lines(report: &Report) -> Vec<String> {
    report.waiting.iter().map(|(address, why)| format!("  {address} was waiting: {why}")).collect()
}

fn listed(addresses: &[&Address]) -> String {
    addresses.iter().map(|address| address.as_str()).collect::<Vec<_>>().join(", ")
}
