//! `stack.yaml` -> [`Stack`]: parsed with positions, completed with defaults, validated. Pure.

pub mod cluster;
mod de;
pub mod delivery;
mod diagnostics;
pub mod layout;
pub mod manifest;
pub mod overrides;
mod substitute;
mod tree;
mod types;
mod validate;
mod validate_bottlerocket;
mod validate_cluster;
mod validate_delivery;
mod validate_network;
mod values;

pub use de::nearest;
pub use diagnostics::{Diagnostic, Diagnostics};
pub use tree::MAX_BYTES;
pub use types::{Encryption, Existing, File, Nat, Network, StateSection};
pub use values::{Cidr, Endpoints, FlowLogSettings, FlowLogs, Share, Zones};

use cluster::{Cluster, FargateProfile, NodeGroup};
use de::NodeReader;
use delivery::{App, Controllers, Parameter, Repository, ServiceAccount};
use diagnostics::{Source, Spot};
use serde::Deserialize as _;
use std::collections::BTreeMap;
use tree::{Node, Raw};

/// A valid file with its defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Stack {
    /// See [`File::name`].
    pub name: String,
    /// See [`File::region`].
    pub region: String,
    /// See [`File::account`].
    pub account: Option<String>,
    /// See [`File::protect`].
    pub protect: bool,
    /// See [`File::tags`].
    pub tags: BTreeMap<String, String>,
    /// See [`File::state`].
    pub state: StateSection,
    /// The network, where there is one.
    pub network: Option<Network>,
    /// See [`File::encryption`].
    pub encryption: Encryption,
    /// The cluster, where there is one.
    pub cluster: Option<Cluster>,
    /// See [`File::node_groups`].
    pub node_groups: Vec<NodeGroup>,
    /// See [`File::fargate_profiles`].
    pub fargate_profiles: Vec<FargateProfile>,
    /// See [`File::fargate_only`].
    pub fargate_only: bool,
    /// See [`File::repositories`].
    pub repositories: Vec<Repository>,
    /// See [`File::service_accounts`].
    pub service_accounts: Vec<ServiceAccount>,
    /// See [`File::parameters`].
    pub parameters: Vec<Parameter>,
    /// See [`File::controllers`].
    pub controllers: Controllers,
    /// The application, where there is one.
    pub app: Option<App>,
    places: Places,
}

/// Where each field stands in the file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Places {
    source: Source,
    /// By path: the key's place (for a list item, the item's), and the value's.
    spots: BTreeMap<String, (Spot, Spot)>,
}

impl Places {
    fn new(source: Source, root: &Node) -> Self {
        let mut spots = BTreeMap::new();
        note(&mut spots, "", root);
        Places { source, spots }
    }

    /// An error at the value of `path`, or of the nearest field around it that is there.
    fn at(&self, path: &str, message: String, help: Option<String>) -> Diagnostic {
        let mut near = path;
        loop {
            if let Some((key, value)) = self.spots.get(near) {
                return self.source.at(if near == path { *value } else { *key }, path, message, help);
            }
            match near.rfind(['.', '[']) {
                Some(end) => near = near.get(..end).unwrap_or_default(),
                None => return self.source.at(Spot::default(), path, message, help),
            }
        }
    }
}

/// The longest path whose place is noted. Names may be as long as the file, and each path repeats those above it: what is
/// longer counts as in the place of the field around it.
const LONGEST: usize = 500;

fn note(spots: &mut BTreeMap<String, (Spot, Spot)>, path: &str, node: &Node) {
    if path.len() > LONGEST {
        return;
    }
    match &node.raw {
        Raw::Map(entries) => {
            for (key, node) in entries {
                let path = if path.is_empty() { key.name.clone() } else { format!("{path}.{}", key.name) };
                spots.insert(path.clone(), (key.spot, node.spot));
                note(spots, &path, node);
            }
        }
        Raw::List(list) => {
            for (index, node) in list.iter().enumerate() {
                let path = format!("{path}[{index}]");
                spots.insert(path.clone(), (node.spot, node.spot));
                note(spots, &path, node);
            }
        }
        _ => {}
    }
}

