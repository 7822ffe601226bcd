//! Bringing a resource that exists to its spec: wait until it can be used, correct what differs, record it.

use super::{
    advice::{advice, hopeless},
    budget::{self, Backoff},
    step::{Retry, Task, late},
    updates::Updates,
};
use crate::{
    model::{CallError, Changes, Entry, ErrorKind, Kind, Readiness, Record},
    plan::managed_tags,
};
use serde_json::Value;
use std::sync::PoisonError;
use tokio::time::Instant;

/// How often a resource is corrected before the engine gives up on it.
const MAX_CORRECTIONS: u32 = 12;

impl Task<'_> {
    /// Waits until it can be used, corrects what differs, and records it. Returns its live form.
    pub(super) async fn settle(&self, live: Option<Value>, created: bool) -> Result<Value, CallError> {
        let kind = self.kind()?;
        let recorded = self.entry.as_ref().map(|entry| &entry.spec);
        let (mut retry, mut corrections) = (Retry::default(), 0_u32);
        let mut updates = Updates::new(self.entry.as_ref().and_then(|entry| entry.update.clone()));
        let mut next = match live {
            Some(live) => live,
            None => self.appear().await?,
        };
        loop {
            if self.follow(kind, &mut updates, &next).await? {
                next = self.appear().await?;
            }
            let live = match self.is_corrected_first(kind, recorded, &next)? {
                true => next,
                false => self.ready(kind, next).await?,
            };
            let managed = managed_tags(&self.want, recorded, &live);
            let changes = (kind.diff)(&self.want, &managed)?;
            if changes.is_empty() {
                self.done(&live);
                return Ok(live);
            }
            if let Some(change) = changes.0.iter().find(|change| change.forces_replace) {
                let what = if created { "AWS created it with another" } else { "it has another" };
                let text = format!(
                    "{what} `{}` than asked for: {} instead of {}",
                    change.path, change.old, change.new
                );
                return Err(CallError::new(ErrorKind::Other, text)
                    .hint("`provisioner plan` shows what to do about it"));
            }
            corrections = corrections.saturating_add(1);
            if corrections > MAX_CORRECTIONS {
                let paths: Vec<&str> = changes.0.iter().map(|change| change.path.as_str()).collect();
                return Err(late(&format!("fields do not take their value: {}", paths.join(", "))));
            }
            if updates.accepted(&changes) {
                // AWS carried this update out, and a read that lags does not show it. It is not sent twice.
                self.pause(
                    retry.backoff.next().unwrap_or_default(),
                    "updated; waiting for it to become visible",
                )
                .await?;
                next = self.appear().await?;
                continue;
            }
            self.turn().await?;
            self.check_owner(&live).await?;
            match self.send(self.shared.provider.sync(&self.step.kind, &self.want, &managed)).await {
                Ok(Some(id)) => {
                    let record = Record::UpdateStarted(self.address().clone(), id.clone());
                    self.shared.journal.note(record);
                    updates.started(&changes, id);
                }
                Ok(None) if corrections > 1 => {
                    // A read that lags shows the old value; another correction would only repeat the first.
                    let pause = retry.backoff.next().unwrap_or_default();
                    self.pause(pause, "updated; waiting for it to become visible").await?;
                }
                Ok(None) => {}
                // A read that lags shows the time before an earlier update, or another run's: what is wanted shows soon.
                Err(error) if error.class == ErrorKind::Exists => {
                    corrections = corrections.saturating_sub(1);
                    self.lagging(&mut retry, error).await?;
                }
                Err(error) => {
                    if error.class == ErrorKind::Ambiguous {
                        updates.unanswered(&changes);
                    }
                    corrections = corrections.saturating_sub(1);
                    self.again(&mut retry, error).await?;
                }
            }
            next = self.appear().await?;
        }
    }

    fn differs(&self, kind: Kind, recorded: Option<&Value>, live: &Value) -> Result<Changes, CallError> {
        (kind.diff)(&self.want, &managed_tags(&self.want, recorded, live))
    }

    /// Whether a correction comes before waiting: what a rollout of a broken spec waits for is a better spec, and what
    /// is degraded may need just this update.
    fn is_corrected_first(
        &self,
        kind: Kind,
        recorded: Option<&Value>,
        live: &Value,
    ) -> Result<bool, CallError> {
        let may = kind.update_while_unready || matches!((kind.ready)(live)?, Readiness::Degraded(_));
        Ok(may && !self.differs(kind, recorded, live)?.is_empty())
    }

    /// Waits until `live` can be used.
    async fn ready(&self, kind: Kind, live: Value) -> Result<Value, CallError> {
        let deadline = Instant::now() + kind.ready_within;
        let (mut backoff, mut live) = (Backoff::polling(self.shared.settings.pace), live);
        let mut degraded: Option<Instant> = None;
        loop {
            let state = (kind.ready)(&live)?;
            if !matches!(state, Readiness::Degraded(_)) {
                degraded = None;
            }
            match state {
                Readiness::Ready => return Ok(live),
                Readiness::Suspended { why, remedy } => {
                    let hint = format!("`{remedy}`; then run `provisioner up` again");
                    return Err(CallError::new(ErrorKind::Refused, why).hint(hint));
                }
                Readiness::Waiting(_) if (kind.deleting)(&live)? => {
                    let text = "being deleted outside provisioner";
                    return Err(CallError::new(ErrorKind::Other, text)
                        .hint("run `provisioner up` again when the deletion has ended"));
                }
                Readiness::Failed(reason) => {
                    let hint = advice(&reason).unwrap_or("fix the cause: the next run replaces it");
                    return Err(CallError::new(ErrorKind::Other, format!("failed: {reason}")).hint(hint));
                }
                Readiness::Degraded(reason) => {
                    let since = *degraded.get_or_insert_with(Instant::now);
                    if since.elapsed() >= self.shared.settings.pace.of(budget::TROUBLE) || hopeless(&reason) {
                        let hint = advice(&reason).unwrap_or(
                            "fix the cause, then run `provisioner up` again; `provisioner status` shows its state",
                        );
                        return Err(CallError::new(ErrorKind::Other, reason).hint(hint));
                    }
                    self.pause(backoff.next().unwrap_or_default(), &reason).await?;
                }
                Readiness::Waiting(reason) if Instant::now() >= deadline => {
                    return Err(late(&format!("still {reason} after {} s", kind.ready_within.as_secs())));
                }
                Readiness::Waiting(reason) => self.pause(backoff.next().unwrap_or_default(), &reason).await?,
            }
            live = self.appear().await?;
        }
    }

    /// Returns the record of the resource as it is now.
    pub(super) fn entry_of(&self, live: &Value) -> Entry {
        Entry {
            kind: self.step.kind.clone(),
            stage: self.step.stage,
            spec: self.want.clone(),
            live: live.clone(),
            dependencies: self.step.dependencies.iter().cloned().collect(),
            leaving: false,
            update: None,
        }
    }

    fn done(&self, live: &Value) {
        let entry = self.entry_of(live);
        let mut entries = self.shared.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.insert(self.address().clone(), entry.clone());
        self.shared.journal.note(Record::Applied(self.address().clone(), Box::new(entry)));
    }
}
