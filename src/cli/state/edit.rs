//! Changing the state under the lease: one version is taken away, another is put in its place.

use super::super::{
    exit::{Exit, Failure},
    lock::{Scene, give_back},
    session::Session,
};
use crate::{
    model::{Address, Class, Fault, Snapshot, SnapshotError},
    plan::{change_json, counts},
};
use std::{collections::BTreeSet, path::Path};

/// What stands in the bucket, sound or not.
pub type Found = Option<Result<Snapshot, SnapshotError>>;

/// Takes the lease, lets `change` make the next version out of the present one, shows what is recorded more or less in
/// it, asks, and writes it.
pub async fn edit<C, F>(session: &Session, change: C) -> Result<Exit, Failure>
where
    C: FnOnce(Found) -> F,
    F: Future<Output = Result<Snapshot, Failure>>,
{
    if !session.global.yes && !session.ui.can_ask() {
        let hint = "give --yes";
        return Err(Failure::refused("this asks before it writes, and there is no terminal to ask on", hint));
    }
    let scene = Scene::open(session.ui, session.global.timeout)?;
    let result = under_lease(session, &scene, change).await;
    scene.close().await;
    result
}

async fn under_lease<C, F>(session: &Session, scene: &Scene, change: C) -> Result<Exit, Failure>
where
    C: FnOnce(Found) -> F,
    F: Future<Output = Result<Snapshot, Failure>>,
{
    let ui = session.ui;
    let (held, mut register) = session.hold_alone(scene).await?;
    let work = async {
        let before = register.over().await?;
        let recorded = |found: &Found| match found {
            Some(Ok(snapshot)) => names(snapshot),
            _ => BTreeSet::new(),
        };
        let old = recorded(&before);
        let mut next = change(before).await?;
        let new = names(&next);
        let list = |mark: &str, names: Vec<&Address>| {
            names.iter().map(|address| format!("  {mark} {address}\n")).collect::<String>()
        };
        let text = list("-", old.difference(&new).collect()) + &list("+", new.difference(&old).collect());
        if text.is_empty() {
            ui.tell("the same resources are recorded in both");
        } else {
            ui.tell(&format!("What is recorded changes; nothing in AWS does\n{}", text.trim_end()));
        }
        let question = format!("Write this as the state of {}?", session.place());
        if !session.global.yes && !scene.confirm(&question).await {
            ui.tell("nothing was changed");
            return Ok(Exit::Failed);
        }
        register.count_from(next.version);
        register.write(&mut next).await?;
        ui.tell(&format!("{}: version {} is written", session.place(), next.version));
        Ok(Exit::Done)
    };
    let result = scene.reading(work).await;
    give_back(held, ui).await;
    result
}

fn names(snapshot: &Snapshot) -> BTreeSet<Address> {
    snapshot.resources.keys().chain(snapshot.intents.keys()).cloned().collect()
}

/// The state that stands there, when it is sound.
pub fn sound(found: Found, place: &str) -> Result<Snapshot, Failure> {
    match found {
        Some(Ok(snapshot)) => Ok(snapshot),
        Some(Err(error)) => {
            let hint =
                "`provisioner state history` shows older versions, and `state rollback` takes one back";
            Err(Failure::refused(format!("{place}: {error}"), hint))
        }
        None => Err(Fault::new(Class::Gone, format!("{place}: there is no state yet")).into()),
    }
}

/// `state push`: the state of a file, such as one that a run left when it could not write.
pub async fn push(session: &Session, path: &Path, force: bool) -> Result<Exit, Failure> {
    let shown = path.display();
    let refused = |why: String, hint: &str| Failure::refused(format!("{shown}: {why}"), hint);
    let bytes = std::fs::read(path)
        .map_err(|error| refused(error.to_string(), "name a file that `state pull` or a run has written"))?;
    let given = Snapshot::decode(&bytes).map_err(|error| {
        refused(error.to_string(), "nothing was changed; push the file as it was written")
    })?;
    let (account, region) = (&session.identity.account, &session.stack.region);
    given
        .belongs_to(&session.stack.name, account, region)
        .map_err(|error| refused(error.to_string(), "check the account, the region and the stack's name"))?;
    edit(session, |found| async move {
        if let (Some(Ok(there)), false) = (&found, force) {
            let hint = "look at both (`state pull`); --force writes this file over what is there";
            if there.lineage != given.lineage {
                let why = "it is the state of another stack of this name, made at another time";
                return Err(refused(why.to_owned(), hint));
            }
            if there.version > given.version {
                let why = format!("it is version {}, and version {} is there", given.version, there.version);
                return Err(refused(why, hint));
            }
        }
        Ok(given)
    })
    .await
}

/// `state forget`: the record goes, the thing stays.
pub async fn forget(session: &Session, addresses: &[String]) -> Result<Exit, Failure> {
    let place = session.place();
    edit(session, |found| async move {
        let mut snapshot = sound(found, &place)?;
        for text in addresses {
            let address = Address::from(text.as_str());
            let recorded = snapshot.resources.remove(&address).is_some();
            let begun = snapshot.intents.remove(&address).is_some();
            if !recorded && !begun {
                let hint = "`provisioner state list` shows the addresses";
                return Err(Failure::refused(format!("nothing is recorded at {address}"), hint));
            }
            snapshot.forget(address);
        }
        Ok(snapshot)
    })
    .await
}

/// `state import --from-tags`: a state that was lost, from what carries the stack's tags.
pub async fn import(session: &Session, force: bool) -> Result<Exit, Failure> {
    let place = session.place();
    edit(session, |found| async move {
        if let (Some(Ok(there)), false) = (&found, force)
            && !there.resources.is_empty()
        {
            let text = format!("{place}: there is a sound state with {} resources", there.resources.len());
            return Err(Failure::refused(text, "there is nothing to rebuild; --force does it all the same"));
        }
        let (snapshot, plan) = session.rebuilt().await?;
        if session.ui.json {
            plan.changes.iter().for_each(|change| session.ui.line(change_json(change)));
        } else if !plan.is_empty() {
            let text = counts(plan.totals(), false);
            session.ui.tell(&format!(
                "beside what is found, the file asks for: {text}; `provisioner plan` shows it"
            ));
        }
        Ok(snapshot)
    })
    .await
}
