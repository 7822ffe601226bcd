//! `down`: deletes a stack, and proves that nothing is left.

use super::{
    Conclusion, Message, OperationError, PlanOptions, Question, RemovalProof, RunControl, RunOptions,
    Workspace,
    backend::{BackendStatus, backend_is_there, backend_status},
    backend_removal::{check_backend_unused, name_spare_keys, remove_backend},
    blocked_deletions::{blocked_deletions, kept, sweep_clusters, sweep_network},
    cluster_tenants::check_tenants,
    conclusion::{End, refused},
    down_checks::{forget_cluster_objects, refuse_dependents, stray_left, tell_unseen},
    ended_with_cluster::{ending_with_cluster, record_ended},
    kept_objects::kept_objects,
    lease_holding::{Held, give_back, hold, recorded},
    planning::{decide, unrecorded},
    proof::{prove_removal, tell_kept_volumes, traces, traces_of},
    run_record::RunRecorder,
    stack_record::{last_stack, record_stack},
    unsaved::dump,
    workspace::{drains, provider, settings},
};
use crate::{
    aws::Traces,
    engine::{LeaseGuard, Run, Settings, StateWriter, sweep},
    graph::is_of_application,
    model::{Address, Graph, Observed, Outcome, Phase, Plan, Record, Snapshot, Stray},
    plan::{Strays, left_dependents},
};
use std::{collections::BTreeSet, sync::Arc};

/// What `down` deletes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DownScope {
    /// The stack, or the targets of the options.
    #[default]
    Stack,
    /// Only the applications: their Kubernetes objects and their images. With a name, that one alone.
    Application(Option<String>),
    /// The stack, and the backend unless another stack uses it.
    StackAndBackend,
}

/// What `down` did. Not a `Result`, so that `?` cannot drop what was deleted.
#[derive(Debug, Default)]
#[must_use]
pub struct Removal {
    /// The deletion of the stack's resources; `None` if there was nothing to delete.
    pub stack: Option<Conclusion>,
    /// Resources with the stack's tags that are left, because nothing proves that they are the stack's.
    pub left: Vec<Stray>,
    /// The deletion of the backend; `None` if it was not to be deleted, or this was not approved.
    pub backend: Option<Conclusion>,
    /// Whether the backend is left because another stack uses it.
    pub backend_in_use: bool,
    /// By what the stack is looked for in the end.
    pub traces: Option<Traces>,
    /// What queries by the stack's tags and those of its clusters found in the end; `None` if the stack was not to be deleted completely.
    pub proof: Option<RemovalProof>,
    /// The error that ended it.
    pub error: Option<OperationError>,
}

impl Removal {
    /// Returns whether AWS may not be as it was before.
    pub fn changed(&self) -> bool {
        self.stack.iter().chain(&self.backend).any(Conclusion::changed)
    }

    /// Returns whether everything was deleted, as far as it was approved.
    pub fn is_complete(&self) -> bool {
        let complete = self.stack.iter().chain(&self.backend).all(Conclusion::is_complete);
        let nothing_left = self.left.is_empty() && self.proof.as_ref().is_none_or(RemovalProof::is_empty);
        complete && nothing_left && !self.backend_in_use && self.error.is_none()
    }
}

/// One `down`: what it works on, and how.
struct Down<'a> {
    workspace: &'a Workspace,
    scope: DownScope,
    options: PlanOptions,
    run: RunOptions,
    control: &'a RunControl,
}

/// Deletes a stack, or a part of it, after approval.
pub async fn down(
    workspace: &Workspace,
    scope: DownScope,
    options: &PlanOptions,
    run: RunOptions,
    control: &RunControl,
) -> Removal {
    let mut removal = Removal::default();
    let mut down = Down { workspace, scope, options: options.clone(), run, control };
    removal.error = down.go(&mut removal).await.err();
    removal
}

