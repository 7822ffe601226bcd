//! The lease: taking, beating, watching, taking over, giving back, between processes that pause and die, over
//! a network that loses and delays. One tick is one `BEAT` of `src/engine/lease.rs`.
//!
//! What it shows: a holder that works is never robbed, two that work never overlap, and whatever happens, the
//! lease is free again in the end. What it leaves out: safety, which is the state's (`state.rs`), where a
//! lease is stolen at any moment.

use super::checker::{Model, Step};

/// `engine::LEASE` in ticks: how long a holder may be silent.
pub const LEASE: u8 = 4;
/// `LEASE - HEARTBEAT` in ticks: who has heard nothing for so long drains (`lease::heartbeat`).
pub const DEAF: u8 = 3;
/// In ticks, how long the SDK continues one call (`operation_timeout` in `aws::connect`, 100 s).
const PATIENCE_OF_THE_SDK: u8 = 7;
const RUNS: usize = 3;
const FLYING: usize = 2;

/// What may never happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The lease was taken from a run that had shown life within the lease.
    Robbed,
    /// The lease was taken from a run that is up, was never paused, and continues.
    TwoAtWork,
}

/// What is taken away from the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weak {
    /// Nothing.
    Nothing,
    /// A waiter takes over one beat too early.
    Early,
    /// A waiter watches who holds the lease, and not the record that each beat changes.
    WatchesTheOwner,
    /// A beat is waited for as long as the SDK is patient.
    HangingBeat,
    /// A taking whose answer was lost counts as new when the next one finds it (`Taken::Already`).
    TrustsAnOldTaking,
}

/// The model: what is weakened, and how much may go wrong.
pub struct Lease {
    pub weak: Weak,
    pub runs: usize,
    pub silences: u8,
    pub crashes: u8,
    pub pauses: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum At {
    Out,
    /// In `lease::acquire`.
    Waiting,
    /// The same: an earlier taking worked, at an unknown time.
    Renewing,
    /// Holding it, as far as it knows.
    Running,
    /// `ShutdownSignal::drain` was called: nothing new is begun.
    Draining,
    Ended,
    Dead,
}

/// Who holds it, and the record seen: what a takeover names. Zero: no run.
type Seen = (u8, u8);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Run {
    at: At,
    /// `HeldBy::record` with which it takes.
    record: u8,
    /// The fence under which it beats.
    fence: u8,
    watched: Seen,
    /// Ticks since it saw `watched` first.
    silent: u8,
    /// The next taking names `watched`.
    over: bool,
    /// Ticks since the last beat that was answered.
    heard: u8,
    due: bool,
    hanging: u8,
    paused: bool,
    /// Woken from a pause, and not heard since.
    stale: bool,
}

const OUT: Run = Run {
    at: At::Out,
    record: 0,
    fence: 0,
    watched: (0, 0),
    silent: 0,
    over: false,
    heard: 0,
    due: false,
    hanging: 0,
    paused: false,
    stale: false,
};

/// A call whose answer no run waits for any more, and which may still arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Call {
    None,
    Take { run: u8, record: u8, over: Option<Seen> },
    Beat { run: u8, record: u8, fence: u8 },
    Release { run: u8 },
}

/// `store::Taken`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    Yes,
    Already,
    No,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The item: the holder (one more than its number), its record, its fence.
    owner: u8,
    record: u8,
    fence: u8,
    /// Ticks since the record changed.
    age: u8,
    runs: [Run; RUNS],
    flying: [Call; FLYING],
    silences: u8,
    crashes: u8,
    pauses: u8,
}

impl State {
    fn with(mut self, run: usize, change: impl FnOnce(&mut Run)) -> Self {
        change(&mut self.runs[run]);
        self
    }

    /// A UUID: a number that nothing refers to.
    const FRESH: u8 = u8::MAX;
    /// Another, where one step needs two.
    const FRESH_TOO: u8 = u8::MAX - 1;

