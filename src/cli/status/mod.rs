//! `status`: what exists, is it healthy, what drifted, who holds the lease.

mod detail;

use super::{
    args::{Global, Status as Args},
    exit::{Exit, Failure},
    session::{Session, kind},
};
use crate::{
    engine::who,
    model::{Action, Address, Class, Graph, Observed, Origin, Plan, Ready, Snapshot, Stage},
    plan::{change_json, counts},
    store::LeaseStore,
    ui::Ui,
};
use detail::Detail;
use serde_json::json;
use std::time::Duration;

/// Shows it, once or again and again.
pub async fn run(global: &Global, args: &Args, ui: Ui) -> Result<Exit, Failure> {
    let session = Session::open(global, ui).await?;
    loop {
        show(&session).await?;
        if !args.watch {
            return Ok(Exit::Done);
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(5)) => ui.tell(""),
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Done),
        }
    }
}

/// What carries the stack's tags and is in neither its state nor its file.
fn strays<'a>(
    graph: &'a Graph,
    snapshot: &'a Snapshot,
    observed: &'a Observed,
) -> impl Iterator<Item = &'a Address> {
    observed.found.keys().filter(|address| {
        !snapshot.resources.contains_key(*address)
            && !snapshot.intents.contains_key(*address)
            && graph.get(address).is_none()
    })
}

/// One resource's health.
fn health(
    snapshot: &Snapshot,
    observed: &Observed,
    address: &crate::model::Address,
) -> (&'static str, String) {
    let recorded = snapshot.resources.get(address).map(|entry| &entry.kind);
    let Some(name) = recorded.or_else(|| snapshot.intents.get(address).map(|intent| &intent.kind)) else {
        return ("unrecorded", String::new());
    };
    let Some(found) = observed.found.get(address) else { return ("missing", String::new()) };
    match kind(name).map(|kind| (kind.ready)(&found.live)) {
        Some(Ok(Ready::Yes)) => ("ready", String::new()),
        Some(Ok(Ready::Wait(why))) => ("waiting", why),
        Some(Ok(Ready::Troubled(why))) => ("troubled", why),
        Some(Ok(Ready::Failed(why))) => ("failed", why),
        Some(Err(fault)) => ("unknown", fault.to_string()),
        None => ("unknown", format!("no such kind: {name}")),
    }
}

async fn show(session: &Session) -> Result<(), Failure> {
    let ui = session.ui;
    let backed = session.backed().await?;
    if !backed.exists {
        if ui.json {
            ui.line(json!({"type": "status", "stack": session.stack.name, "exists": false}));
        } else {
            ui.data(&format!("{}: nothing is there yet", session.place()));
        }
        return Ok(());
    }
    let mut snapshot = session.snapshot(&mut session.register(0)).await?;
    let graph = session.graph(&mut snapshot).await?;
    let observed = session.observed(&graph, &snapshot).await?;
    // A file that asks for what cannot be is no reason not to show what is.
    let plan = match session.decided(&graph, &snapshot, &observed) {
        Err(Failure::Problem(problem)) if problem.fault.class == Class::Refused => {
            ui.warn(&format!("the file asks for what cannot be: {}", problem.fault.message));
            Plan::default()
        }
        plan => plan?,
    };
    let holder = session.lease().read().await?.holder;
    let details = detail::gather(session, &snapshot, &observed).await?;
    if ui.json {
        for (address, entry) in &snapshot.resources {
            let (state, reason) = health(&snapshot, &observed, address);
            let detail = details.iter().find(|detail| detail.address == *address);
            ui.line(json!({
                "type": "resource", "address": address, "kind": entry.kind, "stage": entry.stage, "state": state,
                "reason": reason, "detail": detail.map(|detail| &detail.json),
                "newer": detail.and_then(|detail| detail.newer.as_ref()),
            }));
        }
        for (address, intent) in &snapshot.intents {
            let (state, reason) = health(&snapshot, &observed, address);
            ui.line(json!({
                "type": "resource", "address": address, "kind": intent.kind, "stage": intent.stage, "state": state,
                "reason": reason, "unfinished": true,
            }));
        }
        for address in strays(&graph, &snapshot, &observed) {
            ui.line(json!({"type": "resource", "address": address, "state": "stray"}));
        }
        backed.plan.changes.iter().chain(&plan.changes).for_each(|change| ui.line(change_json(change)));
        ui.line(json!({
            "type": "status", "stack": session.stack.name, "region": session.stack.region,
            "account": session.identity.account, "exists": true, "sandbox": session.target.sandbox.is_some(),
            "resources": snapshot.resources.len(), "unfinished": snapshot.intents.len(), "version": snapshot.version,
            "phase": snapshot.phase, "drift": plan.totals().drift, "changes": plan.totals().changes(),
            "holder": holder, "lastRun": snapshot.writer,
        }));
        return Ok(());
    }
    let mut shown = text(session, &snapshot, &observed, &plan, &backed.plan, &details);
    for address in strays(&graph, &snapshot, &observed) {
        let then = match snapshot.forgotten().contains(address) {
            true => "it was forgotten by hand: `down` removes it, `up` does not",
            false => "the next `up` removes it",
        };
        shown.push_str(&format!(
            "stray: {address} carries this stack's tags and is not in its state; {then}\n"
        ));
    }
    ui.data(&shown);
    match holder {
        Some(holder) => ui.data(&format!("lease: held by {}", who(&holder))),
        None => ui.data("lease: free"),
    }
    Ok(())
}

