//! `up`: makes the account as the file says.

use super::{
    args::{Global, Up as Args},
    door::{self, Barred},
    exit::{Exit, Failure, of_run},
    lock::{Scene, give_back},
    plan::total,
    rollback::way_back,
    saved::Saved,
    session::Session,
    url,
};
use crate::{
    engine::{Closed, Held, Run},
    model::{Action, Class, Fault, Outcome, Plan, PlannedChange, Problem, Report, Snapshot, Stage, Totals},
    plan::{change_json, counts, render, summary_json},
    store::Register,
    ui::{Ui, plan_in_colour},
};
use std::sync::Arc;

/// Makes it so.
pub async fn run(global: &Global, args: &Args, ui: Ui) -> Result<Exit, Failure> {
    if !global.yes && !ui.can_ask() {
        return Err(Failure::refused(
            "`up` asks before each stage, and there is no terminal to ask on",
            "give --yes",
        ));
    }
    let saved = args.plan.as_deref().map(Saved::read).transpose()?;
    let mut session = Session::open(global, ui).await?;
    // A saved plan says for itself what it was made with.
    session.upgrade_nodes = saved.as_ref().map_or(args.upgrade_nodes, |saved| saved.upgrade_nodes);
    whole(&session, saved.as_ref()).await
}

/// From the plan to the application's address.
pub async fn whole(session: &Session, saved: Option<&Saved>) -> Result<Exit, Failure> {
    session.begin()?;
    let scene = Scene::open(session.ui, session.global.timeout)?;
    let result = match go(session, &scene, saved).await {
        Ok(Exit::Done) if session.global.target.is_empty() => url::after(session, &scene).await,
        result => result,
    };
    scene.close().await;
    result
}

/// What is held while the stack is worked on.
struct Work {
    held: Held,
    register: Register,
    snapshot: Snapshot,
}

async fn go(session: &Session, scene: &Scene, saved: Option<&Saved>) -> Result<Exit, Failure> {
    let backed = scene.reading(session.backed()).await?;
    let (mut outcomes, backend_exists) = (Vec::new(), backed.exists);
    if !backend_exists && session.only.is_some() {
        return Err(Failure::refused(
            format!("there is no stack yet: {}", session.place()),
            "`provisioner up` makes it",
        ));
    }
    let mut work = match backend_exists {
        true => Some(hold(session, scene).await?),
        false => None,
    };
    // The plan of a stack whose backend is yet to be made is the plan of a new stack.
    let mut preview = match &work {
        Some(work) => work.snapshot.clone(),
        None => scene.reading(session.snapshot(&mut session.register(0))).await?,
    };
    if let (Some(saved), true) = (saved, preview.version == 0) {
        preview.lineage.clone_from(&saved.lineage);
    }
    let planned = scene.reading(decide(session, &mut preview, saved)).await;
    let (plan, shut) = match planned {
        Ok(planned) => planned,
        Err(failure) => return end(session, work, Err(failure)).await,
    };
    if let Some(work) = &mut work {
        work.snapshot = preview.clone();
    }
    show(session, &backed.plan, &plan);
    if !backed.plan.is_empty() || !backed.plan.refresh.is_empty() {
        if !agreed(session, scene, Stage::Backend, &backed.plan).await {
            return end(session, work, Ok(declined(session, scene, false))).await;
        }
        let outcome = match session.make_backend(scene).await {
            Ok(outcome) => outcome,
            Err(failure) => return end(session, work, Err(failure)).await,
        };
        outcomes.push(outcome);
        if !matches!(outcomes.as_slice(), [Outcome::Done(_)]) {
            let exit = report(session, scene, &outcomes);
            return end(session, work, Ok(exit)).await;
        }
    }
    let mut work = if let Some(work) = work {
        work
    } else {
        let mut work = hold(session, scene).await?;
        // Nobody could have a state where there was no bucket; the lineage that was planned with counts.
        if work.snapshot.version == 0 {
            work.snapshot = preview;
        } else {
            // Somebody else made the stack meanwhile: plan again from what is there.
            give_back(work.held, session.ui).await;
            return Box::pin(go(session, scene, saved)).await;
        }
        work
    };
    let exit = stages(session, scene, &mut work, &plan, shut, outcomes).await;
    end(session, Some(work), exit).await
}

async fn hold(session: &Session, scene: &Scene) -> Result<Work, Failure> {
    let (held, register, snapshot) = session.hold(scene).await?;
    Ok(Work { held, register, snapshot })
}

