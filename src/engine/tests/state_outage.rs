//! A run whose state cannot be written for a while.

use super::{
    Cloud, CloudFaults, Outcome, Pace, Register, Run, ShutdownSignal, StateWriter, decide, graph, owner,
    settings,
};
use crate::{
    engine::journal::Journal,
    model::{CallError, ErrorKind, Observed, Phase, Record, Snapshot},
    store::{MemoryState, StateStore, Stored},
};
use async_trait::async_trait;
use std::{ops::Range, sync::Arc, time::Duration};
use tokio::{sync::mpsc::unbounded_channel, time::Instant};

/// A state that takes no write at some times.
struct Unreachable {
    state: MemoryState,
    times: Range<Instant>,
    error: ErrorKind,
}

#[async_trait]
impl StateStore for Unreachable {
    async fn read(&self) -> Result<Option<Stored>, CallError> {
        self.state.read().await
    }

    async fn write(&self, bytes: &[u8], expected: Option<&str>) -> Result<String, CallError> {
        if self.times.contains(&Instant::now()) {
            return Err(CallError::new(self.error, "no answer"));
        }
        self.state.write(bytes, expected).await
    }

    fn location(&self) -> String {
        "memory".to_owned()
    }
}

/// Runs the usual graph while no write succeeds from 1 s on for `outage`; with a signal at `signal`.
async fn run_with(outage: Duration, error: ErrorKind, signal: Option<Duration>) -> (Outcome, Duration) {
    // A root whose creation takes longer than the first failed write.
    let cloud = Cloud::new(CloudFaults { lag: Duration::from_secs(3), ..CloudFaults::default() });
    let began = Instant::now();
    let from = began + Duration::from_secs(1);
    let store = Arc::new(Unreachable { state: MemoryState::default(), times: from..from + outage, error });
    let snapshot = Snapshot::new(&owner(), "1", "r");
    let plan = decide(&cloud, &graph(1), &snapshot, &Observed::default());
    let (events, _kept) = unbounded_channel();
    let shutdown = ShutdownSignal::default();
    let settings = settings(&cloud, "one");
    let run = Run { provider: Arc::new(cloud.clone()), settings, shutdown: shutdown.clone(), events };
    let mut writer = StateWriter { snapshot, register: Register::new(store, "one", 1) };
    let signals = async {
        if let Some(after) = signal {
            tokio::time::sleep(after).await;
            shutdown.drain();
        }
    };
    let (outcome, ()) = tokio::join!(run.execute(&plan, &mut writer), signals);
    (outcome, began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_state_that_cannot_be_written_for_a_while_does_not_end_the_run() {
    for error in [ErrorKind::Ambiguous, ErrorKind::Throttled, ErrorKind::Eventual, ErrorKind::Conflict] {
        for seconds in [1, 10, 60, 240] {
            let (outcome, _) = run_with(Duration::from_secs(seconds), error, None).await;
            let done =
                matches!(&outcome, Outcome::Done(report) if report.saved && report.problems.is_empty());
            assert!(done, "{error:?} for {seconds} s: {outcome:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_ends_for_a_state_that_cannot_be_written_names_the_reason() {
    for error in [ErrorKind::Ambiguous, ErrorKind::Denied] {
        let (outcome, _) = run_with(Duration::from_secs(1800), error, None).await;
        let Outcome::Partial(report) = &outcome else { panic!("{error:?}: {outcome:?}") };
        assert_eq!((report.left() > 0, report.saved), (true, false), "{outcome:?}");
        assert!(report.problems.iter().any(|problem| problem.error.class == error), "{outcome:?}");
    }
}

/// A write that is not repeated ends the run, although the last one succeeds.
#[tokio::test(start_paused = true)]
async fn a_write_that_was_refused_is_named_although_a_later_one_succeeds() {
    let now = Instant::now();
    let times = now..now + Duration::from_secs(1);
    let store = Unreachable { state: MemoryState::default(), times, error: ErrorKind::Denied };
    let register = Register::new(Arc::new(store), "one", 1);
    let mut writer = StateWriter { snapshot: Snapshot::new(&owner(), "1", "r"), register };
    let (journal, entries) = Journal::new();
    let run = async {
        let refused = journal.commit(Record::Phase(Phase::Live)).await;
        assert_eq!(refused.map_err(|error| error.class), Err(ErrorKind::Denied));
        tokio::time::sleep(Duration::from_secs(2)).await;
        journal.commit(Record::Phase(Phase::Destroying)).await.unwrap();
        assert!(!journal.takes_records(), "steps that waited for it have failed");
        journal.close();
    };
    let shutdown = ShutdownSignal::default();
    let ((), written) = tokio::join!(run, entries.write_to(&mut writer, Pace::default(), &shutdown));
    assert_eq!((written.saved, written.error.map(|error| error.class)), (true, Some(ErrorKind::Denied)));
}

#[tokio::test(start_paused = true)]
async fn a_signal_ends_the_repetition_of_a_write() {
    let signal = Duration::from_secs(20);
    let (outcome, time) = run_with(Duration::from_secs(1800), ErrorKind::Ambiguous, Some(signal)).await;
    assert!(matches!(&outcome, Outcome::Stopped(report) if !report.saved), "{outcome:?}");
    // One more write, with the attempts of the register.
    assert!(time < signal + Duration::from_secs(40), "{time:?}");
}
