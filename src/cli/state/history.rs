//! The versions of the state object that the bucket keeps.

use super::{
    super::{
        exit::{Exit, Failure},
        session::Session,
    },
    edit::edit,
};
use crate::{
    model::{Class, Fault, Snapshot, SnapshotError},
    store::{S3State, Version},
};
use serde_json::json;

fn store(session: &Session) -> S3State {
    let (account, bucket) = (&session.backend.account, &session.backend.bucket);
    S3State::new(session.target.clients.clone(), account, bucket, &session.stack.name)
}

/// `state history`: newest first.
pub async fn history(session: &Session, limit: usize) -> Result<Exit, Failure> {
    let (store, ui) = (store(session), session.ui);
    let versions = store.versions(limit).await?;
    if versions.is_empty() {
        ui.say(&format!("{}: there is no state yet", session.place()));
    }
    for version in versions {
        let read = read(&store, &version).await?;
        if ui.json {
            let known = read.as_ref().ok();
            ui.line(json!({
                "type": "version", "id": version.id, "at": version.at, "newest": version.newest,
                "deleted": version.deleted, "version": known.map(|it| it.version), "phase": known.map(|it| it.phase),
                "resources": known.map(|it| it.resources.len()), "unfinished": known.map(|it| it.intents.len()),
                "writer": known.map(|it| &it.writer), "error": read.as_ref().err().map(ToString::to_string),
            }));
            continue;
        }
        let what = match &read {
            Ok(snapshot) => format!(
                "version {:4}  {:3} resources{}  {}",
                snapshot.version,
                snapshot.resources.len(),
                if snapshot.intents.is_empty() {
                    String::new()
                } else {
                    format!(", {} unfinished", snapshot.intents.len())
                },
                if snapshot.writer.by.is_empty() { &snapshot.writer.tool } else { &snapshot.writer.by },
            ),
            Err(_) if version.deleted => "the object was deleted here".to_owned(),
            Err(error) => format!("unusable: {error}"),
        };
        ui.data(&format!("{}  {}  {what}", version.at, version.id));
    }
    Ok(Exit::Done)
}

async fn read(store: &S3State, version: &Version) -> Result<Result<Snapshot, SnapshotError>, Fault> {
    if version.deleted {
        return Ok(Err(SnapshotError::Empty));
    }
    Ok(Snapshot::decode(&store.read_version(&version.id).await?))
}

/// `state pull`: the document as it stands there, sound or not.
pub async fn pull(session: &Session) -> Result<Exit, Failure> {
    use crate::store::StateStore as _;
    let store = store(session);
    let Some(stored) = store.read().await? else {
        return Err(Fault::new(Class::Gone, format!("{}: there is no state yet", session.place())).into());
    };
    session.ui.data(&String::from_utf8_lossy(&stored.bytes));
    Ok(Exit::Done)
}

/// `state rollback`: an older version becomes the newest. AWS stays as it is: the next plan shows how they differ.
pub async fn rollback(session: &Session, wanted: &str) -> Result<Exit, Failure> {
    let store = store(session);
    let hint = "`provisioner state history` shows the versions";
    let mut older = None;
    for version in store.versions(usize::MAX).await? {
        let named = version.id == wanted;
        match read(&store, &version).await? {
            Ok(snapshot) if named || snapshot.version.to_string() == wanted => {
                older = Some(snapshot);
                break;
            }
            Err(error) if named => {
                return Err(Failure::refused(format!("version {wanted} cannot be used: {error}"), hint));
            }
            _ => {}
        }
    }
    let older =
        older.ok_or_else(|| Failure::refused(format!("the bucket keeps no version {wanted}"), hint))?;
    let (account, region) = (&session.identity.account, &session.stack.region);
    older
        .belongs_to(&session.stack.name, account, region)
        .map_err(|error| Failure::refused(format!("version {wanted}: {error}"), hint))?;
    edit(session, |_| async move { Ok(older) }).await
}
