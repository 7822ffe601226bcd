//! What the desired resources depend on besides the file: asked of AWS once, recorded, and asked again only
//! if the file changes.

mod addon_versions;
mod built_images;
mod caller_address;
mod chosen_zones;
mod endpoint_zones;
mod facts_from_live;
mod image_facts;
mod manifests;
mod node_releases;

pub use chosen_zones::{record_zones, recorded_zones};
pub use facts_from_live::facts_from_live;

use super::{
    OperationError, PlanOptions, Workspace,
    support_calendar::{record_support, recorded_support},
};
use crate::{
    aws::{OfferedVersion, addon_versions, cluster_version, kubernetes_versions, principal},
    graph::{Context, addons, cluster_name, missing_endpoints},
    model::{Desired as _, ErrorKind, KubernetesMinor, Snapshot, is_newer},
    resources::eks_cluster,
    stack::{NEWEST_TESTED, Stack},
};
use addon_versions::addon_pins;
use built_images::add_built_images;
use caller_address::my_ip;
use chosen_zones::{chosen_zones, kept_zones, shares};
use endpoint_zones::endpoint_zones;
use image_facts::app_images;
use manifests::add_objects;
use node_releases::releases;
use serde_json::{Value, json};
use std::path::Path;

/// The key of the Kubernetes minor in the state's outputs. It is recorded so that a newer program does not
/// upgrade a cluster whose file names no version.
const VERSION: &str = "kubernetesVersion";

/// The key of the record in the state's outputs that the cluster is or was in Auto Mode.
const AUTO_MODE: &str = "autoMode";

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
        images: Box::pin(app_images(workspace, options, snapshot)).await?,
        ..Context::default()
    };
    let Some(cluster) = &workspace.stack.cluster else { return Ok(context) };
    context.version = kubernetes_version(workspace, snapshot).await?;
    check_auto_mode(workspace, snapshot)?;
    check_certificate(workspace)?;
    if workspace.stack.node_pools().is_some() {
        snapshot.outputs.insert(AUTO_MODE.to_owned(), json!(true));
    }
    context.force_upgrade = options.force_upgrade;
    context.rolls_back = rolls_back(snapshot, &context.version);
    context.auto_mode = snapshot.outputs.contains_key(AUTO_MODE);
    context.addons = addon_pins(workspace, snapshot, &context.version).await?;
    context.releases = releases(workspace, options.upgrade_nodes, snapshot, &context.version).await?;
    if cluster.admin_caller {
        context.caller =
            principal(&workspace.target.clients, &workspace.target.identity, &workspace.stack.region).await?;
    }
    context.my_ip = my_ip(workspace).await?;
    add_objects(&workspace.stack, &workspace.folders.project(), &mut context)?;
    Ok(context)
}

/// Returns the Kubernetes minor: the file's, the recorded one, or the newest that EKS offers.
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
    let chosen = asked.or(moved).or_else(|| recorded.clone());
    let known = chosen.as_ref().is_some_and(|version| {
        recorded.as_ref() == Some(version) && recorded_support(snapshot, version).is_some()
    });
    if let (true, Some(version)) = (known, &chosen) {
        return Ok(version.clone());
    }
    // A target that is not AWS may not support the call.
    let offered = match kubernetes_versions(&workspace.target.clients).await {
        Err(error) if error.class == ErrorKind::Unsupported => Vec::new(),
        offered => offered?,
    };
    let version = match chosen {
        Some(version) => version,
        None => newest_for(workspace, &offered).await?,
    };
    match offered.iter().find(|it| it.version == version) {
        Some(it) => record_support(snapshot, &it.support),
        None if offered.is_empty() || recorded.as_ref() == Some(&version) => {}
        None => {
            let message = format!("EKS does not offer Kubernetes {version} in {}", workspace.stack.region);
            let names: Vec<&str> = offered.iter().map(|it| it.version.as_str()).collect();
            let help = Some(format!("expected one of: {}", names.join(", ")));
            return Err(workspace.stack.diagnostic("cluster.version", message, help).into());
        }
    }
    snapshot.outputs.insert(VERSION.to_owned(), json!(version));
    Ok(version)
}

