//! How long the steps of a run should take, and how much of the run is left.

use super::{Plan, Step, StepId};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Expected durations of the steps of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forecast(BTreeMap<StepId, Expected>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Expected {
    /// Duration of the step.
    own: Duration,
    /// Duration of the longest chain of steps that wait for it.
    later: Duration,
}

impl Forecast {
    /// Returns the forecast of a plan, whose steps are in the order in which they can run, from the duration of each step.
    pub fn new(plan: &Plan, own: &dyn Fn(&Step) -> Duration) -> Self {
        let mut later: BTreeMap<&StepId, Duration> = BTreeMap::new();
        let mut steps = BTreeMap::new();
        for step in plan.steps.iter().rev() {
            let expected =
                Expected { own: own(step), later: later.get(&step.id).copied().unwrap_or_default() };
            for first in &step.after {
                let known = later.entry(first).or_default();
                *known = (*known).max(expected.whole());
            }
            steps.insert(step.id.clone(), expected);
        }
        Forecast(steps)
    }

    /// Returns the duration of the longest chain of steps.
    pub fn whole(&self) -> Duration {
        self.remaining(&BTreeSet::new(), &BTreeMap::new())
    }

    /// Returns the expected duration of a step.
    pub fn own(&self, step: &StepId) -> Option<Duration> {
        self.0.get(step).map(|expected| expected.own)
    }

    /// Returns the duration of the longest chain of steps that have not ended. `running` holds how long each running step
    /// has been running.
    pub fn remaining(&self, ended: &BTreeSet<StepId>, running: &BTreeMap<StepId, Duration>) -> Duration {
        let left = |id: &StepId| self.left_of(id, running.get(id).copied().unwrap_or_default());
        self.0.keys().filter(|id| !ended.contains(*id)).map(left).max().unwrap_or_default()
    }

    /// Returns the duration of the longest chain of steps that begins with this one, which has been running for `elapsed`.
    pub fn left_of(&self, step: &StepId, elapsed: Duration) -> Duration {
        let Expected { own, later } = self.0.get(step).copied().unwrap_or_default();
        own.saturating_sub(elapsed).saturating_add(later)
    }
}

impl Expected {
    fn whole(self) -> Duration {
        self.own.saturating_add(self.later)
    }
}

/// Returns a duration without false precision: `5 s`, `45 s`, `2 min`, `1 h 10 min`.
pub fn rough(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 56 {
        return format!("{} s", seconds.div_ceil(5).max(1).saturating_mul(5));
    }
    let minutes = seconds.saturating_add(30) / 60;
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Address, Stage};

    fn step(address: &str, after: &[&str]) -> Step {
        Step::example("eks_cluster", Stage::Cluster, address, after)
    }

    #[test]
    fn what_is_left_is_the_longest_chain_that_has_not_ended() {
        let plan = Plan {
            steps: vec![step("network/a", &[]), step("cluster/b", &["network/a"]), step("network/c", &[])],
            ..Plan::default()
        };
        let forecast = Forecast::new(&plan, &|step| match step.id.address.as_str() {
            "network/a" => Duration::from_secs(100),
            "cluster/b" => Duration::from_secs(500),
            _ => Duration::from_secs(550),
        });
        let id = |address: &str| StepId::ensure(&Address::new(address));
        assert_eq!(forecast.whole(), Duration::from_secs(600));
        assert_eq!(forecast.own(&id("network/c")), Some(Duration::from_secs(550)));
        let running = BTreeMap::from([
            (id("network/a"), Duration::from_secs(80)),
            (id("network/c"), Duration::from_secs(80)),
        ]);
        assert_eq!(forecast.remaining(&BTreeSet::new(), &running), Duration::from_secs(520));
        let ended = BTreeSet::from([id("network/a"), id("cluster/b")]);
        assert_eq!(forecast.remaining(&ended, &running), Duration::from_secs(470));
        // A step that takes longer than expected leaves what waits for it, and nothing less.
        let late = BTreeMap::from([(id("network/c"), Duration::from_secs(9_000))]);
        assert_eq!(forecast.remaining(&ended, &late), Duration::ZERO);
    }

    #[test]
    fn durations_are_as_precise_as_an_expectation() {
        let texts = [0, 3, 7, 45, 55, 56, 89, 90, 3_540, 3_600, 4_200]
            .map(|seconds| rough(Duration::from_secs(seconds)));
        let expected =
            ["5 s", "5 s", "10 s", "45 s", "55 s", "1 min", "1 min", "2 min", "59 min", "1 h", "1 h 10 min"];
        assert_eq!(texts, expected);
    }
}
