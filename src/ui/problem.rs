//! Errors as text and as JSON: address, cause, API call, what is left behind, and a hint.

use super::ansi::painted;
use crate::model::{CallError, ErrorKind, Event, LeftBehind, PlanRefusal, StepError, StepState, hanging};
use serde_json::{Value, json};

/// Maximum number of blocked resources that are named.
const MAX_BLOCKED: usize = 6;

fn left(problem: &StepError) -> Option<&'static str> {
    problem.address.as_ref()?;
    match problem.left {
        // A refusal is no failed create.
        LeftBehind::Nothing | LeftBehind::Unchanged if problem.error.class == ErrorKind::Refused => None,
        LeftBehind::Nothing => Some("nothing was created"),
        LeftBehind::Unchanged => Some("nothing was changed"),
        LeftBehind::Changed => {
            Some("it stands as before, or changed in part; the next run resumes from here")
        }
        LeftBehind::Kept => Some("not deleted, and recorded; the next run resumes from here"),
        LeftBehind::Recorded => Some("created and recorded; the next run resumes from here"),
        LeftBehind::Unknown => Some("unknown: the next run looks for it first"),
    }
}

/// Returns an error as text for people.
pub fn as_text(problem: &StepError, colour: bool) -> String {
    let error = &problem.error;
    let place = problem.address.as_ref().map(|address| format!("{address}: ")).unwrap_or_default();
    let message = if error.message.is_empty() { &error.code } else { &error.message };
    // Messages of servers and logs have lines of their own, which must not look like lines of this program.
    let mut text = format!("{} {}", painted(colour, "31;1", "error:"), hanging(&format!("{place}{message}")));
    let mut add = |name: &str, value: &str| {
        let name = painted(colour, "2", &format!("{name}:"));
        text.push_str(&format!("\n  {name} {}", hanging(value)));
    };
    if !error.operation.is_empty() {
        let request = error.request_id.as_ref().map(|id| format!(", request {id}")).unwrap_or_default();
        let code = if error.code.is_empty() { String::new() } else { format!(" answered {}", error.code) };
        add("call", &format!("{}:{}{code}{request}", error.service, error.operation));
    }
    if let Some(left) = left(problem) {
        add("left behind", left);
    }
    if let Some(hint) = &error.hint {
        add("hint", hint);
    }
    text
}

/// Returns a refusal as the error that it is for programs and people.
fn refused(refusal: &PlanRefusal) -> StepError {
    let error = CallError::new(ErrorKind::Refused, refusal.reason.clone()).hint(refusal.hint.clone());
    StepError::at(&refusal.address, error, LeftBehind::Nothing)
}

/// Returns a refusal as text for people.
pub fn refusal_text(refusal: &PlanRefusal, colour: bool) -> String {
    let mut text = as_text(&refused(refusal), colour);
    let (shown, more) = refusal.blocks.split_at(refusal.blocks.len().min(MAX_BLOCKED));
    if !shown.is_empty() {
        let names: Vec<_> = shown.iter().map(ToString::to_string).collect();
        let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        text.push_str(&format!(
            "\n  {} {}{more}",
            painted(colour, "2", "not planned either:"),
            names.join(", ")
        ));
    }
    text
}

/// Returns a refusal as JSON for programs.
pub fn refusal_json(refusal: &PlanRefusal) -> Value {
    let mut line = as_json(&refused(refusal));
    if let Some(map) = line.as_object_mut() {
        map.insert("blocks".to_owned(), json!(refusal.blocks));
    }
    line
}

/// Returns an error as JSON for programs.
pub fn as_json(problem: &StepError) -> Value {
    let error = &problem.error;
    json!({
        "type": "error",
        "class": error.class.name(),
        "address": problem.address,
        "service": error.service,
        "operation": error.operation,
        "code": error.code,
        "message": error.message,
        "requestId": error.request_id,
        "hint": error.hint,
        "left": problem.left.name(),
    })
}

