//! `url`: the URL of the application.

use super::{
    exit::{CommandError, Exit},
    global_options::Global,
    opening::open,
    run_guard::RunGuard,
    terminal::Terminal,
};
use crate::{
    operations::{ApplicationUrl, Workspace, application_url, check_has_url},
    ui::Ui,
};
use serde_json::json;

/// Print the application's URL once it responds
#[derive(Debug, clap::Args)]
pub struct UrlArgs;

/// Prints the URL once the application responds.
pub async fn run(global: &Global, _args: &UrlArgs, ui: Ui) -> Result<Exit, CommandError> {
    let terminal = Terminal::new(global, ui);
    let workspace = open(global, &terminal).await?;
    check_has_url(&workspace.stack)?;
    let guard = RunGuard::open(&terminal, global.timeout)?;
    let result = show(ui, &workspace, &guard).await;
    guard.close().await;
    result
}

/// Waits until the application responds, and prints its URL. Does nothing if it has none.
pub async fn show(ui: Ui, workspace: &Workspace, guard: &RunGuard) -> Result<Exit, CommandError> {
    let location = match application_url(workspace, &guard.control).await? {
        ApplicationUrl::None => return Ok(Exit::Done),
        ApplicationUrl::Late(problem) => {
            ui.problem(&problem);
            return Ok(Exit::Partial);
        }
        ApplicationUrl::Internal(location) => {
            ui.tell("the URL is internal to the VPC, so it was not tested from here");
            location
        }
        ApplicationUrl::Responds(location) => location,
    };
    if let Some(note) = &location.note {
        ui.tell(note);
    }
    match ui.json {
        true => ui.line(json!({"type": "url", "url": location.url, "loadBalancer": location.balancer})),
        false => ui.data(&location.url),
    }
    Ok(Exit::Done)
}
