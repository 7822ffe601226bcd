//! `doctor`: checks that `up` has everything it needs, without changing anything.

mod check;
mod limits;
mod region;
mod rights;

pub use check::{Check, CheckState};

use super::{
    OperationError, PlanOptions, Workspace,
    backend::{BackendStatus, KEY, backend_status},
    backend_removal::spare_keys,
    existing_network::check_network,
    feasibility::obstacles,
    forewarning::cluster_support,
    given_keys::{check_given_key, given_state_key_refusal},
    lease_holding::recorded,
    losses::{refusal_of, unaccepted},
    lost_state::lost_state,
    planning::{desired, planned},
    pod_placement::check_pod_placement,
    stack_record::{self, other_stack},
};
use crate::model::{Action, PlannedChange};
use check::DoctorContext;

/// Checks the bucket, the table and the key as `up` does, and looks for keys that an earlier race left.
async fn backend(workspace: &Workspace, status: &Result<BackendStatus, OperationError>) -> Vec<Check> {
    const CHECK: &str = "backend";
    let place = format!("s3://{}", workspace.state.backend.bucket);
    let status = match status {
        Ok(status) => status,
        Err(OperationError::Step(problem)) => {
            let at = problem.address.as_ref().map(|address| format!("{address}: ")).unwrap_or_default();
            let check = Check::failed(CHECK, &problem.error);
            return vec![Check { text: format!("{at}{}", check.text), ..check }];
        }
        Err(failure) => return vec![Check::new(CHECK, CheckState::Fail, failure.to_string())],
    };
    let mut checks = Vec::new();
    if !status.any {
        let text = format!("{place} does not exist yet; the first `up` creates it");
        let check = Check::new(CHECK, CheckState::Ok, text);
        return vec![
            check.then("attach the policy that `provisioner policy --bootstrap` prints to create it"),
        ];
    }
    checks.extend(status.plan.refusals.iter().map(|refusal| Check::refused(CHECK, refusal)));
    if let Ok(Some(refusal)) = given_state_key_refusal(workspace).await {
        checks.push(Check::refused(CHECK, &refusal));
    }
    if !checks.is_empty() {
        return checks;
    }
    if status.plan.is_empty() {
        checks.push(Check::new(CHECK, CheckState::Ok, format!("bucket exists: {place}")));
    } else {
        let change = |change: &PlannedChange| {
            let fields: Vec<&str> = change.fields.0.iter().map(|field| field.path.as_str()).collect();
            match change.action {
                Action::Create => format!("{} does not exist", change.address),
                _ => format!("{} differs: {}", change.address, fields.join(", ")),
            }
        };
        let text = status.plan.changes.iter().map(change).collect::<Vec<_>>().join("; ");
        let check = Check::new(CHECK, CheckState::Warn, text);
        checks.push(check.then("run `provisioner plan` to see what `up` would restore"));
    }
    let own = status.live(KEY).and_then(|live| live.get("arn")).and_then(serde_json::Value::as_str);
    match spare_keys(workspace, own).await {
        Ok(spare) if !spare.is_empty() => checks.push(
            Check::new(
                CHECK,
                CheckState::Warn,
                format!("{place} is not encrypted with {}, which carries its tag", spare.join(", ")),
            )
            .then("if nothing else uses such a key, run `aws kms schedule-key-deletion --key-id ID`"),
        ),
        Ok(_) => {}
        Err(OperationError::Step(problem)) => checks.push(Check::of(CHECK, Err(problem.error))),
        Err(failure) => checks.push(Check::new(CHECK, CheckState::Unknown, failure.to_string())),
    }
    checks
}

/// Why checks that need the plan's facts are not made.
const FACTS_MISSING: &str = "not checked: the facts that the plan needs are missing";

