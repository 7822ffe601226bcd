//! `state`: the state, by hand.

mod edit;
mod history;
mod import;

use super::{
    args::{Global, State as Command},
    exit::{Exit, Failure},
    session::Session,
};
use crate::{
    engine::{release_for_good, who},
    model::{Address, Class, Fault},
    store::LeaseStore,
    ui::Ui,
};
use serde_json::{Value, json};

/// Shows the state, or changes it.
pub async fn run(global: &Global, command: &Command, ui: Ui) -> Result<Exit, Failure> {
    let session = Session::open(global, ui).await?;
    if !session.backend_is_there().await? {
        let fault = Fault::new(Class::Gone, format!("{}: there is no state yet", session.place()));
        return Err(fault.hint("`provisioner up` makes the stack, and with it its state").into());
    }
    match command {
        Command::List => list(&session).await,
        Command::Show { address } => show(&session, address).await,
        Command::Unlock { fence } => unlock(&session, *fence).await,
        Command::History { limit } => history::history(&session, *limit).await,
        Command::Pull => history::pull(&session).await,
        Command::Push { file, force } => edit::push(&session, file, *force).await,
        Command::Rollback { version } => history::rollback(&session, version).await,
        Command::Forget { addresses } => edit::forget(&session, addresses).await,
        Command::Import { force, .. } => edit::import(&session, *force).await,
    }
}

async fn list(session: &Session) -> Result<Exit, Failure> {
    let snapshot = session.snapshot(&mut session.register(0)).await?;
    let id = |live: &Value| {
        ["id", "arn", "name"].iter().find_map(|name| live.get(name)?.as_str().map(str::to_owned))
    };
    if session.ui.json {
        for (address, entry) in &snapshot.resources {
            session.ui.line(json!({
                "type": "resource", "address": address, "kind": entry.kind, "stage": entry.stage, "id": id(&entry.live),
            }));
        }
        return Ok(Exit::Done);
    }
    let width = snapshot.resources.keys().map(|address| address.as_str().len()).max().unwrap_or_default();
    let mut text = String::new();
    for (address, entry) in &snapshot.resources {
        text.push_str(&format!(
            "{address:width$}  {:24} {}\n",
            entry.kind,
            id(&entry.live).unwrap_or_default()
        ));
    }
    if text.is_empty() {
        session.ui.say(&format!("{}: nothing is recorded", session.place()));
    } else {
        session.ui.data(&text);
    }
    Ok(Exit::Done)
}

async fn show(session: &Session, address: &str) -> Result<Exit, Failure> {
    let snapshot = session.snapshot(&mut session.register(0)).await?;
    let address = Address::from(address);
    let Some(entry) = snapshot.resources.get(&address) else {
        let near = snapshot.resources.keys().map(Address::as_str);
        let near = near.max_by(|a, b| {
            let (a, b) = (strsim::jaro(a, address.as_str()), strsim::jaro(b, address.as_str()));
            a.total_cmp(&b)
        });
        let hint = near.map_or("`provisioner state list` shows the addresses".to_owned(), |near| {
            format!("did you mean `{near}`?")
        });
        return Err(Failure::refused(format!("nothing is recorded at {address}"), hint));
    };
    let object = json!({"address": address, "resource": entry});
    match session.ui.json {
        true => session.ui.line(json!({"type": "resource", "address": address, "resource": entry})),
        false => session.ui.data(&serde_json::to_string_pretty(&object).unwrap_or_default()),
    }
    Ok(Exit::Done)
}

async fn unlock(session: &Session, fence: Option<u64>) -> Result<Exit, Failure> {
    let (lease, ui) = (session.lease(), session.ui);
    let Some(holder) = lease.read().await?.holder else {
        ui.tell(&format!("{}: nobody holds the lease", session.place()));
        return Ok(Exit::Done);
    };
    let Some(fence) = fence else {
        ui.say(&format!("{}: held by {}", session.place(), who(&holder)));
        let hint = format!("if that process will never end: `provisioner state unlock {}`", holder.fence);
        return Err(Failure::refused("name the fence of the holder that is to lose the lease", hint));
    };
    let evicted = release_for_good(&lease, fence).await?;
    ui.tell(&format!(
        "taken from {}. Should it still run, its next write of the state fails, and it stops",
        who(&evicted)
    ));
    Ok(Exit::Done)
}
