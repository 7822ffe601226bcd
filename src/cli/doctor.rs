//! `doctor`: checks that `up` has everything it needs, without changing anything.

use super::{
    exit::{CommandError, Exit},
    global_options::Global,
    opening::{open, plan_options},
    terminal::Terminal,
};
use crate::{
    model::counted,
    operations::{self, Check, CheckState},
    ui::Ui,
};
use serde_json::json;

/// Check that `up` has everything it needs, without changing anything
#[derive(Debug, clap::Args)]
pub struct DoctorArgs;

/// Carries out all checks, and prints each result.
pub async fn run(global: &Global, _args: &DoctorArgs, ui: Ui) -> Result<Exit, CommandError> {
    // Without a valid file and credentials nothing can be checked, and their errors are enough.
    let workspace = open(global, &Terminal::new(global, ui)).await?;
    ui.tell(&format!("Checks for {}", workspace.location()));
    let mut states = Vec::new();
    let mut report = |check: Check| {
        show(ui, &check);
        states.push(check.state);
    };
    operations::doctor(&workspace, &plan_options(global), &mut report).await?;
    let failed = states.iter().filter(|state| **state == CheckState::Fail).count();
    let unsure =
        states.iter().filter(|state| matches!(state, CheckState::Warn | CheckState::Unknown)).count();
    if ui.json {
        ui.line(json!({"type": "doctor", "failed": failed, "warnings": unsure, "checks": states.len()}));
    } else {
        ui.say(&match (failed, unsure) {
            (0, 0) => "all checks passed: `provisioner up` has everything it needs".to_owned(),
            (0, _) => format!("{}, nothing that blocks `up`", counted(unsure, "warning")),
            _ => format!("{failed} of {} failed; nothing was changed", counted(states.len(), "check")),
        });
    }
    Ok(if failed > 0 { Exit::Failed } else { Exit::Done })
}

fn show(ui: Ui, check: &Check) {
    let (word, colour) = match check.state {
        CheckState::Ok => ("ok", "32"),
        CheckState::Warn => ("warning", "33"),
        CheckState::Fail => ("failed", "31"),
        CheckState::Unknown => ("unknown", "33"),
    };
    if ui.json {
        ui.line(json!({"type": "check", "name": check.name, "state": word, "message": check.text, "hint": check.to_do}));
        return;
    }
    let shown = Ui { colour: ui.colour && ui.data_is_shown(), ..ui };
    ui.data(&format!("{} {:15} {}", shown.paint(colour, &format!("{word:8}")), check.name, check.text));
    if let Some(to_do) = &check.to_do {
        ui.data(&format!("{:24} hint: {to_do}", ""));
    }
}
