//! `url`: the URLs of the applications.

use super::{
    exit::{CommandError, Exit},
    global_options::Global,
    opening::open,
    run_guard::RunGuard,
    terminal::Terminal,
};
use crate::{
    operations::{ApplicationUrl, Workspace, application_url, applications, check_has_url},
    stack::delivery::App,
    ui::Ui,
};
use serde_json::json;

/// Print the application's URL once it responds
#[derive(Debug, clap::Args)]
pub struct UrlArgs {
    /// Name of the application, if the file has several [default: all that have a URL]
    pub name: Option<String>,
}

/// Prints the URL once the application responds.
pub async fn run(global: &Global, args: &UrlArgs, ui: Ui) -> Result<Exit, CommandError> {
    let terminal = Terminal::new(global, ui);
    let workspace = open(global, &terminal).await?;
    let apps = applications(&workspace.stack, args.name.as_slice())?;
    // Of several, some may have none.
    if apps.iter().all(|app| check_has_url(app).is_err()) {
        apps.first().map_or(Ok(()), |app| check_has_url(app))?;
    }
    let guard = RunGuard::open(&terminal, global.timeout)?;
    let result = show_all(ui, &workspace, &apps, &guard).await;
    guard.close().await;
    result
}

/// Prints the URLs of applications, each once it responds. With several, each line begins with the name.
pub async fn show_all(
    ui: Ui,
    workspace: &Workspace,
    apps: &[&App],
    guard: &RunGuard,
) -> Result<Exit, CommandError> {
    let mut exit = Exit::Done;
    for app in apps {
        if show(ui, workspace, app, apps.len() > 1, guard).await? != Exit::Done {
            exit = Exit::Partial;
        }
    }
    Ok(exit)
}

/// Waits until an application responds, and prints its URL. Does nothing if it has none.
async fn show(
    ui: Ui,
    workspace: &Workspace,
    app: &App,
    several: bool,
    guard: &RunGuard,
) -> Result<Exit, CommandError> {
    let location = match application_url(workspace, app, &guard.control).await? {
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
        true => {
            let mut line = json!({"type": "url", "url": location.url, "loadBalancer": location.balancer});
            if let (Some(name), Some(map)) = (&app.name, line.as_object_mut()) {
                map.insert("app".to_owned(), json!(name));
            }
            ui.line(line);
        }
        false => match app.name.as_ref().filter(|_| several) {
            Some(name) => ui.data(&format!("{name} {}", location.url)),
            None => ui.data(&location.url),
        },
    }
    Ok(Exit::Done)
}
