//! All durations of the engine.

use crate::model::{ErrorKind, minutes};
use std::time::Duration;

/// Speed of the target relative to AWS: 1 for AWS, the time scale of the sandbox for the sandbox.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace(pub f64);

impl Default for Pace {
    fn default() -> Self {
        Pace(1.0)
    }
}

impl Pace {
    /// Scales a duration of AWS to the target.
    pub fn of(self, real: Duration) -> Duration {
        if self.0 > 0.0 { real.div_f64(self.0) } else { real }
    }
}

/// Returns how long a call that fails with this class is retried; none if it is not retried.
pub fn patience(class: ErrorKind) -> Option<Duration> {
    match class {
        ErrorKind::Eventual | ErrorKind::Ambiguous => Some(minutes(5)),
        ErrorKind::Conflict => Some(minutes(20)),
        ErrorKind::Throttled => Some(minutes(10)),
        _ => None,
    }
}

/// How long a call is repeated that names a principal which EKS does not know and which is not the stack's.
pub const UNKNOWN_PRINCIPAL: Duration = Duration::from_secs(30);

/// How long a deletion is repeated while only a person can remove what blocks it. Within it, what was deleted outside the run
/// leaves AWS's lists.
pub const BLOCKED: Duration = Duration::from_secs(90);

/// The shortest such time at a faster pace: the target's own lists need some, too.
const MIN_BLOCKED: Duration = Duration::from_secs(10);

/// How long a deletion is repeated while what blocks it should end soon. The AWS Load Balancer Controller waits as long for the
/// interfaces of a load balancer that it deleted.
/// Source: <https://github.com/kubernetes-sigs/aws-load-balancer-controller/blob/main/pkg/deploy/ec2/security_group_manager.go>,
/// `defaultWaitSGDeletionTimeout`
const ENDS_SOON: Duration = Duration::from_mins(2);

/// Returns [`ENDS_SOON`] at a pace.
pub fn ends_soon(pace: Pace) -> Duration {
    pace.of(ENDS_SOON).max(MIN_BLOCKED)
}

/// Returns [`BLOCKED`] at a pace.
pub fn blocked(pace: Pace) -> Duration {
    pace.of(BLOCKED).max(MIN_BLOCKED)
}

/// How often it is looked at what blocks a deletion.
pub const BLOCKERS_INTERVAL: Duration = Duration::from_secs(10);

/// How long a resource may be degraded before its step fails. Pods are scheduled and instances started within
/// it.
pub const TROUBLE: Duration = Duration::from_mins(3);

/// The pause before an update that failed for a passing cause is sent once more.
pub const UPDATE_PAUSE: Duration = Duration::from_secs(30);

/// How long AWS may not know an update whose id it has just given, or has forgotten.
pub const UPDATE_VISIBLE_WITHIN: Duration = Duration::from_secs(30);

/// Maximum time without progress while a resource is drained before its deletion.
pub const DRAIN: Duration = minutes(20);

/// The shortest such time at a faster pace: containers start and end there at their own speed.
const MIN_DRAIN: Duration = Duration::from_mins(1);

/// Returns [`DRAIN`] at a pace.
pub fn drain(pace: Pace) -> Duration {
    pace.of(DRAIN).max(MIN_DRAIN)
}

/// How often a drain that could not begin is repeated.
pub const MAX_DRAIN_REPEATS: u32 = 2;

/// The pause before a delete call that failed afterwards is repeated; each further one is three times as long.
pub const DELETE_PAUSE: Duration = Duration::from_secs(30);

/// How long an AWS service may create again what was deleted: the last log events of a cluster arrive one to two minutes
/// after its end.
/// Source: <https://github.com/terraform-aws-modules/terraform-aws-eks/issues/920>
pub const LATE_CREATION: Duration = Duration::from_secs(125);

/// The interval between two looks for it.
pub const LATE_CREATION_INTERVAL: Duration = Duration::from_secs(10);

/// How often a delete call that failed afterwards is repeated.
pub const MAX_DELETE_REPEATS: u32 = 3;

/// How long a create without a token may stay unseen after its answer was lost, or its process died: what is in the
/// network arrives, and EC2's lists catch up ("up to a few minutes").
/// Source: <https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html>
pub const SETTLE: Duration = Duration::from_mins(2);

/// As [`SETTLE`], if the process that sent the call may still be alive: its signature must have expired, too.
/// IAM documents five minutes, the common errors of the API references fifteen; this is the longer one and
/// the lag of lists.
pub const SETTLE_ALIVE: Duration = minutes(20);

/// How long after its intent a create call may be sent; later it is not sent.
pub const SEND_WITHIN: Duration = Duration::from_mins(1);

/// How long a call may be repeated with the same client token.
pub const TOKEN_LIFE: Duration = minutes(12 * 60);

/// Increasing intervals between two polls: each is 1.4 times as long as the one before.
#[derive(Clone, Debug)]
pub struct Backoff {
    next: Duration,
    max: Duration,
}

/// Longest interval between two polls.
const MAX_INTERVAL: Duration = Duration::from_secs(6);

impl Default for Backoff {
    fn default() -> Self {
        Backoff { next: Duration::from_millis(250), max: MAX_INTERVAL }
    }
}

impl Backoff {
    /// Returns the intervals for polls of an asynchronous operation; at a faster pace they are shorter.
    pub fn polling(pace: Pace) -> Self {
        let floor = Duration::from_millis(150);
        let max = pace.of(MAX_INTERVAL).clamp(floor, MAX_INTERVAL);
        Backoff { next: Duration::from_millis(250).min(max), max }
    }
}

impl Iterator for Backoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let now = self.next;
        self.next = now.mul_f64(1.4).min(self.max);
        Some(now)
    }
}
