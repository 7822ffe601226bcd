//! The lock of a stack, implemented as a lease: acquire, wait, heartbeat, release.

use super::{
    budget::Backoff,
    host::Host,
    lease_watch::{LEASE, LeaseDecision, LeaseWatch},
    shutdown::{ShutdownPhase, ShutdownSignal},
};
use crate::{
    model::{CallError, ErrorKind, Event, LeaseHolder, one_line, shortened},
    store::{LeaseStore, Taken},
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::mpsc::UnboundedSender, task::JoinHandle, time::Instant};

/// Interval of heartbeats.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);
/// How long the answer to a heartbeat is waited for; a later answer would be useless.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Interval in which a waiter reads the lease.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// Lease of this run. Dropping it ends the heartbeats, but does not release the lease.
pub struct LeaseGuard {
    store: Arc<dyn LeaseStore>,
    holder: LeaseHolder,
    heartbeats: JoinHandle<()>,
}

impl Drop for LeaseGuard {
    fn drop(&mut self) {
        self.heartbeats.abort();
    }
}

impl LeaseGuard {
    /// Returns the fence of the lease.
    pub fn fence(&self) -> u64 {
        self.holder.fence
    }

    /// Releases the lease. If the store does not answer, the lease expires automatically.
    pub async fn release(self) -> Result<(), CallError> {
        self.heartbeats.abort();
        self.store.release(&self.holder).await
    }
}

/// Removes the holder with this fence, for `state unlock`, and returns it.
///
/// # Errors
/// [`ErrorKind::Refused`] if the lease has another fence or no holder.
pub async fn release_for_good(store: &dyn LeaseStore, fence: u64) -> Result<LeaseHolder, CallError> {
    let item = store.read().await?;
    match item.holder {
        Some(holder) if holder.fence == fence => store.release(&holder).await.map(|()| holder),
        Some(holder) => Err(CallError::new(
            ErrorKind::Refused,
            format!("the lock has fence {}, not {fence}", holder.fence),
        )
        .hint("check who holds it with `provisioner state unlock`")),
        None => Err(CallError::new(ErrorKind::Refused, "the stack is not locked")),
    }
}

/// What a run asks of the lock table.
pub struct LeaseRequest {
    /// Who asks; record and fence are set when the lease is acquired.
    pub me: LeaseHolder,
    /// The lowest fence that is accepted.
    pub at_least: u64,
    /// How long to wait for a holder that is alive.
    pub patience: Duration,
}

/// Acquires the lease.
///
/// A silent holder is taken over once this process has seen one unchanged record for the whole lease; a holder whose
/// process has certainly ended is taken over at once (`lease_watch.rs`).
///
/// # Errors
/// [`ErrorKind::Locked`] with the holder if it is still alive when the patience is over; [`ErrorKind::Interrupted`] on
/// shutdown.
pub async fn acquire(
    store: Arc<dyn LeaseStore>,
    request: LeaseRequest,
    host: &dyn Host,
    shutdown: &ShutdownSignal,
    events: &UnboundedSender<Event>,
) -> Result<LeaseGuard, CallError> {
    let tell = |text: String| {
        let _ = events.send(Event::Notice(text));
    };
    let mut answered = host.since_boot();
    let mut watch = LeaseWatch::new(answered, request.patience);
    let mut take_over_from: Option<LeaseHolder> = None;
    let mut backoff = Backoff::default();
    loop {
        if shutdown.state() > ShutdownPhase::Running {
            return Err(CallError::new(ErrorKind::Interrupted, "interrupted while waiting for the lock"));
        }
        let current = match attempt(store.as_ref(), &request, take_over_from.take().as_ref(), host).await {
            Ok(Attempt::Taken(holder, sent)) => {
                let (store_too, holder_too) = (Arc::clone(&store), holder.clone());
                let heartbeats =
                    tokio::spawn(heartbeat(store_too, holder_too, sent, shutdown.clone(), events.clone()));
                return Ok(LeaseGuard { store, holder, heartbeats });
            }
            Ok(Attempt::Held(holder)) => {
                answered = host.since_boot();
                holder
            }
            Err(error) if error.class == ErrorKind::Lost => None,
            Err(error) if error.class == ErrorKind::Ambiguous => {
                // The lease may have been taken: the next attempt knows its record.
                tokio::time::sleep(backoff.next().unwrap_or(POLL_INTERVAL)).await;
                if host.since_boot().saturating_sub(answered) > LEASE {
                    return Err(error);
                }
                continue;
            }
            Err(error) => return Err(error),
        };
        let Some(holder) = current else { continue };
        if holder.owner.is_empty() {
            // No condition can name such a holder, so it could never be taken over.
            let text = "the item of this stack in the lock table has an invalid `owner`";
            let hint = "remove the `owner` attribute from the item if no run is active";
            return Err(CallError::new(ErrorKind::Refused, text).hint(hint));
        }
        let who = describe_holder(&holder);
        match watch.decide(&holder, host.liveness(&holder.process), host.since_boot()) {
            LeaseDecision::Refuse => return Err(locked(&holder)),
            LeaseDecision::TakeOverEnded => {
                tell(format!("taking over from {who}: that process has ended"));
                take_over_from = Some(holder);
                continue;
            }
            LeaseDecision::TakeOverSilent(time) => {
                tell(format!("taking over from {who}: silent for {} s", time.as_secs()));
                take_over_from = Some(holder);
                continue;
            }
            LeaseDecision::Wait(Some(time)) => {
                tell(format!("{who} holds the lock; watching it for up to {} s", time.as_secs()));
            }
            LeaseDecision::Wait(None) => {}
        }
        tokio::select! {
            () = tokio::time::sleep(POLL_INTERVAL) => {}
            () = shutdown.reached(ShutdownPhase::Draining) => {}
        }
    }
}

