//! Blobs: bytes with a digest, in memory, in a temporary file or in the cache folder.

use super::hashing::hex;
use crate::{
    model::{CallError, ErrorKind},
    os::own_folder,
};
use sha2::{Digest as _, Sha256};
use std::{
    fs,
    io::{self, Read as _, Seek as _},
    path::{Path, PathBuf},
    sync::Arc,
};

/// A temporary file or folder, deleted when this is dropped.
#[derive(Debug)]
pub struct Temp(PathBuf);

impl Temp {
    /// Chooses a unique path in `folder`, which is created if it does not exist.
    pub fn new(folder: &Path, name: &str) -> Result<Self, CallError> {
        let temp = Temp(folder.join(format!("{name}-{}", uuid::Uuid::new_v4())));
        fs::create_dir_all(folder).map_err(|error| temp.io_error(&error))?;
        Ok(temp)
    }

    /// Returns the path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Returns the error for a failed operation on this path.
    pub fn io_error(&self, error: &io::Error) -> CallError {
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

/// Returns the error for a failed operation on a file that this program keeps.
pub(super) fn at(path: &Path, error: &io::Error) -> CallError {
    CallError::new(ErrorKind::Other, format!("{}: {error}", path.display()))
        .hint("free disk space or make the folder writable, then run again")
}

/// Returns the error for content that does not match its digest.
pub(super) fn digest_mismatch(wanted: &str) -> CallError {
    CallError::new(ErrorKind::Other, format!("{wanted}: the fetched content does not match this digest"))
        .hint("run again; if the error persists, do not trust the registry or the proxy in front of it")
}

/// Runs work that blocks on the disk, off the async threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CallError> + Send + 'static,
) -> Result<T, CallError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(CallError::bug(error.to_string())))
}

#[derive(Clone, Debug)]
enum Bytes {
    Memory(Arc<Vec<u8>>),
    Temporary(Arc<Temp>),
    Kept(PathBuf),
}

/// A layer or a configuration of an image.
#[derive(Clone, Debug)]
pub struct Blob {
    /// `sha256:` and 64 hex digits.
    pub digest: String,
    /// Size in bytes.
    pub size: u64,
    /// Media type.
    pub media_type: String,
    bytes: Bytes,
}

impl Blob {
    /// Returns a blob in memory.
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

    /// Returns a blob in a file that is kept.
    pub(super) fn kept(digest: String, size: u64, media_type: &str, path: PathBuf) -> Self {
        Blob { digest, size, media_type: media_type.to_owned(), bytes: Bytes::Kept(path) }
    }

    /// Reads `length` bytes from offset `from`, or fewer at the end of the blob.
    pub fn part(&self, from: u64, length: u64) -> Result<Vec<u8>, CallError> {
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

    /// Deletes a cached file whose content does not match its digest, and returns the error to report.
    pub fn damaged(&self) -> CallError {
        if let Bytes::Kept(path) = &self.bytes {
            let _ = fs::remove_file(path);
        }
        let text = format!("{}: damaged in the cache folder; deleted", self.digest);
        CallError::new(ErrorKind::Other, text).hint("run again to fetch it")
    }
}

/// Returns the digest of bytes as registries write it: `sha256:` and 64 hex digits.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

/// A folder of blobs by their digests: the cache, or an OCI layout.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// Returns the store in `folder`, which need not exist yet.
    pub fn new(folder: &Path) -> Self {
        Store { folder: folder.to_path_buf() }
    }

    /// Returns the store in the cache, a folder that must be the caller's alone: what lies in it gets into images.
    ///
    /// # Errors
    /// Fails if the folder belongs to another user, or if others can write to it.
    pub fn in_cache(cache: &Path) -> Result<Self, CallError> {
        let folder = cache.join("image");
        own_folder(&folder).map_err(|error| at(&folder, &error))?;
        Ok(Store { folder })
    }

    /// Returns the folder of the store.
    pub fn home(&self) -> &Path {
        &self.folder
    }

    /// Returns the folder for temporary files.
    pub fn work(&self) -> PathBuf {
        self.folder.join("work")
    }

    /// Returns the path of the blob with this digest, whether it exists or not.
    ///
    /// # Errors
    /// Fails if the digest is not `sha256:` and 64 lowercase hex digits.
    pub fn path(&self, digest: &str) -> Result<PathBuf, CallError> {
        let hex = digest
            .strip_prefix("sha256:")
            .filter(|hex| hex.len() == 64 && hex.chars().all(|char| matches!(char, '0'..='9' | 'a'..='f')));
        let hex = hex.ok_or_else(|| {
            CallError::new(
                ErrorKind::Refused,
                format!("invalid digest {digest:?}: expected sha256: and 64 hex digits"),
            )
        })?;
        Ok(self.folder.join("blobs").join("sha256").join(hex))
    }

    /// Returns the blob if it exists and has this size. Its content is not read.
    pub fn get(&self, digest: &str, size: u64, media_type: &str) -> Result<Option<Blob>, CallError> {
        let path = self.path(digest)?;
        let there = fs::metadata(&path).is_ok_and(|file| file.len() == size);
        Ok(there.then(|| Blob::kept(digest.to_owned(), size, media_type, path)))
    }

    /// Returns the content of a small blob if it exists and matches its digest.
    pub fn read(&self, digest: &str) -> Result<Option<Vec<u8>>, CallError> {
        let bytes = fs::read(self.path(digest)?).ok();
        Ok(bytes.filter(|bytes| self::digest(bytes) == digest))
    }

    /// Moves the file `temp` into the store under its digest.
    pub fn keep(&self, temp: &Temp, digest: &str, size: u64, media_type: &str) -> Result<Blob, CallError> {
        let path = self.path(digest)?;
        let folder = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder)
            .and_then(|()| fs::rename(temp.path(), &path))
            .map_err(|error| at(&path, &error))?;
        Ok(Blob::kept(digest.to_owned(), size, media_type, path))
    }

    /// Writes bytes into the store under their digest.
    pub fn put(&self, bytes: &[u8], media_type: &str) -> Result<Blob, CallError> {
        let temp = Temp::new(&self.work(), "blob")?;
        fs::write(temp.path(), bytes).map_err(|error| temp.io_error(&error))?;
        let size = u64::try_from(bytes.len()).unwrap_or_default();
        self.keep(&temp, &digest(bytes), size, media_type)
    }

    /// Moves a blob from its temporary file into the store. Other blobs are returned as they are.
    pub fn keep_blob(&self, blob: &Blob) -> Result<Blob, CallError> {
        match &blob.bytes {
            Bytes::Temporary(temp) => self.keep(temp, &blob.digest, blob.size, &blob.media_type),
            _ => Ok(blob.clone()),
        }
    }

    /// Returns the path of a note: a small named file next to the blobs.
    pub fn note(&self, name: &str) -> PathBuf {
        self.folder.join("notes").join(name)
    }

    /// Writes a note in one step.
    pub fn write_note(&self, name: &str, text: &str) -> Result<(), CallError> {
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
    fn a_store_returns_valid_blobs_and_detects_damaged_ones() {
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
        assert!(blob.damaged().message.contains("damaged"));
        assert!(store.get(&blob.digest, 5, "x").unwrap().is_none());
        for odd in ["sha256:../../x", "sha512:00", "sha256:ABC", ""] {
            assert!(store.path(odd).is_err(), "{odd}");
        }
        assert_eq!(Blob::memory("x", b"abc".to_vec()).part(1, 9).unwrap(), b"bc");
        assert_eq!(fs::read_dir(store.work()).unwrap().count(), 0, "no temporary file is left");
    }
}
