//! What runs ahead of its spec: a version or a size that moved on in the account and is not taken back.

use super::{Address, Stage};
use serde::{Deserialize, Serialize};

/// A spec that follows what runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ahead<S> {
    /// The spec with what is kept.
    pub spec: S,
    /// What is kept, for people. None: the state holds it already.
    pub note: Option<String>,
    /// What the file needs so that it says the same.
    pub hint: Option<String>,
}

/// Fields of a spec that are not applied, since another owner set them to other values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotApplied<S> {
    /// The spec that is recorded: in fields that the file changed since, the value that was applied last.
    pub spec: S,
    /// The fields with their live values, who set them, and when.
    pub message: String,
    /// What to do to apply them.
    pub hint: String,
    /// Whether the file asks for a new value in one of them.
    pub pending: bool,
}

/// A line of a plan that changes nothing: something moved in the account and is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The resource.
    pub address: Address,
    /// Its kind's name.
    pub kind: String,
    /// Its stage.
    pub stage: Stage,
    /// What moved, and that it is kept.
    pub message: String,
    /// What the file needs so that it says the same, or what to do to apply the file.
    pub hint: Option<String>,
    /// Whether the file asks for a new value that is not applied, so that a deploy of it is not complete.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pending: bool,
}
