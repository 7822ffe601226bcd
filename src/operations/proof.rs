//! The last step of a deletion: queries by the tags of the stack and of its clusters, and in IAM, which must find nothing.

use super::{OperationError, RunControl, Workspace, cluster_access::name_of_cluster};
use crate::{
    aws::{ClaimVolume, Left, Traces, claim_volumes, cluster_endpoint},
    engine::nothing_left,
    graph::subnet_tags_address,
    model::{Address, CallError, Desired as _, Observed, Plan, Snapshot, counted},
    resources::{eks_cluster, oidc_provider, subnet_tags},
};
use serde_json::Value;
use std::collections::BTreeSet;

/// What queries by the tags of the stack and of its clusters find after a deletion.
#[derive(Clone, Debug, Default)]
pub struct RemovalProof {
    /// The names of the clusters whose tags were looked for.
    pub clusters: BTreeSet<String>,
    /// ARNs of what is left.
    pub left: Vec<String>,
    /// Subnets of others that carry the stack's marker of role tags: the addresses of their records, and ids.
    pub marked: Vec<(Address, String)>,
    /// The key of that marker.
    pub marker: String,
    /// ARNs of keys that are pending deletion, and when AWS deletes them.
    pub keys: Vec<(String, String)>,
    /// Volumes of claims in the clusters, which are kept.
    pub volumes: Vec<ClaimVolume>,
    /// ARNs of snapshots and other volumes of the driver, which are kept.
    pub data: Vec<String>,
    /// What was not looked for, and why.
    pub not_asked: Vec<(String, CallError)>,
    /// Whether the query by the stack's tags was not answered, so that nothing is proven.
    pub unproven: bool,
}

impl RemovalProof {
    /// Returns whether nothing is left but keys that are pending deletion, and data that is kept.
    pub fn is_empty(&self) -> bool {
        self.left.is_empty() && self.marked.is_empty() && !self.unproven
    }
}

/// Returns by what a stack is looked for of which nothing is known but its file.
pub fn traces(workspace: &Workspace) -> Traces {
    let (stack, region) = (workspace.stack.name.clone(), workspace.stack.region.clone());
    let marker = subnet_tags::Spec::marker_of(&stack);
    Traces { stack, region, marker, ..Traces::default() }
}

/// Returns by what a stack is looked for after what a plan deletes.
pub fn traces_of(workspace: &Workspace, plan: &Plan, snapshot: &Snapshot, observed: &Observed) -> Traces {
    let deleted = |kind: &'static str, field: &'static str| {
        let all = plan.changes.iter().filter(move |change| change.kind == kind);
        let live = all.filter_map(|change| observed.found.get(&change.address));
        live.filter_map(move |found| Some(found.live.get(field).and_then(Value::as_str)?.to_owned()))
    };
    Traces {
        lineage: Some(snapshot.lineage.clone()),
        clusters: deleted(eks_cluster::Spec::KIND, "name").collect(),
        issuers: deleted(oidc_provider::Spec::KIND, "issuer")
            .chain(deleted(eks_cluster::Spec::KIND, "issuer"))
            .collect(),
        ..traces(workspace)
    }
}

/// Tells which volumes a deletion keeps.
pub async fn tell_kept_volumes(workspace: &Workspace, traces: &Traces) -> Result<(), OperationError> {
    let look = async || Ok(claim_volumes(&workspace.target.clients, &traces.clusters).await?);
    let volumes = match workspace.patient(look).await {
        Err(OperationError::Step(problem)) if problem.error.class == crate::model::ErrorKind::Denied => {
            workspace.warn(format!("could not be looked at: volumes of claims: {}", problem.error));
            return Ok(());
        }
        found => found?,
    };
    if !volumes.is_empty() {
        let named: Vec<String> = volumes.iter().map(ToString::to_string).collect();
        let verb = if volumes.len() == 1 { "is" } else { "are" };
        workspace.warn(format!(
            "{} of PersistentVolumeClaims {verb} kept, because `down` deletes no data that it did not create: {}",
            counted(volumes.len(), "volume"),
            named.join(", ")
        ));
    }
    Ok(())
}

/// Runs the query, and looks again for a while if it finds anything.
pub async fn prove_removal(
    workspace: &Workspace,
    traces: &Traces,
    control: &RunControl,
) -> Result<RemovalProof, OperationError> {
    let clients = &workspace.target.clients;
    let mut traces = traces.clone();
    if workspace.stack.cluster.is_some() && traces.clusters.is_empty() {
        let name = name_of_cluster(&workspace.stack);
        // The volumes of a cluster that exists are its owner's.
        let exists = cluster_endpoint(clients, &name).await.map_or(true, |found| found.is_some());
        traces.former_cluster = (!exists).then_some(name);
    }
    let (clusters, marker) = (traces.clusters.clone(), traces.marker.clone());
    let mut proof = RemovalProof { clusters, marker, ..RemovalProof::default() };
    for left in nothing_left(clients, &traces, workspace.target.pace, &control.shutdown).await? {
        match left {
            Left::There(arn) => proof.left.push(arn),
            Left::Marked(subnet) => proof.marked.push((subnet_tags_address(&subnet), subnet)),
            Left::KeyUntil(arn, date) => proof.keys.push((arn, date)),
            Left::Volume(volume) => proof.volumes.push(volume),
            Left::Data(arn) => proof.data.push(arn),
            Left::NotAsked(what, error) => proof.not_asked.push((what, error)),
            Left::Unproven => proof.unproven = true,
        }
    }
    Ok(proof)
}
