//! What the resources of a stack depend on besides its file.

use crate::{model::Owner, stack::manifest_file::Object};
use std::collections::{BTreeMap, BTreeSet};

/// What the graph depends on besides the stack file: facts that are queried from AWS, most of them once and
/// then recorded in the state.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Owner of the resources: stack and lineage.
    pub owner: Owner,
    /// Account ID, 12 digits.
    pub account: String,
    /// Names of the availability zones.
    pub zones: Vec<String>,
    /// Zones that the cluster was created in; empty if it does not exist.
    pub cluster_zones: Vec<String>,
    /// Share of the address space by zone; see [`crate::stack::layout::shares`].
    pub shares: BTreeMap<String, usize>,
    /// Zones of the interface endpoints, by the short name of the service; all zones for one that is left out.
    pub endpoint_zones: BTreeMap<String, BTreeSet<String>>,
    /// Kubernetes version, such as `1.35`.
    pub version: String,
    /// ARN of the caller's IAM principal; `None` if access entries cannot name it, as for the root user.
    pub caller: Option<String>,
    /// CIDR block that `myip` stands for.
    pub my_ip: Option<String>,
    /// Versions of the add-ons by name.
    pub addons: BTreeMap<String, String>,
    /// Bottlerocket release by node group.
    pub releases: BTreeMap<String, String>,
    /// Directory of local files that are not stored in the backend, such as private keys.
    pub state_folder: String,
    /// Tags of the application's image.
    pub image: ImageTags,
    /// Whether the file asks for the Kubernetes minor before the one that it asked for last.
    pub rolls_back: bool,
    /// Whether a change of the cluster's version ignores EKS's insights.
    pub force_upgrade: bool,
    /// Whether the cluster is or was in Auto Mode. EKS still acts in its role while it removes what Auto Mode made, so the
    /// role keeps its policies then.
    pub auto_mode: bool,
    /// Objects of the rendered manifests.
    pub objects: Vec<Object>,
    /// Fields of `app` that the file sets and no manifest uses.
    pub unused: Vec<&'static str>,
}

/// The tags of the application's image.
#[derive(Clone, Debug, Default)]
pub struct ImageTags {
    /// Tag derived from the content of the source directory.
    pub content: String,
    /// Additional tags.
    pub tags: Vec<String>,
}
