//! Reads the build context: the files of a folder that belong to an image, sorted, without anything that
//! differs between machines.

use super::ignore::Ignore;
use crate::model::{CallError, ErrorKind};
use sha2::{Digest as _, Sha256};
use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// Maximum number of files and links in a context.
const MAX_FILES: usize = 20_000;
/// Maximum size of all files in a context, in bytes.
const MAX_BYTES: u64 = 1 << 30;
/// Maximum number of directory entries that are read, including ignored ones.
const MAX_NAMES: usize = 500_000;
/// Maximum depth of nested folders.
const MAX_DEPTH: usize = 64;

/// An entry of a build context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContextEntry {
    /// A regular file.
    File {
        /// Whether its owner may execute it. The other mode bits do not reach the image.
        executable: bool,
        /// Size in bytes.
        size: u64,
        /// SHA-256 of the content, 64 hex digits.
        hash: String,
    },
    /// A symbolic link, which stays a link in the image.
    Link {
        /// Target, relative to the folder of the link.
        target: String,
    },
}

/// The files of a folder that belong to an image. Empty folders are left out.
#[derive(Clone, Debug)]
pub struct BuildContext {
    /// The folder that was read.
    pub folder: PathBuf,
    /// `/`-separated paths and their entries, sorted by the bytes of the paths.
    pub entries: Vec<(String, ContextEntry)>,
}

