//! The proof after a deletion: waits until no resource has the tags of the stack.

use super::{
    budget::{self, Backoff, Pace},
    shutdown::{ShutdownPhase, ShutdownSignal},
};
use crate::{
    aws::{Clients, Left, Traces, left_behind},
    model::{CallError, ErrorKind},
};
use std::time::Duration;
use tokio::time::Instant;

/// How long the tagging API may list deleted resources.
const TAG_INDEX_LAG: Duration = Duration::from_secs(120);

/// Returns the resources that still have the tags of the stack or of one of its clusters. Repeats the query while there are
/// others than KMS keys that are pending deletion and what is kept, as long as the tagging API may lag.
pub async fn nothing_left(
    clients: &Clients,
    traces: &Traces,
    pace: Pace,
    shutdown: &ShutdownSignal,
) -> Result<Vec<Left>, CallError> {
    let started = Instant::now();
    let deadline = started + pace.of(TAG_INDEX_LAG);
    let mut backoff = Backoff::default();
    loop {
        let left = match left_behind(clients, traces).await {
            // Retries as long as a step would: without an answer the deletion is not proven.
            Err(error) if budget::patience(error.class).is_some_and(|time| started.elapsed() < time) => {
                tokio::select! {
                    () = tokio::time::sleep(backoff.next().unwrap_or_default()) => continue,
                    () = shutdown.reached(ShutdownPhase::Draining) => return Err(error),
                }
            }
            left => left?,
        };
        let is_rest = |left: &Left| matches!(left, Left::There(_) | Left::Marked(_));
        if !left.iter().any(is_rest) || Instant::now() >= deadline {
            return Ok(left);
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            () = shutdown.reached(ShutdownPhase::Draining) => {
                return Err(CallError::new(ErrorKind::Interrupted, "interrupted while checking for remaining resources"));
            }
        }
    }
}
