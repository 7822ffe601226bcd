//! `doctor`: whether an `up` has what it needs, before it begins.

mod capacity;
mod place;
mod rights;

use super::{
    args::Global,
    exit::{Exit, Failure},
    session::Session,
};
use crate::{
    model::{Class, Fault, Graph, Snapshot},
    ui::Ui,
};
use serde_json::json;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Ok,
    /// `up` may do without it.
    Warn,
    /// `up` would not get through.
    Fail,
    /// It could not be checked.
    Unknown,
}

/// One check.
pub struct Check {
    name: &'static str,
    state: State,
    text: String,
    to_do: Option<String>,
}

impl Check {
    fn new(name: &'static str, state: State, text: impl Into<String>) -> Self {
        Check { name, state, text: text.into(), to_do: None }
    }

    fn then(self, to_do: impl Into<String>) -> Self {
        Check { to_do: Some(to_do.into()), ..self }
    }

    /// What became of a question: that the caller may not ask it is no finding about the stack.
    fn of(name: &'static str, answer: Result<Check, Fault>) -> Self {
        match answer {
            Ok(check) => check,
            Err(fault) if matches!(fault.class, Class::Denied | Class::Unsupported) => {
                Check::new(name, State::Unknown, format!("not checked: {}", fault.message))
            }
            Err(fault) => Check { to_do: fault.hint.clone(), ..Check::new(name, State::Fail, fault.message) },
        }
    }

    fn show(&self, ui: Ui) {
        let (word, colour) = match self.state {
            State::Ok => ("ok", "32"),
            State::Warn => ("warning", "33"),
            State::Fail => ("failed", "31"),
            State::Unknown => ("unknown", "33"),
        };
        if ui.json {
            ui.line(json!({"type": "check", "name": self.name, "state": word, "message": self.text, "hint": self.to_do}));
            return;
        }
        let shown = Ui { colour: ui.colour && ui.data_is_shown(), ..ui };
        ui.data(&format!("{} {:15} {}", shown.paint(colour, &format!("{word:8}")), self.name, self.text));
        if let Some(to_do) = &self.to_do {
            ui.data(&format!("{:24} to do: {to_do}", ""));
        }
    }
}

/// What the checks look at.
pub struct Patient<'a> {
    session: &'a Session,
    snapshot: &'a Snapshot,
    graph: &'a Graph,
}

impl Patient<'_> {
    /// How many resources of a kind `up` would add.
    fn new_ones(&self, kind: &str) -> usize {
        let of_kind = self.graph.nodes.values().filter(|node| node.kind == kind);
        of_kind.filter(|node| !self.snapshot.resources.contains_key(&node.address)).count()
    }
}

/// Asks everything, and prints each answer.
pub async fn run(global: &Global, ui: Ui) -> Result<Exit, Failure> {
    // The file and the credentials come first: without them there is nothing to ask, and the error says all.
    let session = Session::open(global, ui).await?;
    ui.tell(&format!("Checks for {}", session.place()));
    let mut states = Vec::new();
    let mut show = |check: Check| {
        check.show(ui);
        states.push(check.state);
    };
    show(Check::new("file", State::Ok, format!("{} is valid", global.stack.display())));
    show(Check::new("credentials", State::Ok, session.identity.arn.clone()));
    let there = session.backend_is_there().await;
    let backend = match &there {
        Ok(true) => Check::new("backend", State::Ok, format!("s3://{} is there", session.backend.bucket)),
        Ok(false) => {
            let text = format!("s3://{} is not there yet; the first `up` makes it", session.backend.bucket);
            Check::new("backend", State::Ok, text)
                .then("that takes the rights of `provisioner policy --bootstrap`")
        }
        Err(failure) => Check::new("backend", State::Fail, failure.to_string()),
    };
    show(backend);
    let mut snapshot = session.snapshot(&mut session.register(0)).await?;
    // Zones, versions, add-ons and releases are asked as `plan` asks them: its errors show place and remedy.
    let graph = session.graph(&mut snapshot).await?;
    let patient = Patient { session: &session, snapshot: &snapshot, graph: &graph };
    show(place::offers(&patient));
    if session.stack.cluster.is_some() {
        show(place::door(&patient));
    }
    if !session.stack.node_groups.is_empty() {
        show(Check::of("instance types", capacity::types(&patient).await));
    }
    for check in capacity::quotas(&patient).await {
        show(check);
    }
    show(Check::of("permissions", rights::check(&patient, matches!(there, Ok(true))).await));
    let failed = states.iter().filter(|state| **state == State::Fail).count();
    let unsure = states.iter().filter(|state| matches!(state, State::Warn | State::Unknown)).count();
    if ui.json {
        ui.line(json!({"type": "doctor", "failed": failed, "warnings": unsure, "checks": states.len()}));
    } else {
        ui.say(&match (failed, unsure) {
            (0, 0) => "all well: `provisioner up` has what it needs".to_owned(),
            (0, _) => format!("{unsure} to look at; nothing that stops `up`"),
            _ => format!("{failed} of {} checks failed; nothing was changed", states.len()),
        });
    }
    Ok(if failed > 0 { Exit::Failed } else { Exit::Done })
}
