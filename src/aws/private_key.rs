//! SSH keys that are generated on this machine.

use crate::{
    model::{CallError, ErrorKind},
    os::write_private,
};
use ssh_key::{Algorithm, LineEnding, PrivateKey, rand_core::OsRng};
use std::path::Path;

/// Returns the public key, in OpenSSH format, of the private key in `path`. If the file does not exist,
/// generates an Ed25519 key and writes it with mode 0600.
pub async fn private_key(path: &str, comment: &str) -> Result<String, CallError> {
    let (path, comment) = (path.to_owned(), comment.to_owned());
    let task = tokio::task::spawn_blocking(move || read_or_make(Path::new(&path), &comment));
    task.await.unwrap_or_else(|error| Err(CallError::bug(error.to_string())))
}

fn read_or_make(path: &Path, comment: &str) -> Result<String, CallError> {
    let failure = |error: &dyn std::fmt::Display| {
        let text = format!("private key {}: {error}", path.display());
        CallError::new(ErrorKind::Refused, text).hint("make the folder writable, or move the file away")
    };
    let key = match std::fs::read_to_string(path) {
        Ok(text) => PrivateKey::from_openssh(text).map_err(|error| failure(&error))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut key =
                PrivateKey::random(&mut OsRng, Algorithm::Ed25519).map_err(|error| failure(&error))?;
            key.set_comment(comment);
            let text = key.to_openssh(LineEnding::LF).map_err(|error| failure(&error))?;
            write_private(path, text.as_bytes()).map_err(|error| failure(&error))?;
            key
        }
        Err(error) => return Err(failure(&error)),
    };
    key.public_key().to_openssh().map_err(|error| failure(&error))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_generated_once_with_mode_0600_and_read_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/demo-general.pem");
        let first = read_or_make(&path, "demo-general").unwrap();
        assert!(first.starts_with("ssh-ed25519 AAAA"), "{first}");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read_or_make(&path, "demo-general").unwrap(), first);
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("-----BEGIN OPENSSH PRIVATE KEY-----"));
        std::fs::write(&path, "no key").unwrap();
        assert!(read_or_make(&path, "").is_err());
    }
}
