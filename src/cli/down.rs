//! `down`: removes the stack, and proves that nothing is left.

use super::{
    args::{Down as Args, DownWhat, Global},
    door::{self, Barred},
    exit::{Exit, Failure},
    lock::{Scene, give_back},
    proof,
    session::Session,
    up::report,
};
use crate::{
    engine::{Closed, Held, Journal, Run, sweep},
    model::{Address, Class, Desired as _, Graph, Outcome, Phase, Plan, Record, Snapshot, Stage},
    plan::{Strays, counts, render},
    resources::{image, manifest, webhook_certificate},
    store::Register,
    ui::{Ui, plan_in_colour},
};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};

/// Removes it.
pub async fn run(global: &Global, args: &Args, ui: Ui) -> Result<Exit, Failure> {
    if !global.yes && !ui.can_ask() {
        return Err(Failure::refused(
            "`down` asks before it removes anything, and there is no terminal to ask on",
            "give --yes",
        ));
    }
    if args.backend && !global.target.is_empty() {
        return Err(Failure::refused(
            "--backend removes everything, and --target only a part",
            "give one of them",
        ));
    }
    let mut session = Session::open(global, ui).await?;
    if args.what == Some(DownWhat::App) {
        if args.backend || !global.target.is_empty() {
            return Err(Failure::refused(
                "`down app` removes the application, and nothing else",
                "leave --backend and --target out",
            ));
        }
        let Some(targets) = application(&session).await? else {
            ui.tell(&format!("{}: no application is deployed", session.place()));
            return Ok(Exit::Done);
        };
        session.global.target = targets;
    }
    if session.stack.protect {
        let help = Some("set `protect: false`, and run `down` again".to_owned());
        return Err(session.stack.diagnostic("protect", "the stack is protected".to_owned(), help).into());
    }
    let scene = Scene::open(ui, global.timeout)?;
    let result = go(&session, &scene, args).await;
    scene.close().await;
    result
}

/// The addresses of the application's objects and image. None where there are none.
async fn application(session: &Session) -> Result<Option<Vec<String>>, Failure> {
    if !session.backend_is_there().await? {
        return Ok(None);
    }
    let snapshot = session.snapshot(&mut session.register(0)).await?;
    let part = |spec: &serde_json::Value| spec.get("part").and_then(serde_json::Value::as_str) == Some("app");
    let of = |kind: &str, spec: &serde_json::Value| match kind {
        image::Spec::KIND => {
            spec.get("builder").and_then(serde_json::Value::as_str) != Some(image::Spec::COPY)
        }
        "manifest" => part(spec),
        _ => false,
    };
    let made = snapshot.resources.iter().filter(|(_, entry)| of(&entry.kind, &entry.spec)).map(|(at, _)| at);
    let begun = snapshot.intents.iter().filter(|(_, it)| of(&it.kind, &it.request)).map(|(at, _)| at);
    let all: Vec<String> = made.chain(begun).map(ToString::to_string).collect();
    Ok((!all.is_empty()).then_some(all))
}

async fn go(session: &Session, scene: &Scene, args: &Args) -> Result<Exit, Failure> {
    let ui = session.ui;
    if args.backend {
        let backed = scene.reading(session.backed()).await?;
        if backed.any && !backed.exists {
            return rest_of_backend(session, scene).await;
        }
    }
    if !scene.reading(session.backend_is_there()).await? {
        ui.tell(&format!("{}: there is no state, so nothing to remove", session.place()));
        return proof::show(session, scene).await;
    }
    let (held, register, snapshot) = session.hold(scene).await?;
    let exit = match stack(session, scene, register, snapshot).await {
        Ok(Exit::Done) if args.backend => {
            // With the backend go all old versions of the state: not before nothing is left that they could tell of.
            if proof::is_empty(session, scene).await? {
                backend(session, scene, held).await?
            } else {
                give_back(held, ui).await;
                Exit::Done
            }
        }
        other => {
            give_back(held, ui).await;
            other?
        }
    };
    match exit {
        Exit::Done if session.global.target.is_empty() => proof::show(session, scene).await,
        exit => Ok(exit),
    }
}

