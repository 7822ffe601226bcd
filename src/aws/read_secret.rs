//! Reads secrets from their source each time they are needed; they are never stored.

use crate::model::{CallError, ErrorKind, SecretSource};
use std::path::Path;

/// Reads the secret's value. A file's path is relative to `folder`, the stack file's folder.
pub fn read_secret(secret: &SecretSource, folder: &Path) -> Result<String, CallError> {
    let refused = |what: String| {
        CallError::new(ErrorKind::Refused, what)
            .hint("set it, then run again: secrets are read on every comparison")
    };
    let text = match secret {
        SecretSource::Env(name) => {
            std::env::var(name).map_err(|_| refused(format!("{secret} is not set")))?
        }
        SecretSource::File(path) => {
            let text = std::fs::read_to_string(folder.join(path))
                .map_err(|error| refused(format!("{secret}: {error}")))?;
            let text = text.strip_suffix('\n').unwrap_or(&text);
            text.strip_suffix('\r').unwrap_or(text).to_owned()
        }
    };
    if text.is_empty() { Err(refused(format!("{secret} is empty"))) } else { Ok(text) }
}
