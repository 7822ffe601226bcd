//! A state from tags alone.

use super::super::{exit::Failure, facts, session::Session};
use crate::{
    aws::lineages,
    engine::observe,
    model::{Address, Entry, Graph, Observed, Owner, Plan, Snapshot, Stage, resolve},
};
use serde_json::Value;
use std::collections::BTreeSet;

/// A field of what was found.
fn seen(observed: &Observed, address: &str, field: &str) -> Option<Value> {
    observed.found.get(&Address::from(address))?.live.get(field).filter(|value| !value.is_null()).cloned()
}

impl Session {
    /// The state that fits what is there, and what the file would still change.
    pub async fn rebuilt(&self) -> Result<(Snapshot, Plan), Failure> {
        let name = &self.stack.name;
        let found: Vec<String> = lineages(&self.target.clients, name).await?.into_iter().collect();
        let lineage = match found.as_slice() {
            [one] => one.clone(),
            [] => {
                let text = format!("nothing in {} carries the tags of stack {name}", self.region());
                return Err(Failure::refused(text, "check the account, the region and the stack's name"));
            }
            several => {
                let text = format!(
                    "there are things of {} stacks called {name}: {}",
                    several.len(),
                    several.join(", ")
                );
                let hint = "remove those of the stack that is not wanted; `provisioner:lineage` is their tag";
                return Err(Failure::refused(text, hint));
            }
        };
        let owner = Owner { stack: name.clone(), lineage };
        let mut snapshot = Snapshot::new(&owner, &self.identity.account, &self.stack.region);
        let world = self.world(&owner);
        // The first look finds what lists by tags, the second what is found by the names that the file gives; versions
        // come with it, and with them the graph is that of the stack as it is.
        let first = observe(&world, &Graph::default(), &snapshot, true).await?;
        facts::recall(&self.stack, &mut snapshot, &first);
        let named = self.graph(&mut snapshot.clone()).await?;
        let second = observe(&world, &named, &snapshot, true).await?;
        facts::recall(&self.stack, &mut snapshot, &second);
        let graph = self.graph(&mut snapshot).await?;
        // Some are found only by what they stand on: each round knows more of that.
        let mut observed = second;
        loop {
            let mut known = graph.clone();
            for node in known.nodes.values_mut() {
                node.spec = resolve(&node.spec, &|at, field| seen(&observed, at, field));
            }
            let next = observe(&world, &known, &snapshot, true).await?;
            let grown = next.found.len() > observed.found.len();
            observed = next;
            if !grown {
                break;
            }
        }
        for (address, found) in &observed.found {
            let node = graph.get(address).filter(|node| node.kind == found.kind);
            let entry = Entry {
                kind: found.kind.clone(),
                stage: node.map_or(Stage::Network, |node| node.stage),
                spec: node
                    .map_or(Value::Null, |node| resolve(&node.spec, &|at, field| seen(&observed, at, field))),
                live: found.live.clone(),
                dependencies: node.map_or_else(BTreeSet::new, crate::model::Node::dependencies),
                leaving: false,
            };
            snapshot.resources.insert(address.clone(), entry);
        }
        let (plan, _) = self.plan(&graph, &snapshot).await?;
        Ok((snapshot, plan))
    }
}
