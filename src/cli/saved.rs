//! A saved plan: applied exactly as it was shown, or not at all.

use super::{exit::Failure, session::Session};
use crate::model::{Class, Fault, Plan, Snapshot};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The form of the file; grows with it.
const FORMAT: u32 = 2;

/// A plan, and what it was made from.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Saved {
    format: u32,
    stack: String,
    account: String,
    region: String,
    /// SHA-256 of the stack file.
    file: String,
    /// The targets.
    target: Vec<String>,
    /// Whether it takes the newest Bottlerocket release.
    pub upgrade_nodes: bool,
    /// The version of the state; 0 where there was none.
    version: u64,
    /// The stack's UUID, also of one that is yet to be made.
    pub lineage: String,
    plan: Plan,
}

fn fault(path: &Path, error: impl std::fmt::Display) -> Failure {
    Fault::new(Class::Refused, format!("{}: {error}", path.display()))
        .hint("name a file that `plan --out` wrote")
        .into()
}

impl Saved {
    /// What `plan` decided.
    pub fn new(session: &Session, snapshot: &Snapshot, plan: &Plan) -> Result<Self, Failure> {
        let path = &session.global.stack;
        let file = std::fs::read(path).map_err(|error| fault(path, error))?;
        Ok(Saved {
            format: FORMAT,
            stack: session.stack.name.clone(),
            account: session.identity.account.clone(),
            region: session.stack.region.clone(),
            file: Snapshot::hash(&file),
            target: session.global.target.clone(),
            upgrade_nodes: session.upgrade_nodes,
            version: snapshot.version,
            lineage: snapshot.lineage.clone(),
            plan: plan.clone(),
        })
    }

    /// Writes it, readable by its owner alone.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
        let bytes = serde_json::to_vec_pretty(self).map_err(|error| Fault::bug(error.to_string()))?;
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
        file.and_then(|mut file| file.write_all(&bytes)).map_err(|error| {
            let fault = Fault::new(Class::Other, format!("{}: {error}", path.display()));
            fault.hint("name a file in a folder that is there and writable").into()
        })
    }

    /// Reads one.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = std::fs::read(path).map_err(|error| fault(path, error))?;
        let saved: Saved =
            serde_json::from_slice(&bytes).map_err(|error| fault(path, format!("no plan: {error}")))?;
        match saved.format {
            FORMAT => Ok(saved),
            other => Err(fault(path, format!("form {other} is not known to this version"))),
        }
    }

    /// Refuses where anything moved since.
    pub fn check(&self, session: &Session, snapshot: &Snapshot, plan: &Plan) -> Result<(), Failure> {
        let now = Saved::new(session, snapshot, plan)?;
        let moved = [
            ("the stack's name", self.stack == now.stack),
            ("the credentials' account", self.account == now.account),
            ("the region", self.region == now.region),
            ("the stack file", self.file == now.file),
            ("--target", self.target == now.target),
            ("the state", self.version == now.version && self.lineage == now.lineage),
            ("what is in the account", self.plan == now.plan),
        ];
        match moved.into_iter().find(|(_, same)| !same) {
            None => Ok(()),
            Some((what, _)) => Err(Failure::refused(
                format!(
                    "the saved plan no longer holds: {what} changed since it was made; nothing was changed"
                ),
                "make a new plan with `provisioner plan --out FILE`",
            )),
        }
    }
}
