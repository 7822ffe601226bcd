//! Files that concern only their owner: states, plans, keys, records. They are created with mode 0600, never
//! opened, and a link of their name is refused: in a folder that another user prepared, it would lead to a file of the
//! caller's.

use rustix::fs::{Mode, OFlags};
use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

/// Writes a file that only its owner can read, in one step: a reader sees the old content or the new, never half of one.
/// Creates its folder.
///
/// # Errors
/// Fails if something other than a regular file is in its place, a symbolic link included, and for the reasons of the
/// file system.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    check_place(path)?;
    let folder = folder_of(path);
    fs::create_dir_all(folder)?;
    // Created with mode 0600 under a random name; an existing file, or a link, is never opened.
    let mut draft = tempfile::NamedTempFile::new_in(folder)?;
    draft.write_all(bytes)?;
    draft.as_file().sync_all()?;
    draft.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Creates an empty file that only its owner can read, in place of an older one. Creates its folder.
///
/// # Errors
/// As [`write_private`].
pub fn new_private_file(path: &Path) -> io::Result<File> {
    check_place(path)?;
    fs::create_dir_all(folder_of(path))?;
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    open(path, OFlags::CREATE | OFlags::EXCL)
}

/// Opens a file for a lock, and creates it if it does not exist. Its content is not used.
///
/// # Errors
/// Fails if a symbolic link is in its place, and for the reasons of the file system.
pub fn lock_file(path: &Path) -> io::Result<File> {
    open(path, OFlags::CREATE)
}

fn open(path: &Path, how: OFlags) -> io::Result<File> {
    let flags = how | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).map_err(|error| match error {
        rustix::io::Errno::LOOP => not_regular(),
        error => error.into(),
    })?;
    Ok(file.into())
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Refuses to replace what is no regular file: as root, a rename would replace `/dev/null` too.
fn check_place(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_file() => Err(not_regular()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn not_regular() -> io::Error {
    io::Error::other("not a regular file; delete it, or choose another path")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_private_file_replaces_what_was_there_with_mode_0600() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/plan.json");
        write_private(&path, b"one").unwrap();
        assert_eq!((fs::read(&path).unwrap().as_slice(), mode(&path)), (&b"one"[..], 0o600));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        // A program that opened the file before does not see what is written later.
        let before = fs::hard_link(&path, folder.path().join("other"));
        before.unwrap();
        write_private(&path, b"two").unwrap();
        assert_eq!((fs::read(&path).unwrap().as_slice(), mode(&path)), (&b"two"[..], 0o600));
        assert_eq!(fs::read(folder.path().join("other")).unwrap(), b"one");
        drop(new_private_file(&path).unwrap());
        assert_eq!((fs::read(&path).unwrap().len(), mode(&path)), (0, 0o600));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn what_a_link_leads_to_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (other, link) = (folder.path().join("precious"), folder.path().join("log"));
        fs::write(&other, "precious").unwrap();
        symlink(&other, &link).unwrap();
        assert!(write_private(&link, b"x").is_err());
        assert!(new_private_file(&link).is_err());
        assert!(lock_file(&link).is_err());
        assert_eq!(fs::read(&other).unwrap(), b"precious");
        symlink(folder.path().join("absent"), folder.path().join("dangling")).unwrap();
        assert!(write_private(&folder.path().join("dangling"), b"x").is_err());
        assert!(lock_file(&folder.path().join("dangling")).is_err());
        assert!(!folder.path().join("absent").exists());
    }

    #[test]
    fn a_device_is_not_replaced() {
        assert!(write_private(Path::new("/dev/null"), b"x").is_err());
        assert!(new_private_file(Path::new("/dev/null")).is_err());
    }
}
