//! The words every layer shares. Pure: no clock, no network, no file, no AWS crate.

mod address;
mod change;
mod error;
mod event;
mod forgotten;
mod graph;
mod input;
pub mod object;
mod plan;
mod resource;
mod secret;
mod snapshot;

pub use address::{Address, Owner, Stage, partition, tag};
pub use change::{Change, Changes, same_set};
pub use error::{Class, Fault, LeftBehind, Problem};
pub use event::{Event, Outcome, Report, StepState};
pub use graph::{Graph, Node};
pub use input::{In, is_reference, joined, references, resolve};
pub use plan::{
    Action, Observation, Observed, Origin, Plan, PlannedChange, Refresh, Step, StepId, Totals, Verb,
};
pub use resource::{Departure, Desired, Identity, Kind, Ready, Resource};
pub use secret::Secret;
pub use snapshot::{
    Entry, HeldBy, Intent, LEASE_KEY, Phase, Process, Record, SCHEMA, Snapshot, SnapshotError, Writer,
};
