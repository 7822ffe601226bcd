//! `up`: creates or updates the stack to match the file.

use super::{
    exit::{CommandError, Exit},
    global_options::Global,
    last_words::finish,
    opening::{open, plan_options, run_options},
    run_guard::RunGuard,
    take_fields::TakeFields,
    terminal::Terminal,
    url,
};
use crate::{
    operations::{self, PlanOptions, Saved, Workspace},
    ui::Ui,
};
use std::{path::PathBuf, sync::Arc};

/// Create or update the stack to match `stack.yaml`
#[derive(Debug, clap::Args)]
pub struct UpArgs {
    /// Saved plan (`plan --out`) to apply exactly as it was shown
    pub plan: Option<PathBuf>,
    /// Upgrade all node groups to the newest Bottlerocket release
    #[arg(long)]
    pub upgrade_nodes: bool,
    /// Change the Kubernetes version even if EKS's insights block it
    #[arg(long)]
    pub force_upgrade: bool,
    #[command(flatten)]
    pub take: TakeFields,
}

/// Plans the stack, or reads a saved plan, and applies it.
pub async fn run(global: &Global, args: &UpArgs, ui: Ui) -> Result<Exit, CommandError> {
    if !global.yes && !ui.can_ask() {
        return Err(CommandError::refused(
            "`up` asks for confirmation before each stage, and no terminal is attached",
            "pass `--yes` to skip all confirmation prompts",
        ));
    }
    let saved = args.plan.as_deref().map(Saved::read).transpose()?;
    let terminal = Terminal::new(global, ui);
    let workspace = open(global, &terminal).await?;
    // A saved plan holds the options that it was created with.
    let options = PlanOptions {
        upgrade_nodes: saved.as_ref().map_or(args.upgrade_nodes, |saved| saved.upgrade_nodes),
        force_upgrade: saved.as_ref().map_or(args.force_upgrade, |saved| saved.force_upgrade),
        take_fields: saved.as_ref().map_or_else(|| args.take.addresses(), |it| it.take_fields.clone()),
        replace: saved.iter().flat_map(|it| &it.replace).chain(&global.replace).cloned().collect(),
        ..plan_options(global)
    };
    apply(global, &terminal, &workspace, &options, saved.as_ref()).await
}

/// Applies the file, prints what was done and, for a whole stack, the URLs of its applications.
pub async fn apply(
    global: &Global,
    terminal: &Arc<Terminal>,
    workspace: &Workspace,
    options: &PlanOptions,
    saved: Option<&Saved>,
) -> Result<Exit, CommandError> {
    let guard = RunGuard::open(terminal, global.timeout)?;
    let conclusion = operations::up(workspace, options, run_options(global), &guard.control, saved).await;
    let changed = conclusion.changed();
    let result = match finish(terminal.ending(), &workspace.location(), conclusion) {
        // The runs are done and reported; what is still asked for is the address.
        Ok(Exit::Done) if options.targets.is_empty() => {
            let apps: Vec<_> = workspace.stack.apps.iter().filter(|app| options.deploys(app)).collect();
            match url::show_all(terminal.ui, workspace, &apps, &guard).await {
                Err(error) if changed => Ok(error.report(&terminal.ui).after_change()),
                result => result,
            }
        }
        result => result,
    };
    guard.close().await;
    result
}
