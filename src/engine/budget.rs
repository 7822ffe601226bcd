//! Every duration that the engine goes by, in one place.

use crate::model::Class;
use std::time::Duration;

/// How fast the world moves: 1 for AWS; the sandbox's time scale on the sandbox, whose minutes are seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace(pub f64);

impl Default for Pace {
    fn default() -> Self {
        Pace(1.0)
    }
}

impl Pace {
    /// A duration of AWS as it is in this world.
    pub fn of(self, real: Duration) -> Duration {
        if self.0 > 0.0 { real.div_f64(self.0) } else { real }
    }
}

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

/// How long a refusal of this class is tried again. None: not at all.
pub fn patience(class: Class) -> Option<Duration> {
    match class {
        Class::Eventual | Class::Ambiguous => Some(minutes(5)),
        Class::Conflict => Some(minutes(20)),
        Class::Throttled => Some(minutes(10)),
        _ => None,
    }
}

/// How long a resource of this kind may take to become ready.
pub fn to_ready(kind: &str) -> Duration {
    match kind {
        "eks_cluster" | "node_group" => minutes(60),
        "addon" | "fargate_profile" | "manifest" => minutes(20),
        "nat_gateway" | "vpc_endpoint" | "lock_table" => minutes(15),
        _ => minutes(5),
    }
}

/// How long a resource may say that something is wrong with it before the engine believes that it stays so: pods that
/// are being placed and instances that are being bought settle within it.
pub const TROUBLE: Duration = Duration::from_mins(3);

/// How long a resource of this kind may take to go, once AWS took the delete call.
pub fn to_go(kind: &str) -> Duration {
    match kind {
        "eks_cluster" | "node_group" => minutes(60),
        "nat_gateway" | "vpc_endpoint" => minutes(30),
        "addon" | "fargate_profile" => minutes(20),
        _ => minutes(10),
    }
}

/// What a step on this kind is expected to take where nothing was learned yet; only the order of starts hangs on it.
pub fn expected(kind: &str) -> Duration {
    Duration::from_secs(match kind {
        "eks_cluster" => 560,
        "node_group" => 120,
        "nat_gateway" => 120,
        "fargate_profile" => 60,
        "addon" => 40,
        "image" => 40,
        "vpc_endpoint" => 90,
        "lock_table" => 15,
        "elastic_ip" | "iam_role" | "kms_key" => 3,
        _ => 1,
    })
}

/// How long a create without a token may stay unseen after its answer was lost, or its process died: what is in the
/// network arrives, and EC2's lists catch up ("up to a few minutes").
/// Source: <https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html>
pub const SETTLE: Duration = Duration::from_mins(2);

/// The same where the process that sent it may still live: its signature must have expired, too. IAM says five minutes,
/// the common errors of the API references say fifteen; the longer one and the lists' lag count.
pub const SETTLE_ALIVE: Duration = minutes(20);

/// A create is sent within this time of its intent, or not at all.
pub const SEND_WITHIN: Duration = Duration::from_mins(1);

/// How old a client token may be for a call to be repeated with it.
pub const TOKEN_LIFE: Duration = minutes(12 * 60);

/// Times between two looks: short at first, longer as the wait grows.
#[derive(Clone, Debug)]
pub struct Backoff {
    next: Duration,
    longest: Duration,
}

/// The longest time between two looks.
const LONGEST: Duration = Duration::from_secs(6);

impl Default for Backoff {
    fn default() -> Self {
        Backoff { next: Duration::from_millis(250), longest: LONGEST }
    }
}

impl Backoff {
    /// For looks at what moves by itself, in a world of this pace: where minutes are seconds, so are the looks.
    pub fn polling(pace: Pace) -> Self {
        let floor = Duration::from_millis(150);
        let longest = pace.of(LONGEST).clamp(floor, LONGEST);
        Backoff { next: Duration::from_millis(250).min(longest), longest }
    }
}

impl Iterator for Backoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let now = self.next;
        self.next = now.mul_f64(1.4).min(self.longest);
        Some(now)
    }
}
