//! What the desired resources depend on besides the file: asked of AWS once, recorded, and asked again only
//! if the file changes.

mod addon_versions;
mod caller_address;
mod chosen_zones;
mod endpoint_zones;
mod facts_from_live;
mod image_facts;
mod manifests;
mod node_releases;

pub use chosen_zones::{record_zones, recorded_zones};
pub use facts_from_live::facts_from_live;

use super::{OperationError, PlanOptions, Workspace};
use crate::{
    aws::{cluster_version, kubernetes_versions, principal},
    graph::{Context, cluster_name, missing_endpoints},
    model::{ErrorKind, KubernetesMinor, Snapshot},
    stack::{NEWEST_TESTED, Stack},
};
use addon_versions::addon_pins;
use caller_address::my_ip;
use chosen_zones::{chosen_zones, kept_zones, shares};
use endpoint_zones::endpoint_zones;
use image_facts::image_tags;
use manifests::add_objects;
use node_releases::releases;
use serde_json::{Value, json};

/// The key of the Kubernetes minor in the state's outputs. It is recorded so that a newer program does not
/// upgrade a cluster whose file names no version.
const VERSION: &str = "kubernetesVersion";

/// Returns the facts for the desired resources, and records in the snapshot what is asked only once.
pub async fn gather(
    workspace: &Workspace,
    options: &PlanOptions,
    snapshot: &mut Snapshot,
) -> Result<Context, OperationError> {
    let zones = chosen_zones(workspace, snapshot).await?;
    let cluster_zones = kept_zones(workspace, snapshot, &zones)?;
    let mut context = Context {
        owner: snapshot.owner(),
        account: workspace.target.identity.account.clone(),
        shares: shares(snapshot, &zones)?,
        cluster_zones,
        endpoint_zones: endpoint_zones(workspace, snapshot, &zones).await?,
        zones,
        state_folder: workspace.folders.state.display().to_string(),
        image: image_tags(workspace, &options.image_tags).await?,
        ..Context::default()
    };
    let Some(cluster) = &workspace.stack.cluster else { return Ok(context) };
    context.version = kubernetes_version(workspace, snapshot).await?;
    context.addons = addon_pins(workspace, snapshot, &context.version).await?;
    context.releases = releases(workspace, options.upgrade_nodes, snapshot, &context.version).await?;
    if cluster.admin_caller {
        context.caller =
            principal(&workspace.target.clients, &workspace.target.identity, &workspace.stack.region).await?;
    }
    context.my_ip = my_ip(workspace).await?;
    add_objects(workspace, &mut context)?;
    Ok(context)
}

/// Returns the Kubernetes minor: the file's, the recorded one, or the newest tested one.
async fn kubernetes_version(
    workspace: &Workspace,
    snapshot: &mut Snapshot,
) -> Result<String, OperationError> {
    let recorded = snapshot.outputs.get(VERSION).and_then(Value::as_str).map(str::to_owned);
    let asked = workspace.stack.cluster.as_ref().and_then(|cluster| cluster.version.clone());
    // EKS upgrades a cluster automatically when the support of its version ends, and a file without a
    // version follows.
    let moved =
        if asked.is_none() { moved_version(workspace, snapshot, recorded.as_deref()).await? } else { None };
    let version = asked.or(moved).or_else(|| recorded.clone()).unwrap_or_else(|| NEWEST_TESTED.to_owned());
    if recorded.as_ref() != Some(&version) {
        match kubernetes_versions(&workspace.target.clients).await {
            // A target that is not AWS may not support the call.
            Err(error) if error.class == ErrorKind::Unsupported => {}
            Err(error) => return Err(error.into()),
            Ok(offered) if !offered.is_empty() && !offered.contains(&version) => {
                let message =
                    format!("EKS does not offer Kubernetes {version} in {}", workspace.stack.region);
                let help = Some(format!("expected one of: {}", offered.join(", ")));
                return Err(workspace.stack.diagnostic("cluster.version", message, help).into());
            }
            Ok(_) => {}
        }
        snapshot.outputs.insert(VERSION.to_owned(), json!(version));
    }
    Ok(version)
}

/// Returns the version that the cluster runs, if it is later than the chosen one.
async fn moved_version(
    workspace: &Workspace,
    snapshot: &Snapshot,
    chosen: Option<&str>,
) -> Result<Option<String>, OperationError> {
    let made = snapshot.resources.values().any(|entry| entry.kind == "eks_cluster");
    let Some(chosen) = chosen.filter(|_| made) else { return Ok(None) };
    let running = cluster_version(&workspace.target.clients, &cluster_name(&workspace.stack)).await?;
    Ok(running.filter(|running| KubernetesMinor::parse(running) > KubernetesMinor::parse(chosen)))
}

/// Checks what depends on several parts of the file.
pub fn check(stack: &Stack) -> Result<(), OperationError> {
    let missing = missing_endpoints(stack);
    if missing.is_empty() {
        return Ok(());
    }
    let message =
        format!("missing endpoints, which the stack needs with `nat: none`: {}", missing.join(", "));
    let help = Some("add them, or set `endpoints: auto`".to_owned());
    Err(stack.diagnostic("network.endpoints", message, help).into())
}
