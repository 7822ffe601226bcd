//! One operator: a process with a life of its own. It stands still, it dies, and what lies between it and the cloud, the
//! state and the lease loses calls and answers.

use super::{
    cloud::Cloud,
    decide,
    fate::{Death, Dice, Fate, Moment},
    owner,
    sabotage::Sabotage,
    wires::{Desk, Table, Wire, silence},
};
use crate::{
    engine::{Halt, Held, Patience, Run, Settings, acquire, observe, release_for_good},
    model::{Address, Class, Fault, Graph, HeldBy, Outcome, Process, Snapshot},
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

/// What the operators of one schedule have in common.
#[derive(Clone)]
pub(super) struct Site {
    pub(super) cloud: Cloud,
    pub(super) state: Arc<MemoryState>,
    pub(super) lease: Arc<MemoryLease>,
    /// Every version of the state.
    pub(super) versions: Arc<Mutex<Vec<Vec<u8>>>>,
    /// Processes that have ended.
    ended: Arc<Mutex<BTreeSet<u32>>>,
    /// Beats do not reach the lock table, and nobody is told: who lost the lease goes on.
    pub(super) deaf: bool,
    /// What is switched off.
    pub(super) weak: Sabotage,
    /// What happened, where somebody wants to know.
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

/// A process as its machine sees it.
pub(super) struct Life {
    pub(super) fate: Fate,
    pub(super) site: Site,
    pub(super) dice: Mutex<Dice>,
    /// Its effects so far, and those of them that are creates.
    effects: Mutex<(usize, usize)>,
    thaws: Mutex<Instant>,
    /// Whether its last call to the lock table came to nothing.
    pub(super) missed: Mutex<bool>,
    dead: watch::Sender<bool>,
}

impl Life {
    /// Returns when it is on its feet; never, where it is dead.
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

    /// One effect; the process may stand still or die before it.
    pub(super) async fn effect(&self, create: bool) {
        self.awake().await;
        let (any, creates) = {
            let mut effects = self.effects.lock().unwrap();
            let now = *effects;
            *effects = (now.0 + 1, now.1 + usize::from(create));
            now
        };
        let still = match self.fate.stands {
            Some((Moment::Create(number), time)) if create && number == creates => Some(time),
            Some((Moment::Any(number), time)) if number == any => Some(time),
            _ => None,
        };
        if let Some(time) = still {
            self.tell(|| format!("stands still for {} s", time.as_secs()));
            *self.thaws.lock().unwrap() = Instant::now() + time;
            self.awake().await;
            self.tell(|| "goes on".to_owned());
        }
        if self.fate.death == Death::After(any) {
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
            match self.fate.death {
                Death::At(time) => sleep(time).await,
                _ => pending().await,
            }
        };
        tokio::select! { biased; () = by_count => {}, () = by_time => {} }
        self.dead.send_replace(true);
    }

    /// Keeps a line of what happened.
    pub(super) fn tell(&self, what: impl FnOnce() -> String) {
        if let Some(log) = &self.site.log {
            let (time, who) = (self.site.cloud.born.elapsed().as_secs_f64(), self.fate.number);
            log.lock().unwrap().push(format!("{time:>10.3} s  {who}  {}", what()));
        }
    }

    /// Whether `process` is certainly dead, as far as this machine knows.
    fn knows_dead(&self, process: &Process) -> bool {
        process.host == self.fate.host.to_string() && self.site.ended.lock().unwrap().contains(&process.pid)
    }
}

impl Patience for Life {
    fn since_boot(&self) -> Duration {
        self.site.cloud.born.elapsed()
    }

    fn is_dead(&self, process: &Process) -> bool {
        self.knows_dead(process)
    }

    fn is_alive(&self, _: &Process) -> bool {
        false
    }
}

/// Lets an operator with this file live. None: it died.
pub(super) async fn live(site: Site, fate: Fate, dice: Dice, file: Graph) -> Option<Result<Outcome, Fault>> {
    sleep(fate.start).await;
    let life = Arc::new(Life {
        dice: Mutex::new(dice),
        effects: Mutex::default(),
        thaws: Mutex::new(Instant::now()),
        missed: Mutex::default(),
        dead: watch::Sender::new(false),
        site,
        fate,
    });
    life.tell(|| format!("starts on machine {}, wants {}", life.fate.host, names(&file)));
    // What is dead is dropped, with all its steps.
    let ended = tokio::select! {
        biased;
        () = life.died() => None,
        ended = work(&life, &file) => Some(ended),
    };
    life.tell(|| match &ended {
        None => "dies".to_owned(),
        Some(Ok(outcome)) => format!("ends: {}", brief(outcome)),
        Some(Err(fault)) => format!("ends: {fault}"),
    });
    life.dead.send_replace(true);
    life.site.ended.lock().unwrap().insert(life.fate.number);
    ended
}

/// The addresses in a file.
fn names(file: &Graph) -> String {
    let names: Vec<&str> = file.nodes.keys().map(Address::as_str).collect();
    format!("[{}]", names.join(" "))
}

/// How a run ended, in a line.
pub(super) fn brief(outcome: &Outcome) -> String {
    let problems = outcome.report().problems.iter().map(|problem| match &problem.address {
        Some(address) => format!("; {address}: {}", problem.fault.message),
        None => format!("; {}", problem.fault.message),
    });
    let how = match outcome {
        Outcome::Done(_) => "done",
        Outcome::Partial(_) => "in part",
        Outcome::Stopped(_) => "stopped",
    };
    format!("{how}, {} left{}", outcome.report().left, problems.collect::<String>())
}

async fn work(life: &Arc<Life>, graph: &Graph) -> Result<Outcome, Fault> {
    let halt = Halt::default();
    let (signals, halt_too) = (life.fate.signals.clone(), halt.clone());
    let signalled = tokio::spawn(async move {
        for time in signals {
            sleep(time).await;
            after_all_else().await;
            halt_too.escalate();
        }
    });
    let (held, register, snapshot) = hold(life, &halt).await?;
    let world = Wire { life: Arc::clone(life) };
    let observed = observe(&world, graph, &snapshot, false).await?;
    let plan = decide(&life.site.cloud, graph, &snapshot, &observed);
    let (clock, knows) = (life.site.cloud.clone(), Arc::clone(life));
    let settings = Settings {
        parallelism: 4,
        pace: life.site.weak.pace(),
        run: life.fate.number.to_string(),
        process: life.fate.process(),
        is_dead: Arc::new(move |process| knows.knows_dead(process)),
        now: Arc::new(move || clock.now()),
    };
    let (events, _kept) = unbounded_channel();
    let run = Run { world: Arc::new(world), settings, halt, events };
    let (outcome, _) = run.execute(&plan, snapshot, register).await;
    signalled.abort();
    let _ = held.release().await;
    Ok(outcome)
}

/// Lets all that this moment wakes have its turn. A step whose wait ends now has seen that then, before its run is told to
/// stop; which of the two it saw first would hang on chance.
pub(super) async fn after_all_else() {
    for _ in 0..32 {
        yield_now().await;
    }
}

/// Takes the lease, and reads the state under it.
async fn hold(life: &Arc<Life>, halt: &Halt) -> Result<(Held, Register, Snapshot), Fault> {
    let table: Arc<dyn LeaseStore> = Arc::new(Table { life: Arc::clone(life) });
    let run = life.fate.number.to_string();
    let mut least = 0;
    loop {
        if life.fate.steals
            && let Some(holder) = table.read().await?.holder
        {
            let _ = release_for_good(table.as_ref(), holder.fence).await;
        }
        let me = HeldBy {
            owner: run.clone(),
            process: life.fate.process(),
            lease_ms: 60_000,
            ..HeldBy::default()
        };
        let (events, _kept) = unbounded_channel();
        let taking = acquire(Arc::clone(&table), me, least, life.fate.waits, life.as_ref(), halt, &events);
        let held = taking.await?;
        let desk: Arc<dyn StateStore> = Arc::new(Desk { life: Arc::clone(life) });
        let mut register = Register::new(desk, &run, held.fence());
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

/// The first read; who gets no answer runs the command again.
async fn patiently(register: &mut Register) -> Result<Option<Snapshot>, Fault> {
    for _ in 0..8 {
        match register.read().await {
            Err(fault) if fault.class == Class::Ambiguous => sleep(Duration::from_secs(1)).await,
            answer => return answer,
        }
    }
    Err(silence())
}
