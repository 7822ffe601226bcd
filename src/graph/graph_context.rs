//! What the resources of a stack depend on besides its file.

use crate::{
    model::{Address, Owner, SecretData},
    stack::{delivery::App, manifest_file::Object},
};
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
    /// Images of the applications, by their names; that of an application without a name by the empty text.
    pub images: BTreeMap<String, AppImage>,
    /// Whether the file asks for the Kubernetes minor before the one that it asked for last.
    pub rolls_back: bool,
    /// Whether a change of the cluster's version ignores EKS's insights.
    pub force_upgrade: bool,
    /// Whether the cluster is or was in Auto Mode. EKS still acts in its role while it removes what Auto Mode made, so the
    /// role keeps its policies then.
    pub auto_mode: bool,
    /// Objects of the rendered manifests, each with the part of the stack that it belongs to.
    pub objects: Vec<(String, Object)>,
    /// The values of the Secrets among the objects, which hold texts in their place.
    pub secrets: BTreeMap<Address, SecretData>,
    /// Fields of applications that the file sets and no manifest uses, each with the folder of the manifests.
    pub unused: Vec<(String, String)>,
    /// Objects of the manifests that are not applied, each with the reason.
    pub skipped: Vec<String>,
}

/// The image of an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppImage {
    /// An image in a repository of the stack, by its tags.
    InRepository {
        /// Tag derived from the content of the source directory, or from the digest of the image that is copied.
        content: String,
        /// Additional tags.
        tags: Vec<String>,
        /// Reference of the image that is copied, by its digest; `None` for one that is built.
        copied: Option<String>,
        /// The builder, if the file leaves the choice open.
        builder: Option<String>,
        /// What was resolved for the image, as its resource keeps it.
        pins: serde_json::Value,
    },
    /// An image elsewhere, by its digest.
    Elsewhere(String),
}

impl Default for AppImage {
    fn default() -> Self {
        AppImage::InRepository {
            content: String::new(),
            tags: Vec::new(),
            copied: None,
            builder: None,
            pins: serde_json::Value::Null,
        }
    }
}

impl Context {
    /// Returns the image of an application.
    pub fn image(&self, app: &App) -> AppImage {
        self.images.get(app.name.as_deref().unwrap_or_default()).cloned().unwrap_or_default()
    }
}
