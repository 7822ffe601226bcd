//! The keys that the file gives: whether they exist, can be used, and let AWS use them for what the plan encrypts.

use super::{
    OperationError, Workspace,
    backend::KEY,
    key_demands::{Demand, demands, fits},
};
use crate::{
    aws::{KeyFault, described_key, granted_operations, parse, policy_of_key},
    model::{Address, CallError, ErrorKind, Graph, Plan, PlanRefusal, Stage, StepError},
};

/// Returns why a key that the file gives cannot be used, and what to do about it. A caller that may not describe it is
/// told so.
async fn fault(workspace: &Workspace, field: &str, arn: &str) -> Result<Option<KeyFault>, OperationError> {
    let clients = &workspace.target.clients;
    match workspace.patient(async || Ok(described_key(clients, arn).await?)).await {
        Ok(Some(key)) => Ok(key.fault()),
        Ok(None) => {
            let region = &workspace.stack.region;
            let hint = format!("list the keys of the region with `aws kms list-keys --region {region}`");
            Ok(Some((format!("key {arn} does not exist"), hint)))
        }
        Err(OperationError::Step(problem)) if problem.error.class == ErrorKind::Unsupported => Ok(None),
        Err(OperationError::Step(problem)) if problem.error.class == ErrorKind::Denied => {
            workspace.tell(format!("not checked before the run: `{field}`: {}", problem.error));
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

/// Refuses if the key that the file gives for the stack does not exist or cannot be used.
pub async fn check_given_key(workspace: &Workspace) -> Result<(), OperationError> {
    const FIELD: &str = "encryption.keyArn";
    let Some(arn) = &workspace.stack.encryption.key_arn else { return Ok(()) };
    match fault(workspace, FIELD, arn).await? {
        Some((why, hint)) => Err(workspace.stack.diagnostic(FIELD, why, Some(hint)).into()),
        None => Ok(()),
    }
}

/// Returns the refusal if the key that the file gives for the state does not exist or cannot be used. The plan of
/// the backend has the refusal of a key of its own.
pub async fn given_state_key_refusal(workspace: &Workspace) -> Result<Option<PlanRefusal>, OperationError> {
    let Some(arn) = &workspace.state.backend.key_arn else { return Ok(None) };
    Ok(fault(workspace, "state.keyArn", arn).await?.map(|(why, hint)| PlanRefusal {
        address: Address::from(KEY),
        kind: "kms_key".to_owned(),
        stage: Stage::Backend,
        reason: format!("{why}; it is for the state of every stack"),
        hint,
        blocks: Vec::new(),
    }))
}

/// Returns what the plan encrypts with the given key without the key's policy allowing it. Asks only if the plan encrypts
/// something new.
///
/// # Errors
/// The error of the calls. A policy that the caller may not read is told.
pub async fn key_policy_refusals(
    workspace: &Workspace,
    graph: &Graph,
    plan: &Plan,
) -> Result<Vec<StepError>, OperationError> {
    let Some(arn) = &workspace.stack.encryption.key_arn else { return Ok(Vec::new()) };
    let identity = &workspace.target.identity;
    let demands = demands(graph, plan, arn, &workspace.stack.region, identity);
    if demands.is_empty() {
        return Ok(Vec::new());
    }
    let clients = &workspace.target.clients;
    let policy = workspace.patient(async || Ok(policy_of_key(clients, arn).await?)).await;
    let policy = match policy {
        Ok(policy) => parse(&policy),
        Err(OperationError::Step(problem)) if unanswered(&problem.error) => {
            let message = "not checked before the run: whether the policy of `encryption.keyArn` allows what the plan encrypts";
            workspace.tell(format!("{message}: {}", problem.error));
            return Ok(Vec::new());
        }
        Err(failure) => return Err(failure),
    };
    let mut refusals = Vec::new();
    for demand in demands {
        let mut missing = demand.missing(&policy, arn);
        if let (Some(grantee), false) = (&demand.grantee, missing.is_empty()) {
            let asked =
                workspace.patient(async || Ok(granted_operations(clients, arn, grantee).await?)).await;
            match asked {
                Ok(granted) => missing.retain(|action| !granted.iter().any(|it| fits(it, action))),
                Err(OperationError::Step(problem)) if unanswered(&problem.error) => {
                    let what = "not checked before the run: grants of `encryption.keyArn`";
                    workspace.warn(format!(
                        "{}; without a grant {}; {what}: {}",
                        demand.text(&missing),
                        demand.otherwise,
                        problem.error
                    ));
                    continue;
                }
                Err(failure) => return Err(failure),
            }
        }
        if !missing.is_empty() {
            refusals.push(refused(&demand, &missing, arn));
        }
    }
    Ok(refusals)
}

/// Returns whether an error says nothing about the key: the caller may not ask, or the target cannot answer.
fn unanswered(error: &CallError) -> bool {
    matches!(error.class, ErrorKind::Denied | ErrorKind::Unsupported)
}

fn refused(demand: &Demand, missing: &[&str], arn: &str) -> StepError {
    let statements = demand.statements.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let hint = format!(
        "add to the policy of {arn}, with `aws kms put-key-policy --key-id {arn} --policy-name default --policy FILE`: {statements}"
    );
    StepError::refused(&demand.address, demand.text(missing), hint)
}
