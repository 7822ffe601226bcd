//! EC2 resources that wait for tags.

use super::Tags;
use crate::model::CallError;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::oneshot;

/// Resources by their IDs, each with the one who waits for its answer.
pub(super) type Waiting = Vec<(String, oneshot::Sender<Result<(), CallError>>)>;

/// Resources that wait for the same tags.
#[derive(Default)]
pub(super) struct TagGroup {
    waiting: Mutex<Waiting>,
    /// Held during a call.
    pub(super) turn: tokio::sync::Mutex<()>,
}

impl TagGroup {
    /// Returns those that wait.
    pub(super) fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The EC2 resources that wait for tags. All copies share them.
#[derive(Clone, Default)]
pub struct Ec2TagQueue(Arc<Mutex<BTreeMap<Tags, Arc<TagGroup>>>>);

impl Ec2TagQueue {
    /// Returns those that wait for these tags.
    pub(super) fn group(&self, tags: &Tags) -> Arc<TagGroup> {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(groups.entry(tags.clone()).or_default())
    }
}
