//! The state and the creates: the fence, compare-and-swap with write id and read-back, the intent written
//! ahead, the create sent once, and the recovery of one whose outcome is unknown. One resource, runs that come
//! one after another or together, each of which may be paused or die anywhere. The lease itself is in
//! `lease.rs`: here it may be stolen at any moment, which is more than the real one allows.
//!
//! A run is paused where it takes no step while time passes. One tick is `SEND_WITHIN`.

use super::{
    checker::{Model, Step},
    words::{
        ATTEMPTS, At, Doc, FLYING, INTENTS, Identity, Intent, LAG, NOTHING, Note, OUT, Protocol, Put, RUNS,
        Run, SEND_WITHIN, SETTLE, SETTLE_ALIVE, SIGNATURE, State, UNUSED, Weak, Wrong,
    },
};

type Next<'a> = &'a mut dyn FnMut(&'static str, State, Option<Wrong>);

impl Protocol {
    /// Creates without a token are signed with the intent's time (`aws::once`). Those with a token are, too
    /// (`aws::signed`): the model does without, and has no removals, which need it.
    fn pinned(&self) -> bool {
        self.identity == Identity::OwnerTag && self.weak != Weak::SignedWhenSent
    }

    /// `StateStore::write`: S3 takes it, or answers 412.
    fn put(&self, state: &mut State, (base, doc): Put) -> (bool, Option<Wrong>) {
        if state.doc.id != base && self.weak != Weak::NoCas {
            return (false, None);
        }
        let wrong = if state.doc.id != base {
            Some(Wrong::Fork)
        } else if doc.holding < state.doc.holding && state.lost_tables == self.lost_tables {
            // A table that is lost while two runs are at work takes the order of their holdings with it: the
            // state alone counts then.
            Some(Wrong::WroteAfterTheThief)
        } else {
            None
        };
        state.doc = doc;
        for run in &mut state.runs {
            run.landed |= run.id == doc.id;
        }
        (true, wrong)
    }

    /// AWS makes the resource, or knows the token.
    fn make(&self, state: &mut State, number: u8) -> Option<Wrong> {
        let knows = self.identity == Identity::Token && self.weak != Weak::FreshToken;
        if knows && state.intent(number).made > 0 {
            return None;
        }
        let twice = state.intents.iter().any(|intent| intent.made > 0);
        state.intent(number).made = 1;
        twice.then_some(Wrong::Duplicate)
    }

    /// `Register::write`, from its begin.
    fn write(state: State, me: usize, note: Note) -> State {
        state.with(me, |run| {
            (run.at, run.note, run.id, run.left) = (At::Writing, note, State::FRESH, ATTEMPTS - 1);
            (run.silent, run.landed) = (false, false);
        })
    }

    /// `Task::begin`, and the journal's `commit` of it.
    fn begin(&self, state: &State, me: usize, next: Next) {
        // Bounded: a run that would need one more intent stands still.
        let Some(at) = state.intents[..self.intents].iter().position(|intent| !intent.begun) else { return };
        let mut begun = *state;
        begun.intents[at] = Intent { begun: true, run: u8::try_from(me).unwrap(), ..UNUSED };
        let number = u8::try_from(at).unwrap() + 1;
        if self.weak == Weak::NoIntent {
            next(
                "create: nothing is written ahead",
                begun.with(me, |run| (run.at, run.intent) = (At::Sending, number)),
                None,
            );
        } else {
            let begun = begun.with(me, |run| (run.intent, run.open) = (number, number));
            next("begin: a new intent", Self::write(begun, me, Note::Begin), None);
        }
    }

    /// `Task::settle` to its end: the entry takes the intent's place.
    fn done(state: State, me: usize, number: u8) -> State {
        Self::write(state.with(me, |run| (run.open, run.done) = (0, number)), me, Note::Done)
    }

    /// `Task::recover`, from its begin: how long to look. `gone`: no run will send the call any more, so far
    /// as this run knows.
    fn recover(&self, mut state: State, me: usize, number: u8, gone: bool) -> State {
        let age = state.intent(number).age;
        let alive = SETTLE_ALIVE.saturating_sub(age);
        let wait = match (self.weak, self.identity, gone) {
            // A token keeps a twin from being made: the fifteen seconds are less than a tick.
            (Weak::NoSettle, ..) | (_, Identity::Token, _) => 0,
            (Weak::SettlesFromTheIntent, _, true) => SETTLE.saturating_sub(age),
            (_, _, true) => SETTLE.min(alive),
            (_, _, false) => alive,
        };
        state.with(me, |run| (run.at, run.intent, run.wait) = (At::Looking, number, wait))
    }

    /// `Task::look`: what is old enough is seen, what is younger perhaps.
    fn look(state: &State) -> (Option<u8>, bool) {
        let made = state.intents.iter().position(|intent| intent.made > 0);
        let number = made.map(|at| u8::try_from(at).unwrap() + 1);
        let missed = made.is_none_or(|at| state.intents[at].made <= LAG);
        (number, missed)
    }

    /// Nothing came of the intent in hand.
    fn void(&self, state: &State, me: usize, next: Next) {
        let voided = state.with(me, |run| run.open = 0);
        next("recover: nothing was made; void", Self::write(voided, me, Note::Again), None);
        // The next attempt's record may come during, or before, that write: both in one.
        self.begin(&voided, me, next);
    }

    /// What follows a write that is known to be in the state.
    fn written(&self, state: &State, me: usize, what: &'static str, next: Next) {
        let run = state.runs[me];
        let wrong = (!run.landed).then_some(Wrong::AcknowledgedAndLost);
        let kept = state.with(me, |run| {
            (run.base, run.id, run.left) = (run.id, 0, 0);
            (run.silent, run.landed) = (false, false);
        });
        self.after(&kept, me, what, wrong, next);
    }

    fn after(&self, state: &State, me: usize, what: &'static str, wrong: Option<Wrong>, next: Next) {
        match state.runs[me].note {
            Note::Begin => {
                next(what, state.with(me, |run| (run.at, run.note) = (At::Checking, Note::None)), wrong);
            }
            Note::Claim => {
                next(what, state.with(me, |run| (run.at, run.note) = (At::Repeating, Note::None)), wrong);
            }
            Note::Again => self.begin(state, me, &mut |_, state, also| next(what, state, wrong.or(also))),
            Note::Done | Note::Void | Note::Close | Note::None => next(what, state.ended(me), wrong),
        }
    }

    /// `Register::write` gives up, unlost.
    fn unwritten(&self, state: &State, me: usize, next: Next) {
        match state.runs[me].note {
            Note::Close => next("close: not written; dump", state.ended(me), None),
            // No step waits for this record: the next one takes it along.
            Note::Again => self.begin(state, me, next),
            _ => next("close: write once more", Self::write(*state, me, Note::Close), None),
        }
    }

    /// `hold`: takes the lease, reads the state under it, and takes it again where the state knows a later
    /// fence.
    fn hold(&self, state: &State, me: usize, next: Next) {
        let run = state.runs[me];
        let (doc, beyond) = (state.doc, state.doc.epoch >= run.fence);
        match run.at {
            At::Out | At::Taking if state.takes > 0 => {
                let mut taken = *state;
                (taken.takes, taken.holdings) = (state.takes - 1, state.holdings + 1);
                taken.fence = (state.fence + 1).max(run.least);
                let (fence, holding) = (taken.fence, taken.holdings);
                let taken = taken.with(me, |run| *run = Run { at: At::Reading, fence, holding, ..OUT });
                next("hold: take the lease", taken, None);
            }
            At::Reading if beyond && doc.id != 0 && self.weak != Weak::NoFenceCheck => {
                let again = state.with(me, |run| *run = Run { at: At::Taking, least: doc.epoch + 1, ..OUT });
                next("hold: the state has a later fence; take again", again, None);
            }
            At::Reading => {
                let read = state.with(me, |run| {
                    (run.at, run.base, run.open, run.done) = (At::Planning, doc.id, doc.open, doc.done);
                });
                next("hold: read the state", read, None);
            }
            _ => {}
        }
    }

    /// `observe`, `plan::make`, and the begin of `Task::ensure`.
    fn plan(&self, state: &State, me: usize, next: Next) {
        let run = state.runs[me];
        if run.done != 0 {
            let hollow = state.intents[usize::from(run.done - 1)].made == 0;
            next("plan: no changes", state.ended(me), hollow.then_some(Wrong::Hollow));
        } else if run.open != 0 {
            let owner = usize::from(state.intents[usize::from(run.open - 1)].run);
            let unknown = self.recover(*state, me, run.open, false);
            next("ensure: recover the open intent", unknown, None);
            if state.runs[owner].at == At::Dead {
                let dead = self.recover(*state, me, run.open, true);
                next("ensure: recover the open intent of a dead process", dead, None);
            }
        } else {
            let (seen, missed) = Self::look(state);
            if let Some(number) = seen {
                next("observe: it is there; record it", Self::done(*state, me, number), None);
            }
            if missed {
                self.begin(state, me, next);
            }
        }
    }

    /// `Register::write`.
    fn register(&self, state: &State, me: usize, next: Next) {
        let run = state.runs[me];
        let doc = Doc {
            id: run.id,
            epoch: run.fence,
            run: u8::try_from(me).unwrap(),
            holding: run.holding,
            open: run.open,
            done: run.done,
        };
        if run.at == At::Writing {
            let mut written = *state;
            match self.put(&mut written, (run.base, doc)) {
                (true, None) => self.written(&written, me, "write: taken", next),
                (true, wrong) => next("write: taken", written, wrong),
                (false, _) if self.weak == Weak::NoReadBack => Self::lost(state, me, next),
                (false, _) => {
                    next("write: refused", state.with(me, |run| run.at = At::ReadingBack), None);
                }
            }
            let Some(slot) = state.puts.iter().position(|put| *put == (0, NOTHING)) else { return };
            let mut flying = *state;
            flying.puts[slot] = (run.base, doc);
            if state.lost_writes > 0 {
                let unheard = State { lost_writes: state.lost_writes - 1, ..flying };
                let silent = self.weak == Weak::NoWriteId;
                let unheard = unheard.with(me, |run| (run.at, run.silent) = (At::ReadingBack, silent));
                next("write: no answer", unheard, None);
            }
            Self::die(&flying, me, "dies, its write on its way", next);
            return;
        }
        let there = state.doc;
        if there.id == run.id && self.weak != Weak::NoReadBack {
            self.written(state, me, "write: read back, it is there", next);
        } else if there.id == run.base || self.weak == Weak::NoReadBack {
            if run.left == 0 {
                self.unwritten(state, me, next);
            } else {
                let again = state.with(me, |run| (run.at, run.left) = (At::Writing, run.left - 1));
                next("write: read back, not there; try again", again, None);
            }
        } else if self.weak == Weak::NoWriteId && run.silent {
            self.written(state, me, "write: something else is there, after a silence: taken for ours", next);
        } else if there.run == doc.run && self.weak != Weak::ForgetsItsWrites {
            let again = Self::write(state.with(me, |run| run.base = there.id), me, run.note);
            let again = again.with(me, |again| again.left = run.left.saturating_sub(1));
            next("write: an earlier write of ours is there; continue from it", again, None);
        } else {
            Self::lost(state, me, next);
        }
    }

    fn lost(state: &State, me: usize, next: Next) {
        let itself = usize::from(state.doc.run) == me;
        next("write: lost to another run", state.ended(me), itself.then_some(Wrong::LostToItself));
    }

    /// `Task::create`, the intent written.
    fn create(&self, state: &State, me: usize, next: Next) {
        let number = state.runs[me].intent;
        let mut sent = *state;
        let age = sent.intent(number).age;
        if state.runs[me].at == At::Checking {
            if age >= SEND_WITHIN {
                let late = state.with(me, |run| run.open = 0);
                next("create: too late to send; void", Self::write(late, me, Note::Again), None);
            } else {
                next("create: in time", state.with(me, |run| run.at = At::Sending), None);
            }
            return;
        }
        if self.pinned() && age > SIGNATURE {
            let refused = state.with(me, |run| run.open = 0);
            next("create: refused, the signature has expired", Self::write(refused, me, Note::Void), None);
        } else {
            let mut made = *state;
            let wrong = self.make(&mut made, number);
            next("create: made", Self::done(made, me, number), wrong);
        }
        let twice = self.weak == Weak::SdkRetry;
        sent.intent(number).flying = if twice { [1, 1] } else { [0, 1] };
        let repeats = if twice { "create: no answer; the SDK sends it again" } else { "create: no answer" };
        if state.lost_creates > 0 {
            let unheard = State { lost_creates: state.lost_creates - 1, ..sent };
            let unheard = match self.weak {
                // What the run itself sent, it can look for.
                Weak::NoIntent => unheard.with(me, |run| (run.at, run.wait) = (At::Looking, SETTLE)),
                _ => self.recover(unheard, me, number, true),
            };
            next(repeats, unheard, None);
        }
        Self::die(&sent, me, "dies, its create on its way", next);
    }

    /// `Task::recover`: looks until the wait is over. The clock is read before the last look, and not after
    /// it.
    fn looking(&self, state: &State, me: usize, next: Next) {
        let run = state.runs[me];
        let over = run.wait == 0;
        let (seen, missed) = Self::look(state);
        let late = self.weak == Weak::LooksBeforeTheClock;
        if run.at == At::Judging {
            match over {
                true => self.void(state, me, next),
                false => next("recover: look again", state.with(me, |run| run.at = At::Looking), None),
            }
            return;
        }
        if let Some(number) = seen {
            next("recover: found; record it", Self::done(*state, me, number), None);
        }
        if missed && late {
            next("recover: nothing seen", state.with(me, |run| run.at = At::Judging), None);
        } else if missed && over && self.identity == Identity::Token {
            let number = run.intent;
            let owner = usize::from(state.intents[usize::from(number - 1)].run);
            if owner == me || self.weak == Weak::RepeatsUnclaimed {
                next(
                    "recover: nothing seen; repeat the call",
                    state.with(me, |run| run.at = At::Repeating),
                    None,
                );
            } else {
                let mut claimed = *state;
                claimed.intent(number).run = u8::try_from(me).unwrap();
                next("recover: nothing seen; claim the intent", Self::write(claimed, me, Note::Claim), None);
            }
        } else if missed && over {
            self.void(state, me, next);
        }
    }

    /// `Task::recover`: the same call under the same token.
    fn repeat(&self, state: &State, me: usize, next: Next) {
        let number = state.runs[me].intent;
        let mut made = *state;
        let wrong = self.make(&mut made, number);
        next("recover: repeated, and made or known", Self::done(made, me, number), wrong);
        let mut sent = *state;
        let Some(slot) = sent.intent(number).flying.iter().position(|call| *call == 0) else { return };
        sent.intent(number).flying[slot] = 1;
        if state.lost_creates > 0 {
            next(
                "recover: repeated, no answer",
                State { lost_creates: state.lost_creates - 1, ..sent },
                None,
            );
        }
        Self::die(&sent, me, "dies, its create on its way", next);
    }

    fn die(state: &State, me: usize, what: &'static str, next: Next) {
        if state.crashes > 0 {
            let state = State { crashes: state.crashes - 1, ..*state };
            next(what, state.with(me, |run| *run = Run { at: At::Dead, ..OUT }), None);
        }
    }

    fn run(&self, state: &State, me: usize, next: Next) {
        match state.runs[me].at {
            At::Ended | At::Dead => return,
            // The runs are alike: they begin in the order of their numbers.
            At::Out if me > 0 && state.runs[me - 1].at == At::Out => return,
            At::Out | At::Taking | At::Reading => self.hold(state, me, next),
            At::Planning => self.plan(state, me, next),
            At::Writing | At::ReadingBack => self.register(state, me, next),
            At::Checking | At::Sending => self.create(state, me, next),
            At::Looking | At::Judging => self.looking(state, me, next),
            At::Repeating => self.repeat(state, me, next),
        }
        if state.runs[me].at != At::Out {
            Self::die(state, me, "dies", next);
        }
    }

    /// What no run decides: what is on its way arrives, and the table may be lost.
    fn world(&self, state: &State, next: Next) {
        for (at, put) in state.puts.iter().enumerate().filter(|(_, put)| **put != (0, NOTHING)) {
            let mut landed = *state;
            landed.puts[at] = (0, NOTHING);
            let (taken, wrong) = self.put(&mut landed, *put);
            let what =
                if taken { "a late write arrives and is taken" } else { "a late write arrives, refused" };
            next(what, landed, wrong);
        }
        for (at, intent) in state.intents.iter().enumerate() {
            for slot in (0..FLYING).filter(|slot| intent.flying[*slot] > 0) {
                let mut landed = *state;
                landed.intents[at].flying[slot] = 0;
                let wrong = self.make(&mut landed, u8::try_from(at).unwrap() + 1);
                next("a late create arrives", landed, wrong);
            }
        }
        if state.lost_tables > 0 {
            let lost = State { lost_tables: state.lost_tables - 1, fence: 0, ..*state };
            next("the lock table is lost", lost, None);
        }
        let mut later = *state;
        for intent in later.intents.iter_mut().filter(|intent| intent.begun) {
            intent.age = SETTLE_ALIVE.min(intent.age + 1);
            intent.flying.iter_mut().filter(|call| **call > 0).for_each(|call| *call += 1);
            if intent.made > 0 {
                intent.made = (LAG + 1).min(intent.made + 1);
            }
        }
        later.runs.iter_mut().for_each(|run| run.wait = run.wait.saturating_sub(1));
        next("time passes", later, None);
    }

    /// What is wrong with a state, however it came about. Where there are intents, what is made is named at
    /// every moment; else in the end, when no run is at work that could still record it.
    fn state(&self, state: &State) -> Option<Wrong> {
        let rest = state.runs.iter().all(|run| matches!(run.at, At::Out | At::Ended | At::Dead));
        let named = |number: usize| [state.doc.open, state.doc.done].map(usize::from).contains(&(number + 1));
        let lost = state.intents.iter().enumerate().any(|(number, intent)| intent.made > 0 && !named(number));
        (lost && (rest || self.weak != Weak::NoIntent)).then_some(Wrong::Unrecorded)
    }
}

impl Model for Protocol {
    type State = State;
    type Wrong = Wrong;
    const MUST_END: bool = false;

    fn start(&self) -> State {
        State {
            doc: NOTHING,
            puts: [(0, NOTHING); FLYING],
            intents: [UNUSED; INTENTS],
            runs: [OUT; RUNS],
            fence: 0,
            holdings: 0,
            takes: self.takes,
            crashes: self.crashes,
            lost_writes: self.lost_writes,
            lost_creates: self.lost_creates,
            lost_tables: self.lost_tables,
        }
    }

    fn steps(&self, state: &State, next: &mut dyn FnMut(Step, State, Option<Wrong>)) {
        let mut tell = |who, what, state: State, wrong: Option<Wrong>| {
            let wrong = wrong.or_else(|| self.state(&state));
            next(Step { who, what }, state.canonical(self.pinned()), wrong);
        };
        for me in 0..self.runs {
            self.run(state, me, &mut |what, state, wrong| tell(Some(me), what, state, wrong));
        }
        self.world(state, &mut |what, state, wrong| tell(None, what, state, wrong));
    }

    fn ended(&self, state: &State) -> bool {
        state.doc.done != 0 && state.doc.open == 0
    }
}
