//! The deletion of the backend: what it still serves is asked before anything is changed, and its key is deleted only
//! after the bucket that it encrypts.

use super::{
    OperationError, RunControl, RunOptions, Workspace,
    backend::{BUCKET, BackendStatus, KEY, TABLE, backend_status, text, untargeted},
    backend_creation::{lock_backend, run_backend},
    lost_state::out_of_sight,
};
use crate::{
    aws::{Call as _, stacks_in_use, state_buckets, state_keys},
    engine::StateWriter,
    model::{Address, CallError, Entry, ErrorKind, Outcome, Phase, Record, Snapshot, counted_with},
    store::{BACKEND_RECORD, S3State, StateStore as _},
};
use std::collections::BTreeSet;

/// Checks that nothing needs the backend any more but, if `own_is_recorded`, this stack's own recorded resources.
///
/// # Errors
/// Refuses, naming the other stacks with a state in the bucket, or the resources that carry a stack's tag and whose
/// state is in no other bucket.
pub async fn check_backend_unused(
    workspace: &Workspace,
    status: &BackendStatus,
    own_is_recorded: bool,
) -> Result<(), OperationError> {
    let others = match status.bucket {
        true => workspace.patient(async || Ok(other_stacks(workspace).await?)).await?,
        false => Vec::new(),
    };
    if status.bucket {
        check_objects(workspace).await?;
    }
    if !others.is_empty() {
        let text = format!("the backend was not deleted: it holds the state of {}", others.join(", "));
        return Err(OperationError::refused(text, "delete those stacks first; nothing was changed"));
    }
    let in_use = match workspace.patient(async || Ok(stacks_in_use(&workspace.target.clients).await?)).await {
        // A target that is not AWS may not support the call; the states in the bucket are known by now.
        Err(OperationError::Step(problem))
            if problem.error.class == ErrorKind::Unsupported && status.bucket =>
        {
            return Ok(());
        }
        in_use => in_use?,
    };
    let buckets = match in_use.keys().all(|stack| own_is_recorded && *stack == workspace.stack.name) {
        true => Vec::new(),
        false => state_buckets(&workspace.target.clients).await?,
    };
    for (stack, arns) in &in_use {
        if (own_is_recorded && *stack == workspace.stack.name)
            || is_elsewhere(workspace, stack, &buckets).await?
        {
            continue;
        }
        if *stack == workspace.stack.name {
            return Err(out_of_sight(workspace, status.bucket, arns).into());
        }
        let place = match status.bucket {
            true => format!("s3://{} has no state of it", workspace.state.backend.bucket),
            false => format!("state bucket s3://{} not found", workspace.state.backend.bucket),
        };
        let first = arns.first().map(String::as_str).unwrap_or_default();
        let text = format!(
            "the backend was not deleted: {} the tag provisioner:stack={stack}, and {place}: {first}{}",
            counted_with(arns.len(), "resource", ["carries", "carry"]),
            if arns.len() > 1 { ", ..." } else { "" }
        );
        return Err(OperationError::refused(
            text,
            "delete that stack first, with its own stack file; check `state.bucket` and `AWS_ENDPOINT_URL_S3`; \
             nothing was changed",
        ));
    }
    Ok(())
}

/// Checks that the bucket holds nothing but states: it may have been created again by another owner, and tagged like it.
///
/// # Errors
/// Refuses, naming the first object that provisioner did not write.
async fn check_objects(workspace: &Workspace) -> Result<(), OperationError> {
    let bucket = &workspace.state.backend.bucket;
    let look = async || {
        let call = workspace.target.clients.s3.list_objects_v2().bucket(bucket);
        let call = call.expected_bucket_owner(&workspace.state.backend.account);
        let mut pages = call.into_paginator().send();
        while let Some(page) = pages.next().await {
            let keys = page.call()?.contents.unwrap_or_default().into_iter().filter_map(|object| object.key);
            if let Some(key) = keys.into_iter().find(|key| !is_state(key)) {
                return Ok(Some(key));
            }
        }
        Ok(None)
    };
    let Some(key) = workspace.patient(look).await? else { return Ok(()) };
    let text = format!("the backend was not deleted: s3://{bucket}/{key} is not a state of provisioner");
    Err(OperationError::refused(text, "move or delete such objects first; nothing was changed"))
}

/// Whether this is the key of a stack's state or of the election of the backend's key.
fn is_state(key: &str) -> bool {
    let stack = key.strip_suffix("/state.json");
    key == BACKEND_RECORD || stack.is_some_and(|name| !name.is_empty() && !name.contains('/'))
}