/// Reads a stack file. `env` looks up environment variables.
///
/// # Errors
/// What is wrong with the file, each with its line: all that validation finds, or the first thing that cannot be parsed.
pub fn load(
    file_name: &str,
    bytes: &[u8],
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Stack, Diagnostics> {
    load_with(file_name, bytes, env, &[])
}

/// [`load`] with values in the place of the file's.
pub fn load_with(
    file_name: &str,
    bytes: &[u8],
    env: &dyn Fn(&str) -> Option<String>,
    overrides: &[overrides::Override],
) -> Result<Stack, Diagnostics> {
    let (mut root, source) = tree::parse(file_name, bytes)?;
    if root.raw == Raw::Null {
        let help = Some("a stack needs a `name` and a `region`".to_owned());
        return Err(source.at(Spot::default(), "", "the file is empty".to_owned(), help).into());
    }
    substitute::substitute(&mut root, &source, env)?;
    for one in overrides {
        overrides::set(&mut root, &source, one)?;
    }
    let file = File::deserialize(NodeReader(&root)).map_err(|error| {
        let spot = error.spot.unwrap_or(Spot { line: 1, column: 1, length: 1 });
        source.at(spot, error.path.trim_end_matches('.'), error.message, error.help)
    })?;
    let places = Places::new(source, &root);
    let problems = validate::check(&file, &places);
    match Diagnostics::new(problems) {
        Some(diagnostics) => Err(diagnostics),
        None => Ok(complete(file, places)),
    }
}

/// Whether anything in the file needs a cluster.
fn needs_cluster(file: &File) -> bool {
    file.cluster.is_some()
        || file.node_groups.is_some()
        || file.fargate_profiles.is_some()
        || file.fargate_only == Some(true)
        || file.service_accounts.is_some()
        || file.controllers.is_some()
        || file.app.is_some()
}

fn complete(file: File, places: Places) -> Stack {
    let cluster = needs_cluster(&file);
    let fargate_only = file.fargate_only.unwrap_or_default();
    let alone = cluster && file.node_groups.is_none() && file.fargate_profiles.is_none() && !fargate_only;
    let default_group =
        || NodeGroup::deserialize(serde_json::json!({"name": "default"})).into_iter().collect();
    let default_cluster = || Cluster::deserialize(serde_json::json!({})).ok();
    Stack {
        name: file.name,
        region: file.region,
        account: file.account,
        protect: file.protect,
        tags: file.tags,
        state: file.state,
        network: file.network.or_else(|| cluster.then(Network::default)),
        encryption: file.encryption.unwrap_or_default(),
        cluster: file.cluster.or_else(|| if cluster { default_cluster() } else { None }),
        node_groups: file.node_groups.unwrap_or_else(|| if alone { default_group() } else { Vec::new() }),
        fargate_profiles: file.fargate_profiles.unwrap_or_default(),
        fargate_only,
        repositories: file.repositories.unwrap_or_default(),
        service_accounts: file.service_accounts.unwrap_or_default(),
        parameters: file.parameters.unwrap_or_default(),
        controllers: file.controllers.unwrap_or_default(),
        app: file.app,
        places,
    }
}

/// The JSON Schema of the file, made from its types.
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(File).to_value();
    if let Some(map) = schema.as_object_mut() {
        map.insert("title".to_owned(), "provisioner stack".into());
    }
    schema
}

/// The Kubernetes minor of a cluster whose file names none: the newest that this program was tested with.
pub const NEWEST_TESTED: &str = "1.35";

impl Stack {
    /// An error that was found later than in validation, at the place of `path`.
    pub fn diagnostic(&self, path: &str, message: String, help: Option<String>) -> Diagnostics {
        self.places.at(path, message, help).into()
    }

    /// Whether the file asks for nothing.
    pub fn is_empty(&self) -> bool {
        self.network.is_none() && self.repositories.is_empty() && self.parameters.is_empty()
    }
}
