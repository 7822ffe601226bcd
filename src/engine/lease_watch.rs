//! Pure: what a waiter does about the holder of a lease that it sees.

use super::host::Liveness;
use crate::model::LeaseHolder;
use std::time::Duration;

/// How long a lease holds without a heartbeat.
pub const LEASE: Duration = Duration::from_mins(1);

/// What a waiter does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LeaseDecision {
    /// Looks again. With a duration, it begins to watch a holder that may be silent, and takes over after that time.
    Wait(Option<Duration>),
    /// Takes over, because the holder's process has ended.
    TakeOverEnded,
    /// Takes over, because the holder was silent for this time.
    TakeOverSilent(Duration),
    /// Gives up: the holder is alive, and the patience of the waiter is over.
    Refuse,
}

/// What a waiter remembers of the holders that it has seen.
#[derive(Debug)]
pub(super) struct LeaseWatch {
    /// When it began to wait, in time since boot.
    started: Duration,
    /// How long it waits for a holder that is alive.
    patience: Duration,
    /// The last holder, and when it was seen with this record for the first time.
    watched: Option<(LeaseHolder, Duration)>,
    /// Whether a holder showed a sign of life.
    seen_alive: bool,
}

impl LeaseWatch {
    pub(super) fn new(started: Duration, patience: Duration) -> Self {
        LeaseWatch { started, patience, watched: None, seen_alive: false }
    }

    /// Decides on `holder`, seen at `now`, in time since boot.
    pub(super) fn decide(
        &mut self,
        holder: &LeaseHolder,
        liveness: Liveness,
        now: Duration,
    ) -> LeaseDecision {
        if liveness == Liveness::Dead {
            return LeaseDecision::TakeOverEnded;
        }
        let lease = Duration::from_millis(holder.lease_ms).max(LEASE);
        self.seen_alive |= liveness == Liveness::Alive;
        let first = self.watched.is_none();
        let since = match &self.watched {
            Some((seen, since)) if seen.owner == holder.owner && seen.record == holder.record => *since,
            Some((seen, _)) => {
                // The same run wrote another record: a heartbeat.
                self.seen_alive |= seen.owner == holder.owner;
                now
            }
            None => now,
        };
        if self.seen_alive && now.saturating_sub(self.started) >= self.patience {
            return LeaseDecision::Refuse;
        }
        self.watched = Some((holder.clone(), since));
        let silent = now.saturating_sub(since);
        if silent >= lease {
            return LeaseDecision::TakeOverSilent(silent);
        }
        LeaseDecision::Wait((first && !self.seen_alive).then_some(lease))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn holder(owner: &str, record: &str, lease_ms: u64) -> LeaseHolder {
        LeaseHolder { owner: owner.into(), record: record.into(), lease_ms, ..LeaseHolder::default() }
    }

    /// What is seen at which second, and what is decided.
    type Look = (u64, (&'static str, &'static str), Liveness, LeaseDecision);

    fn check(patience: u64, looks: &[Look]) {
        let mut watch = LeaseWatch::new(at(0), at(patience));
        for (second, (owner, record), liveness, expected) in looks {
            let decided = watch.decide(&holder(owner, record, 60_000), *liveness, at(*second));
            assert_eq!(&decided, expected, "at {second} s");
        }
    }

    #[test]
    fn a_silent_holder_is_taken_over_after_its_whole_lease() {
        check(
            0,
            &[
                (5, ("a", "1"), Liveness::Unknown, LeaseDecision::Wait(Some(LEASE))),
                (64, ("a", "1"), Liveness::Unknown, LeaseDecision::Wait(None)),
                (65, ("a", "1"), Liveness::Unknown, LeaseDecision::TakeOverSilent(LEASE)),
            ],
        );
    }

    #[test]
    fn a_heartbeat_starts_the_watch_again_and_is_a_sign_of_life() {
        check(
            100,
            &[
                (0, ("a", "1"), Liveness::Unknown, LeaseDecision::Wait(Some(LEASE))),
                (59, ("a", "2"), Liveness::Unknown, LeaseDecision::Wait(None)),
                (99, ("a", "2"), Liveness::Unknown, LeaseDecision::Wait(None)),
                (100, ("a", "2"), Liveness::Unknown, LeaseDecision::Refuse),
            ],
        );
    }

    #[test]
    fn another_holder_is_watched_from_its_first_record() {
        check(
            0,
            &[
                (0, ("a", "1"), Liveness::Unknown, LeaseDecision::Wait(Some(LEASE))),
                (50, ("b", "1"), Liveness::Unknown, LeaseDecision::Wait(None)),
                (109, ("b", "1"), Liveness::Unknown, LeaseDecision::Wait(None)),
                (110, ("b", "1"), Liveness::Unknown, LeaseDecision::TakeOverSilent(LEASE)),
            ],
        );
    }

    #[test]
    fn a_process_of_this_machine_is_known_at_once() {
        check(0, &[(0, ("a", "1"), Liveness::Dead, LeaseDecision::TakeOverEnded)]);
        check(0, &[(0, ("a", "1"), Liveness::Alive, LeaseDecision::Refuse)]);
        check(9, &[(0, ("a", "1"), Liveness::Alive, LeaseDecision::Wait(None))]);
    }

    #[test]
    fn a_lease_that_claims_to_be_short_counts_as_a_whole_one() {
        let mut watch = LeaseWatch::new(at(0), at(0));
        for (second, expected) in [(0, LeaseDecision::Wait(Some(LEASE))), (59, LeaseDecision::Wait(None))] {
            assert_eq!(watch.decide(&holder("a", "1", 1), Liveness::Unknown, at(second)), expected);
        }
    }
}
