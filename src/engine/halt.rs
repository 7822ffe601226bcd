//! How a run is told to end early.

use crate::model::Event;
use std::time::Duration;
use tokio::sync::{mpsc::UnboundedSender, watch};

/// How far the wish to end has gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Halting {
    /// Nobody wishes it.
    #[default]
    No,
    /// Start nothing new, finish the calls in flight, wait for nothing.
    Drain,
    /// Save and leave within two seconds.
    Now,
}

/// A wish that can be heard everywhere, and only grows.
#[derive(Clone, Debug)]
pub struct Halt {
    sender: watch::Sender<Halting>,
}

impl Default for Halt {
    fn default() -> Self {
        Halt { sender: watch::Sender::new(Halting::No) }
    }
}

impl Halt {
    /// One step further: from running to draining, from draining to leaving.
    pub fn escalate(&self) {
        self.sender.send_modify(|halting| {
            *halting = match halting {
                Halting::No => Halting::Drain,
                Halting::Drain | Halting::Now => Halting::Now,
            }
        });
    }

    /// At least draining.
    pub fn drain(&self) {
        self.sender.send_modify(|halting| *halting = (*halting).max(Halting::Drain));
    }

    /// Drains after this time, and says so.
    pub fn after(&self, time: Duration, events: UnboundedSender<Event>) {
        let halt = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(time) => {
                    let _ = events.send(Event::Notice("the time given with --timeout is over".to_owned()));
                    halt.drain();
                }
                () = events.closed() => {}
            }
        });
    }

    /// How far it has gone.
    pub fn state(&self) -> Halting {
        *self.sender.borrow()
    }

    /// Returns when it has gone at least as far as `least`.
    pub async fn reached(&self, least: Halting) {
        let mut receiver = self.sender.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = receiver.wait_for(|halting| *halting >= least).await;
    }
}
