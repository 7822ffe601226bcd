//! Plans a stack: what `up` would change.

use super::{
    OperationError, PlanOptions, Workspace, api_access,
    backend::{BackendStatus, backend_status},
    existing_network::check_network,
    facts,
    feasibility::infeasible,
    forewarning::forewarn,
    given_keys::{check_given_key, given_state_key_refusal},
    lease_holding::recorded,
    losses::unaccepted,
    lost_state::lost_state,
    moved_records::move_records,
    pod_placement::check_pod_placement,
    stack_record::{self, other_stack},
    taken_fields,
    validation::unused_field,
    workspace::{expected_duration, kind, provider},
};
use crate::{
    aws::{read_secret, unknown},
    engine::{observe, sweep},
    graph::graph,
    model::{
        Address, CallError, ErrorKind, Graph, Observed, Plan, PlannedChange, SecretSource, Snapshot, Stage,
        StepError,
    },
    plan::{Consent, Input, Strays, fill_names, make, take_back},
};
use std::time::Duration;

/// What `up` would do, and what it was planned from.
pub struct Planned {
    /// What would be changed in the backend, before the stack.
    pub backend: Plan,
    /// What would be changed in the stack.
    pub plan: Plan,
    /// What would fail, so that `up` does not begin.
    pub infeasible: Vec<StepError>,
    /// The state that it was planned from, with the facts that were chosen.
    pub snapshot: Snapshot,
    /// How long `up` should take.
    pub expected: Duration,
}

impl Planned {
    /// Returns the changes that lose data and that the options do not accept: `up` asks for each, or refuses.
    pub fn unaccepted<'a>(&'a self, options: &'a PlanOptions) -> impl Iterator<Item = &'a PlannedChange> {
        unaccepted(&self.plan, options).map(|(change, _)| change)
    }

    /// Returns whether `up` would refuse to carry it out, whatever is accepted.
    pub fn is_refused(&self) -> bool {
        !(self.infeasible.is_empty() && self.backend.refusals.is_empty() && self.plan.refusals.is_empty())
    }
}

/// Plans the stack. Changes nothing.
pub async fn plan(workspace: &Workspace, options: &PlanOptions) -> Result<Planned, OperationError> {
    begin(workspace).await?;
    let BackendStatus { bucket, plan: mut backend, .. } = backend_status(workspace).await?;
    let mut snapshot = recorded(workspace).await?;
    if let Some(lost) = lost_state(workspace, bucket, Some(&snapshot)).await? {
        return Err(lost.into());
    }
    if let Some(text) = other_stack(workspace, &snapshot).await {
        workspace.warn(format!("{text}; {}", stack_record::TO_DO));
    }
    let graph = desired(workspace, options, &mut snapshot).await?;
    let (plan, observed) = planned(workspace, options, &graph, &snapshot).await?;
    Box::pin(check_network(workspace, &plan)).await?;
    check_pod_placement(workspace, &graph, &plan)?.iter().for_each(|text| workspace.warn(text));
    api_access::warn(workspace, &graph, &plan);
    forewarn(workspace, &snapshot, &plan);
    let infeasible =
        Box::pin(infeasible(workspace, options, (&graph, &snapshot), (&plan, &observed))).await?;
    infeasible.iter().for_each(|refusal| workspace.problem(refusal));
    backend.refusals.extend(given_state_key_refusal(workspace).await?);
    let expected = expected_duration(workspace, &[&backend, &plan], &snapshot);
    Ok(Planned { backend, plan, infeasible, snapshot, expected })
}

/// Returns the desired resources. Chooses what the file leaves open, and records it in the snapshot.
pub async fn desired(
    workspace: &Workspace,
    options: &PlanOptions,
    snapshot: &mut Snapshot,
) -> Result<Graph, OperationError> {
    move_records(workspace, snapshot);
    let context = workspace.patient(async || facts::gather(workspace, options, snapshot).await).await?;
    workspace.secrets.set(context.secrets.clone());
    facts::record_zones(&context, snapshot);
    for skipped in &context.skipped {
        workspace.warn_once(format!("not applied: {skipped}"));
    }
    for (field, folder) in &context.unused {
        workspace.warn_once(unused_field(field, folder));
    }
    let mut graph = graph(&workspace.stack, &context)?;
    take_back(&graph, snapshot, &kind);
    fill_names(&mut graph, snapshot, &kind);
    taken_fields::check(&options.take_fields, &graph)?;
    for selector in &options.targets {
        let known = |address: &Address| address.is_within(selector);
        let stage = Stage::ALL.iter().any(|stage| stage.name() == selector);
        if !stage && !graph.nodes.keys().any(known) && !snapshot.resources.keys().any(known) {
            let message = format!("--target {selector}: not found in the stack");
            return Err(OperationError::refused(
                message,
                "list the addresses with `provisioner plan` or `provisioner state list`",
            ));
        }
    }
    Ok(graph)
}