    /// The same state, its records and fences named in the order in which they are met, without the calls
    /// that can do nothing any more: what differs in that alone has the same future.
    fn canonical(mut self) -> Self {
        for call in &mut self.flying {
            if matches!(call, Call::Beat { fence, .. } if *fence != self.fence) {
                *call = Call::None;
            }
        }
        self.flying.sort_unstable();
        let (mut records, mut fences) = (Names::default(), Names::default());
        records.name(&mut self.record);
        fences.name(&mut self.fence);
        for run in &mut self.runs {
            records.name(&mut run.record);
            records.name(&mut run.watched.1);
            fences.name(&mut run.fence);
        }
        for call in &mut self.flying {
            match call {
                Call::Take { record, over, .. } => {
                    records.name(record);
                    over.iter_mut().for_each(|over| records.name(&mut over.1));
                }
                Call::Beat { record, fence, .. } => {
                    records.name(record);
                    fences.name(fence);
                }
                Call::None | Call::Release { .. } => {}
            }
        }
        self
    }

    /// Lets a call fly, where there is room.
    fn fly(mut self, call: Call) -> Option<Self> {
        *self.flying.iter_mut().find(|slot| **slot == Call::None)? = call;
        self.flying.sort_unstable();
        Some(self)
    }

    fn set(&mut self, owner: u8, record: u8) {
        (self.owner, self.record, self.age) = (owner, record, 0);
    }
}

/// Numbers in the order in which they are met; zero stays zero.
#[derive(Default)]
struct Names {
    met: [u8; 16],
    count: u8,
}

impl Names {
    fn name(&mut self, number: &mut u8) {
        if *number == 0 {
            return;
        }
        let known = self.met[..usize::from(self.count)].iter().position(|met| met == number);
        let at = known.unwrap_or_else(|| {
            self.met[usize::from(self.count)] = *number;
            self.count += 1;
            usize::from(self.count) - 1
        });
        *number = u8::try_from(at).unwrap() + 1;
    }
}

impl Lease {
    /// `LeaseStore::take`: the conditional update.
    fn take(&self, state: &mut State, run: u8, record: u8, over: Option<Seen>) -> (Taken, Option<Wrong>) {
        let there = (state.owner, state.record);
        if there.0 == run + 1 {
            return (Taken::Already, None);
        }
        let matches = |over: Seen| over == there || (self.weak == Weak::WatchesTheOwner && over.0 == there.0);
        if state.owner != 0 && !over.is_some_and(matches) {
            return (Taken::No, None);
        }
        let robbed = state.owner.checked_sub(1).map(|owner| state.runs[usize::from(owner)]);
        let wrong = robbed.filter(|robbed| robbed.at == At::Running).and_then(|robbed| {
            let unaware = !robbed.paused && !robbed.stale;
            let early = (state.age < LEASE).then_some(Wrong::Robbed);
            early.or(unaware.then_some(Wrong::TwoAtWork))
        });
        state.fence = State::FRESH;
        state.set(run + 1, record);
        (Taken::Yes, wrong)
    }

    fn beat(state: &mut State, run: u8, record: u8, fence: u8) -> bool {
        let holds = state.owner == run + 1 && state.fence == fence;
        if holds {
            state.set(run + 1, record);
        }
        holds
    }

    fn release(state: &mut State, run: u8) {
        if state.owner == run + 1 {
            state.set(0, 0);
        }
    }

