//! The desired resources of a stack and their dependencies.

use super::{Address, Stage, references};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Desired resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Address, unique in the graph.
    pub address: Address,
    /// Name of its kind.
    pub kind: String,
    /// Stage in which it is created.
    pub stage: Stage,
    /// Serialised spec with unresolved references.
    pub spec: Value,
    /// Dependencies that no field refers to.
    pub after: BTreeSet<Address>,
    /// Resources that are updated before it if both are updated, such as add-ons before nodes. They may be
    /// created after it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub follows: BTreeSet<Address>,
}

impl Node {
    /// Returns all its dependencies: those of its fields and those in `after`.
    pub fn dependencies(&self) -> BTreeSet<Address> {
        let mut all = references(&self.spec);
        all.extend(self.after.iter().cloned());
        all
    }
}

/// The desired resources of a stack, by address.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Graph {
    /// Desired resources by address.
    pub nodes: BTreeMap<Address, Node>,
}

impl Graph {
    /// Returns the resource at `address`.
    pub fn get(&self, address: &Address) -> Option<&Node> {
        self.nodes.get(address)
    }

    /// Returns the selected resources with all their dependencies. An empty selection selects all.
    pub fn targeted(&self, selectors: &[String]) -> Graph {
        if selectors.is_empty() {
            return self.clone();
        }
        let mut kept = BTreeMap::new();
        let mut open: Vec<&Address> = self
            .nodes
            .values()
            .filter(|node| selectors.iter().any(|s| node.address.is_within(s) || node.stage.name() == s))
            .map(|node| &node.address)
            .collect();
        let mut dependencies: Vec<Address> = Vec::new();
        loop {
            for address in open.drain(..) {
                if let Some(node) = self.nodes.get(address)
                    && kept.insert(address.clone(), node.clone()).is_none()
                {
                    dependencies.extend(node.dependencies());
                }
            }
            let next = std::mem::take(&mut dependencies);
            open = next.iter().filter_map(|a| self.nodes.get_key_value(a)).map(|(a, _)| a).collect();
            if open.is_empty() {
                return Graph { nodes: kept };
            }
        }
    }
}
