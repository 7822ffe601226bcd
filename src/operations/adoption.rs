//! Adopts one existing resource on request.

use super::{
    Conclusion, Message, OperationError, PlanOptions, Question, RunControl, RunOptions, Workspace,
    conclusion::{End, refused},
    lease_holding::{Held, give_back, hold},
    planning::{decide, desired, unrecorded},
    unsaved::dump,
    workspace::{kind, provider, settings},
};
use crate::{
    engine::{Provider as _, Run, Settings, observe, sweep},
    model::{
        Action, Address, CallError, Entry, Graph, Node, Observation, Observed, Plan, Record, Stage,
        references, resolve,
    },
    plan::{Ownership, Strays, judge},
    resources::Lookup,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// One adoption: what it works on, and which resource becomes which address.
struct Adoption<'a> {
    workspace: &'a Workspace,
    options: &'a PlanOptions,
    run: RunOptions,
    control: &'a RunControl,
    address: &'a Address,
    id: &'a str,
}

/// Adopts the resource that AWS calls `id` as the address of `options.adopt`, after approval.
pub async fn adopt(
    workspace: &Workspace,
    options: &PlanOptions,
    run: RunOptions,
    control: &RunControl,
    id: &str,
) -> Conclusion {
    let mut conclusion = Conclusion::default();
    let Some((address, _)) = &options.adopt else {
        return conclusion.ended(Err(CallError::bug("the address of an adoption is missing").into()));
    };
    let result = match hold(workspace, control).await {
        Ok(mut held) => {
            let adoption = Adoption { workspace, options, run, control, address, id };
            let result = adoption.under_lease(&mut held, &mut conclusion).await;
            give_back(workspace, held.lease).await;
            result
        }
        Err(failure) => Err(failure),
    };
    conclusion.ended(result)
}