/// Gives the lease back, whatever happened.
async fn end(session: &Session, work: Option<Work>, result: Result<Exit, Failure>) -> Result<Exit, Failure> {
    if let Some(work) = work {
        give_back(work.held, session.ui).await;
    }
    result
}

/// The plan, and whether it deploys to a cluster that may not be reached from here.
async fn decide(
    session: &Session,
    snapshot: &mut Snapshot,
    saved: Option<&Saved>,
) -> Result<(Plan, bool), Failure> {
    let graph = session.graph(snapshot).await?;
    let (plan, _) = session.plan(&graph, snapshot).await?;
    if let Some(saved) = saved {
        saved.check(session, snapshot, &plan)?;
    }
    let shut = door::warn(session.ui, &session.stack, &graph, &plan);
    match session.only {
        Some(stage) => Ok((only(stage, &plan)?, shut)),
        None => Ok((plan, shut)),
    }
}

/// The part of the plan that is of one stage, where what it stands on is there.
fn only(stage: Stage, plan: &Plan) -> Result<Plan, Failure> {
    let new = |change: &&PlannedChange| {
        change.stage < stage && matches!(change.action, Action::Create | Action::Replace)
    };
    match plan.changes.iter().find(new) {
        Some(change) => Err(Failure::refused(
            format!("the {stage} stands on what is not there yet, such as {}", change.address),
            "`provisioner up` makes it",
        )),
        None => Ok(plan.stage(stage)),
    }
}

/// Runs the plan: at once, or stage by stage where a person is asked before each.
async fn stages(
    session: &Session,
    scene: &Scene,
    work: &mut Work,
    plan: &Plan,
    shut: bool,
    mut outcomes: Vec<Outcome>,
) -> Result<Exit, Failure> {
    let parts: Vec<(Stage, Plan)> = match session.global.yes && !shut {
        true => vec![(Stage::Network, plan.clone())],
        false => Stage::ALL.into_iter().map(|stage| (stage, plan.stage(stage))).collect(),
    };
    for (stage, part) in parts {
        if part.is_empty() && part.refresh.is_empty() {
            continue;
        }
        if !part.is_empty() && !agreed(session, scene, stage, &part).await {
            let changed = outcomes.iter().any(|outcome| outcome.report().changed);
            return Ok(declined(session, scene, changed));
        }
        if shut
            && stage == Stage::Application
            && let Some(problem) = unreached(session).await?
        {
            let changed = outcomes.iter().any(|outcome| outcome.report().changed);
            let (problems, left) = (vec![problem], part.steps.len());
            outcomes.push(Outcome::Partial(Report {
                problems,
                left,
                changed,
                saved: true,
                ..Report::default()
            }));
            break;
        }
        let before = work.snapshot.clone();
        let outcome = execute(session, scene, work, &part).await;
        let done = matches!(outcome, Outcome::Done(_));
        if let Some(back) = way_back(session, &before, &part, &outcome) {
            session.ui.tell("the rollout failed: the application goes back to what it was");
            let back = execute(session, scene, work, &back).await;
            if !matches!(back, Outcome::Done(_)) {
                outcomes.push(back);
            }
        }
        outcomes.push(outcome);
        if !done {
            break;
        }
    }
    let made = outcomes.iter().any(|outcome| outcome.report().changed);
    if made && outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done(_))) {
        outcomes.extend(remove_late(session, scene, work).await);
    }
    Ok(report(session, scene, &outcomes))
}

/// Why nothing can be deployed from here, where the cluster was asked and did not answer.
async fn unreached(session: &Session) -> Result<Option<Problem>, Failure> {
    Ok(match door::barred(session).await? {
        Some(Barred::Silent(why)) => {
            let fault = Fault::new(Class::Refused, format!("the application is not deployed: {why}"));
            Some(fault.hint(door::TO_DO).into())
        }
        _ => None,
    })
}

/// Looks once more for what carries the stack's tags and is in no record, such as a create that came after it was given
/// up, and removes it.
async fn remove_late(session: &Session, scene: &Scene, work: &mut Work) -> Option<Outcome> {
    let mut snapshot = work.snapshot.clone();
    let plan =
        scene.reading(decide(session, &mut snapshot, None)).await.map(|(plan, _)| plan.strays(&snapshot));
    match plan {
        Ok(plan) if plan.is_empty() => None,
        Ok(plan) => {
            show(session, &Plan::default(), &plan);
            match agreed(session, scene, Stage::Network, &plan).await {
                true => Some(execute(session, scene, work, &plan).await),
                false => None,
            }
        }
        Err(_) => {
            session.ui.warn("the last look for what no record names failed; the next run takes it");
            None
        }
    }
}

