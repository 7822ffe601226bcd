//! One operator: a process that may be suspended or die, behind a network that loses calls and answers.

use super::{
    cloud::Cloud,
    decide,
    faulty_network::{RemoteLease, RemoteProvider, RemoteState, silence},
    owner, prepare,
    sabotage::Sabotage,
    scenario::{Death, Moment, Scenario, SeededRng},
};
use crate::{
    engine::{
        Host, LeaseGuard, LeaseRequest, Liveness, Run, Settings, ShutdownSignal, StateWriter, acquire,
        observe, release_for_good,
    },
    model::{Address, CallError, ErrorKind, Graph, LeaseHolder, Outcome, Process, Snapshot},
    store::{LeaseStore, MemoryLease, MemoryState, Register, StateStore},
};
use std::{
    collections::BTreeSet,
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::{mpsc::unbounded_channel, watch},
    task::yield_now,
    time::{Instant, sleep, sleep_until},
};

/// Data that the operators of one schedule share.
#[derive(Clone)]
pub(super) struct Site {
    pub(super) cloud: Cloud,
    pub(super) state: Arc<MemoryState>,
    pub(super) lease: Arc<MemoryLease>,
    /// All versions of the state, oldest first.
    pub(super) versions: Arc<Mutex<Vec<Vec<u8>>>>,
    /// Ids of the processes that have ended.
    ended: Arc<Mutex<BTreeSet<u32>>>,
    /// Whether heartbeats are dropped silently, so that an operator that lost the lease continues.
    pub(super) deaf: bool,
    /// Protection that is switched off.
    pub(super) weak: Sabotage,
    /// Course of the schedule, if it is recorded.
    log: Option<Arc<Mutex<Vec<String>>>>,
}

impl Site {
    pub(super) fn new(cloud: Cloud, deaf: bool, weak: Sabotage, told: bool) -> Self {
        Site {
            cloud,
            state: Arc::default(),
            lease: Arc::default(),
            versions: Arc::default(),
            ended: Arc::default(),
            deaf,
            weak,
            log: told.then(Arc::default),
        }
    }

    pub(super) fn told(&self) -> Vec<String> {
        self.log.as_ref().map(|log| std::mem::take(&mut *log.lock().unwrap())).unwrap_or_default()
    }
}

/// Process as its machine sees it.
pub(super) struct Life {
    pub(super) scenario: Scenario,
    pub(super) site: Site,
    pub(super) rng: Mutex<SeededRng>,
    /// Number of its effects so far, and of those that are creates.
    effects: Mutex<(usize, usize)>,
    thaws: Mutex<Instant>,
    /// Whether its last call to the lock table or the answer was lost.
    pub(super) missed: Mutex<bool>,
    dead: watch::Sender<bool>,
}

impl Life {
    /// Returns when the process is not suspended; never if it is dead.
    pub(super) async fn awake(&self) {
        loop {
            let thaws = *self.thaws.lock().unwrap();
            if *self.dead.borrow() {
                pending::<()>().await;
            }
            if thaws <= Instant::now() {
                return;
            }
            sleep_until(thaws).await;
        }
    }

    /// Counts one effect; the process may be suspended or die before it.
    pub(super) async fn effect(&self, create: bool) {
        self.awake().await;
        let (any, creates) = {
            let mut effects = self.effects.lock().unwrap();
            let now = *effects;
            *effects = (now.0 + 1, now.1 + usize::from(create));
            now
        };
        let still = match self.scenario.stands {
            Some((Moment::Create(number), time)) if create && number == creates => Some(time),
            Some((Moment::Any(number), time)) if number == any => Some(time),
            _ => None,
        };
        if let Some(time) = still {
            self.tell(|| format!("is suspended for {} s", time.as_secs()));
            *self.thaws.lock().unwrap() = Instant::now() + time;
            self.awake().await;
            self.tell(|| "continues".to_owned());
        }
        if self.scenario.death == Death::After(any) {
            self.dead.send_replace(true);
            self.awake().await;
        }
    }

    /// Returns when it dies.
    async fn died(&self) {
        let by_count = async {
            let mut dead = self.dead.subscribe();
            let _ = dead.wait_for(|dead| *dead).await;
        };
        let by_time = async {
            match self.scenario.death {
                Death::At(time) => sleep(time).await,
                _ => pending().await,
            }
        };
        tokio::select! { biased; () = by_count => {}, () = by_time => {} }
        self.dead.send_replace(true);
    }

    /// Adds a line to the course of the schedule, if it is recorded.
    pub(super) fn tell(&self, what: impl FnOnce() -> String) {
        if let Some(log) = &self.site.log {
            let (time, who) = (self.site.cloud.born.elapsed().as_secs_f64(), self.scenario.number);
            log.lock().unwrap().push(format!("{time:>10.3} s  {who}  {}", what()));
        }
    }

    /// Returns whether this machine knows that `process` has ended.
    fn knows_dead(&self, process: &Process) -> bool {
        process.host == self.scenario.host.to_string()
            && self.site.ended.lock().unwrap().contains(&process.pid)
    }
}

impl Host for Life {
    fn epoch_seconds(&self) -> i64 {
        self.site.cloud.now()
    }

    fn since_boot(&self) -> Duration {
        self.site.cloud.born.elapsed()
    }

    fn liveness(&self, process: &Process) -> Liveness {
        match self.knows_dead(process) {
            true => Liveness::Dead,
            false => Liveness::Unknown,
        }
    }
}

