//! The first runs of an account and region: several runs create one bucket, and agree in it on who creates the key. The
//! record in the bucket changes by compare-and-swap alone, without a lease; the create is that of `state.rs`. Lost writes
//! and reads back are `Register`'s, and checked there.
//!
//! A run is paused if it takes no step while time passes. One tick is `SEND_WITHIN`.

use super::{
    checker::{Model, Step},
    words::{LAG, ON_ITS_WAY, SETTLE, SETTLE_ALIVE, SIGNATURE},
};

const RUNS: usize = 3;
const INTENTS: usize = 4;

/// What may never happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Two keys were created.
    TwoKeys,
    /// The bucket was encrypted with one key, and then with another.
    AnotherKey,
    /// A key exists that neither the record nor its open intent names.
    Unrecorded,
}

/// What is taken away from the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weak {
    Nothing,
    /// Each run creates a key before it looks into the bucket.
    KeyFirst,
    /// The record is written over whatever is there.
    NoCas,
    /// A run whose intent was refused creates its key all the same.
    IgnoresTheWinner,
    /// A dead winner's call is not waited for.
    NoSettle,
    /// A create is signed when it is sent, and not when its intent was written.
    SignedWhenSent,
}

/// The model: what is weakened, and how much may go wrong.
#[derive(Clone, Copy)]
pub struct Election {
    pub weak: Weak,
    pub runs: usize,
    /// How many attempts at the create there are in all.
    pub intents: usize,
    pub crashes: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum At {
    Out,
    /// `elect_key`, about to read the record.
    Reading,
    /// `Register::write`, about to send.
    Writing,
    /// `Task::create`, the intent written.
    Sending,
    /// `Task::recover`.
    Looking,
    /// The key is known; the bucket is to be encrypted with it.
    Encrypting,
    Done,
    Dead,
}

/// What is being written, and so what comes after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Note {
    None,
    Begin,
    Key,
    Void,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Run {
    at: At,
    /// The version of the record that was read.
    base: u8,
    note: Note,
    /// The intent in hand, or the key that came of it.
    intent: u8,
    /// Ticks until the wait is over.
    wait: u8,
}

const OUT: Run = Run { at: At::Out, base: 0, note: Note::None, intent: 0, wait: 0 };

/// One intent, and the key that came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Intent {
    begun: bool,
    run: u8,
    /// Ticks since it was signed.
    age: u8,
    /// A call on its way: one more than the ticks since it was sent.
    flying: u8,
    /// One more than the ticks since the key was created.
    made: u8,
}

const UNUSED: Intent = Intent { begun: false, run: 0, age: 0, flying: 0, made: 0 };

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    bucket: bool,
    /// The key that the bucket is encrypted with.
    encrypted: u8,
    /// The record: its version, the open intent, and the intent whose key is recorded; zero is none.
    version: u8,
    open: u8,
    key: u8,
    intents: [Intent; INTENTS],
    runs: [Run; RUNS],
    crashes: u8,
}

