//! In-memory stores for tests of everything above them, with the failures of the real ones.

use super::{LeaseItem, LeaseStore, StateStore, Stored, Taken};
use crate::model::{CallError, ErrorKind, LeaseHolder};
use async_trait::async_trait;
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// A failure injected into one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// The request never arrives.
    LostRequest,
    /// The request takes effect, but the answer is lost.
    LostAnswer,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn silence() -> CallError {
    CallError::new(ErrorKind::Ambiguous, "no answer")
}

/// A state object in memory, with all its versions.
#[derive(Debug, Default)]
pub struct MemoryState {
    versions: Mutex<Vec<Vec<u8>>>,
    mishaps: Mutex<VecDeque<Mishap>>,
}

impl MemoryState {
    /// Queues `mishap` for the next write.
    pub fn next(&self, mishap: Mishap) {
        locked(&self.mishaps).push_back(mishap);
    }

    /// Returns the number of versions written.
    pub fn versions(&self) -> usize {
        locked(&self.versions).len()
    }
}

#[async_trait]
impl StateStore for MemoryState {
    async fn read(&self) -> Result<Option<Stored>, CallError> {
        let versions = locked(&self.versions);
        Ok(versions.last().map(|bytes| Stored { bytes: bytes.clone(), etag: versions.len().to_string() }))
    }

    async fn write(&self, bytes: &[u8], expected: Option<&str>) -> Result<String, CallError> {
        let mishap = locked(&self.mishaps).pop_front();
        if mishap == Some(Mishap::LostRequest) {
            return Err(silence());
        }
        let mut versions = locked(&self.versions);
        let there = (!versions.is_empty()).then(|| versions.len().to_string());
        if there.as_deref() != expected {
            return Err(CallError::new(ErrorKind::Lost, "another version exists"));
        }
        versions.push(bytes.to_vec());
        match mishap {
            Some(_) => Err(silence()),
            None => Ok(versions.len().to_string()),
        }
    }

    fn location(&self) -> String {
        "memory".to_owned()
    }
}

/// A lease in memory.
#[derive(Debug, Default)]
pub struct MemoryLease {
    item: Mutex<LeaseItem>,
    mishaps: Mutex<VecDeque<Mishap>>,
}

impl MemoryLease {
    /// Queues `mishap` for the next heartbeat or attempt to take the lease.
    pub fn next(&self, mishap: Mishap) {
        locked(&self.mishaps).push_back(mishap);
    }
}

#[async_trait]
impl LeaseStore for MemoryLease {
    async fn read(&self) -> Result<LeaseItem, CallError> {
        Ok(locked(&self.item).clone())
    }

    async fn take(
        &self,
        holder: &LeaseHolder,
        over: Option<&LeaseHolder>,
        at_least: u64,
    ) -> Result<Taken, CallError> {
        let mishap = locked(&self.mishaps).pop_front();
        if mishap == Some(Mishap::LostRequest) {
            return Err(silence());
        }
        let mut item = locked(&self.item);
        let free = match (&item.holder, over) {
            (None, _) => true,
            (Some(there), _) if there.owner == holder.owner => return Ok(Taken::Already(item.fence)),
            (Some(there), Some(over)) => there.owner == over.owner && there.record == over.record,
            (Some(_), None) => false,
        };
        if !free {
            return Ok(Taken::No(Box::new(item.clone())));
        }
        item.fence = item.fence.saturating_add(1).max(at_least);
        item.holder = Some(LeaseHolder { fence: item.fence, ..holder.clone() });
        match mishap {
            Some(_) => Err(silence()),
            None => Ok(Taken::Yes(item.fence)),
        }
    }

    async fn heartbeat(&self, holder: &LeaseHolder, record: &str) -> Result<(), CallError> {
        let mishap = locked(&self.mishaps).pop_front();
        if mishap == Some(Mishap::LostRequest) {
            return Err(silence());
        }
        let mut item = locked(&self.item);
        match &mut item.holder {
            Some(there) if there.owner == holder.owner && there.fence == holder.fence => {
                record.clone_into(&mut there.record);
            }
            _ => return Err(CallError::new(ErrorKind::Lost, "the lease is held by another run")),
        }
        match mishap {
            Some(_) => Err(silence()),
            None => Ok(()),
        }
    }

    async fn release(&self, holder: &LeaseHolder) -> Result<(), CallError> {
        let mut item = locked(&self.item);
        if item.holder.as_ref().is_some_and(|there| there.owner == holder.owner) {
            item.holder = None;
        }
        Ok(())
    }
}
