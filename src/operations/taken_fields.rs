//! Fields of Kubernetes objects that another manager owns: `--take-fields`, and what a run says of the rest.

use super::{OperationError, Workspace};
use crate::{
    model::{Address, CallError, Desired as _, ErrorKind, Graph, Note, Plan, Stage, StepError},
    resources::{manifest, webhook_certificate},
};
use std::collections::BTreeSet;

/// Checks that each address is that of a Kubernetes object in the file.
pub fn check(addresses: &BTreeSet<Address>, graph: &Graph) -> Result<(), OperationError> {
    for address in addresses {
        let hint = "pass the address of a Kubernetes object, which `provisioner plan` shows";
        match graph.get(address) {
            None => {
                return Err(OperationError::refused(
                    format!("--take-fields {address}: not found in the stack"),
                    hint,
                ));
            }
            Some(node) if ![manifest::Spec::KIND, webhook_certificate::Spec::KIND].contains(&&*node.kind) => {
                let message = format!("--take-fields {address}: not a Kubernetes object ({})", node.kind);
                return Err(OperationError::refused(message, hint));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Returns the errors of a `deploy` whose release is not rolled out, because the file asks for a new value in a field
/// that another manager owns: it did not succeed, although nothing failed. An `up` only prints warnings: the stack is as
/// in the file except for what the plan told. Empty also if a step failed, which counts for more.
pub fn not_rolled_out(
    workspace: &Workspace,
    only: Option<Stage>,
    plan: &Plan,
    is_complete: bool,
) -> Vec<StepError> {
    let pending: Vec<&Note> = plan.notes.iter().filter(|note| note.pending).collect();
    if !is_complete {
        return Vec::new();
    }
    if only.is_none() {
        for note in pending {
            let hint = note.hint.as_deref().unwrap_or_default();
            workspace.warn(format!("{}: {}; hint: {hint}", note.address, note.message));
        }
        return Vec::new();
    }
    pending.into_iter().map(problem).collect()
}

fn problem(note: &Note) -> StepError {
    let hint = format!("roll it out with `provisioner deploy --take-fields {}`", note.address);
    CallError::new(ErrorKind::Refused, format!("{}: {}", note.address, note.message)).hint(hint).into()
}
