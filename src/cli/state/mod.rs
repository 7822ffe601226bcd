//! `state`: inspects and edits the state.

mod edit;

use super::{
    exit::{CommandError, Exit},
    global_options::Global,
    opening::open,
    terminal::Terminal,
};
use crate::{
    model::{Address, counted, one_line, shortened},
    operations::{
        Workspace, check_state_exists, holder_text, lease_holder, recorded_state, release_lease,
        state_document, state_versions, versions_kept,
    },
    ui::Ui,
};
use edit::Edit;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Maximum length of a kind in the list, in characters; the longest of this program has 24.
const MAX_KIND: usize = 60;

/// Maximum length of an address or id in the list, in characters.
const MAX_FIELD: usize = 300;

/// Inspect, repair and unlock the state
#[derive(Debug, clap::Subcommand)]
pub enum StateCommand {
    /// List the recorded resources
    List,
    /// Print the record of one resource as JSON
    Show {
        /// Address of the resource
        address: String,
    },
    /// List the versions of the state in the bucket, newest first
    History {
        /// Maximum number of versions to list
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// Print the state document as it is in the bucket
    Pull,
    /// Write a state document to the bucket, such as one that a failed run saved locally
    Push {
        /// Path of the state document
        file: PathBuf,
        /// Overwrite a newer version, or the state of another stack with this name
        #[arg(long)]
        force: bool,
    },
    /// Restore an older version of the state; nothing in AWS changes
    Rollback {
        /// Number of the version, or its ID in the bucket
        version: String,
    },
    /// Remove resources from the state without deleting them
    ///
    /// Resources that still carry the stack's tags are adopted by the next `up` if the file names
    /// them, and deleted by `down`.
    Forget {
        /// Addresses of the resources
        #[arg(required = true)]
        addresses: Vec<String>,
    },
    /// Adopt one existing resource, or rebuild a lost state from the stack's tags
    Import {
        /// Address that the resource gets, as in the plan
        #[arg(requires = "id", required_unless_present = "from_tags", conflicts_with = "from_tags")]
        address: Option<String>,
        /// What AWS calls the resource: its id, name or ARN
        id: Option<String>,
        /// Adopt it even if it carries no tags of this stack, or another stack's
        #[arg(long, requires = "address")]
        take_over: bool,
        /// Rebuild a lost state from the resources that carry the stack's tags
        #[arg(long)]
        from_tags: bool,
        /// Rebuild even if a valid state exists
        #[arg(long, requires = "from_tags")]
        force: bool,
    },
    /// Release the state lock of another run; without FENCE, only show its holder
    Unlock {
        /// Fence of the lock, as shown by `state unlock`
        fence: Option<u64>,
    },
}

/// Runs a subcommand of `state`.
pub async fn run(global: &Global, command: &StateCommand, ui: Ui) -> Result<Exit, CommandError> {
    let terminal = Terminal::new(global, ui);
    let workspace = open(global, &terminal).await?;
    if !matches!(command, StateCommand::Import { from_tags: true, .. }) {
        check_state_exists(&workspace).await?;
    }
    let edit = Edit { global, terminal: &terminal, workspace: &workspace };
    match command {
        StateCommand::List => list(ui, &workspace).await,
        StateCommand::Show { address } => show(ui, &workspace, address).await,
        StateCommand::Unlock { fence } => unlock(ui, &workspace, *fence).await,
        StateCommand::History { limit } => history(ui, &workspace, *limit).await,
        StateCommand::Pull => {
            ui.document(&String::from_utf8_lossy(&state_document(&workspace).await?));
            Ok(Exit::Done)
        }
        StateCommand::Push { file, force } => edit.push(file, *force).await,
        StateCommand::Rollback { version } => edit.roll_back(version).await,
        StateCommand::Forget { addresses } => edit.forget(addresses).await,
        StateCommand::Import { address: Some(address), id: Some(id), take_over, .. } => {
            edit.adopt(address, id, *take_over).await
        }
        StateCommand::Import { force, .. } => match edit.restore_backend().await? {
            Exit::Done => edit.rebuild(*force).await,
            exit => Ok(exit),
        },
    }
}

async fn list(ui: Ui, workspace: &Workspace) -> Result<Exit, CommandError> {
    let snapshot = recorded_state(workspace).await?;
    let id = |live: &Value| {
        ["id", "arn", "name"].iter().find_map(|name| live.get(name)?.as_str().map(str::to_owned))
    };
    if ui.json {
        for (address, entry) in &snapshot.resources {
            ui.line(json!({
                "type": "resource", "address": address, "kind": entry.kind, "stage": entry.stage, "id": id(&entry.live),
            }));
        }
        return Ok(Exit::Done);
    }
    let address = |address: &Address| shortened(address.as_str(), MAX_FIELD).into_owned();
    let width = snapshot.resources.keys().map(|at| address(at).chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for (at, entry) in &snapshot.resources {
        let id = id(&entry.live).unwrap_or_default();
        let (at, kind, id) = (address(at), shortened(&entry.kind, MAX_KIND), shortened(&id, MAX_FIELD));
        let line = format!("{at:width$}  {kind:24} {id}");
        text.push_str(&one_line(&line));
        text.push('\n');
    }
    if text.is_empty() {
        ui.say(&format!("{}: no resources recorded", workspace.location()));
    } else {
        ui.data(&text);
    }
    Ok(Exit::Done)
}

async fn show(ui: Ui, workspace: &Workspace, address: &str) -> Result<Exit, CommandError> {
    let snapshot = recorded_state(workspace).await?;
    let address = Address::from(address);
    let Some(entry) = snapshot.resources.get(&address) else {
        let near = snapshot.resources.keys().map(Address::as_str);
        let near = near.max_by(|a, b| {
            let (a, b) = (strsim::jaro(a, address.as_str()), strsim::jaro(b, address.as_str()));
            a.total_cmp(&b)
        });
        let hint = near.map_or("list the addresses with `provisioner state list`".to_owned(), |near| {
            format!("did you mean `{near}`?")
        });
        return Err(CommandError::refused(format!("{address}: not found in the state"), hint));
    };
    let object = json!({"address": address, "resource": entry});
    match ui.json {
        true => ui.line(json!({"type": "resource", "address": address, "resource": entry})),
        false => ui.json(&object),
    }
    Ok(Exit::Done)
}

async fn unlock(ui: Ui, workspace: &Workspace, fence: Option<u64>) -> Result<Exit, CommandError> {
    let Some(holder) = lease_holder(workspace).await? else {
        ui.tell(&format!("{}: not locked", workspace.location()));
        return Ok(Exit::Done);
    };
    let Some(fence) = fence else {
        ui.say(&format!("{}: locked by {}", workspace.location(), holder_text(&holder)));
        let hint = format!(
            "if that process is not running any more, run `provisioner state unlock {}`",
            holder.fence
        );
        return Err(CommandError::refused("the fence of the lock to release is missing", hint));
    };
    let evicted = release_lease(workspace, fence).await?;
    ui.tell(&format!(
        "released the lock of {}; if that run is still active, its next state write fails and it stops",
        holder_text(&evicted)
    ));
    Ok(Exit::Done)
}

/// Lists the versions of the state, newest first.
async fn history(ui: Ui, workspace: &Workspace, limit: usize) -> Result<Exit, CommandError> {
    let versions = state_versions(workspace, limit).await?;
    if versions.is_empty() {
        ui.say(&format!("{}: no state found", workspace.location()));
    }
    for version in versions {
        let read = &version.content;
        if ui.json {
            let known = read.as_ref().ok();
            ui.line(json!({
                "type": "version", "id": version.id, "at": version.at, "newest": version.newest,
                "deleted": version.deleted, "version": known.map(|it| it.version), "phase": known.map(|it| it.phase),
                "resources": known.map(|it| it.resources.len()), "unfinished": known.map(|it| it.intents.len()),
                "writer": known.map(|it| &it.writer), "error": read.as_ref().err().map(ToString::to_string),
            }));
            continue;
        }
        let what = match read {
            Ok(snapshot) => format!(
                "version {:4}  {:13}{}  {}",
                snapshot.version,
                counted(snapshot.resources.len(), "resource"),
                if snapshot.intents.is_empty() {
                    String::new()
                } else {
                    format!(", {} unfinished", snapshot.intents.len())
                },
                if snapshot.writer.by.is_empty() { &snapshot.writer.tool } else { &snapshot.writer.by },
            ),
            Err(_) if version.deleted => "the object was deleted".to_owned(),
            Err(error) => format!("invalid: {error}"),
        };
        ui.data(&one_line(&format!("{}  {}  {what}", version.at, version.id)));
    }
    ui.tell(&versions_kept());
    Ok(Exit::Done)
}
