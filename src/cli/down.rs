//! `down`: deletes the stack, and proves that nothing is left.

use super::{
    exit::{CommandError, Exit, report},
    global_options::Global,
    last_words::{Ending, exit_of, not_begun},
    opening::{open, plan_options, run_options},
    run_guard::RunGuard,
    terminal::Terminal,
};
use crate::{
    model::{Address, CallError, ErrorKind},
    operations::{self, DownScope, End, Removal, RemovalProof, Workspace},
    ui::Ui,
};
use serde_json::json;

/// Delete the stack, and prove by a tag query that nothing is left
#[derive(Debug, clap::Args)]
pub struct DownArgs {
    /// What to delete [default: the whole stack]
    pub what: Option<DownWhat>,
    /// Name of the application to delete, after `app` [default: all]
    #[arg(requires = "what")]
    pub name: Option<String>,
    /// Also delete the state bucket, the lock table and their key, unless another stack uses them
    #[arg(long)]
    pub backend: bool,
}

/// What `down` can delete instead of the whole stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum DownWhat {
    /// Only the applications: their Kubernetes objects and images
    App,
}

/// Deletes the stack, or only its application.
pub async fn run(global: &Global, args: &DownArgs, ui: Ui) -> Result<Exit, CommandError> {
    if !global.yes && !ui.can_ask() {
        return Err(CommandError::refused(
            "`down` asks for confirmation before it deletes anything, and no terminal is attached",
            "pass `--yes` to skip all confirmation prompts",
        ));
    }
    if args.backend && !global.target.is_empty() {
        return Err(CommandError::refused(
            "`--backend` cannot be combined with `--target`",
            "pass only one of them: `--backend` deletes the whole stack and its backend",
        ));
    }
    let terminal = Terminal::new(global, ui);
    let workspace = open(global, &terminal).await?;
    let scope = match args.what {
        Some(DownWhat::App) if args.backend || !global.target.is_empty() => {
            return Err(CommandError::refused(
                "`down app` deletes only applications",
                "omit `--backend` and `--target`",
            ));
        }
        Some(DownWhat::App) => DownScope::Application(args.name.clone()),
        None if args.backend => DownScope::StackAndBackend,
        None => DownScope::Stack,
    };
    let guard = RunGuard::open(&terminal, global.timeout)?;
    let (options, run) = (plan_options(global), run_options(global));
    let removal = Box::pin(operations::down(&workspace, scope, &options, run, &guard.control)).await;
    let result = finish(terminal.ending(), &workspace, removal);
    guard.close().await;
    result
}

/// Prints what follows the runs, whose last words are said, and returns the exit code.
fn finish(at: Ending, workspace: &Workspace, removal: Removal) -> Result<Exit, CommandError> {
    let changed = removal.changed();
    match removal.error {
        Some(error) if changed => return Ok(report(&error, &at.ui).after_change()),
        Some(error) => return Err(error.into()),
        None => {}
    }
    for conclusion in removal.stack.into_iter().chain(removal.backend) {
        if !matches!(conclusion.end, End::Ran) {
            return not_begun(at, conclusion.end);
        }
        let exit = exit_of(at, &conclusion);
        if exit != Exit::Done {
            return Ok(exit);
        }
    }
    let unfinished = if changed { Exit::Partial } else { Exit::Failed };
    if removal.backend_in_use || !removal.left.is_empty() {
        return Ok(unfinished);
    }
    Ok(match removal.proof.map(|proof| show(at.ui, workspace, &proof)) {
        Some(Shown::Incomplete) => unfinished,
        // Nothing could be deleted or looked for.
        Some(Shown::NotAsked) if !changed => Exit::Denied,
        Some(Shown::NotAsked) => unfinished,
        Some(Shown::Nothing) | None => Exit::Done,
    })
}

/// What a proof says.
enum Shown {
    /// Nothing is left but what is kept.
    Nothing,
    /// Something is left.
    Incomplete,
    /// The caller may not query by the stack's tags.
    NotAsked,
}

