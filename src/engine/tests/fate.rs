//! What a seed has in store for one operator.

use crate::model::Process;
use std::time::Duration;

/// A small generator (Knuth's constants), so that a seed says everything.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        // Seeds that are neighbours begin alike.
        (0..3).for_each(|_| _ = dice.below(2));
        dice
    }

    pub(super) fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }

    pub(super) fn size(&mut self, most: u64) -> usize {
        usize::try_from(self.below(most)).unwrap()
    }

    pub(super) fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    pub(super) fn seconds(&mut self, most: u64) -> Duration {
        Duration::from_millis(self.below(most * 1000))
    }

    /// Another one, whose numbers do not hang on how many this one gives.
    pub(super) fn fork(&mut self) -> Self {
        Dice::new(self.below(1 << 31))
    }
}

/// How a process ends before its time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Death {
    Never,
    /// Instead of its next effect, after so many.
    After(usize),
    /// So long after its start.
    At(Duration),
}

/// Before which of its effects a process stands still, counted from zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Moment {
    Create(usize),
    Any(usize),
}

/// What is in store for one operator.
#[derive(Clone, Debug)]
pub(super) struct Fate {
    pub(super) number: u32,
    /// The machine that it works on: only there it is known who is dead.
    pub(super) host: u64,
    pub(super) start: Duration,
    pub(super) death: Death,
    pub(super) stands: Option<(Moment, Duration)>,
    /// So long after its start comes a signal, and so long after that a second one.
    pub(super) signals: Vec<Duration>,
    /// It takes the lease from whoever holds it.
    pub(super) steals: bool,
    /// How long it waits for one that lives.
    pub(super) waits: Duration,
    /// The lock table answers at least every second beat. Three that are lost in a row stop a run, as they should.
    pub(super) heard: bool,
}

impl Fate {
    pub(super) fn draw(dice: &mut Dice, number: u32) -> Self {
        let start = match dice.below(3) {
            0 => dice.seconds(3),
            1 => dice.seconds(120),
            _ => dice.seconds(45 * 60),
        };
        let death = match dice.below(3) {
            0 => Death::Never,
            1 => Death::After(dice.size(40)),
            _ => Death::At(dice.seconds(90)),
        };
        let stands = match dice.below(4) {
            0 => Some((Moment::Create(dice.size(4)), dice.seconds(40 * 60))),
            1 => Some((Moment::Any(dice.size(20)), dice.seconds(40 * 60))),
            _ => None,
        };
        let signals = match dice.below(12) {
            0 => vec![dice.seconds(90)],
            1 => vec![dice.seconds(90), dice.seconds(3)],
            _ => Vec::new(),
        };
        let (steals, waits) = (dice.one_in(2), dice.seconds(600));
        Fate { number, host: dice.below(2), start, death, stands, signals, steals, waits, heard: false }
    }

    /// Nobody else is there, and nothing ends it.
    pub(super) fn alone(number: u32, host: u64) -> Self {
        let waits = Duration::from_mins(10);
        let (start, death, stands, steals) = (Duration::ZERO, Death::Never, None, false);
        Fate { number, host, start, death, stands, signals: Vec::new(), steals, waits, heard: true }
    }

    pub(super) fn process(&self) -> Process {
        let host = self.host.to_string();
        Process {
            host: host.clone(),
            boot_id: host.clone(),
            pid_namespace: host,
            pid: self.number,
            started: 1,
        }
    }
}
