//! The backend as an operation sees it: known from the local record, or found by name, and what `up` would do about it.

use super::{
    OperationError, Workspace,
    workspace::{kind, provider},
};
use crate::{
    engine::{Provider as _, observe},
    graph::{BACKEND, backend},
    model::{
        Address, CallError, Desired as _, Entry, ErrorKind, Graph, LeftBehind, Observation, Observed, Plan,
        Readiness, Snapshot, StepError, tag,
    },
    plan::{Consent, Strays},
    resources::{Lookup, kms_key},
    store::{LocalState, Register},
};
use serde_json::Value;
use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

/// The address of the state bucket.
pub const BUCKET: &str = "backend/bucket";
/// The address of the lock table.
pub const TABLE: &str = "backend/table";
/// The address of the key that encrypts both.
pub const KEY: &str = "backend/key";

/// What exists of the backend, and what `up` would do about it.
pub struct BackendStatus {
    /// Whether the bucket and the table exist and are ready.
    pub exists: bool,
    /// Whether any part of the backend exists.
    pub any: bool,
    /// Whether the bucket exists.
    pub bucket: bool,
    /// What `up` would change in the backend.
    pub plan: Plan,
    /// Whether the bucket says which key is the backend's, so that no key is created any more.
    pub(super) decided: bool,
    pub(super) graph: Graph,
    pub(super) observed: Observed,
    pub(super) snapshot: Snapshot,
    pub(super) register: Register,
}

impl BackendStatus {
    /// Returns what exists at `address`.
    pub fn live(&self, address: &str) -> Option<&Value> {
        self.observed.found.get(&Address::from(address)).map(|found| &found.live)
    }
}

/// Returns a text field of a live form.
pub(super) fn text<'a>(live: &'a Value, field: &str) -> Option<&'a str> {
    live.get(field).and_then(Value::as_str)
}

fn backend_record(workspace: &Workspace) -> PathBuf {
    workspace.folders.state.join(format!("backend-{}.json", workspace.state.backend.bucket))
}

pub(super) async fn read_backend(workspace: &Workspace) -> Result<(Snapshot, Register), OperationError> {
    let path = backend_record(workspace);
    let mut register = Register::new(Arc::new(LocalState::new(path.clone())), &workspace.state.run, 0);
    let snapshot = register.read().await.and_then(|snapshot| of_backend(workspace, snapshot));
    let mut snapshot = snapshot.map_err(|error| {
        error
            .hint(format!("delete {}, so that the backend is found by its name and its tags", path.display()))
    })?;
    // If the file names another table, the recorded one belongs to other stacks.
    let table = Address::from(TABLE);
    let name = snapshot.resources.get(&table).and_then(|entry| entry.spec.get("name"));
    if name.is_some_and(|name| *name != workspace.state.backend.table) {
        snapshot.resources.remove(&table);
    }
    Ok((snapshot, register))
}

/// Returns a record of the backend, or a new one, after checking that it is of this account and region.
pub(super) fn of_backend(workspace: &Workspace, snapshot: Option<Snapshot>) -> Result<Snapshot, CallError> {
    let (account, region) = (&workspace.target.identity.account, &workspace.stack.region);
    let snapshot =
        snapshot.unwrap_or_else(|| Snapshot::new(&workspace.state.backend.owner(), account, region));
    match snapshot.belongs_to(BACKEND, account, region) {
        Ok(()) => Ok(snapshot),
        Err(error) => Err(CallError::new(ErrorKind::Refused, error.to_string())),
    }
}

pub(super) fn backend_graph(workspace: &Workspace, recorded: &Snapshot) -> Graph {
    backend(&workspace.state.backend, recorded.resources.contains_key(&Address::from(KEY)))
}

/// Returns whether the backend exists: by the local record if that is complete, else by asking AWS. That
/// is enough for a command that only reads.
pub async fn backend_is_there(workspace: &Workspace) -> Result<bool, OperationError> {
    let (snapshot, _) = read_backend(workspace).await?;
    let recorded = |address: &str| snapshot.resources.contains_key(&Address::from(address));
    Ok((recorded(BUCKET) && recorded(TABLE)) || backend_status(workspace).await?.exists)
}

/// Observes the whole backend, and plans it.
pub async fn backend_status(workspace: &Workspace) -> Result<BackendStatus, OperationError> {
    workspace.patient(async || observed_backend(workspace, None).await).await
}

