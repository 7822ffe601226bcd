//! Storage for the state and the lease. Safety comes from one register, the state object, which changes only by
//! compare-and-swap; the lease only keeps runs from working at the same time.

mod dynamodb;
mod local;
pub(crate) mod memory;
mod register;
mod s3;

pub use dynamodb::{DynamoLease, lease_item};
pub use local::LocalState;
pub use memory::{MemoryLease, MemoryState};
pub use register::Register;
pub use s3::{BACKEND_RECORD, S3State, Version};

use crate::model::{CallError, LeaseHolder};
use async_trait::async_trait;

/// One version of the state object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The encoded state document.
    pub bytes: Vec<u8>,
    /// The opaque tag that names this version in a conditional write.
    pub etag: String,
}

/// A register that holds the state of one stack. Linearizable: a write succeeds only on the version that it
/// names.
#[async_trait]
pub trait StateStore: Send + Sync {
    /// Reads the newest version; `None` if none was ever written.
    async fn read(&self) -> Result<Option<Stored>, CallError>;

    /// Replaces the version `expected`; with `None`, writes only if no version exists. Returns the new
    /// version's tag.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`](crate::model::ErrorKind::Lost) when another version exists, which may be this very write
    /// if its answer was lost; [`ErrorKind::Ambiguous`](crate::model::ErrorKind::Ambiguous) when the outcome is
    /// unknown.
    async fn write(&self, bytes: &[u8], expected: Option<&str>) -> Result<String, CallError>;

    /// Returns the location of the state, for messages.
    fn location(&self) -> String;
}

/// The contents of a lease record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseItem {
    /// The current holder; `None` if the lease is free.
    pub holder: Option<LeaseHolder>,
    /// The number of the last holding; never decreases.
    pub fence: u64,
}

/// The outcome of an attempt to take a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The lease was taken, under this fence.
    Yes(u64),
    /// An earlier call of this run, whose answer was lost, had already taken the lease; when is unknown.
    Already(u64),
    /// The lease was not taken; this is the record that holds it.
    No(Box<LeaseItem>),
}

/// The lease of one stack. The record holds no clock: the waiter decides when it has expired.
#[async_trait]
pub trait LeaseStore: Send + Sync {
    /// Reads the record, strongly consistently.
    async fn read(&self) -> Result<LeaseItem, CallError>;

    /// Takes the lease for `holder` if it is free or, with `over`, if that record is still the stored one. The
    /// new fence is one more than the last and at least `at_least`.
    async fn take(
        &self,
        holder: &LeaseHolder,
        over: Option<&LeaseHolder>,
        at_least: u64,
    ) -> Result<Taken, CallError>;

    /// Sends a heartbeat: replaces the holder's record with `record`.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`](crate::model::ErrorKind::Lost) when another run holds it.
    async fn heartbeat(&self, holder: &LeaseHolder, record: &str) -> Result<(), CallError>;

    /// Releases the lease. Succeeds too if `holder` no longer holds it.
    async fn release(&self, holder: &LeaseHolder) -> Result<(), CallError>;
}
