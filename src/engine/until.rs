//! Waiting for something that no step makes.

use super::{
    budget::{self, Backoff, Pace},
    halt::{Halt, Halting},
};
use crate::model::{Class, Fault};
use std::time::Duration;
use tokio::time::Instant;

/// How long something is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Awaited {
    /// Until then.
    pub longest: Duration,
    /// How fast the world moves.
    pub pace: Pace,
}

/// Looks until there is something. None: it did not come in time.
///
/// # Errors
/// A look that failed for longer than its class allows; [`Class::Interrupted`] when the run is to end.
pub async fn until<T>(
    awaited: Awaited,
    halt: &Halt,
    look: impl AsyncFn() -> Result<Option<T>, Fault>,
) -> Result<Option<T>, Fault> {
    let started = Instant::now();
    let mut backoff = Backoff::polling(awaited.pace);
    loop {
        match look().await {
            Ok(Some(found)) => return Ok(Some(found)),
            Ok(None) => {}
            Err(fault) if budget::patience(fault.class).is_some_and(|time| started.elapsed() < time) => {}
            Err(fault) => return Err(fault),
        }
        if started.elapsed() >= awaited.longest {
            return Ok(None);
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.next().unwrap_or_default()) => {}
            () = halt.reached(Halting::Drain) => {
                return Err(Fault::new(Class::Interrupted, "interrupted while waiting"));
            }
        }
    }
}
