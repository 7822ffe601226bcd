//! Observes, runs and journals; waits and retries for everything that a plan does.
//!
//! The life of one step; each box is a file, and records go to the journal, which writes the state:
//!
//! ```text
//!  run        starts a step when all that it waits for is done, the longest remaining path first
//!   |
//!   |-- wanted ------------------------------------------------------------------------------.
//!   |    v                                                                                   |
//!   |   ensure --> create (create_state: its states) --accepted--> settle --> done: Applied  |
//!   |               |  ^                                            |  ^                     |
//!   |               v  | no answer                                  v  | differs             |
//!   |             recovery                                        updates: followed by id    |
//!   |               looks for it, repeats a tokened call          owner_check: whose is it?  |
//!   |                                                                                        |
//!   |-- replaced --> replacement: the new one first, or the old one first -------------------'
//!   |
//!   '-- unwanted --> removal --> owner_check --> drain --> DeleteStarted --> delete call --> looks until it is gone: Deleted
//! ```
//!
//! Everything that waits does so in `Task::pause`, which the shutdown signal ends; everything that is asked again goes
//! through `Task::again`, which knows the patience of each class of error (`budget`).

mod advice;
mod blocking;
mod budget;
mod create;
mod create_state;
mod draining;
mod ensure;
mod expected_times;
mod find_batcher;
mod host;
mod journal;
mod lagging_reads;
mod lease;
mod lease_watch;
mod look;
mod made_by_service;
mod nothing_left;
mod observe;
mod owner_check;
mod provider;
mod rates;
mod recovery;
mod removal;
mod replacement;
mod run;
mod settings;
mod settle;
mod shared;
mod shutdown;
mod step;
mod throttled_reads;
mod unknown_principal;
mod updates;
mod wait_for;

pub use budget::Pace;
pub use expected_times::forecast;
pub use host::{Host, Liveness};
pub use journal::StateWriter;
pub use lease::{LeaseGuard, LeaseRequest, acquire, describe_holder, release_for_good};
pub use lease_watch::LEASE;
pub use nothing_left::nothing_left;
pub use observe::{observe, sweep};
pub use provider::{AwsProvider, Provider};
pub use run::Run;
pub use settings::Settings;
pub use shutdown::{ShutdownPhase, ShutdownSignal};
pub use throttled_reads::through_throttling;
pub use wait_for::{WaitOptions, wait_for};

#[cfg(test)]
mod tests;
