//! Where a secret is read from. The secret itself is never part of anything that is kept or shown.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a secret is read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Secret {
    /// An environment variable.
    Env(String),
    /// A file; a line's end at its end is not part of the secret.
    File(String),
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Secret::Env(name) => write!(f, "the environment variable {name}"),
            Secret::File(path) => write!(f, "the file {path}"),
        }
    }
}
