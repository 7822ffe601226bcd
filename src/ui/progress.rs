//! The progress of a run: bars on a terminal, a log elsewhere, JSON lines for programs.

use super::{Ui, printer, progress_text as text};
use crate::model::{Action, Address, Event, Forecast, StepId, StepState, Verb, hanging, one_line};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::{
    sync::mpsc::UnboundedReceiver,
    time::{Instant, MissedTickBehavior, interval},
};

/// How often a log tells what is still running.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// How often a terminal updates how much is left.
const REFRESH: Duration = Duration::from_secs(1);

/// The expected duration from which on a log tells that a step starts.
const LONG: Duration = Duration::from_secs(30);

/// Shows events as they arrive.
pub struct Progress {
    ui: Ui,
    bars: MultiProgress,
    whole: Option<ProgressBar>,
    steps: BTreeMap<Address, Line>,
    /// What each step waits for, as last printed as JSON.
    waits: BTreeMap<Address, String>,
    forecast: Forecast,
    ended: BTreeSet<StepId>,
    /// Number of the run's steps.
    count: usize,
    started: Instant,
    /// Where lines go if no bars are shown.
    out: fn(&str, bool),
}

struct Line {
    bar: Option<ProgressBar>,
    id: StepId,
    action: Action,
    since: Instant,
    waits: String,
}

