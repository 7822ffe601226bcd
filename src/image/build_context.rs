//! Reads the build context: the files of a folder that belong to an image, sorted, without anything that
//! differs between machines.

use super::{
    file_hashes::{FileHashes, KnownFile},
    hashing::{ContentHash, Hashing},
    ignore::Ignore,
    left_out::{HEAD_BYTES, LeaveOut, LeftOut, is_private_key},
};
use crate::model::{CallError, ErrorKind};
use sha2::{Digest as _, Sha256};
use std::{
    fs,
    io::{self, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// Maximum number of files and links in a context.
const MAX_FILES: usize = 200_000;
/// Maximum size of all files in a context, in bytes.
const MAX_BYTES: u64 = 4 << 30;
/// Maximum number of directory entries that are read, including ignored ones.
const MAX_NAMES: usize = 1_000_000;
/// Maximum depth of nested folders.
const MAX_DEPTH: usize = 64;
/// How the names begin by which a layer deletes files of lower layers.
/// Source: <https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts>
const DELETION: &str = ".wh.";

/// An entry of a build context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContextEntry {
    /// A regular file.
    File {
        /// Whether its owner may execute it. The other mode bits do not reach the image.
        executable: bool,
        /// Size in bytes.
        size: u64,
        /// SHA-256 of the content.
        hash: ContentHash,
    },
    /// A symbolic link, which stays a link in the image.
    Link {
        /// Target: relative to the folder of the link or, for an external builder, absolute in the image.
        target: String,
    },
}

/// The files of a folder that belong to an image. Empty folders are left out.
#[derive(Clone, Debug, Default)]
pub struct BuildContext {
    /// The folder that was read.
    pub folder: PathBuf,
    /// `/`-separated paths and their entries, sorted by the bytes of the paths.
    pub entries: Vec<(String, ContextEntry)>,
    /// What is left out although no `.dockerignore` says so.
    pub left_out: Vec<LeftOut>,
}

/// What is read of a folder.
#[derive(Clone, Debug, Default)]
pub struct ContextRules {
    /// The files and folders of the stack, which never belong to an image.
    pub own: Vec<PathBuf>,
    /// Whether links may be absolute: to a builder that runs the Dockerfile, they are paths of the image.
    pub absolute_links: bool,
    /// The user's cache folder, in which the hashes of large files are remembered.
    pub cache: Option<PathBuf>,
}

impl BuildContext {
    /// Reads a folder, without the files that its `Dockerfile.dockerignore` or `.dockerignore` excludes, and without
    /// what never belongs to an image.
    ///
    /// # Errors
    /// Fails if the folder does not exist or exceeds a limit, if a name is not UTF-8, if a link leads out of
    /// the folder, if an entry is not a file, folder or link, or if a file cannot be read.
    pub fn read(folder: &Path, rules: &ContextRules) -> Result<Self, CallError> {
        if !folder.is_dir() {
            let text = format!("{}: folder not found", folder.display());
            return Err(CallError::new(ErrorKind::Refused, text)
                .hint("set `app.path` to the folder of the application"));
        }
        let mut walk = Walk {
            ignore: ignore(folder)?,
            leave_out: LeaveOut::new(folder, &rules.own),
            absolute_links: rules.absolute_links,
            hashes: FileHashes::of(folder, rules.cache.as_deref()),
            entries: Vec::new(),
            left_out: Vec::new(),
            names: 0,
            bytes: 0,
        };
        walk.folder(folder, "", 0)?;
        walk.entries.sort_by(|(a, _), (b, _)| a.as_bytes().cmp(b.as_bytes()));
        walk.left_out.sort();
        walk.hashes.save();
        Ok(BuildContext { folder: folder.to_path_buf(), entries: walk.entries, left_out: walk.left_out })
    }

    /// Returns whether the context has a file at this path.
    pub fn has(&self, path: &str) -> bool {
        self.entries.iter().any(|(name, entry)| name == path && matches!(entry, ContextEntry::File { .. }))
    }

    /// Reads a file of the context again into `take`, and checks that its content is unchanged.
    ///
    /// # Errors
    /// Fails if the file cannot be read or was changed since, and if `take` fails.
    pub fn reread(
        &self,
        path: &str,
        hash: ContentHash,
        take: impl FnOnce(&mut dyn io::Read) -> Result<(), CallError>,
    ) -> Result<(), CallError> {
        let file = self.folder.join(path);
        let opened = fs::File::open(&file).map_err(|error| unreadable(&file, &error))?;
        let mut content = Hashed { from: opened, hash: Sha256::new() };
        let taken = take(&mut content);
        if ContentHash::of(content.hash) != hash {
            let text = format!("{}: changed while the image was built", file.display());
            return Err(CallError::new(ErrorKind::Other, text).hint("run again"));
        }
        taken
    }
}

/// A reader that hashes what it reads.
struct Hashed {
    from: fs::File,
    hash: Sha256,
}

impl io::Read for Hashed {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(to)?;
        self.hash.update(to.get(..read).unwrap_or_default());
        Ok(read)
    }
}

