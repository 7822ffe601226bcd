//! A saved plan: applied exactly as it was shown, or not at all.

use super::{OperationError, PlanOptions, Workspace, stack_file::read_base};
use crate::{
    model::{Address, CallError, ErrorKind, Plan, PlannedChange, Snapshot},
    os::write_private,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, path::Path};

/// The version of the file format.
const FORMAT: u32 = 3;

/// A plan, and what it was created from.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Saved {
    format: u32,
    stack: String,
    account: String,
    region: String,
    /// SHA-256 of the stack file, and of what it extends.
    file: String,
    /// The selectors of `--target`.
    target: Vec<String>,
    /// Whether node groups are upgraded to the newest Bottlerocket release.
    pub upgrade_nodes: bool,
    /// Whether a change of the cluster's version ignores EKS's insights.
    #[serde(default)]
    pub force_upgrade: bool,
    /// Kubernetes objects whose fields are taken from other managers.
    #[serde(default)]
    pub take_fields: BTreeSet<Address>,
    /// The addresses whose loss of data was accepted when the plan was created.
    #[serde(default)]
    pub replace: Vec<String>,
    /// The version of the state, or 0 if no state existed.
    version: u64,
    /// The stack's lineage, a UUID that is chosen even before the stack is created.
    pub lineage: String,
    /// What is changed in the backend, before the stack.
    backend: Vec<PlannedChange>,
    plan: Plan,
}

fn failure(path: &Path, error: impl std::fmt::Display) -> OperationError {
    CallError::new(ErrorKind::Refused, format!("{}: {error}", path.display()))
        .hint("pass a file that `provisioner plan --out` wrote")
        .into()
}

impl Saved {
    /// Returns `plan` together with the file, account and state that it was created from.
    pub fn new(
        workspace: &Workspace,
        options: &PlanOptions,
        snapshot: &Snapshot,
        backend: &Plan,
        plan: &Plan,
    ) -> Result<Self, OperationError> {
        let path = &workspace.folders.file;
        let file = std::fs::read(path).map_err(|error| failure(path, error))?;
        let mut hash = Snapshot::hash(&file);
        for base in &workspace.stack.extended_files {
            let bytes = read_base(path, base).map_err(|error| failure(Path::new(base), error))?;
            hash = Snapshot::hash(format!("{hash} {}", Snapshot::hash(&bytes)).as_bytes());
        }
        Ok(Saved {
            format: FORMAT,
            stack: workspace.stack.name.clone(),
            account: workspace.target.identity.account.clone(),
            region: workspace.stack.region.clone(),
            file: hash,
            target: options.targets.clone(),
            upgrade_nodes: options.upgrade_nodes,
            force_upgrade: options.force_upgrade,
            take_fields: options.take_fields.clone(),
            replace: options.replace.clone(),
            version: snapshot.version,
            lineage: snapshot.lineage.clone(),
            // What is only recorded again depends on the machine.
            backend: backend.changes.clone(),
            plan: plan.clone(),
        })
    }

    /// Writes the plan to a file that only its owner can read.
    pub fn write(&self, path: &Path) -> Result<(), OperationError> {
        let bytes = serde_json::to_vec_pretty(self).map_err(|error| CallError::bug(error.to_string()))?;
        write_private(path, &bytes).map_err(|error| {
            let error = CallError::new(ErrorKind::Other, format!("{}: {error}", path.display()));
            error.hint("pass a path in a folder that exists and is writable").into()
        })
    }

    /// Reads a saved plan.
    pub fn read(path: &Path) -> Result<Self, OperationError> {
        let bytes = std::fs::read(path).map_err(|error| failure(path, error))?;
        let saved: Saved = serde_json::from_slice(&bytes)
            .map_err(|error| failure(path, format!("not a saved plan: {error}")))?;
        match saved.format {
            FORMAT => Ok(saved),
            other => Err(failure(path, format!("unsupported plan format {other} (expected {FORMAT})"))),
        }
    }

    /// Checks that nothing has changed since the plan was created.
    pub fn check(
        &self,
        workspace: &Workspace,
        options: &PlanOptions,
        snapshot: &Snapshot,
        backend: &Plan,
        plan: &Plan,
    ) -> Result<(), OperationError> {
        let now = Saved::new(workspace, options, snapshot, backend, plan)?;
        let moved = [
            ("the stack's name", self.stack == now.stack),
            ("the credentials' account", self.account == now.account),
            ("the region", self.region == now.region),
            ("the stack file", self.file == now.file),
            ("--target", self.target == now.target),
            ("the state", self.version == now.version && self.lineage == now.lineage),
            ("the backend", self.backend == now.backend),
            ("a live resource", self.plan == now.plan),
        ];
        match moved.into_iter().find(|(_, same)| !same) {
            None => Ok(()),
            Some((what, _)) => Err(OperationError::refused(
                format!(
                    "the saved plan no longer holds: {what} changed since it was saved; nothing was changed"
                ),
                "create a new plan with `provisioner plan --out FILE`",
            )),
        }
    }
}