async fn execute(session: &Session, scene: &Scene, work: &mut Work, plan: &Plan) -> Outcome {
    let run = Run {
        world: Arc::new(session.world(&work.snapshot.owner())),
        settings: session.settings(),
        halt: scene.halt.clone(),
        events: scene.events.clone(),
    };
    let register = std::mem::replace(&mut work.register, session.register(0));
    let (outcome, Closed { snapshot, register, failed }) =
        run.execute(plan, work.snapshot.clone(), register).await;
    (work.snapshot, work.register) = (snapshot, register);
    if failed.is_some() {
        session.dump(&mut work.snapshot);
    }
    outcome
}

impl Session {
    /// Keeps a state that could not be written in a local file.
    pub fn dump(&self, snapshot: &mut Snapshot) {
        let name = format!("unsaved-{}-{}.json", snapshot.stack, snapshot.version);
        let path = self.target.state.join(name);
        let written = snapshot.encode().map_err(|error| error.to_string()).and_then(|bytes| {
            std::fs::create_dir_all(&self.target.state)
                .and_then(|()| std::fs::write(&path, bytes))
                .map_err(|error| error.to_string())
        });
        match written {
            Ok(()) => self.ui.warn(&format!(
                "the state could not be written; a copy is in {}. When the bucket can be reached: `provisioner state push {}` \
                 if nobody worked on the stack since, or the same command again, which finds what its state lacks by tags",
                path.display(),
                path.display()
            )),
            Err(error) => self.ui.warn(&format!("the state could be written neither to its bucket nor to a file: {error}")),
        }
    }
}

fn show(session: &Session, backend: &Plan, plan: &Plan) {
    let ui = session.ui;
    let plans = [backend.clone(), plan.clone()];
    let totals = total(&plans);
    if ui.json {
        plans.iter().flat_map(|plan| &plan.changes).for_each(|change| ui.line(change_json(change)));
        ui.line(summary_json(totals));
        return;
    }
    if totals.changes() == 0 {
        return;
    }
    let text: String = plans.iter().map(|plan| render(plan, ui.verbose > 0)).collect();
    ui.say(&format!("Plan for {}\n", session.place()));
    ui.say(plan_in_colour(&ui, &text).trim_end());
    ui.say(&format!("\n{}\n", counts(totals, false)));
}

async fn agreed(session: &Session, scene: &Scene, stage: Stage, plan: &Plan) -> bool {
    if session.global.yes || plan.is_empty() {
        return true;
    }
    scene.confirm(&format!("{stage}: {}. Go on?", counts(plan.totals(), false))).await
}

fn declined(session: &Session, scene: &Scene, changed: bool) -> Exit {
    match (scene.signalled(), changed) {
        (true, _) => Exit::Interrupted,
        (false, true) => {
            session.ui.tell("stopped here; run again to go on");
            Exit::Partial
        }
        (false, false) => {
            session.ui.tell("nothing was changed");
            Exit::Failed
        }
    }
}

/// Prints what failed and what was done; the exit code.
pub fn report(session: &Session, scene: &Scene, outcomes: &[Outcome]) -> Exit {
    let ui: Ui = session.ui;
    let mut exit = Exit::Done;
    let mut done = Totals::default();
    let (mut left, mut saved) = (0_usize, true);
    for outcome in outcomes {
        let Report { done: part, problems, left: open, saved: written, .. } = outcome.report();
        problems.iter().for_each(|problem| ui.problem(problem));
        done = done.plus(*part);
        left = left.saturating_add(*open);
        saved &= *written;
        exit = of_run(outcome, scene.signalled());
    }
    let place = session.place();
    match exit {
        Exit::Done if done.changes() == 0 => ui.tell(&format!("{place}: no changes")),
        Exit::Done => ui.tell(&format!("{place}: {}", ui.paint("32", &counts(done, true)))),
        _ => {
            let state = if saved { "the state is saved" } else { "the state is NOT saved" };
            ui.tell(&format!(
                "{place}: {}; {left} steps left; {state}: run again to go on",
                counts(done, true)
            ));
        }
    }
    if ui.json {
        ui.line(serde_json::json!({
            "type": "result", "exit": exit.code(), "create": done.create, "update": done.update,
            "replace": done.replace, "delete": done.delete, "adopt": done.adopt, "left": left, "saved": saved,
        }));
    }
    exit
}
