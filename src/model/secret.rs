//! The source of a secret. The secret itself is never recorded or printed.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Source that a secret is read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SecretSource {
    /// Name of an environment variable.
    Env(String),
    /// Path of a file; a line break at its end is not part of the secret.
    File(String),
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretSource::Env(name) => write!(f, "the environment variable {name}"),
            SecretSource::File(path) => write!(f, "the file {path}"),
        }
    }
}
