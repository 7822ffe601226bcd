//! Holding the lease: taking it, waiting for it, showing life, giving it back.

use super::{budget::Backoff, halt::Halt};
use crate::{
    model::{Class, Event, Fault, HeldBy, Process},
    store::{LeaseStore, Taken},
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::mpsc::UnboundedSender, task::JoinHandle};

/// How long a holder may be silent.
pub const LEASE: Duration = Duration::from_mins(1);
/// How often a holder shows that it lives.
const BEAT: Duration = Duration::from_secs(15);
/// How often a waiter looks.
const WATCH: Duration = Duration::from_secs(2);

/// What a waiter knows of time and of this machine. The engine has no clock that counts suspended time, nor processes.
pub trait Patience: Send + Sync {
    /// Time since boot, suspended time included: a laptop that slept must not believe that no time passed.
    fn since_boot(&self) -> Duration;
    /// Whether the process is certainly dead: of this boot and pid namespace, and no process of that id and start.
    fn is_dead(&self, process: &Process) -> bool;
    /// Whether the process is certainly at work on this machine. A stopped one is not.
    fn is_alive(&self, process: &Process) -> bool;
}

/// The lease while it is held. Its heartbeat ends with it.
pub struct Held {
    store: Arc<dyn LeaseStore>,
    holder: HeldBy,
    beats: JoinHandle<()>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.beats.abort();
    }
}

impl Held {
    /// The number of this holding.
    pub fn fence(&self) -> u64 {
        self.holder.fence
    }

    /// Gives it back. A store that does not answer keeps the lease until it runs out by itself.
    pub async fn release(self) -> Result<(), Fault> {
        self.beats.abort();
        self.store.release(&self.holder).await
    }
}

/// Takes the lease away from a holder that the caller named by its fence.
pub async fn release_for_good(store: &dyn LeaseStore, fence: u64) -> Result<HeldBy, Fault> {
    let item = store.read().await?;
    match item.holder {
        Some(holder) if holder.fence == fence => store.release(&holder).await.map(|()| holder),
        Some(holder) => Err(Fault::new(
            Class::Refused,
            format!("the lease is held under fence {}, not {fence}", holder.fence),
        )
        .hint("look again who holds it: `provisioner state unlock`")),
        None => Err(Fault::new(Class::Refused, "nobody holds the lease")),
    }
}

/// Takes the lease for `me`.
///
/// A holder that shows life is waited for as long as `wait` allows. A silent one is waited out for its whole lease, by
/// this process's own watching of one unchanged record, and taken over; one that is provably dead is taken over at once.
///
/// # Errors
/// [`Class::Locked`] with the holder's name when it lives and `wait` is over.
pub async fn acquire(
    store: Arc<dyn LeaseStore>,
    me: HeldBy,
    at_least: u64,
    wait: Duration,
    patience: &dyn Patience,
    halt: &Halt,
    events: &UnboundedSender<Event>,
) -> Result<Held, Fault> {
    let started = patience.since_boot();
    let mut watched: Option<(HeldBy, Duration)> = None;
    let mut seen_alive = false;
    let mut over: Option<HeldBy> = None;
    let mut backoff = Backoff::default();
    loop {
        if halt.state() > super::Halting::No {
            return Err(Fault::new(Class::Interrupted, "interrupted while waiting for the lease"));
        }
        let there = match store.take(&me, over.as_ref(), at_least).await {
            Ok(Taken::Yes(fence)) => {
                let holder = HeldBy { fence, ..me };
                let beats =
                    tokio::spawn(beat(Arc::clone(&store), holder.clone(), halt.clone(), events.clone()));
                return Ok(Held { store, holder, beats });
            }
            Ok(Taken::No(item)) => item.holder,
            Err(fault) if fault.class == Class::Ambiguous => {
                // The taking may have worked: its record tells the next attempt.
                tokio::time::sleep(backoff.next().unwrap_or(WATCH)).await;
                if patience.since_boot().saturating_sub(started) > LEASE {
                    return Err(fault);
                }
                continue;
            }
            Err(fault) => return Err(fault),
        };
        let Some(there) = there else {
            over = None;
            continue;
        };
        let now = patience.since_boot();
        if patience.is_dead(&there.process) {
            let _ =
                events.send(Event::Notice(format!("taking over from {}: that process is dead", who(&there))));
            over = Some(there);
            continue;
        }
        seen_alive |= patience.is_alive(&there.process);
        let since = match &watched {
            Some((seen, since)) if seen.owner == there.owner && seen.record == there.record => *since,
            Some((seen, _)) => {
                seen_alive |= seen.owner == there.owner;
                now
            }
            None if seen_alive => now,
            None => {
                let silence = Duration::from_millis(there.lease_ms).max(LEASE).as_secs();
                let text = format!("{} holds the lease; watching it for up to {silence} s", who(&there));
                let _ = events.send(Event::Notice(text));
                now
            }
        };
        if seen_alive && now.saturating_sub(started) >= wait {
            return Err(locked(&there));
        }
        let lease = Duration::from_millis(there.lease_ms).max(LEASE);
        let silent = now.saturating_sub(since);
        watched = Some((there.clone(), since));
        over = None;
        if silent >= lease {
            let text = format!("taking over from {}: silent for {} s", who(&there), silent.as_secs());
            let _ = events.send(Event::Notice(text));
            over = Some(there);
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(WATCH) => {}
            () = halt.reached(super::Halting::Drain) => {}
        }
    }
}

/// Who a holder is, for people.
pub fn who(holder: &HeldBy) -> String {
    let (user, process) = (&holder.user, &holder.process);
    let printable = |text: &str| text.chars().filter(|c| !c.is_control()).take(120).collect::<String>();
    format!(
        "{}@{} (pid {}, `{}`, since {}, fence {})",
        printable(user),
        printable(&process.host),
        process.pid,
        printable(&holder.command),
        printable(&holder.since),
        holder.fence
    )
}

fn locked(holder: &HeldBy) -> Fault {
    Fault::new(Class::Locked, format!("the stack is locked by {}", who(holder))).hint(format!(
        "wait until it is done (`--lock-timeout 10m` waits for you); only if that process will never end: \
         `provisioner state unlock {}`",
        holder.fence
    ))
}

/// Shows life until the lease is lost; then the run must end.
async fn beat(store: Arc<dyn LeaseStore>, holder: HeldBy, halt: Halt, events: UnboundedSender<Event>) {
    let mut missed = 0_u32;
    loop {
        tokio::time::sleep(BEAT).await;
        let record = uuid::Uuid::new_v4().to_string();
        match store.beat(&holder, &record).await {
            Ok(()) => missed = 0,
            Err(fault) if fault.class == Class::Lost => {
                let _ =
                    events.send(Event::Notice("the lease was taken by somebody else: stopping".to_owned()));
                halt.drain();
                return;
            }
            Err(_) => missed = missed.saturating_add(1),
        }
        // Three beats unheard: by now a waiter may hold it.
        if missed == 3 {
            let _ = events.send(Event::Notice("the lock table does not answer: stopping".to_owned()));
            halt.drain();
        }
    }
}
