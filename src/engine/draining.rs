//! What runs on a resource is moved elsewhere before the resource is deleted.

use super::{
    budget::{self, Backoff},
    step::{Retry, Task, reason},
};
use crate::{
    aws::with_progress,
    model::{CallError, ErrorKind, Event, Undrained},
};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// The progress of a drain: the least that was left, and since when.
struct Progress {
    left: usize,
    since: Instant,
}

impl Task<'_> {
    /// Lets the kind move what runs on `live` elsewhere until nothing is left. Returns whether that took time. If the kind
    /// cannot begin, says so and leaves it to AWS.
    ///
    /// # Errors
    /// Nothing moved within the budget, the run is interrupted, or the kind fails after it began.
    pub(super) async fn drain(&self, live: &Value) -> Result<bool, CallError> {
        let pace = self.shared.settings.pace;
        let (mut retry, mut backoff) = (Retry::default(), Backoff::polling(pace));
        let mut progress: Option<Progress> = None;
        let mut refusals = 0_u32;
        loop {
            let call = self.shared.provider.before_delete(&self.step.kind, live);
            match with_progress(self.progress_sink(), call).await {
                Ok(None) => return Ok(progress.is_some()),
                Ok(Some(undrained)) => {
                    retry = Retry::default();
                    let last = progress.take().filter(|last| last.left <= undrained.left);
                    let now =
                        last.unwrap_or_else(|| Progress { left: undrained.left, since: Instant::now() });
                    if now.since.elapsed() >= budget::drain(pace) {
                        return Err(stuck(undrained, budget::drain(pace)));
                    }
                    progress = Some(now);
                    self.pause(backoff.next().unwrap_or_default(), &undrained.why).await?;
                }
                Err(error) if progress.is_some() => self.again(&mut retry, error).await?,
                Err(error)
                    if refusals < budget::MAX_DRAIN_REPEATS && budget::patience(error.class).is_some() =>
                {
                    refusals = refusals.saturating_add(1);
                    self.pause(backoff.next().unwrap_or_default(), reason(&error)).await?;
                }
                Err(error) => {
                    let text =
                        format!("{}: {}; it is deleted without a drain", self.address(), reason(&error));
                    let _ = self.shared.events.send(Event::Notice(text));
                    return Ok(false);
                }
            }
        }
    }
}

/// Returns the error of a drain that made no progress.
fn stuck(undrained: Undrained, within: Duration) -> CallError {
    let time = match within.as_secs() {
        seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    };
    CallError::new(ErrorKind::Deadline, format!("not drained, no progress for {time}: {}", undrained.why))
        .hint(undrained.hint)
}
