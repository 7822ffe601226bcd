//! Bytes with a digest, in memory or in a file.

use super::context::hex;
use crate::model::{Class, Fault};
use sha2::{Digest as _, Sha256};
use std::{
    fs,
    io::{self, Read as _, Seek as _},
    path::{Path, PathBuf},
    sync::Arc,
};

/// A file that goes with its last user.
#[derive(Debug)]
pub struct Temp(PathBuf);

impl Temp {
    /// A name of its own in `folder`, which is made where it is missing.
    pub fn new(folder: &Path, name: &str) -> Result<Self, Fault> {
        let temp = Temp(folder.join(format!("{name}-{}", uuid::Uuid::new_v4())));
        fs::create_dir_all(folder).map_err(|error| temp.fault(&error))?;
        Ok(temp)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What went wrong with it.
    pub fn fault(&self, error: &io::Error) -> Fault {
        at(&self.0, error)
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if self.0.is_dir() {
            let _ = fs::remove_dir_all(&self.0);
        } else {
            let _ = fs::remove_file(&self.0);
        }
    }
}

/// What went wrong with a file of this program's own.
pub(super) fn at(path: &Path, error: &io::Error) -> Fault {
    Fault::new(Class::Other, format!("{}: {error}", path.display()))
        .hint("make room, or make the folder writable, then run again")
}

#[derive(Clone, Debug)]
enum Bytes {
    Memory(Arc<Vec<u8>>),
    Temporary(Arc<Temp>),
    Kept(PathBuf),
}

/// What an image consists of: a layer or a configuration.
#[derive(Clone, Debug)]
pub struct Blob {
    /// `sha256:` and 64 hex digits.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    /// What it is.
    pub media_type: String,
    bytes: Bytes,
}

impl Blob {
    /// One in memory.
    pub fn memory(media_type: &str, bytes: Vec<u8>) -> Self {
        Blob {
            digest: digest(&bytes),
            size: u64::try_from(bytes.len()).unwrap_or_default(),
            media_type: media_type.to_owned(),
            bytes: Bytes::Memory(Arc::new(bytes)),
        }
    }

    pub(super) fn temporary(digest: String, size: u64, media_type: &str, temp: Temp) -> Self {
        Blob { digest, size, media_type: media_type.to_owned(), bytes: Bytes::Temporary(Arc::new(temp)) }
    }

    /// One in a file that stays.
    pub(super) fn kept(digest: String, size: u64, media_type: &str, path: PathBuf) -> Self {
        Blob { digest, size, media_type: media_type.to_owned(), bytes: Bytes::Kept(path) }
    }

    /// `length` of its bytes from `from` on, or as many as there are.
    pub fn part(&self, from: u64, length: u64) -> Result<Vec<u8>, Fault> {
        let path = match &self.bytes {
            Bytes::Memory(bytes) => {
                let from = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                return Ok(bytes.iter().skip(from).take(length).copied().collect());
            }
            Bytes::Temporary(temp) => temp.path(),
            Bytes::Kept(path) => path,
        };
        let read = || {
            let mut file = fs::File::open(path)?;
            file.seek(io::SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            file.take(length).read_to_end(&mut bytes)?;
            io::Result::Ok(bytes)
        };
        read().map_err(|error| at(path, &error))
    }

    /// Removes a kept file whose bytes are not what its name says.
    pub fn spoiled(&self) -> Fault {
        if let Bytes::Kept(path) = &self.bytes {
            let _ = fs::remove_file(path);
        }
        let text = format!("{} is damaged in the cache folder, and was removed from it", self.digest);
        Fault::new(Class::Other, text).hint("run again: it is fetched anew")
    }
}

/// The digest of bytes, as registries write it.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

/// Blobs by their digests, in the user's cache folder.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// The store in `folder`.
    pub fn new(folder: &Path) -> Self {
        Store { folder: folder.to_path_buf() }
    }

    /// The folder.
    pub fn home(&self) -> &Path {
        &self.folder
    }

    /// A folder for what is being made.
    pub fn work(&self) -> PathBuf {
        self.folder.join("work")
    }

