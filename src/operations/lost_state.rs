//! A state that is out of sight: noticed before anything is created twice, and the way back to it.

use super::{OperationError, Workspace, lease_holding::recorded};
use crate::{
    aws::{lineages, stacks_in_use},
    model::{CallError, ErrorKind, Snapshot, counted_with},
};

/// Returns the error for a state that is out of sight: nothing is recorded of the stack, not even its end, but
/// resources carry its tag. `bucket` tells whether the state bucket was found.
pub async fn lost_state(
    workspace: &Workspace,
    bucket: bool,
    snapshot: Option<&Snapshot>,
) -> Result<Option<CallError>, OperationError> {
    if bucket && snapshot.is_none_or(|snapshot| snapshot.version > 0 || snapshot.epoch > 0) {
        return Ok(None);
    }
    let in_use = workspace.patient(async || Ok(stacks_in_use(&workspace.target.clients).await?)).await;
    let mut stacks = match in_use {
        // A target that is not AWS may not support the call.
        Err(OperationError::Step(problem)) if problem.error.class == ErrorKind::Unsupported => {
            return Ok(None);
        }
        stacks => stacks?,
    };
    let Some(arns) = stacks.remove(&workspace.stack.name) else { return Ok(None) };
    // Without a lineage it was never a stack's: anyone can write the other tags.
    if lineages(&workspace.target.clients, &workspace.stack.name).await?.is_empty() {
        return Ok(None);
    }
    // Another run may have created the stack since.
    if recorded(workspace).await?.version > 0 {
        return Ok(None);
    }
    Ok(Some(out_of_sight(workspace, bucket, &arns)))
}

/// Returns the error that names the way back to a state that is out of sight.
pub fn out_of_sight(workspace: &Workspace, bucket: bool, arns: &[String]) -> CallError {
    let place = &workspace.state.backend.bucket;
    let what = match bucket {
        true => format!("no state found in s3://{place}/{}", workspace.stack.name),
        false => format!("state bucket s3://{place} not found"),
    };
    let few: Vec<&str> = arns.iter().map(String::as_str).take(3).collect();
    let more = if arns.len() > few.len() { ", ..." } else { "" };
    let text = format!(
        "{what}, but {} the tag provisioner:stack={}: {}{more}",
        counted_with(arns.len(), "resource", ["carries", "carry"]),
        workspace.stack.name,
        few.join(", ")
    );
    let elsewhere = "check `region`, `state.bucket` and `AWS_ENDPOINT_URL_S3`";
    CallError::new(ErrorKind::Refused, text).hint(match bucket {
        true => format!(
            "{elsewhere}; restore an older version with `provisioner state history` and `state rollback`, or \
             rebuild the state with `provisioner state import --from-tags`"
        ),
        false => format!(
            "{elsewhere}; if the bucket was deleted, run `provisioner state import --from-tags`, which creates it \
             again and rebuilds the state"
        ),
    })
}
