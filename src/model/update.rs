//! Updates that AWS carries out after it has accepted the call that starts them.

/// The id that AWS gives an update.
pub type UpdateId = String;

/// The state of an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpdateOutcome {
    /// AWS is still working on it.
    InProgress,
    /// It is complete.
    Successful,
    /// It failed or was cancelled, and AWS rolled it back.
    Failed {
        /// AWS's error code, such as `PodEvictionFailure`.
        code: String,
        /// AWS's message; several errors are joined with `; `.
        message: String,
        /// The nodes, pods or other resources concerned.
        resources: Vec<String>,
    },
}

/// Codes of failures that are AWS's own and pass without a change by the user.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/troubleshooting.html>, "Managed node group error codes".
const PASSING: &[&str] = &["InternalFailure", "InternalError", "ServiceUnavailable", "Throttling"];

impl UpdateOutcome {
    /// Whether the same update may succeed when it is sent again without any change.
    pub fn is_passing(&self) -> bool {
        matches!(self, UpdateOutcome::Failed { code, .. } if PASSING.contains(&code.as_str()))
    }
}
