//! The build context: the files of a folder that belong to an image, in one order, with nothing that differs between
//! machines.

use super::ignore::Ignore;
use crate::model::{Class, Fault};
use sha2::{Digest as _, Sha256};
use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// How many files and links a context may have.
const MOST_FILES: usize = 20_000;
/// How many bytes.
const MOST_BYTES: u64 = 1 << 30;
/// How many names are looked at, those that are ignored among them.
const MOST_NAMES: usize = 500_000;
/// How many folders may be in each other.
const DEEPEST: usize = 64;

/// What a name in a context stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A file.
    File {
        /// Whether its owner may run it; of its mode nothing else counts.
        executable: bool,
        /// Its length in bytes.
        size: u64,
        /// SHA-256 of its bytes, 64 hex digits.
        hash: String,
    },
    /// A symbolic link, kept as one.
    Link {
        /// Where it points, relative to its own folder.
        target: String,
    },
}

/// The files of a folder that belong to an image. Folders are there by the files in them; empty ones are not.
#[derive(Clone, Debug)]
pub struct Context {
    /// The folder.
    pub folder: PathBuf,
    /// Path, with `/` between its parts, and what it is; sorted by the paths' bytes.
    pub entries: Vec<(String, Entry)>,
}

impl Context {
    /// Reads the folder, leaving out what its `Dockerfile.dockerignore` or `.dockerignore` names.
    ///
    /// # Errors
    /// No such folder; too much in it; a name that is not UTF-8; a link that leads out of it; what is neither file,
    /// folder nor link; a file that cannot be read.
    pub fn read(folder: &Path) -> Result<Self, Fault> {
        if !folder.is_dir() {
            let text = format!("there is no folder {}", folder.display());
            return Err(Fault::new(Class::Refused, text).hint("`app.path` names the application's folder"));
        }
        let mut walk = Walk { ignore: ignore(folder)?, entries: Vec::new(), names: 0, bytes: 0 };
        walk.folder(folder, "", 0)?;
        walk.entries.sort_by(|(a, _), (b, _)| a.as_bytes().cmp(b.as_bytes()));
        Ok(Context { folder: folder.to_path_buf(), entries: walk.entries })
    }

    /// Whether the context has a file of this name.
    pub fn has(&self, path: &str) -> bool {
        self.entries.iter().any(|(name, entry)| name == path && matches!(entry, Entry::File { .. }))
    }

    /// The bytes of one of its files, if they are what they were.
    ///
    /// # Errors
    /// The file cannot be read, or is another one by now.
    pub fn bytes(&self, path: &str, hash: &str) -> Result<Vec<u8>, Fault> {
        let file = self.folder.join(path);
        let bytes = fs::read(&file).map_err(|error| unreadable(&file, &error))?;
        if hex(&Sha256::digest(&bytes)) != hash {
            let text = format!("{} changed while the image was built", file.display());
            return Err(Fault::new(Class::Other, text).hint("run again"));
        }
        Ok(bytes)
    }
}

struct Walk {
    ignore: Ignore,
    entries: Vec<(String, Entry)>,
    names: usize,
    bytes: u64,
}

