//! The last act of `down`: a query by the stack's tags that comes back empty.

use super::{
    exit::{Exit, Failure},
    lock::Scene,
    session::Session,
};
use crate::{
    aws::Left,
    engine::nothing_left,
    model::{Class, Fault, Phase, Snapshot},
};
use serde_json::json;

/// Whether nothing but keys pending deletion is left.
pub async fn is_empty(session: &Session, scene: &Scene) -> Result<bool, Failure> {
    let (clients, stack) = (&session.target.clients, &session.stack.name);
    let left = nothing_left(clients, stack, session.target.pace, &scene.halt).await?;
    Ok(!left.iter().any(|left| matches!(left, Left::There(_))))
}

/// Asks, and prints the answer.
pub async fn show(session: &Session, scene: &Scene) -> Result<Exit, Failure> {
    let (ui, stack) = (session.ui, &session.stack.name);
    let left = nothing_left(&session.target.clients, stack, session.target.pace, &scene.halt).await?;
    let mut there = Vec::new();
    let mut keys = Vec::new();
    for left in left {
        match left {
            Left::There(arn) => there.push(arn),
            Left::KeyUntil(arn, date) => keys.push((arn, date)),
        }
    }
    if ui.json {
        let keys: Vec<_> = keys.iter().map(|(arn, date)| json!({"arn": arn, "deletedAt": date})).collect();
        ui.line(json!({"type": "proof", "query": format!("provisioner:stack={stack}"), "left": there, "keysPendingDeletion": keys}));
    } else {
        for (arn, date) in &keys {
            let id = arn.rsplit('/').next().unwrap_or_default();
            ui.say(&format!("key {id} is deleted at {date}; until then `aws kms cancel-key-deletion --key-id {id}` keeps it"));
        }
        if there.is_empty() {
            ui.say(&format!(
                "proof: a query for the tag provisioner:stack={stack} finds nothing in {}",
                session.region()
            ));
        }
    }
    if there.is_empty() {
        return Ok(Exit::Done);
    }
    let fault = Fault::new(
        Class::Other,
        format!("these still carry the tag provisioner:stack={stack}: {}", there.join(", ")),
    );
    ui.problem(&fault.hint("if another state knows them, use that; else remove them by hand").into());
    Ok(Exit::Partial)
}

impl Session {
    /// Stacks beside this one whose state in the bucket is no tombstone.
    pub async fn other_stacks(&self) -> Result<Vec<String>, Fault> {
        use crate::{aws::Call, store::StateStore};
        let s3 = &self.target.clients.s3;
        let pages =
            s3.list_objects_v2().bucket(&self.backend.bucket).expected_bucket_owner(&self.backend.account);
        let mut pages = pages.into_paginator().send();
        let mut others = Vec::new();
        while let Some(page) = pages.next().await {
            let objects = page.call("s3", "ListObjectsV2")?.contents.unwrap_or_default();
            let names =
                objects.iter().filter_map(|object| object.key.as_deref()?.strip_suffix("/state.json"));
            for name in names.filter(|name| *name != self.stack.name) {
                let (account, bucket) = (&self.backend.account, &self.backend.bucket);
                let store = crate::store::S3State::new(self.target.clients.clone(), account, bucket, name);
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
}
