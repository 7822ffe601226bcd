//! What the model of `state.rs` speaks of: figures, the state object, runs, intents, and when two states are
//! one.

/// `budget::SEND_WITHIN` (a minute), in ticks.
pub const SEND_WITHIN: u8 = 1;
/// How long what was sent may be on its way, and how long lists may lag: together `budget::SETTLE` (two
/// minutes).
pub const ON_ITS_WAY: u8 = 1;
pub const LAG: u8 = 1;
pub const SETTLE: u8 = ON_ITS_WAY + LAG;
/// How long AWS takes a signature; fifteen minutes, shortened: all that counts is that it is longer than
/// `SETTLE`.
pub const SIGNATURE: u8 = 3;
/// `budget::SETTLE_ALIVE`: the signature's life and the lists' lag.
pub const SETTLE_ALIVE: u8 = SIGNATURE + LAG;
/// `register::ATTEMPTS`, shortened.
pub const ATTEMPTS: u8 = 2;
pub const RUNS: usize = 3;
pub const INTENTS: usize = 3;
pub const FLYING: usize = 2;

/// What may never happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Two writes were taken over one version.
    Fork,
    /// A run whose lease was stolen wrote after the thief had written.
    WroteAfterTheThief,
    /// A record was acknowledged that is not in the state.
    AcknowledgedAndLost,
    /// A run was told that another one overtook it, and it was itself.
    LostToItself,
    /// A resource was made twice.
    Duplicate,
    /// Something is there that neither an entry nor an open intent names.
    Unrecorded,
    /// An entry names what was never made.
    Hollow,
}

/// What is taken away from the protocol, or put in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weak {
    Nothing,
    /// `Session::hold` takes a state with a later fence, too.
    NoFenceCheck,
    /// A write goes over whatever is there.
    NoCas,
    /// What is refused is lost: no look whether it was an earlier try of the same write.
    NoReadBack,
    /// A refusal after a silence counts as success: without an id of the write, this is unknown.
    NoWriteId,
    /// An earlier write of the same run, whose end it did not learn, counts as another's.
    ForgetsItsWrites,
    /// The create is recorded when it is done, and not before.
    NoIntent,
    /// The SDK repeats a create that takes no token.
    SdkRetry,
    /// A create is signed when it is sent, and not when its intent was written.
    SignedWhenSent,
    /// What is not seen at the first look was not made.
    NoSettle,
    /// The wait counts from the intent, also where the call may have gone out long after it.
    SettlesFromTheIntent,
    /// The last look may be older than the end of the wait.
    LooksBeforeTheClock,
    /// A repeated call has a new token.
    FreshToken,
    /// A call that another run began is repeated while that run may still write.
    RepeatsUnclaimed,
}

/// `model::Identity`, as far as it counts here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    OwnerTag,
    Token,
}

/// The model: what is weakened, and how much may go wrong.
#[derive(Clone, Copy)]
pub struct Protocol {
    pub weak: Weak,
    pub identity: Identity,
    pub runs: usize,
    /// How many attempts at the create there are in all.
    pub intents: usize,
    /// How often the lease is taken.
    pub takes: u8,
    pub crashes: u8,
    /// Writes of the state that get no answer.
    pub lost_writes: u8,
    /// Creates that get no answer.
    pub lost_creates: u8,
    /// How often the lock table is lost, and its fences begin again.
    pub lost_tables: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum At {
    Out,
    /// In `Session::hold`, about to take the lease.
    Taking,
    /// In `Session::hold`, about to read the state.
    Reading,
    /// `observe` and `plan::make`.
    Planning,
    /// `Register::write`, about to send.
    Writing,
    /// `Register::write`, about to read back.
    ReadingBack,
    /// `Task::create`, the intent written.
    Checking,
    /// The same, about to send.
    Sending,
    /// `Task::recover`.
    Looking,
    /// The same, with what it saw; only where the clock is read after the look.
    Judging,
    /// The same, about to repeat the call under its token.
    Repeating,
    Ended,
    Dead,
}

/// What is being written, and so what comes after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Note {
    None,
    Begin,
    /// `Begin` of an intent that another run began: from then on that run's writes are refused.
    Claim,
    Done,
    /// `Void`, and another attempt.
    Again,
    /// `Void`, and no more.
    Void,
    /// `Journal::close`: what could not be written is tried once more.
    Close,
}

/// The state object. Etags and write ids are one here: each write has its own bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Doc {
    pub id: u8,
    pub epoch: u8,
    pub run: u8,
    /// The number of its writer's holding; the fence, where no table is ever lost.
    pub holding: u8,
    /// The intent that is open, and the one whose resource is recorded; zero is none.
    pub open: u8,
    pub done: u8,
}

