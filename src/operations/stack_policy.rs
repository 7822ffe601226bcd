//! The least-privilege IAM policy of a stack.

use super::{OperationError, TargetEndpoint, role_of, supposed_facts::supposed_facts, workspace::kind};
use crate::{
    aws,
    graph::{Backend, MAX_POLICY_LENGTH, PolicyTarget, backend, documents, graph, policy_length},
    model::{Graph, IamScope, Kind, scoped_actions},
    resources::REGISTRY,
    stack::Stack,
    store::BACKEND_RECORD,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The policy of a stack, or of its backend.
#[derive(Clone, Debug, PartialEq)]
pub struct StackPolicy {
    statements: Vec<Value>,
}

impl StackPolicy {
    /// Maximum length of one document in IAM, in characters without spaces.
    pub const MAX_LENGTH: usize = MAX_POLICY_LENGTH;

    /// Returns the policy of a stack in this account, or with `bootstrap` the one for creating the backend.
    pub fn new(stack: &Stack, account: &str, bootstrap: bool) -> Result<Self, OperationError> {
        Ok(StackPolicy { statements: statements(stack, account, bootstrap)? })
    }

    /// Returns the policy as one document.
    pub fn document(&self) -> Value {
        json!({"Version": "2012-10-17", "Statement": self.statements})
    }

    /// Returns the length of the one document, as IAM counts it.
    pub fn length(&self) -> usize {
        policy_length(&self.document())
    }

    /// Returns the policy as several documents, each within IAM's limit.
    pub fn documents(self) -> Vec<Value> {
        documents(self.statements, MAX_POLICY_LENGTH)
    }
}

/// Returns the account of the caller at an endpoint; `None` without valid credentials.
pub async fn caller_account(endpoint: &TargetEndpoint, stack: &Stack) -> Option<String> {
    Some(endpoint.clients(&stack.region, role_of(stack)).await.identity().await.ok()?.account)
}

/// Returns the statements of the stack's policy, or with `bootstrap` those for creating the backend.
pub fn statements(stack: &Stack, account: &str, bootstrap: bool) -> Result<Vec<Value>, OperationError> {
    let section = &stack.state;
    let place = Backend::new(
        account,
        &stack.region,
        section.bucket.as_ref(),
        section.table.as_ref(),
        section.key_arn.as_ref(),
    );
    let desired = graph(stack, &supposed_facts(stack, account))?;
    let target_stack = PolicyTarget { stack, backend: &place, graph: &desired };
    let behind: Vec<_> = granted(&kinds(&backend(&place, false))).collect();
    if bootstrap {
        let more = scoped_actions(aws::STATE_KEY).chain(scoped_actions(aws::ELECTION));
        return Ok(target_stack.bootstrap(behind.into_iter().chain(more), BACKEND_RECORD));
    }
    let every_run = [aws::EVERY_RUN, aws::STATE_KEY, aws::BEFORE_DELETION];
    let mut actions: Vec<_> = every_run.into_iter().flat_map(scoped_actions).collect();
    actions.extend(granted(&kinds(&desired)));
    // Each run compares the backend with its spec.
    actions.extend(behind.into_iter().filter(|(_, action)| reads(action)));
    // `down` looks for tagged resources of any kind, which only EC2's describe calls find.
    let every = REGISTRY.iter().flat_map(|handler| scoped_actions(handler.kind.iam));
    actions.extend(every.filter(|(_, action)| action.starts_with("ec2:Describe")));
    if stack.network.as_ref().is_some_and(|network| network.existing.is_none()) {
        actions.extend(scoped_actions(aws::NETWORK));
    }
    if stack.cluster.is_some() {
        actions.extend(scoped_actions(aws::CLUSTER));
    }
    if stack.encryption.key_arn.is_some() {
        actions.extend(scoped_actions(aws::GIVEN_KEY));
    }
    actions.extend(scoped_actions(aws::GIVEN_IMAGES));
    Ok(target_stack.statements(actions))
}

/// Returns the actions of the kinds with their scopes.
fn granted(kinds: &[Kind]) -> impl Iterator<Item = (IamScope, &'static str)> {
    kinds.iter().flat_map(|kind| scoped_actions(kind.info.iam))
}

fn kinds(graph: &Graph) -> Vec<Kind> {
    let names: BTreeSet<&str> = graph.nodes.values().map(|node| node.kind.as_str()).collect();
    names.into_iter().filter_map(kind).collect()
}

fn reads(action: &str) -> bool {
    let verb = action.split_once(':').map_or("", |(_, verb)| verb);
    ["Get", "Describe", "List"].iter().any(|start| verb.starts_with(start))
}
