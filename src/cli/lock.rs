//! A command that writes, while it runs: signals, the lease, the screen.

use super::{exit::Failure, machine, session::Session};
use crate::{
    engine::{Halt, Halting, Held, acquire},
    model::{Class, Event, Fault, Snapshot},
    store::{DynamoLease, LeaseStore, Register},
    ui::{Ui, follow},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc::{UnboundedSender, unbounded_channel},
    task::JoinHandle,
};

/// What a writing command is surrounded by.
pub struct Scene {
    /// The wish to end.
    pub halt: Halt,
    /// Where events go.
    pub events: UnboundedSender<Event>,
    ui: Ui,
    printer: JoinHandle<()>,
    signals: JoinHandle<()>,
    signalled: Arc<AtomicBool>,
}

impl Scene {
    /// Starts to listen for signals, and to show events.
    pub fn open(ui: Ui, timeout: Option<Duration>) -> Result<Self, Failure> {
        let halt = Halt::default();
        let (events, receiver) = unbounded_channel();
        let printer = tokio::spawn(follow(ui, receiver));
        let signalled = Arc::new(AtomicBool::new(false));
        let bug =
            |error: std::io::Error| Failure::from(Fault::bug(format!("cannot listen for signals: {error}")));
        let mut interrupt = signal(SignalKind::interrupt()).map_err(bug)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(bug)?;
        let mut hangup = signal(SignalKind::hangup()).map_err(bug)?;
        let (wish, tell, heard) = (halt.clone(), events.clone(), Arc::clone(&signalled));
        if let Some(time) = timeout {
            halt.after(time, events.clone());
        }
        let signals = tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hangup.recv() => {}
                }
                heard.store(true, Ordering::Relaxed);
                wish.escalate();
                let _ = tell.send(Event::Stopping);
            }
        });
        Ok(Scene { halt, events, ui, printer, signals, signalled })
    }

    /// Whether a signal came.
    pub fn signalled(&self) -> bool {
        self.signalled.load(Ordering::Relaxed)
    }

    /// Does something that only reads, unless a signal ends it.
    pub async fn reading<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::select! {
            done = work => done,
            () = self.halt.reached(Halting::Drain) => {
                Err(Fault::new(Class::Interrupted, "interrupted before anything was changed").into())
            }
        }
    }

    /// Asks; a signal is a no.
    pub async fn confirm(&self, question: &str) -> bool {
        let (ui, question) = (self.ui, question.to_owned());
        let asked = tokio::task::spawn_blocking(move || ui.confirm(&question));
        tokio::select! {
            answer = asked => answer.unwrap_or(false),
            () = self.halt.reached(Halting::Drain) => false,
        }
    }

    /// Shows what is still to be shown.
    pub async fn close(self) {
        self.signals.abort();
        let Scene { events, printer, signals, .. } = self;
        // The task that listens holds a sender, too.
        let _ = signals.await;
        drop(events);
        let _ = tokio::time::timeout(Duration::from_secs(1), printer).await;
    }
}

impl Session {
    /// The lease's store.
    pub fn lease(&self) -> DynamoLease {
        DynamoLease::new(self.target.clients.clone(), &self.backend.table, &self.stack.name)
    }

    /// Takes the lease for a state that may not be readable.
    pub async fn hold_alone(&self, scene: &Scene) -> Result<(Held, Register), Failure> {
        let store: Arc<dyn LeaseStore> = Arc::new(self.lease());
        let (me, wait) = (machine::holder(&self.run), self.global.lock_timeout);
        // A lock table that was lost counts from one again; the state remembers better, where it can be read.
        let known = self.snapshot(&mut self.register(0)).await.map_or(0, |snapshot| snapshot.epoch);
        let least = known.saturating_add(1);
        let taking = acquire(store, me, least, wait, &machine::Machine, &scene.halt, &scene.events);
        let held = taking.await?;
        let register = self.register(held.fence());
        Ok((held, register))
    }

    /// Takes the lease, and reads the state under it.
    pub async fn hold(&self, scene: &Scene) -> Result<(Held, Register, Snapshot), Failure> {
        let store: Arc<dyn LeaseStore> = Arc::new(self.lease());
        let mut least = 0;
        loop {
            let me = machine::holder(&self.run);
            let wait = self.global.lock_timeout;
            let taking =
                acquire(Arc::clone(&store), me, least, wait, &machine::Machine, &scene.halt, &scene.events);
            let held = taking.await?;
            let mut register = self.register(held.fence());
            match self.snapshot(&mut register).await {
                // A lock table that was lost counts from one again; the state remembers better.
                Ok(snapshot) if snapshot.epoch >= held.fence() => {
                    least = snapshot.epoch.saturating_add(1);
                    held.release().await?;
                }
                Ok(snapshot) => return Ok((held, register, snapshot)),
                Err(failure) => {
                    give_back(held, self.ui).await;
                    return Err(failure);
                }
            }
        }
    }
}

/// Gives the lease back. Nobody is harmed where that fails: it runs out.
pub async fn give_back(held: Held, ui: Ui) {
    let fence = held.fence();
    let released = tokio::time::timeout(Duration::from_millis(1500), held.release()).await;
    if !matches!(released, Ok(Ok(()))) {
        ui.warn(&format!(
            "the lease (fence {fence}) could not be given back; it runs out by itself within a minute or two"
        ));
    }
}
