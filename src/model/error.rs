//! Errors, classified so that the engine can act on them, with a message and a hint for people.

use super::Address;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::fmt;

/// Class of an error. The engine acts on nothing else of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorKind {
    /// Eventual consistency: the same call succeeds a little later.
    Eventual,
    /// A dependency or another update prevents the call, for now.
    Conflict,
    /// AWS throttled the call.
    Throttled,
    /// The resource was not found.
    Gone,
    /// The resource already exists.
    Exists,
    /// The caller lacks a permission.
    Denied,
    /// No credentials were found, or they are expired or invalid.
    Credentials,
    /// A quota of the account is exhausted.
    Quota,
    /// AWS rejects the request as invalid; a retry does not help.
    Invalid,
    /// The call may or may not have taken effect: a timeout, a lost answer, a 5xx.
    Ambiguous,
    /// The endpoint does not implement the call.
    Unsupported,
    /// Another run holds the lock of the stack.
    Locked,
    /// Another run took over the lock or wrote the state.
    Lost,
    /// A signal interrupted the run.
    Interrupted,
    /// A rule of this program, or of the file, forbids it.
    Refused,
    /// The expected condition was not reached in time.
    Deadline,
    /// An error in this program.
    Bug,
    /// Any other error of AWS.
    Other,
}

impl ErrorKind {
    /// Returns the name in JSON output.
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::Eventual => "eventual",
            ErrorKind::Conflict => "conflict",
            ErrorKind::Throttled => "throttled",
            ErrorKind::Gone => "gone",
            ErrorKind::Exists => "exists",
            ErrorKind::Denied => "denied",
            ErrorKind::Credentials => "credentials",
            ErrorKind::Quota => "quota",
            ErrorKind::Invalid => "invalid",
            ErrorKind::Ambiguous => "ambiguous",
            ErrorKind::Unsupported => "unsupported",
            ErrorKind::Locked => "locked",
            ErrorKind::Lost => "lost",
            ErrorKind::Interrupted => "interrupted",
            ErrorKind::Refused => "refused",
            ErrorKind::Deadline => "deadline",
            ErrorKind::Bug => "bug",
            ErrorKind::Other => "other",
        }
    }
}

/// Failed API call, or a refusal by the program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct CallError {
    /// Class, by which the engine decides what to do.
    pub class: ErrorKind,
    /// Service as in IAM actions (`ec2`); empty if no call was sent.
    pub service: String,
    /// Operation (`CreateVpc`); empty if no call was sent.
    pub operation: String,
    /// Error code of AWS (`DependencyViolation`); empty if there is none.
    pub code: String,
    /// Message of AWS or of the program, a fragment without a period.
    pub message: String,
    /// Request id of AWS, if the answer has one.
    pub request_id: Option<String>,
    /// What the user can do, as an imperative.
    pub hint: Option<String>,
}

impl CallError {
    /// Returns an error without an API call.
    pub fn new(class: ErrorKind, message: impl Into<String>) -> Self {
        CallError {
            class,
            service: String::new(),
            operation: String::new(),
            code: String::new(),
            message: message.into(),
            request_id: None,
            hint: None,
        }
    }

    /// Returns an error that only a mistake in this program can cause.
    pub fn bug(message: impl Into<String>) -> Self {
        CallError::new(ErrorKind::Bug, message)
            .hint("report this as a bug in provisioner, with the command's output")
    }

    /// Returns the error with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Returns the error with another class.
    #[must_use]
    pub fn class(mut self, class: ErrorKind) -> Self {
        self.class = class;
        self
    }

    /// Deserialises a spec or live form of the kind `kind`.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`] if the value does not have the kind's form.
    pub fn decode<T: DeserializeOwned>(kind: &str, value: &Value) -> Result<T, CallError> {
        T::deserialize(value).map_err(|error| CallError::bug(format!("invalid form of a {kind}: {error}")))
    }

    /// Serialises a spec or live form of the kind `kind`.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`] if JSON cannot hold it.
    pub fn encode<T: Serialize>(kind: &str, form: &T) -> Result<Value, CallError> {
        serde_json::to_value(form)
            .map_err(|error| CallError::bug(format!("cannot serialise a {kind}: {error}")))
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.operation.is_empty() {
            write!(f, "{}:{}: ", self.service, self.operation)?;
        }
        if !self.code.is_empty() {
            write!(f, "{}: ", self.code)?;
        }
        f.write_str(&self.message)
    }
}

/// What a failed step leaves behind in the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftBehind {
    /// The step created nothing.
    Nothing,
    /// The step, an update, changed nothing.
    Unchanged,
    /// What the step updates stands as before, or changed in part.
    Changed,
    /// What the step deletes may still exist, and is recorded.
    Kept,
    /// A resource that is recorded; the next run resumes from it.
    Recorded,
    /// The call may have taken effect; the next run looks for the resource first.
    Unknown,
}

impl LeftBehind {
    /// Returns the name in JSON output.
    pub fn name(self) -> &'static str {
        match self {
            LeftBehind::Nothing | LeftBehind::Unchanged => "nothing",
            LeftBehind::Changed => "changed",
            LeftBehind::Kept | LeftBehind::Recorded => "recorded",
            LeftBehind::Unknown => "unknown",
        }
    }
}

/// Error with the resource that it belongs to, as it is printed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct StepError {
    /// Address of the resource, if the error belongs to one.
    pub address: Option<Address>,
    /// The error itself.
    pub error: CallError,
    /// What is left behind.
    pub left: LeftBehind,
}

impl StepError {
    /// Returns an error that belongs to no resource.
    pub fn general(error: CallError) -> Self {
        StepError { address: None, error, left: LeftBehind::Nothing }
    }

    /// Returns the refusal of what is asked for the resource at `address`, before anything is changed.
    pub fn refused(address: &Address, message: impl Into<String>, hint: impl Into<String>) -> Self {
        let error = CallError::new(ErrorKind::Refused, message).hint(hint);
        StepError::at(address, error, LeftBehind::Nothing)
    }

    /// Returns an error of the resource at `address`.
    pub fn at(address: &Address, error: CallError, left: LeftBehind) -> Self {
        StepError { address: Some(address.clone()), error, left }
    }
}

impl From<CallError> for StepError {
    fn from(error: CallError) -> Self {
        StepError::general(error)
    }
}
