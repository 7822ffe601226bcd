//! A program other than the command line: it plans, creates, inspects and deletes a stack by calling `operations` with
//! values, without a terminal, arguments or an exit code.

use async_trait::async_trait;
use provisioner::{
    model::{Action, Event, Stage},
    operations::{
        Conclusion, DownScope, End, Folders, Message, OperationError, Operator, PlanOptions, Question,
        Removal, RunControl, RunOptions, StackStatus, StatusReport, Target, TargetEndpoint, Unattended,
        Workspace, down, plan, status, up,
    },
    sandbox::{Control, Sandbox, StartOptions},
    stack::{self, Stack},
};
use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const NETWORK: &str = "name: shop\nregion: eu-central-1\nnetwork: {nat: none}\n";

/// A sandbox in a folder of its own, which ends with it.
struct Loopback {
    folder: tempfile::TempDir,
    sandbox: Sandbox,
    endpoint: TargetEndpoint,
}

impl Loopback {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::new(folder.path(), &super::common::cache().join("provisioner"));
        let running = sandbox.ensure(StartOptions::default(), &|_| {}).unwrap();
        let time_scale = Control::new(&running).time_scale().unwrap();
        let endpoint =
            TargetEndpoint::Sandbox { url: running.endpoint, access_key: running.access_key, time_scale };
        Loopback { folder, sandbox, endpoint }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The values of one operation on a stack.
    async fn workspace(
        &self,
        stack: Stack,
        operator: Arc<dyn Operator>,
    ) -> Result<Workspace, OperationError> {
        let target = Target::connect(self.endpoint.clone(), &stack, operator.as_ref()).await?;
        // No file is at this path: the stack is a value.
        let folders =
            Folders::of(&self.path().join("stack.yaml"), &super::common::cache().join("provisioner"));
        Workspace::new(stack, target, folders, operator, "a program", Duration::ZERO)
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        let _ = self.sandbox.stop();
    }
}

fn network() -> Stack {
    stack::load_with("a value", NETWORK.as_bytes(), &|_| None, &[]).unwrap()
}

/// An operator that approves the stages it was told to, and remembers what it was told and asked.
#[derive(Default)]
struct Recorder {
    approved: BTreeSet<Stage>,
    asked: Mutex<Vec<String>>,
    told: Mutex<Vec<String>>,
}

#[async_trait]
impl Operator for Recorder {
    fn tell(&self, message: Message<'_>) {
        let text = match message {
            Message::Changes { backend, plan, .. } => {
                format!("{} and {} changes", backend.changes.len(), plan.changes.len())
            }
            other => format!("{other:?}"),
        };
        self.told.lock().unwrap().push(text);
    }

    async fn approve(&self, question: Question<'_>) -> bool {
        let Question::Part(stage, _) = question else { return false };
        self.asked.lock().unwrap().push(stage.map_or("deletions", Stage::name).to_owned());
        stage.is_some_and(|stage| self.approved.contains(&stage))
    }
}

/// A run's control, and where its events arrive.
fn control() -> (RunControl, UnboundedReceiver<Event>) {
    let (events, receiver) = unbounded_channel();
    (RunControl::new(events), receiver)
}

async fn applied(workspace: &Workspace, run: RunOptions) -> (Conclusion, Vec<Event>) {
    let (control, mut receiver) = control();
    let conclusion = up(workspace, &PlanOptions::default(), run, &control, None).await;
    drop(control);
    let mut events = Vec::new();
    while let Ok(event) = receiver.try_recv() {
        events.push(event);
    }
    (conclusion, events)
}

async fn present(workspace: &Workspace) -> Box<StatusReport> {
    match status(workspace, &PlanOptions::default()).await.unwrap() {
        StackStatus::Present(report) => report,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_plans_creates_inspects_and_deletes_a_stack_with_values() {
    let loopback = Loopback::start();
    let workspace = loopback.workspace(network(), Arc::new(Unattended)).await.unwrap();
    let options = PlanOptions::default();

    let planned = plan(&workspace, &options).await.unwrap();
    assert!(!planned.is_refused());
    assert!(planned.plan.changes.iter().all(|change| change.action == Action::Create));
    let (of_backend, of_stack) = (planned.backend.changes.len(), planned.plan.changes.len());
    assert!(of_backend == 3 && of_stack > 10, "{of_backend}, {of_stack}");

    let (conclusion, events) = applied(&workspace, RunOptions::default()).await;
    assert!(conclusion.is_complete(), "{conclusion:?}");
    assert_eq!(conclusion.report.done().create, of_backend + of_stack);
    assert!(
        events.iter().any(|event| matches!(event, Event::RunEnded { failed: 0, left: 0, .. })),
        "{events:?}"
    );

    let report = present(&workspace).await;
    assert_eq!(report.snapshot.resources.len(), of_stack);
    let kinds: BTreeSet<&str> = report.snapshot.resources.values().map(|entry| entry.kind.as_str()).collect();
    assert!(["vpc", "subnet", "route_table"].iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
    for address in report.snapshot.resources.keys() {
        assert_eq!(report.health(address).0, "ready", "{address}");
    }
    assert!(report.holder.is_none() && report.strays.is_empty() && report.plan.is_empty());

    let again = plan(&workspace, &options).await.unwrap();
    assert!(again.backend.is_empty() && again.plan.is_empty(), "{:?}", again.plan.changes);

    let (control, _events) = control();
    let scope = DownScope::StackAndBackend;
    let removal: Removal = down(&workspace, scope, &options, RunOptions::default(), &control).await;
    assert!(removal.is_complete(), "{removal:?}");
    assert_eq!(removal.stack.unwrap().report.done().delete, of_stack);
    assert_eq!(removal.backend.unwrap().report.done().delete, of_backend);
    assert!(removal.proof.unwrap().left.is_empty());
    assert!(matches!(status(&workspace, &options).await.unwrap(), StackStatus::Absent(None)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_decides_stage_by_stage_and_can_stop_a_run() {
    let loopback = Loopback::start();
    let by_stage = RunOptions { by_stage: true, ..RunOptions::default() };

    let nobody = Arc::new(Recorder::default());
    let workspace = loopback.workspace(network(), nobody.clone()).await.unwrap();
    let (conclusion, events) = applied(&workspace, by_stage).await;
    assert!(matches!(conclusion.end, End::NotApproved) && !conclusion.changed(), "{conclusion:?}");
    assert_eq!(*nobody.asked.lock().unwrap(), ["backend"]);
    assert!(events.is_empty(), "{events:?}");
    assert!(nobody.told.lock().unwrap().iter().any(|text| text.starts_with("3 and ")), "{:?}", nobody.told);

    let backend = Recorder { approved: BTreeSet::from([Stage::Backend]), ..Recorder::default() };
    let backend = Arc::new(backend);
    let workspace = loopback.workspace(network(), backend.clone()).await.unwrap();
    let (conclusion, _) = applied(&workspace, by_stage).await;
    assert!(matches!(conclusion.end, End::NotApproved) && conclusion.changed(), "{conclusion:?}");
    assert_eq!(conclusion.report.done().create, 3);
    assert!(conclusion.report.left() > 10);
    assert_eq!(*backend.asked.lock().unwrap(), ["backend", "network"]);

    let (control, _events) = control();
    control.shutdown.drain();
    let workspace = loopback.workspace(network(), Arc::new(Unattended)).await.unwrap();
    let conclusion = up(&workspace, &PlanOptions::default(), by_stage, &control, None).await;
    assert!(matches!(conclusion.end, End::Failed(_)) && !conclusion.changed(), "{conclusion:?}");
}
