//! Holding the lease: taking it, waiting for it, showing life, giving it back.

use super::{budget::Backoff, halt::Halt};
use crate::{
    model::{Class, Event, Fault, HeldBy, Process},
    store::{LeaseStore, Taken},
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::mpsc::UnboundedSender, task::JoinHandle, time::Instant};

/// How long a holder may be silent.
pub const LEASE: Duration = Duration::from_mins(1);
/// How often a holder shows that it lives.
const BEAT: Duration = Duration::from_secs(15);
/// How long the answer to a beat is waited for: what comes later comes too late.
const ANSWER: Duration = Duration::from_secs(10);
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
    let mut answered = started;
    let mut watched: Option<(HeldBy, Duration)> = None;
    let mut seen_alive = false;
    let mut over: Option<HeldBy> = None;
    let mut backoff = Backoff::default();
    loop {
        if halt.state() > super::Halting::No {
            return Err(Fault::new(Class::Interrupted, "interrupted while waiting for the lease"));
        }
        // Each taking has a record of its own: who watched an earlier one does not know this one.
        let mut mine = HeldBy { record: uuid::Uuid::new_v4().to_string(), ..me.clone() };
        let (began, mut sent) = (patience.since_boot(), Instant::now());
        let mut taken = store.take(&mine, over.as_ref(), at_least).await;
        let slow = patience.since_boot().saturating_sub(began) >= ANSWER;
        if let Ok(Taken::Already(fence) | Taken::Yes(fence)) = taken {
            mine.fence = fence;
            if slow || matches!(taken, Ok(Taken::Already(_))) {
                // Nobody knows how long others have watched this record: the lease counts from a beat.
                sent = Instant::now();
                taken = show_life(store.as_ref(), &mine).await.map(|()| Taken::Yes(fence));
            }
        }
        let there = match taken {
            Ok(Taken::Yes(_) | Taken::Already(_)) => {
                let (store_too, holder) = (Arc::clone(&store), mine.clone());
                let beats = tokio::spawn(beat(store_too, holder, sent, halt.clone(), events.clone()));
                return Ok(Held { store, holder: mine, beats });
            }
            Ok(Taken::No(item)) => {
                answered = patience.since_boot();
                item.holder
            }
            Err(fault) if fault.class == Class::Lost => None,
            Err(fault) if fault.class == Class::Ambiguous => {
                // The taking may have worked: its record tells the next attempt.
                tokio::time::sleep(backoff.next().unwrap_or(WATCH)).await;
                if patience.since_boot().saturating_sub(answered) > LEASE {
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
        if there.owner.is_empty() {
            // No condition can name such a holder, so it could never be taken over from.
            let text = "the lock table's item for this stack has an `owner` that is not a run's";
            let hint = "remove that attribute from the item, when no run is under way";
            return Err(Fault::new(Class::Refused, text).hint(hint));
        }
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

/// Shows life until the lease is lost; then the run must end. `heard`: when the last call that was answered went out.
async fn beat(
    store: Arc<dyn LeaseStore>,
    holder: HeldBy,
    mut heard: Instant,
    halt: Halt,
    events: UnboundedSender<Event>,
) {
    let mut told = false;
    let mut next = heard + BEAT;
    loop {
        tokio::time::sleep_until(next).await;
        let sent = Instant::now();
        next = sent + BEAT;
        match show_life(store.as_ref(), &holder).await {
            Ok(()) => (heard, told) = (sent, false),
            Err(fault) if fault.class == Class::Lost => {
                let _ =
                    events.send(Event::Notice("the lease was taken by somebody else: stopping".to_owned()));
                halt.drain();
                return;
            }
            // Soon a waiter may hold it.
            Err(_) if heard.elapsed() >= LEASE.saturating_sub(BEAT) && !told => {
                let _ = events.send(Event::Notice("the lock table does not answer: stopping".to_owned()));
                halt.drain();
                told = true;
            }
            Err(_) => {}
        }
    }
}

/// One beat. Its answer is not waited for beyond its use.
async fn show_life(store: &dyn LeaseStore, holder: &HeldBy) -> Result<(), Fault> {
    let record = uuid::Uuid::new_v4().to_string();
    let answer = tokio::time::timeout(ANSWER, store.beat(holder, &record)).await;
    answer.unwrap_or_else(|_| Err(Fault::new(Class::Ambiguous, "the lock table does not answer")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::Halting,
        store::{LeaseItem, MemoryLease, memory::Mishap},
    };
    use async_trait::async_trait;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::mpsc::unbounded_channel;

    /// A table that takes its time for beats.
    #[derive(Default)]
    struct Table {
        lease: MemoryLease,
        slow: Duration,
        beats: AtomicUsize,
    }

    #[async_trait]
    impl LeaseStore for Table {
        async fn read(&self) -> Result<LeaseItem, Fault> {
            self.lease.read().await
        }

        async fn take(&self, holder: &HeldBy, over: Option<&HeldBy>, at_least: u64) -> Result<Taken, Fault> {
            self.lease.take(holder, over, at_least).await
        }

        async fn beat(&self, holder: &HeldBy, record: &str) -> Result<(), Fault> {
            self.beats.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(self.slow).await;
            self.lease.beat(holder, record).await
        }

        async fn release(&self, holder: &HeldBy) -> Result<(), Fault> {
            self.lease.release(holder).await
        }
    }

    struct Clock(Instant);

    impl Patience for Clock {
        fn since_boot(&self) -> Duration {
            self.0.elapsed()
        }

        fn is_dead(&self, _: &Process) -> bool {
            false
        }

        fn is_alive(&self, _: &Process) -> bool {
            false
        }
    }

    async fn take(table: &Arc<Table>, halt: &Halt) -> Held {
        let me = HeldBy { owner: "run".into(), ..HeldBy::default() };
        let store: Arc<dyn LeaseStore> = Arc::<Table>::clone(table);
        let clock = Clock(Instant::now());
        let (events, _kept) = unbounded_channel();
        acquire(store, me, 0, Duration::ZERO, &clock, halt, &events).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_table_that_hangs_stops_the_run_before_others_may_take_over() {
        let (table, halt) = (Arc::new(Table { slow: LEASE * 10, ..Table::default() }), Halt::default());
        let held = take(&table, &halt).await;
        tokio::time::timeout(LEASE, halt.reached(Halting::Drain)).await.unwrap();
        held.release().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_holder_that_is_heard_now_and_then_goes_on() {
        let (table, halt) = (Arc::new(Table::default()), Halt::default());
        let _held = take(&table, &halt).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        for _ in 0..20 {
            table.lease.next(Mishap::LostAnswer);
            table.lease.next(Mishap::LostRequest);
            tokio::time::sleep(BEAT * 3).await;
        }
        assert_eq!((halt.state(), table.beats.load(Ordering::Relaxed) >= 59), (Halting::No, true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_taking_that_was_not_answered_counts_from_a_beat() {
        let (table, halt) = (Arc::new(Table::default()), Halt::default());
        table.lease.next(Mishap::LostAnswer);
        let held = take(&table, &halt).await;
        assert_eq!((held.fence(), table.beats.load(Ordering::Relaxed)), (1, 1));
    }
}
