//! Remembers the hashes of files between runs, so that a large folder that did not change is not read again.

use super::{Store, hashing::ContentHash};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::Metadata,
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::{Duration, SystemTime},
};

/// Smaller files are read each time: that takes as long as remembering them.
const MIN_BYTES: u64 = 16 << 10;
/// A file that changed less than this before it was hashed may have changed again within one step of the clock.
const SETTLED: Duration = Duration::from_secs(3);

/// What identifies the content of a file: a change of it changes one of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct FileState {
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    inode: u64,
    device: u64,
}

impl FileState {
    fn of(file: &Metadata) -> Self {
        FileState {
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
            inode: file.ino(),
            device: file.dev(),
        }
    }
}

/// What was found out about a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownFile {
    /// SHA-256 of the content.
    pub hash: ContentHash,
    /// Whether it is a private key.
    pub is_key: bool,
}

/// The remembered files of a folder, by their paths in it.
pub struct FileHashes {
    store: Option<(Store, String)>,
    old: BTreeMap<String, (FileState, KnownFile)>,
    new: BTreeMap<String, (FileState, KnownFile)>,
}

impl FileHashes {
    /// Returns what is remembered of a folder; nothing without a cache.
    pub fn of(folder: &Path, cache: Option<&Path>) -> Self {
        let store = cache.and_then(|cache| Store::in_cache(cache).ok());
        let place = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let digest = super::blob::digest(place.to_string_lossy().as_bytes());
        let name = format!("hashes-{}", digest.trim_start_matches("sha256:"));
        let store = store.map(|store| (store, name));
        let text = store.as_ref().and_then(|(store, name)| std::fs::read(store.note(name)).ok());
        let old = text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        FileHashes { store, old, new: BTreeMap::new() }
    }

    /// Returns what is known of a file that is as it was when it was hashed.
    pub fn get(&mut self, path: &str, file: &Metadata) -> Option<KnownFile> {
        let (state, known) = self.old.get(path)?;
        if *state != FileState::of(file) {
            return None;
        }
        self.new.insert(path.to_owned(), (state.clone(), known.clone()));
        Some(known.clone())
    }

    /// Remembers a file. `file` is its state before it was read.
    pub fn put(&mut self, path: &str, file: &Metadata, known: KnownFile) {
        let changed = u64::try_from(file.ctime()).unwrap_or_default();
        let changed = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(changed));
        let age = changed.and_then(|changed| SystemTime::now().duration_since(changed).ok());
        if self.store.is_some() && file.size() >= MIN_BYTES && age.is_some_and(|age| age >= SETTLED) {
            self.new.insert(path.to_owned(), (FileState::of(file), known));
        }
    }

    /// Writes what is remembered, if it differs. A cache that cannot be written costs time, nothing else.
    pub fn save(self) {
        let Some((store, name)) = self.store else { return };
        if self.new != self.old
            && let Ok(text) = serde_json::to_string(&self.new)
        {
            let _ = store.write_note(&name, &text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest as _, Sha256};
    use std::fs;

    #[test]
    fn only_a_file_that_is_as_it_was_is_known() {
        let home = tempfile::tempdir().unwrap();
        let (folder, cache) = (home.path().join("app"), home.path().join("cache"));
        fs::create_dir(&folder).unwrap();
        let path = folder.join("large");
        fs::write(&path, vec![1; 20_000]).unwrap();
        let known =
            |text: &str| KnownFile { hash: ContentHash::of(Sha256::new_with_prefix(text)), is_key: false };
        let file = fs::metadata(&path).unwrap();
        let mut hashes = FileHashes::of(&folder, Some(&cache));
        hashes.put("large", &file, known("young"));
        hashes.save();
        assert_eq!(FileHashes::of(&folder, Some(&cache)).get("large", &file), None, "it changed just now");
        // As if it were older than it is.
        let mut hashes = FileHashes::of(&folder, Some(&cache));
        hashes.new.insert("large".to_owned(), (FileState::of(&file), known("settled")));
        hashes.save();
        assert_eq!(FileHashes::of(&folder, Some(&cache)).get("large", &file), Some(known("settled")));
        assert_eq!(FileHashes::of(&folder, Some(&cache)).get("other", &file), None);
        assert_eq!(FileHashes::of(home.path(), Some(&cache)).get("large", &file), None, "another folder");
        assert_eq!(FileHashes::of(&folder, None).get("large", &file), None);
        // The same size and the same time of the last change of the content: the inode tells.
        fs::write(&path, vec![2; 20_000]).unwrap();
        let handle = fs::File::options().write(true).open(&path).unwrap();
        handle.set_modified(file.modified().unwrap()).unwrap();
        assert_eq!(FileHashes::of(&folder, Some(&cache)).get("large", &fs::metadata(&path).unwrap()), None);
    }
}
