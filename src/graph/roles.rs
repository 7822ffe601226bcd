//! What all IAM roles of a stack have in common.

use super::graph_builder::GraphBuilder;
use crate::{model::Address, resources::iam_role, stack::Stack};

/// Adds an IAM role with the tags of `address`, and the path and the permissions boundary of the stack.
pub(super) fn role(build: &mut GraphBuilder<'_>, stack: &Stack, address: &Address, spec: iam_role::Spec) {
    let tags = build.tags(address);
    let (path, boundary) = (stack.role_path.clone(), stack.permissions_boundary.clone());
    build.add(address, &iam_role::Spec { path, boundary, tags, ..spec });
}
