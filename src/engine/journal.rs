//! The journal: one task owns the state and folds records in. What arrives during a write goes together in the next.

use crate::{
    model::{Class, Fault, Record, Snapshot},
    store::Register,
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::sync::{mpsc, oneshot};

enum Message {
    Record(Record, Option<oneshot::Sender<Result<(), Fault>>>),
    Close(oneshot::Sender<Closed>),
}

/// What is left when a journal is closed.
pub struct Closed {
    /// The state with every record folded in, also those that could not be written.
    pub snapshot: Snapshot,
    /// The register, for the next journal.
    pub register: Register,
    /// Why the last write failed, if it did.
    pub failed: Option<Fault>,
}

/// The way into the journal; copies lead to the same one.
#[derive(Clone)]
pub struct Journal {
    sender: mpsc::UnboundedSender<Message>,
    broken: Arc<AtomicBool>,
}

impl Journal {
    /// Starts the task that owns `snapshot` and `register`.
    pub fn open(snapshot: Snapshot, register: Register) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let broken = Arc::new(AtomicBool::new(false));
        tokio::spawn(keep(snapshot, register, receiver, Arc::clone(&broken)));
        Journal { sender, broken }
    }

    /// Hands a record in without waiting. Records are written in the order in which they come, so a later
    /// [`commit`](Self::commit) that succeeds covers this one.
    pub fn note(&self, record: Record) {
        // The task ends only with the last sender, or after `close`, when nobody notes any more.
        let _ = self.sender.send(Message::Record(record, None));
    }

    /// Hands a record in and waits until it is written.
    ///
    /// # Errors
    /// The state could not be written, now or before: nothing more may be created.
    pub async fn commit(&self, record: Record) -> Result<(), Fault> {
        let (sender, receiver) = oneshot::channel();
        let _ = self.sender.send(Message::Record(record, Some(sender)));
        receiver.await.unwrap_or_else(|_| Err(Fault::bug("the journal is closed")))
    }

    /// Whether a write has failed.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Writes what is left and ends the task.
    pub async fn close(self) -> Result<Closed, Fault> {
        let (sender, receiver) = oneshot::channel();
        let _ = self.sender.send(Message::Close(sender));
        receiver.await.map_err(|_| Fault::bug("the journal is closed"))
    }
}

async fn keep(
    mut snapshot: Snapshot,
    mut register: Register,
    mut receiver: mpsc::UnboundedReceiver<Message>,
    broken: Arc<AtomicBool>,
) {
    let mut failed: Option<Fault> = None;
    let mut unwritten = false;
    while let Some(first) = receiver.recv().await {
        let mut next = Some(first);
        let (mut waiting, mut close) = (Vec::new(), None);
        while let Some(message) = next {
            match message {
                Message::Record(record, sender) => {
                    snapshot.apply(record);
                    unwritten = true;
                    waiting.extend(sender);
                }
                Message::Close(sender) => close = Some(sender),
            }
            next = receiver.try_recv().ok();
        }
        // A state that is no longer ours stays so; a store out of reach may come back.
        let lost = failed.as_ref().is_some_and(|fault| fault.class == Class::Lost);
        if unwritten && !lost {
            failed = register.write(&mut snapshot).await.err();
            unwritten = failed.is_some();
        }
        broken.store(failed.is_some(), Ordering::Relaxed);
        for sender in waiting {
            let _ = sender.send(failed.clone().map_or(Ok(()), Err));
        }
        if let Some(sender) = close {
            let _ = sender.send(Closed { snapshot, register, failed });
            return;
        }
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
        let journal = Journal::open(snapshot, Register::new(store.clone(), "run", 1));
        for n in 0..50 {
            journal.note(Record::Output("n".into(), json!(n)));
        }
        journal.commit(Record::Phase(Phase::Destroying)).await.unwrap();
        assert!(store.versions() <= 2, "{} writes for 51 records", store.versions());
        let closed = journal.close().await.unwrap();
        assert_eq!(closed.failed, None);
        let stored = Snapshot::decode(&store.read().await.unwrap().unwrap().bytes).unwrap();
        assert_eq!((stored.outputs.get("n"), stored.phase), (Some(&json!(49)), Phase::Destroying));
    }
}
