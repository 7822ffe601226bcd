//! What others put into a cluster that is to be deleted or replaced: named before anything is changed.

use super::{OperationError, Workspace};
use crate::{
    aws::{ClusterMembers, cluster_members, workers},
    model::{
        Action, Address, CallError, Desired as _, ErrorKind, LeftBehind, Observed, Plan, Snapshot, StepError,
    },
    resources::{
        access_entry, addon, eks_cluster, fargate_profile, iam_role, node_group, pod_identity_association,
    },
};
use serde_json::Value;
use std::collections::BTreeSet;

/// Checks the clusters that a plan deletes or replaces: EKS deletes no cluster with node groups or Fargate profiles in it,
/// and would say so when everything else is deleted. Warns of what others put into a cluster and EKS deletes with it.
///
/// # Errors
/// The calls, without an answer. Node groups and profiles that the plan does not delete are returned.
pub async fn check_tenants(
    workspace: &Workspace,
    plan: &Plan,
    snapshot: &Snapshot,
    observed: &Observed,
) -> Result<Vec<StepError>, OperationError> {
    let known = Known { plan, snapshot, observed };
    let mut refused = Vec::new();
    for address in known.ended(eks_cluster::Spec::KIND) {
        let live = observed.found.get(address).map(|found| &found.live);
        let Some(cluster) = live.and_then(|live| text(live, "name")) else { continue };
        let clients = &workspace.target.clients;
        let (groups, profiles) = match workspace.patient(async || Ok(workers(clients, &cluster).await?)).await
        {
            // EKS itself refuses to delete a cluster with workers.
            Err(OperationError::Step(problem)) if problem.error.class == ErrorKind::Denied => {
                workspace.warn(format!(
                    "could not be looked at: the node groups and Fargate profiles of cluster {cluster}: {}",
                    problem.error
                ));
                (Vec::new(), Vec::new())
            }
            answer => answer?,
        };
        let mut others = other("node group", groups, &known.ending_names(node_group::Spec::KIND));
        others.extend(other("Fargate profile", profiles, &known.ending_names(fargate_profile::Spec::KIND)));
        if !others.is_empty() {
            refused.push(occupied(address, &others));
            continue;
        }
        match workspace.patient(async || Ok(cluster_members(clients, &cluster).await?)).await {
            Ok(members) => {
                for member in known.foreign(members) {
                    workspace.warn(format!(
                        "{member} in cluster {cluster} is not this stack's, and is deleted with the cluster"
                    ));
                }
            }
            Err(OperationError::Step(problem))
                if matches!(problem.error.class, ErrorKind::Denied | ErrorKind::Unsupported) =>
            {
                workspace.warn(format!(
                    "could not be looked at: what others put into cluster {cluster}: {}",
                    problem.error
                ));
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(refused)
}

/// The refusal of a cluster in which workers of others run.
fn occupied(address: &Address, others: &[String]) -> StepError {
    let message = format!(
        "EKS deletes no cluster with node groups or Fargate profiles in it, and these are not part of the deletion: {}; \
         nothing was changed",
        others.join(", ")
    );
    let error = CallError::new(ErrorKind::Refused, message);
    StepError::at(address, error.hint("delete them first, then run the command again"), LeftBehind::Nothing)
}

fn text(form: &Value, field: &str) -> Option<String> {
    form.get(field).and_then(Value::as_str).map(str::to_owned)
}

/// Returns the names that are not among `own`, each with what it is.
fn other(what: &str, names: Vec<String>, own: &BTreeSet<String>) -> Vec<String> {
    let others = names.into_iter().filter(|name| !own.contains(name));
    others.map(|name| format!("{what} `{name}`")).collect()
}

/// What a stack knows of its resources.
struct Known<'a> {
    plan: &'a Plan,
    snapshot: &'a Snapshot,
    observed: &'a Observed,
}

impl<'a> Known<'a> {
    /// The addresses of a kind that the plan deletes or replaces.
    fn ended(&self, kind: &'static str) -> impl Iterator<Item = &'a Address> {
        let ends = move |it: &&crate::model::PlannedChange| {
            matches!(it.action, Action::Delete | Action::Replace) && it.kind == kind
        };
        self.plan.changes.iter().filter(ends).map(|change| &change.address)
    }

    /// The names of what the plan deletes or replaces of a kind.
    fn ending_names(&self, kind: &'static str) -> BTreeSet<String> {
        let seen = |at: &Address| self.observed.found.get(at).and_then(|found| text(&found.live, "name"));
        let recorded = |at: &Address| self.snapshot.resources.get(at).and_then(|it| text(&it.live, "name"));
        let intended = |at: &Address| self.snapshot.intents.get(at).and_then(|it| text(&it.request, "name"));
        self.ended(kind).flat_map(|at| [seen(at), recorded(at), intended(at)]).flatten().collect()
    }

    /// A field of all recorded and observed resources of a kind.
    fn all(&self, kind: &str, field: &str) -> BTreeSet<String> {
        let recorded = self.snapshot.resources.values().map(|entry| (&entry.kind, &entry.live));
        let lives = recorded.chain(self.observed.found.values().map(|found| (&found.kind, &found.live)));
        lives.filter(|(of, _)| *of == kind).filter_map(|(_, live)| text(live, field)).collect()
    }

    /// What of these the stack did not create. EKS gives the roles of nodes and Fargate profiles an access entry.
    /// Source: <https://docs.aws.amazon.com/eks/latest/userguide/access-entries.html>
    fn foreign(&self, members: ClusterMembers) -> Vec<String> {
        let mut principals = self.all(access_entry::Spec::KIND, "principal");
        principals.extend(self.all(iam_role::Spec::KIND, "arn"));
        let own = self.all(pod_identity_association::Spec::KIND, "id");
        let associations = members.associations.into_iter().filter(|(id, _)| !own.contains(id));
        let mut all = other("add-on", members.addons, &self.all(addon::Spec::KIND, "name"));
        all.extend(other("access entry", members.principals, &principals));
        all.extend(associations.map(|(_, of)| format!("Pod Identity association of service account `{of}`")));
        all
    }
}
