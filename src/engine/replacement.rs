//! The creation of what replaces another resource.

use super::step::{Failed, Task, late};
use crate::{
    model::{Address, Entry, Intent, LeftBehind, Record, Step},
    plan::created_by,
};
use serde_json::Value;

impl Task<'_> {
    /// Creates the new resource after the old one was deleted: what was recorded before the run is gone.
    pub(super) async fn create_replacement(self) -> Result<Value, Failed> {
        let fresh = Step { live: Value::Null, ..self.step.clone() };
        Task { step: &fresh, entry: None, intent: None, former: self.entry, ..self }.ensure().await
    }

    /// Creates the new resource while the old one serves on, recorded as `retired`. If nothing is created, it is recorded as
    /// before.
    pub(super) async fn replace_first(self, retired: &Address) -> Result<Value, Failed> {
        let old = recorded_or_begun(self.entry.as_ref(), self.intent.as_ref(), &self.step.live);
        let old = old.ok_or_else(|| (late("nothing to replace was found"), LeftBehind::Nothing))?;
        let (journal, address) = (self.shared.journal.clone(), self.address().clone());
        // Written with the intent of the create call at the latest.
        journal.note(Record::Retired(address.clone(), retired.clone(), Box::new(old)));
        let result = Task { entry: None, ..self }.create_replacement().await;
        if matches!(result, Err((_, LeftBehind::Nothing))) {
            journal.note(Record::Restored(address, retired.clone()));
        }
        result
    }
}

/// Returns the record of what is replaced. What an earlier run began to create has only its intent, also where the record
/// of a resource that it deleted still stands at the address.
pub(super) fn recorded_or_begun(
    entry: Option<&Entry>,
    intent: Option<&Intent>,
    live: &Value,
) -> Option<Entry> {
    let begun = |intent: &Intent| Entry {
        kind: intent.kind.clone(),
        stage: intent.stage,
        spec: intent.request.clone(),
        live: live.clone(),
        dependencies: intent.dependencies.clone(),
        leaving: false,
        update: None,
    };
    let created = intent.filter(|intent| entry.is_none() || created_by(Some(intent), live));
    created.map(begun).or_else(|| entry.cloned())
}