    /// `lease::acquire`: one round of its loop.
    fn wait(&self, state: &State, me: usize, next: &mut dyn FnMut(&'static str, State, Option<Wrong>)) {
        let run = state.runs[me];
        let number = u8::try_from(me).unwrap();
        let over = run.over.then_some(run.watched);
        let mut taken = *state;
        match self.take(&mut taken, number, run.record, over) {
            (Taken::Yes, wrong) => {
                let fence = taken.fence;
                let held = taken.with(me, |run| *run = Run { at: At::Running, fence, ..OUT });
                let what = match over {
                    Some(_) => "acquire: take over the watched record",
                    None => "acquire: take",
                };
                next(what, held, wrong);
            }
            (Taken::Already, _) => {
                let trusts = self.weak == Weak::TrustsAnOldTaking;
                let at = if trusts { At::Running } else { At::Renewing };
                let held = taken.with(me, |run| *run = Run { at, fence: taken.fence, ..OUT });
                next("acquire: an earlier taking worked", held, None);
            }
            (Taken::No, _) => {
                let there = (state.owner, state.record);
                let same =
                    run.watched == there || (self.weak == Weak::WatchesTheOwner && run.watched.0 == there.0);
                let enough = if self.weak == Weak::Early { LEASE - 1 } else { LEASE };
                let watching = state.with(me, |run| {
                    if same {
                        run.over = run.silent >= enough;
                    } else {
                        (run.watched, run.silent, run.over) = (there, 0, false);
                    }
                });
                next("acquire: another run holds it; watch the record", watching, None);
                if state.runs[usize::from(state.owner - 1)].at == At::Dead {
                    let dead = state.with(me, |run| (run.watched, run.over) = (there, true));
                    next("acquire: the holder is provably dead", dead, None);
                }
            }
        }
        if let Some(sent) = state.fly(Call::Take { run: number, record: run.record, over })
            && state.silences > 0
        {
            let sent = State { silences: state.silences - 1, ..sent };
            // Each taking has a record of its own.
            let record = State::FRESH;
            next("acquire: take, no answer", sent.with(me, |run| run.record = record), None);
        }
    }

    /// `lease::acquire`, where the lease is ours by a taking of unknown age.
    fn renew(state: &State, me: usize, next: &mut dyn FnMut(&'static str, State, Option<Wrong>)) {
        let fence = state.runs[me].fence;
        let (number, record) = (u8::try_from(me).unwrap(), State::FRESH);
        let again = |state: State| {
            let record = State::FRESH_TOO;
            state.with(me, |run| *run = Run { at: At::Waiting, record, ..OUT })
        };
        let mut renewed = *state;
        if Self::beat(&mut renewed, number, record, fence) {
            next("acquire: renew", renewed.with(me, |run| run.at = At::Running), None);
        } else {
            next("acquire: renew, refused", again(*state), None);
        }
        let beat = Call::Beat { run: number, record, fence };
        if let Some(sent) = state.fly(beat).filter(|_| state.silences > 0) {
            let sent = State { silences: state.silences - 1, ..sent };
            next("acquire: renew, no answer", again(sent), None);
        }
    }

    /// `lease::heartbeat`, and the end of the run.
    fn hold(&self, state: &State, me: usize, next: &mut dyn FnMut(&'static str, State, Option<Wrong>)) {
        let run = state.runs[me];
        let number = u8::try_from(me).unwrap();
        if run.at == At::Running && run.due {
            let record = State::FRESH;
            let mut heard = *state;
            if Self::beat(&mut heard, number, record, run.fence) {
                let heard = heard.with(me, |run| (run.due, run.heard, run.stale) = (false, 0, false));
                next("beat", heard, None);
            } else {
                let lost = state.with(me, |run| *run = Run { at: At::Draining, ..OUT });
                next("beat: refused, another run holds it; drain", lost, None);
            }
            let beat = Call::Beat { run: number, record, fence: run.fence };
            if let Some(sent) = state.fly(beat).filter(|_| state.silences > 0) {
                let sent = State { silences: state.silences - 1, ..sent };
                match self.weak == Weak::HangingBeat {
                    true => {
                        let hangs =
                            sent.with(me, |run| (run.due, run.hanging) = (false, PATIENCE_OF_THE_SDK));
                        next("beat: no answer, and it is waited for", hangs, None);
                    }
                    false => next("beat: no answer", sent.with(me, unheard), None),
                }
            }
            return;
        }
        let ended = |state: State| state.with(me, |run| *run = Run { at: At::Ended, ..OUT });
        let mut freed = *state;
        Self::release(&mut freed, number);
        next("LeaseGuard::release", ended(freed), None);
        if let Some(sent) = state.fly(Call::Release { run: number }).filter(|_| state.silences > 0) {
            next(
                "LeaseGuard::release, no answer",
                ended(State { silences: state.silences - 1, ..sent }),
                None,
            );
        }
    }

    fn run(&self, state: &State, me: usize, next: &mut dyn FnMut(&'static str, State, Option<Wrong>)) {
        let run = state.runs[me];
        if run.paused {
            next("wakes", state.with(me, |run| (run.paused, run.stale, run.due) = (false, true, true)), None);
        } else {
            match run.at {
                // The runs are alike: they begin in the order of their numbers.
                At::Out if me == 0 || state.runs[me - 1].at != At::Out => {
                    let record = State::FRESH;
                    let waiting = state.with(me, |run| *run = Run { at: At::Waiting, record, ..OUT });
                    next("starts", waiting, None);
                }
                At::Waiting => self.wait(state, me, next),
                At::Renewing => Self::renew(state, me, next),
                At::Running | At::Draining => self.hold(state, me, next),
                At::Out | At::Ended | At::Dead => return,
            }
            if run.at == At::Running && state.pauses > 0 {
                let state = State { pauses: state.pauses - 1, ..*state };
                next("is paused", state.with(me, |run| run.paused = true), None);
            }
        }
        if run.at != At::Out && state.crashes > 0 {
            let state = State { crashes: state.crashes - 1, ..*state };
            next("dies", state.with(me, |run| *run = Run { at: At::Dead, ..OUT }), None);
        }
    }
}

fn unheard(run: &mut Run) {
    run.due = false;
    if run.heard >= DEAF {
        *run = Run { at: At::Draining, ..OUT };
    }
}

/// A `BEAT` later. Who is not paused is punctual: its beat comes before the next tick.
fn tick(mut state: State) -> Option<State> {
    let late = |run: &Run| run.at == At::Running && !run.paused && run.due;
    if state.runs.iter().any(late) {
        return None;
    }
    state.age = LEASE.min(state.age + 1);
    for run in &mut state.runs {
        match run.at {
            At::Waiting if run.watched.0 != 0 => run.silent = LEASE.min(run.silent + 1),
            At::Running => {
                run.heard = LEASE.min(run.heard + 1);
                match run.hanging {
                    _ if run.paused => {}
                    0 => run.due = true,
                    1 => unheard(run),
                    _ => {}
                }
                run.hanging = run.hanging.saturating_sub(1);
            }
            _ => {}
        }
    }
    Some(state)
}

impl Model for Lease {
    type State = State;
    type Wrong = Wrong;
    const MUST_END: bool = true;

    fn start(&self) -> State {
        State {
            owner: 0,
            record: 0,
            fence: 0,
            age: 0,
            runs: [OUT; RUNS],
            flying: [Call::None; FLYING],
            silences: self.silences,
            crashes: self.crashes,
            pauses: self.pauses,
        }
    }

    fn steps(&self, state: &State, next: &mut dyn FnMut(Step, State, Option<Wrong>)) {
        let next = &mut |step, state: State, wrong| next(step, state.canonical(), wrong);
        for me in 0..self.runs {
            self.run(state, me, &mut |what, state, wrong| next(Step { who: Some(me), what }, state, wrong));
        }
        for (at, call) in state.flying.iter().enumerate() {
            let mut landed = *state;
            landed.flying[at] = Call::None;
            landed.flying.sort_unstable();
            let (what, wrong) = match *call {
                Call::None => continue,
                Call::Take { run, record, over } => {
                    ("a late take arrives", self.take(&mut landed, run, record, over).1)
                }
                Call::Beat { run, record, fence } => {
                    Self::beat(&mut landed, run, record, fence);
                    ("a late beat arrives", None)
                }
                Call::Release { run } => {
                    Self::release(&mut landed, run);
                    ("a late release arrives", None)
                }
            };
            next(Step { who: None, what }, landed, wrong);
        }
        if let Some(later) = tick(*state) {
            next(Step { who: None, what: "15 s pass" }, later, None);
        }
    }

    fn ended(&self, state: &State) -> bool {
        state.runs.iter().take(self.runs).all(|run| matches!(run.at, At::Ended | At::Dead))
    }
}
