//! The journal: one future owns the state during a run and applies records to it. Records that arrive during a write are
//! written together with the next one. While a store that may become reachable does not take the state, the write is
//! repeated and no step starts.

use super::{
    budget::{self, Backoff, Pace},
    shutdown::{ShutdownPhase, ShutdownSignal},
};
use crate::{
    model::{CallError, ErrorKind, Record, Snapshot},
    store::Register,
};
use std::time::Duration;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

/// The state as one run sees it, and the register that it is written to.
pub struct StateWriter {
    /// The state, with all records applied, including those that could not be written.
    pub snapshot: Snapshot,
    /// Where it is written.
    pub register: Register,
}

impl StateWriter {
    /// Applies the records and writes the state.
    ///
    /// # Errors
    /// The state could not be written.
    pub async fn record(&mut self, records: impl IntoIterator<Item = Record>) -> Result<(), CallError> {
        records.into_iter().for_each(|record| self.snapshot.apply(record));
        self.register.write(&mut self.snapshot).await
    }
}

enum Message {
    Record(Record, Option<oneshot::Sender<Result<(), CallError>>>),
    Close,
}

/// Whether the state can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    /// All records were written, or the last write has not failed.
    Writing,
    /// The last write failed, and is repeated.
    Repeating,
    /// The write is not repeated any more: no step starts.
    Failed,
}

/// Handle of the journal; clones refer to the same one.
#[derive(Clone)]
pub(super) struct Journal {
    sender: mpsc::UnboundedSender<Message>,
    health: watch::Receiver<Health>,
}

/// The records of a journal, on their way into the state.
pub(super) struct JournalEntries {
    receiver: mpsc::UnboundedReceiver<Message>,
    health: watch::Sender<Health>,
}

/// How the writes of a journal ended.
pub(super) struct Written {
    /// Why a write failed for so long that no further step was started, or why the last one failed.
    pub error: Option<CallError>,
    /// Whether all records were written in the end.
    pub saved: bool,
}

impl Journal {
    /// Returns a journal, and its records for [`JournalEntries::write_to`].
    pub(super) fn new() -> (Self, JournalEntries) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let (health, seen) = watch::channel(Health::Writing);
        (Journal { sender, health: seen }, JournalEntries { receiver, health })
    }

    /// Adds a record without waiting. Records are written in the order of their arrival, so a later
    /// [`commit`](Self::commit) that succeeds covers this one.
    pub(super) fn note(&self, record: Record) {
        // Records are received until `close`, which nothing follows: none is lost here.
        let _ = self.sender.send(Message::Record(record, None));
    }

    /// Adds a record and waits until it is written.
    ///
    /// # Errors
    /// The state could not be written, now or before: no resource may be created any more.
    pub(super) async fn commit(&self, record: Record) -> Result<(), CallError> {
        let (sender, receiver) = oneshot::channel();
        let _ = self.sender.send(Message::Record(record, Some(sender)));
        receiver.await.unwrap_or_else(|_| Err(CallError::bug("the journal is closed")))
    }

    /// Returns whether steps may start: the last write did not fail.
    pub(super) fn takes_records(&self) -> bool {
        *self.health.borrow() == Health::Writing
    }

    /// Returns whether a write that failed is being repeated, so that steps may start later.
    pub(super) fn is_repeating(&self) -> bool {
        *self.health.borrow() == Health::Repeating
    }

    /// Completes when no write is being repeated.
    pub(super) async fn decided(&self) {
        // An error means that the journal has ended, and is a decision, too.
        let _ = self.health.clone().wait_for(|health| *health != Health::Repeating).await;
    }

    /// Ends [`JournalEntries::write_to`] after the records so far.
    pub(super) fn close(&self) {
        let _ = self.sender.send(Message::Close);
    }
}

/// The repetition of a write that failed.
struct Repeats {
    since: Instant,
    pauses: Backoff,
}