/// Returns the other stacks with a state in the bucket, except for tombstones.
async fn other_stacks(workspace: &Workspace) -> Result<Vec<String>, CallError> {
    let s3 = &workspace.target.clients.s3;
    let pages = s3
        .list_objects_v2()
        .bucket(&workspace.state.backend.bucket)
        .expected_bucket_owner(&workspace.state.backend.account);
    let mut pages = pages.into_paginator().send();
    let mut others = Vec::new();
    while let Some(page) = pages.next().await {
        let objects = page.call()?.contents.unwrap_or_default();
        let names = objects.iter().filter_map(|object| object.key.as_deref()?.strip_suffix("/state.json"));
        for name in names.filter(|name| *name != workspace.stack.name) {
            let (account, bucket) = (&workspace.state.backend.account, &workspace.state.backend.bucket);
            let store = S3State::new(workspace.target.clients.clone(), account, bucket, name);
            let gone = match store.read().await? {
                Some(stored) => {
                    Snapshot::decode(&stored.bytes).is_ok_and(|state| state.phase == Phase::Destroyed)
                }
                None => true,
            };
            if !gone {
                others.push(name.to_owned());
            }
        }
    }
    Ok(others)
}

/// Returns whether another state bucket of this account and region holds the live state of a stack.
async fn is_elsewhere(
    workspace: &Workspace,
    stack: &str,
    buckets: &[String],
) -> Result<bool, OperationError> {
    for bucket in buckets.iter().filter(|bucket| **bucket != workspace.state.backend.bucket) {
        let store =
            S3State::new(workspace.target.clients.clone(), &workspace.state.backend.account, bucket, stack);
        let state = store.read().await?.and_then(|stored| Snapshot::decode(&stored.bytes).ok());
        if state.is_some_and(|state| state.phase != Phase::Destroyed) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Deletes what is found of the bucket, the table and the key. Returns the outcome and the ID of the key, if it was
/// left because the bucket that it encrypts was not found.
pub async fn remove_backend(
    workspace: &Workspace,
    run: RunOptions,
    control: &RunControl,
) -> Result<(Outcome, Option<String>), OperationError> {
    let _lock = lock_backend(workspace)?;
    let status = control.reading(backend_status(workspace)).await?;
    let kept = kept_key(&status);
    let BackendStatus { graph, mut observed, mut snapshot, register, .. } = status;
    // On a machine without the local record, what is observed becomes the record.
    for refresh in untargeted(&graph, &snapshot, &observed, &[], true)?.refresh {
        let entry = Entry {
            kind: refresh.kind,
            stage: refresh.stage,
            spec: refresh.spec,
            live: refresh.live,
            dependencies: refresh.dependencies.into_iter().collect(),
            leaving: false,
            update: None,
        };
        snapshot.apply(Record::Applied(refresh.address, Box::new(entry)));
    }
    if kept.is_some() {
        observed.found.remove(&Address::from(KEY));
    }
    // What does not exist is nothing to delete, and nothing to report as deleted.
    let recorded: BTreeSet<Address> = snapshot.resources.keys().cloned().collect();
    for address in recorded.iter().filter(|address| !observed.found.contains_key(*address)) {
        snapshot.apply(Record::Deleted(address.clone()));
    }
    let nothing = crate::model::Graph::default();
    let plan = untargeted(&nothing, &snapshot, &observed, &[], true)?;
    for dropped in &plan.dropped {
        let (address, reason) = (&dropped.address, &dropped.reason);
        workspace.warn(format!("{address}: {reason}; it is left as it is, and its record is dropped"));
    }
    let mut writer = StateWriter { snapshot, register };
    let outcome = run_backend(workspace, run, control, &plan, &mut writer).await;
    Ok((outcome, kept))
}

/// Names the keys that an earlier race of first runs left: they carry the backend's tag, and encrypt nothing of it.
pub async fn name_spare_keys(workspace: &Workspace, but: Option<&str>) -> Result<(), OperationError> {
    let keys = match spare_keys(workspace, but).await {
        Err(OperationError::Step(problem)) if problem.error.class == ErrorKind::Denied => {
            workspace.warn(format!("could not be looked at: other keys of the backend: {}", problem.error));
            return Ok(());
        }
        keys => keys?,
    };
    for arn in keys {
        let id = arn.rsplit('/').next().unwrap_or_default();
        workspace.warn(format!(
            "key {id} carries the tag of s3://{}, which is not encrypted with it; if nothing else uses it, run \
             `aws kms schedule-key-deletion --key-id {id}`",
            workspace.state.backend.bucket
        ));
    }
    Ok(())
}

/// Returns the ARNs of the keys with the backend's tag, but for the one named.
pub async fn spare_keys(workspace: &Workspace, but: Option<&str>) -> Result<Vec<String>, OperationError> {
    let mut keys = match state_keys(&workspace.target.clients, &workspace.state.backend.bucket).await {
        Err(error) if error.class == ErrorKind::Unsupported => Vec::new(),
        keys => keys?,
    };
    keys.retain(|arn| Some(arn.as_str()) != but);
    Ok(keys)
}

/// Returns the ID of a key that may still encrypt something: the bucket was not found, and the local record does not tell
/// that an earlier run deleted it.
fn kept_key(status: &BackendStatus) -> Option<String> {
    let entry = |address: &str| status.snapshot.resources.get(&Address::from(address));
    let recorded = entry(KEY).is_some() || entry(TABLE).is_some();
    let deleted = entry(BUCKET).map_or(recorded, |bucket| bucket.leaving);
    let live = status.live(KEY).filter(|_| !status.bucket && !deleted)?;
    Some(text(live, "id").unwrap_or_default().to_owned())
}
