//! `policy`: the least-privilege IAM policy of the stack.

use super::{
    exit::{CommandError, Exit},
    global_options::Global,
    opening::{read_stack, sandbox_of},
};
use crate::{
    model::{CallError, ErrorKind},
    operations::{StackPolicy, TargetEndpoint, caller_account},
    stack::Stack,
    ui::Ui,
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Print the least-privilege IAM policy that the stack needs
#[derive(Debug, clap::Args)]
pub struct PolicyArgs {
    /// Print the permissions to create and delete the state bucket, the lock table and their key instead
    #[arg(long)]
    pub bootstrap: bool,
    /// Write numbered files to DIR, each within IAM's size limit
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Prints the policy, or writes it to files within IAM's size limit.
pub async fn run(global: &Global, args: &PolicyArgs, ui: Ui) -> Result<Exit, CommandError> {
    let stack = read_stack(global)?;
    let account = account(global, &stack, ui).await;
    let policy = StackPolicy::new(&stack, &account, args.bootstrap)?;
    let Some(folder) = &args.out else {
        let (whole, length) = (policy.document(), policy.length());
        ui.json(&whole);
        if length > StackPolicy::MAX_LENGTH {
            ui.warn(&format!(
                "the policy has {length} characters, more than IAM's limit of {}; run \
                 `provisioner policy --out DIR` to write several that fit",
                StackPolicy::MAX_LENGTH
            ));
        }
        return Ok(Exit::Done);
    };
    let name = if args.bootstrap { "bootstrap" } else { &stack.name };
    for (index, document) in policy.documents().iter().enumerate() {
        let path = folder.join(format!("{name}-{}.json", index.saturating_add(1)));
        write(folder, &path, document)?;
        match ui.json {
            true => ui.line(json!({"type": "file", "path": path})),
            false => ui.data(&path.display().to_string()),
        }
    }
    Ok(Exit::Done)
}

fn write(folder: &Path, path: &Path, document: &Value) -> Result<(), CallError> {
    let text = serde_json::to_string_pretty(document).unwrap_or_else(|_| document.to_string());
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, format!("{text}\n")));
    written.map_err(|error| CallError::new(ErrorKind::Other, format!("{}: {error}", path.display())))
}

/// Returns the account ID: the file's, else the caller's, else `*`.
async fn account(global: &Global, stack: &Stack, ui: Ui) -> String {
    if let Some(account) = &stack.account {
        return account.clone();
    }
    // A policy can be written before any credentials exist, and it is not worth starting a sandbox for.
    let endpoint =
        match sandbox_of(global).ok().filter(|_| global.sandbox).and_then(|sandbox| sandbox.running()) {
            Some(running) => TargetEndpoint::Sandbox {
                url: running.endpoint,
                access_key: running.access_key,
                time_scale: 1.0,
            },
            None => TargetEndpoint::Aws,
        };
    if let Some(account) = caller_account(&endpoint, stack).await {
        return account;
    }
    ui.warn("no credentials: the policy has `*` for the account ID; set `account` in the stack file");
    "*".to_owned()
}
