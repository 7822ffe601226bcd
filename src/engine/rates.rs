//! How fast calls go out: a bucket of turns for each service, which slows down when the service throttles.
//!
//! A turn is taken before the intent of a create is written, so that waiting for one ages no signature and runs into no
//! timeout of a call.

use super::budget::Pace;
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// It looks.
    Read,
    /// It changes something.
    Write,
}

/// How many turns a service gives at once, and how many a second from then on.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Limit {
    burst: f64,
    rate: f64,
}

/// What an account has where nobody raised it. EC2's are documented, and those of KMS, SSM, ECR and Logs are quotas; the
/// rest is a guess on the safe side, since throttling slows it down further.
/// Sources: <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>,
/// <https://docs.aws.amazon.com/kms/latest/developerguide/requests-per-second.html>,
/// <https://docs.aws.amazon.com/general/latest/gr/ssm.html>
fn limit(service: &str, what: Use) -> Limit {
    let (burst, rate) = match (service, what) {
        ("ec2", Use::Read) => (100.0, 20.0),
        ("ec2", Use::Write) => (50.0, 5.0),
        ("kms", Use::Write) => (5.0, 5.0),
        ("ssm", Use::Write) => (3.0, 3.0),
        ("ecr" | "logs", Use::Write) => (10.0, 10.0),
        (_, Use::Read) => (40.0, 20.0),
        (_, Use::Write) => (20.0, 5.0),
    };
    Limit { burst, rate }
}

/// The slowest that throttling makes a bucket, as a part of its limit.
const SLOWEST: f64 = 0.05;

/// What one answer that is no throttling gives back, as a part of the limit.
const RECOVERY: f64 = 0.05;

/// Refusals within this time are of one wave, and slow down once.
const WAVE: Duration = Duration::from_secs(1);

struct Bucket {
    limit: Limit,
    rate: f64,
    turns: f64,
    at: Instant,
    slowed: Option<Instant>,
}

impl Bucket {
    fn new(limit: Limit, now: Instant) -> Self {
        Bucket { limit, rate: limit.rate, turns: limit.burst, at: now, slowed: None }
    }

    /// Adds what came since the last time, at the rate of that time.
    fn fill(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.turns = (self.turns + since * self.rate).min(self.limit.burst);
    }

    /// Takes a turn; how long until it has come. Each one who asks gets a later turn than all before.
    fn take(&mut self, now: Instant) -> Duration {
        self.fill(now);
        self.turns -= 1.0;
        if self.turns >= 0.0 { Duration::ZERO } else { Duration::from_secs_f64(-self.turns / self.rate) }
    }

    fn throttled(&mut self, now: Instant, wave: Duration) {
        if self.slowed.is_some_and(|slowed| now.saturating_duration_since(slowed) < wave) {
            return;
        }
        self.slowed = Some(now);
        self.fill(now);
        self.rate = (self.rate / 2.0).max(self.limit.rate * SLOWEST);
        self.turns = self.turns.min(0.0);
    }

    fn answered(&mut self, now: Instant) {
        self.fill(now);
        self.rate = (self.rate + self.limit.rate * RECOVERY).min(self.limit.rate);
    }
}

/// The buckets of one run.
pub struct Rates {
    pace: Pace,
    buckets: Mutex<BTreeMap<(String, Use), Bucket>>,
}

impl Rates {
    /// Full buckets, for a world of this pace.
    pub fn new(pace: Pace) -> Self {
        Rates { pace, buckets: Mutex::default() }
    }

    fn with<T>(&self, service: &str, what: Use, then: impl FnOnce(&mut Bucket, Instant) -> T) -> T {
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry((service.to_owned(), what)).or_insert_with(|| {
            let Limit { burst, rate } = limit(service, what);
            Bucket::new(Limit { burst, rate: rate * self.pace.0.max(1.0) }, now)
        });
        then(bucket, now)
    }

    /// Takes a turn at `service`; how long to wait for it.
    pub fn take(&self, service: &str, what: Use) -> Duration {
        self.with(service, what, Bucket::take)
    }

    /// Hears how a call went: slower after throttling, a little faster after anything else.
    pub fn heard(&self, service: &str, what: Use, throttled: bool) {
        let wave = self.pace.of(WAVE);
        self.with(service, what, |bucket, now| match throttled {
            true => bucket.throttled(now, wave),
            false => bucket.answered(now),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_at_once_and_the_rest_by_the_rate() {
        let rates = Rates::new(Pace::default());
        let mut last = Duration::ZERO;
        for turn in 0..80 {
            let wait = rates.take("ec2", Use::Write);
            assert_eq!(wait.is_zero(), turn < 50, "turn {turn}: {wait:?}");
            assert!(wait >= last);
            last = wait;
        }
        assert_eq!(last, Duration::from_secs(6), "30 turns at 5 a second");
        assert!(rates.take("ec2", Use::Read).is_zero(), "looks have a bucket of their own");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(rates.take("ec2", Use::Write).is_zero());
    }

    #[tokio::test(start_paused = true)]
    async fn throttling_slows_down_once_for_each_wave_and_answers_bring_the_rate_back() {
        let rates = Rates::new(Pace::default());
        let next = || {
            rates.take("iam", Use::Write);
            rates.take("iam", Use::Write)
        };
        for _ in 0..8 {
            rates.heard("iam", Use::Write, true);
        }
        assert_eq!(next(), Duration::from_secs_f64(2.0 / 2.5), "eight refusals at once are one wave");
        for _ in 0..12 {
            tokio::time::advance(WAVE).await;
            rates.heard("iam", Use::Write, true);
        }
        tokio::time::advance(Duration::from_secs(20)).await;
        rates.heard("iam", Use::Write, true);
        assert_eq!(next(), Duration::from_secs(8), "one turn in four seconds at the slowest");
        for _ in 0..40 {
            rates.heard("iam", Use::Write, false);
        }
        tokio::time::advance(Duration::from_secs(600)).await;
        assert!((0..20).all(|_| rates.take("iam", Use::Write).is_zero()));
        assert_eq!(rates.take("iam", Use::Write), Duration::from_millis(200));
    }
}
