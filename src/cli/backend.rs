//! The backend as a command sees it: known from the local record, looked for by name, or made.

use super::{exit::Failure, lock::Scene, session::Session};
use crate::{
    engine::{Closed, Run, observe},
    graph::{BACKEND, backend},
    model::{Address, Class, Fault, Graph, Outcome, Plan, Ready, Snapshot},
    plan::Strays,
    store::{LocalState, Register},
};
use rustix::fs::{FlockOperation, flock};
use serde_json::json;
use std::{path::PathBuf, sync::Arc};

/// The addresses of what the backend is made of.
const BUCKET: &str = "backend/bucket";
const TABLE: &str = "backend/table";
const KEY: &str = "backend/key";

/// The backend, looked at.
pub struct Backed {
    /// Whether bucket and table are there.
    pub exists: bool,
    /// Whether anything of it is.
    pub any: bool,
    /// What is to be done about it.
    pub plan: Plan,
    snapshot: Snapshot,
    register: Register,
}

impl Session {
    fn backend_record(&self) -> PathBuf {
        self.target.state.join(format!("backend-{}.json", self.backend.bucket))
    }

    async fn read_backend(&self) -> Result<(Snapshot, Register), Failure> {
        let path = self.backend_record();
        let mut register = Register::new(Arc::new(LocalState::new(path.clone())), &self.run, 0);
        let (account, region) = (&self.identity.account, &self.stack.region);
        let snapshot = register.read().await.and_then(|snapshot| {
            let snapshot = snapshot.unwrap_or_else(|| Snapshot::new(&self.backend.owner(), account, region));
            let foreign = |error: crate::model::SnapshotError| Fault::new(Class::Refused, error.to_string());
            snapshot.belongs_to(BACKEND, account, region).map_err(foreign).map(|()| snapshot)
        });
        let mut snapshot = snapshot.map_err(|fault| {
            fault.hint(format!(
                "remove {}: the backend is then found by its name and its tags",
                path.display()
            ))
        })?;
        // Where the file names another table, the recorded one is the other stacks'.
        let table = Address::from(TABLE);
        let name = snapshot.resources.get(&table).and_then(|entry| entry.spec.get("name"));
        if name.is_some_and(|name| *name != self.backend.table) {
            snapshot.resources.remove(&table);
        }
        Ok((snapshot, register))
    }

    fn backend_graph(&self, recorded: &Snapshot) -> Graph {
        backend(&self.backend, recorded.resources.contains_key(&Address::from(KEY)))
    }

    /// Whether the backend is there, as far as a command that only reads needs to know: by the record, else by a look.
    pub async fn backend_is_there(&self) -> Result<bool, Failure> {
        let (snapshot, _) = self.read_backend().await?;
        let recorded = |address: &str| snapshot.resources.contains_key(&Address::from(address));
        Ok((recorded(BUCKET) && recorded(TABLE)) || self.backed().await?.exists)
    }

    /// Whether the backend was recorded as the file asks for it, so that a plan need not look at it.
    pub async fn backend_is_settled(&self) -> Result<bool, Failure> {
        let (snapshot, _) = self.read_backend().await?;
        let entry = |address: &str| snapshot.resources.get(&Address::from(address));
        let key = match &self.backend.key_arn {
            Some(arn) => Some(json!(arn)),
            None => entry(KEY).and_then(|entry| entry.live.get("arn").cloned()),
        };
        let settled =
            |address: &str| entry(address).is_some_and(|entry| entry.spec.get("key") == key.as_ref());
        Ok(settled(BUCKET) && settled(TABLE))
    }

    /// Looks at the whole backend.
    pub async fn backed(&self) -> Result<Backed, Failure> {
        let (snapshot, register) = self.read_backend().await?;
        let graph = self.backend_graph(&snapshot);
        let world = self.world(&snapshot.owner());
        let observed = observe(&world, &graph, &snapshot, false).await?;
        let untargeted = Session::untargeted(&graph, &snapshot, &observed)?;
        // A table that another first run is making takes no lease yet.
        let ready = |address: &str| {
            observed.found.get(&Address::from(address)).is_some_and(|found| {
                let kind = super::session::kind(&found.kind);
                kind.is_some_and(|kind| (kind.ready)(&found.live) == Ok(Ready::Yes))
            })
        };
        let exists = ready(BUCKET) && ready(TABLE);
        let any = !observed.found.is_empty();
        Ok(Backed { exists, any, plan: untargeted, snapshot, register })
    }

    fn untargeted(
        graph: &Graph,
        snapshot: &Snapshot,
        observed: &crate::model::Observed,
    ) -> Result<Plan, Fault> {
        let kinds = &super::session::kind;
        crate::plan::make(&crate::plan::Input {
            graph,
            snapshot,
            observed,
            targets: &[],
            strays: Strays::Keep,
            kinds,
        })
    }

    /// Makes the backend, as far as another first run in this folder has not done so meanwhile.
    pub async fn make_backend(&self, scene: &Scene) -> Result<Outcome, Failure> {
        let _guard = self.backend_guard()?;
        let Backed { plan, snapshot, register, .. } = self.backed().await?;
        Ok(self.run_backend(plan, snapshot, register, scene).await)
    }

    /// Removes bucket, table and key.
    pub async fn remove_backend(&self, scene: &Scene) -> Result<Outcome, Failure> {
        let _guard = self.backend_guard()?;
        let (snapshot, register) = self.read_backend().await?;
        let graph = self.backend_graph(&snapshot);
        let world = self.world(&snapshot.owner());
        let mut snapshot = snapshot;
        let observed = observe(&world, &graph, &snapshot, false).await?;
        // A machine without a record knows what is there by looking.
        for refresh in Session::untargeted(&graph, &snapshot, &observed)?.refresh {
            let entry = crate::model::Entry {
                kind: refresh.kind,
                stage: refresh.stage,
                spec: refresh.spec,
                live: refresh.live,
                dependencies: refresh.dependencies.into_iter().collect(),
                leaving: false,
            };
            snapshot.apply(crate::model::Record::Done(refresh.address, Box::new(entry)));
        }
        let plan = Session::untargeted(&Graph::default(), &snapshot, &observed)?;
        Ok(self.run_backend(plan, snapshot, register, scene).await)
    }

    /// One process of this folder works on the backend at a time; the lock goes with the file.
    fn backend_guard(&self) -> Result<std::fs::File, Failure> {
        let file = |error: std::io::Error| {
            let fault = Fault::new(Class::Other, format!("{}: {error}", self.target.state.display()));
            Failure::from(fault.hint("make room, or make the folder writable, then run again"))
        };
        std::fs::create_dir_all(&self.target.state).map_err(file)?;
        let guard = std::fs::File::create(self.target.state.join("backend.lock")).map_err(file)?;
        flock(&guard, FlockOperation::LockExclusive).map_err(|error| file(error.into()))?;
        Ok(guard)
    }

    async fn run_backend(
        &self,
        plan: Plan,
        snapshot: Snapshot,
        register: Register,
        scene: &Scene,
    ) -> Outcome {
        let run = Run {
            world: Arc::new(self.world(&snapshot.owner())),
            settings: self.settings(),
            halt: scene.halt.clone(),
            events: scene.events.clone(),
        };
        let (outcome, Closed { .. }) = run.execute(&plan, snapshot, register).await;
        outcome
    }
}