/// Returns an event as JSON for programs.
pub fn event_json(event: &Event) -> Value {
    match event {
        Event::RunStarted { steps, forecast } => json!({
            "type": "run", "state": "started", "steps": steps, "expectedSeconds": forecast.whole().as_secs(),
        }),
        Event::Step { address, kind, stage, action, verb, state } => {
            let (state, reason) = match state {
                StepState::Started => ("started", None),
                StepState::Waiting(reason) => ("waiting", Some(reason)),
                StepState::Done => ("done", None),
            };
            json!({
                "type": "step", "address": address, "kind": kind, "stage": stage, "action": action,
                "verb": verb, "state": state, "reason": reason,
            })
        }
        Event::StepFailed { kind, stage, action, verb, problem } => json!({
            "type": "step", "address": problem.address, "kind": kind, "stage": stage, "action": action,
            "verb": verb, "state": "failed", "reason": problem.error.message,
        }),
        Event::Stopping => json!({"type": "run", "state": "stopping"}),
        Event::Notice(text) => json!({"type": "notice", "message": text}),
        Event::RunEnded { done, failed, left } => json!({
            "type": "run", "state": "ended", "create": done.create, "update": done.update, "replace": done.replace,
            "delete": done.delete, "adopt": done.adopt, "failed": failed, "left": left,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::as_text;
    use crate::model::{Address, CallError, ErrorKind, LeftBehind, StepError};

    #[test]
    fn an_error_names_the_address_the_call_what_is_left_and_a_hint() {
        let error = CallError {
            service: "ec2".to_owned(),
            operation: "CreateNatGateway".to_owned(),
            code: "NatGatewayLimitExceeded".to_owned(),
            request_id: Some("0f1e".to_owned()),
            ..CallError::new(ErrorKind::Quota, "the limit of 5 NAT gateways is reached")
        };
        let address = Address::from("network/nat/eu-central-1a");
        let lefts = [
            LeftBehind::Nothing,
            LeftBehind::Recorded,
            LeftBehind::Changed,
            LeftBehind::Unchanged,
            LeftBehind::Kept,
            LeftBehind::Unknown,
        ];
        let mut errors: Vec<StepError> =
            lefts.iter().map(|left| StepError::at(&address, error.clone(), *left)).collect();
        errors.push(
            CallError::new(ErrorKind::Refused, "the stack is protected").hint("set `protect: false`").into(),
        );
        let text: Vec<String> = errors.iter().map(|error| as_text(error, false)).collect();
        insta::assert_snapshot!(text.join("\n"), @r"
        error: network/nat/eu-central-1a: the limit of 5 NAT gateways is reached
          call: ec2:CreateNatGateway answered NatGatewayLimitExceeded, request 0f1e
          left behind: nothing was created
        error: network/nat/eu-central-1a: the limit of 5 NAT gateways is reached
          call: ec2:CreateNatGateway answered NatGatewayLimitExceeded, request 0f1e
          left behind: created and recorded; the next run resumes from here
        error: network/nat/eu-central-1a: the limit of 5 NAT gateways is reached
          call: ec2:CreateNatGateway answered NatGatewayLimitExceeded, request 0f1e
          left behind: it stands as before, or changed in part; the next run resumes from here
        error: network/nat/eu-central-1a: the limit of 5 NAT gateways is reached
          call: ec2:CreateNatGateway answered NatGatewayLimitExceeded, request 0f1e
          left behind: nothing was changed
        error: network/nat/eu-central-1a: the limit of 5 NAT gateways is reached
          call: ec2:CreateNatGateway answered NatGatewayLimitExceeded, request 0f1e
          left behind: not deleted, and recorded; the next run resumes from here
        error: network/nat/eu-central-1a: the limit of 5 NAT gateways is reached
          call: ec2:CreateNatGateway answered NatGatewayLimitExceeded, request 0f1e
          left behind: unknown: the next run looks for it first
        error: the stack is protected
          hint: set `protect: false`
        ");
    }
}
