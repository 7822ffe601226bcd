//! `up`: creates or updates a stack to match its file.

use super::{
    Conclusion, Message, OperationError, PlanOptions, Question, RunControl, RunOptions, Saved, Workspace,
    api_access::{self, Unreachable},
    backend::{BackendStatus, backend_status},
    backend_creation::make_backend,
    conclusion::{End, refused},
    existing_network::check_network,
    feasibility::{infeasible, refuse},
    forewarning::{forewarn, warn_of_balancers},
    lease_holding::{Held, give_back, hold, recorded},
    losses::{refusal_of, unaccepted},
    planning::{begin, desired, planned},
    pod_placement::check_pod_placement,
    rollback::way_back,
    run_record::RunRecorder,
    stack_record::{check_place, record_stack},
    taken_fields::not_rolled_out,
    unsaved::dump,
    workspace::{drains, expected_duration, provider, settings},
};
use crate::{
    engine::{Run, Settings},
    graph::is_of_application,
    model::{
        Action, Address, CallError, ErrorKind, Graph, Outcome, Plan, PlanRefusal, PlannedChange, Snapshot,
        Stage, StepError,
    },
};
use serde_json::Value;
use std::{collections::BTreeSet, sync::Arc};

/// One `up`: what it works on, and how.
struct Up<'a> {
    workspace: &'a Workspace,
    options: &'a PlanOptions,
    run: RunOptions,
    control: &'a RunControl,
    recorder: RunRecorder,
}

/// How an attempt ended.
enum Attempt {
    Ended(End),
    /// Another run created the stack in the meantime, so it has to be planned from its state.
    Overtaken,
}

/// Plans a stack, has the plan approved, and carries it out. With `saved`, carries out that plan or nothing.
pub async fn up(
    workspace: &Workspace,
    options: &PlanOptions,
    run: RunOptions,
    control: &RunControl,
    saved: Option<&Saved>,
) -> Conclusion {
    let mut conclusion = Conclusion::default();
    let up = Up { workspace, options, run, control, recorder: RunRecorder::new(workspace) };
    let result = match control.reading(begin(workspace)).await {
        Ok(()) => Box::pin(up.go(saved, &mut conclusion)).await,
        Err(failure) => Err(failure),
    };
    conclusion.ended(result)
}