/// Does the same with the key that the first runs agreed on.
pub(super) async fn observed_backend(
    workspace: &Workspace,
    elected: Option<&Entry>,
) -> Result<BackendStatus, OperationError> {
    let (mut snapshot, register) = read_backend(workspace).await?;
    let key = Address::from(KEY);
    if let Some(entry) = elected {
        snapshot.resources.insert(key.clone(), entry.clone());
    }
    let graph = backend_graph(workspace, &snapshot);
    let provider = provider(workspace, &snapshot.owner(), &BTreeSet::new());
    let observed = observe(&provider, &graph, &snapshot, false).await;
    let mut observed = observed.map_err(|error| backend_fault(workspace, error))?;
    let decided = bucket_key(workspace, &graph, &mut snapshot, &mut observed).await?;
    let plan = untargeted(&graph, &snapshot, &observed, &[], false);
    let plan = plan.map_err(|error| backend_fault(workspace, error))?;
    // A table that another first run is creating cannot hold a lease yet.
    let ready = |address: &str| {
        observed.found.get(&Address::from(address)).is_some_and(|found| {
            kind(&found.kind).is_some_and(|kind| (kind.ready)(&found.live) == Ok(Readiness::Ready))
        })
    };
    Ok(BackendStatus {
        exists: ready(BUCKET) && ready(TABLE),
        any: !observed.found.is_empty(),
        bucket: observed.found.contains_key(&Address::from(BUCKET)),
        decided,
        plan,
        graph,
        observed,
        snapshot,
        register,
    })
}

/// Takes the key that the bucket is encrypted with as the backend's, if it carries the backend's tag. Another one with
/// that tag was created by a first run that lost a race, and encrypts nothing. Returns whether the bucket names a key.
async fn bucket_key(
    workspace: &Workspace,
    graph: &Graph,
    snapshot: &mut Snapshot,
    observed: &mut Observed,
) -> Result<bool, OperationError> {
    let (bucket, key) = (Address::from(BUCKET), Address::from(KEY));
    let named = observed.found.get(&bucket).and_then(|found| text(&found.live, "key"));
    let (Some(arn), Some(node)) = (named.map(str::to_owned), graph.get(&key)) else { return Ok(false) };
    if observed.found.get(&key).and_then(|found| text(&found.live, "arn")) == Some(&arn) {
        return Ok(true);
    }
    let lookup = Lookup {
        address: key.clone(),
        want: node.spec.clone(),
        recorded: Value::Null,
        name: Some(arn.clone()),
    };
    let found =
        provider(workspace, &snapshot.owner(), &BTreeSet::new()).find(kms_key::Spec::KIND, &[lookup]).await;
    let found = found.map_err(|error| backend_fault(workspace, error))?.into_iter().find(|found| {
        let mark = found.live.pointer("/tags").and_then(|tags| text(tags, tag::BACKEND));
        text(&found.live, "arn") == Some(&arn) && mark == Some(&workspace.state.backend.bucket)
    });
    let Some(found) = found else { return Ok(false) };
    snapshot.resources.remove(&key);
    observed.found.insert(key, Observation { kind: kms_key::Spec::KIND.to_owned(), live: found.live });
    Ok(true)
}

/// Plans the backend, or the part of it that `targets` names.
pub(super) fn untargeted(
    graph: &Graph,
    snapshot: &Snapshot,
    observed: &Observed,
    targets: &[String],
    removal: bool,
) -> Result<Plan, CallError> {
    crate::plan::make(&crate::plan::Input {
        graph,
        snapshot,
        observed,
        targets,
        strays: Strays::Keep,
        consent: &Consent { removal, ..Consent::default() },
        kinds: &kind,
    })
}

/// Gives an error of the backend its address, and says which field names another bucket or table.
pub(super) fn backend_fault(workspace: &Workspace, mut error: CallError) -> OperationError {
    let (service, message) = (error.service.clone(), error.message.clone());
    let about = |address: &str| message.starts_with(&format!("{address}: "));
    let of = [(BUCKET, "s3"), (TABLE, "dynamodb"), (KEY, "kms")];
    let Some((address, _)) = of.into_iter().find(|(address, name)| service == *name || about(address)) else {
        return error.into();
    };
    if let Some(rest) = message.strip_prefix(&format!("{address}: ")) {
        rest.clone_into(&mut error.message);
    }
    let other = match address {
        BUCKET => Some(("state.bucket", &workspace.state.backend.bucket)),
        TABLE => Some(("state.table", &workspace.state.backend.table)),
        _ => None,
    };
    if let (Some((field, name)), true) = (other, error.code == "NotOurs") {
        error.message = format!("{} ({name})", error.message);
        error.hint = Some(format!("set another name as `{field}`, or delete `{name}` if nothing uses it"));
    }
    OperationError::Step(StepError::at(&Address::from(address), error, LeftBehind::Nothing))
}
