//! Reading secrets: where they are needed, each time anew.

use crate::model::{Class, Fault, Secret};
use std::path::Path;

/// The secret itself. The path of a file is as seen from `folder`, the stack file's.
pub fn read_secret(secret: &Secret, folder: &Path) -> Result<String, Fault> {
    let refused = |what: String| {
        Fault::new(Class::Refused, what)
            .hint("set it, then run again: a secret is read each time it is compared")
    };
    let text = match secret {
        Secret::Env(name) => std::env::var(name).map_err(|_| refused(format!("{secret} is not set")))?,
        Secret::File(path) => {
            let text = std::fs::read_to_string(folder.join(path))
                .map_err(|error| refused(format!("{secret}: {error}")))?;
            let text = text.strip_suffix('\n').unwrap_or(&text);
            text.strip_suffix('\r').unwrap_or(text).to_owned()
        }
    };
    if text.is_empty() { Err(refused(format!("{secret} is empty"))) } else { Ok(text) }
}