impl BuildContext {
    /// Reads a folder, without the files that its `Dockerfile.dockerignore` or `.dockerignore` excludes.
    ///
    /// # Errors
    /// Fails if the folder does not exist or exceeds a limit, if a name is not UTF-8, if a link leads out of
    /// the folder, if an entry is not a file, folder or link, or if a file cannot be read.
    pub fn read(folder: &Path) -> Result<Self, CallError> {
        if !folder.is_dir() {
            let text = format!("{}: folder not found", folder.display());
            return Err(CallError::new(ErrorKind::Refused, text)
                .hint("set `app.path` to the folder of the application"));
        }
        let mut walk = Walk { ignore: ignore(folder)?, entries: Vec::new(), names: 0, bytes: 0 };
        walk.folder(folder, "", 0)?;
        walk.entries.sort_by(|(a, _), (b, _)| a.as_bytes().cmp(b.as_bytes()));
        Ok(BuildContext { folder: folder.to_path_buf(), entries: walk.entries })
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
        hash: &str,
        take: impl FnOnce(&mut dyn io::Read) -> Result<(), CallError>,
    ) -> Result<(), CallError> {
        let file = self.folder.join(path);
        let opened = fs::File::open(&file).map_err(|error| unreadable(&file, &error))?;
        let mut content = Hashed { from: opened, hash: Sha256::new() };
        let taken = take(&mut content);
        if hex(&content.hash.finalize()) != hash {
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
    entries: Vec<(String, ContextEntry)>,
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
            if kind.is_dir() {
                if !ignored || self.ignore.may_keep_below(&at) {
                    self.folder(&path, &format!("{at}/"), depth.saturating_add(1))?;
                }
            } else if !ignored {
                let entry = self.entry(&path, &at, kind)?;
                self.entries.push((at, entry));
                if self.entries.len() > MAX_FILES {
                    return Err(too_much(format!("{}: too many files (max {MAX_FILES})", folder.display())));
                }
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, at: &str, kind: fs::FileType) -> Result<ContextEntry, CallError> {
        if kind.is_symlink() {
            let target = fs::read_link(path).map_err(|error| unreadable(path, &error))?;
            let target = target
                .to_str()
                .ok_or_else(|| refused(path, "target of the link is not UTF-8", "rename the target"))?;
            if !stays_inside(at, target) {
                let what = format!("target of the link is outside the build context ({target})");
                return Err(refused(
                    path,
                    &what,
                    "copy the target into the folder, or add the link to .dockerignore",
                ));
            }
            return Ok(ContextEntry::Link { target: target.to_owned() });
        }
        if !kind.is_file() {
            return Err(refused(
                path,
                "not a regular file, folder or link",
                "remove it, or add it to .dockerignore",
            ));
        }
        let file = fs::File::open(path).map_err(|error| unreadable(path, &error))?;
        let mode = file.metadata().map_err(|error| unreadable(path, &error))?.permissions().mode();
        let mut hashing = Hashing(Sha256::new());
        let left = MAX_BYTES.saturating_sub(self.bytes);
        let size = io::copy(&mut io::Read::take(file, left.saturating_add(1)), &mut hashing)
            .map_err(|error| unreadable(path, &error))?;
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > MAX_BYTES {
            return Err(too_much(format!(
                "{}: build context too large (max {} MiB)",
                path.display(),
                MAX_BYTES >> 20
            )));
        }
        Ok(ContextEntry::File { executable: mode & 0o100 != 0, size, hash: hex(&hashing.0.finalize()) })
    }
}

/// A writer that keeps only the hash of what is written.
pub(super) struct Hashing(pub(super) Sha256);

impl io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns bytes as lowercase hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn put(folder: &Path, path: &str, text: &str) {
        let file = folder.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    fn names(folder: &Path) -> Vec<String> {
        BuildContext::read(folder).unwrap().entries.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn files_are_sorted_by_bytes_and_keep_the_execute_bit() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["b/c", "b.txt", "a", "b/a/x", "B", "ä"] {
            put(folder.path(), path, path);
        }
        fs::create_dir(folder.path().join("empty")).unwrap();
        fs::set_permissions(folder.path().join("a"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::set_permissions(folder.path().join("B"), fs::Permissions::from_mode(0o677)).unwrap();
        symlink("../b.txt", folder.path().join("b/link")).unwrap();
        assert_eq!(names(folder.path()), ["B", "a", "b.txt", "b/a/x", "b/c", "b/link", "ä"]);
        let context = BuildContext::read(folder.path()).unwrap();
        let executable: Vec<bool> = context
            .entries
            .iter()
            .filter_map(|(_, entry)| match entry {
                ContextEntry::File { executable, .. } => Some(*executable),
                ContextEntry::Link { .. } => None,
            })
            .collect();
        assert_eq!(executable, [false, true, false, false, false, false]);
        assert_eq!(context.entries[5].1, ContextEntry::Link { target: "../b.txt".to_owned() });
        assert!(context.has("a") && !context.has("b") && !context.has("b/link"));
    }

    #[test]
    fn ignored_entries_are_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "demo/a.py", "");
        put(folder.path(), "demo/__pycache__/a.pyc", "");
        put(folder.path(), "secret/.env", "");
        symlink("/etc/passwd", folder.path().join("out")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, folder.path().join("pipe"), rustix::fs::Mode::RWXU).unwrap();
        put(folder.path(), ".dockerignore", "*\n!demo\n**/__pycache__\n");
        assert_eq!(names(folder.path()), ["demo/a.py"]);
        put(folder.path(), "Dockerfile.dockerignore", "demo\nout\npipe\nDockerfile.dockerignore\n");
        assert_eq!(names(folder.path()), [".dockerignore", "secret/.env"]);
    }

    #[test]
    fn unsupported_entries_are_reported_with_their_path() {
        let cases: [(&str, &dyn Fn(&Path)); 4] = [
            ("l: target of the link is outside the build context (/etc/passwd)", &|at| {
                symlink("/etc/passwd", at.join("l")).unwrap();
            }),
            ("l: target of the link is outside the build context (../l)", &|at| {
                symlink("../l", at.join("l")).unwrap();
            }),
            ("p: not a regular file, folder or link", &|at| {
                rustix::fs::mkfifoat(rustix::fs::CWD, at.join("p"), rustix::fs::Mode::RWXU).unwrap();
            }),
            ("name is not UTF-8", &|at| {
                use std::os::unix::ffi::OsStrExt as _;
                fs::write(at.join(std::ffi::OsStr::from_bytes(b"\xff")), "").unwrap();
            }),
        ];
        for (text, make) in cases {
            let folder = tempfile::tempdir().unwrap();
            make(folder.path());
            let error = BuildContext::read(folder.path()).unwrap_err();
            assert!(error.message.contains(text) && error.class == ErrorKind::Refused, "{error}");
        }
        let folder = tempfile::tempdir().unwrap();
        let absent = folder.path().join("absent");
        assert!(BuildContext::read(&absent).unwrap_err().message.contains("absent: folder not found"));
    }

    #[test]
    fn a_file_that_changes_during_the_build_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "a", "one");
        let context = BuildContext::read(folder.path()).unwrap();
        let ContextEntry::File { hash, size, .. } = &context.entries[0].1 else { panic!("a file") };
        let read = || {
            let mut bytes = Vec::new();
            context
                .reread("a", hash, |from| {
                    from.read_to_end(&mut bytes).map(drop).map_err(|_| CallError::bug(""))
                })
                .map(|()| bytes)
        };
        assert_eq!((read().unwrap(), *size), (b"one".to_vec(), 3));
        put(folder.path(), "a", "two");
        assert!(read().unwrap_err().message.contains("changed while"));
    }
}