impl Down<'_> {
    async fn go(&mut self, removal: &mut Removal) -> Result<(), OperationError> {
        let (workspace, control) = (self.workspace, self.control);
        if let DownScope::Application(name) = &self.scope {
            let found = control.reading(application(workspace, name.as_deref())).await?;
            let Some(targets) = found else {
                let what =
                    name.as_ref().map_or_else(|| "no application".to_owned(), |it| format!("no `{it}`"));
                workspace.tell(format!("{}: {what} is deployed", workspace.location()));
                return Ok(());
            };
            self.options.targets = targets;
        }
        if workspace.stack.protect {
            let help = Some("set `protect: false`, then run `provisioner down` again".to_owned());
            let error = workspace.stack.diagnostic("protect", "the stack is protected".to_owned(), help);
            return Err(error.into());
        }
        if self.scope == DownScope::StackAndBackend {
            // What the backend still serves is asked before anything is changed.
            let status = control.reading(backend_status(workspace)).await?;
            if !status.any {
                workspace.tell(format!("{}: no backend found, nothing to delete", workspace.location()));
                self.tell_last_stack().await;
                return self.prove(removal).await;
            }
            if !status.exists {
                return self.rest_of_backend(&status, removal).await;
            }
            let state = control.reading(recorded(workspace)).await?;
            let known = state.version > 0 || state.epoch > 0;
            control.reading(check_backend_unused(workspace, &status, known)).await?;
        }
        if !control.reading(backend_is_there(workspace)).await? {
            workspace.tell(format!("{}: no state found, nothing to delete", workspace.location()));
            self.tell_last_stack().await;
            return self.prove(removal).await;
        }
        let held = hold(workspace, control).await?;
        Box::pin(self.under_lease(held, removal)).await
    }

    async fn under_lease(&self, held: Held, removal: &mut Removal) -> Result<(), OperationError> {
        let (workspace, Held { lease, mut writer }) = (self.workspace, held);
        let mut deleted = self.stack(&mut writer, removal).await;
        if self.scope == DownScope::StackAndBackend && matches!(deleted, Ok(true)) {
            // Deleting the backend deletes all old versions of the state, so nothing that they record may be left.
            match prove_removal(workspace, &traces(workspace), self.control).await {
                Ok(proof) if proof.is_empty() => deleted = self.backend(lease, removal).await,
                Ok(_) => give_back(workspace, lease).await,
                Err(failure) => {
                    give_back(workspace, lease).await;
                    return Err(failure);
                }
            }
        } else {
            give_back(workspace, lease).await;
        }
        match deleted? && self.options.targets.is_empty() {
            true => self.prove(removal).await,
            false => Ok(()),
        }
    }

    async fn prove(&self, removal: &mut Removal) -> Result<(), OperationError> {
        let by = removal.traces.clone().unwrap_or_else(|| traces(self.workspace));
        removal.proof = Some(Box::pin(prove_removal(self.workspace, &by, self.control)).await?);
        Ok(())
    }

    /// Tells which stack the file described before, as this one does not exist.
    async fn tell_last_stack(&self) {
        if let Some(error) =
            self.control.reading(async { Ok(last_stack(self.workspace).await) }).await.ok().flatten()
        {
            self.workspace.warn(format!("{}; {}", error.message, error.hint.unwrap_or_default()));
        }
    }

    async fn ask(&self, question: Question<'_>) -> bool {
        self.control.approved(self.workspace.operator.as_ref(), question).await
    }

    /// Deletes the stack's resources. Returns whether all of them are deleted.
    async fn stack(&self, writer: &mut StateWriter, removal: &mut Removal) -> Result<bool, OperationError> {
        let (workspace, control) = (self.workspace, self.control);
        let (place, whole) = (&workspace.location(), self.options.targets.is_empty());
        if whole {
            control.reading(forget_cluster_objects(workspace, &mut writer.snapshot)).await?;
        }
        let (plan, observed) = control.reading(self.plan(&writer.snapshot, Strays::RemoveProven)).await?;
        // The objects of an application that another part's objects come after can be deleted all the same.
        if !matches!(self.scope, DownScope::Application(_)) {
            refuse_dependents(&self.options.targets, &left_dependents(&plan, &writer.snapshot, &observed))?;
        }
        let tenants = Box::pin(check_tenants(workspace, &plan, &writer.snapshot, &observed));
        if let Some(refused) = control.reading(tenants).await?.into_iter().next() {
            return Err(OperationError::Step(refused));
        }
        let traces = removal.traces.insert(traces_of(workspace, &plan, &writer.snapshot, &observed));
        control.reading(tell_kept_volumes(workspace, traces)).await?;
        let blocked = blocked_deletions(workspace, &plan, &writer.snapshot, &observed);
        let mut blocked = control.reading(Box::pin(blocked)).await?;
        let objects = kept_objects(workspace, &self.options, &plan, &writer.snapshot, &observed, true);
        blocked.extend(control.reading(Box::pin(objects)).await?);
        let kept = kept(&plan, &writer.snapshot, &observed, &blocked);
        let (whole_plan, mut plan) = (plan.clone(), plan.without(&kept));
        let known = writer.snapshot.version > 0;
        if !blocked.is_empty() {
            workspace.operator.tell(Message::Blocked { blocked: &blocked, all: plan.is_empty() });
        }
        workspace.operator.tell(Message::Deletions { place, plan: &plan });
        let end = match refused(&[&plan]) {
            None if !plan.is_empty() && !self.ask(Question::Deletion(place)).await => Some(End::NotApproved),
            end => end,
        };
        if let Some(end) = end {
            removal.stack = Some(Conclusion { end, ..Conclusion::default() });
            return Ok(false);
        }
        let approved = self.strays(&writer.snapshot, &mut plan, &kept).await?;
        if plan.changes_nothing() && !known {
            self.tell_last_stack().await;
            return Ok(true);
        }
        if plan.is_empty() && !blocked.is_empty() {
            let conclusion = removal.stack.insert(Conclusion::default());
            conclusion.intend(&whole_plan);
            blocked.iter().for_each(|blocked| conclusion.fail(blocked.problem()));
            workspace.operator.tell(Message::Concluded { place, conclusion });
            return Ok(false);
        }
        if whole {
            writer.record([Record::Phase(Phase::Destroying)]).await?;
        }
        sweep_network(workspace, &plan, &writer.snapshot, &observed).await;
        let run = Run {
            provider: Arc::new(
                provider(workspace, &writer.snapshot.owner(), &BTreeSet::new())
                    .with_clusters(traces.clusters.iter().cloned()),
            ),
            settings: Settings { approved, drain: drains(&plan), ..settings(workspace, self.run) },
            shutdown: control.shutdown.clone(),
            events: control.events.clone(),
        };
        let conclusion = removal.stack.insert(Conclusion::default());
        conclusion.intend(&whole_plan);
        let ending = ending_with_cluster(&plan, &observed);
        let recorder = RunRecorder::new(workspace);
        let outcome = recorder.execute(workspace, run, &plan.without(&ending), writer).await;
        conclusion.add(&outcome);
        if outcome.report().saved {
            record_ended(writer, &plan, &ending, conclusion).await?;
        }
        blocked.iter().for_each(|blocked| conclusion.fail(blocked.problem()));
        match outcome.report().saved {
            true => record_stack(workspace, &writer.snapshot),
            false => dump(workspace, &mut writer.snapshot),
        }
        workspace.operator.tell(Message::Concluded { place, conclusion });
        let complete = conclusion.is_complete();
        if complete {
            sweep_clusters(workspace, &plan, &writer.snapshot.owner(), &observed).await;
        }
        // The state stays as it is for `state import`, which records them under its lineage.
        if complete && !plan.strays.is_empty() {
            plan.strays.iter().for_each(|stray| workspace.problem(&stray_left(stray)));
            removal.left = plan.strays;
            return Ok(false);
        }
        let Snapshot { resources, intents, .. } = &writer.snapshot;
        if whole && complete && resources.is_empty() && intents.is_empty() {
            // The tombstone keeps the lineage, which identifies a resource that appears late as this stack's.
            writer.record([Record::Phase(Phase::Destroyed)]).await?;
        }
        Ok(complete)
    }

    /// Asks about resources that carry the stack's tags without proof that they are its own. Returns the addresses that
    /// are deleted; anyone who may write tags could have tagged the others.
    async fn strays(
        &self,
        snapshot: &Snapshot,
        plan: &mut Plan,
        kept: &BTreeSet<Address>,
    ) -> Result<BTreeSet<Address>, OperationError> {
        if plan.strays.is_empty() || !self.ask(Question::Strays(&plan.strays)).await {
            return Ok(BTreeSet::new());
        }
        let (all, _) = self.control.reading(self.plan(snapshot, Strays::RemoveAll)).await?;
        let asked: BTreeSet<Address> = plan.strays.iter().map(|stray| stray.address.clone()).collect();
        // What appeared since then was not asked about.
        let new = |address: &Address| {
            !asked.contains(address)
                && !snapshot.resources.contains_key(address)
                && !plan.changes.iter().any(|change| change.address == *address)
        };
        if let Some(change) = all.changes.iter().find(|change| new(&change.address)) {
            let message = format!("{}: appeared while you were asked", change.address);
            return Err(OperationError::refused(message, "run `provisioner down` again"));
        }
        *plan = all.without(kept);
        Ok(asked)
    }

    /// Plans the deletion of everything that is recorded, intended or tagged.
    async fn plan(&self, snapshot: &Snapshot, strays: Strays) -> Result<(Plan, Observed), OperationError> {
        let (workspace, nothing) = (self.workspace, Graph::default());
        let provider = provider(workspace, &snapshot.owner(), &BTreeSet::new());
        let unknown = unrecorded(workspace, &nothing, snapshot).await?;
        let observed = sweep(&provider, &nothing, snapshot, &unknown).await?;
        tell_unseen(workspace, snapshot, &observed);
        let plan = decide(workspace, &self.options, &nothing, snapshot, &observed, strays)?;
        Ok((plan, observed))
    }

    /// Deletes the backend that an earlier run deleted in part. Without its table, no lease can be acquired.
    async fn rest_of_backend(
        &self,
        status: &BackendStatus,
        removal: &mut Removal,
    ) -> Result<(), OperationError> {
        let (workspace, control) = (self.workspace, self.control);
        let state = control.reading(recorded(workspace)).await?;
        if !state.resources.is_empty() || !state.intents.is_empty() {
            let message =
                format!("the backend is incomplete, and holds the state of {}", workspace.stack.name);
            return Err(OperationError::refused(
                message,
                "run `provisioner up` to create what is missing, then run `down` again",
            ));
        }
        control.reading(check_backend_unused(workspace, status, false)).await?;
        match self.remove_backend(removal).await? {
            true => self.prove(removal).await,
            false => Ok(()),
        }
    }

    /// Asks, and deletes the bucket, the table and the key. Returns whether nothing failed.
    async fn remove_backend(&self, removal: &mut Removal) -> Result<bool, OperationError> {
        let workspace = self.workspace;
        let bucket = &workspace.state.backend.bucket;
        if !self.ask(Question::BackendRemoval(bucket)).await {
            workspace.tell("the backend was not deleted");
            return Ok(true);
        }
        let (outcome, kept) = remove_backend(workspace, self.run, self.control).await?;
        let conclusion = removal.backend.insert(Conclusion::default());
        conclusion.add(&outcome);
        let place = &workspace.location();
        workspace.operator.tell(Message::Concluded { place, conclusion });
        let complete = conclusion.is_complete();
        if let (Some(id), Outcome::Done(_)) = (&kept, &outcome) {
            workspace.warn(format!(
                "key {id} was not deleted: s3://{bucket}, which it encrypts, was not found; if that bucket was \
                 deleted, run `aws kms schedule-key-deletion --key-id {id}`",
            ));
        }
        if complete && kept.is_none() {
            name_spare_keys(workspace, None).await?;
        }
        Ok(complete)
    }

    /// Deletes the backend, unless another stack's state is in it. Returns whether nothing failed.
    async fn backend(&self, lease: LeaseGuard, removal: &mut Removal) -> Result<bool, OperationError> {
        let workspace = self.workspace;
        // Another stack may have been created since it was asked first.
        let unused = self.control.reading(async {
            let status = backend_status(workspace).await?;
            check_backend_unused(workspace, &status, true).await
        });
        let unused = unused.await;
        give_back(workspace, lease).await;
        match unused {
            Ok(()) => self.remove_backend(removal).await,
            Err(failure) => {
                workspace.operator.tell(Message::Failure(&failure));
                removal.backend_in_use = true;
                Ok(false)
            }
        }
    }
}

/// Returns the addresses of the objects and images of one application, or of all. `None` if none is deployed.
async fn application(
    workspace: &Workspace,
    name: Option<&str>,
) -> Result<Option<Vec<String>>, OperationError> {
    if !backend_is_there(workspace).await? {
        return Ok(None);
    }
    let snapshot = recorded(workspace).await?;
    let made = snapshot.resources.iter().map(|(at, entry)| (at, &entry.kind, &entry.spec));
    let begun = snapshot.intents.iter().map(|(at, intent)| (at, &intent.kind, &intent.request));
    let mine = made.chain(begun).filter(|(at, kind, spec)| is_of_application(at, kind, spec, name));
    let all: Vec<String> = mine.map(|(at, ..)| at.to_string()).collect();
    Ok((!all.is_empty()).then_some(all))
}
