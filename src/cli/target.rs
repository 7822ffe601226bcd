//! Which AWS a command speaks to: the configured one, or the sandbox.

use super::{args::Global, exit::Failure};
use crate::{
    aws::{Clients, Endpoint, connect},
    engine::Pace,
    sandbox::{Control, Sandbox, Wish},
    ui::Ui,
};
use std::path::{Path, PathBuf};

/// An AWS.
pub struct Target {
    /// The clients.
    pub clients: Clients,
    /// Where the sandbox is, if it is one.
    pub sandbox: Option<String>,
    /// How fast its world moves.
    pub pace: Pace,
    /// The folder for local records.
    pub state: PathBuf,
}

/// The `state` folder beside the stack file.
pub fn state_folder(stack: &Path) -> PathBuf {
    stack.parent().map_or_else(|| PathBuf::from("state"), |folder| folder.join("state"))
}

/// The user's cache folder.
pub fn cache_folder() -> PathBuf {
    let home = std::env::var_os("HOME").map_or_else(std::env::temp_dir, PathBuf::from);
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    cache.unwrap_or_else(|| home.join(".cache")).join("provisioner")
}

/// The sandbox that belongs to the stack file's folder.
pub fn sandbox_of(global: &Global) -> Sandbox {
    Sandbox::new(&state_folder(&global.stack), &cache_folder())
}

/// Connects; starts the sandbox where it is asked for and does not run.
pub async fn target(global: &Global, region: &str, ui: Ui) -> Result<Target, Failure> {
    let state = state_folder(&global.stack);
    if !global.sandbox {
        let clients = connect(&Endpoint::Configured, region).await;
        if let Some(url) = &clients.endpoint {
            ui.warn(&format!("this is not AWS: the endpoint is set to {url}"));
        }
        return Ok(Target { clients, sandbox: None, pace: Pace::default(), state });
    }
    let sandbox = sandbox_of(global);
    let running = match sandbox.running() {
        Some(running) => running,
        None => sandbox.ensure(Wish::default(), &|text| ui.tell(&ui.paint("2", text)))?,
    };
    let pace = Pace(Control::new(&running.endpoint).time_scale()?);
    let clients = connect(&Endpoint::Sandbox(running.endpoint.clone()), region).await;
    Ok(Target { clients, sandbox: Some(running.endpoint), pace, state: sandbox.folder().to_path_buf() })
}
