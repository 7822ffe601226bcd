//! What blocks a deletion that AWS refuses, and for how long that is waited for.

use super::{
    budget::{self, Pace},
    step::Task,
};
use crate::model::{Blocker, CallError, Entry};
use serde_json::Value;
use std::{collections::BTreeMap, sync::PoisonError};
use tokio::time::Instant;

/// Maximum number of blockers that a message names.
const MAX_NAMED: usize = 6;

/// What blocks one deletion, by the last look.
#[derive(Default)]
pub(super) struct Blocking {
    looked: Option<Instant>,
    found: Vec<Blocker>,
    /// Since when each look finds something that only a person can remove.
    since: Option<Instant>,
    /// Since when each look finds something that should end soon.
    soon: Option<Instant>,
}

impl Blocking {
    /// Whether only a person can remove what blocks the deletion.
    pub(super) fn is_lasting(&self) -> bool {
        self.since.is_some()
    }

    /// Whether it was waited for long enough.
    pub(super) fn is_over(&self, pace: Pace) -> bool {
        self.since.is_some_and(|since| since.elapsed() >= budget::blocked(pace)) || self.is_late(pace)
    }

    /// Whether what should end soon did not.
    fn is_late(&self, pace: Pace) -> bool {
        self.soon.is_some_and(|since| since.elapsed() >= budget::ends_soon(pace))
    }

    /// Returns the error of the refused deletion with all that blocks it. What AWS itself deletes is named only if nothing
    /// else is.
    pub(super) fn told(&self, error: CallError, pace: Pace) -> CallError {
        let is_late = self.is_late(pace);
        let is_lasting = |it: &&Blocker| !it.ends || (is_late && it.soon);
        let lasting: Vec<&Blocker> = self.found.iter().filter(is_lasting).collect();
        let (verb, all) = match lasting.is_empty() {
            true => ("waiting for the end of", self.found.iter().collect()),
            false => ("blocked by", lasting),
        };
        let Some(first) = all.first() else { return error };
        let named: Vec<&str> = all.iter().take(MAX_NAMED).map(|it| it.what.as_str()).collect();
        let mut text = named.join(", ");
        if let Some(more @ 1..) = all.len().checked_sub(MAX_NAMED) {
            text.push_str(&format!(" and {more} more"));
        }
        let hint = format!("{}; then run the same command again", first.hint);
        CallError { message: format!("{}; {verb} {text}", error.message), ..error }.hint(hint)
    }
}

impl Task<'_> {
    /// Looks at what blocks the deletion of `live`, unless that was just looked at.
    pub(super) async fn look_at_blockers(&self, blocking: &mut Blocking, live: &Value) {
        let interval = self.shared.settings.pace.of(budget::BLOCKERS_INTERVAL);
        if blocking.looked.is_some_and(|looked| looked.elapsed() < interval) {
            return;
        }
        blocking.found = self.shared.provider.blockers(&self.step.kind, live, &self.held()).await;
        let now = *blocking.looked.insert(Instant::now());
        let lasting = blocking.found.iter().any(|blocker| !blocker.ends);
        let soon = blocking.found.iter().any(|blocker| blocker.soon);
        blocking.since = blocking.since.or(Some(now)).filter(|_| lasting);
        blocking.soon = blocking.soon.or(Some(now)).filter(|_| soon);
    }

    /// All that the stack records, and recorded when the run began.
    fn held(&self) -> Vec<Entry> {
        let entries = self.shared.entries.lock().unwrap_or_else(PoisonError::into_inner);
        BTreeMap::values(&entries).cloned().collect()
    }
}
