//! The values that every operation works on: a stack, the AWS that it is in, its state, and its folders.

use super::{
    Message, OperationError, Operator, StateAccess, Target, machine, options::RunOptions, patience::patiently,
};
use crate::{
    aws::{Cx, Local},
    engine::{AwsProvider, Settings, forecast},
    graph::{Backend, cluster_name},
    model::{
        Action, Address, Desired as _, Kind, KindInfo, ManifestSecrets, Owner, Plan, PlannedChange, Snapshot,
        StepError,
    },
    resources::{eks_cluster, handler},
    stack::Stack,
};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The local files of a stack.
#[derive(Clone, Debug)]
pub struct Folders {
    /// The stack file.
    pub file: PathBuf,
    /// The folder for local records, and for files that are not in the backend.
    pub state: PathBuf,
    /// The folder for cached files.
    pub cache: PathBuf,
}

impl Folders {
    /// Returns the folders of a stack file, with the records in `state` next to it.
    pub fn of(file: &Path, cache: &Path) -> Self {
        let state = file.parent().map_or_else(|| PathBuf::from("state"), |folder| folder.join("state"));
        Folders { file: file.to_owned(), state, cache: cache.to_owned() }
    }

    /// Returns what never belongs to an image: the stack file, its local records, in the sandbox's folder and outside of it,
    /// and the cache.
    pub fn own(&self) -> Vec<PathBuf> {
        vec![self.file.clone(), self.state.clone(), self.project().join("state"), self.cache.clone()]
    }

    /// Returns the folder of the stack file, in which the paths of the file start.
    pub fn project(&self) -> PathBuf {
        self.file.parent().map_or_else(PathBuf::new, Path::to_path_buf)
    }
}

/// A stack, where it is, and who works on it. Holds values only; the operations are functions of it.
pub struct Workspace {
    /// The parsed stack file.
    pub stack: Stack,
    /// The account and region.
    pub target: Target,
    /// Access to the recorded state.
    pub state: StateAccess,
    /// The local files.
    pub folders: Folders,
    /// Who is told and asked.
    pub operator: Arc<dyn Operator>,
    /// The values of the Secrets of the manifests, as the last plan read them.
    pub secrets: ManifestSecrets,
    /// What was told once.
    told: Mutex<BTreeSet<String>>,
}

impl Workspace {
    /// Returns the workspace of a stack. `command` names what runs, for others who wait for the state's lease; they wait at
    /// most `lock_timeout`.
    ///
    /// # Errors
    /// Refuses a stack whose file names another account than the target's.
    pub fn new(
        stack: Stack,
        target: Target,
        folders: Folders,
        operator: Arc<dyn Operator>,
        command: &str,
        lock_timeout: Duration,
    ) -> Result<Self, OperationError> {
        let account = &target.identity.account;
        if let Some(named) = stack.account.as_ref().filter(|named| *named != account) {
            let message = format!("the file is for account {named}, the credentials are for {account}");
            let help = Some(format!("log in to {named}, or change `account`"));
            return Err(stack.diagnostic("account", message, help).into());
        }
        let section = &stack.state;
        let (bucket, table, key) =
            (section.bucket.as_ref(), section.table.as_ref(), section.key_arn.as_ref());
        let state = StateAccess {
            clients: target.clients.clone(),
            backend: Backend::new(account, &stack.region, bucket, table, key),
            stack: stack.name.clone(),
            run: uuid::Uuid::new_v4().to_string(),
            command: command.to_owned(),
            lock_timeout,
        };
        Ok(Workspace {
            stack,
            target,
            state,
            folders,
            operator,
            secrets: ManifestSecrets::default(),
            told: Mutex::default(),
        })
    }

    /// Returns the stack, the region and the account, for messages.
    pub fn location(&self) -> String {
        format!("{} in {}", self.stack.name, self.region())
    }

