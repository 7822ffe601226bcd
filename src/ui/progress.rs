//! The progress of a run: bars on a terminal, a log elsewhere, JSON lines for programs.

use super::{Ui, printer};
use crate::model::{Action, Address, Event, StepState, Verb, hanging, one_line};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::sync::mpsc::UnboundedReceiver;

/// Shows events as they arrive.
pub struct Progress {
    ui: Ui,
    bars: MultiProgress,
    whole: Option<ProgressBar>,
    steps: BTreeMap<Address, Line>,
    /// What each step waits for, as last printed as JSON.
    waits: BTreeMap<Address, String>,
    started: Instant,
}

struct Line {
    bar: Option<ProgressBar>,
    since: Instant,
    waits: String,
}

/// Shows events until the last sender is dropped.
pub async fn follow(ui: Ui, mut events: UnboundedReceiver<Event>) {
    let mut progress = Progress::new(ui);
    while let Some(event) = events.recv().await {
        progress.show(&event);
    }
}

fn verb(action: Action, half: Verb, done: bool) -> &'static str {
    let action = match (action, half) {
        (Action::Replace, Verb::Remove) => Action::Delete,
        _ => action,
    };
    match (action, done) {
        (Action::Create, false) => "creating",
        (Action::Create, true) => "created",
        (Action::Update, false) => "updating",
        (Action::Update, true) => "updated",
        (Action::Replace, false) => "replacing",
        (Action::Replace, true) => "replaced",
        (Action::Delete, false) => "deleting",
        (Action::Delete, true) => "deleted",
        (Action::Adopt, false) => "adopting",
        (Action::Adopt, true) => "adopted",
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Progress {
    /// Returns a display that shows nothing yet.
    pub fn new(ui: Ui) -> Self {
        let target =
            if ui.terminal && !ui.json { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Progress {
            ui,
            bars: MultiProgress::with_draw_target(target),
            whole: None,
            steps: BTreeMap::new(),
            waits: BTreeMap::new(),
            started: Instant::now(),
        }
    }

    /// Shows an event.
    pub fn show(&mut self, event: &Event) {
        if self.ui.json {
            if self.is_news(event) {
                self.ui.event(event);
            }
            return;
        }
        match event {
            Event::RunStarted { steps } => self.begin(*steps),
            Event::Step { address, action, verb, state, .. } => match state {
                StepState::Started => self.started(address, *action, *verb),
                StepState::Waiting(reason) => self.waiting(address, reason),
                StepState::Done => self.done(address, *action, *verb),
            },
            Event::StepFailed { action, verb: half, problem, .. } => {
                if let Some(address) = &problem.address {
                    let line = self.end(address);
                    let text =
                        format!("{address}: {} failed after {}", verb(*action, *half, false), seconds(line));
                    self.log(&self.ui.paint("31", &text));
                }
            }
            Event::Stopping => {
                self.log("stopping: finishing the calls in flight; press Ctrl-C again to exit immediately");
            }
            Event::Notice(text) => self.log(&hanging(text)),
            Event::RunEnded { .. } => {
                if let Some(whole) = self.whole.take() {
                    whole.finish_and_clear();
                }
                let _ = self.bars.clear();
            }
        }
    }

    /// Returns whether an event is new to a program. A reason to wait is printed once, however often it is
    /// polled.
    fn is_news(&mut self, event: &Event) -> bool {
        match event {
            Event::Step { address, state: StepState::Waiting(reason), .. } => {
                self.waits.insert(address.clone(), reason.clone()).as_ref() != Some(reason)
            }
            Event::Step { address, .. } => {
                self.waits.remove(address);
                true
            }
            _ => true,
        }
    }

    fn begin(&mut self, steps: usize) {
        self.started = Instant::now();
        if self.ui.terminal && steps > 0 {
            let bar = self.bars.add(ProgressBar::new(u64::try_from(steps).unwrap_or(u64::MAX)));
            bar.set_style(style("[{elapsed_precise}] {bar:30} {pos}/{len}"));
            bar.enable_steady_tick(Duration::from_millis(500));
            self.whole = Some(bar);
        }
    }

    fn started(&mut self, address: &Address, action: Action, half: Verb) {
        let bar = self.whole.as_ref().map(|whole| {
            let bar = self.bars.insert_before(whole, ProgressBar::new_spinner());
            bar.set_style(style("  {spinner} {elapsed:>4} {prefix} {wide_msg}"));
            bar.set_prefix(format!("{} {}", verb(action, half, false), address));
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        let line = Line { bar, since: Instant::now(), waits: String::new() };
        self.steps.insert(address.clone(), line);
    }

    fn waiting(&mut self, address: &Address, reason: &str) {
        let Some(line) = self.steps.get_mut(address) else { return };
        let news = line.waits != reason;
        reason.clone_into(&mut line.waits);
        match &line.bar {
            Some(bar) => bar.set_message(format!("({})", one_line(reason))),
            None if news || self.ui.verbose > 1 => {
                self.ui.say(&one_line(&format!("{address}: waiting ({reason})")));
            }
            None => {}
        }
    }

    fn done(&mut self, address: &Address, action: Action, half: Verb) {
        let line = self.end(address);
        let text = format!("{address}: {} in {}", verb(action, half, true), seconds(line));
        self.log(&text);
        if let Some(whole) = &self.whole {
            whole.inc(1);
        }
    }

    fn end(&mut self, address: &Address) -> Duration {
        let Some(line) = self.steps.remove(address) else { return Duration::ZERO };
        if let Some(bar) = line.bar {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
        line.since.elapsed()
    }

    /// Prints a line above the bars.
    fn log(&self, text: &str) {
        if self.whole.is_some() {
            let _ = self.bars.println(printer::safe(text, self.ui.colour));
        } else {
            self.ui.say(text);
        }
    }
}

/// Returns a time such as `0.4 s`, `45 s` or `12 min 5 s`.
fn seconds(time: Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        whole @ 10..60 => format!("{whole} s"),
        whole => format!("{} min {} s", whole / 60, whole % 60),
    }
}
