//! The key for all that a stack encrypts: the file's, or the stack's own.

use super::{
    Context,
    build::{Build, arn},
    cluster, network, policy,
};
use crate::{
    model::{Address, In},
    resources::kms_key,
    stack::Stack,
};

fn address() -> Address {
    Address::from("network/key")
}

/// The ARN of the key.
pub(super) fn key_arn(stack: &Stack) -> In<String> {
    match &stack.encryption.key_arn {
        Some(arn) => In::Known(arn.clone()),
        None => arn(&address()),
    }
}

/// Whether anything in the stack is encrypted with the key.
fn is_needed(stack: &Stack) -> bool {
    let secret = stack.parameters.iter().any(|parameter| parameter.secret.is_some());
    let flows = network::flow_log_group(stack).is_some();
    stack.cluster.is_some() || secret || flows || !stack.repositories.is_empty()
}

/// Adds the stack's own key where one is needed.
pub(super) fn key(build: &mut Build<'_>, stack: &Stack, context: &Context) {
    if stack.encryption.key_arn.is_some() || !is_needed(stack) {
        return;
    }
    let (account, region) = (&context.account, &stack.region);
    let groups: Vec<String> =
        network::flow_log_group(stack).into_iter().chain(cluster::log_group(stack)).collect();
    let mut statements = vec![policy::key_admin(account, region)];
    if !groups.is_empty() {
        statements.push(policy::key_for_logs(account, region, &groups));
    }
    if stack.cluster.is_some() {
        statements.extend(policy::key_for_disks(account, region));
    }
    let address = address();
    let tags = build.tags(&address);
    let spec = kms_key::Spec {
        alias: format!("alias/provisioner/{}", stack.name),
        description: format!("All that stack {} encrypts", stack.name),
        rotation_days: stack.encryption.rotation_days,
        deletion_window_days: stack.encryption.deletion_window_days,
        policy: policy::document(statements),
        tags,
    };
    build.add(&address, &spec);
}
