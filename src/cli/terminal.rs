//! The person or program at the command line: prints what operations tell, and asks what they ask.

use super::{
    consent::{show_blocked, show_changes, show_deletions, show_refusals},
    exit::report,
    global_options::Global,
    last_words::{Ending, conclude},
};
use crate::{
    model::{Action, Address, Plan, Stage, counted_with, hanging, one_line},
    operations::{Message, Operator, Question},
    plan::{change_json, counts, render},
    ui::{Ui, plan_in_colour},
};
use async_trait::async_trait;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// The operator of all commands.
pub struct Terminal {
    /// Where output and prompts appear.
    pub ui: Ui,
    /// Whether the command as a whole was approved with `--yes`.
    yes: bool,
    /// Whether a signal has arrived.
    signalled: AtomicBool,
}

impl Terminal {
    /// Returns the terminal of a command.
    pub fn new(global: &Global, ui: Ui) -> Arc<Self> {
        Arc::new(Terminal { ui, yes: global.yes, signalled: AtomicBool::new(false) })
    }

    /// Returns where last words appear, and whether a signal has arrived.
    pub fn ending(&self) -> Ending {
        Ending { ui: self.ui, signalled: self.signalled.load(Ordering::Relaxed) }
    }

    /// Notes that a signal has arrived.
    pub fn signal(&self) {
        self.signalled.store(true, Ordering::Relaxed);
    }

    async fn confirm(&self, question: String) -> bool {
        let ui = self.ui;
        tokio::task::spawn_blocking(move || ui.confirm(&question)).await.unwrap_or(false)
    }

    async fn ask(&self, question: String) -> String {
        let ui = self.ui;
        tokio::task::spawn_blocking(move || ui.ask(&question)).await.unwrap_or_default()
    }
}

#[async_trait]
impl Operator for Terminal {
    fn tell(&self, message: Message<'_>) {
        let ui = self.ui;
        match message {
            Message::Warning(text) => ui.warn(text),
            Message::Info(text) => ui.tell(&hanging(text)),
            Message::Detail(text) if ui.verbose > 0 => ui.tell(&hanging(text)),
            Message::Detail(_) => {}
            Message::Waiting(text) => ui.tell(&ui.paint("2", &hanging(text))),
            Message::Problem(problem) => ui.problem(problem),
            Message::Failure(error) => _ = report(error, &ui),
            Message::Changes { place, backend, plan, expected } => {
                show_changes(ui, place, [backend, plan], expected);
            }
            Message::Deletions { place, plan } => show_deletions(ui, place, plan),
            Message::Blocked { blocked, all } => show_blocked(ui, blocked, all),
            Message::Adoption(plan) => show_adoption(ui, plan),
            Message::Records { removed, added } => show_records(ui, removed, added),
            Message::Differences(plan) => show_differences(ui, plan),
            Message::Concluded { place, conclusion } => _ = conclude(self.ending(), place, conclusion),
        }
    }

    async fn approve(&self, question: Question<'_>) -> bool {
        if self.yes {
            return question.is_included();
        }
        let text = match question {
            // A warning is enough for a person, who is asked before each stage.
            Question::AnotherStack(text) => {
                self.ui.warn(&format!("{text}; {}", crate::operations::OTHER_STACK_HINT));
                return true;
            }
            Question::Loss(change, loses) => {
                if !self.ui.can_ask() {
                    return false;
                }
                let verb = if change.action == Action::Delete { "deleting" } else { "replacing" };
                let question =
                    format!("{verb} {} loses {loses}. Type the address to confirm:", change.address);
                return self.ask(question).await.trim() == change.address.as_str();
            }
            Question::Strays(strays) => {
                if !self.ui.can_ask() {
                    return false;
                }
                for stray in strays {
                    let line = format!("  - {}  {} {}", stray.address, stray.kind, stray.id);
                    self.ui.say(&one_line(&line));
                }
                format!(
                    "{} the stack's tags, but the state does not record them: anyone who may write tags could have \
                     tagged them. Delete them, too?",
                    counted_with(strays.len(), "resource", ["carries", "carry"])
                )
            }
            Question::Part(stage, plan) => {
                let part = stage.map_or("deletions", Stage::name);
                format!("{part}: {}. Continue?", counts(plan.totals(), false))
            }
            Question::Deletion(place) => format!("Delete all of this from {place}?"),
            Question::BackendRemoval(bucket) => format!(
                "{}: delete bucket {bucket} and its lock table, with all versions of the state?",
                Stage::Backend
            ),
            Question::BackendCreation(bucket, table) => {
                format!("Create s3://{bucket} and lock table {table} for the state?")
            }
            Question::Adoption(id, address) => format!("Adopt {id} as {address}?"),
            Question::Record(id, address) => format!(
                "Record {id} as {address}? The file does not ask for it, so the next `up` deletes it."
            ),
            Question::StateChange(place) => format!("Write this as the state of {place}?"),
        };
        self.confirm(text).await
    }
}

fn show_adoption(ui: Ui, plan: &Plan) {
    show_refusals(ui, std::iter::once(plan));
    if !plan.refusals.is_empty() {
        return;
    }
    if ui.json {
        plan.changes.iter().for_each(|change| ui.line(change_json(change)));
    } else {
        ui.say(plan_in_colour(&ui, &render(plan, false)).trim_end());
        ui.say(&format!("\n{}\n", counts(plan.totals(), false)));
    }
}

fn show_records(ui: Ui, removed: &[Address], added: &[Address]) {
    let list = |mark: &str, addresses: &[Address]| {
        addresses.iter().map(|address| format!("  {mark} {address}\n")).collect::<String>()
    };
    let text = list("-", removed) + &list("+", added);
    if text.is_empty() {
        ui.tell("the recorded resources stay the same");
    } else {
        ui.tell(&format!("Changes to the state; nothing in AWS changes\n{}", text.trim_end()));
    }
}

fn show_differences(ui: Ui, plan: &Plan) {
    if ui.json {
        plan.changes.iter().for_each(|change| ui.line(change_json(change)));
    } else if !plan.is_empty() {
        let text = counts(plan.totals(), false);
        ui.tell(&format!(
            "the file differs from the resources found: {text}; run `provisioner plan` to see how"
        ));
    }
}
