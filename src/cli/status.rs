//! `status`: what exists, whether it is healthy, what drifted, and who holds the state lock.

use super::{
    consent::show_refusals,
    exit::{CommandError, Exit},
    global_options::Global,
    opening::{open, plan_options},
    terminal::Terminal,
};
use crate::{
    model::{Action, CallError, Origin, Stage, counted, one_line},
    operations::{Detail, StackStatus, StatusReport, Workspace, holder_text, status},
    plan::{change_json, counts, note_json},
    ui::Ui,
};
use serde_json::json;
use std::time::Duration;

/// Show what exists, whether it is healthy, what drifted, and who holds the state lock
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// Refresh every 5 seconds until interrupted
    #[arg(long)]
    pub watch: bool,
}

/// Shows the status once, or with `--watch` until interrupted.
pub async fn run(global: &Global, args: &StatusArgs, ui: Ui) -> Result<Exit, CommandError> {
    let workspace = open(global, &Terminal::new(global, ui)).await?;
    let options = plan_options(global);
    loop {
        match status(&workspace, &options).await? {
            StackStatus::Absent(other) => show_absent(ui, &workspace, false, other.as_ref()),
            StackStatus::Lost(why) => show_absent(ui, &workspace, true, Some(&why)),
            StackStatus::Present(report) => show(ui, &workspace, &report),
        }
        if !args.watch {
            return Ok(Exit::Done);
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(5)) => ui.tell(""),
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Done),
        }
    }
}

fn show_absent(ui: Ui, workspace: &Workspace, lost: bool, why: Option<&CallError>) {
    if ui.json {
        let mut line = json!({"type": "status", "stack": workspace.stack.name, "exists": false});
        if let (Some(why), Some(map)) = (why, line.as_object_mut()) {
            map.insert("reason".to_owned(), json!(why.message));
            map.insert("hint".to_owned(), json!(why.hint));
        }
        ui.line(line);
        return;
    }
    if lost {
        // The reason was told when it was found.
        ui.data(&format!("{}: the state was not found", workspace.location()));
        return;
    }
    ui.data(&format!("{}: the stack does not exist yet", workspace.location()));
    if let Some(why) = why {
        ui.warn(&format!("{}; {}", why.message, why.hint.as_deref().unwrap_or_default()));
    }
}

fn show(ui: Ui, workspace: &Workspace, report: &StatusReport) {
    let StatusReport { snapshot, backend, plan, strays, details, holder, .. } = report;
    let stack = &workspace.stack;
    if ui.json {
        for (address, entry) in &snapshot.resources {
            let (state, reason) = report.health(address);
            let detail = details.iter().find(|detail| detail.address == *address);
            ui.line(json!({
                "type": "resource", "address": address, "kind": entry.kind, "stage": entry.stage, "state": state,
                "reason": reason, "detail": detail.map(|detail| &detail.json),
                "newer": detail.and_then(|detail| detail.newer.as_ref()),
            }));
        }
        for (address, intent) in &snapshot.intents {
            let (state, reason) = report.health(address);
            ui.line(json!({
                "type": "resource", "address": address, "kind": intent.kind, "stage": intent.stage, "state": state,
                "reason": reason, "unfinished": true,
            }));
        }
        for address in strays {
            ui.line(json!({"type": "resource", "address": address, "state": "stray"}));
        }
        show_refusals(ui, [backend, plan].into_iter());
        backend.changes.iter().chain(&plan.changes).for_each(|change| ui.line(change_json(change)));
        plan.notes.iter().for_each(|note| ui.line(note_json(note)));
        ui.line(json!({
            "type": "status", "stack": stack.name, "region": stack.region,
            "account": workspace.target.identity.account, "exists": true, "sandbox": workspace.target.is_sandbox(),
            "resources": snapshot.resources.len(), "unfinished": snapshot.intents.len(), "version": snapshot.version,
            "phase": snapshot.phase, "drift": plan.totals().drift, "changes": plan.totals().changes(),
            "holder": holder, "lastRun": snapshot.writer,
        }));
        return;
    }
    let mut shown = text(ui, workspace, report);
    for address in strays {
        let left = plan.strays.iter().find(|stray| stray.address == *address);
        let then = match (snapshot.forgotten().contains(address), left) {
            (true, _) => {
                "it was removed with `provisioner state forget`: `down` deletes it, `up` does not".to_owned()
            }
            (false, Some(stray)) => {
                format!("`provisioner state import '{address}' {}` records it", one_line(&stray.id))
            }
            (false, None) => "the next `up` deletes it".to_owned(),
        };
        shown.push_str(&format!(
            "stray: {address} carries this stack's tags and is not in its state; {then}\n"
        ));
    }
    for refusal in backend.refusals.iter().chain(&plan.refusals) {
        shown.push_str(&format!(
            "refused: {}: {} (hint: {})\n",
            refusal.address,
            one_line(&refusal.reason),
            one_line(&refusal.hint)
        ));
    }
    ui.data(&shown);
    match holder {
        Some(holder) => ui.data(&format!("lock: held by {}", holder_text(holder))),
        None => ui.data("lock: free"),
    }
}

