//! What the steps of a run have in common.

use super::{budget::Pace, halt::Halt, journal::Journal, looks::Looks, rates::Rates, world::World};
use crate::model::{Event, Owner, Process};
use std::sync::{Arc, atomic::AtomicBool};
use tokio::sync::mpsc::UnboundedSender;

/// What every step of a run shares.
pub struct Shared {
    /// What is acted on.
    pub world: Arc<dyn World>,
    /// Shared looks into it.
    pub looks: Arc<Looks>,
    /// How fast calls may go out.
    pub rates: Arc<Rates>,
    /// Where records go.
    pub journal: Journal,
    /// Where events go.
    pub events: UnboundedSender<Event>,
    /// The wish to end.
    pub halt: Halt,
    /// How fast the world moves.
    pub pace: Pace,
    /// Whose resources.
    pub owner: Owner,
    /// This run (a UUID).
    pub run: String,
    /// This process.
    pub process: Process,
    /// Tells whether the process that an open intent names is dead.
    pub is_dead: Arc<dyn Fn(&Process) -> bool + Send + Sync>,
    /// Seconds since 1970.
    pub now: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// Whether any call that writes was sent.
    pub changed: AtomicBool,
}