pub const NOTHING: Doc = Doc { id: 0, epoch: 0, run: 0, holding: 0, open: 0, done: 0 };

/// A conditional write on its way: over which version, and what.
pub type Put = (u8, Doc);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    pub at: At,
    pub fence: u8,
    pub holding: u8,
    /// `at_least` for the next taking.
    pub least: u8,
    /// `Register::etag`.
    pub base: u8,
    /// The snapshot that the journal keeps.
    pub open: u8,
    pub done: u8,
    pub note: Note,
    /// The write in hand, tries left, whether one of them got no answer, and whether it is truly in the
    /// state.
    pub id: u8,
    pub left: u8,
    pub silent: bool,
    pub landed: bool,
    /// The intent in hand.
    pub intent: u8,
    /// Ticks until the wait is over.
    pub wait: u8,
}

pub const OUT: Run = Run {
    at: At::Out,
    fence: 0,
    holding: 0,
    least: 0,
    base: 0,
    open: 0,
    done: 0,
    note: Note::None,
    id: 0,
    left: 0,
    silent: false,
    landed: false,
    intent: 0,
    wait: 0,
};

/// One intent, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Intent {
    pub begun: bool,
    pub run: u8,
    /// Ticks since it was signed.
    pub age: u8,
    /// Calls on their way: one more than the ticks since they were sent.
    pub flying: [u8; FLYING],
    /// One more than the ticks since it was made.
    pub made: u8,
}

pub const UNUSED: Intent = Intent { begun: false, run: 0, age: 0, flying: [0; FLYING], made: 0 };

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub doc: Doc,
    pub puts: [Put; FLYING],
    pub intents: [Intent; INTENTS],
    pub runs: [Run; RUNS],
    /// The fence in the lock table, and how often it was taken.
    pub fence: u8,
    pub holdings: u8,
    pub takes: u8,
    pub crashes: u8,
    pub lost_writes: u8,
    pub lost_creates: u8,
    pub lost_tables: u8,
}

impl State {
    pub fn with(mut self, run: usize, change: impl FnOnce(&mut Run)) -> Self {
        change(&mut self.runs[run]);
        self
    }

    pub fn intent(&mut self, number: u8) -> &mut Intent {
        &mut self.intents[usize::from(number - 1)]
    }

    pub fn ended(self, me: usize) -> Self {
        self.with(me, |run| *run = Run { at: At::Ended, ..OUT })
    }

    /// The name of a new write.
    pub const FRESH: u8 = u8::MAX;

    /// The same state, its writes named in the order in which they are met, without the calls that can do
    /// nothing.
    pub fn canonical(mut self, pinned: bool) -> Self {
        let (mut met, mut count) = ([0_u8; 16], 0_u8);
        let mut name = |id: &mut u8| {
            if *id != 0 {
                let known = met[..usize::from(count)].iter().position(|met| met == id);
                let at = known.unwrap_or_else(|| {
                    met[usize::from(count)] = *id;
                    count += 1;
                    usize::from(count) - 1
                });
                *id = u8::try_from(at).unwrap() + 1;
            }
        };
        name(&mut self.doc.id);
        for run in &mut self.runs {
            name(&mut run.base);
            name(&mut run.id);
        }
        for (base, doc) in &mut self.puts {
            name(base);
            name(&mut doc.id);
        }
        self.puts.sort_unstable();
        for intent in &mut self.intents {
            let dead = pinned && intent.age > SIGNATURE;
            for call in &mut intent.flying {
                *call = if dead || *call > ON_ITS_WAY + 1 { 0 } else { *call };
            }
            intent.flying.sort_unstable();
        }
        for at in 0..INTENTS {
            let number = u8::try_from(at).unwrap() + 1;
            let named = [self.doc.open, self.doc.done].contains(&number)
                || self.runs.iter().any(|run| [run.open, run.done, run.intent].contains(&number))
                || self.puts.iter().any(|(_, doc)| [doc.open, doc.done].contains(&number));
            let intent = &mut self.intents[at];
            if intent.begun && !named && intent.made == 0 && intent.flying == [0; FLYING] {
                *intent = Intent { begun: true, ..UNUSED };
            }
        }
        // What everybody sees ends every wait.
        if self.intents.iter().any(|intent| intent.made > LAG) {
            self.runs.iter_mut().for_each(|run| run.wait = 0);
        }
        for run in &mut self.runs {
            // An intent in hand counts until its resource is being recorded, or it is void.
            if run.at == At::Writing || run.at == At::ReadingBack {
                run.wait = 0;
                if !matches!(run.note, Note::Begin | Note::Claim) {
                    run.intent = 0;
                }
            }
        }
        self
    }
}