/// Carries out all checks, and reports the result of each. Changes nothing.
///
/// # Errors
/// What cannot be checked because the facts that a plan needs cannot be found.
pub async fn doctor(
    workspace: &Workspace,
    options: &PlanOptions,
    report: &mut (dyn FnMut(Check) + Send),
) -> Result<(), OperationError> {
    let file = workspace.folders.file.display();
    report(Check::new("file", CheckState::Ok, format!("{file} is valid")));
    report(Check::new("credentials", CheckState::Ok, workspace.target.identity.arn.clone()));
    let status = backend_status(workspace).await;
    let backend = backend(workspace, &status).await;
    let backend_failed = backend.iter().any(|check| check.state == CheckState::Fail);
    backend.into_iter().for_each(&mut *report);
    if let Err(error) = check_given_key(workspace).await {
        report(Check::new("keys", CheckState::Fail, error.to_string()));
    }
    let unchecked = |report: &mut (dyn FnMut(Check) + Send), text: &str| {
        for name in ["region", "quotas", "permissions"] {
            report(Check::new(name, CheckState::Unknown, text));
        }
    };
    let mut snapshot = match recorded(workspace).await {
        Ok(snapshot) => snapshot,
        Err(OperationError::Step(error)) => {
            report(Check::failed("state", &error.error));
            unchecked(report, "not checked: the state cannot be read");
            return Ok(());
        }
        Err(failure) => return Err(failure),
    };
    if let Ok(status) = &status
        && let Some(lost) = lost_state(workspace, status.bucket, Some(&snapshot)).await?
    {
        report(Check::failed("state", &lost));
    }
    if let Some(text) = other_stack(workspace, &snapshot).await {
        report(Check::new("state", CheckState::Warn, text).then(stack_record::TO_DO));
    }
    // Zones, versions, add-ons and releases are resolved as in `plan`, whose errors have a position and a hint.
    let graph = match desired(workspace, options, &mut snapshot).await {
        Ok(graph) => graph,
        Err(OperationError::Step(error)) => {
            report(Check::failed("plan", &error.error));
            unchecked(report, FACTS_MISSING);
            return Ok(());
        }
        Err(error) => {
            report(Check::new("plan", CheckState::Fail, error.to_string()));
            unchecked(report, FACTS_MISSING);
            return Ok(());
        }
    };
    let context = DoctorContext { workspace, snapshot: &snapshot, graph: &graph };
    let plan = match backend_failed {
        // Without the backend, what is recorded is not known for certain.
        true => vec![Check::new("plan", CheckState::Unknown, "not checked: the backend check failed")],
        false => planned_checks(&context, options).await,
    };
    plan.into_iter().for_each(&mut *report);
    report(region::offers(&context));
    if let Some(notice) = cluster_support(workspace, &snapshot) {
        let state = if notice.is_over { CheckState::Fail } else { CheckState::Warn };
        report(Check::new("support", state, notice.text));
    }
    if workspace.stack.cluster.is_some() {
        report(region::api_access(&context));
    }
    if !workspace.stack.node_groups.is_empty() {
        report(Check::of("instance types", limits::instance_types(&context).await));
    }
    limits::quotas(&context).await.into_iter().for_each(&mut *report);
    let exists = status.is_ok_and(|status| status.exists);
    report(Check::of("permissions", rights::check(&context, exists).await));
    Ok(())
}

/// Returns what `plan` refuses, one check each, or that it refuses nothing.
async fn planned_checks(context: &DoctorContext<'_>, options: &PlanOptions) -> Vec<Check> {
    let asked = planned(context.workspace, options, context.graph, context.snapshot).await;
    let (plan, observed) = match asked {
        Ok(planned) => planned,
        Err(OperationError::Step(error)) => return vec![Check::failed("plan", &error.error)],
        Err(error) => return vec![Check::new("plan", CheckState::Fail, error.to_string())],
    };
    if let Err(error) = Box::pin(check_network(context.workspace, &plan)).await {
        return vec![Check::new("plan", CheckState::Fail, error.to_string())];
    }
    let mut checks: Vec<Check> =
        plan.refusals.iter().map(|refusal| Check::refused("plan", refusal)).collect();
    checks.extend(
        unaccepted(&plan, options).map(|(change, loses)| Check::refused_step(&refusal_of(change, loses))),
    );
    match check_pod_placement(context.workspace, context.graph, &plan) {
        Ok(doubts) => {
            checks.extend(doubts.into_iter().map(|text| Check::new("plan", CheckState::Warn, text)));
        }
        Err(error) => checks.push(Check::new("plan", CheckState::Fail, error.to_string())),
    }
    let (graph, snapshot) = (context.graph, context.snapshot);
    let asked = Box::pin(obstacles(context.workspace, options, (graph, snapshot), (&plan, &observed))).await;
    match asked {
        Ok(refusals) => checks.extend(refusals.iter().map(Check::refused_step)),
        Err(OperationError::Step(problem)) => checks.push(Check::of("plan", Err(problem.error))),
        Err(error) => checks.push(Check::new("plan", CheckState::Fail, error.to_string())),
    }
    if checks.iter().all(|check| check.state == CheckState::Warn) {
        checks.push(Check::new("plan", CheckState::Ok, "no resource is refused"));
    }
    checks
}
