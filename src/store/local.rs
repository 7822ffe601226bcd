//! A state in a file of the `state/` folder: the record of the backend, which cannot keep its own.

use super::{StateStore, Stored};
use crate::model::{Class, Fault, Snapshot};
use async_trait::async_trait;
use std::{
    io::{ErrorKind, Write as _},
    path::PathBuf,
};

/// A state in one file. One process at a time: the caller holds the folder's lock.
#[derive(Clone, Debug)]
pub struct LocalState {
    path: PathBuf,
}

impl LocalState {
    /// The state in the file at `path`, whose folder may not be there yet.
    pub fn new(path: PathBuf) -> Self {
        LocalState { path }
    }

    fn fault(&self, error: &std::io::Error) -> Fault {
        Fault::new(Class::Other, format!("{}: {error}", self.path.display()))
            .hint("make room, or make the folder writable, then run again")
    }

    fn load(&self) -> Result<Option<Stored>, Fault> {
        match std::fs::read(&self.path) {
            Ok(bytes) => Ok(Some(Stored { etag: Snapshot::hash(&bytes), bytes })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.fault(&error)),
        }
    }

    fn store(&self, bytes: &[u8]) -> std::io::Result<()> {
        let folder = self.path.parent().map(PathBuf::from).unwrap_or_default();
        std::fs::create_dir_all(&folder)?;
        // A new file under the old name: whoever reads sees the one or the other, never half of one.
        let fresh = self.path.with_extension(format!("{}.new", std::process::id()));
        let mut file = std::fs::File::create(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&fresh, &self.path)
    }
}

#[async_trait]
impl StateStore for LocalState {
    async fn read(&self) -> Result<Option<Stored>, Fault> {
        self.load()
    }

    async fn write(&self, bytes: &[u8], expected: Option<&str>) -> Result<String, Fault> {
        if self.load()?.map(|stored| stored.etag).as_deref() != expected {
            return Err(Fault::new(Class::Lost, format!("{} changed meanwhile", self.path.display())));
        }
        self.store(bytes).map_err(|error| self.fault(&error))?;
        Ok(Snapshot::hash(bytes))
    }

    fn place(&self) -> String {
        self.path.display().to_string()
    }
}