impl Walk {
    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) -> Result<(), Fault> {
        if depth > DEEPEST {
            let text = format!("{}: more than {DEEPEST} folders in each other", folder.display());
            return Err(too_much(text));
        }
        for item in fs::read_dir(folder).map_err(|error| unreadable(folder, &error))? {
            let item = item.map_err(|error| unreadable(folder, &error))?;
            self.names = self.names.saturating_add(1);
            if self.names > MOST_NAMES {
                return Err(too_much(format!("{}: more than {MOST_NAMES} names", folder.display())));
            }
            let path = item.path();
            let kind = item.file_type().map_err(|error| unreadable(&path, &error))?;
            let name = item.file_name();
            let Some(name) = name.to_str().filter(|name| !name.contains(['\n', '\r', '\0'])) else {
                let ignored = self.ignore.ignores(&format!("{prefix}{}", name.to_string_lossy()));
                match ignored {
                    true => continue,
                    false => return Err(refused(&path, "has a name that is not plain UTF-8", "rename it")),
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
                if self.entries.len() > MOST_FILES {
                    return Err(too_much(format!("{}: more than {MOST_FILES} files", folder.display())));
                }
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, at: &str, kind: fs::FileType) -> Result<Entry, Fault> {
        if kind.is_symlink() {
            let target = fs::read_link(path).map_err(|error| unreadable(path, &error))?;
            let target = target.to_str().ok_or_else(|| {
                refused(path, "is a link to a name that is not UTF-8", "rename what it points to")
            })?;
            if !stays_inside(at, target) {
                let what = format!("is a link to {target}, which is not in the context");
                return Err(refused(path, &what, "copy what it points to, or name it in .dockerignore"));
            }
            return Ok(Entry::Link { target: target.to_owned() });
        }
        if !kind.is_file() {
            return Err(refused(
                path,
                "is neither file, folder nor link",
                "remove it, or name it in .dockerignore",
            ));
        }
        let file = fs::File::open(path).map_err(|error| unreadable(path, &error))?;
        let mode = file.metadata().map_err(|error| unreadable(path, &error))?.permissions().mode();
        let mut hashing = Hashing(Sha256::new());
        let left = MOST_BYTES.saturating_sub(self.bytes);
        let size = io::copy(&mut io::Read::take(file, left.saturating_add(1)), &mut hashing)
            .map_err(|error| unreadable(path, &error))?;
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > MOST_BYTES {
            return Err(too_much(format!("{}: more than {} MiB of files", path.display(), MOST_BYTES >> 20)));
        }
        Ok(Entry::File { executable: mode & 0o100 != 0, size, hash: hex(&hashing.0.finalize()) })
    }
}

struct Hashing(Sha256);

impl io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes as hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn ignore(folder: &Path) -> Result<Ignore, Fault> {
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

/// Whether the link `at` still points into the context.
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

fn unreadable(path: &Path, error: &io::Error) -> Fault {
    Fault::new(Class::Refused, format!("{}: {error}", path.display()))
        .hint("make it readable, or name it in .dockerignore")
}

fn refused(path: &Path, what: &str, hint: &str) -> Fault {
    Fault::new(Class::Refused, format!("{} {what}", path.display())).hint(hint)
}

fn too_much(what: String) -> Fault {
    Fault::new(Class::Refused, what)
        .hint("an image is made of less: name in .dockerignore what does not belong to it")
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
        Context::read(folder).unwrap().entries.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn files_come_in_the_order_of_their_bytes_with_the_owners_bit() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["b/c", "b.txt", "a", "b/a/x", "B", "ä"] {
            put(folder.path(), path, path);
        }
        fs::create_dir(folder.path().join("empty")).unwrap();
        fs::set_permissions(folder.path().join("a"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::set_permissions(folder.path().join("B"), fs::Permissions::from_mode(0o677)).unwrap();
        symlink("../b.txt", folder.path().join("b/link")).unwrap();
        assert_eq!(names(folder.path()), ["B", "a", "b.txt", "b/a/x", "b/c", "b/link", "ä"]);
        let context = Context::read(folder.path()).unwrap();
        let executable: Vec<bool> = context
            .entries
            .iter()
            .filter_map(|(_, entry)| match entry {
                Entry::File { executable, .. } => Some(*executable),
                Entry::Link { .. } => None,
            })
            .collect();
        assert_eq!(executable, [false, true, false, false, false, false]);
        assert_eq!(context.entries[5].1, Entry::Link { target: "../b.txt".to_owned() });
        assert!(context.has("a") && !context.has("b") && !context.has("b/link"));
    }

    #[test]
    fn what_is_ignored_is_not_even_opened() {
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
    fn what_cannot_be_in_an_image_is_named() {
        let cases: [(&str, &dyn Fn(&Path)); 4] = [
            ("is a link to /etc/passwd, which is not", &|at| symlink("/etc/passwd", at.join("l")).unwrap()),
            ("is a link to ../l, which is not", &|at| symlink("../l", at.join("l")).unwrap()),
            ("is neither file, folder nor link", &|at| {
                rustix::fs::mkfifoat(rustix::fs::CWD, at.join("p"), rustix::fs::Mode::RWXU).unwrap();
            }),
            ("plain UTF-8", &|at| {
                use std::os::unix::ffi::OsStrExt as _;
                fs::write(at.join(std::ffi::OsStr::from_bytes(b"\xff")), "").unwrap();
            }),
        ];
        for (text, make) in cases {
            let folder = tempfile::tempdir().unwrap();
            make(folder.path());
            let fault = Context::read(folder.path()).unwrap_err();
            assert!(fault.message.contains(text) && fault.class == Class::Refused, "{fault}");
        }
        assert!(Context::read(Path::new("/nowhere")).unwrap_err().message.contains("no folder /nowhere"));
    }

    #[test]
    fn a_file_that_changes_meanwhile_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "a", "one");
        let context = Context::read(folder.path()).unwrap();
        let Entry::File { hash, size, .. } = &context.entries[0].1 else { panic!("a file") };
        assert_eq!((context.bytes("a", hash).unwrap(), *size), (b"one".to_vec(), 3));
        put(folder.path(), "a", "two");
        assert!(context.bytes("a", hash).unwrap_err().message.contains("changed while"));
    }
}
