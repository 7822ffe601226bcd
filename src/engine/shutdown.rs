//! The signal that ends a run early.

use crate::model::Event;
use std::time::Duration;
use tokio::sync::{mpsc::UnboundedSender, watch};

/// Phase of a shutdown. Phases only increase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ShutdownPhase {
    /// No shutdown was requested.
    #[default]
    Running,
    /// No new step is started, calls in flight are completed, and all waits end.
    Draining,
    /// The state is saved and the program exits within two seconds.
    Immediate,
}

/// Shutdown request that all tasks of a run share.
#[derive(Clone, Debug)]
pub struct ShutdownSignal {
    sender: watch::Sender<ShutdownPhase>,
}

impl Default for ShutdownSignal {
    fn default() -> Self {
        ShutdownSignal { sender: watch::Sender::new(ShutdownPhase::Running) }
    }
}

impl ShutdownSignal {
    /// Moves to the next phase, as a signal does.
    pub fn escalate(&self) {
        self.sender.send_modify(|phase| {
            *phase = match phase {
                ShutdownPhase::Running => ShutdownPhase::Draining,
                ShutdownPhase::Draining | ShutdownPhase::Immediate => ShutdownPhase::Immediate,
            }
        });
    }

    /// Moves to draining, unless a later phase is reached.
    pub fn drain(&self) {
        self.sender.send_modify(|phase| *phase = (*phase).max(ShutdownPhase::Draining));
    }

    /// Drains after this time with a notice, unless the run ends before.
    pub fn after(&self, time: Duration, events: UnboundedSender<Event>) {
        let shutdown = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(time) => {
                    let _ = events.send(Event::Notice("the time of `--timeout` is over: stopping".to_owned()));
                    shutdown.drain();
                }
                () = events.closed() => {}
            }
        });
    }

    /// Returns the current phase.
    pub fn state(&self) -> ShutdownPhase {
        *self.sender.borrow()
    }

    /// Completes when the phase is `least` or later.
    pub async fn reached(&self, least: ShutdownPhase) {
        let mut receiver = self.sender.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = receiver.wait_for(|phase| *phase >= least).await;
    }
}
