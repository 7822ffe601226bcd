//! What went wrong, in words that both the engine and a person can act on.

use super::Address;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::fmt;

/// What an error asks for. The engine acts on the class alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// AWS has not caught up with itself: the same call works a little later.
    Eventual,
    /// Something else is in the way and may go: a dependency, another update.
    Conflict,
    /// Too many calls.
    Throttled,
    /// What was asked for is not there.
    Gone,
    /// It is there already.
    Exists,
    /// The caller may not.
    Denied,
    /// No credentials, or expired ones.
    Credentials,
    /// A quota of the account is used up.
    Quota,
    /// AWS refuses the request as it stands.
    Invalid,
    /// The call may or may not have had its effect: a timeout, a lost answer, a 5xx.
    Ambiguous,
    /// The target does not know the call.
    Unsupported,
    /// Somebody else holds the lease.
    Locked,
    /// The lease or the state was lost to somebody else.
    Lost,
    /// A signal.
    Interrupted,
    /// A rule of this program, or of the file, forbids it.
    Refused,
    /// It did not come in time.
    Deadline,
    /// A fault of this program.
    Bug,
    /// Whatever else AWS said.
    Other,
}

impl Class {
    /// The name in JSON output.
    pub fn name(self) -> &'static str {
        match self {
            Class::Eventual => "eventual",
            Class::Conflict => "conflict",
            Class::Throttled => "throttled",
            Class::Gone => "gone",
            Class::Exists => "exists",
            Class::Denied => "denied",
            Class::Credentials => "credentials",
            Class::Quota => "quota",
            Class::Invalid => "invalid",
            Class::Ambiguous => "ambiguous",
            Class::Unsupported => "unsupported",
            Class::Locked => "locked",
            Class::Lost => "lost",
            Class::Interrupted => "interrupted",
            Class::Refused => "refused",
            Class::Deadline => "deadline",
            Class::Bug => "bug",
            Class::Other => "other",
        }
    }
}

/// One failed call, or one refusal, classed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Fault {
    /// What it asks for.
    pub class: Class,
    /// The service's name as in IAM actions (`ec2`); empty where no call was made.
    pub service: String,
    /// The operation (`CreateVpc`); empty where no call was made.
    pub operation: String,
    /// AWS's error code; empty where there is none.
    pub code: String,
    /// AWS's message, or ours.
    pub message: String,
    /// AWS's request id, where the answer held one.
    pub request_id: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl Fault {
    /// A fault that no AWS call stands behind.
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Fault {
            class,
            service: String::new(),
            operation: String::new(),
            code: String::new(),
            message: message.into(),
            request_id: None,
            hint: None,
        }
    }

    /// A fault of this program.
    pub fn bug(message: impl Into<String>) -> Self {
        Fault::new(Class::Bug, message)
            .hint("this is a fault of provisioner itself: please report it with the command's output")
    }

    /// The same with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same under another class.
    #[must_use]
    pub fn class(mut self, class: Class) -> Self {
        self.class = class;
        self
    }

    /// Reads a serialised spec or live form of the kind `kind`.
    pub fn decode<T: DeserializeOwned>(kind: &str, value: &Value) -> Result<T, Fault> {
        T::deserialize(value)
            .map_err(|error| Fault::bug(format!("a {kind} in a form that it does not have: {error}")))
    }

    /// Writes a spec or live form down.
    pub fn encode<T: Serialize>(kind: &str, form: &T) -> Result<Value, Fault> {
        serde_json::to_value(form)
            .map_err(|error| Fault::bug(format!("a {kind} that cannot be written down: {error}")))
    }
}

impl fmt::Display for Fault {
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

/// What a failure leaves behind in the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeftBehind {
    /// Nothing of this step.
    Nothing,
    /// Something that is recorded; the next run takes it up.
    Recorded,
    /// The call may have had its effect; the next run looks.
    Unknown,
}

/// A fault with its place: what the one error printer prints.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct Problem {
    /// The resource, where it is one.
    pub address: Option<Address>,
    /// What failed.
    pub fault: Fault,
    /// What is there now.
    pub left: LeftBehind,
}

impl Problem {
    /// A problem that belongs to no resource.
    pub fn general(fault: Fault) -> Self {
        Problem { address: None, fault, left: LeftBehind::Nothing }
    }

    /// A problem of the resource at `address`.
    pub fn at(address: &Address, fault: Fault, left: LeftBehind) -> Self {
        Problem { address: Some(address.clone()), fault, left }
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Problem::general(fault)
    }
}
