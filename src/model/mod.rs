//! The types that all layers share. Pure: no clock, no network, no file, no AWS crate.

mod abandoned;
mod access_key;
mod address;
mod ahead;
mod blocker;
mod change;
mod error;
mod event;
mod forecast;
mod forgotten;
mod graph;
mod iam_scope;
mod image_reference;
mod input;
mod lease_holder;
pub mod object;
mod plan_parts;
mod planned_change;
mod printable;
mod report;
mod resource;
mod retired;
mod secret;
mod secret_object;
mod service_made;
mod snapshot;
mod state_limits;
mod successor;
mod timeline;
mod undrained;
mod update;
mod version;

pub use access_key::AccessKey;
pub use address::{Address, BACKEND_OWNER, Owner, Stage, partition, tag};
pub use ahead::{Ahead, NotApplied, Note};
pub use blocker::{Blockable, Blocker};
pub use change::{Change, Changes, sorted_set};
pub use error::{CallError, ErrorKind, LeftBehind, StepError};
pub use event::{Event, Outcome, StepState};
pub use forecast::{Forecast, rough};
pub use graph::{Graph, Node};
pub use iam_scope::{IamCondition, IamGrant, IamScope, scoped_actions};
pub use image_reference::{EcrHome, ImageReference};
pub use input::{Field, In, is_reference, joined, references, resolve};
pub use lease_holder::{LEASE_KEY, LeaseHolder, Process};
pub use planned_change::{
    Action, Dropped, Observation, Observed, Origin, Plan, PlanRefusal, PlannedChange, Refresh, Step, StepId,
    Stray, Totals, Verb,
};
pub use printable::{blotted, counted, counted_with, hanging, is_unseen, one_line, shortened, visible};
pub use report::{Report, Sent, StepProgress, StepReport};
pub use resource::{
    DeletePolicy, Desired, Identity, Kind, KindInfo, Readiness, ReplacementOrder, Resource, minutes,
};
pub use secret::SecretSource;
pub use secret_object::{
    ManifestSecrets, SecretData, hidden_change, hidden_live, hide, is_hidden_change, is_secret,
};
pub use service_made::ServiceMade;
pub use snapshot::{Entry, Intent, Phase, Record, SCHEMA, Snapshot, SnapshotError, Writer};
pub use successor::{is_name_of, next_name};
#[cfg(test)]
pub use timeline::examples as timeline_examples;
pub use timeline::{Shares, Timeline, TimelineStep};
pub use undrained::Undrained;
pub use update::{UpdateId, UpdateOutcome};
pub use version::{KubernetesMinor, is_newer, numbers};

#[cfg(test)]
mod snapshot_tests;
