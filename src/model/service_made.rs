//! Resources that an AWS service creates if they do not exist.

/// What an AWS service creates if it does not exist, and again for some minutes after it was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceMade {
    /// The kind of the resource for which the service creates it.
    pub by: &'static str,
    /// The name of that resource.
    pub name: String,
    /// The field of that resource's live form that is empty if the service creates nothing for it.
    pub while_set: &'static str,
    /// Whether it is as the service creates it: without tags, and without what the stack configures.
    pub untouched: bool,
}
