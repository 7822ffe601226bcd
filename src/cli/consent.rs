//! What a run would change, as it is shown before it is approved.

use crate::{
    model::{Plan, Totals, one_line, rough},
    operations::BlockedDeletion,
    plan::{change_json, counts, note_json, render, render_notes, stray_json, summary_json},
    ui::{Ui, plan_in_colour},
};
use serde_json::json;
use std::time::Duration;

/// Prints the refusals of a plan, and what only its records are dropped of. They come before everything else.
pub fn show_refusals<'a>(ui: Ui, plans: impl Iterator<Item = &'a Plan> + Clone) {
    plans.clone().flat_map(|plan| &plan.refusals).for_each(|refusal| ui.refusal(refusal));
    for dropped in plans.flat_map(|plan| &plan.dropped) {
        let message = format!("{}; it is left as it is, and its record is dropped", dropped.reason);
        match ui.json {
            true => ui.line(json!({"type": "notice", "address": dropped.address, "message": message})),
            false => ui.warn(&format!("{}: {message}", dropped.address)),
        }
    }
}

/// Prints the resources with the stack's tags that the plan leaves.
pub fn show_strays(ui: Ui, plan: &Plan) {
    for stray in &plan.strays {
        if ui.json {
            ui.line(stray_json(stray));
            continue;
        }
        let (address, id) = (&stray.address, &stray.id);
        let why = match stray.forgotten {
            true => "was removed from the state with `provisioner state forget`".to_owned(),
            false => format!("is not in the state; `provisioner state import '{address}' {id}` records it"),
        };
        ui.say(&one_line(&format!(
            "note: {address} ({} {id}) carries this stack's tags and {why}",
            stray.kind
        )));
    }
}

/// Returns the sum of the totals of several plans.
pub fn total<'a>(plans: impl Iterator<Item = &'a Plan>) -> Totals {
    plans.map(Plan::totals).fold(Totals::default(), Totals::plus)
}

/// Returns what a plan would do, and how long that should take if it is long.
pub fn summary(totals: Totals, expected: Duration) -> String {
    match expected >= WORTH_TELLING {
        true => format!("{} · about {}", counts(totals, false), rough(expected)),
        false => counts(totals, false),
    }
}

/// The shortest expected duration of a run that is worth telling.
const WORTH_TELLING: Duration = Duration::from_secs(10);

/// Prints the changes of the backend and the stack for people, or as JSON lines.
pub fn show_changes(ui: Ui, place: &str, plans: [&Plan; 2], expected: Duration) {
    let totals = total(plans.into_iter());
    show_refusals(ui, plans.into_iter());
    plans.iter().for_each(|plan| show_strays(ui, plan));
    if ui.json {
        plans.iter().flat_map(|plan| &plan.changes).for_each(|change| ui.line(change_json(change)));
        plans.iter().flat_map(|plan| &plan.notes).for_each(|note| ui.line(note_json(note)));
        ui.line(summary_json(totals));
        return;
    }
    let notes: String = plans.iter().map(|plan| render_notes(plan)).collect();
    if !notes.is_empty() {
        ui.say(notes.trim_end());
    }
    if totals.changes() == 0 {
        return;
    }
    let text: String = plans.iter().map(|plan| render(plan, ui.verbose > 0)).collect();
    ui.say(&format!("Plan for {place}\n"));
    ui.say(plan_in_colour(&ui, &text).trim_end());
    ui.say(&format!("\n{}\n", summary(totals, expected)));
}

/// Prints what blocks some deletions.
pub fn show_blocked(ui: Ui, blocked: &[BlockedDeletion], all: bool) {
    if ui.json {
        for BlockedDeletion { address, obstacle } in blocked {
            ui.line(json!({
                "type": "obstacle", "address": address, "kind": obstacle.kind, "id": obstacle.id,
                "name": obstacle.name, "detail": obstacle.detail, "hint": obstacle.hint,
            }));
        }
        return;
    }
    if all {
        return;
    }
    ui.say(&format!(
        "{}\n",
        ui.paint("33;1", "These block a part of the deletion, which is left out of the plan:")
    ));
    for BlockedDeletion { address, obstacle } in blocked {
        ui.say(&one_line(&format!("  {obstacle} blocks {address}")));
        ui.say(&one_line(&format!("    hint: {}", obstacle.hint)));
    }
    ui.say("");
}

/// Prints what is refused, or else what would be deleted.
pub fn show_deletions(ui: Ui, place: &str, plan: &Plan) {
    show_refusals(ui, std::iter::once(plan));
    if !plan.refusals.is_empty() || plan.is_empty() {
        return;
    }
    if ui.json {
        plan.changes.iter().for_each(|change| ui.line(change_json(change)));
    } else {
        ui.say(&format!("Plan to delete {place}\n"));
        ui.say(plan_in_colour(&ui, &render(plan, false)).trim_end());
        ui.say(&format!("\n{}\n", counts(plan.totals(), false)));
    }
}
