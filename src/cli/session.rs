//! What nearly every command begins with: the file, the AWS, the account, the zones.

use super::{
    args::Global,
    exit::Failure,
    facts, machine,
    target::{Target, cache_folder, target},
};
use crate::{
    aws::{Cx, Identity, Local, read_secret, unknown, zones},
    engine::{AwsWorld, Settings, observe, sweep},
    graph::{Backend, graph},
    model::{
        Action, Address, Class, Fault, Graph, Kind, Observed, Owner, Phase, Plan, PlannedChange, Secret,
        Snapshot, Stage,
    },
    plan::{Input, Strays, make},
    resources::handler,
    stack::{self, Stack, Zones, layout},
    store::{Register, S3State},
    ui::Ui,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, io::Read as _, sync::Arc};

/// The state's name for the zones that were chosen once and stay: a zone that AWS adds must not move subnets.
pub(super) const ZONES: &str = "zones";

/// The state's name for their shares of the address space.
pub(super) const SHARES: &str = "zoneShares";

/// One command on one stack.
pub struct Session {
    /// The arguments.
    pub global: Global,
    /// The screen.
    pub ui: Ui,
    /// The file.
    pub stack: Stack,
    /// The AWS.
    pub target: Target,
    /// The caller.
    pub identity: Identity,
    /// Where the state is kept.
    pub backend: Backend,
    /// This run (a UUID).
    pub run: String,
    /// Whether node groups take the newest Bottlerocket release.
    pub upgrade_nodes: bool,
    /// Further tags for the application's image.
    pub image_tags: Vec<String>,
    /// The only stage that is worked on, where it is one.
    pub only: Option<Stage>,
}