/// Shows events until the last sender is dropped.
pub async fn follow(ui: Ui, events: UnboundedReceiver<Event>) {
    Progress::new(ui).follow(events).await;
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Progress {
    /// Returns a display that shows nothing yet.
    pub fn new(ui: Ui) -> Self {
        let target = if ui.bars { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Progress {
            ui,
            bars: MultiProgress::with_draw_target(target),
            whole: None,
            steps: BTreeMap::new(),
            waits: BTreeMap::new(),
            forecast: Forecast::default(),
            ended: BTreeSet::new(),
            count: 0,
            started: Instant::now(),
            out: printer::say,
        }
    }

    async fn follow(&mut self, mut events: UnboundedReceiver<Event>) {
        let mut beat = interval(if self.ui.bars { REFRESH } else { HEARTBEAT });
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(Event::RunStarted { steps, forecast }) => {
                        self.show(&Event::RunStarted { steps, forecast });
                        beat.reset();
                    }
                    Some(event) => self.show(&event),
                    None => return,
                },
                _ = beat.tick() => self.beat(),
            }
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
            Event::RunStarted { steps, forecast } => self.begin(*steps, forecast),
            Event::Step { address, action, verb, state, .. } => match state {
                StepState::Started => self.started(address, *action, *verb),
                StepState::Waiting(reason) => self.waiting(address, reason),
                StepState::Done => self.done(address, *action, *verb),
            },
            Event::StepFailed { action, verb, problem, .. } => {
                if let Some(address) = &problem.address {
                    let time = self.end(address);
                    self.log(&self.ui.paint("31", &text::failed(address, (*action, *verb), time)));
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
                if self.ui.github && self.count > 0 {
                    self.log("::endgroup::");
                }
                self.count = 0;
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

    fn begin(&mut self, steps: usize, forecast: &Forecast) {
        self.started = Instant::now();
        self.forecast = forecast.clone();
        self.ended.clear();
        self.count = steps;
        if self.ui.bars && steps > 0 {
            let bar = self.bars.add(ProgressBar::new(u64::try_from(steps).unwrap_or(u64::MAX)));
            bar.set_style(style("{elapsed:>5} {bar:20} {pos}/{len} {wide_msg}"));
            bar.enable_steady_tick(Duration::from_millis(500));
            self.whole = Some(bar);
            self.show_left();
        } else if self.ui.github && steps > 0 {
            self.log(&format!("::group::{}", text::heading(steps, forecast.whole())));
        }
    }

    fn started(&mut self, address: &Address, action: Action, verb: Verb) {
        let id = StepId { verb, address: address.clone() };
        let expected = self.forecast.own(&id);
        let bar = self.whole.as_ref().map(|whole| {
            let bar = self.bars.insert_before(whole, ProgressBar::new_spinner());
            bar.set_style(style("{elapsed:>5} {spinner} {wide_msg}"));
            bar.set_message(text::running(address, (action, verb), expected, ""));
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        if bar.is_none() && expected.is_some_and(|time| time >= LONG) {
            self.log(&text::starting(address, (action, verb), expected.unwrap_or_default()));
        }
        let line = Line { bar, id, action, since: Instant::now(), waits: String::new() };
        self.steps.insert(address.clone(), line);
    }

    fn waiting(&mut self, address: &Address, reason: &str) {
        let Some(line) = self.steps.get_mut(address) else { return };
        let news = line.waits != reason;
        reason.clone_into(&mut line.waits);
        let did = (line.action, line.id.verb);
        match &line.bar {
            Some(bar) => bar.set_message(text::running(address, did, self.forecast.own(&line.id), reason)),
            None if (news && self.ui.verbose > 0) || self.ui.verbose > 1 => {
                self.log(&one_line(&format!("{address}: waiting ({reason})")));
            }
            None => {}
        }
    }

    fn done(&mut self, address: &Address, action: Action, verb: Verb) {
        let time = self.end(address);
        self.log(&text::done(address, (action, verb), time));
        if let Some(whole) = &self.whole {
            whole.inc(1);
        }
        self.show_left();
    }

    fn end(&mut self, address: &Address) -> Duration {
        let Some(line) = self.steps.remove(address) else { return Duration::ZERO };
        if let Some(bar) = line.bar {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
        self.ended.insert(line.id);
        line.since.elapsed()
    }

    /// Returns how long the run should still take.
    fn left(&self) -> Duration {
        let running = self.steps.values().map(|line| (line.id.clone(), line.since.elapsed())).collect();
        self.forecast.remaining(&self.ended, &running)
    }

    fn show_left(&self) {
        if let Some(whole) = &self.whole {
            whole.set_message(text::left(self.left()));
        }
    }

    /// Tells that the run continues: how much is left on a terminal, a line elsewhere.
    fn beat(&mut self) {
        if self.ui.bars {
            return self.show_left();
        }
        // The step that the others wait for longest is the one worth naming.
        let left = |line: &Line| {
            let elapsed = line.since.elapsed();
            (self.forecast.left_of(&line.id, elapsed), elapsed)
        };
        let Some(line) = self.steps.values().max_by_key(|line| left(line)) else { return };
        if self.ui.json {
            return;
        }
        let done = format!("{} of {} done", self.ended.len(), self.count);
        let more = self.steps.len().saturating_sub(1);
        self.log(&text::still(&text::Beat {
            address: &line.id.address,
            did: (line.action, line.id.verb),
            elapsed: line.since.elapsed(),
            expected: self.forecast.own(&line.id),
            waits: &line.waits,
            more,
            done: &done,
            left: self.left(),
        }));
    }

    /// Prints a line above the bars.
    fn log(&self, text: &str) {
        if self.whole.is_some() {
            let _ = self.bars.println(printer::safe(text, self.ui.colour));
        } else {
            (self.out)(text, self.ui.colour);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::{Plan, Stage, Step, Totals};
    use std::{cell::RefCell, mem::take};
    use tokio::sync::mpsc::unbounded_channel;

    thread_local! {
        static PRINTED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }

    fn keep(text: &str, _: bool) {
        PRINTED.with_borrow_mut(|lines| lines.push(text.to_owned()));
    }

    fn step(address: &str, after: &[&str]) -> Step {
        Step::example("eks_cluster", Stage::Cluster, address, after)
    }

    fn event(address: &str, state: StepState) -> Event {
        Event::Step {
            address: Address::new(address),
            kind: "eks_cluster".to_owned(),
            stage: Stage::Cluster,
            action: Action::Create,
            verb: Verb::Ensure,
            state,
        }
    }

    /// Returns what is printed of a run of three steps, of which the cluster takes nine minutes.
    async fn printed(ui: Ui) -> String {
        let steps = vec![
            step("network/vpc", &[]),
            step("cluster/eks", &["network/vpc"]),
            step("cluster/node-group/default", &["cluster/eks"]),
        ];
        let plan = Plan { steps, ..Plan::default() };
        let forecast = Forecast::new(&plan, &|step| match step.id.address.as_str() {
            "network/vpc" => Duration::from_secs(2),
            "cluster/eks" => Duration::from_secs(540),
            _ => Duration::from_secs(120),
        });
        let (sender, events) = unbounded_channel();
        let mut progress = Progress::new(ui);
        progress.out = keep;
        let run = async move {
            let send = |event| sender.send(event).unwrap();
            let pause = async |seconds| tokio::time::sleep(Duration::from_secs(seconds)).await;
            send(Event::RunStarted { steps: 3, forecast });
            send(event("network/vpc", StepState::Started));
            pause(1).await;
            send(event("network/vpc", StepState::Done));
            send(event("cluster/eks", StepState::Started));
            for _ in 0..20 {
                send(event("cluster/eks", StepState::Waiting("creating".to_owned())));
                pause(5).await;
            }
            send(event("cluster/eks", StepState::Done));
            send(event("cluster/node-group/default", StepState::Started));
            send(Event::RunEnded { done: Totals::default(), failed: 0, left: 1 });
        };
        tokio::join!(progress.follow(events), run);
        PRINTED.with_borrow_mut(take).join("\n")
    }

    const LOG: Ui =
        Ui { json: false, colour: false, terminal: false, bars: false, github: false, verbose: 0 };

    #[tokio::test(start_paused = true)]
    async fn a_log_has_a_line_for_each_step_and_a_heartbeat() {
        insta::assert_snapshot!(printed(LOG).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_workflow_folds_the_steps_of_a_run() {
        let text = printed(Ui { github: true, ..LOG }).await;
        assert!(text.starts_with("::group::3 steps, about 11 min\n"), "{text}");
        assert!(text.ends_with("\n::endgroup::"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reason_to_wait_is_printed_once_if_more_is_asked_for() {
        let text = printed(Ui { verbose: 1, ..LOG }).await;
        assert_eq!(text.matches("cluster/eks: waiting (creating)").count(), 1, "{text}");
    }
}
