//! The stack file: parsed with positions, validated and completed with defaults into a [`Stack`]. Pure.
//!
//! [`load`] runs in this order: `tree` parses the YAML, `extends` reads the files that it extends and `merge` joins them,
//! `substitute` replaces environment variables, `overrides` applies `--set`, the deserializer builds a [`File`], `validate` checks it, and defaults
//! complete it.

pub mod app_settings;
pub mod cluster;
mod cluster_settings;
pub mod delivery;
mod deserializer;
mod diagnostics;
mod extends;
#[cfg(test)]
mod extends_tests;
mod findings;
pub mod foreign_manifest;
pub mod layout;
pub mod manifest_file;
mod max_pods;
mod merge;
pub mod overrides;
mod placement;
mod positions;
mod secret_manifest;
mod substitute;
mod tree;
mod types;
mod validate;
mod validate_app;
mod validate_apps;
mod validate_bottlerocket;
mod validate_cluster;
mod validate_delivery;
mod validate_network;
mod values;

pub use deserializer::nearest;
pub use diagnostics::{Diagnostic, Diagnostics};
pub use extends::BaseReader;
pub use max_pods::max_pods;
pub use placement::{repelled, selects};
pub use tree::MAX_BYTES;
pub use types::{Encryption, Existing, File, Nat, Network, StateSection};
pub use values::{Cidr, Endpoints, FlowLogSettings, FlowLogs, Share, Zones};

use cluster::{AutoMode, Cluster, FargateProfile, NodeGroup, NodePool};
use delivery::{App, Controllers, Parameter, Repository, ServiceAccount};
use deserializer::NodeReader;
use diagnostics::Span;
use positions::Positions;
use serde::Deserialize as _;
use std::collections::BTreeMap;
use tree::Raw;

/// A validated stack file with all defaults applied.
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
    /// See [`File::role_arn`].
    pub role_arn: Option<String>,
    /// See [`File::external_id`].
    pub external_id: Option<String>,
    /// See [`File::permissions_boundary`].
    pub permissions_boundary: Option<String>,
    /// See [`File::role_path`].
    pub role_path: String,
    /// See [`File::tags`].
    pub tags: BTreeMap<String, String>,
    /// See [`File::state`].
    pub state: StateSection,
    /// The network; `None` only for a stack without a network and without a cluster.
    pub network: Option<Network>,
    /// See [`File::encryption`].
    pub encryption: Encryption,
    /// The cluster; `None` if no section of the file needs one.
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
    /// The applications of [`File::app`] or [`File::apps`].
    pub apps: Vec<App>,
    /// The files that the stack file extends, nearest first: paths relative to its folder. None of them belongs to an image.
    pub extended_files: Vec<String>,
    positions: Positions,
}

