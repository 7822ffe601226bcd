//! Creating a resource and bringing it to its spec.

use super::{
    budget::Backoff,
    create::Created,
    step::{Failed, Task, late},
};
use crate::model::{CallError, LeftBehind, Record, StepState};
use serde_json::Value;
use tokio::time::Instant;

impl Task<'_> {
    /// Creates the resource unless it exists, and brings it to its spec. Returns its live form.
    pub(super) async fn ensure(&mut self) -> Result<Value, Failed> {
        self.tell(StepState::Started);
        let started = Instant::now();
        let (live, new) = match self.create().await? {
            Created::Found(live) => {
                self.adopt_leftover(&live).await.map_err(|error| (error, LeftBehind::Nothing))?;
                (Some(live), false)
            }
            Created::New(live) => (live, true),
            Created::Nothing => (None, true),
        };
        let live = self.settle(live, new).await.map_err(|error| (error, LeftBehind::Recorded))?;
        self.tell(StepState::Done);
        let seconds = started.elapsed().as_secs();
        if new && seconds > 1 {
            let name = format!("duration/{}", self.step.kind);
            self.shared.journal.note(Record::Output(name, Value::from(seconds)));
        }
        Ok(live)
    }

    /// Waits until what was created is visible. Lists lag behind creates.
    pub(super) async fn appear(&self) -> Result<Value, CallError> {
        let deadline = Instant::now() + self.kind()?.ready_within;
        let mut backoff = Backoff::polling(self.shared.settings.pace);
        loop {
            if let Some(live) = self.look().await? {
                return Ok(live);
            }
            if Instant::now() >= deadline {
                return Err(late("created, but not visible yet"));
            }
            self.pause(backoff.next().unwrap_or_default(), "created; waiting for it to become visible")
                .await?;
        }
    }
}