/// Returns the newest minor in standard support for which EKS has all add-ons of the stack.
async fn newest_for(workspace: &Workspace, offered: &[OfferedVersion]) -> Result<String, OperationError> {
    let wanted = addons(&workspace.stack);
    for it in offered.iter().filter(|it| it.standard) {
        let there = addon_versions(&workspace.target.clients, &it.version).await?;
        let fits = |name: &String| there.get(name).is_some_and(|versions| !versions.is_empty());
        if wanted.keys().all(fits) {
            let newest = KubernetesMinor::parse(&it.version) > KubernetesMinor::parse(NEWEST_TESTED);
            if newest {
                workspace.warn(format!(
                    "Kubernetes {} is newer than {NEWEST_TESTED}, the newest version that provisioner was tested with; \
                     set `cluster.version` to choose another",
                    it.version
                ));
            }
            return Ok(it.version.clone());
        }
    }
    Ok(NEWEST_TESTED.to_owned())
}

/// Refuses a certificate of another account: load balancers take only those of their own.
/// Source: <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/https-listener-certificates.html>
fn check_certificate(workspace: &Workspace) -> Result<(), OperationError> {
    let (stack, own) = (&workspace.stack, &workspace.target.identity.account);
    for app in &stack.apps {
        let account = app.certificate_arn.as_ref().and_then(|arn| arn.split(':').nth(4));
        let Some(of) = account.filter(|of| of != own) else { continue };
        let message =
            format!("the certificate is in account {of}, and load balancers in {own} take only their own");
        let hint = "request or import the certificate in this account with ACM".to_owned();
        return Err(stack.diagnostic(&app.field("certificateArn"), message, Some(hint)).into());
    }
    Ok(())
}

/// Refuses a file that no longer names Auto Mode while the cluster is in it: what belongs to it would be removed below a
/// cluster that is left as it is.
fn check_auto_mode(workspace: &Workspace, snapshot: &Snapshot) -> Result<(), OperationError> {
    let stack = &workspace.stack;
    let named = stack.cluster.as_ref().is_some_and(|cluster| cluster.auto_mode.is_some());
    let clusters = snapshot.resources.values().filter(|entry| entry.kind == eks_cluster::Spec::KIND);
    let mut enabled = clusters.filter_map(|entry| entry.spec.pointer("/autoMode/enabled")?.as_bool());
    if named || !enabled.any(|on| on) {
        return Ok(());
    }
    let message = "`autoMode` is missing, and the cluster is in Auto Mode";
    let hint =
        "set `autoMode: true` to keep it, or `autoMode: false` to disable it before the field is removed";
    Err(stack.diagnostic("cluster", message.to_owned(), Some(hint.to_owned())).into())
}

/// Returns whether the version is older than the one that the cluster's last run asked for. The cluster goes back last, so
/// that this holds until a rollback that was interrupted is complete.
fn rolls_back(snapshot: &Snapshot, version: &str) -> bool {
    let clusters = snapshot.resources.values().filter(|entry| entry.kind == eks_cluster::Spec::KIND);
    let asked = clusters.filter_map(|entry| entry.spec.get("version")?.as_str());
    asked.into_iter().any(|last| is_newer(last, version))
}

/// Returns the minor that the state records for the cluster.
pub fn recorded_version(snapshot: &Snapshot) -> Option<&str> {
    snapshot.outputs.get(VERSION)?.as_str()
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

/// Adds what the folders of the file tell, without AWS: the tags of the images that are built from folders, and the rendered
/// manifests. `project` is the folder of the stack file.
///
/// # Errors
/// A folder that does not exist, a Dockerfile that cannot be built, a manifest that cannot be rendered.
pub async fn add_folders(stack: &Stack, project: &Path, context: &mut Context) -> Result<(), OperationError> {
    add_built_images(stack, project, &mut context.images).await?;
    add_objects(stack, project, context)
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
