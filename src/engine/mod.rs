//! Observes, runs, journals, waits: the only room that loops, sleeps and retries.

mod advice;
mod budget;
mod halt;
mod journal;
mod lease;
mod looks;
mod observe;
mod proof;
mod rates;
mod recovery;
mod removal;
mod run;
mod shared;
mod step;
mod until;
mod world;

pub use budget::Pace;
pub use halt::{Halt, Halting};
pub use journal::{Closed, Journal};
pub use lease::{Held, LEASE, Patience, acquire, release_for_good, who};
pub use observe::{observe, sweep};
pub use proof::nothing_left;
pub use run::{Run, Settings};
pub use until::{Awaited, until};
pub use world::{AwsWorld, World};

#[cfg(test)]
mod tests;
