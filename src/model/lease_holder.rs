//! The holder of a stack's lease.

use serde::{Deserialize, Serialize};

/// What identifies a process on a machine well enough to know that it is dead.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Process {
    /// The host's name.
    pub host: String,
    /// Changes with each boot of the machine.
    pub boot_id: String,
    /// The pid namespace that `pid` counts in.
    pub pid_namespace: String,
    /// The process id.
    pub pid: u32,
    /// When the process started, in clock ticks since boot.
    pub started: u64,
}

/// The name of the lock table's key attribute, which holds a stack's name.
pub const LEASE_KEY: &str = "stack";

/// Who holds the lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaseHolder {
    /// The run (a UUID).
    pub owner: String,
    /// The user's name.
    pub user: String,
    /// The process.
    pub process: Process,
    /// What was typed, without values that could be secret.
    pub command: String,
    /// The monotonic number of this holding.
    pub fence: u64,
    /// Changes with each heartbeat.
    pub record: String,
    /// How long the holder may be silent, in milliseconds.
    pub lease_ms: u64,
    /// When the lease was taken, RFC 3339; for people only.
    pub since: String,
}
