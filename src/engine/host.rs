//! What the engine asks of the machine that it runs on.

use crate::model::Process;
use std::time::Duration;

/// Whether a process of this or another machine still runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It certainly runs, on this machine. A stopped process does not count.
    Alive,
    /// It has certainly ended: it ran in this boot and pid namespace, and no process has its id and start time.
    Dead,
    /// Nothing is certain: it is stopped, or of another machine.
    Unknown,
}

/// Clocks and process table of this machine. The engine itself has no clock that counts suspended time, and cannot look up
/// processes.
pub trait Host: Send + Sync {
    /// Returns the seconds since the Unix epoch.
    fn epoch_seconds(&self) -> i64;

    /// Returns the time since boot, including suspended time: on a laptop, a lease expires during suspension, too.
    fn since_boot(&self) -> Duration;

    /// Returns whether `process` still runs.
    fn liveness(&self, process: &Process) -> Liveness;
}