impl Up<'_> {
    async fn go(&self, saved: Option<&Saved>, conclusion: &mut Conclusion) -> Result<End, OperationError> {
        let workspace = self.workspace;
        loop {
            let status = self.control.reading(backend_status(workspace)).await?;
            if !status.exists && self.options.only.is_some() {
                return Err(OperationError::refused(
                    format!("{}: the stack does not exist yet", workspace.location()),
                    "run `provisioner up` to create it",
                ));
            }
            let mut held = match status.exists {
                true => Some(hold(workspace, self.control).await?),
                false => None,
            };
            let result = self.attempt(&status, &mut held, saved, conclusion).await;
            if let Some(held) = held {
                give_back(workspace, held.lease).await;
            }
            if let Attempt::Ended(end) = result? {
                return Ok(end);
            }
        }
    }

    /// Plans, asks and runs. Takes the lease if it is not `held`, because there was no backend for it.
    async fn attempt(
        &self,
        status: &BackendStatus,
        held: &mut Option<Held>,
        saved: Option<&Saved>,
        conclusion: &mut Conclusion,
    ) -> Result<Attempt, OperationError> {
        let (workspace, control, backend) = (self.workspace, self.control, &status.plan);
        // Without a backend, the plan is that of a new stack.
        let mut preview = match &*held {
            Some(held) => held.writer.snapshot.clone(),
            None => control.reading(recorded(workspace)).await?,
        };
        if let (Some(saved), true) = (saved, preview.version == 0) {
            preview.lineage.clone_from(&saved.lineage);
        }
        control.reading(check_place(workspace, control, status, &preview)).await?;
        let (plan, shut) = control.reading(self.decide(&mut preview, Some(backend), saved)).await?;
        if let Some(held) = &mut *held {
            held.writer.snapshot = preview.clone();
        }
        self.show(backend, &plan, &preview);
        if let Some(end) = refused(&[backend, &plan]) {
            // Another first run may have created the backend since, and the resources that this plan takes for others'.
            let overtaken = held.is_none() && control.reading(backend_status(workspace)).await?.exists;
            return Ok(if overtaken { Attempt::Overtaken } else { Attempt::Ended(end) });
        }
        if !self.losses_approved(&plan).await {
            return Ok(Attempt::Ended(End::LossNotApproved));
        }
        if !backend.is_empty() || !backend.refresh.is_empty() {
            conclusion.intend(backend);
            if !self.approved(Some(Stage::Backend), backend).await {
                conclusion.intend(&plan);
                return Ok(Attempt::Ended(End::NotApproved));
            }
            let outcome = make_backend(workspace, self.run, control).await?;
            conclusion.add(&outcome);
            if !matches!(outcome, Outcome::Done(_)) {
                conclusion.intend(&plan);
                return Ok(Attempt::Ended(End::Ran));
            }
            // Another first run may have created parts of it since the plan was shown.
            conclusion.report.finish();
        }
        let held = match held {
            Some(held) => held,
            none => {
                let new = none.insert(hold(workspace, control).await?);
                // No state can exist without a bucket, so the lineage that the plan was created with counts.
                if new.writer.snapshot.version > 0 {
                    return Ok(Attempt::Overtaken);
                }
                new.writer.snapshot = preview;
                new
            }
        };
        conclusion.intend(&plan);
        self.stages(held, &plan, shut, conclusion).await.map(Attempt::Ended)
    }

    /// Returns the plan, and whether it deploys to a cluster that this machine probably cannot reach. With `backend`, the
    /// first plan of a run, it also checks whether the plan can be carried out.
    async fn decide(
        &self,
        snapshot: &mut Snapshot,
        backend: Option<&Plan>,
        saved: Option<&Saved>,
    ) -> Result<(Plan, bool), OperationError> {
        let (workspace, options) = (self.workspace, self.options);
        let graph = desired(workspace, options, snapshot).await?;
        let (mut plan, observed) = planned(workspace, options, &graph, snapshot).await?;
        if let (Some(saved), Some(backend)) = (saved, backend) {
            saved.check(workspace, options, snapshot, backend, &plan)?;
        }
        let shut = api_access::warn(workspace, &graph, &plan);
        if let Some(stage) = options.only {
            plan = only(stage, &graph, &plan)?;
            if !options.apps.is_empty() {
                let mine = of_apps(workspace, &options.apps, &graph, snapshot);
                plan = plan.of_addresses(&|address| mine.contains(address));
            }
        }
        if backend.is_some() {
            Box::pin(check_network(workspace, &plan)).await?;
            check_pod_placement(workspace, &graph, &plan)?.iter().for_each(|text| workspace.warn(text));
            match options.only {
                None => forewarn(workspace, snapshot, &plan),
                Some(_) => warn_of_balancers(workspace, &plan),
            }
            let refusals =
                Box::pin(infeasible(workspace, options, (&graph, snapshot), (&plan, &observed))).await?;
            if !refusals.is_empty() {
                return Err(refuse(workspace, &refusals));
            }
        }
        Ok((plan, shut))
    }

    fn show(&self, backend: &Plan, plan: &Plan, snapshot: &Snapshot) {
        let place = &self.workspace.location();
        let expected = expected_duration(self.workspace, &[backend, plan], snapshot);
        self.workspace.operator.tell(Message::Changes { place, backend, plan, expected });
    }

    async fn ask(&self, question: Question<'_>) -> bool {
        self.control.approved(self.workspace.operator.as_ref(), question).await
    }

    /// Asks before a part of the plan; without a stage, before what waits for all stages.
    async fn approved(&self, stage: Option<Stage>, plan: &Plan) -> bool {
        plan.is_empty() || self.ask(Question::Part(stage, plan)).await
    }

    /// Returns whether every loss of data in the plan was accepted in the options, or is approved. Reports the others.
    async fn losses_approved(&self, plan: &Plan) -> bool {
        let mut all = true;
        for (change, loses) in unaccepted(plan, self.options) {
            if !self.ask(Question::Loss(change, loses)).await {
                all = false;
                self.workspace.problem(&refusal_of(change, loses));
            }
        }
        all
    }

    /// Carries out the plan: at once, or stage by stage with a question before each.
    async fn stages(
        &self,
        held: &mut Held,
        plan: &Plan,
        shut: bool,
        conclusion: &mut Conclusion,
    ) -> Result<End, OperationError> {
        let workspace = self.workspace;
        let parts = match self.run.by_stage || shut {
            true => plan.parts(),
            false => vec![(None, plan.clone())],
        };
        for (stage, part) in parts {
            if part.changes_nothing() {
                continue;
            }
            if !self.approved(stage, &part).await {
                return Ok(End::NotApproved);
            }
            if shut
                && stage == Some(Stage::Application)
                && let Some(problem) = unreached(workspace).await?
            {
                conclusion.fail(problem);
                break;
            }
            let before = held.writer.snapshot.clone();
            let outcome = self.execute(held, &part).await;
            conclusion.add(&outcome);
            if let Some(back) = way_back(workspace, &before, &part, &outcome) {
                workspace.tell("the rollout failed: rolling back the application to the previous release");
                conclusion.add_rollback(&self.execute(held, &back).await);
            }
            if !matches!(outcome, Outcome::Done(_)) {
                break;
            }
        }
        if conclusion.changed()
            && conclusion.is_complete()
            && let Some((plan, outcome)) = self.remove_late(held).await
        {
            conclusion.intend(&plan);
            conclusion.add(&outcome);
        }
        let pending = not_rolled_out(workspace, self.options.only, plan, conclusion.is_complete());
        pending.into_iter().for_each(|problem| conclusion.fail(problem));
        Ok(End::Ran)
    }

    /// Looks once more for unrecorded resources with the stack's tags, such as one whose create call took effect
    /// after the run had abandoned it, and deletes them.
    async fn remove_late(&self, held: &mut Held) -> Option<(Plan, Outcome)> {
        // The nonce of an abandoned create is the only proof for such a resource.
        if held.writer.snapshot.abandoned.is_empty() {
            return None;
        }
        let mut snapshot = held.writer.snapshot.clone();
        let planned = self.control.reading(self.decide(&mut snapshot, None, None)).await;
        match planned.map(|(plan, _)| plan.stray_removals(&snapshot)) {
            Ok(plan) if plan.is_empty() => None,
            Ok(plan) => {
                self.show(&Plan::default(), &plan, &snapshot);
                if !self.approved(None, &plan).await {
                    return None;
                }
                let outcome = self.execute(held, &plan).await;
                Some((plan, outcome))
            }
            Err(_) => {
                self.workspace
                    .warn("the final search for unrecorded resources failed; the next run repeats it");
                None
            }
        }
    }

    async fn execute(&self, held: &mut Held, plan: &Plan) -> Outcome {
        let workspace = self.workspace;
        let run = Run {
            provider: Arc::new(provider(workspace, &held.writer.snapshot.owner(), &self.options.take_fields)),
            settings: Settings { drain: drains(plan), ..settings(workspace, self.run) },
            shutdown: self.control.shutdown.clone(),
            events: self.control.events.clone(),
        };
        let outcome = self.recorder.execute(workspace, run, plan, &mut held.writer).await;
        match outcome.report().saved {
            true => record_stack(workspace, &held.writer.snapshot),
            false => dump(workspace, &mut held.writer.snapshot),
        }
        outcome
    }
}