/// What came of one attempt to take the lease.
enum Attempt {
    /// This run holds it, by a call that was sent at this time.
    Taken(LeaseHolder, Instant),
    /// It was held when the call arrived; without a holder if it has been released since.
    Held(Option<LeaseHolder>),
}

/// Tries once to take the lease, from `over` if that is given.
async fn attempt(
    store: &dyn LeaseStore,
    request: &LeaseRequest,
    over: Option<&LeaseHolder>,
    host: &dyn Host,
) -> Result<Attempt, CallError> {
    // Each attempt has its own record, so that a waiter that watched an earlier one starts again.
    let mut mine = LeaseHolder { record: uuid::Uuid::new_v4().to_string(), ..request.me.clone() };
    let (began, sent) = (host.since_boot(), Instant::now());
    let (fence, already) = match store.take(&mine, over, request.at_least).await? {
        Taken::No(item) => return Ok(Attempt::Held(item.holder)),
        Taken::Already(fence) => (fence, true),
        Taken::Yes(fence) => (fence, false),
    };
    mine.fence = fence;
    let slow = host.since_boot().saturating_sub(began) >= REQUEST_TIMEOUT;
    if !slow && !already {
        return Ok(Attempt::Taken(mine, sent));
    }
    // Others may have watched this record for long: the lease counts from a heartbeat.
    let sent = Instant::now();
    send_heartbeat(store, &mine).await?;
    Ok(Attempt::Taken(mine, sent))
}

/// Returns a holder as text: user, host, process, command, start and fence.
pub fn describe_holder(holder: &LeaseHolder) -> String {
    let (user, process) = (&holder.user, &holder.process);
    let quoted = |text: &str| shortened(&one_line(text), 120).into_owned();
    format!(
        "{}@{} (pid {}, `{}`, since {}, fence {})",
        quoted(user),
        quoted(&process.host),
        process.pid,
        quoted(&holder.command),
        quoted(&holder.since),
        holder.fence
    )
}

fn locked(holder: &LeaseHolder) -> CallError {
    let text = format!("the stack is locked by {}", describe_holder(holder));
    CallError::new(ErrorKind::Locked, text).hint(format!(
        "wait until it has finished, or pass `--lock-timeout 10m`; only if that process will never finish, run \
         `provisioner state unlock {}`",
        holder.fence
    ))
}

/// Sends heartbeats until the lease is lost, then stops the run. `heard` is the time at which the last
/// answered call was sent.
async fn heartbeat(
    store: Arc<dyn LeaseStore>,
    holder: LeaseHolder,
    mut heard: Instant,
    shutdown: ShutdownSignal,
    events: UnboundedSender<Event>,
) {
    let mut told = false;
    let mut next = heard + HEARTBEAT_INTERVAL;
    loop {
        tokio::time::sleep_until(next).await;
        let sent = Instant::now();
        next = sent + HEARTBEAT_INTERVAL;
        match send_heartbeat(store.as_ref(), &holder).await {
            Ok(()) => (heard, told) = (sent, false),
            Err(error) if error.class == ErrorKind::Lost => {
                let _ = events.send(Event::Notice("another run took over the lock: stopping".to_owned()));
                shutdown.drain();
                return;
            }
            // A waiter may take the lease over soon.
            Err(_) if heard.elapsed() >= LEASE.saturating_sub(HEARTBEAT_INTERVAL) && !told => {
                let _ = events.send(Event::Notice("the lock table does not answer: stopping".to_owned()));
                shutdown.drain();
                told = true;
            }
            Err(_) => {}
        }
    }
}

