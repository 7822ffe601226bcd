//! What a command works on: the stack file, the configured AWS or the sandbox, and the terminal.

use super::{exit::CommandError, global_options::Global, terminal::Terminal};
use crate::{
    operations::{self, Folders, PlanOptions, RunOptions, Target, TargetEndpoint, Workspace},
    os::cache_folder,
    sandbox::{Control, Sandbox, StartOptions},
    stack::Stack,
    ui::Ui,
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

fn folders(global: &Global) -> Result<Folders, CommandError> {
    let cache = cache_folder().map_err(|error| {
        CommandError::refused(error.to_string(), "set HOME or XDG_CACHE_HOME to a folder of your own")
    })?;
    Ok(Folders::of(&global.stack, &cache))
}

/// Returns the sandbox that belongs to the stack file's folder.
pub fn sandbox_of(global: &Global) -> Result<Sandbox, CommandError> {
    let folders = folders(global)?;
    Ok(Sandbox::new(&folders.state, &folders.cache))
}

/// Returns the folder of local records.
pub fn records(global: &Global) -> Result<PathBuf, CommandError> {
    Ok(folders(global)?.state)
}

/// Reads and validates the stack file.
pub fn read_stack(global: &Global) -> Result<Stack, CommandError> {
    Ok(operations::read_stack(&global.stack, &|name| std::env::var(name).ok(), &global.overrides)?)
}

/// Returns the folder of the stack file, in which the paths of the file start.
pub fn project(global: &Global) -> PathBuf {
    global.stack.parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

/// Returns the endpoint of the target. Starts the sandbox if it is asked for and not running.
pub fn endpoint(global: &Global, ui: Ui) -> Result<TargetEndpoint, CommandError> {
    if !global.sandbox {
        return Ok(TargetEndpoint::Aws);
    }
    let sandbox = sandbox_of(global)?;
    let running = match sandbox.running() {
        Some(running) => running,
        None => sandbox.ensure(StartOptions::default(), &|text| ui.tell(&ui.paint("2", text)))?,
    };
    let time_scale = Control::new(&running).time_scale()?;
    Ok(TargetEndpoint::Sandbox { url: running.endpoint, access_key: running.access_key, time_scale })
}

/// Reads the stack file, connects to the target and checks the account.
pub async fn open(global: &Global, terminal: &Arc<Terminal>) -> Result<Workspace, CommandError> {
    let stack = read_stack(global)?;
    let endpoint = endpoint(global, terminal.ui)?;
    let target = Target::connect(endpoint, &stack, terminal.as_ref()).await?;
    let mut folders = folders(global)?;
    if target.is_sandbox() {
        // What is recorded of a stack in the sandbox is deleted with it.
        folders.state = sandbox_of(global)?.folder().to_path_buf();
    }
    let operator = Arc::clone(terminal);
    Ok(Workspace::new(stack, target, folders, operator, &command(), global.lock_timeout)?)
}

/// Returns the command for others who wait for the state's lease.
fn command() -> String {
    // Values of options can be secret; the other words of the command are not.
    let words = std::env::args().skip(1).filter(|word| !word.contains('='));
    std::iter::once("provisioner".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// Returns the plan options that the global options set.
pub fn plan_options(global: &Global) -> PlanOptions {
    PlanOptions { targets: global.target.clone(), replace: global.replace.clone(), ..PlanOptions::default() }
}

/// Returns the run options.
pub fn run_options(global: &Global) -> RunOptions {
    RunOptions { parallelism: usize::from(global.parallelism), by_stage: !global.yes }
}
