//! The last step of a deletion: queries by the tags of the stack and of its clusters, which must find nothing.

use super::{OperationError, RunControl, Workspace};
use crate::{aws::Left, engine::nothing_left};
use std::collections::BTreeSet;

/// What queries by the tags of the stack and of its clusters find after a deletion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemovalProof {
    /// The names of the clusters whose tags were looked for.
    pub clusters: BTreeSet<String>,
    /// ARNs of what is left.
    pub left: Vec<String>,
    /// ARNs of keys that are pending deletion, and when AWS deletes them.
    pub keys: Vec<(String, String)>,
}

impl RemovalProof {
    /// Returns whether nothing is left but keys that are pending deletion.
    pub fn is_empty(&self) -> bool {
        self.left.is_empty()
    }
}

/// Runs the query, and looks again for a while if it finds anything.
pub async fn prove_removal(
    workspace: &Workspace,
    clusters: &BTreeSet<String>,
    control: &RunControl,
) -> Result<RemovalProof, OperationError> {
    let (clients, stack) = (&workspace.target.clients, &workspace.stack.name);
    let mut proof = RemovalProof { clusters: clusters.clone(), ..RemovalProof::default() };
    for left in nothing_left(clients, stack, clusters, workspace.target.pace, &control.shutdown).await? {
        match left {
            Left::There(arn) => proof.left.push(arn),
            Left::KeyUntil(arn, date) => proof.keys.push((arn, date)),
        }
    }
    Ok(proof)
}