/// Sends one heartbeat with a new record.
async fn send_heartbeat(store: &dyn LeaseStore, holder: &LeaseHolder) -> Result<(), CallError> {
    let record = uuid::Uuid::new_v4().to_string();
    let answer = tokio::time::timeout(REQUEST_TIMEOUT, store.heartbeat(holder, &record)).await;
    answer.unwrap_or_else(|_| Err(CallError::new(ErrorKind::Ambiguous, "the lock table does not answer")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::Liveness,
        model::Process,
        store::{LeaseItem, MemoryLease, memory::Mishap},
    };
    use async_trait::async_trait;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::mpsc::unbounded_channel;

    /// Lock table that answers heartbeats after the delay `slow`.
    #[derive(Default)]
    struct Table {
        lease: MemoryLease,
        slow: Duration,
        heartbeats: AtomicUsize,
    }

    #[async_trait]
    impl LeaseStore for Table {
        async fn read(&self) -> Result<LeaseItem, CallError> {
            self.lease.read().await
        }

        async fn take(
            &self,
            holder: &LeaseHolder,
            over: Option<&LeaseHolder>,
            at_least: u64,
        ) -> Result<Taken, CallError> {
            self.lease.take(holder, over, at_least).await
        }

        async fn heartbeat(&self, holder: &LeaseHolder, record: &str) -> Result<(), CallError> {
            self.heartbeats.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(self.slow).await;
            self.lease.heartbeat(holder, record).await
        }

        async fn release(&self, holder: &LeaseHolder) -> Result<(), CallError> {
            self.lease.release(holder).await
        }
    }

    struct Clock(Instant);

    impl Host for Clock {
        fn epoch_seconds(&self) -> i64 {
            0
        }

        fn since_boot(&self) -> Duration {
            self.0.elapsed()
        }

        fn liveness(&self, _: &Process) -> Liveness {
            Liveness::Unknown
        }
    }

    async fn take(table: &Arc<Table>, shutdown: &ShutdownSignal) -> LeaseGuard {
        let me = LeaseHolder { owner: "run".into(), ..LeaseHolder::default() };
        let store: Arc<dyn LeaseStore> = Arc::<Table>::clone(table);
        let clock = Clock(Instant::now());
        let (events, _kept) = unbounded_channel();
        let request = LeaseRequest { me, at_least: 0, patience: Duration::ZERO };
        acquire(store, request, &clock, shutdown, &events).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_table_that_hangs_stops_the_run_before_others_may_take_over() {
        let (table, shutdown) =
            (Arc::new(Table { slow: LEASE * 10, ..Table::default() }), ShutdownSignal::default());
        let held = take(&table, &shutdown).await;
        tokio::time::timeout(LEASE, shutdown.reached(ShutdownPhase::Draining)).await.unwrap();
        held.release().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_holder_whose_heartbeats_are_answered_now_and_then_keeps_the_lease() {
        let (table, shutdown) = (Arc::new(Table::default()), ShutdownSignal::default());
        let _held = take(&table, &shutdown).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        for _ in 0..20 {
            table.lease.next(Mishap::LostAnswer);
            table.lease.next(Mishap::LostRequest);
            tokio::time::sleep(HEARTBEAT_INTERVAL * 3).await;
        }
        assert_eq!(
            (shutdown.state(), table.heartbeats.load(Ordering::Relaxed) >= 59),
            (ShutdownPhase::Running, true)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_whose_acquisition_was_not_answered_counts_from_a_heartbeat() {
        let (table, shutdown) = (Arc::new(Table::default()), ShutdownSignal::default());
        table.lease.next(Mishap::LostAnswer);
        let held = take(&table, &shutdown).await;
        assert_eq!((held.fence(), table.heartbeats.load(Ordering::Relaxed)), (1, 1));
    }
}