/// Parses and validates a stack file. `env` looks up environment variables; `file_name` is shown in errors.
///
/// # Errors
/// The first syntax or type error, or all validation errors, each with its position.
pub fn load(
    file_name: &str,
    bytes: &[u8],
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Stack, Diagnostics> {
    load_with(file_name, bytes, env, &[])
}

/// Does what [`load`] does, with some values of the file overridden.
///
/// # Errors
/// See [`load`]; also an override that cannot be applied.
pub fn load_with(
    file_name: &str,
    bytes: &[u8],
    env: &dyn Fn(&str) -> Option<String>,
    overrides: &[overrides::Override],
) -> Result<Stack, Diagnostics> {
    load_extended(
        file_name,
        bytes,
        env,
        overrides,
        &|_| Err("only a file can extend another file".to_owned()),
    )
}

/// Does what [`load_with`] does, with the files that the stack file extends.
///
/// # Errors
/// See [`load_with`]; also a file that cannot be read, is outside the folder of the stack file, or extends itself.
pub fn load_extended(
    file_name: &str,
    bytes: &[u8],
    env: &dyn Fn(&str) -> Option<String>,
    overrides: &[overrides::Override],
    read: BaseReader<'_>,
) -> Result<Stack, Diagnostics> {
    let extends::Chain { mut root, source, files } = extends::chain(file_name, bytes, env, read)?;
    if root.raw == Raw::Null {
        let hint = Some("add at least `name` and `region`".to_owned());
        return Err(source.at(Span::default(), "", "stack file is empty".to_owned(), hint).into());
    }
    substitute::substitute(&mut root, &source, env)?;
    for one in overrides {
        overrides::set(&mut root, &source, one)?;
    }
    let file = File::deserialize(NodeReader(&root)).map_err(|error| {
        let span = error.span.unwrap_or(Span { file: 0, line: 1, column: 1, length: 1 });
        source.at(span, error.path.trim_end_matches('.'), error.message, error.hint)
    })?;
    let positions = Positions::new(source, &root);
    let problems = validate::check(&file, &positions);
    match Diagnostics::new(problems) {
        Some(diagnostics) => Err(diagnostics),
        None => Ok(Stack { extended_files: files, ..complete(file, positions) }),
    }
}

/// Applies the defaults of sections that are missing.
fn complete(file: File, positions: Positions) -> Stack {
    let cluster = file.needs_cluster();
    let fargate_only = file.fargate_only.unwrap_or_default();
    let auto = file.cluster.as_ref().and_then(|it| it.auto_mode.as_ref()).and_then(AutoMode::pools).is_some();
    let others = file.fargate_profiles.is_some() || fargate_only || auto;
    let alone = cluster && file.node_groups.is_none() && !others;
    let default_group =
        || NodeGroup::deserialize(serde_json::json!({"name": "default"})).into_iter().collect();
    let default_cluster = || Cluster::deserialize(serde_json::json!({})).ok();
    let apps = file.applications().map(|(place, app)| App { place, ..app.clone() }).collect();
    Stack {
        name: file.name,
        region: file.region,
        account: file.account,
        protect: file.protect,
        role_arn: file.role_arn,
        external_id: file.external_id,
        permissions_boundary: file.permissions_boundary,
        role_path: file.role_path.unwrap_or_else(|| "/".to_owned()),
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
        apps,
        extended_files: Vec::new(),
        positions,
    }
}

/// Returns the JSON Schema of the stack file, generated from [`File`].
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(File).to_value();
    join_lines(&mut schema);
    if let Some(map) = schema.as_object_mut() {
        map.insert("title".to_owned(), "provisioner stack".into());
        // A file that extends another may leave all fields to it.
        if let Some(required) = map.remove("required") {
            map.insert("if".to_owned(), serde_json::json!({"not": {"required": ["extends"]}}));
            map.insert("then".to_owned(), serde_json::json!({"required": required}));
        }
    }
    schema
}

/// Joins the lines of every description, which are broken where the doc comments are.
fn join_lines(schema: &mut serde_json::Value) {
    match schema {
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                match value {
                    serde_json::Value::String(text) if key == "description" => {
                        *text = text.replace('\n', " ");
                    }
                    value => join_lines(value),
                }
            }
        }
        serde_json::Value::Array(list) => list.iter_mut().for_each(join_lines),
        _ => {}
    }
}

/// The newest Kubernetes minor version that this program was tested with; the default of a new cluster.
pub const NEWEST_TESTED: &str = "1.35";

impl Stack {
    /// Returns an error at the field `path`, for checks that need more than the file, such as calls to AWS.
    pub fn diagnostic(&self, path: &str, message: String, hint: Option<String>) -> Diagnostics {
        self.positions.at(path, message, hint).into()
    }

    /// Returns the built-in node pools of EKS Auto Mode; `None` if the file does not enable it.
    pub fn node_pools(&self) -> Option<Vec<NodePool>> {
        self.cluster.as_ref()?.auto_mode.as_ref()?.pools()
    }

    /// Returns whether the file, or `--set`, sets the field `path`.
    pub fn sets(&self, path: &str) -> bool {
        self.positions.spans.contains_key(path)
    }

    /// Returns the application of this name; the only one without a name if there is no name.
    pub fn app(&self, name: Option<&str>) -> Option<&App> {
        self.apps.iter().find(|app| app.name.as_deref() == name)
    }

    /// Returns whether the file declares no resources.
    pub fn is_empty(&self) -> bool {
        self.network.is_none() && self.repositories.is_empty() && self.parameters.is_empty()
    }
}
