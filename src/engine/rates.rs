//! Rate limits of calls: a token bucket for each service and type of call, which slows down when the service
//! throttles.
//!
//! A token is taken before the intent of a create is written, so that the wait neither ages a signature nor
//! counts towards the timeout of a call.

use super::budget::Pace;
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Type of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// It reads.
    Read,
    /// It creates, changes or deletes.
    Write,
}

/// Capacity of a bucket in tokens, and its refill in tokens per second.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Limit {
    burst: f64,
    rate: f64,
}

/// Returns the default limit of an account. Those of EC2 are documented, and those of KMS, SSM, ECR and Logs
/// are quotas; the rest are conservative estimates, which throttling lowers further.
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

/// Lowest rate after throttling, as a fraction of the limit.
const MIN_RATE: f64 = 0.05;

/// Increase of the rate after an answer without throttling, as a fraction of the limit.
const RATE_RECOVERY: f64 = 0.05;

/// Throttled answers within this time lower the rate only once.
const THROTTLE_WINDOW: Duration = Duration::from_secs(1);

struct Bucket {
    limit: Limit,
    rate: f64,
    tokens: f64,
    at: Instant,
    slowed: Option<Instant>,
}

impl Bucket {
    fn new(limit: Limit, now: Instant) -> Self {
        Bucket { limit, rate: limit.rate, tokens: limit.burst, at: now, slowed: None }
    }

    /// Adds the tokens since the last call, at the rate of that time.
    fn fill(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.tokens = (self.tokens + since * self.rate).min(self.limit.burst);
    }

    /// Takes a token and returns the wait until it is available. Each caller waits longer than all before.
    fn take(&mut self, now: Instant) -> Duration {
        self.fill(now);
        self.tokens -= 1.0;
        if self.tokens >= 0.0 { Duration::ZERO } else { Duration::from_secs_f64(-self.tokens / self.rate) }
    }

    fn throttled(&mut self, now: Instant, window: Duration) {
        if self.slowed.is_some_and(|slowed| now.saturating_duration_since(slowed) < window) {
            return;
        }
        self.slowed = Some(now);
        self.fill(now);
        self.rate = (self.rate / 2.0).max(self.limit.rate * MIN_RATE);
        self.tokens = self.tokens.min(0.0);
    }

    fn answered(&mut self, now: Instant) {
        self.fill(now);
        self.rate = (self.rate + self.limit.rate * RATE_RECOVERY).min(self.limit.rate);
    }
}

/// Token buckets of a run.
pub struct Rates {
    pace: Pace,
    buckets: Mutex<BTreeMap<(String, Use), Bucket>>,
}

impl Rates {
    /// Returns full buckets whose rates fit the pace of the target.
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

    /// Takes a token for a call to `service` and returns how long the caller must wait before the call.
    pub fn take(&self, service: &str, what: Use) -> Duration {
        self.with(service, what, Bucket::take)
    }

    /// Adapts the rate to an answer: halves it after throttling, and raises it a little after any other
    /// answer.
    pub fn record_answer(&self, service: &str, what: Use, throttled: bool) {
        let window = self.pace.of(THROTTLE_WINDOW);
        self.with(service, what, |bucket, now| match throttled {
            true => bucket.throttled(now, window),
            false => bucket.answered(now),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_sent_at_once_and_the_rest_at_the_rate() {
        let rates = Rates::new(Pace::default());
        let mut last = Duration::ZERO;
        for call in 0..80 {
            let wait = rates.take("ec2", Use::Write);
            assert_eq!(wait.is_zero(), call < 50, "call {call}: {wait:?}");
            assert!(wait >= last);
            last = wait;
        }
        assert_eq!(last, Duration::from_secs(6), "30 calls at 5 per second");
        assert!(rates.take("ec2", Use::Read).is_zero(), "reads have their own bucket");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(rates.take("ec2", Use::Write).is_zero());
    }

    #[tokio::test(start_paused = true)]
    async fn throttling_lowers_the_rate_once_per_window_and_answers_restore_it() {
        let rates = Rates::new(Pace::default());
        let next = || {
            rates.take("iam", Use::Write);
            rates.take("iam", Use::Write)
        };
        for _ in 0..8 {
            rates.record_answer("iam", Use::Write, true);
        }
        assert_eq!(
            next(),
            Duration::from_secs_f64(2.0 / 2.5),
            "eight throttled answers at once lower the rate once"
        );
        for _ in 0..12 {
            tokio::time::advance(THROTTLE_WINDOW).await;
            rates.record_answer("iam", Use::Write, true);
        }
        tokio::time::advance(Duration::from_secs(20)).await;
        rates.record_answer("iam", Use::Write, true);
        assert_eq!(next(), Duration::from_secs(8), "one call in four seconds at the lowest rate");
        for _ in 0..40 {
            rates.record_answer("iam", Use::Write, false);
        }
        tokio::time::advance(Duration::from_secs(600)).await;
        assert!((0..20).all(|_| rates.take("iam", Use::Write).is_zero()));
        assert_eq!(rates.take("iam", Use::Write), Duration::from_millis(200));
    }
}