type Next<'a> = &'a mut dyn FnMut(&'static str, State, Option<Wrong>);

impl State {
    fn with(mut self, run: usize, change: impl FnOnce(&mut Run)) -> Self {
        change(&mut self.runs[run]);
        self
    }

    fn intent(&mut self, number: u8) -> &mut Intent {
        &mut self.intents[usize::from(number - 1)]
    }

    /// The same state, without what has no future: versions count only as the one that is there, or an older one, and
    /// an intent that nothing names and nothing can come of is spent.
    fn canonical(mut self) -> Self {
        for run in &mut self.runs {
            run.base = u8::from(run.base == self.version);
            if run.at == At::Done {
                *run = Run { at: At::Done, ..OUT };
            }
            if run.at != At::Looking {
                run.wait = 0;
            }
        }
        self.version = 1;
        for at in 0..INTENTS {
            let number = u8::try_from(at).unwrap() + 1;
            let named = [self.open, self.key, self.encrypted].contains(&number)
                || self.runs.iter().any(|run| run.intent == number);
            let intent = &mut self.intents[at];
            if intent.begun && !named && intent.made == 0 && intent.flying == 0 {
                *intent = Intent { begun: true, ..UNUSED };
            }
        }
        self
    }

    fn write(self, me: usize, note: Note, intent: u8) -> Self {
        self.with(me, |run| (run.at, run.note, run.intent) = (At::Writing, note, intent))
    }

    /// What is old enough is seen, what is younger perhaps.
    fn look(&self) -> (Option<u8>, bool) {
        let made = self.intents.iter().position(|intent| intent.made > 0);
        let missed = made.is_none_or(|at| self.intents[at].made <= LAG);
        (made.map(|at| u8::try_from(at).unwrap() + 1), missed)
    }
}

impl Election {
    /// AWS creates the key.
    fn make(state: &mut State, number: u8) -> Option<Wrong> {
        let twice = state.intents.iter().any(|intent| intent.made > 0);
        state.intent(number).made = 1;
        twice.then_some(Wrong::TwoKeys)
    }

    /// `Task::begin`: a new intent, to be written.
    fn begin(&self, state: &State, me: usize, next: Next) {
        // Bounded: a run that would need one more intent stands still.
        let Some(at) = state.intents[..self.intents].iter().position(|intent| !intent.begun) else {
            return;
        };
        let mut begun = *state;
        begun.intents[at] = Intent { begun: true, run: u8::try_from(me).unwrap(), ..UNUSED };
        let number = u8::try_from(at).unwrap() + 1;
        if self.weak == Weak::KeyFirst {
            let sending = begun.with(me, |run| (run.at, run.intent) = (At::Sending, number));
            next("create: a key, before the bucket was asked", sending, None);
        } else {
            next("begin: a new intent", begun.write(me, Note::Begin, number), None);
        }
    }

    /// `elect_key`: reads the record, and goes by it.
    fn read(&self, state: &State, me: usize, next: Next) {
        let read = state.with(me, |run| run.base = state.version);
        if state.encrypted != 0 {
            let done = read.with(me, |run| (run.at, run.intent) = (At::Done, state.encrypted));
            next("backend_status: the bucket names its key", done, None);
        } else if state.key != 0 {
            let key = read.with(me, |run| (run.at, run.intent) = (At::Encrypting, state.key));
            next("elect_key: the key is recorded", key, None);
        } else if state.open != 0 {
            let winner = state.intents[usize::from(state.open - 1)];
            let mut wait = |what, ticks: u8| {
                let ticks = if self.weak == Weak::NoSettle { 0 } else { ticks };
                let waiting = read.with(me, |run| {
                    (run.at, run.intent, run.wait) = (At::Looking, state.open, ticks);
                });
                next(what, waiting, None);
            };
            let alive = SETTLE_ALIVE.saturating_sub(winner.age);
            wait("ensure: recover the winner's intent", alive);
            if state.runs[usize::from(winner.run)].at == At::Dead {
                wait("ensure: recover the intent of a dead winner", SETTLE.min(alive));
            }
        } else {
            let (seen, missed) = state.look();
            if let Some(number) = seen {
                next("observe: a key is there; record it", read.write(me, Note::Key, number), None);
            }
            if missed {
                self.begin(&read, me, next);
            }
        }
    }

    /// `Register::write`, and what comes after it.
    fn written(&self, state: &State, me: usize, next: Next) {
        let run = state.runs[me];
        if state.version != run.base && self.weak != Weak::NoCas {
            if self.weak == Weak::IgnoresTheWinner && run.note == Note::Begin {
                let sending = state.with(me, |run| run.at = At::Sending);
                next("create: refused, and sent all the same", sending, None);
            }
            let again = state.with(me, |run| *run = Run { at: At::Reading, ..OUT });
            next("elect_key: another run was first; look again", again, None);
            return;
        }
        let mut taken = *state;
        taken.version += 1;
        (taken.open, taken.key) = match run.note {
            Note::Begin => (run.intent, 0),
            Note::Key => (0, run.intent),
            Note::Void | Note::None => (0, 0),
        };
        let version = taken.version;
        let (what, at) = match run.note {
            Note::Begin => ("write: this run creates the key", At::Sending),
            Note::Key => ("write: the key is recorded", At::Encrypting),
            Note::Void | Note::None => ("write: the intent is closed", At::Reading),
        };
        next(what, taken.with(me, |run| (run.at, run.base) = (at, version)), None);
    }

    /// `Task::create`, the intent written.
    fn create(&self, state: &State, me: usize, next: Next) {
        let number = state.runs[me].intent;
        if state.intents[usize::from(number - 1)].age > SIGNATURE && self.weak != Weak::SignedWhenSent {
            next("create: refused, the signature has expired", state.write(me, Note::Void, number), None);
        } else {
            let mut made = *state;
            let wrong = Self::make(&mut made, number);
            let made = match self.weak {
                Weak::KeyFirst => {
                    made.bucket = true;
                    made.with(me, |run| run.at = At::Encrypting)
                }
                _ => made.write(me, Note::Key, number),
            };
            next("create: created", made, wrong);
        }
        let mut sent = *state;
        sent.intent(number).flying = 1;
        Self::die(&sent, me, "dies, its create on its way", next);
    }

    /// `Task::recover`: looks until the wait is over.
    fn looking(state: &State, me: usize, next: Next) {
        let run = state.runs[me];
        let (seen, missed) = state.look();
        if let Some(number) = seen {
            next("recover: found; record it", state.write(me, Note::Key, number), None);
        }
        let winner = state.intents[usize::from(run.intent - 1)].run;
        if state.runs[usize::from(winner)].at == At::Dead && run.wait > SETTLE {
            let sooner = state.with(me, |run| run.wait = SETTLE);
            next("recover: the winner died meanwhile", sooner, None);
        }
        if missed && run.wait == 0 {
            next("recover: nothing came of it", state.write(me, Note::Void, run.intent), None);
        }
    }

    fn die(state: &State, me: usize, what: &'static str, next: Next) {
        if state.crashes > 0 {
            let state = State { crashes: state.crashes - 1, ..*state };
            next(what, state.with(me, |run| *run = Run { at: At::Dead, ..OUT }), None);
        }
    }

    fn run(&self, state: &State, me: usize, next: Next) {
        match state.runs[me].at {
            At::Done | At::Dead => return,
            // The runs are alike: they begin in the order of their numbers.
            At::Out if me > 0 && state.runs[me - 1].at == At::Out => return,
            At::Out if self.weak == Weak::KeyFirst => self.begin(state, me, next),
            At::Out => {
                let made = State { bucket: true, ..*state };
                let what = match state.bucket {
                    true => "make_backend: the bucket exists",
                    false => "make_backend: create the bucket",
                };
                next(what, made.with(me, |run| run.at = At::Reading), None);
            }
            At::Reading => self.read(state, me, next),
            At::Writing => self.written(state, me, next),
            At::Sending => self.create(state, me, next),
            At::Looking => Self::looking(state, me, next),
            At::Encrypting => {
                let key = state.runs[me].intent;
                let wrong = (state.encrypted != 0 && state.encrypted != key).then_some(Wrong::AnotherKey);
                let done = State { encrypted: key, ..*state }.with(me, |run| run.at = At::Done);
                next("make_backend: encrypt the bucket", done, wrong);
            }
        }
        if state.runs[me].at != At::Out {
            Self::die(state, me, "dies", next);
        }
    }

    /// What no run decides: a call arrives, or is lost; and time passes.
    fn world(&self, state: &State, next: Next) {
        for at in (0..INTENTS).filter(|at| state.intents[*at].flying > 0) {
            let mut landed = *state;
            landed.intents[at].flying = 0;
            next("a late create is lost", landed, None);
            let signed = state.intents[at].age <= SIGNATURE || self.weak == Weak::SignedWhenSent;
            if signed && state.intents[at].flying <= ON_ITS_WAY + 1 {
                let wrong = Self::make(&mut landed, u8::try_from(at).unwrap() + 1);
                next("a late create arrives", landed, wrong);
            }
        }
        let mut later = *state;
        for intent in later.intents.iter_mut().filter(|intent| intent.begun) {
            intent.age = SETTLE_ALIVE.min(intent.age + 1);
            if intent.flying > 0 {
                intent.flying = (intent.flying + 1) % (ON_ITS_WAY + 3);
            }
            if intent.made > 0 {
                intent.made = (LAG + 1).min(intent.made + 1);
            }
        }
        later.runs.iter_mut().for_each(|run| run.wait = run.wait.saturating_sub(1));
        next("time passes", later, None);
    }

    /// A key that was created is named by the record, or by a run that is about to record it.
    fn wrong(&self, state: &State) -> Option<Wrong> {
        let named = |number: u8| {
            let writes = |run: &Run| run.at == At::Writing && run.note == Note::Key && run.intent == number;
            [state.open, state.key].contains(&number) || state.runs.iter().any(writes)
        };
        let lost = (1..).zip(&state.intents).any(|(number, intent)| intent.made > LAG && !named(number));
        (lost && self.weak != Weak::KeyFirst).then_some(Wrong::Unrecorded)
    }
}

impl Model for Election {
    type State = State;
    type Wrong = Wrong;
    const MUST_END: bool = false;

    fn start(&self) -> State {
        State {
            bucket: false,
            encrypted: 0,
            version: 1,
            open: 0,
            key: 0,
            intents: [UNUSED; INTENTS],
            runs: [OUT; RUNS],
            crashes: self.crashes,
        }
    }

    fn steps(&self, state: &State, next: &mut dyn FnMut(Step, State, Option<Wrong>)) {
        let mut tell = |who, what, state: State, wrong: Option<Wrong>| {
            let wrong = wrong.or_else(|| self.wrong(&state));
            next(Step { who, what }, state.canonical(), wrong);
        };
        for me in 0..self.runs {
            self.run(state, me, &mut |what, state, wrong| tell(Some(me), what, state, wrong));
        }
        self.world(state, &mut |what, state, wrong| tell(None, what, state, wrong));
    }

    fn ended(&self, state: &State) -> bool {
        let runs = &state.runs[..self.runs];
        let over = runs.iter().all(|run| matches!(run.at, At::Done | At::Dead));
        over && (state.encrypted != 0 || runs.iter().all(|run| run.at == At::Dead))
    }
}
