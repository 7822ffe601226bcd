//! The logs of the applications' pods.

use super::{OperationError, Workspace};
use crate::{
    aws::cluster_endpoint,
    engine::{ShutdownSignal, WaitOptions, wait_for},
    graph::cluster_name,
    kube::{ContainerRun, KubeClient, LogQuery, ObjectRef},
    model::{CallError, ErrorKind},
    stack::delivery::App,
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::{AbortHandle, JoinSet};

/// Kinds of the workload that carries the name of an application, in the order in which they are looked for.
const WORKLOADS: [&str; 3] = ["Deployment", "StatefulSet", "DaemonSet"];

/// How long logs are followed: until they are interrupted.
const FOREVER: Duration = Duration::from_hours(24 * 365);

/// Shows a line of a container's log. Returns whether more are wanted.
pub type ShowLine = Arc<dyn Fn(&ContainerRun, &str) -> bool + Send + Sync>;

/// The pods of a workload.
struct Workload {
    namespace: String,
    labels: BTreeMap<String, String>,
}

/// Hands the log lines of applications' containers to `show`: pod after pod, or with `follow` as they are written, those of
/// pods that start later included, until no more are wanted.
///
/// # Errors
/// Fails if the cluster or the workload of an application does not exist, and if a log cannot be read.
pub async fn application_logs(
    workspace: &Workspace,
    apps: &[&App],
    query: LogQuery,
    show: ShowLine,
) -> Result<(), OperationError> {
    let (clients, stack) = (&workspace.target.clients, &workspace.stack);
    let name = cluster_name(stack);
    let Some(there) = cluster_endpoint(clients, &name).await? else {
        return Err(OperationError::refused(
            format!("cluster `{name}` does not exist yet"),
            "run `provisioner up` to create it",
        ));
    };
    let cluster = KubeClient::new(clients, &there, &name, &stack.region)?;
    let mut workloads = Vec::new();
    for app in apps {
        workloads.push(workload(&cluster, app).await?);
    }
    if query.follow {
        return follow(workspace, &cluster, &workloads, query, show).await;
    }
    for (run, _) in runs(&cluster, &workloads).await? {
        if let Err(error) = cluster.read_log(&run, query, &*show).await {
            // A container without an earlier run has no log of it.
            let none = query.previous && run.restarts == 0;
            if !none {
                return Err(error.into());
            }
        }
    }
    Ok(())
}

/// Returns the workload that has the name of an application.
async fn workload(cluster: &KubeClient, app: &App) -> Result<Workload, OperationError> {
    for kind in WORKLOADS {
        let place = ObjectRef {
            api_version: "apps/v1".to_owned(),
            kind: kind.to_owned(),
            namespace: Some(app.namespace.clone()),
            name: app.release().to_owned(),
        };
        let Some(object) = cluster.get(&place).await? else { continue };
        let labels = object.pointer("/spec/selector/matchLabels").cloned().unwrap_or_default();
        let labels: BTreeMap<String, String> = serde_json::from_value(labels).unwrap_or_default();
        if labels.is_empty() {
            break;
        }
        return Ok(Workload { namespace: app.namespace.clone(), labels });
    }
    Err(OperationError::refused(
        format!("no Deployment, StatefulSet or DaemonSet {}/{} in the cluster", app.namespace, app.release()),
        "run `provisioner deploy`; for other pods use `kubectl logs` after `provisioner kubeconfig`",
    ))
}

/// Returns the containers of the workloads that have begun, sorted by pod, and whether each is running.
async fn runs(cluster: &KubeClient, workloads: &[Workload]) -> Result<Vec<(ContainerRun, bool)>, CallError> {
    let mut all = Vec::new();
    for Workload { namespace, labels } in workloads {
        let pods: Vec<Value> = cluster.pods(namespace, labels).await?;
        all.extend(pods.iter().flat_map(ContainerRun::of));
    }
    all.sort();
    Ok(all)
}

/// A log that is followed.
struct Followed {
    task: AbortHandle,
    /// When reading ended, if it did.
    ended: Arc<OnceLock<Instant>>,
}

/// Follows the logs. Each run of a container is read by a task of its own; which runs there are is asked again and again.
async fn follow(
    workspace: &Workspace,
    cluster: &KubeClient,
    workloads: &[Workload],
    query: LogQuery,
    show: ShowLine,
) -> Result<(), OperationError> {
    let (over, more) = (Arc::new(AtomicBool::new(false)), show);
    let ends = Arc::clone(&over);
    let show: ShowLine = Arc::new(move |run, text| {
        let wanted = more(run, text);
        ends.fetch_or(!wanted, Ordering::Relaxed);
        wanted
    });
    let logs: Mutex<(BTreeMap<ContainerRun, Followed>, JoinSet<()>)> = Mutex::default();
    let look = async || {
        if over.load(Ordering::Relaxed) {
            return Ok(Some(()));
        }
        let found = runs(cluster, workloads).await?;
        let (followed, tasks) = &mut *logs.lock().unwrap_or_else(PoisonError::into_inner);
        followed.retain(|run, _| found.iter().any(|(known, _)| known == run));
        // What starts later is read from its beginning.
        let tail = query.tail.filter(|_| followed.is_empty());
        for (run, running) in found {
            let mut query = LogQuery { tail, ..query };
            if let Some(before) = followed.get(&run) {
                if !(running && before.task.is_finished()) {
                    continue;
                }
                // The connection was lost: some lines are shown twice rather than none.
                let gap = before.ended.get().map_or(0, |ended| ended.elapsed().as_secs());
                query.since_seconds = Some(gap.saturating_add(2));
            }
            let (cluster, show, ended) = (cluster.clone(), Arc::clone(&show), Arc::new(OnceLock::new()));
            let (key, over) = (run.clone(), Arc::clone(&ended));
            let task = tasks.spawn(async move {
                // What prevents reading shows in the next look, or passes.
                let _ = cluster.read_log(&run, query, &*show).await;
                over.get_or_init(Instant::now);
            });
            followed.insert(key, Followed { task, ended });
        }
        Ok(None)
    };
    let options = WaitOptions { timeout: FOREVER, pace: workspace.target.pace };
    match wait_for(options, &ShutdownSignal::default(), look).await {
        Err(error) if error.class != ErrorKind::Interrupted => Err(error.into()),
        _ => Ok(()),
    }
}
