//! `kubeconfig`: the cluster in a file that kubectl reads.

use super::{
    args::{Global, Kubeconfig as Args},
    exit::{Exit, Failure},
    session::Session,
};
use crate::{
    aws::reach,
    graph::cluster_name,
    kube::{Entry, Exec, merge, write},
    ui::Ui,
};
use serde_json::json;
use std::path::PathBuf;

/// Writes it.
pub async fn run(global: &Global, args: &Args, ui: Ui) -> Result<Exit, Failure> {
    let session = Session::open(global, ui).await?;
    let name = cluster_name(&session.stack);
    let Some(there) = reach(&session.target.clients, &name).await? else {
        let message = format!("there is no cluster `{name}` in {} that can be reached yet", session.region());
        return Err(Failure::refused(
            message,
            "`provisioner up` makes it; `provisioner status` shows how far it is",
        ));
    };
    let entry = Entry {
        name: there.arn,
        context: args.context.clone().unwrap_or_else(|| session.stack.name.clone()),
        server: there.endpoint,
        ca: there.ca,
        exec: exec(global, &session, &name),
        namespace: session.stack.app.as_ref().map(|app| app.namespace.clone()),
    };
    let path =
        args.file.clone().or_else(usual).ok_or_else(|| {
            Failure::refused("neither KUBECONFIG nor HOME is set", "name the file with --file")
        })?;
    let path = write(&path, |old| merge(old, &entry, !args.keep_current))?;
    if ui.json {
        ui.line(
            json!({"type": "kubeconfig", "path": path, "context": entry.context, "server": entry.server}),
        );
    } else {
        ui.say(&format!("context `{}` is in {}", entry.context, path.display()));
    }
    Ok(Exit::Done)
}

/// The file that kubectl would write.
fn usual() -> Option<PathBuf> {
    let listed = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let first = std::env::split_paths(&listed).find(|path| !path.as_os_str().is_empty());
    first.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".kube").join("config")))
}

/// How kubectl gets a token: this program, as it was called, for this cluster.
fn exec(global: &Global, session: &Session, cluster: &str) -> Exec {
    let mut args: Vec<String> =
        ["token", "--cluster", cluster, "--region", &session.stack.region].map(str::to_owned).to_vec();
    if global.sandbox {
        // The sandbox belongs to the folder of the stack file.
        let stack = std::path::absolute(&global.stack).unwrap_or_else(|_| global.stack.clone());
        args.extend(["--sandbox".to_owned(), "--stack".to_owned(), stack.display().to_string()]);
    }
    let profile = std::env::var("AWS_PROFILE").ok().filter(|_| !global.sandbox);
    let env = profile.map(|profile| ("AWS_PROFILE".to_owned(), profile)).into_iter().collect();
    Exec { command: program(), args, env }
}

/// This program: its name where the PATH leads to it, else its place.
fn program() -> String {
    const NAME: &str = "provisioner";
    let Ok(own) = std::env::current_exe().and_then(std::fs::canonicalize) else { return NAME.to_owned() };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(NAME)).find(|file| file.is_file());
    match found.and_then(|file| std::fs::canonicalize(file).ok()) {
        Some(file) if file == own => NAME.to_owned(),
        _ => own.display().to_string(),
    }
}
