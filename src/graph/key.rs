//! The KMS key of a stack: the existing key that the file names, or one that is created.

use super::{
    addresses::{flow_log_group, key_address, log_group},
    graph_builder::GraphBuilder,
    graph_context::Context,
    iam_policies,
};
use crate::{resources::kms_key, stack::Stack};

/// Returns whether any resource of the stack is encrypted with the key.
fn is_needed(stack: &Stack) -> bool {
    let secret = stack.parameters.iter().any(|parameter| parameter.secret.is_some());
    let flows = flow_log_group(stack).is_some();
    stack.cluster.is_some() || secret || flows || !stack.repositories.is_empty()
}

/// Adds the stack's own key if the file names none and a resource needs it.
pub(super) fn key(build: &mut GraphBuilder<'_>, stack: &Stack, context: &Context) {
    if stack.encryption.key_arn.is_some() || !is_needed(stack) {
        return;
    }
    let (account, region) = (&context.account, &stack.region);
    let groups: Vec<String> = flow_log_group(stack).into_iter().chain(log_group(stack)).collect();
    let mut statements = vec![iam_policies::key_admin(account, region)];
    if !groups.is_empty() {
        statements.push(iam_policies::key_for_logs(account, region, &groups));
    }
    if stack.cluster.is_some() {
        statements.extend(iam_policies::key_for_disks(account, region));
    }
    let address = key_address();
    let tags = build.tags(&address);
    let spec = kms_key::Spec {
        alias: format!("alias/provisioner/{}", stack.name),
        description: format!("All that stack {} encrypts", stack.name),
        rotation_days: stack.encryption.rotation_days,
        deletion_window_days: stack.encryption.deletion_window_days,
        policy: iam_policies::document(statements),
        tags,
    };
    build.add(&address, &spec);
}