/// Runs an operator with this file; none if it died.
pub(super) async fn live(
    site: Site,
    scenario: Scenario,
    rng: SeededRng,
    file: Graph,
) -> Option<Result<Outcome, CallError>> {
    sleep(scenario.start).await;
    let life = Arc::new(Life {
        rng: Mutex::new(rng),
        effects: Mutex::default(),
        thaws: Mutex::new(Instant::now()),
        missed: Mutex::default(),
        dead: watch::Sender::new(false),
        site,
        scenario,
    });
    life.tell(|| format!("starts on machine {}, wants {}", life.scenario.host, names(&file)));
    // A dead operator is dropped with all its steps.
    let ended = tokio::select! {
        biased;
        () = life.died() => None,
        ended = work(&life, &file) => Some(ended),
    };
    life.tell(|| match &ended {
        None => "dies".to_owned(),
        Some(Ok(outcome)) => format!("ends: {}", brief(outcome)),
        Some(Err(error)) => format!("ends: {error}"),
    });
    life.dead.send_replace(true);
    life.site.ended.lock().unwrap().insert(life.scenario.number);
    ended
}

/// Returns the addresses in a file.
fn names(file: &Graph) -> String {
    let names: Vec<&str> = file.nodes.keys().map(Address::as_str).collect();
    format!("[{}]", names.join(" "))
}

/// Returns the outcome of a run in a line.
pub(super) fn brief(outcome: &Outcome) -> String {
    let problems = outcome.report().problems.iter().map(|problem| match &problem.address {
        Some(address) => format!("; {address}: {}", problem.error.message),
        None => format!("; {}", problem.error.message),
    });
    let how = match outcome {
        Outcome::Done(_) => "done",
        Outcome::Partial(_) => "in part",
        Outcome::Stopped(_) => "stopped",
    };
    format!("{how}, {} left{}", outcome.report().left(), problems.collect::<String>())
}

async fn work(life: &Arc<Life>, graph: &Graph) -> Result<Outcome, CallError> {
    let shutdown = ShutdownSignal::default();
    let (signals, shutdown_too) = (life.scenario.signals.clone(), shutdown.clone());
    let signalled = tokio::spawn(async move {
        for time in signals {
            sleep(time).await;
            after_all_else().await;
            shutdown_too.escalate();
        }
    });
    let (held, register, mut snapshot) = hold(life, &shutdown).await?;
    let provider = RemoteProvider { life: Arc::clone(life) };
    let graph = &prepare(&life.site.cloud, graph, &mut snapshot);
    let observed = observe(&provider, graph, &snapshot, false).await?;
    let plan = decide(&life.site.cloud, graph, &snapshot, &observed);
    if let Some(refusal) = plan.refusals.first() {
        let text = format!("{}: {}", refusal.address, refusal.reason);
        let _ = held.release().await;
        return Err(CallError::new(ErrorKind::Refused, text));
    }
    let settings = Settings {
        parallelism: 4,
        pace: life.site.weak.pace(),
        run: life.scenario.number.to_string(),
        process: life.scenario.process(),
        host: Arc::<Life>::clone(life),
        approved: BTreeSet::new(),
        drain: true,
    };
    let (events, _kept) = unbounded_channel();
    let run = Run { provider: Arc::new(provider), settings, shutdown, events };
    let outcome = run.execute(&plan, &mut StateWriter { snapshot, register }).await;
    signalled.abort();
    let _ = held.release().await;
    Ok(outcome)
}

/// Lets all other tasks that are due now run first. Otherwise it would depend on chance whether a step sees
/// the end of its wait or the signal first.
pub(super) async fn after_all_else() {
    for _ in 0..32 {
        yield_now().await;
    }
}

/// Acquires the lease and reads the state under it.
async fn hold(
    life: &Arc<Life>,
    shutdown: &ShutdownSignal,
) -> Result<(LeaseGuard, Register, Snapshot), CallError> {
    let table: Arc<dyn LeaseStore> = Arc::new(RemoteLease { life: Arc::clone(life) });
    let run = life.scenario.number.to_string();
    let mut least = 0;
    loop {
        if life.scenario.steals
            && let Some(holder) = table.read().await?.holder
        {
            let _ = release_for_good(table.as_ref(), holder.fence).await;
        }
        let me = LeaseHolder {
            owner: run.clone(),
            process: life.scenario.process(),
            lease_ms: 60_000,
            ..LeaseHolder::default()
        };
        let (events, _kept) = unbounded_channel();
        let request = LeaseRequest { me, at_least: least, patience: life.scenario.waits };
        let held = acquire(Arc::clone(&table), request, life.as_ref(), shutdown, &events).await?;
        let remote: Arc<dyn StateStore> = Arc::new(RemoteState { life: Arc::clone(life) });
        let mut register = Register::new(remote, &run, held.fence());
        match patiently(&mut register).await?.unwrap_or_else(|| Snapshot::new(&owner(), "1", "r")) {
            snapshot if snapshot.epoch >= held.fence() => {
                least = snapshot.epoch + 1;
                held.release().await?;
            }
            snapshot => {
                life.tell(|| format!("holds fence {} over version {}", held.fence(), snapshot.version));
                return Ok((held, register, snapshot));
            }
        }
    }
}

/// Reads the state, and repeats a read without an answer, as a user would repeat the command.
async fn patiently(register: &mut Register) -> Result<Option<Snapshot>, CallError> {
    for _ in 0..8 {
        match register.read().await {
            Err(error) if error.class == ErrorKind::Ambiguous => sleep(Duration::from_secs(1)).await,
            answer => return answer,
        }
    }
    Err(silence())
}