impl Repeats {
    /// Returns the pause before the next attempt; none if the write that failed with `error` is not repeated.
    fn pause(&mut self, error: &CallError, pace: Pace) -> Option<Duration> {
        let patience = pace.of(budget::patience(error.class)?);
        let pause = self.pauses.next()?;
        (self.since.elapsed() < patience).then_some(pause)
    }
}

impl JournalEntries {
    /// Applies the records to the state and writes it, until the journal is closed. A write that fails is repeated for as
    /// long as a call that fails in the same way, until `shutdown`.
    pub(super) async fn write_to(
        mut self,
        writer: &mut StateWriter,
        pace: Pace,
        shutdown: &ShutdownSignal,
    ) -> Written {
        let mut failed: Option<CallError> = None;
        let mut given_up: Option<CallError> = None;
        let mut repeats: Option<Repeats> = None;
        let mut pause: Option<Duration> = None;
        let mut waiting = Vec::new();
        let (mut unwritten, mut closed) = (false, false);
        while !closed {
            let mut next = tokio::select! {
                message = self.receiver.recv() => match message {
                    None => break,
                    message => message,
                },
                () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => None,
                () = shutdown.reached(ShutdownPhase::Draining), if pause.is_some() => None,
            };
            while let Some(message) = next {
                match message {
                    Message::Record(record, sender) => {
                        writer.snapshot.apply(record);
                        unwritten = true;
                        waiting.extend(sender);
                    }
                    Message::Close => closed = true,
                }
                next = self.receiver.try_recv().ok();
            }
            // A state that another run has written stays lost; an unreachable store may become reachable.
            let lost = failed.as_ref().is_some_and(|error| error.class == ErrorKind::Lost);
            if unwritten && !lost {
                failed = writer.register.write(&mut writer.snapshot).await.err();
                unwritten = failed.is_some();
            }
            let ends = closed || shutdown.state() > ShutdownPhase::Running;
            pause = match &failed {
                Some(error) if !ends && given_up.is_none() => repeats
                    .get_or_insert_with(|| Repeats { since: Instant::now(), pauses: Backoff::polling(pace) })
                    .pause(error, pace),
                _ => None,
            };
            if failed.is_none() {
                repeats = None;
            }
            if pause.is_none() && !ends && given_up.is_none() {
                given_up.clone_from(&failed);
            }
            let health = match (&failed, &given_up, pause) {
                (_, _, Some(_)) => Health::Repeating,
                (None, None, None) => Health::Writing,
                _ => Health::Failed,
            };
            self.health.send_replace(health);
            if pause.is_none() {
                for sender in waiting.drain(..) {
                    let _ = sender.send(failed.clone().map_or(Ok(()), Err));
                }
            }
        }
        Written { saved: failed.is_none(), error: failed.or(given_up) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Owner, Phase},
        store::{MemoryState, StateStore},
    };
    use serde_json::json;
    use std::sync::Arc;

    #[tokio::test(start_paused = true)]
    async fn records_that_come_together_are_written_together_and_in_order() {
        let store = Arc::new(MemoryState::default());
        let snapshot = Snapshot::new(&Owner { stack: "s".into(), lineage: "l".into() }, "1", "r");
        let register = Register::new(store.clone(), "run", 1);
        let mut writer = StateWriter { snapshot, register };
        let (journal, entries) = Journal::new();
        let run = async {
            for n in 0..50 {
                journal.note(Record::Output("n".into(), json!(n)));
            }
            journal.commit(Record::Phase(Phase::Destroying)).await.unwrap();
            assert!(store.versions() <= 2, "{} writes for 51 records", store.versions());
            journal.close();
        };
        let shutdown = ShutdownSignal::default();
        let ((), written) = tokio::join!(run, entries.write_to(&mut writer, Pace::default(), &shutdown));
        assert_eq!((written.saved, written.error), (true, None));
        let stored = Snapshot::decode(&store.read().await.unwrap().unwrap().bytes).unwrap();
        assert_eq!((stored.outputs.get("n"), stored.phase), (Some(&json!(49)), Phase::Destroying));
    }
}
