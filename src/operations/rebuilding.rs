//! Rebuilds a lost state from the tags in the account.

use super::{
    OperationError, PlanOptions, Workspace, facts,
    planning::{desired, planned},
    workspace::{kind, provider},
};
use crate::{
    aws::lineages,
    engine::observe,
    model::{Address, Entry, Graph, Observation, Observed, Owner, Plan, Snapshot, Stage, resolve},
    plan::{Ownership, is_part_of_parent, judge},
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Returns a live field of an observed resource, if it has a value.
fn seen(observed: &Observed, address: &str, field: &str) -> Option<Value> {
    observed.found.get(&Address::from(address))?.live.get(field).filter(|value| !value.is_null()).cloned()
}

/// Refuses several resources with the tags of one address: without a state nothing tells the stack's from one to which its tags
/// were copied.
fn refuse_twins(found: &[(&Address, &Observation)]) -> Result<(), OperationError> {
    let mut twins: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (address, found) in found {
        let (of, _) = address.as_str().split_once('#').unwrap_or((address.as_str(), ""));
        let id = found.live.get("id").and_then(Value::as_str);
        twins.entry(of).or_default().push(id.unwrap_or(address.as_str()));
    }
    twins.retain(|_, ids| ids.len() > 1);
    if twins.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = twins.iter().map(|(of, ids)| format!("{of} ({})", ids.join(", "))).collect();
    Err(OperationError::refused(
        format!("several resources carry the tags of one resource of the stack: {}", named.join("; ")),
        "remove the tags `provisioner:*` from those that are not the stack's, or delete them, then run again",
    ))
}

/// Returns the state that matches the live resources, and what the file would still change.
pub async fn rebuilt(
    workspace: &Workspace,
    options: &PlanOptions,
) -> Result<(Snapshot, Plan), OperationError> {
    let name = &workspace.stack.name;
    let found: Vec<String> = lineages(&workspace.target.clients, name).await?.into_iter().collect();
    let lineage = match found.as_slice() {
        [one] => one.clone(),
        [] => {
            let text = format!("no resource in {} carries the tags of stack `{name}`", workspace.region());
            return Err(OperationError::refused(text, "check the account, the region and the stack's name"));
        }
        several => {
            let text = format!(
                "found resources of {} stacks named `{name}`, with these lineages: {}",
                several.len(),
                several.join(", ")
            );
            let hint = "delete the resources of the unwanted stack; their tag `provisioner:lineage` tells them apart";
            return Err(OperationError::refused(text, hint));
        }
    };
    let owner = Owner { stack: name.clone(), lineage };
    let mut snapshot = Snapshot::new(&owner, &workspace.target.identity.account, &workspace.stack.region);
    let provider = provider(workspace, &owner, &options.take_fields);
    // The first observation finds what can be listed by tags, the second what is found by the names in
    // the file. Both yield versions, so that the graph is that of the stack as it is.
    let first = observe(&provider, &Graph::default(), &snapshot, true).await?;
    facts::facts_from_live(&workspace.stack, &mut snapshot, &first);
    let named = desired(workspace, options, &mut snapshot.clone()).await?;
    let second = observe(&provider, &named, &snapshot, true).await?;
    facts::facts_from_live(&workspace.stack, &mut snapshot, &second);
    let graph = desired(workspace, options, &mut snapshot).await?;
    // Some resources are found only through their dependencies, and each round knows more of these.
    let mut observed = second;
    loop {
        let mut known = graph.clone();
        for node in known.nodes.values_mut() {
            node.spec = resolve(&node.spec, &|at, field| seen(&observed, at, field));
        }
        let next = observe(&provider, &known, &snapshot, true).await?;
        let grown = next.found.len() > observed.found.len();
        observed = next;
        if !grown {
            break;
        }
    }
    if let Some(error) = observed.failed.values().next().cloned() {
        return Err(error.into());
    }
    // What the file's names find may belong to another owner.
    let ours = |found: &Observation| {
        kind(&found.kind).is_some_and(|kind| {
            is_part_of_parent(kind, &owner, None, &found.live)
                || judge(kind, &owner, None, None, &found.live) == Ownership::Unproven
        })
    };
    let rebuilt: Vec<_> = observed.found.iter().filter(|(_, found)| ours(found)).collect();
    refuse_twins(&rebuilt)?;
    for (address, found) in rebuilt {
        let node = graph.get(address).filter(|node| node.kind == found.kind);
        let entry = Entry {
            kind: found.kind.clone(),
            stage: node.map_or(Stage::Network, |node| node.stage),
            spec: node
                .map_or(Value::Null, |node| resolve(&node.spec, &|at, field| seen(&observed, at, field))),
            live: found.live.clone(),
            dependencies: node.map_or_else(BTreeSet::new, crate::model::Node::dependencies),
            leaving: false,
            update: None,
        };
        snapshot.resources.insert(address.clone(), entry);
    }
    let (plan, _) = planned(workspace, options, &graph, &snapshot).await?;
    Ok((snapshot, plan))
}
