//! `logs`: the logs of the applications' pods.

use super::{
    exit::{CommandError, Exit},
    global_options::Global,
    opening::open,
    terminal::Terminal,
};
use crate::{
    operations::{ContainerRun, LogQuery, application_logs, applications},
    ui::{Ui, stdout_is_closed},
};
use serde_json::json;
use std::sync::Arc;

/// Print the logs of the application's pods
#[derive(Debug, clap::Args)]
pub struct LogsArgs {
    /// Name of the application, if the file has several [default: all]
    pub name: Option<String>,
    /// Keep printing what is written, also by pods that start later
    #[arg(short, long)]
    pub follow: bool,
    /// How many of the last lines of each container to print [default: all]
    #[arg(long, value_name = "LINES")]
    pub tail: Option<u32>,
    /// How old the lines may be, such as 90s, 10m or 2h [default: any age]
    #[arg(long, value_name = "DURATION", value_parser = super::global_options::duration)]
    pub since: Option<std::time::Duration>,
    /// Print what a container wrote before its last restart
    #[arg(short, long, conflicts_with = "follow")]
    pub previous: bool,
}

/// Prints the lines, each after the name of its pod.
pub async fn run(global: &Global, args: &LogsArgs, ui: Ui) -> Result<Exit, CommandError> {
    let terminal = Terminal::new(global, ui);
    let workspace = open(global, &terminal).await?;
    let apps = applications(&workspace.stack, args.name.as_slice())?;
    let query = LogQuery {
        follow: args.follow,
        tail: args.tail,
        previous: args.previous,
        since_seconds: args.since.map(|time| time.as_secs()),
    };
    let show = Arc::new(move |run: &ContainerRun, text: &str| {
        match ui.json {
            true => ui.line(json!({
                "type": "log", "namespace": run.namespace, "pod": run.pod, "container": run.container, "text": text,
            })),
            false => ui.data(&format!("[{}] {text}", run.pod)),
        }
        !stdout_is_closed()
    });
    application_logs(&workspace, &apps, query, show).await?;
    Ok(Exit::Done)
}
