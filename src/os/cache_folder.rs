//! The folder for what is downloaded and built once. Programs in it are started, so it must be the caller's alone.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Why there is no cache folder.
#[derive(Debug, Error)]
#[error(
    "no home folder for the cache: neither HOME nor XDG_CACHE_HOME is set, and the user database has none"
)]
pub struct NoCacheFolder;

/// Returns the folder for cached files: below `XDG_CACHE_HOME`, else below the home folder of `HOME` or of the user
/// database. Never a folder for temporary files, where another user can be first.
///
/// # Errors
/// Fails if there is no home folder.
pub fn cache_folder() -> Result<PathBuf, NoCacheFolder> {
    chosen(std::env::var_os("XDG_CACHE_HOME"), std::env::home_dir()).ok_or(NoCacheFolder)
}

fn chosen(cache: Option<OsString>, home: Option<PathBuf>) -> Option<PathBuf> {
    let cache = cache.map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || home.filter(|path| path.is_absolute()).map(|home| home.join(".cache"));
    Some(cache.or_else(home)?.join("provisioner"))
}

/// Creates a folder for this user alone, and checks one that exists: it must belong to the caller, and other users must
/// not be able to write to it.
///
/// # Errors
/// Says what is wrong with an existing folder, and how to correct it.
pub fn own_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let found = fs::metadata(path)?;
    let user = rustix::process::geteuid().as_raw();
    if found.uid() != user {
        let text = format!(
            "the folder belongs to user {}, and this program runs as user {user}; programs in it would be started: set \
             XDG_CACHE_HOME to a folder of your own",
            found.uid()
        );
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    if found.mode() & 0o022 != 0 {
        let text = format!(
            "other users can write to the folder, and programs in it would be started: delete it, or run `chmod go-w {}` \
             if you trust them",
            path.display()
        );
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_cache_is_below_a_home_folder_or_nowhere() {
        let home = || Some(PathBuf::from("/home/ann"));
        let expected = |text: &str| Some(PathBuf::from(text));
        assert_eq!(chosen(None, home()), expected("/home/ann/.cache/provisioner"));
        assert_eq!(chosen(Some("/var/cache/ann".into()), home()), expected("/var/cache/ann/provisioner"));
        // XDG's rule: a relative path is ignored.
        assert_eq!(chosen(Some("cache".into()), home()), expected("/home/ann/.cache/provisioner"));
        assert_eq!(chosen(None, Some(PathBuf::new())), None);
        assert_eq!(chosen(None, None), None);
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let cache = home.path().join("a/b");
        own_folder(&cache).unwrap();
        assert_eq!(fs::metadata(&cache).unwrap().mode() & 0o777, 0o700);
        for (mode, taken) in [(0o755, true), (0o775, false), (0o757, false), (0o1777, false)] {
            fs::set_permissions(&cache, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(own_folder(&cache).is_ok(), taken, "{mode:o}");
        }
    }

    #[test]
    fn a_folder_of_another_user_is_refused() {
        let home = tempfile::tempdir().unwrap();
        // Only root can give a folder away.
        if std::os::unix::fs::chown(home.path(), Some(65534), None).is_ok() {
            assert!(own_folder(home.path()).unwrap_err().to_string().contains("belongs to user 65534"));
        }
    }
}
