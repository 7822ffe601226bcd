//! `status`: what exists of a stack, whether it is healthy, and what drifted.

use super::{
    OperationError, PlanOptions, Workspace,
    backend::backend_status,
    lease_holding::recorded,
    lost_state::lost_state,
    planning::{decided, desired, observed},
    stack_record::last_stack,
    status_detail::{Detail, gather_details},
    workspace::kind,
};
use crate::{
    model::{Address, CallError, ErrorKind, Graph, LeaseHolder, Observed, Plan, Readiness, Snapshot},
    store::LeaseStore as _,
};

/// What is known of a stack.
#[derive(Debug)]
pub enum StackStatus {
    /// The stack does not exist. Names the stack that the file described before, if that one exists.
    Absent(Option<CallError>),
    /// The state of the stack was not found, although resources carry its tags.
    Lost(CallError),
    /// The stack exists.
    Present(Box<StatusReport>),
}

/// What exists of a stack.
#[derive(Debug)]
pub struct StatusReport {
    /// The recorded state.
    pub snapshot: Snapshot,
    /// What was observed of the recorded and the desired resources.
    pub observed: Observed,
    /// What `up` would change in the backend.
    pub backend: Plan,
    /// What `up` would change in the stack; empty if the file cannot be applied.
    pub plan: Plan,
    /// Resources with the stack's tags that are in neither its state nor its file.
    pub strays: Vec<Address>,
    /// Details of the cluster and its parts.
    pub details: Vec<Detail>,
    /// The holder of the lease, if it is held.
    pub holder: Option<LeaseHolder>,
}

impl StatusReport {
    /// Returns the health of one resource in a word, and the reason if it is not ready.
    pub fn health(&self, address: &Address) -> (&'static str, String) {
        health(&self.snapshot, &self.observed, address)
    }
}

/// Returns the status of a stack. Changes nothing.
pub async fn status(workspace: &Workspace, options: &PlanOptions) -> Result<StackStatus, OperationError> {
    let backend = backend_status(workspace).await?;
    let mut snapshot = match backend.bucket {
        true => Some(recorded(workspace).await?),
        false => None,
    };
    let lost = lost_state(workspace, backend.bucket, snapshot.as_ref()).await?;
    if let Some(lost) = &lost {
        workspace.warn(format!("{}; {}", lost.message, lost.hint.as_deref().unwrap_or_default()));
    }
    // Other stacks may use the backend although this one was never created, or is deleted.
    let known = snapshot.take().filter(|snapshot| backend.exists && snapshot.version > 0);
    let Some(mut snapshot) = known else {
        return Ok(match lost {
            Some(lost) => StackStatus::Lost(lost),
            None => StackStatus::Absent(last_stack(workspace).await),
        });
    };
    let graph = desired(workspace, options, &mut snapshot).await?;
    let observed = observed(workspace, options, &graph, &snapshot).await?;
    // What exists is shown even if the file asks for something that a rule refuses.
    let plan = match decided(workspace, options, &graph, &snapshot, &observed) {
        Err(OperationError::Step(problem)) if problem.error.class == ErrorKind::Refused => {
            workspace.warn(format!("the file cannot be applied: {}", problem.error.message));
            Plan::default()
        }
        plan => plan?,
    };
    let holder = workspace.state.lease().read().await?.holder;
    let details = gather_details(&workspace.target.clients, &snapshot, &observed).await?;
    let strays = strays(&graph, &snapshot, &observed, &plan).cloned().collect();
    let backend = backend.plan;
    Ok(StackStatus::Present(Box::new(StatusReport {
        snapshot,
        observed,
        backend,
        plan,
        strays,
        details,
        holder,
    })))
}

/// Returns the addresses of strays: resources with the stack's tags that are in neither its state nor its file.
fn strays<'a>(
    graph: &'a Graph,
    snapshot: &'a Snapshot,
    observed: &'a Observed,
    plan: &'a Plan,
) -> impl Iterator<Item = &'a Address> {
    observed.found.keys().filter(|address| {
        let planned = plan.changes.iter().any(|change| change.address == **address)
            || plan.strays.iter().any(|stray| stray.address == **address);
        planned
            && !snapshot.resources.contains_key(*address)
            && !snapshot.intents.contains_key(*address)
            && graph.get(address).is_none()
    })
}

/// Returns the health of one resource, and the reason if it is not ready.
fn health(snapshot: &Snapshot, observed: &Observed, address: &Address) -> (&'static str, String) {
    let recorded = snapshot.resources.get(address).map(|entry| &entry.kind);
    let Some(name) = recorded.or_else(|| snapshot.intents.get(address).map(|intent| &intent.kind)) else {
        return ("unrecorded", String::new());
    };
    if let Some(error) = observed.failed.get(name) {
        return ("unknown", error.to_string());
    }
    let Some(found) = observed.found.get(address) else { return ("missing", String::new()) };
    if snapshot.is_retired(address) {
        return (
            "retired",
            format!("replaced by {}; the next `up` deletes it", Address::from(address.base())),
        );
    }
    match kind(name).map(|kind| (kind.ready)(&found.live)) {
        Some(Ok(Readiness::Ready)) => ("ready", String::new()),
        Some(Ok(Readiness::Waiting(why))) => ("waiting", why),
        Some(Ok(Readiness::Degraded(why))) => ("troubled", why),
        Some(Ok(Readiness::Suspended { why, remedy })) => ("suspended", format!("{why} (undo: `{remedy}`)")),
        Some(Ok(Readiness::Failed(why))) => ("failed", why),
        Some(Err(error)) => ("unknown", error.to_string()),
        None => ("unknown", format!("unknown kind `{name}`")),
    }
}