/// Returns the plan of one stage. It is refused while an earlier stage has resources to create or replace.
fn only(stage: Stage, graph: &Graph, plan: &Plan) -> Result<Plan, OperationError> {
    let new = |change: &&PlannedChange| {
        change.stage < stage && matches!(change.action, Action::Create | Action::Replace)
    };
    if let Some(change) = plan.changes.iter().find(new) {
        return Err(OperationError::refused(
            match change.action {
                Action::Replace => format!("cannot deploy: `{}` has to be replaced first", change.address),
                _ => format!("cannot deploy: `{}` does not exist yet", change.address),
            },
            "run `provisioner up` first",
        ));
    }
    // What is refused elsewhere concerns this stage only if something in it depends on that.
    let of_stage = |address: &Address| graph.get(address).is_some_and(|node| node.stage == stage);
    let concerns = |it: &&PlanRefusal| it.stage == stage || it.blocks.iter().any(of_stage);
    let refusals = plan.refusals.iter().filter(concerns).cloned().collect();
    Ok(Plan { refusals, ..plan.stage(stage) })
}

/// Returns the addresses of the applications of these names, and of what all applications share.
fn of_apps(workspace: &Workspace, names: &[String], graph: &Graph, snapshot: &Snapshot) -> BTreeSet<Address> {
    let others = workspace.stack.apps.iter().filter_map(|app| app.name.as_deref());
    let others: Vec<&str> = others.filter(|name| !names.iter().any(|it| it == name)).collect();
    let is_mine = |address: &Address, kind: &str, spec: &Value| {
        is_of_application(address, kind, spec, None)
            && !others.iter().any(|name| is_of_application(address, kind, spec, Some(name)))
    };
    let wanted = graph.nodes.iter().filter(|(address, node)| is_mine(address, &node.kind, &node.spec));
    let recorded = snapshot.resources.iter().filter(|(address, entry)| {
        !graph.nodes.contains_key(*address) && is_mine(address, &entry.kind, &entry.spec)
    });
    wanted.map(|(address, _)| address).chain(recorded.map(|(address, _)| address)).cloned().collect()
}

/// Returns why the application cannot be deployed from this machine, if the API server does not answer.
async fn unreached(workspace: &Workspace) -> Result<Option<StepError>, OperationError> {
    Ok(match api_access::unreachable(workspace).await? {
        Some(Unreachable::NoAnswer(why)) => {
            let error = CallError::new(ErrorKind::Refused, format!("the application is not deployed: {why}"));
            Some(error.hint(api_access::TO_DO).into())
        }
        _ => None,
    })
}
