//! The removal of a resource.

use super::{
    budget::{self, Backoff},
    step::{Failed, Retry, Task},
};
use crate::model::{Class, Departure, Entry, Fault, Intent, Kind, LeftBehind, Record, StepState};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

impl Task<'_> {
    /// Takes the resource away and waits until it is gone.
    pub async fn remove(&mut self) -> Result<(), Failed> {
        self.tell(StepState::Started);
        let left = |fault: Fault| (fault, LeftBehind::Recorded);
        let kind = self.kind().map_err(left)?;
        let mut live = match self.intent.take() {
            // Also where an entry is recorded: what it names may have gone, and been begun anew.
            Some(intent) => {
                let live = self.recover(&intent, false).await.map_err(left)?;
                if let Some(live) = &live {
                    self.close(&intent, live).await.map_err(left)?;
                }
                live
            }
            None => self.look().await.map_err(left)?,
        };
        if live.is_none() && !self.step.live.is_null() {
            // It was there a moment ago: a list that lags may leave it out once.
            self.pause(Duration::from_millis(500), "looking twice before calling it gone")
                .await
                .map_err(left)?;
            live = self.look().await.map_err(left)?;
        }
        if live.is_some() {
            self.shared.journal.note(Record::Leaving(self.address().clone()));
        }
        self.delete(kind, live).await.map_err(left)?;
        self.shared.journal.note(Record::Gone(self.address().clone()));
        self.tell(StepState::Done);
        Ok(())
    }

    /// Closes the intent before what it made goes: its token would hand back a thing that is gone, to whoever finds it open.
    async fn close(&self, intent: &Intent, live: &Value) -> Result<(), Fault> {
        let entry = Entry {
            kind: intent.kind.clone(),
            stage: intent.stage,
            spec: intent.request.clone(),
            live: live.clone(),
            dependencies: intent.dependencies.clone(),
            leaving: true,
        };
        self.shared.journal.commit(Record::Done(self.address().clone(), Box::new(entry))).await
    }

    async fn delete(&self, kind: Kind, mut live: Option<Value>) -> Result<(), Fault> {
        let mut retry = Retry::default();
        let mut asked: Option<Instant> = None;
        let mut backoff = Backoff::polling(self.shared.pace);
        let mut refusals = 0_u32;
        while let Some(there) = live {
            if asked.is_none() {
                self.turn().await?;
                match self.send(self.shared.world.delete(&self.step.kind, &there)).await {
                    Ok(()) if kind.departure == Departure::WithParent => return Ok(()),
                    Ok(()) => asked = Some(Instant::now()),
                    Err(mut fault) => {
                        refusals = refusals.saturating_add(1);
                        if fault.class == Class::Conflict && refusals >= 3 {
                            let blockers = self.shared.world.blockers(&self.step.kind, &there).await;
                            if !blockers.is_empty() {
                                fault.message =
                                    format!("{}; in the way: {}", fault.message, blockers.join(", "));
                            }
                        }
                        self.again(&mut retry, fault).await?;
                    }
                }
            } else if asked.is_some_and(|asked| asked.elapsed() >= budget::to_go(kind.name)) {
                return Err(self.late("AWS took the delete call, and it is still there"));
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