fn text(ui: Ui, workspace: &Workspace, report: &StatusReport) -> String {
    let StatusReport { snapshot, plan, backend, details, .. } = report;
    let ui = Ui { colour: ui.colour && ui.data_is_shown(), ..ui };
    let mut text = format!("{}\n", workspace.location());
    let bucket = &workspace.state.backend.bucket;
    let state = if backend.is_empty() { "ready".to_owned() } else { counts(backend.totals(), false) };
    text.push_str(&format!(
        "  backend      {state} (s3://{bucket}, table {})\n",
        workspace.state.backend.table
    ));
    for stage in Stage::ALL {
        let of_stage: Vec<_> = snapshot.resources.iter().filter(|(_, entry)| entry.stage == stage).collect();
        if of_stage.is_empty() {
            continue;
        }
        let mut unwell = Vec::new();
        for (address, _) in &of_stage {
            let (state, reason) = report.health(address);
            if state != "ready" {
                let reason =
                    if reason.is_empty() { String::new() } else { format!(": {}", one_line(&reason)) };
                unwell.push(format!("    {} {address}{reason}\n", ui.paint("31", state)));
            }
        }
        let ready = of_stage.len().saturating_sub(unwell.len());
        text.push_str(&format!("  {:12} {ready} of {} ready\n", stage.name(), of_stage.len()));
        unwell.iter().for_each(|line| text.push_str(line));
        let here = |detail: &&Detail| of_stage.iter().any(|(address, _)| **address == detail.address);
        for detail in details.iter().filter(here) {
            text.push_str(&format!("    {:14} {}", detail.what, one_line(&detail.text)));
            if let Some(newer) = &detail.newer {
                text.push_str(&format!(" {}", ui.paint("33", &format!("({} available)", one_line(newer)))));
            }
            text.push('\n');
        }
    }
    if snapshot.resources.is_empty() {
        text.push_str("  no resources recorded\n");
    }
    for address in snapshot.intents.keys() {
        // An unfinished resource may exist already, and report why it is not ready.
        let how = match report.health(address) {
            (state, reason) if reason.is_empty() => state.to_owned(),
            (state, reason) => format!("{state}: {}", one_line(&reason)),
        };
        let mark = ui.paint("33", "unfinished");
        text.push_str(&format!("  {mark}   {address} ({how}); the next `up` resumes it\n"));
    }
    for change in plan.changes.iter().filter(|change| change.origin == Origin::Drift) {
        let fields: Vec<&str> = change.fields.0.iter().map(|field| field.path.as_str()).collect();
        let what = match change.action {
            Action::Create => "deleted outside provisioner".to_owned(),
            Action::Delete => "deleted outside provisioner, and no longer in the file".to_owned(),
            _ if fields.is_empty() => change.note.clone().unwrap_or_default(),
            _ => format!("{} changed outside provisioner", fields.join(", ")),
        };
        text.push_str(&format!("  {} {}: {}\n", ui.paint("33", "drift"), change.address, one_line(&what)));
    }
    for note in &plan.notes {
        let hint = note.hint.as_ref().map(|hint| format!("; hint: {hint}")).unwrap_or_default();
        let mark = ui.paint("33", "drift");
        let message = format!("{}{hint}", note.message);
        text.push_str(&format!("  {mark} {}: {}\n", note.address, one_line(&message)));
    }
    let asked = plan.totals().changes().saturating_sub(plan.totals().drift);
    if asked > 0 {
        text.push_str(&format!(
            "  {} to apply; run `provisioner plan` to see more\n",
            counted(asked, "change")
        ));
    }
    let writer = &snapshot.writer;
    text.push_str(&format!("state: version {}, written by {}\n", snapshot.version, one_line(&writer.tool)));
    if !writer.by.is_empty() {
        text.push_str(&format!("last run: {}, {}\n", one_line(&writer.at), one_line(&writer.by)));
    }
    text
}