/// Observes the live resources, and returns the plan of `up` and what was observed.
pub async fn planned(
    workspace: &Workspace,
    options: &PlanOptions,
    graph: &Graph,
    snapshot: &Snapshot,
) -> Result<(Plan, Observed), OperationError> {
    let observed = observed(workspace, options, graph, snapshot).await?;
    let plan = decided(workspace, options, graph, snapshot, &observed)?;
    Ok((plan, observed))
}

/// Observes the targets, and what else carries the stack's tags.
pub async fn observed(
    workspace: &Workspace,
    options: &PlanOptions,
    graph: &Graph,
    snapshot: &Snapshot,
) -> Result<Observed, OperationError> {
    let provider = provider(workspace, &snapshot.owner(), &options.take_fields);
    let targeted = graph.targeted(&options.targets);
    let (observed, unknown) =
        tokio::join!(observe(&provider, &targeted, snapshot, false), unrecorded(workspace, graph, snapshot));
    let unknown = unknown?;
    if unknown.is_empty() {
        return Ok(observed?);
    }
    // It may be of a kind that is in neither the file nor the state, so all kinds are queried.
    Ok(sweep(&provider, &targeted, snapshot, &unknown).await?)
}

/// Returns the addresses and ARNs of tagged resources that are in neither the file nor the state.
pub async fn unrecorded(
    workspace: &Workspace,
    graph: &Graph,
    snapshot: &Snapshot,
) -> Result<Vec<(Address, String)>, OperationError> {
    let known = |address: &Address| {
        graph.nodes.contains_key(address)
            || snapshot.resources.contains_key(address)
            || snapshot.intents.contains_key(address)
    };
    let owner = snapshot.owner();
    let clients = &workspace.target.clients;
    match workspace.patient(async || Ok(unknown(clients, &owner, known).await?)).await {
        // A target that is not AWS may not support the call.
        Err(OperationError::Step(problem)) if problem.error.class == ErrorKind::Unsupported => Ok(Vec::new()),
        // A plan is right without it: it only leaves out what is in no record.
        Err(OperationError::Step(problem)) if problem.error.class == ErrorKind::Denied => {
            workspace.warn(format!(
                "resources that carry the stack's tags and are in no record are not looked for: {}",
                problem.error
            ));
            Ok(Vec::new())
        }
        found => found,
    }
}

/// Returns the plan of `up` for what was observed.
pub fn decided(
    workspace: &Workspace,
    options: &PlanOptions,
    graph: &Graph,
    snapshot: &Snapshot,
    observed: &Observed,
) -> Result<Plan, OperationError> {
    let graph = graph.targeted(&options.targets);
    Ok(decide(workspace, options, &graph, snapshot, observed, Strays::Remove)?)
}

/// Returns the plan for what was observed.
pub fn decide(
    workspace: &Workspace,
    options: &PlanOptions,
    graph: &Graph,
    snapshot: &Snapshot,
    observed: &Observed,
    strays: Strays,
) -> Result<Plan, CallError> {
    let targets = &options.targets;
    let consent = Consent {
        replace: options.replace.clone(),
        removal: matches!(strays, Strays::RemoveProven | Strays::RemoveAll),
        protect: workspace.stack.protect,
        adopt: options.adopt.clone(),
    };
    make(&Input { graph, snapshot, observed, targets, strays, consent: &consent, kinds: &kind })
}

/// Runs the checks of an operation that plans.
pub async fn begin(workspace: &Workspace) -> Result<(), OperationError> {
    check_secrets(workspace)?;
    check_given_key(workspace).await
}

/// Checks that every secret can be read on this machine.
fn check_secrets(workspace: &Workspace) -> Result<(), OperationError> {
    for (index, parameter) in workspace.stack.parameters.iter().enumerate() {
        let Some(secret) = &parameter.secret else { continue };
        let (field, secret) = match (&secret.env, &secret.file) {
            (Some(name), _) => ("env", SecretSource::Env(name.clone())),
            (None, file) => ("file", SecretSource::File(file.clone().unwrap_or_default())),
        };
        if let Err(error) = read_secret(&secret, &workspace.folders.project()) {
            let path = format!("parameters[{index}].secret.{field}");
            return Err(workspace.stack.diagnostic(&path, error.message, error.hint).into());
        }
    }
    Ok(())
}
