//! The updates that AWS carries out after it has accepted the call: followed by their ids until they end.

use super::{
    advice::advice,
    budget::{self, Backoff},
    step::{Retry, Task, late},
};
use crate::model::{CallError, Change, Changes, ErrorKind, Kind, Record, UpdateId, UpdateOutcome};
use serde_json::Value;
use tokio::time::Instant;

/// The updates of one step.
#[derive(Default)]
pub(super) struct Updates {
    /// The update that has not ended yet.
    open: Option<UpdateId>,
    /// What the call was to change that may have started an update and was not answered.
    unanswered: Option<Changes>,
    /// Whether the resource was asked for an update that this program has no id of.
    asked: bool,
    /// The corrections for which AWS accepted an update: none is sent twice.
    accepted: Vec<Changes>,
    /// Whether an update was sent again already.
    repeated: bool,
}

impl Updates {
    /// The updates of a step whose earlier run recorded `open`.
    pub(super) fn new(open: Option<UpdateId>) -> Self {
        Updates { open, ..Updates::default() }
    }

    /// Notes that AWS accepted an update that makes `changes`.
    pub(super) fn started(&mut self, changes: &Changes, id: UpdateId) {
        self.accepted.push(corrections(changes));
        (self.open, self.unanswered) = (Some(id), None);
    }

    /// Notes that the call that may have started an update for `changes` was not answered.
    pub(super) fn unanswered(&mut self, changes: &Changes) {
        (self.unanswered, self.asked) = (Some(corrections(changes)), false);
    }

    /// Whether an update for exactly these changes was accepted. A read that lags shows them again.
    pub(super) fn accepted(&self, changes: &Changes) -> bool {
        let corrections = corrections(changes);
        !corrections.0.is_empty() && self.accepted.contains(&corrections)
    }
}

/// The changes without those of tags, which are made by calls of their own, and without what is there: a size that
/// moves meanwhile does not make another correction.
fn corrections(changes: &Changes) -> Changes {
    let of = changes.0.iter().filter(|change| !change.path.starts_with("tags"));
    Changes(of.map(|change| Change { old: Value::Null, ..change.clone() }).collect())
}

impl Task<'_> {
    /// Follows the update that is under way, if there is one, until it ends. Returns whether there was one.
    ///
    /// # Errors
    /// The update failed: its code, its message and the resources concerned.
    pub(super) async fn follow(
        &self,
        kind: Kind,
        updates: &mut Updates,
        live: &Value,
    ) -> Result<bool, CallError> {
        let (id, ours) = match updates.open.take() {
            Some(id) => (id, true),
            None if updates.asked => return Ok(false),
            None => {
                updates.asked = true;
                let mut retry = Retry::default();
                let running = loop {
                    match self.shared.provider.running_update(&self.step.kind, live).await {
                        Ok(running) => break running,
                        Err(error) => self.again(&mut retry, error).await?,
                    }
                };
                let Some(id) = running else { return Ok(false) };
                let sent = updates.unanswered.take();
                let ours = sent.is_some();
                if ours {
                    self.shared.journal.note(Record::UpdateStarted(self.address().clone(), id.clone()));
                    updates.accepted.extend(sent);
                }
                (id, ours)
            }
        };
        let outcome = self.ended(kind, live, &id).await?;
        if ours {
            self.shared.journal.note(Record::UpdateEnded(self.address().clone()));
        }
        let passing = outcome.is_passing() && !updates.repeated;
        match outcome {
            UpdateOutcome::Failed { code, .. } if ours && passing => {
                updates.repeated = true;
                updates.accepted.clear();
                let pause = self.shared.settings.pace.of(budget::UPDATE_PAUSE);
                self.pause(pause, &format!("the update failed ({code}); it is sent once more")).await?;
            }
            UpdateOutcome::Failed { code, message, resources } if ours => {
                return Err(failure(&code, &message, &resources));
            }
            // An update that was not this program's is not judged: what it left is corrected.
            _ => {}
        }
        Ok(true)
    }

    /// Waits until the update ends.
    async fn ended(&self, kind: Kind, live: &Value, id: &str) -> Result<UpdateOutcome, CallError> {
        let deadline = Instant::now() + kind.ready_within;
        let (mut backoff, mut retry) = (Backoff::polling(self.shared.settings.pace), Retry::default());
        let mut unknown: Option<Instant> = None;
        loop {
            match self.shared.provider.outcome(&self.step.kind, live, id).await {
                Ok(UpdateOutcome::InProgress) if Instant::now() >= deadline => {
                    return Err(late(&format!(
                        "update {id} is still in progress after {} s",
                        kind.ready_within.as_secs()
                    )));
                }
                Ok(UpdateOutcome::InProgress) => {
                    self.pause(backoff.next().unwrap_or_default(), &format!("update {id} in progress"))
                        .await?;
                }
                Ok(outcome) => return Ok(outcome),
                // A new one does not show at once, an old one no longer: then the resource itself tells.
                Err(error) if error.class == ErrorKind::Gone => {
                    let since = *unknown.get_or_insert_with(Instant::now);
                    if since.elapsed() >= budget::UPDATE_VISIBLE_WITHIN {
                        return Ok(UpdateOutcome::Successful);
                    }
                    self.pause(backoff.next().unwrap_or_default(), &format!("update {id} not found yet"))
                        .await?;
                }
                Err(error) => self.again(&mut retry, error).await?,
            }
        }
    }
}

/// The error of a step whose update failed.
fn failure(code: &str, message: &str, resources: &[String]) -> CallError {
    let said = if message.is_empty() { String::new() } else { format!(": {message}") };
    let of = if resources.is_empty() { String::new() } else { format!(" ({})", resources.join(", ")) };
    let text = format!("update failed: {code}{said}{of}");
    let hint = advice(code)
        .unwrap_or("fix the cause, then run `provisioner up` again: the update is not repeated before");
    CallError { code: code.to_owned(), ..CallError::new(ErrorKind::Other, text) }.hint(hint)
}
