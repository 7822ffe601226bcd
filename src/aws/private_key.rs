//! SSH keys that are made here.

use crate::model::{Class, Fault};
use ssh_key::{Algorithm, LineEnding, PrivateKey, rand_core::OsRng};
use std::{
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// The public half, in OpenSSH's form, of the private key in `path`. A file that is not there is made (Ed25519, readable
/// by its owner alone).
pub async fn private_key(path: &str, comment: &str) -> Result<String, Fault> {
    let (path, comment) = (path.to_owned(), comment.to_owned());
    let task = tokio::task::spawn_blocking(move || read_or_make(Path::new(&path), &comment));
    task.await.unwrap_or_else(|error| Err(Fault::bug(error.to_string())))
}

fn read_or_make(path: &Path, comment: &str) -> Result<String, Fault> {
    let fault = |error: &dyn std::fmt::Display| {
        let text = format!("the private key in {}: {error}", path.display());
        Fault::new(Class::Refused, text).hint("make the folder writable, or move the file away")
    };
    let key = match std::fs::read_to_string(path) {
        Ok(text) => PrivateKey::from_openssh(text).map_err(|error| fault(&error))?,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let mut key =
                PrivateKey::random(&mut OsRng, Algorithm::Ed25519).map_err(|error| fault(&error))?;
            key.set_comment(comment);
            let text = key.to_openssh(LineEnding::LF).map_err(|error| fault(&error))?;
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder).map_err(|error| fault(&error))?;
            }
            // A half-written file under the final name would be taken for the key.
            let draft = path.with_extension("pem.new");
            let _ = std::fs::remove_file(&draft);
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&draft)
                .map_err(|error| fault(&error))?;
            file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| fault(&error))?;
            std::fs::rename(&draft, path).map_err(|error| fault(&error))?;
            key
        }
        Err(error) => return Err(fault(&error)),
    };
    key.public_key().to_openssh().map_err(|error| fault(&error))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once_for_its_owner_alone_and_read_ever_after() {
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