/// Where nobody gets into the cluster from here, its objects go with it and not one by one; but a load balancer is removed
/// by a controller in the cluster, when its object is removed, and by nobody else.
async fn leave_to_the_cluster(session: &Session, snapshot: &mut Snapshot) -> Result<(), Failure> {
    let inside = |kind: &str| [manifest::Spec::KIND, webhook_certificate::Spec::KIND].contains(&kind);
    let made =
        snapshot.resources.iter().filter(|(_, entry)| inside(&entry.kind)).map(|(at, it)| (at, &it.spec));
    let begun = snapshot.intents.iter().filter(|(_, it)| inside(&it.kind)).map(|(at, it)| (at, &it.request));
    let objects: BTreeMap<&Address, &Value> = begun.chain(made).collect();
    if objects.is_empty() {
        return Ok(());
    }
    let (why, hint) = match door::barred(session).await? {
        None => return Ok(()),
        Some(Barred::Unknown(why)) => {
            (why, "`provisioner up --target cluster/access` lets this caller in; then run `down` again")
        }
        Some(Barred::Silent(why)) => (
            why,
            "`provisioner up --target cluster/eks` moves `publicCidrs` to this machine; a private API server is reached from \
             inside the VPC. Then run `down` again",
        ),
    };
    let text = |object: &Value, path: &str| {
        object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let balanced = objects.iter().find(|(_, object)| {
        text(object, "/object/kind") == "Ingress" || text(object, "/object/spec/type") == "LoadBalancer"
    });
    if let Some((address, _)) = balanced {
        let message = format!(
            "nothing in the cluster can be removed from here ({why}), and {address} has a load balancer that would stay, and \
             hold the network; nothing was changed"
        );
        return Err(Failure::refused(message, hint));
    }
    session.ui.warn(&format!("what is in the cluster goes with it, since nobody gets in from here: {why}"));
    snapshot.resources.retain(|_, entry| !inside(&entry.kind));
    snapshot.intents.retain(|_, intent| !inside(&intent.kind));
    Ok(())
}

async fn stack(
    session: &Session,
    scene: &Scene,
    register: Register,
    mut snapshot: Snapshot,
) -> Result<Exit, Failure> {
    let ui = session.ui;
    if session.global.target.is_empty() {
        scene.reading(leave_to_the_cluster(session, &mut snapshot)).await?;
    }
    let plan = scene.reading(plan(session, &snapshot)).await?;
    let known = snapshot.version > 0;
    if !plan.is_empty() {
        let text = render(&plan, false);
        if ui.json {
            plan.changes.iter().for_each(|change| ui.line(crate::plan::change_json(change)));
        } else {
            ui.say(&format!("Removal of {}\n", session.place()));
            ui.say(plan_in_colour(&ui, &text).trim_end());
            ui.say(&format!("\n{}\n", counts(plan.totals(), false)));
        }
        let question = format!("Remove all this from {}?", session.place());
        if !session.global.yes && !scene.confirm(&question).await {
            ui.tell("nothing was changed");
            return Ok(if scene.signalled() { Exit::Interrupted } else { Exit::Failed });
        }
    }
    if plan.is_empty() && !known {
        return Ok(Exit::Done);
    }
    let whole = session.global.target.is_empty();
    let (snapshot, register) =
        if whole { mark(snapshot, register, Phase::Destroying).await? } else { (snapshot, register) };
    let run = Run {
        world: Arc::new(session.world(&snapshot.owner())),
        settings: session.settings(),
        halt: scene.halt.clone(),
        events: scene.events.clone(),
    };
    let (outcome, closed) = run.execute(&plan, snapshot, register).await;
    let Closed { mut snapshot, register, failed } = closed;
    if failed.is_some() {
        session.dump(&mut snapshot);
    }
    let exit = report(session, scene, std::slice::from_ref(&outcome));
    if whole
        && matches!(outcome, Outcome::Done(_))
        && snapshot.resources.is_empty()
        && snapshot.intents.is_empty()
    {
        // The tombstone: a late arrival can still be told to be this stack's.
        mark(snapshot, register, Phase::Destroyed).await?;
    }
    Ok(exit)
}

/// Everything recorded, begun or tagged, to be removed.
async fn plan(session: &Session, snapshot: &Snapshot) -> Result<Plan, Failure> {
    let world = session.world(&snapshot.owner());
    let nothing = Graph::default();
    let unknown = session.unknown(&nothing, snapshot).await?;
    let observed = sweep(&world, &nothing, snapshot, &unknown).await?;
    Ok(session.decide(&nothing, snapshot, &observed, Strays::RemoveAll)?)
}

async fn mark(snapshot: Snapshot, register: Register, phase: Phase) -> Result<(Snapshot, Register), Failure> {
    let journal = Journal::open(snapshot, register);
    journal.commit(Record::Phase(phase)).await?;
    let closed = journal.close().await?;
    Ok((closed.snapshot, closed.register))
}

/// Removes what an earlier run left of the backend: without its table there is no lease to take.
async fn rest_of_backend(session: &Session, scene: &Scene) -> Result<Exit, Failure> {
    let state = scene.reading(session.snapshot(&mut session.register(0))).await?;
    let others = match scene.reading(async { Ok(session.other_stacks().await?) }).await {
        Err(Failure::Problem(problem)) if problem.fault.class == Class::Gone => Vec::new(),
        others => others?,
    };
    let own = !state.resources.is_empty() || !state.intents.is_empty();
    let held: Vec<String> = others.into_iter().chain(own.then(|| session.stack.name.clone())).collect();
    if !held.is_empty() {
        let message = format!("the backend is not whole, and holds the state of {}", held.join(", "));
        return Err(Failure::refused(
            message,
            "`provisioner up` makes what is missing; then run `down` again",
        ));
    }
    match remove_backend(session, scene).await? {
        Exit::Done => proof::show(session, scene).await,
        exit => Ok(exit),
    }
}

/// Asks, and removes bucket, table and key.
async fn remove_backend(session: &Session, scene: &Scene) -> Result<Exit, Failure> {
    let question = format!(
        "{}: remove bucket {} and its table, with all old states?",
        Stage::Backend,
        session.backend.bucket
    );
    if !session.global.yes && !scene.confirm(&question).await {
        session.ui.tell("the backend stays");
        return Ok(Exit::Done);
    }
    let outcome = session.remove_backend(scene).await?;
    Ok(report(session, scene, &[outcome]))
}

/// Removes the backend, when no other stack's state is in it.
async fn backend(session: &Session, scene: &Scene, held: Held) -> Result<Exit, Failure> {
    let others = scene.reading(async { Ok(session.other_stacks().await?) }).await;
    let others = match others {
        Ok(others) => others,
        Err(failure) => {
            give_back(held, session.ui).await;
            return Err(failure);
        }
    };
    give_back(held, session.ui).await;
    if !others.is_empty() {
        let message = format!("the backend stays: it holds the state of {}", others.join(", "));
        return Err(Failure::refused(message, "remove those stacks first; this one is gone"));
    }
    remove_backend(session, scene).await
}
