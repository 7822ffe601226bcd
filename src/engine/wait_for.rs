//! Waits for a condition that no step brings about.

use super::{
    budget::{self, Backoff, Pace},
    shutdown::{ShutdownPhase, ShutdownSignal},
};
use crate::model::{CallError, ErrorKind};
use std::time::Duration;
use tokio::time::Instant;

/// Limits of a wait.
#[derive(Clone, Copy, Debug)]
pub struct WaitOptions {
    /// Longest time to wait, not scaled by `pace`.
    pub timeout: Duration,
    /// Speed of the target relative to AWS, for the intervals between polls.
    pub pace: Pace,
}

/// Polls until `poll` returns a value, and returns it; none if it did not within the timeout.
///
/// # Errors
/// The error of a poll that failed for longer than its class is retried; [`ErrorKind::Interrupted`] on
/// shutdown.
pub async fn wait_for<T>(
    options: WaitOptions,
    shutdown: &ShutdownSignal,
    poll: impl AsyncFn() -> Result<Option<T>, CallError>,
) -> Result<Option<T>, CallError> {
    let started = Instant::now();
    let mut backoff = Backoff::polling(options.pace);
    loop {
        match poll().await {
            Ok(Some(found)) => return Ok(Some(found)),
            Ok(None) => {}
            Err(error) if budget::patience(error.class).is_some_and(|time| started.elapsed() < time) => {}
            Err(error) => return Err(error),
        }
        if started.elapsed() >= options.timeout {
            return Ok(None);
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.next().unwrap_or_default()) => {}
            () = shutdown.reached(ShutdownPhase::Draining) => {
                return Err(CallError::new(ErrorKind::Interrupted, "interrupted while waiting"));
            }
        }
    }
}
