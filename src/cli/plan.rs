//! `plan`: what `up` would do.

use super::{
    args::{Global, Plan as Args},
    door,
    exit::{Exit, Failure},
    saved::Saved,
    session::Session,
};
use crate::{
    model::{Plan, Totals},
    plan::{change_json, counts, render, summary_json},
    ui::{Ui, plan_in_colour},
};

/// Shows the plan.
pub async fn run(global: &Global, args: &Args, ui: Ui) -> Result<Exit, Failure> {
    let mut session = Session::open(global, ui).await?;
    session.upgrade_nodes = args.upgrade_nodes;
    session.begin()?;
    let mut register = session.register(0);
    let mut plans: Vec<Plan> = Vec::new();
    if !session.backend_is_settled().await? {
        plans.push(session.backed().await?.plan);
    }
    let mut snapshot = session.snapshot(&mut register).await?;
    let graph = session.graph(&mut snapshot).await?;
    let (plan, _) = session.plan(&graph, &snapshot).await?;
    door::warn(ui, &session.stack, &graph, &plan);
    if let Some(path) = &args.out {
        Saved::new(&session, &snapshot, &plan)?.write(path)?;
    }
    plans.push(plan);
    let totals = show(&session, &plans);
    if let (Some(path), false) = (&args.out, ui.json) {
        ui.say(&format!(
            "saved to {}: `provisioner up {}` applies exactly this",
            path.display(),
            path.display()
        ));
    }
    Ok(if args.detailed_exitcode && totals.changes() > 0 { Exit::Changes } else { Exit::Done })
}

/// Shows plans as one, on stdout: they are the data of this command.
fn show(session: &Session, plans: &[Plan]) -> Totals {
    let totals = total(plans);
    let ui = session.ui;
    if ui.json {
        plans.iter().flat_map(|plan| &plan.changes).for_each(|change| ui.line(change_json(change)));
        ui.line(summary_json(totals));
        return totals;
    }
    let text: String = plans.iter().map(|plan| render(plan, ui.verbose > 0)).collect();
    let place = session.place();
    if text.is_empty() {
        ui.say(&format!("{place}: no changes"));
    } else {
        ui.say(&format!("Plan for {place}\n"));
        ui.data(&plan_in_colour(&Ui { colour: ui.colour && ui.data_is_shown(), ..ui }, &text));
        ui.say(&counts(totals, false));
    }
    totals
}

/// The totals of several plans.
pub fn total(plans: &[Plan]) -> Totals {
    plans.iter().map(Plan::totals).fold(Totals::default(), Totals::plus)
}
