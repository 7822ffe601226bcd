//! The creation of the backend. Several first runs may do it at once, on several machines, and one key comes of it: the
//! bucket comes first, since AWS creates a name once; who creates the key is then decided by a conditional write of one
//! object in it.

use super::{
    OperationError, RunControl, RunOptions, Workspace,
    backend::{
        BUCKET, BackendStatus, KEY, backend_fault, backend_status, observed_backend, of_backend, untargeted,
    },
    workspace::{provider, settings},
};
use crate::{
    engine::{Run, StateWriter, observe},
    graph::{backend_bucket, backend_key},
    model::{
        Address, CallError, Entry, ErrorKind, Event, Outcome, Plan, Report, Sent, StepError, StepId,
        StepProgress,
    },
    os::lock_file,
    store::{Register, S3State},
};
use rustix::fs::{FlockOperation, flock};
use std::{collections::BTreeSet, sync::Arc};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// How often a run looks again after another run wrote the backend's record. Each time, another run got further.
const MAX_ROUNDS: u32 = 100;

/// The outcome of the election: the key, or how the run that was to create it ended.
type Elected = Result<Entry, Outcome>;

/// Creates what is missing of the backend, and restores what differs. Other first runs may do the same.
pub async fn make_backend(
    workspace: &Workspace,
    run: RunOptions,
    control: &RunControl,
) -> Result<Outcome, OperationError> {
    let _lock = lock_backend(workspace)?;
    let mut status = backend_status(workspace).await?;
    // The parts come to what the plan has shown, whichever run created them.
    let mut made = Report::new(&status.plan);
    if !status.bucket {
        let graph = backend_bucket(&status.graph);
        let BackendStatus { snapshot, observed, register, .. } = status;
        let plan = untargeted(&graph, &snapshot, &observed, &[BUCKET.to_owned()], false)?;
        let mut writer = StateWriter { snapshot, register };
        let outcome = run_backend(workspace, run, control, &plan, &mut writer).await;
        made.absorb(outcome.report());
        if !matches!(outcome, Outcome::Done(_)) {
            return Ok(outcome.with_report(made));
        }
        status = backend_status(workspace).await?;
    }
    if workspace.state.backend.key_arn.is_none() && !status.decided {
        let key = match elect_key(workspace, run, control, &status).await? {
            Ok(key) => key,
            Err(outcome) => {
                made.absorb(outcome.report());
                return Ok(outcome.with_report(made));
            }
        };
        made.note(&StepId::ensure(&Address::from(KEY)), Sent::Accepted, StepProgress::Done);
        status = observed_backend(workspace, Some(&key)).await?;
    }
    let BackendStatus { plan, snapshot, register, .. } = status;
    let mut writer = StateWriter { snapshot, register };
    let outcome = run_backend(workspace, run, control, &plan, &mut writer).await;
    made.absorb(outcome.report());
    if matches!(outcome, Outcome::Done(_)) {
        made.finish();
    }
    Ok(outcome.with_report(made))
}

/// Agrees with all other first runs on one key, and creates it if no other run does.
///
/// The register is an object in the bucket. A run that finds no intent in it writes its own, and creates the key only
/// if that write was the first. A run that finds another's intent looks for what that run creates; it takes over
/// when the call can no longer arrive, as for every create.
async fn elect_key(
    workspace: &Workspace,
    run: RunOptions,
    control: &RunControl,
    status: &BackendStatus,
) -> Result<Elected, OperationError> {
    let (graph, key) = (backend_key(&status.graph), Address::from(KEY));
    let (account, bucket) = (&workspace.state.backend.account, &workspace.state.backend.bucket);
    for _ in 0..MAX_ROUNDS {
        let store = S3State::backend(workspace.target.clients.clone(), account, bucket);
        let mut register = Register::new(Arc::new(store), &workspace.state.run, 0);
        let recorded = control.reading(workspace.patient(async || Ok(register.read().await?))).await?;
        let snapshot = of_backend(workspace, recorded)?;
        let provider = provider(workspace, &snapshot.owner(), &BTreeSet::new());
        let look = async { Ok(observe(&provider, &graph, &snapshot, false).await?) };
        let observed = control.reading(look).await?;
        let plan = untargeted(&graph, &snapshot, &observed, &[KEY.to_owned()], false);
        let plan = plan.map_err(|error| backend_fault(workspace, error))?;
        if let (true, Some(entry)) =
            (plan.steps.is_empty() && plan.refresh.is_empty(), snapshot.resources.get(&key))
        {
            return Ok(Ok(entry.clone()));
        }
        let (events, quiet) = without_lost(control.events.clone());
        let quieter = RunControl { events, ..control.clone() };
        let mut writer = StateWriter { snapshot, register };
        let outcome = run_backend(workspace, run, &quieter, &plan, &mut writer).await;
        drop(quieter);
        let _ = quiet.await;
        // Another run wrote its own record in the meantime.
        let lost = |problem: &StepError| problem.address.is_none() && problem.error.class == ErrorKind::Lost;
        let lost = outcome.report().problems.iter().any(lost);
        match (outcome, writer.snapshot.resources.get(&key)) {
            _ if lost => {}
            (Outcome::Done(_), Some(entry)) => return Ok(Ok(entry.clone())),
            (outcome, _) => return Ok(Err(outcome)),
        }
    }
    let text = format!("{bucket}: other runs keep changing the record of the backend");
    Err(CallError::new(ErrorKind::Deadline, text).hint("wait for them to finish, then run again").into())
}

/// Locks the backend against other processes of this folder. The lock ends when the file is closed.
pub(super) fn lock_backend(workspace: &Workspace) -> Result<std::fs::File, OperationError> {
    let file = |error: std::io::Error| {
        let error =
            CallError::new(ErrorKind::Other, format!("{}: {error}", workspace.folders.state.display()));
        OperationError::from(error.hint("free disk space or make the folder writable, then run again"))
    };
    std::fs::create_dir_all(&workspace.folders.state).map_err(file)?;
    let lock = lock_file(&workspace.folders.state.join("backend.lock")).map_err(file)?;
    flock(&lock, FlockOperation::LockExclusive).map_err(|error| file(error.into()))?;
    Ok(lock)
}

pub(super) async fn run_backend(
    workspace: &Workspace,
    options: RunOptions,
    control: &RunControl,
    plan: &Plan,
    writer: &mut StateWriter,
) -> Outcome {
    let run = Run {
        provider: Arc::new(provider(workspace, &writer.snapshot.owner(), &BTreeSet::new())),
        settings: settings(workspace, options),
        shutdown: control.shutdown.clone(),
        events: control.events.clone(),
    };
    run.execute(plan, writer).await
}

/// Returns a channel whose events are passed on, except that another run was first: this run then looks again.
fn without_lost(shown: UnboundedSender<Event>) -> (UnboundedSender<Event>, tokio::task::JoinHandle<()>) {
    let (events, mut received) = unbounded_channel();
    let passing = tokio::spawn(async move {
        while let Some(event) = received.recv().await {
            let benign = match &event {
                Event::StepFailed { problem, .. } => problem.error.class == ErrorKind::Lost,
                Event::RunStarted { .. } | Event::RunEnded { .. } => true,
                _ => false,
            };
            if !benign {
                // The printer may have ended.
                let _ = shown.send(event);
            }
        }
    });
    (events, passing)
}
