//! The journal: one future owns the state during a run and applies records to it. Records that arrive during a write are
//! written together with the next one.

use crate::{
    model::{CallError, ErrorKind, Record, Snapshot},
    store::Register,
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::sync::{mpsc, oneshot};

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

/// Handle of the journal; clones refer to the same one.
#[derive(Clone)]
pub(super) struct Journal {
    sender: mpsc::UnboundedSender<Message>,
    broken: Arc<AtomicBool>,
}

/// The records of a journal, on their way into the state.
pub(super) struct JournalEntries {
    receiver: mpsc::UnboundedReceiver<Message>,
    broken: Arc<AtomicBool>,
}

impl Journal {
    /// Returns a journal, and its records for [`JournalEntries::write_to`].
    pub(super) fn new() -> (Self, JournalEntries) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let broken = Arc::new(AtomicBool::new(false));
        (Journal { sender, broken: Arc::clone(&broken) }, JournalEntries { receiver, broken })
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

    /// Returns whether the last write failed.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Ends [`JournalEntries::write_to`] after the records so far.
    pub(super) fn close(&self) {
        let _ = self.sender.send(Message::Close);
    }
}

impl JournalEntries {
    /// Applies the records to the state and writes it, until the journal is closed.
    ///
    /// # Errors
    /// The last write failed: what is in `writer` is newer than what is stored.
    pub(super) async fn write_to(mut self, writer: &mut StateWriter) -> Result<(), CallError> {
        let mut failed: Option<CallError> = None;
        let (mut unwritten, mut closed) = (false, false);
        while !closed && let Some(first) = self.receiver.recv().await {
            let mut next = Some(first);
            let mut waiting = Vec::new();
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
            self.broken.store(failed.is_some(), Ordering::Relaxed);
            for sender in waiting {
                let _ = sender.send(failed.clone().map_or(Ok(()), Err));
            }
        }
        failed.map_or(Ok(()), Err)
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
        let ((), written) = tokio::join!(run, entries.write_to(&mut writer));
        assert_eq!(written, Ok(()));
        let stored = Snapshot::decode(&store.read().await.unwrap().unwrap().bytes).unwrap();
        assert_eq!((stored.outputs.get("n"), stored.phase), (Some(&json!(49)), Phase::Destroying));
    }
}