    /// Returns the region and the account, for messages.
    pub fn region(&self) -> String {
        let sandbox = if self.target.is_sandbox() { ", SANDBOX" } else { "" };
        format!("{} (account {}{sandbox})", self.stack.region, self.target.identity.account)
    }

    /// Repeats `read` while AWS throttles it.
    pub async fn patient<T>(
        &self,
        read: impl AsyncFnMut() -> Result<T, OperationError>,
    ) -> Result<T, OperationError> {
        patiently(self.operator.as_ref(), read).await
    }

    /// Tells the operator something that may not be as it was intended.
    pub fn warn(&self, text: impl AsRef<str>) {
        self.operator.tell(Message::Warning(text.as_ref()));
    }

    /// Does what [`Self::warn`] does, unless this was told before: a run plans more than once.
    pub fn warn_once(&self, text: String) {
        let is_new = self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(text.clone());
        if is_new {
            self.warn(text);
        }
    }

    /// Tells the operator what is done, unless this was told before.
    pub fn tell_once(&self, text: String) {
        let is_new = self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(text.clone());
        if is_new {
            self.tell(text);
        }
    }

    /// Tells the operator what is of interest only to those who ask for more, unless this was told before.
    pub fn detail_once(&self, text: String) {
        let is_new = self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(text.clone());
        if is_new {
            self.operator.tell(Message::Detail(&text));
        }
    }

    /// Tells the operator what is done.
    pub fn tell(&self, text: impl AsRef<str>) {
        self.operator.tell(Message::Info(text.as_ref()));
    }

    /// Tells the operator what is refused or failed.
    pub fn problem(&self, problem: &StepError) {
        self.operator.tell(Message::Problem(problem));
    }
}

/// Returns the provider, which tags what it creates with `owner` and takes the fields of these objects from other managers.
pub fn provider(workspace: &Workspace, owner: &Owner, take_fields: &BTreeSet<Address>) -> AwsProvider {
    let local = Local {
        folder: workspace.folders.project(),
        cache: workspace.folders.cache.clone(),
        own: workspace.folders.own(),
        sandbox: workspace.target.is_sandbox(),
    };
    let (account, region) = (&workspace.target.identity.account, &workspace.stack.region);
    let cx = Cx::new(workspace.target.clients.clone(), owner.clone(), account, region).on(local);
    let cluster = workspace.stack.cluster.as_ref().map(|_| cluster_name(&workspace.stack));
    let cx = cx.taking_fields(take_fields).with_secrets(&workspace.secrets);
    AwsProvider::new(cx.with_clusters(cluster))
}

/// Returns the engine's settings for a run.
pub fn settings(workspace: &Workspace, run: RunOptions) -> Settings {
    Settings {
        parallelism: run.parallelism,
        pace: workspace.target.pace,
        run: workspace.state.run.clone(),
        process: machine::process(),
        host: Arc::new(machine::LocalMachine),
        approved: BTreeSet::new(),
        drain: false,
    }
}

/// Returns whether what runs on a resource has a place to move to before the resource is deleted: whether the plan keeps
/// the cluster.
pub fn drains(plan: &Plan) -> bool {
    let ends = |change: &PlannedChange| matches!(change.action, Action::Delete | Action::Replace);
    !plan.changes.iter().any(|change| change.kind == eks_cluster::Spec::KIND && ends(change))
}

/// Returns how long it should take to carry out plans one after the other.
pub fn expected_duration(workspace: &Workspace, plans: &[&Plan], snapshot: &Snapshot) -> Duration {
    let typical = |name: &str| kind(name).map_or(KindInfo::DEFAULT.typical, |kind| kind.typical);
    plans.iter().map(|plan| forecast(plan, snapshot, workspace.target.pace, &typical).whole()).sum()
}

/// Returns a kind by its name, without its AWS calls.
pub fn kind(name: &str) -> Option<Kind> {
    handler(name).map(|handler| handler.kind)
}
