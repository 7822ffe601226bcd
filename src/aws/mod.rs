//! The AWS SDK, as the rest of the program sees it: clients, owner tags, error classes, pinned creates.

mod clients;
mod context;
mod error;
mod policy;
mod tags;

pub use clients::{Clients, Endpoint, Identity, connect};
pub use context::{Cx, partition};
pub use error::{Call, classify, gone_is_done};
pub use policy::{normal, parse};
pub use tags::{Tags, by_owner, ec2_tags, filter, from_ec2, resource_of, retag_ec2, tag_map, tagged};

pub(crate) use context::once;
