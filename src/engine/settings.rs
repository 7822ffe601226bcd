//! What a run is told in addition to its plan.

use super::{budget::Pace, host::Host};
use crate::model::{Address, Process};
use std::{collections::BTreeSet, sync::Arc};

/// What a run is told in addition to its plan.
#[derive(Clone)]
pub struct Settings {
    /// How many steps at once.
    pub parallelism: usize,
    /// How fast the world moves.
    pub pace: Pace,
    /// This run (a UUID).
    pub run: String,
    /// This process.
    pub process: Process,
    /// This machine.
    pub host: Arc<dyn Host>,
    /// Resources that a person told this run to adopt or delete, even if they belong to another owner.
    pub approved: BTreeSet<Address>,
    /// Whether what runs on a resource is moved elsewhere before the resource is deleted.
    pub drain: bool,
}
