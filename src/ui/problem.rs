//! Errors as text and as JSON: what, where, cause, what is left behind, what to do.

use super::Ui;
use crate::model::{Event, LeftBehind, Problem, StepState};
use serde_json::{Value, json};

fn left(problem: &Problem) -> Option<&'static str> {
    problem.address.as_ref()?;
    match problem.left {
        LeftBehind::Nothing => None,
        LeftBehind::Recorded => Some("what is there of it is recorded; the next run goes on with it"),
        LeftBehind::Unknown => {
            Some("AWS may or may not have carried the call out; the next run looks before it does anything")
        }
    }
}

/// For people.
pub fn as_text(problem: &Problem, ui: &Ui) -> String {
    let fault = &problem.fault;
    let place = problem.address.as_ref().map(|address| format!("{address}: ")).unwrap_or_default();
    let message = if fault.message.is_empty() { &fault.code } else { &fault.message };
    let mut text = format!("{} {place}{message}", ui.paint("31;1", "error:"));
    let mut add = |name: &str, value: &str| {
        text.push_str(&format!("\n  {} {value}", ui.paint("2", &format!("{name}:"))));
    };
    if !fault.operation.is_empty() {
        let request = fault.request_id.as_ref().map(|id| format!(", request {id}")).unwrap_or_default();
        let code = if fault.code.is_empty() { String::new() } else { format!(" answered {}", fault.code) };
        add("call", &format!("{}:{}{code}{request}", fault.service, fault.operation));
    }
    if let Some(left) = left(problem) {
        add("left behind", left);
    }
    if let Some(hint) = &fault.hint {
        add("to do", hint);
    }
    text
}

/// For programs.
pub fn as_json(problem: &Problem) -> Value {
    let fault = &problem.fault;
    json!({
        "type": "error",
        "class": fault.class.name(),
        "address": problem.address,
        "service": fault.service,
        "operation": fault.operation,
        "code": fault.code,
        "message": fault.message,
        "requestId": fault.request_id,
        "hint": fault.hint,
        "left": problem.left,
    })
}

/// An event as a JSON line.
pub fn event_json(event: &Event) -> Value {
    match event {
        Event::RunStarted { steps } => json!({"type": "run", "state": "started", "steps": steps}),
        Event::Step { address, kind, stage, action, state } => {
            let (state, reason) = match state {
                StepState::Started => ("started", None),
                StepState::Waiting(reason) => ("waiting", Some(reason)),
                StepState::Done => ("done", None),
            };
            json!({
                "type": "step", "address": address, "kind": kind, "stage": stage, "action": action,
                "state": state, "reason": reason,
            })
        }
        Event::StepFailed { kind, stage, action, problem } => json!({
            "type": "step", "address": problem.address, "kind": kind, "stage": stage, "action": action,
            "state": "failed", "reason": problem.fault.message,
        }),
        Event::Stopping => json!({"type": "run", "state": "stopping"}),
        Event::Notice(text) => json!({"type": "notice", "message": text}),
        Event::RunEnded { done, failed, left } => json!({
            "type": "run", "state": "ended", "create": done.create, "update": done.update, "replace": done.replace,
            "delete": done.delete, "adopt": done.adopt, "failed": failed, "left": left,
        }),
    }
}
