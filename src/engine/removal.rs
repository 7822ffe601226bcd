//! The removal of a resource.

use super::{
    advice::advice,
    blocking::Blocking,
    budget::{self, Backoff},
    create::Created,
    step::{Failed, Retry, Task, late},
};
use crate::{
    model::{
        Action, CallError, DeletePolicy, Entry, ErrorKind, Event, Intent, Kind, LeftBehind, Record, StepState,
    },
    plan::{Ownership, aws_name},
};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

impl Task<'_> {
    /// Deletes the resource and waits until it no longer exists. False: it is not the stack's, so only its record is
    /// dropped.
    pub async fn remove(&mut self) -> Result<bool, Failed> {
        self.tell(StepState::Started);
        let left = |error: CallError| (error, LeftBehind::Recorded);
        let kind = self.kind().map_err(left)?;
        let mut live = match self.intent.clone() {
            // Also where an entry is recorded: what it names may have been deleted, and its create begun again.
            Some(intent) => match self.find_created().await.map_err(|(error, _)| left(error))? {
                Created::Found(live) | Created::New(Some(live)) => {
                    self.close(&intent, &live).await.map_err(left)?;
                    Some(live)
                }
                Created::New(None) | Created::Nothing => None,
            },
            None => self.look().await.map_err(left)?,
        };
        if live.is_none() && !self.step.live.is_null() {
            // It was there a moment ago: a list that lags may leave it out once.
            self.pause(Duration::from_millis(500), "checking again whether it is deleted")
                .await
                .map_err(left)?;
            live = self.look().await.map_err(left)?;
        }
        let mut drains = self.shared.settings.drain;
        while let Some(there) = &live {
            if !self.may_delete(there).await.map_err(left)? {
                self.shared.journal.note(Record::Deleted(self.address().clone()));
                self.tell(StepState::Done);
                return Ok(false);
            }
            let deleting = (kind.deleting)(there).map_err(left)?;
            if !std::mem::take(&mut drains) || deleting || !self.drain(there).await.map_err(left)? {
                break;
            }
            // It took minutes, in which the resource may have changed hands.
            live = self.look().await.map_err(left)?;
        }
        if let Some(live) = &live {
            let record = Record::DeleteStarted(self.address().clone());
            // A later run must know for certain that this one began to delete data.
            match (kind.holds)(live).map_err(left)? {
                Some(_) => self.shared.journal.commit(record).await.map_err(left)?,
                None => self.shared.journal.note(record),
            }
        }
        let made = live.as_ref().map(|live| (kind.service_made)(live)).transpose().map_err(left)?.flatten();
        let birth = live.clone();
        self.delete(kind, live).await.map_err(left)?;
        self.shared.journal.note(Record::Deleted(self.address().clone()));
        if let (Some(made), Some(birth)) = (made, birth) {
            self.delete_late_ones(kind, &made, &birth).await.map_err(left)?;
        }
        self.tell(StepState::Done);
        Ok(true)
    }

    /// Whether `live` is the stack's to delete. False: its record is to be dropped.
    ///
    /// # Errors
    /// A resource that the stack's tags do not name, or one that a replacement would need to delete.
    async fn may_delete(&self, live: &Value) -> Result<bool, CallError> {
        if self.shared.is_approved(self.address()) {
            return Ok(true);
        }
        let own = self.ownership(live).await?;
        match own.foreign() {
            None if own == Ownership::Ours => match self.used_by_another(self.kind()?, live).await? {
                Some(who) if self.step.action == Action::Delete => Ok(self.leave(live, &who)),
                _ => Ok(true),
            },
            Some(who) if self.step.action == Action::Delete => Ok(self.leave(live, who)),
            _ => Err(self.refused(&own, live)),
        }
    }

    /// Tells that a resource is left and its record dropped: it may not be deleted.
    fn leave(&self, live: &Value, who: &str) -> bool {
        let name = aws_name(live).unwrap_or("it");
        let text =
            format!("{}: {name} {who}: it is left as it is, and its record is dropped", self.address());
        let _ = self.shared.events.send(Event::Notice(text));
        false
    }

    /// Closes the intent before what it created is deleted: to a run that finds it open, its token would return a resource
    /// that no longer exists.
    async fn close(&self, intent: &Intent, live: &Value) -> Result<(), CallError> {
        let entry = Entry {
            kind: intent.kind.clone(),
            stage: intent.stage,
            spec: intent.request.clone(),
            live: live.clone(),
            dependencies: intent.dependencies.clone(),
            leaving: true,
            update: None,
        };
        self.shared.journal.commit(Record::Applied(self.address().clone(), Box::new(entry))).await
    }

    async fn delete(&self, kind: Kind, mut live: Option<Value>) -> Result<(), CallError> {
        let mut retry = Retry::default();
        let mut asked: Option<Instant> = None;
        let mut backoff = Backoff::polling(self.shared.settings.pace);
        let (mut refusals, mut failures) = (0_u32, 0_u32);
        let mut blocking = Blocking::default();
        let id = live.as_ref().and_then(|live| live.get("id")).cloned();
        let pace = self.shared.settings.pace;
        while let Some(there) = live {
            let another = asked.is_some() && id.is_some() && there.get("id") != id.as_ref();
            if (kind.deleted)(&there)? || another || (asked.is_some() && !self.is_own(kind, &there)) {
                // What is found in the end under the same name, alias or tags is another resource.
                return Ok(());
            }
            let failed = if asked.is_some() { (kind.delete_failed)(&there)? } else { None };
            if let Some(reason) = failed {
                // The state is final until the call is repeated.
                self.look_at_blockers(&mut blocking, &there).await;
                let repeats = if blocking.is_lasting() { 1 } else { budget::MAX_DELETE_REPEATS };
                if failures >= repeats {
                    return Err(blocking.told(undeletable(&reason, failures), pace));
                }
                let pause = pace.of(budget::DELETE_PAUSE * 3_u32.saturating_pow(failures));
                failures = failures.saturating_add(1);
                self.pause(pause, &format!("the deletion failed, it is repeated: {reason}")).await?;
                asked = None;
            } else if asked.is_none() && (kind.deleting)(&there)? {
                asked = Some(Instant::now());
            } else if asked.is_none() {
                self.turn().await?;
                match self.send(self.shared.provider.delete(&self.step.kind, &there)).await {
                    Ok(()) if kind.delete_policy == DeletePolicy::WithParent => return Ok(()),
                    Ok(()) => asked = Some(Instant::now()),
                    Err(mut error) => {
                        refusals = refusals.saturating_add(1);
                        if error.class == ErrorKind::Conflict && refusals >= 3 {
                            self.look_at_blockers(&mut blocking, &there).await;
                            error = blocking.told(error, pace);
                            if blocking.is_over(pace) {
                                return Err(error);
                            }
                        }
                        self.again(&mut retry, error).await?;
                    }
                }
            } else if asked.is_some_and(|asked| asked.elapsed() >= kind.deleted_within) {
                return Err(late("AWS accepted the delete call, and it still exists"));
            } else {
                let trouble = there.get("trouble").and_then(Value::as_str);
                let why = trouble.map_or_else(|| "deleting".to_owned(), |why| format!("deleting: {why}"));
                self.pause(backoff.next().unwrap_or_default(), &why).await?;
            }
            live = self.look().await?;
        }
        Ok(())
    }
}

/// The error of a deletion that AWS gave up again and again.
fn undeletable(reason: &str, repeats: u32) -> CallError {
    let calls = repeats.saturating_add(1);
    let text = format!("not deleted after {calls} delete calls: {reason}");
    let hint = advice(reason).unwrap_or("remove what is named, then run the same command again");
    CallError::new(ErrorKind::Conflict, text).hint(hint)
}