/// Prints what a query by the stack's tags found.
fn show(ui: Ui, workspace: &Workspace, proof: &RemovalProof) -> Shown {
    let (stack, left) = (&workspace.stack.name, &proof.left);
    if ui.json {
        let keys = proof.keys.iter().map(|(arn, date)| json!({"arn": arn, "deletedAt": date}));
        let keys: Vec<_> = keys.collect();
        ui.line(json!({
            "type": "proof", "query": format!("provisioner:stack={stack}"), "clusters": proof.clusters, "left": left,
            "markedSubnets": proof.marked.iter().map(|(_, id)| id).collect::<Vec<_>>(),
            "keysPendingDeletion": keys,
            "volumes": proof.volumes.iter().map(|it| json!({
                "id": it.id, "gigabytes": it.gigabytes, "claim": it.claim, "cluster": it.cluster,
            })).collect::<Vec<_>>(),
            "data": proof.data,
            "notAsked": proof.not_asked.iter().map(|(what, _)| what).collect::<Vec<_>>(),
        }));
    } else {
        for (arn, date) in &proof.keys {
            let id = arn.rsplit('/').next().unwrap_or_default();
            ui.say(&format!(
                "key {id} will be deleted at {date}; to keep it, run `aws kms cancel-key-deletion --key-id {id}`"
            ));
        }
        show_data(ui, proof);
        if proof.is_empty() {
            let region = workspace.region();
            ui.say(&format!(
                "proof: a query for the tag provisioner:stack={stack} finds nothing in {region}"
            ));
            for cluster in &proof.clusters {
                let what =
                    if proof.volumes.is_empty() && proof.data.is_empty() { "nothing" } else { "only data" };
                ui.say(&format!("proof: queries for the tags of cluster {cluster} find {what} in {region}"));
            }
        }
    }
    for (what, error) in &proof.not_asked {
        ui.warn(&format!("could not be looked at: {what}; the proof does not include this: {error}"));
    }
    if !proof.marked.is_empty() {
        ui.problem(&marked(&proof.marker, &proof.marked).into());
    }
    if left.is_empty() {
        return match (proof.is_empty(), proof.unproven) {
            (true, _) => Shown::Nothing,
            (false, true) if proof.marked.is_empty() => Shown::NotAsked,
            (false, _) => Shown::Incomplete,
        };
    }
    let error = CallError::new(
        ErrorKind::Other,
        match proof.clusters.first() {
            Some(cluster) => {
                format!(
                    "resources with the tags of stack {stack} or cluster {cluster} are left: {}",
                    left.join(", ")
                )
            }
            None => format!("resources with the tag provisioner:stack={stack} are left: {}", left.join(", ")),
        },
    );
    ui.problem(&error.hint(
        "if their state is lost, rebuild it with `provisioner state import --from-tags` and run `down` again; if it is \
         in another bucket, set `state.bucket`; what a controller of the cluster created, such as a load balancer, has no state: delete it by hand",
    ).into());
    Shown::Incomplete
}

/// The error for subnets of others that carry the `marker` of a stack of which nothing is recorded on them.
fn marked(marker: &str, subnets: &[(Address, String)]) -> CallError {
    let ids: Vec<&str> = subnets.iter().map(|(_, id)| id.as_str()).collect();
    let imports = subnets.iter().map(|(address, id)| format!("`provisioner state import {address} {id}`"));
    let message = format!("the tag {marker} is left on subnets of others: {}", ids.join(", "));
    CallError::new(ErrorKind::Other, message).hint(format!(
        "if it is this stack's, record it with {}, then run `down` again, which also deletes the role tags that no other \
         stack uses; otherwise delete it: `aws ec2 delete-tags --resources {} --tags Key={marker}`",
        imports.collect::<Vec<_>>().join(", "),
        ids.join(" ")
    ))
}

/// Prints the data that is kept.
fn show_data(ui: Ui, proof: &RemovalProof) {
    let named: Vec<String> = proof.volumes.iter().map(ToString::to_string).collect();
    if let Some(first) = proof.volumes.first() {
        let (count, id) = (named.len(), &first.id);
        let stay = if count == 1 { "volume is kept and costs" } else { "volumes are kept and cost" };
        ui.say(&format!(
            "{count} {stay} until deleted: {}; delete each with `aws ec2 delete-volume --volume-id {id}`",
            named.join(", ")
        ));
    }
    if !proof.data.is_empty() {
        ui.say(&format!("snapshots and volumes of claims are kept: {}", proof.data.join(", ")));
    }
}
