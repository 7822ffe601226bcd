//! What stands in the way of a deletion and is known before it: named, and refused before anything is deleted.

use super::{
    OperationError, Workspace,
    api_access::{self, Unreachable},
};
use crate::{
    model::{Address, CallError, Desired as _, ErrorKind, LeftBehind, Observed, Snapshot, StepError, Stray},
    resources::{manifest, secret_environment, webhook_certificate},
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of resources that a message names.
const MAX_NAMED: usize = 8;

/// Refuses targets on which other resources depend.
///
/// # Errors
/// Names those resources, each with what it depends on.
pub fn refuse_dependents(
    targets: &[String],
    dependents: &BTreeMap<Address, BTreeSet<Address>>,
) -> Result<(), OperationError> {
    if dependents.is_empty() {
        return Ok(());
    }
    let named = dependents.iter().take(MAX_NAMED).filter_map(|(address, on)| {
        let first = on.first()?;
        Some(format!("{address} (on {first})"))
    });
    let mut text = named.collect::<Vec<_>>().join(", ");
    if let Some(more @ 1..) = dependents.len().checked_sub(MAX_NAMED) {
        text.push_str(&format!(" and {more} more"));
    }
    let message = format!(
        "--target {}: {} on it: {text}; nothing was changed",
        targets.join(" "),
        match dependents.len() {
            1 => "another resource depends".to_owned(),
            many => format!("{many} other resources depend"),
        }
    );
    Err(OperationError::refused(
        message,
        "add them to `--target`, or run `provisioner down` without `--target` to delete the stack",
    ))
}

/// Drops the objects in the cluster from the snapshot if this machine cannot reach the cluster: they are
/// deleted with it. It is refused if one of them has a load balancer, which only a controller in the cluster
/// deletes.
pub async fn forget_cluster_objects(
    workspace: &Workspace,
    snapshot: &mut Snapshot,
) -> Result<(), OperationError> {
    let inside = |kind: &str| {
        [manifest::Spec::KIND, secret_environment::Spec::KIND, webhook_certificate::Spec::KIND]
            .contains(&kind)
    };
    let made =
        snapshot.resources.iter().filter(|(_, entry)| inside(&entry.kind)).map(|(at, it)| (at, &it.spec));
    let begun = snapshot.intents.iter().filter(|(_, it)| inside(&it.kind)).map(|(at, it)| (at, &it.request));
    let objects: BTreeMap<&Address, &Value> = begun.chain(made).collect();
    if objects.is_empty() {
        return Ok(());
    }
    let unreachable = match api_access::unreachable(workspace).await {
        Err(OperationError::Step(problem)) if problem.error.class == ErrorKind::Denied => {
            workspace.warn(format!("could not be looked at: the cluster's API server: {}", problem.error));
            return Ok(());
        }
        answer => answer?,
    };
    let (why, hint) = match unreachable {
        None => return Ok(()),
        Some(Unreachable::UnknownCaller(why)) => (
            why,
            "run `provisioner up --target cluster/access` to grant access to this caller, then run `down` again",
        ),
        Some(Unreachable::NoAnswer(why)) => (
            why,
            "run `provisioner up --target cluster/eks` to open `publicCidrs` to this machine, or connect from \
             inside the VPC if the API server is private; then run `down` again",
        ),
    };
    let text = |object: &Value, path: &str| {
        object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let balanced = objects.iter().find(|(_, object)| {
        text(object, "/object/kind") == "Ingress" || text(object, "/object/spec/type") == "LoadBalancer"
    });
    if let Some((address, _)) = balanced {
        let message = format!(
            "objects in the cluster cannot be deleted from here ({why}), and {address} has a load balancer that \
             would be left behind and block the deletion of the network; nothing was changed"
        );
        return Err(OperationError::refused(message, hint));
    }
    workspace.warn(format!(
        "objects in the cluster are deleted with it, because they cannot be reached from here: {why}"
    ));
    snapshot.resources.retain(|_, entry| !inside(&entry.kind));
    snapshot.intents.retain(|_, intent| !inside(&intent.kind));
    Ok(())
}

/// The error for a resource that is left because nothing proves that it is the stack's.
pub fn stray_left(stray: &Stray) -> StepError {
    let Stray { address, kind, id, .. } = stray;
    let message =
        format!("{kind} {id} carries this stack's tags, but is not in its state, so it is not deleted");
    let hint = format!(
        "if it is this stack's, `provisioner state import '{address}' {id}` records it; then run `down` again. \
         Otherwise remove its `provisioner:` tags"
    );
    StepError::at(address, CallError::new(ErrorKind::Refused, message).hint(hint), LeftBehind::Nothing)
}

/// Tells which kinds could not be looked at. Of those that are recorded, the deletion looks again; of the others, only what
/// carries the stack's tags and is in no record is not found.
pub fn tell_unseen(workspace: &Workspace, snapshot: &Snapshot, observed: &Observed) {
    let recorded: BTreeSet<&String> = snapshot.resources.values().map(|entry| &entry.kind).collect();
    for (kind, error) in observed.failed.iter().filter(|(kind, _)| !recorded.contains(kind)) {
        workspace.warn(format!(
            "could not be looked at: {kind}, of which nothing is recorded; what carries the stack's tags is not found: {error}"
        ));
    }
}
