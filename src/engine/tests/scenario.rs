//! The scenario that a seed draws for one operator.

use crate::model::Process;
use std::time::Duration;

/// Linear congruential generator (Knuth's constants): a seed determines all its numbers.
pub(super) struct SeededRng(u64);

impl SeededRng {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = SeededRng(seed);
        // The first numbers of neighbouring seeds are alike.
        (0..3).for_each(|_| _ = rng.below(2));
        rng
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

    /// Returns another generator, whose numbers do not depend on how many this one returns later.
    pub(super) fn fork(&mut self) -> Self {
        SeededRng::new(self.below(1 << 31))
    }
}

/// Early end of a process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Death {
    Never,
    /// After this number of effects, instead of the next one.
    After(usize),
    /// This long after its start.
    At(Duration),
}

/// Effect before which a process is suspended, counted from zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Moment {
    Create(usize),
    Any(usize),
}

/// Course of one operator.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) number: u32,
    /// Machine that it runs on: only there it is known which processes have ended.
    pub(super) host: u64,
    pub(super) start: Duration,
    pub(super) death: Death,
    pub(super) stands: Option<(Moment, Duration)>,
    /// Time of a signal after its start, and of a second one after the first.
    pub(super) signals: Vec<Duration>,
    /// Whether it takes the lease from its holder by force.
    pub(super) steals: bool,
    /// How long it waits for a holder that is alive.
    pub(super) waits: Duration,
    /// Whether the lock table answers at least every second heartbeat: three lost ones in a row stop a run,
    /// correctly.
    pub(super) heard: bool,
}

impl Scenario {
    pub(super) fn draw(rng: &mut SeededRng, number: u32) -> Self {
        let start = match rng.below(3) {
            0 => rng.seconds(3),
            1 => rng.seconds(120),
            _ => rng.seconds(45 * 60),
        };
        let death = match rng.below(3) {
            0 => Death::Never,
            1 => Death::After(rng.size(40)),
            _ => Death::At(rng.seconds(90)),
        };
        let stands = match rng.below(4) {
            0 => Some((Moment::Create(rng.size(4)), rng.seconds(40 * 60))),
            1 => Some((Moment::Any(rng.size(20)), rng.seconds(40 * 60))),
            _ => None,
        };
        let signals = match rng.below(12) {
            0 => vec![rng.seconds(90)],
            1 => vec![rng.seconds(90), rng.seconds(3)],
            _ => Vec::new(),
        };
        let (steals, waits) = (rng.one_in(2), rng.seconds(600));
        Scenario { number, host: rng.below(2), start, death, stands, signals, steals, waits, heard: false }
    }

    /// Returns the course of an operator that is undisturbed, with no other at work.
    pub(super) fn alone(number: u32, host: u64) -> Self {
        let waits = Duration::from_mins(10);
        let (start, death, stands, steals) = (Duration::ZERO, Death::Never, None, false);
        Scenario { number, host, start, death, stands, signals: Vec::new(), steals, waits, heard: true }
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
