//! Access to the state of a stack: its store and its lease.

use super::machine;
use crate::{
    aws::Clients,
    graph::Backend,
    model::LeaseHolder,
    store::{DynamoLease, Register, S3State},
};
use std::{sync::Arc, time::Duration};

/// The bucket, table and key of a state, and the run that uses them.
#[derive(Clone)]
pub struct StateAccess {
    /// The clients of the services that hold it.
    pub clients: Clients,
    /// The bucket, table and key.
    pub backend: Backend,
    /// Name of the stack.
    pub stack: String,
    /// The ID of this run, a UUID.
    pub run: String,
    /// What runs, for others who wait for the lease.
    pub command: String,
    /// How long to wait for the lease; with zero, a live holder ends the operation.
    pub lock_timeout: Duration,
}

impl StateAccess {
    /// Returns the store of the state.
    pub fn store(&self) -> S3State {
        S3State::new(self.clients.clone(), &self.backend.account, &self.backend.bucket, &self.stack)
    }

    /// Returns the register of the state, which writes under `fence`.
    pub fn register(&self, fence: u64) -> Register {
        let me = self.holder();
        let by = format!("{}@{}: {}", me.user, me.process.host, me.command);
        Register::new(Arc::new(self.store()), &self.run, fence).by(by)
    }

    /// Returns the store of the lease.
    pub fn lease(&self) -> DynamoLease {
        DynamoLease::new(self.clients.clone(), &self.backend.table, &self.stack)
    }

    /// Returns this run as the holder of the lease. The fence is still 0.
    pub fn holder(&self) -> LeaseHolder {
        machine::holder(&self.run, &self.command)
    }
}
