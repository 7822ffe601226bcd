//! What `up` cannot finish it does not begin: before the first change, instance types and quotas are checked for what the
//! plan creates or replaces, new objects with the API server, and what blocks its deletions is looked for.

use super::{
    OperationError, PlanOptions, Workspace,
    blocked_deletion::BlockedDeletion,
    blocked_deletions::blocked_deletions,
    capacity::{self, Group, RESOURCE_QUOTAS, Room, type_problems},
    cluster_tenants::check_tenants,
    facts::recorded_zones,
    given_keys::key_policy_refusals,
    kept_objects::kept_objects,
    new_objects::refused_objects,
    version_change::version_refusals,
};
use crate::{
    aws::{count, machines, quota},
    model::{Action, Address, ErrorKind, Graph, Observed, Plan, PlannedChange, Snapshot, StepError, counted},
};

/// Returns the node groups that the plan creates or replaces.
fn new_groups(graph: &Graph, plan: &Plan) -> Vec<Group> {
    let new = |change: &&PlannedChange| matches!(change.action, Action::Create | Action::Replace);
    let addresses: Vec<&Address> = plan.changes.iter().filter(new).map(|change| &change.address).collect();
    let mut groups = capacity::groups(graph);
    groups.retain(|group| addresses.contains(&&group.address));
    groups
}

/// Returns the addresses of a kind that the plan creates.
fn created<'a>(plan: &'a Plan, kind: &str) -> Vec<&'a Address> {
    let new = |change: &&PlannedChange| change.kind == kind && change.action == Action::Create;
    plan.changes.iter().filter(new).map(|change| &change.address).collect()
}

/// Returns what refuses the plan as a whole before the first change: deletions that resources of others block, or with which
/// data or resources of others would be deleted, a given key whose policy does not allow what is encrypted with it, and
/// objects that the API server does not accept.
pub async fn obstacles(
    workspace: &Workspace,
    options: &PlanOptions,
    (graph, snapshot): (&Graph, &Snapshot),
    (plan, observed): (&Plan, &Observed),
) -> Result<Vec<StepError>, OperationError> {
    let blocked = blocked_deletions(workspace, plan, snapshot, observed).await?;
    let kept = Box::pin(kept_objects(workspace, options, plan, snapshot, observed, false)).await?;
    let mut refusals: Vec<StepError> = blocked.iter().chain(&kept).map(BlockedDeletion::problem).collect();
    refusals.extend(Box::pin(check_tenants(workspace, plan, snapshot, observed)).await?);
    refusals.extend(key_policy_refusals(workspace, graph, plan).await?);
    refusals.extend(version_refusals(workspace, options, plan).await?);
    let asked = Box::pin(refused_objects(workspace, graph, plan, observed)).await;
    refusals.extend(unless_unanswered(workspace, "new objects in the cluster", asked)?);
    Ok(refusals)
}

/// Returns all that the plan cannot do: its [`obstacles`], instance types that are not offered, and quotas without room. A
/// check that the caller may not make is a notice.
pub async fn infeasible(
    workspace: &Workspace,
    options: &PlanOptions,
    (graph, snapshot): (&Graph, &Snapshot),
    (plan, observed): (&Plan, &Observed),
) -> Result<Vec<StepError>, OperationError> {
    let mut refusals = obstacles(workspace, options, (graph, snapshot), (plan, observed)).await?;
    let groups = new_groups(graph, plan);
    if !groups.is_empty() {
        let asked = type_refusals(workspace, &groups, snapshot).await;
        refusals.extend(unless_unanswered(workspace, "instance types", asked)?);
    }
    for (kind, what, service, code) in RESOURCE_QUOTAS {
        let new = created(plan, kind);
        let Some(first) = new.first() else { continue };
        let asked = quota_room(workspace, kind, what, service, code, new.len()).await;
        let asked = asked.map(|(room, most)| {
            let full = (!room.fits(most)).then(|| StepError::refused(first, room.text(most), room.request()));
            full.into_iter().collect()
        });
        refusals.extend(unless_unanswered(workspace, what, asked)?);
    }
    Ok(refusals)
}

async fn type_refusals(
    workspace: &Workspace,
    groups: &[Group],
    snapshot: &Snapshot,
) -> Result<Vec<StepError>, OperationError> {
    let types = capacity::types(groups);
    let known = workspace.patient(async || Ok(machines(&workspace.target.clients, &types).await?)).await?;
    let zones = recorded_zones(snapshot);
    let problems = type_problems(groups, &workspace.stack.region, &zones, &known);
    for (address, text) in &problems.partly {
        workspace.warn(format!("{address}: {text}; its nodes start only in the other zones"));
    }
    let refused = problems.wrong.into_iter();
    Ok(refused.map(|(address, text)| StepError::refused(&address, text, capacity::LIST_TYPES)).collect())
}

async fn quota_room(
    workspace: &Workspace,
    kind: &str,
    what: &'static str,
    service: &'static str,
    code: &'static str,
    new: usize,
) -> Result<(Room, f64), OperationError> {
    let clients = &workspace.target.clients;
    let used = workspace.patient(async || Ok(count(clients, kind).await?)).await?;
    let most = workspace.patient(async || Ok(quota(clients, service, code).await?)).await?;
    let small = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Ok((Room { what, service, code, used: small(used), more: small(new) }, most))
}

/// Returns the answer. One that AWS did not give is no reason not to begin, and is told.
fn unless_unanswered(
    workspace: &Workspace,
    what: &str,
    answer: Result<Vec<StepError>, OperationError>,
) -> Result<Vec<StepError>, OperationError> {
    match answer {
        Err(OperationError::Step(problem)) if problem.error.class != ErrorKind::Interrupted => {
            workspace.tell(format!("not checked before the run: {what}: {}", problem.error));
            Ok(Vec::new())
        }
        answer => answer,
    }
}

/// Reports all refusals, and returns them as one error.
pub fn refuse(workspace: &Workspace, refusals: &[StepError]) -> OperationError {
    refusals.iter().for_each(|refusal| workspace.problem(refusal));
    OperationError::refused(
        format!(
            "the plan cannot be carried out, for {}; nothing was changed",
            counted(refusals.len(), "reason")
        ),
        "follow the hints, change the file, or limit the run with `--target`",
    )
}
