//! A state in a file of the `state/` folder: the record of the backend, which cannot store its own.

use super::{StateStore, Stored};
use crate::{
    model::{CallError, ErrorKind, Snapshot},
    os::write_private,
};
use async_trait::async_trait;
use std::path::PathBuf;

/// A state in one local file. The caller holds the folder's lock, so that only one process uses it at a time.
#[derive(Clone, Debug)]
pub struct LocalState {
    path: PathBuf,
}

impl LocalState {
    /// Returns the state in the file at `path`, whose folder need not exist yet.
    pub fn new(path: PathBuf) -> Self {
        LocalState { path }
    }

    fn failure(&self, error: &std::io::Error) -> CallError {
        CallError::new(ErrorKind::Other, format!("{}: {error}", self.path.display()))
            .hint("free disk space or make the folder writable, then run again")
    }

    fn load(&self) -> Result<Option<Stored>, CallError> {
        match std::fs::read(&self.path) {
            Ok(bytes) => Ok(Some(Stored { etag: Snapshot::hash(&bytes), bytes })),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failure(&error)),
        }
    }
}

#[async_trait]
impl StateStore for LocalState {
    async fn read(&self) -> Result<Option<Stored>, CallError> {
        self.load()
    }

    async fn write(&self, bytes: &[u8], expected: Option<&str>) -> Result<String, CallError> {
        if self.load()?.map(|stored| stored.etag).as_deref() != expected {
            return Err(CallError::new(
                ErrorKind::Lost,
                format!("{}: changed since it was read", self.path.display()),
            ));
        }
        write_private(&self.path, bytes).map_err(|error| self.failure(&error))?;
        Ok(Snapshot::hash(bytes))
    }

    fn location(&self) -> String {
        self.path.display().to_string()
    }
}
