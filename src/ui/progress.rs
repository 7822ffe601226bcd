//! A run while it runs: bars on a terminal, a log elsewhere, JSON lines for programs.

use super::Ui;
use crate::model::{Action, Address, Event, StepState};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::sync::mpsc::UnboundedReceiver;

/// Shows events as they come.
pub struct Progress {
    ui: Ui,
    bars: MultiProgress,
    whole: Option<ProgressBar>,
    steps: BTreeMap<Address, Line>,
    /// What each step was last said to wait for, to a program.
    waits: BTreeMap<Address, String>,
    started: Instant,
}

struct Line {
    bar: Option<ProgressBar>,
    since: Instant,
    waits: String,
}

/// Shows events until the last sender is gone.
pub async fn follow(ui: Ui, mut events: UnboundedReceiver<Event>) {
    let mut progress = Progress::new(ui);
    while let Some(event) = events.recv().await {
        progress.show(&event);
    }
}

fn verb(action: Action, done: bool) -> &'static str {
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
    /// Nothing shown yet.
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

    /// One more event.
    pub fn show(&mut self, event: &Event) {
        if self.ui.json {
            if self.is_news(event) {
                self.ui.event(event);
            }
            return;
        }
        match event {
            Event::RunStarted { steps } => self.begin(*steps),
            Event::Step { address, action, state, .. } => match state {
                StepState::Started => self.started(address, *action),
                StepState::Waiting(reason) => self.waiting(address, reason),
                StepState::Done => self.done(address, *action),
            },
            Event::StepFailed { action, problem, .. } => {
                if let Some(address) = &problem.address {
                    let line = self.end(address);
                    let text = format!("{address}: {} failed after {}", verb(*action, false), seconds(line));
                    self.log(&self.ui.paint("31", &text));
                }
            }
            Event::Stopping => {
                self.log("stopping: finishing the calls in flight; once more to leave at once");
            }
            Event::Notice(text) => self.log(text),
            Event::RunEnded { .. } => {
                if let Some(whole) = self.whole.take() {
                    whole.finish_and_clear();
                }
                let _ = self.bars.clear();
            }
        }
    }

    /// Whether a program does not know it yet: what is waited for is said once, however often it is looked at.
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

    fn started(&mut self, address: &Address, action: Action) {
        let bar = self.whole.as_ref().map(|whole| {
            let bar = self.bars.insert_before(whole, ProgressBar::new_spinner());
            bar.set_style(style("  {spinner} {elapsed:>4} {prefix} {wide_msg}"));
            bar.set_prefix(format!("{} {address}", verb(action, false)));
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
            Some(bar) => bar.set_message(format!("({reason})")),
            None if news || self.ui.verbose > 1 => self.ui.say(&format!("{address}: waiting ({reason})")),
            None => {}
        }
    }

    fn done(&mut self, address: &Address, action: Action) {
        let line = self.end(address);
        let text = format!("{address}: {} in {}", verb(action, true), seconds(line));
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

    /// A line above the bars.
    fn log(&self, text: &str) {
        if self.whole.is_some() {
            let _ = self.bars.println(text);
        } else {
            self.ui.say(text);
        }
    }
}

/// `0.4 s`, `75 s`.
fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(10) {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} s", time.as_secs())
    }
}
