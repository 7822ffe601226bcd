//! The desired resources.

use super::{Address, Stage, references};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// One desired resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Its place.
    pub address: Address,
    /// Its kind's name.
    pub kind: String,
    /// The stage that it is made in.
    pub stage: Stage,
    /// Its serialised spec, references unresolved.
    pub spec: Value,
    /// What must stand before it though no field refers to it.
    pub after: BTreeSet<Address>,
    /// What is updated before it where both are, whatever order they were made in: Kubernetes' add-ons before its nodes.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub follows: BTreeSet<Address>,
}

impl Node {
    /// Everything that must stand before it.
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
    /// The nodes.
    pub nodes: BTreeMap<Address, Node>,
}

impl Graph {
    /// The node at `address`.
    pub fn get(&self, address: &Address) -> Option<&Node> {
        self.nodes.get(address)
    }

    /// The selected nodes and all they stand on. An empty selection is everything.
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