    /// Where a blob of this digest is or would be.
    ///
    /// # Errors
    /// A digest that is not SHA-256's.
    pub fn path(&self, digest: &str) -> Result<PathBuf, Fault> {
        let hex = digest
            .strip_prefix("sha256:")
            .filter(|hex| hex.len() == 64 && hex.chars().all(|char| matches!(char, '0'..='9' | 'a'..='f')));
        let hex = hex.ok_or_else(|| {
            Fault::new(Class::Refused, format!("`{digest}` is no digest that is known here"))
        })?;
        Ok(self.folder.join("blobs").join("sha256").join(hex))
    }

    /// The blob, where it is there in this size.
    pub fn get(&self, digest: &str, size: u64, media_type: &str) -> Result<Option<Blob>, Fault> {
        let path = self.path(digest)?;
        let there = fs::metadata(&path).is_ok_and(|file| file.len() == size);
        Ok(there.then(|| Blob::kept(digest.to_owned(), size, media_type, path)))
    }

    /// The bytes of a small blob, where they are there and right.
    pub fn read(&self, digest: &str) -> Result<Option<Vec<u8>>, Fault> {
        let bytes = fs::read(self.path(digest)?).ok();
        Ok(bytes.filter(|bytes| self::digest(bytes) == digest))
    }

    /// Keeps what was written to `temp` under its digest.
    pub fn keep(&self, temp: &Temp, digest: &str, size: u64, media_type: &str) -> Result<Blob, Fault> {
        let path = self.path(digest)?;
        let folder = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder)
            .and_then(|()| fs::rename(temp.path(), &path))
            .map_err(|error| at(&path, &error))?;
        Ok(Blob::kept(digest.to_owned(), size, media_type, path))
    }

    /// Keeps bytes.
    pub fn put(&self, bytes: &[u8], media_type: &str) -> Result<Blob, Fault> {
        let temp = Temp::new(&self.work(), "blob")?;
        fs::write(temp.path(), bytes).map_err(|error| temp.fault(&error))?;
        let size = u64::try_from(bytes.len()).unwrap_or_default();
        self.keep(&temp, &digest(bytes), size, media_type)
    }

    /// Keeps a layer that was made here.
    pub fn keep_blob(&self, blob: &Blob) -> Result<Blob, Fault> {
        match &blob.bytes {
            Bytes::Temporary(temp) => self.keep(temp, &blob.digest, blob.size, &blob.media_type),
            _ => Ok(blob.clone()),
        }
    }

    /// A small record beside the blobs.
    pub fn note(&self, name: &str) -> PathBuf {
        self.folder.join("notes").join(name)
    }

    /// Writes a record.
    pub fn write_note(&self, name: &str, text: &str) -> Result<(), Fault> {
        let (path, temp) = (self.note(name), Temp::new(&self.work(), "note")?);
        let folder = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(temp.path(), text))
            .and_then(|()| fs::rename(temp.path(), &path))
            .map_err(|error| at(&path, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_gives_back_what_is_whole_and_knows_what_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let blob = store.put(b"hello", "x").unwrap();
        assert_eq!(blob.part(1, 3).unwrap(), b"ell");
        assert_eq!(blob.part(4, 30).unwrap(), b"o");
        assert!(store.get(&blob.digest, 5, "x").unwrap().is_some());
        assert!(store.get(&blob.digest, 6, "x").unwrap().is_none());
        assert_eq!(store.read(&blob.digest).unwrap().as_deref(), Some(b"hello".as_slice()));
        fs::write(store.path(&blob.digest).unwrap(), "jello").unwrap();
        assert_eq!(store.read(&blob.digest).unwrap(), None);
        assert!(blob.spoiled().message.contains("damaged"));
        assert!(store.get(&blob.digest, 5, "x").unwrap().is_none());
        for odd in ["sha256:../../x", "sha512:00", "sha256:ABC", ""] {
            assert!(store.path(odd).is_err(), "{odd}");
        }
        assert_eq!(Blob::memory("x", b"abc".to_vec()).part(1, 9).unwrap(), b"bc");
        assert_eq!(fs::read_dir(store.work()).unwrap().count(), 0, "nothing half-made stays");
    }
}
