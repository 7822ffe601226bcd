//! What still runs on a resource that is to be deleted.

/// What still runs on a resource that is to be deleted, and is moved elsewhere first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undrained {
    /// How much is left; less is progress.
    pub left: usize,
    /// What is waited for, as a fragment.
    pub why: String,
    /// What the user can do if it does not end, as an imperative.
    pub hint: String,
}