struct Walk {
    ignore: Ignore,
    leave_out: LeaveOut,
    absolute_links: bool,
    hashes: FileHashes,
    entries: Vec<(String, ContextEntry)>,
    left_out: Vec<LeftOut>,
    names: usize,
    bytes: u64,
}

impl Walk {
    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) -> Result<(), CallError> {
        if depth > MAX_DEPTH {
            let text = format!("{}: folders nested too deeply (max {MAX_DEPTH})", folder.display());
            return Err(too_much(text));
        }
        for item in fs::read_dir(folder).map_err(|error| unreadable(folder, &error))? {
            let item = item.map_err(|error| unreadable(folder, &error))?;
            self.names = self.names.saturating_add(1);
            if self.names > MAX_NAMES {
                return Err(too_much(format!(
                    "{}: too many files and folders (max {MAX_NAMES})",
                    folder.display()
                )));
            }
            let path = item.path();
            let kind = item.file_type().map_err(|error| unreadable(&path, &error))?;
            let name = item.file_name();
            let Some(name) = name.to_str().filter(|name| !name.contains(['\n', '\r', '\0'])) else {
                let ignored = self.ignore.ignores(&format!("{prefix}{}", name.to_string_lossy()));
                match ignored {
                    true => continue,
                    false => {
                        return Err(refused(&path, "name is not UTF-8 or has a line break", "rename it"));
                    }
                }
            };
            let at = format!("{prefix}{name}");
            let ignored = self.ignore.ignores(&at);
            if let Some(why) = self.leave_out.by_name(&at, kind.is_dir(), &self.ignore) {
                if !ignored {
                    self.left_out.push(LeftOut { path: at, why });
                }
                continue;
            }
            if kind.is_dir() {
                if !ignored || self.ignore.may_keep_below(&at) {
                    self.folder(&path, &format!("{at}/"), depth.saturating_add(1))?;
                }
            } else if !ignored {
                if name.starts_with(DELETION) {
                    let what = format!("names that begin with `{DELETION}` delete files of lower layers");
                    return Err(refused(&path, &what, "rename it, or add it to .dockerignore"));
                }
                let Some(entry) = self.entry(&path, &at, kind)? else {
                    self.left_out.push(LeftOut { path: at, why: "a private key" });
                    continue;
                };
                self.entries.push((at, entry));
                if self.entries.len() > MAX_FILES {
                    return Err(too_much(format!("{}: too many files (max {MAX_FILES})", folder.display())));
                }
            }
        }
        Ok(())
    }

    /// Returns an entry, or `None` for a private key that no line of `.dockerignore` names.
    fn entry(
        &mut self,
        path: &Path,
        at: &str,
        kind: fs::FileType,
    ) -> Result<Option<ContextEntry>, CallError> {
        if kind.is_symlink() {
            let target = fs::read_link(path).map_err(|error| unreadable(path, &error))?;
            let target = target
                .to_str()
                .ok_or_else(|| refused(path, "target of the link is not UTF-8", "rename the target"))?;
            if !(stays_inside(at, target) || self.absolute_links && target.starts_with('/')) {
                let what = format!("target of the link is outside the build context ({target})");
                return Err(refused(
                    path,
                    &what,
                    "copy the target into the folder, or add the link to .dockerignore",
                ));
            }
            return Ok(Some(ContextEntry::Link { target: target.to_owned() }));
        }
        if !kind.is_file() {
            return Err(refused(
                path,
                "not a regular file, folder or link",
                "remove it, or add it to .dockerignore",
            ));
        }
        let file = fs::File::open(path).map_err(|error| unreadable(path, &error))?;
        let about = file.metadata().map_err(|error| unreadable(path, &error))?;
        let executable = about.permissions().mode() & 0o100 != 0;
        if let Some(known) = self.hashes.get(at, &about) {
            let size = about.len();
            return self.counted(path, at, known, executable, size);
        }
        let mut hashing = Hashing(Sha256::new());
        let left = MAX_BYTES.saturating_sub(self.bytes);
        let mut whole = io::Read::take(file, left.saturating_add(1));
        let mut head = Vec::new();
        let mut read = || {
            let first = u64::try_from(HEAD_BYTES).unwrap_or(u64::MAX);
            let read = io::Read::take(&mut whole, first).read_to_end(&mut head)?;
            io::Write::write_all(&mut hashing, &head)?;
            let rest = io::copy(&mut whole, &mut hashing)?;
            io::Result::Ok(rest.saturating_add(u64::try_from(read).unwrap_or(u64::MAX)))
        };
        let size = read().map_err(|error| unreadable(path, &error))?;
        let known = KnownFile { hash: ContentHash::of(hashing.0), is_key: is_private_key(&head) };
        self.hashes.put(at, &about, known.clone());
        self.counted(path, at, known, executable, size)
    }

    /// Returns the entry of a file that was read, now or in an earlier run.
    fn counted(
        &mut self,
        path: &Path,
        at: &str,
        known: KnownFile,
        executable: bool,
        size: u64,
    ) -> Result<Option<ContextEntry>, CallError> {
        if known.is_key && !self.ignore.names(at) {
            return Ok(None);
        }
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > MAX_BYTES {
            return Err(too_much(format!(
                "{}: build context too large (max {} GiB)",
                path.display(),
                MAX_BYTES >> 30
            )));
        }
        Ok(Some(ContextEntry::File { executable, size, hash: known.hash }))
    }
}

fn ignore(folder: &Path) -> Result<Ignore, CallError> {
    for name in ["Dockerfile.dockerignore", ".dockerignore"] {
        let path = folder.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => return Ignore::parse(&path.display().to_string(), &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unreadable(&path, &error)),
        }
    }
    Ok(Ignore::default())
}

/// Returns whether the link at the path `at` points into the context.
fn stays_inside(at: &str, target: &str) -> bool {
    if target.starts_with('/') {
        return false;
    }
    let mut depth = at.matches('/').count();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." if depth == 0 => return false,
            ".." => depth = depth.saturating_sub(1),
            _ => depth = depth.saturating_add(1),
        }
    }
    true
}

fn unreadable(path: &Path, error: &io::Error) -> CallError {
    CallError::new(ErrorKind::Refused, format!("{}: {error}", path.display()))
        .hint("make it readable, or add it to .dockerignore")
}

fn refused(path: &Path, what: &str, hint: &str) -> CallError {
    CallError::new(ErrorKind::Refused, format!("{}: {what}", path.display())).hint(hint)
}

fn too_much(what: String) -> CallError {
    CallError::new(ErrorKind::Refused, what).hint("add what does not belong in the image to .dockerignore")
}

#[cfg(test)]
mod tests;
