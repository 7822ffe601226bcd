//! The interface through which the engine looks up, creates, updates and deletes resources.

use crate::{
    aws::{Cx, Holdings, blockers},
    model::{Blockable, Blocker, CallError, Entry, Intent, Kind, Undrained, UpdateId, UpdateOutcome},
    resources::{FoundResource, Handler, Lookup, REGISTRY, handler},
};
use async_trait::async_trait;
use serde_json::Value;

/// Source and target of all resources: AWS, or a cloud in memory for tests.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Returns the kind with this name.
    fn kind(&self, name: &str) -> Option<Kind>;
    /// Returns the names of all kinds.
    fn kinds(&self) -> Vec<&'static str>;
    /// Looks up resources of one kind, as [`Lifecycle::find`](crate::resources::Lifecycle::find) does.
    async fn find(&self, kind: &str, lookups: &[Lookup]) -> Result<Vec<FoundResource<Value>>, CallError>;
    /// Sends a create call, as [`Lifecycle::create`](crate::resources::Lifecycle::create) does.
    async fn create(&self, kind: &str, want: &Value, intent: &Intent) -> Result<(), CallError>;
    /// See [`Lifecycle::sync`](crate::resources::Lifecycle::sync).
    async fn sync(&self, kind: &str, want: &Value, live: &Value) -> Result<Option<UpdateId>, CallError>;
    /// See [`Lifecycle::outcome`](crate::resources::Lifecycle::outcome).
    async fn outcome(&self, kind: &str, live: &Value, id: &str) -> Result<UpdateOutcome, CallError>;
    /// See [`Lifecycle::running_update`](crate::resources::Lifecycle::running_update).
    async fn running_update(&self, kind: &str, live: &Value) -> Result<Option<UpdateId>, CallError>;
    /// See [`Lifecycle::before_delete`](crate::resources::Lifecycle::before_delete).
    async fn before_delete(&self, _kind: &str, _live: &Value) -> Result<Option<Undrained>, CallError> {
        Ok(None)
    }
    /// See [`Lifecycle::delete`](crate::resources::Lifecycle::delete).
    async fn delete(&self, kind: &str, live: &Value) -> Result<(), CallError>;
    /// Returns what prevents a deletion that AWS refused: first what a person has to delete. `held` is all that the stack
    /// records, or recorded when the run began.
    async fn blockers(&self, _kind: &str, _live: &Value, _held: &[Entry]) -> Vec<Blocker> {
        Vec::new()
    }
    /// Returns the same provider without cached answers.
    fn fresh(&self) -> Box<dyn Provider>;
}

/// Provider of AWS, through the registered kinds.
#[derive(Clone)]
pub struct AwsProvider {
    cx: Cx,
}

impl AwsProvider {
    /// Returns the provider of the account and region of `cx`.
    pub fn new(cx: Cx) -> Self {
        AwsProvider { cx }
    }

    /// Returns the provider of a stack that has, or had, these clusters.
    #[must_use]
    pub fn with_clusters(self, names: impl IntoIterator<Item = String>) -> Self {
        AwsProvider { cx: self.cx.with_clusters(names) }
    }
}

fn known(kind: &str) -> Result<&'static Handler, CallError> {
    handler(kind).ok_or_else(|| CallError::bug(format!("unknown kind `{kind}`")))
}

#[async_trait]
impl Provider for AwsProvider {
    fn kind(&self, name: &str) -> Option<Kind> {
        handler(name).map(|handler| handler.kind)
    }

    fn kinds(&self) -> Vec<&'static str> {
        REGISTRY.iter().map(|handler| handler.kind.name).collect()
    }

    async fn find(&self, kind: &str, lookups: &[Lookup]) -> Result<Vec<FoundResource<Value>>, CallError> {
        (known(kind)?.find)(&self.cx, lookups).await
    }

    async fn create(&self, kind: &str, want: &Value, intent: &Intent) -> Result<(), CallError> {
        (known(kind)?.create)(&self.cx, want, intent).await
    }

    async fn sync(&self, kind: &str, want: &Value, live: &Value) -> Result<Option<UpdateId>, CallError> {
        (known(kind)?.sync)(&self.cx, want, live).await
    }

    async fn outcome(&self, kind: &str, live: &Value, id: &str) -> Result<UpdateOutcome, CallError> {
        (known(kind)?.outcome)(&self.cx, live, id).await
    }

    async fn running_update(&self, kind: &str, live: &Value) -> Result<Option<UpdateId>, CallError> {
        (known(kind)?.running_update)(&self.cx, live).await
    }

    async fn before_delete(&self, kind: &str, live: &Value) -> Result<Option<Undrained>, CallError> {
        (known(kind)?.before_delete)(&self.cx, live).await
    }

    async fn delete(&self, kind: &str, live: &Value) -> Result<(), CallError> {
        (known(kind)?.delete)(&self.cx, live).await
    }

    async fn blockers(&self, kind: &str, live: &Value, held: &[Entry]) -> Vec<Blocker> {
        let blockable = |kind: &str| known(kind).map_or(Blockable::Never, |handler| handler.kind.blockable);
        // A stack's cluster has the stack's name.
        let mut holdings = Holdings {
            former_cluster: self.cx.owner.stack.clone(),
            former_clusters: self.cx.clusters().clone(),
            ..Holdings::default()
        };
        for entry in held {
            holdings.know(blockable(&entry.kind), &entry.live);
            holdings.delete(blockable(&entry.kind), &entry.spec, &entry.live);
        }
        blockers(&self.cx, blockable(kind), live, &holdings).await
    }

    fn fresh(&self) -> Box<dyn Provider> {
        Box::new(AwsProvider { cx: self.cx.fresh() })
    }
}
