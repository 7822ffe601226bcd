//! Where the state and the lease are kept. Safety comes from one register, the state object, which changes only by
//! compare-and-swap; the lease gives politeness and liveness.

mod dynamodb;
mod local;
pub(crate) mod memory;
mod register;
mod s3;

pub use dynamodb::{DynamoLease, lease_item};
pub use local::LocalState;
pub use memory::{MemoryLease, MemoryState};
pub use register::Register;
pub use s3::{S3State, Version};

use crate::model::{Fault, HeldBy};
use async_trait::async_trait;

/// One version of the state object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The document.
    pub bytes: Vec<u8>,
    /// What names this version in a conditional write. Opaque.
    pub etag: String,
}

/// A register that holds the state of one stack. Linearizable: a write succeeds only on the version that it names.
#[async_trait]
pub trait StateStore: Send + Sync {
    /// The newest version; none where there never was one.
    async fn read(&self) -> Result<Option<Stored>, Fault>;

    /// Writes over the version `expected`, or, with none, only where nothing is.
    ///
    /// # Errors
    /// [`Class::Lost`](crate::model::Class::Lost) when another version is there, which may be this very write, whose
    /// answer was lost; [`Class::Ambiguous`](crate::model::Class::Ambiguous) when nobody knows.
    async fn write(&self, bytes: &[u8], expected: Option<&str>) -> Result<String, Fault>;

    /// Where it is, for people.
    fn place(&self) -> String;
}

/// What a lease record says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseItem {
    /// The holder, if any.
    pub holder: Option<HeldBy>,
    /// The number of the last holding; never falls.
    pub fence: u64,
}

/// What came of an attempt to take a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is ours, under this fence.
    Yes(u64),
    /// It was ours before: an earlier call took it, whose answer was lost. Nobody knows how long ago.
    Already(u64),
    /// It is not, and this holds it now.
    No(Box<LeaseItem>),
}

/// The lease of one stack. Expiry is the waiter's to judge: there is no clock in the record.
#[async_trait]
pub trait LeaseStore: Send + Sync {
    /// What is there. A strongly consistent read.
    async fn read(&self) -> Result<LeaseItem, Fault>;

    /// Takes it for `holder`: when it is free, or, with `over`, when that record is still the one there. The new fence
    /// is one more than the last and at least `at_least`.
    async fn take(&self, holder: &HeldBy, over: Option<&HeldBy>, at_least: u64) -> Result<Taken, Fault>;

    /// Shows that the holder lives: replaces its record by `record`.
    ///
    /// # Errors
    /// [`Class::Lost`](crate::model::Class::Lost) when somebody else holds it.
    async fn beat(&self, holder: &HeldBy, record: &str) -> Result<(), Fault>;

    /// Gives it back. What is not held by `holder` any more is given back.
    async fn release(&self, holder: &HeldBy) -> Result<(), Fault>;
}