/// Reads and checks the file.
pub fn read_stack(global: &Global) -> Result<Stack, Failure> {
    let path = &global.stack;
    let read = || {
        let (mut bytes, most) = (Vec::new(), u64::try_from(stack::MAX_BYTES).unwrap_or(u64::MAX));
        // One byte too many is enough to refuse it: the rest of what may be no stack file at all is not read.
        std::fs::File::open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes: Vec<u8> = read().map_err(|error: std::io::Error| {
        let hint = "name the file with --stack, or change to its folder";
        Failure::refused(format!("{}: {error}", path.display()), hint)
    })?;
    let stack = stack::load_with(
        &path.display().to_string(),
        &bytes,
        &|name| std::env::var(name).ok(),
        &global.overrides,
    )?;
    facts::check(&stack)?;
    Ok(stack)
}

impl Session {
    /// Reads the file, connects, and checks the account.
    pub async fn open(global: &Global, ui: Ui) -> Result<Self, Failure> {
        let stack = read_stack(global)?;
        let target = target(global, &stack.region, ui).await?;
        let identity = target.clients.identity().await?;
        if let Some(account) = stack.account.as_ref().filter(|account| **account != identity.account) {
            let message =
                format!("the file is for account {account}, the credentials are for {}", identity.account);
            let help = Some(format!("log in to {account}, or change `account`"));
            return Err(stack.diagnostic("account", message, help).into());
        }
        let section = &stack.state;
        let (bucket, table, key) =
            (section.bucket.as_ref(), section.table.as_ref(), section.key_arn.as_ref());
        let backend = Backend::new(&identity.account, &stack.region, bucket, table, key);
        let run = uuid::Uuid::new_v4().to_string();
        Ok(Session {
            global: global.clone(),
            ui,
            stack,
            target,
            identity,
            backend,
            run,
            upgrade_nodes: false,
            image_tags: Vec::new(),
            only: None,
        })
    }

    /// Where this is, in a few words.
    pub fn place(&self) -> String {
        format!("{} in {}", self.stack.name, self.region())
    }

    /// The region and the account.
    pub fn region(&self) -> String {
        let sandbox = if self.target.sandbox.is_some() { ", SANDBOX" } else { "" };
        format!("{} (account {}{sandbox})", self.stack.region, self.identity.account)
    }

    /// AWS, on behalf of `owner`.
    pub fn world(&self, owner: &Owner) -> AwsWorld {
        let clients = self.target.clients.clone();
        let local =
            Local { folder: self.folder(), cache: cache_folder(), sandbox: self.target.sandbox.is_some() };
        AwsWorld::new(Cx::new(clients, owner.clone(), &self.identity.account, &self.stack.region).on(local))
    }

    /// What a run of the engine is told.
    pub fn settings(&self) -> Settings {
        Settings {
            parallelism: usize::from(self.global.parallelism),
            pace: self.target.pace,
            run: self.run.clone(),
            process: machine::process(),
            is_dead: Arc::new(machine::is_dead),
            now: Arc::new(machine::epoch_seconds),
        }
    }

    /// The state's register, under `fence`.
    pub fn register(&self, fence: u64) -> Register {
        let (account, bucket) = (&self.backend.account, &self.backend.bucket);
        let store = S3State::new(self.target.clients.clone(), account, bucket, &self.stack.name);
        let me = machine::holder(&self.run);
        let by = format!("{}@{}: {}", me.user, me.process.host, me.command);
        Register::new(Arc::new(store), &self.run, fence).by(by)
    }

    /// The state as recorded; that of a new stack where there is none, or only a tombstone.
    pub async fn snapshot(&self, register: &mut Register) -> Result<Snapshot, Failure> {
        let (account, region) = (&self.identity.account, &self.stack.region);
        let fresh = || {
            let lineage = uuid::Uuid::new_v4().to_string();
            Snapshot::new(&Owner { stack: self.stack.name.clone(), lineage }, account, region)
        };
        let Some(snapshot) = register.read().await? else { return Ok(fresh()) };
        snapshot.belongs_to(&self.stack.name, account, region).map_err(|error| {
            let fault = Fault::new(Class::Refused, format!("{}: {error}", register.place()));
            fault.hint("check the account, the region and the stack's name")
        })?;
        if snapshot.phase == Phase::Destroyed && snapshot.resources.is_empty() {
            return Ok(Snapshot { epoch: snapshot.epoch, ..fresh() });
        }
        Ok(snapshot)
    }

    /// The desired resources. Chooses the zones, and remembers them in the snapshot.
    pub async fn graph(&self, snapshot: &mut Snapshot) -> Result<Graph, Failure> {
        let context = self.context(snapshot).await?;
        if !context.zones.is_empty() {
            snapshot.outputs.insert(ZONES.to_owned(), json!(context.zones));
            snapshot.outputs.insert(SHARES.to_owned(), json!(context.shares));
        }
        let graph = graph(&self.stack, &context)?;
        for selector in &self.global.target {
            let known = |address: &Address| address.is_within(selector);
            let stage = crate::model::Stage::ALL.iter().any(|stage| stage.name() == selector);
            if !stage && !graph.nodes.keys().any(known) && !snapshot.resources.keys().any(known) {
                let message = format!("--target {selector}: the stack has nothing there");
                return Err(Failure::refused(
                    message,
                    "`provisioner plan` and `provisioner state list` show the addresses",
                ));
            }
        }
        Ok(graph)
    }

    /// Each zone's share of the address space: the recorded one, else the next.
    pub(super) fn shares(snapshot: &Snapshot, zones: &[String]) -> BTreeMap<String, usize> {
        let recorded = snapshot.outputs.get(SHARES).cloned().unwrap_or_default();
        layout::shares(zones, &serde_json::from_value(recorded).unwrap_or_default())
    }

    pub(super) async fn zones(&self, snapshot: &Snapshot) -> Result<Vec<String>, Failure> {
        let Some(network) = self.stack.network.as_ref().filter(|network| network.existing.is_none()) else {
            return Ok(Vec::new());
        };
        let recorded = snapshot.outputs.get(ZONES).and_then(Value::as_array);
        let mut chosen: Vec<String> =
            recorded.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        match &network.zones {
            Zones::Names(names) if names.iter().all(|name| chosen.contains(name)) => Ok(names.clone()),
            Zones::Names(names) => {
                let there = zones(&self.target.clients).await?;
                for (index, name) in names.iter().enumerate() {
                    if !there.iter().any(|zone| zone.name == *name) {
                        let known: Vec<&str> = there.iter().map(|zone| zone.name.as_str()).collect();
                        let message =
                            format!("there is no zone `{name}` in {} for this account", self.stack.region);
                        let help = Some(format!("there are {}", known.join(", ")));
                        return Err(self
                            .stack
                            .diagnostic(&format!("network.zones[{index}]"), message, help)
                            .into());
                    }
                }
                Ok(names.clone())
            }
            Zones::Count(count) => {
                let count = usize::from(*count);
                if chosen.len() < count {
                    let there = zones(&self.target.clients).await?;
                    let fit = there.into_iter().filter(|zone| zone.takes_clusters).map(|zone| zone.name);
                    let more: Vec<String> = fit.filter(|name| !chosen.contains(name)).collect();
                    chosen.extend(more);
                }
                if chosen.len() < count {
                    let message = format!(
                        "{} has {} zones for this account, not {count}",
                        self.stack.region,
                        chosen.len()
                    );
                    return Err(self.stack.diagnostic("network.zones", message, None).into());
                }
                chosen.truncate(count);
                Ok(chosen)
            }
        }
    }

    /// What is there, and what `up` would do about it.
    pub async fn plan(&self, graph: &Graph, snapshot: &Snapshot) -> Result<(Plan, Observed), Failure> {
        let observed = self.observed(graph, snapshot).await?;
        let plan = self.decided(graph, snapshot, &observed)?;
        Ok((plan, observed))
    }

    /// What is there of the targets, and what else carries the stack's tags.
    pub async fn observed(&self, graph: &Graph, snapshot: &Snapshot) -> Result<Observed, Failure> {
        let (world, targeted) = (self.world(&snapshot.owner()), graph.targeted(&self.global.target));
        let (observed, unknown) =
            tokio::join!(observe(&world, &targeted, snapshot, false), self.unknown(graph, snapshot));
        let unknown = unknown?;
        if unknown.is_empty() {
            return Ok(observed?);
        }
        // Of a kind, perhaps, that neither file nor state has: all kinds are asked.
        Ok(sweep(&world, &targeted, snapshot, &unknown).await?)
    }

    /// What carries the stack's tags at an address that neither file nor state knows, with its ARN.
    pub async fn unknown(
        &self,
        graph: &Graph,
        snapshot: &Snapshot,
    ) -> Result<Vec<(Address, String)>, Failure> {
        let known = |address: &Address| {
            graph.nodes.contains_key(address)
                || snapshot.resources.contains_key(address)
                || snapshot.intents.contains_key(address)
        };
        match unknown(&self.target.clients, &snapshot.owner(), known).await {
            // A target that is not AWS may not know the call.
            Err(fault) if fault.class == Class::Unsupported => Ok(Vec::new()),
            found => Ok(found?),
        }
    }

    /// What `up` would do about it.
    pub fn decided(&self, graph: &Graph, snapshot: &Snapshot, observed: &Observed) -> Result<Plan, Failure> {
        let plan = self.decide(&graph.targeted(&self.global.target), snapshot, observed, Strays::Remove)?;
        self.check_protection(&plan)?;
        Ok(plan)
    }

    /// Refuses to replace what `protect` protects.
    fn check_protection(&self, plan: &Plan) -> Result<(), Failure> {
        let ends = |change: &&PlannedChange| {
            matches!(change.action, Action::Replace | Action::Delete)
                && ["eks_cluster", "kms_key"].contains(&change.kind.as_str())
        };
        match plan.changes.iter().find(ends).filter(|_| self.stack.protect) {
            None => Ok(()),
            Some(change) => {
                let fields: Vec<&str> = change.fields.0.iter().map(|field| field.path.as_str()).collect();
                let message = format!(
                    "the stack is protected, and {} would be {}: {}",
                    change.address,
                    if change.action == Action::Delete { "removed" } else { "replaced" },
                    fields.join(", ")
                );
                let help = Some("take that change back, or set `protect: false`".to_owned());
                Err(self.stack.diagnostic("protect", message, help).into())
            }
        }
    }

    /// What a command that plans looks at first.
    pub fn begin(&self) -> Result<(), Failure> {
        self.check_secrets()?;
        Ok(())
    }

    /// Refuses to go on where a secret cannot be read here.
    fn check_secrets(&self) -> Result<(), Failure> {
        for (index, parameter) in self.stack.parameters.iter().enumerate() {
            let Some(secret) = &parameter.secret else { continue };
            let (field, secret) = match (&secret.env, &secret.file) {
                (Some(name), _) => ("env", Secret::Env(name.clone())),
                (None, file) => ("file", Secret::File(file.clone().unwrap_or_default())),
            };
            if let Err(fault) = read_secret(&secret, &self.folder()) {
                let path = format!("parameters[{index}].secret.{field}");
                return Err(self.stack.diagnostic(&path, fault.message, fault.hint).into());
            }
        }
        Ok(())
    }

    /// The plan for what was observed.
    pub fn decide(
        &self,
        graph: &Graph,
        snapshot: &Snapshot,
        observed: &Observed,
        strays: Strays,
    ) -> Result<Plan, Fault> {
        let targets = &self.global.target;
        make(&Input { graph, snapshot, observed, targets, strays, kinds: &kind })
    }
}

/// The pure half of a kind, by its name.
pub fn kind(name: &str) -> Option<Kind> {
    handler(name).map(|handler| handler.kind)
}
