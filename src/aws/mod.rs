//! The AWS SDK, as the rest of the program sees it: clients, owner tags, error classes, pinned creates.

mod blockers;
mod classes;
mod clients;
mod context;
mod eks;
mod error;
mod facts;
mod fleet;
mod permissions;
mod policy;
mod preflight;
mod private_key;
mod proof;
mod reach;
mod secret;
mod tags;
mod telling;
mod zones;

pub use blockers::blockers;
pub use clients::{Clients, Endpoint, Identity, connect};
pub use context::{Cx, Local};
pub use eks::{issues, launch_trouble, retag_eks};
pub use error::{Call, classify, gone_is_done};
pub use facts::{
    AddonVersion, addon_schema, addon_versions, bottlerocket_releases, cluster_version, kubernetes_versions,
    principal, public_address,
};
pub use fleet::{Fleet, fleets};
pub use permissions::{CHECKED_BESIDE, CLUSTER, DOCTOR, EVERY_RUN, NETWORK, STATE_KEY};
pub use policy::{normal, parse};
pub use preflight::{InUse, Machine, in_use, machines, quota, refused};
pub use private_key::private_key;
pub use proof::{Left, left_behind, lineages, unknown};
pub use reach::{Reach, reach};
pub use secret::read_secret;
pub use tags::{
    Tags, by_owner, ec2_tags, filter, from_ec2, resource_of, retag_ec2, tag_map, tagged, tags_by_arn,
};
pub use telling::{Listener, Said, heard, notice, tell};
pub use zones::{Zone, zones};

pub(crate) use context::{once, signed};
