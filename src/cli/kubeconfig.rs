//! `kubeconfig`: adds the cluster to a file that kubectl reads.

use super::{
    exit::{CommandError, Exit},
    global_options::Global,
    opening::open,
    terminal::Terminal,
};
use crate::{
    operations::{TokenCommand, write_kubeconfig},
    ui::Ui,
};
use serde_json::json;
use std::path::PathBuf;

/// Add the cluster to a kubeconfig file
#[derive(Debug, clap::Args)]
pub struct KubeconfigArgs {
    /// File to write [default: the first of `KUBECONFIG`, or ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Name of the context [default: the stack's name]
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Do not change the current context
    #[arg(long)]
    pub keep_current: bool,
}

/// Merges the cluster into the kubeconfig file.
pub async fn run(global: &Global, args: &KubeconfigArgs, ui: Ui) -> Result<Exit, CommandError> {
    let workspace = open(global, &Terminal::new(global, ui)).await?;
    let path = args.file.clone().or_else(usual).ok_or_else(|| {
        CommandError::refused("neither KUBECONFIG nor HOME is set", "pass the path with `--file`")
    })?;
    let (context, current) = (args.context.clone(), !args.keep_current);
    let written = write_kubeconfig(&workspace, &path, context, current, token_command(global)).await?;
    if ui.json {
        ui.line(json!({
            "type": "kubeconfig", "path": written.path, "context": written.context, "server": written.server,
        }));
    } else {
        ui.say(&format!("context `{}` written to {}", written.context, written.path.display()));
    }
    Ok(Exit::Done)
}

/// Returns the file that kubectl would write.
fn usual() -> Option<PathBuf> {
    let listed = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let first = std::env::split_paths(&listed).find(|path| !path.as_os_str().is_empty());
    first.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".kube").join("config")))
}

/// Returns how kubectl gets a token for the cluster: from this program, with the options of this call.
fn token_command(global: &Global) -> TokenCommand {
    let mut options = Vec::new();
    if global.sandbox {
        // The sandbox belongs to the folder of the stack file.
        let stack = std::path::absolute(&global.stack).unwrap_or_else(|_| global.stack.clone());
        options.extend(["--sandbox".to_owned(), "--stack".to_owned(), stack.display().to_string()]);
    }
    let profile = std::env::var("AWS_PROFILE").ok().filter(|_| !global.sandbox);
    let env = profile.map(|profile| ("AWS_PROFILE".to_owned(), profile)).into_iter().collect();
    TokenCommand { program: program(), options, env }
}

/// Returns the command for this program: its name if `PATH` finds it, else its path.
fn program() -> String {
    const PROGRAM: &str = "provisioner";
    let Ok(own) = std::env::current_exe().and_then(std::fs::canonicalize) else { return PROGRAM.to_owned() };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(PROGRAM)).find(|file| file.is_file());
    match found.and_then(|file| std::fs::canonicalize(file).ok()) {
        Some(file) if file == own => PROGRAM.to_owned(),
        _ => own.display().to_string(),
    }
}