impl Adoption<'_> {
    async fn under_lease(&self, held: &mut Held, conclusion: &mut Conclusion) -> Result<End, OperationError> {
        let (address, snapshot) = (self.address, &mut held.writer.snapshot);
        // A recorded resource that lost its tags gets them back.
        let other = |entry: &Entry| !is_called(&entry.live, self.id);
        if snapshot.resources.get(address).is_some_and(other) || snapshot.intents.contains_key(address) {
            let hint = format!("`provisioner state forget {address}` drops the record");
            return Err(OperationError::refused(format!("{address}: the state records it already"), hint));
        }
        let graph = self.control.reading(desired(self.workspace, self.options, snapshot)).await?;
        match graph.get(address) {
            Some(node) => self.wanted(held, &graph, node, conclusion).await,
            None => self.unwanted(held, &graph).await,
        }
    }

    async fn ask(&self, question: Question<'_>) -> bool {
        self.control.approved(self.workspace.operator.as_ref(), question).await
    }

    /// Adopts what the file asks for: brings its tags and fields to what the file says.
    async fn wanted(
        &self,
        held: &mut Held,
        graph: &Graph,
        node: &Node,
        conclusion: &mut Conclusion,
    ) -> Result<End, OperationError> {
        let Adoption { workspace, options, control, address, id, .. } = *self;
        let targeted = graph.targeted(&[address.to_string()]);
        let provider = provider(workspace, &held.writer.snapshot.owner(), &options.take_fields);
        let look = async {
            let mut observed = observe(&provider, &targeted, &held.writer.snapshot, false).await?;
            let spec = resolve(&node.spec, &|at, field| {
                observed.found.get(at)?.live.get(field).filter(|value| !value.is_null()).cloned()
            });
            let lookup = Lookup {
                address: address.clone(),
                want: spec,
                recorded: Value::Null,
                name: Some(id.to_owned()),
            };
            let found = provider.find(&node.kind, &[lookup]).await?;
            let live = found.into_iter().map(|found| found.live).find(|live| is_called(live, id));
            let Some(live) = live else { return Err(not_found(&node.kind, address, id)) };
            observed.found.insert(address.clone(), Observation { kind: node.kind.clone(), live });
            Ok(observed)
        };
        let observed: Observed = control.reading(look).await?;
        let whole = decide(workspace, options, &targeted, &held.writer.snapshot, &observed, Strays::Keep)?;
        let concerns = |refused: &Address, blocks: &[Address]| refused == address || blocks.contains(address);
        if let Some(refusal) = whole.refusals.iter().find(|it| concerns(&it.address, &it.blocks)) {
            let plan = Plan { refusals: vec![refusal.clone()], ..Plan::default() };
            workspace.operator.tell(Message::Adoption(&plan));
            return Ok(refused(&[&plan]).unwrap_or_default());
        }
        let plan = whole.of(address);
        for change in &plan.changes {
            let forced = change
                .fields
                .0
                .iter()
                .filter(|field| field.forces_replace || !references(&field.new).is_empty());
            let fields: Vec<&str> = forced.map(|field| field.path.as_str()).collect();
            if change.action == Action::Replace || !fields.is_empty() {
                let message = format!(
                    "{address}: {id} cannot be adopted, because these fields differ: {}",
                    fields.join(", ")
                );
                let hint = "change the file to what exists, or create first what it depends on with `provisioner up --target`";
                return Err(OperationError::refused(message, hint));
            }
        }
        workspace.operator.tell(Message::Adoption(&plan));
        if matches!(options.adopt, Some((_, true))) {
            workspace.warn(format!(
                "{id} becomes this stack's: from then on `down` deletes it, and `up` if the file no longer contains {address}"
            ));
        }
        if !self.ask(Question::Adoption(id, address)).await {
            return Ok(End::NotApproved);
        }
        let run = Run {
            provider: Arc::new(provider),
            settings: Settings {
                approved: BTreeSet::from([address.clone()]),
                ..settings(workspace, self.run)
            },
            shutdown: control.shutdown.clone(),
            events: control.events.clone(),
        };
        let outcome = run.execute(&plan, &mut held.writer).await;
        if !outcome.report().saved {
            dump(workspace, &mut held.writer.snapshot);
        }
        conclusion.add(&outcome);
        let place = &workspace.location();
        workspace.operator.tell(Message::Concluded { place, conclusion });
        Ok(End::Ran)
    }

    /// Records what carries the stack's tags although the file does not ask for it, so that the next `up` or `down` deletes
    /// it.
    async fn unwanted(&self, held: &mut Held, graph: &Graph) -> Result<End, OperationError> {
        let Adoption { workspace, options, control, address, id, .. } = *self;
        let owner = held.writer.snapshot.owner();
        let provider = provider(workspace, &owner, &options.take_fields);
        let look = async {
            let unknown = unrecorded(workspace, graph, &held.writer.snapshot).await?;
            Ok(sweep(&provider, graph, &held.writer.snapshot, &unknown).await?)
        };
        let observed: Observed = control.reading(look).await?;
        let stray = |found: &&Observation| {
            let own = kind(&found.kind).map(|kind| judge(kind, &owner, None, None, &found.live));
            own == Some(Ownership::Unproven) && is_called(&found.live, id)
        };
        let Some(found) = observed.found.get(address).filter(stray) else {
            let message = format!(
                "{address}: the file does not ask for it, and no {id} with this stack's tags is there"
            );
            let hint = "`provisioner plan` lists the addresses of the file, and resources that carry the stack's tags";
            return Err(OperationError::refused(message, hint));
        };
        let kind = &found.kind;
        workspace.tell("The state will change; nothing in AWS does:");
        workspace.tell(format!("  + {address} ({kind} {id})"));
        if !self.ask(Question::Record(id, address)).await {
            return Ok(End::NotApproved);
        }
        let entry = Entry {
            kind: kind.clone(),
            stage: Stage::Network,
            spec: Value::Null,
            live: found.live.clone(),
            dependencies: BTreeSet::new(),
            leaving: false,
            update: None,
        };
        held.writer.record([Record::Applied(address.clone(), Box::new(entry))]).await?;
        workspace.tell(format!("{}: {address} is recorded", workspace.location()));
        Ok(End::Ran)
    }
}

/// Whether AWS calls a live resource so: by its id, its name, its ARN or the end of that.
fn is_called(live: &Value, id: &str) -> bool {
    let text = |field: &str| live.get(field).and_then(Value::as_str).unwrap_or_default();
    let names: BTreeMap<&str, bool> = ["id", "name", "arn"].map(|field| (field, text(field) == id)).into();
    names.values().any(|same| *same) || (text("arn").ends_with(&format!("/{id}")) && !id.is_empty())
}

fn not_found(kind: &str, address: &Address, id: &str) -> OperationError {
    let message = format!("{address}: no {kind} is called {id}, or it is not what the file asks for there");
    OperationError::refused(
        message,
        "name the id, the name or the ARN that AWS shows, and check the file's name for it",
    )
}
