//! The patient form of the last question: what still carries the stack's tags?

use super::{
    budget::{self, Backoff, Pace},
    halt::{Halt, Halting},
};
use crate::{
    aws::{Clients, Left, left_behind},
    model::{Class, Fault},
};
use std::time::Duration;
use tokio::time::Instant;

/// How long the tagging API may go on listing what is gone.
const LAG: Duration = Duration::from_secs(120);

/// Asks until nothing but keys pending deletion is left, or as long as the answer may lag.
pub async fn nothing_left(
    clients: &Clients,
    stack: &str,
    pace: Pace,
    halt: &Halt,
) -> Result<Vec<Left>, Fault> {
    let started = Instant::now();
    let deadline = started + pace.of(LAG);
    let mut backoff = Backoff::default();
    loop {
        let left = match left_behind(clients, stack).await {
            // The last question is worth as much patience as the steps before it.
            Err(fault) if budget::patience(fault.class).is_some_and(|time| started.elapsed() < time) => {
                tokio::select! {
                    () = tokio::time::sleep(backoff.next().unwrap_or_default()) => continue,
                    () = halt.reached(Halting::Drain) => return Err(fault),
                }
            }
            left => left?,
        };
        if !left.iter().any(|left| matches!(left, Left::There(_))) || Instant::now() >= deadline {
            return Ok(left);
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            () = halt.reached(Halting::Drain) => {
                return Err(Fault::new(Class::Interrupted, "interrupted while looking for what is left"));
            }
        }
    }
}
