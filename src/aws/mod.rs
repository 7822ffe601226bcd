//! The AWS SDK, as the rest of the program sees it: clients, owner tags, error classes, pinned creates.

mod blockers;
mod clients;
mod context;
mod error;
mod policy;
mod proof;
mod tags;
mod zones;

pub use blockers::blockers;
pub use clients::{Clients, Endpoint, Identity, connect};
pub use context::Cx;
pub use error::{Call, classify, gone_is_done};
pub use policy::{normal, parse};
pub use proof::{Left, left_behind};
pub use tags::{Tags, by_owner, ec2_tags, filter, from_ec2, resource_of, retag_ec2, tag_map, tagged};
pub use zones::{Zone, zones};

pub(crate) use context::once;
