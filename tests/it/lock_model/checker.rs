//! An explicit-state model checker: breadth first over every interleaving, so that the first trace to a
//! violation is a shortest one.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    hash::{BuildHasherDefault, Hash, Hasher},
};

/// One step of a trace: who, and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    /// The process; none for the network, the clock and AWS.
    pub who: Option<usize>,
    /// What it did, in the words of the code.
    pub what: &'static str,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.who {
            Some(who) => write!(f, "run {who}: {}", self.what),
            None => write!(f, "       {}", self.what),
        }
    }
}

/// A state machine of several processes and a hostile world.
pub trait Model {
    /// One state: small, and equal to another exactly where the future of both is the same.
    type State: Copy + Eq + Hash;
    /// What may never happen.
    type Wrong: Copy + fmt::Debug;

    /// Where it begins.
    fn start(&self) -> Self::State;

    /// Every step that may come next; with it what it breaks, if it breaks anything.
    fn steps(&self, state: &Self::State, next: &mut dyn FnMut(Step, Self::State, Option<Self::Wrong>));

    /// Whether all is done.
    fn ended(&self, state: &Self::State) -> bool;

    /// Whether every state must have a path to an end. Where trouble has a budget that good steps share, it
    /// need not.
    const MUST_END: bool;
}

/// What came of a check.
pub struct Report<W> {
    /// How many states were reached.
    pub states: usize,
    /// How many steps lead from one to another.
    pub steps: usize,
    /// How many states are ends.
    pub ends: usize,
    /// How many states no path leads to an end from; counted where nothing is wrong, and every state must
    /// have one.
    pub stuck: usize,
    /// Every step that was taken at least once, without its process.
    pub taken: BTreeSet<&'static str>,
    /// What went wrong, and how.
    pub wrong: Option<(W, Vec<Step>)>,
}

impl<W: fmt::Debug> fmt::Display for Report<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} states, {} steps, {} ends", self.states, self.steps, self.ends)?;
        let Some((wrong, trace)) = &self.wrong else { return write!(f, ": no violation in any of them") };
        write!(f, ": {wrong:?} after {} steps", trace.len())?;
        trace.iter().try_for_each(|step| write!(f, "\n    {step}"))
    }
}

/// A hash for states of many small numbers: the standard one is made against attackers, and takes most of the
/// time.
#[derive(Default)]
struct Quick(u64);

impl Hasher for Quick {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u8(*byte);
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.0 = (self.0.rotate_left(5) ^ u64::from(byte)).wrapping_mul(0x51_7c_c1_b7_27_22_0a_95);
    }

    fn write_isize(&mut self, number: isize) {
        // The number of an enum's variant.
        self.write_u8(u8::try_from(number).unwrap_or(u8::MAX));
    }
}

/// Visits every reachable state, or stops at the first violation.
///
/// # Panics
/// Past `most` states: bounds that make the check endless are a mistake.
pub fn check<M: Model>(model: &M, most: usize) -> Report<M::Wrong> {
    let start = model.start();
    let mut known: HashMap<M::State, u32, BuildHasherDefault<Quick>> = HashMap::default();
    let mut states = vec![start];
    let mut from: Vec<(u32, Step)> = vec![(0, Step { who: None, what: "begin" })];
    let mut edges: Vec<(u32, u32)> = Vec::new();
    let mut report = Report { states: 1, steps: 0, ends: 0, stuck: 0, taken: BTreeSet::new(), wrong: None };
    known.insert(start, 0);
    let mut at = 0;
    while at < states.len() && report.wrong.is_none() {
        let (state, here) = (states[at], u32::try_from(at).unwrap());
        model.steps(&state, &mut |step, next, wrong| {
            if report.wrong.is_some() {
                return;
            }
            report.steps += 1;
            report.taken.insert(step.what);
            let fresh = u32::try_from(states.len()).unwrap();
            let there = *known.entry(next).or_insert(fresh);
            if there == fresh {
                states.push(next);
                from.push((here, step));
            }
            if M::MUST_END {
                edges.push((there, here));
            }
            if let Some(wrong) = wrong {
                let mut trace = vec![step];
                let mut back = here;
                while back != 0 {
                    let (before, step) = from[usize::try_from(back).unwrap()];
                    trace.push(step);
                    back = before;
                }
                trace.reverse();
                report.wrong = Some((wrong, trace));
            }
        });
        at += 1;
        assert!(states.len() <= most, "more than {most} states: tighten the bounds");
    }
    report.states = states.len();
    report.ends = states.iter().filter(|state| model.ended(state)).count();
    if M::MUST_END && report.wrong.is_none() {
        report.stuck = states.len() - reaching(model, &states, edges);
    }
    report
}

/// How many states have a path to an end.
fn reaching<M: Model>(model: &M, states: &[M::State], mut edges: Vec<(u32, u32)>) -> usize {
    edges.sort_unstable();
    let ends = states.iter().enumerate().filter(|(_, state)| model.ended(state));
    let mut open: Vec<u32> = ends.map(|(at, _)| u32::try_from(at).unwrap()).collect();
    let mut reached = vec![false; states.len()];
    open.iter().for_each(|at| reached[usize::try_from(*at).unwrap()] = true);
    let mut count = open.len();
    while let Some(there) = open.pop() {
        let first = edges.partition_point(|edge| edge.0 < there);
        for (_, here) in edges[first..].iter().take_while(|edge| edge.0 == there) {
            let reached = &mut reached[usize::try_from(*here).unwrap()];
            if !*reached {
                *reached = true;
                count += 1;
                open.push(*here);
            }
        }
    }
    count
}
