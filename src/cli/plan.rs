//! `plan`: what `up` would do.

use super::{
    consent::{show_refusals, show_strays, summary, total},
    exit::{CommandError, Exit},
    global_options::Global,
    opening::{open, plan_options},
    take_fields::TakeFields,
    terminal::Terminal,
};
use crate::{
    model::{Plan, PlannedChange, StepError, Totals},
    operations::{self, PlanOptions, Saved},
    plan::{change_json, markdown, note_json, render, render_notes, summary_json},
    ui::{Ui, plan_in_colour},
};
use std::{path::PathBuf, time::Duration};

/// Show what `up` would change in the live account, field by field
#[derive(Debug, clap::Args)]
pub struct PlanArgs {
    /// What to show [default: diff]
    pub what: Option<PlanWhat>,
    /// Save the plan to FILE, which `up FILE` applies
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// How to print the plan; `json` is the same as `--json`
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: PlanFormat,
    /// Exit with code 2 if there are changes
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Upgrade all node groups to the newest Bottlerocket release
    #[arg(long)]
    pub upgrade_nodes: bool,
    /// Change the Kubernetes version even if EKS's insights block it
    #[arg(long)]
    pub force_upgrade: bool,
    #[command(flatten)]
    pub take: TakeFields,
}

/// What `plan` can show.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum PlanWhat {
    /// The same as `plan`
    Diff,
}

/// The forms in which `plan` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PlanFormat {
    /// Text for people
    Text,
    /// A comment for a pull request: danger first, details folded, at most 64,000 bytes
    Markdown,
    /// One JSON object per line
    Json,
}

/// Prints the plan, and saves it if asked to.
pub async fn run(global: &Global, args: &PlanArgs, ui: Ui) -> Result<Exit, CommandError> {
    if ui.json && args.format == PlanFormat::Markdown {
        let hint = "omit one of the two options";
        return Err(CommandError::refused("--format markdown and --json contradict each other", hint));
    }
    let workspace = open(global, &Terminal::new(global, ui)).await?;
    let options = PlanOptions {
        upgrade_nodes: args.upgrade_nodes,
        force_upgrade: args.force_upgrade,
        take_fields: args.take.addresses(),
        ..plan_options(global)
    };
    let planned = operations::plan(&workspace, &options).await?;
    let (place, plans) = (workspace.location(), [&planned.backend, &planned.plan]);
    let totals = match args.format {
        PlanFormat::Markdown => show_markdown(ui, &place, plans, &planned.infeasible),
        PlanFormat::Text | PlanFormat::Json => show(ui, &place, plans, planned.expected),
    };
    let losses: Vec<String> = planned.unaccepted(&options).filter_map(PlannedChange::consent).collect();
    if planned.is_refused() || !losses.is_empty() {
        if !losses.is_empty() {
            ui.tell(&format!("`up` loses this data only with {}", losses.join(" ")));
        }
        if let Some(path) = &args.out {
            let given =
                if losses.is_empty() { "" } else { " without these options, which a saved plan keeps" };
            ui.warn(&format!("no plan is saved to {}, because `up` would refuse it{given}", path.display()));
        }
        return Ok(Exit::Invalid);
    }
    if let Some(path) = &args.out {
        let (snapshot, backend) = (&planned.snapshot, &planned.backend);
        Saved::new(&workspace, &options, snapshot, backend, &planned.plan)?.write(path)?;
    }
    if let (Some(path), false) = (&args.out, ui.json) {
        ui.say(&format!(
            "plan saved to {}; run `provisioner up {}` to apply exactly this plan",
            path.display(),
            path.display()
        ));
    }
    Ok(if args.detailed_exitcode && totals.changes() > 0 { Exit::Changes } else { Exit::Done })
}

/// Prints several plans as one on stdout, since they are this command's data, and returns their totals.
fn show(ui: Ui, place: &str, plans: [&Plan; 2], expected: Duration) -> Totals {
    let totals = total(plans.into_iter());
    show_refusals(ui, plans.into_iter());
    plans.iter().for_each(|plan| show_strays(ui, plan));
    if ui.json {
        plans.iter().flat_map(|plan| &plan.changes).for_each(|change| ui.line(change_json(change)));
        plans.iter().flat_map(|plan| &plan.notes).for_each(|note| ui.line(note_json(note)));
        ui.line(summary_json(totals));
        return totals;
    }
    let text: String = plans.iter().map(|plan| render(plan, ui.verbose > 0)).collect();
    let notes: String = plans.iter().map(|plan| render_notes(plan)).collect();
    if text.is_empty() && plans.iter().all(|plan| plan.refusals.is_empty()) {
        ui.say(&format!("{place}: no changes"));
    } else if !text.is_empty() {
        ui.say(&format!("Plan for {place}\n"));
        ui.data(&plan_in_colour(&Ui { colour: ui.colour && ui.data_is_shown(), ..ui }, &text));
        ui.say(&summary(totals, expected));
    }
    if !notes.is_empty() {
        ui.data(&notes);
    }
    totals
}

/// Prints several plans as one page of Markdown on stdout, and returns their totals.
fn show_markdown(ui: Ui, place: &str, plans: [&Plan; 2], infeasible: &[StepError]) -> Totals {
    show_refusals(ui, plans.into_iter());
    plans.iter().for_each(|plan| show_strays(ui, plan));
    ui.data(markdown(place, &plans, infeasible).trim_end());
    total(plans.into_iter())
}