fn text(
    session: &Session,
    snapshot: &Snapshot,
    observed: &Observed,
    plan: &Plan,
    backend: &Plan,
    details: &[Detail],
) -> String {
    let ui: Ui = Ui { colour: session.ui.colour && session.ui.data_is_shown(), ..session.ui };
    let mut text = format!("{}\n", session.place());
    let bucket = &session.backend.bucket;
    let state = if backend.is_empty() { "ready".to_owned() } else { counts(backend.totals(), false) };
    text.push_str(&format!("  backend      {state} (s3://{bucket}, table {})\n", session.backend.table));
    for stage in Stage::ALL {
        let of_stage: Vec<_> = snapshot.resources.iter().filter(|(_, entry)| entry.stage == stage).collect();
        if of_stage.is_empty() {
            continue;
        }
        let mut unwell = Vec::new();
        for (address, _) in &of_stage {
            let (state, reason) = health(snapshot, observed, address);
            if state != "ready" {
                let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
                unwell.push(format!("    {} {address}{reason}\n", ui.paint("31", state)));
            }
        }
        let ready = of_stage.len().saturating_sub(unwell.len());
        text.push_str(&format!("  {:12} {ready} of {} ready\n", stage.name(), of_stage.len()));
        unwell.iter().for_each(|line| text.push_str(line));
        let here = |detail: &&Detail| of_stage.iter().any(|(address, _)| **address == detail.address);
        for detail in details.iter().filter(here) {
            text.push_str(&format!("    {:14} {}", detail.what, detail.text));
            if let Some(newer) = &detail.newer {
                text.push_str(&format!(" {}", ui.paint("33", &format!("({newer} is out)"))));
            }
            text.push('\n');
        }
    }
    if snapshot.resources.is_empty() {
        text.push_str("  nothing is recorded\n");
    }
    for address in snapshot.intents.keys() {
        // What was begun may be there already, and say why it does not get ready.
        let how = match health(snapshot, observed, address) {
            (state, reason) if reason.is_empty() => state.to_owned(),
            (state, reason) => format!("{state}: {reason}"),
        };
        let mark = ui.paint("33", "unfinished");
        text.push_str(&format!("  {mark}   {address} ({how}); the next `up` goes on with it\n"));
    }
    for change in plan.changes.iter().filter(|change| change.origin == Origin::Drift) {
        let fields: Vec<&str> = change.fields.0.iter().map(|field| field.path.as_str()).collect();
        let what = match change.action {
            Action::Create => "it is gone".to_owned(),
            Action::Delete => "it is gone, and no longer asked for".to_owned(),
            _ if fields.is_empty() => change.note.clone().unwrap_or_default(),
            _ => format!("{} differ from what was recorded", fields.join(", ")),
        };
        text.push_str(&format!("  {} {}: {what}\n", ui.paint("33", "drift"), change.address));
    }
    let asked = plan.totals().changes().saturating_sub(plan.totals().drift);
    if asked > 0 {
        text.push_str(&format!("  the file asks for {asked} changes: `provisioner plan` shows them\n"));
    }
    let writer = &snapshot.writer;
    text.push_str(&format!("state: version {}, written by {}\n", snapshot.version, writer.tool));
    if !writer.by.is_empty() {
        text.push_str(&format!("last run: {}, {}\n", writer.at, writer.by));
    }
    text
}
