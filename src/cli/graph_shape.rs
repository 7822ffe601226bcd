//! A graph of resources in the form in which it is drawn: levels, direct dependencies, a tree.

use crate::model::{Address, Graph, Stage};
use std::collections::{BTreeMap, BTreeSet};

/// A resource in the drawing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its address.
    pub address: Address,
    /// Its kind's name.
    pub kind: String,
    /// Its stage.
    pub stage: Stage,
    /// Number of resources in the longest chain of those that must exist before it.
    pub level: usize,
    /// What it needs, without what one of these needs.
    pub needs: BTreeSet<Address>,
    /// What needs it, in the same sense.
    pub needed_by: BTreeSet<Address>,
}

/// Returns the resources, by address.
pub fn items(graph: &Graph) -> BTreeMap<Address, Item> {
    let needs: BTreeMap<&Address, BTreeSet<Address>> = graph
        .nodes
        .iter()
        .map(|(address, node)| {
            let known = node.dependencies().into_iter().filter(|it| graph.nodes.contains_key(it));
            (address, known.collect())
        })
        .collect();
    let order = in_order(&needs);
    let mut before: BTreeMap<&Address, BTreeSet<&Address>> = BTreeMap::new();
    let mut items: BTreeMap<Address, Item> = BTreeMap::new();
    for address in order {
        let Some(node) = graph.nodes.get(address) else { continue };
        let own: Vec<&Address> = needs.get(address).into_iter().flatten().collect();
        let all: BTreeSet<&Address> = own.iter().filter_map(|it| before.get(it)).flatten().copied().collect();
        let levels = own.iter().filter_map(|it| items.get(*it)).map(|it| it.level.saturating_add(1));
        let item = Item {
            address: address.clone(),
            kind: node.kind.clone(),
            stage: node.stage,
            level: levels.max().unwrap_or_default(),
            needs: own.iter().filter(|it| !all.contains(*it)).map(|it| (*it).clone()).collect(),
            needed_by: BTreeSet::new(),
        };
        for needed in &item.needs {
            if let Some(needed) = items.get_mut(needed) {
                needed.needed_by.insert(address.clone());
            }
        }
        items.insert(address.clone(), item);
        before.insert(address, all.into_iter().chain(own).collect());
    }
    items
}

/// Returns the addresses so that each comes after what it needs. Those of a circle, which no graph has, come last.
fn in_order<'a>(needs: &BTreeMap<&'a Address, BTreeSet<Address>>) -> Vec<&'a Address> {
    let mut order: Vec<&Address> = Vec::new();
    let mut done: BTreeSet<&Address> = BTreeSet::new();
    loop {
        let before = order.len();
        for (address, needs) in needs {
            if !done.contains(address) && needs.iter().all(|it| done.contains(it)) {
                done.insert(address);
                order.push(address);
            }
        }
        if order.len() == before {
            order.extend(needs.keys().filter(|address| !done.contains(*address)));
            return order;
        }
    }
}

/// Returns the resource below which an item stands in the tree of its stage: of those that it needs in its stage, the one
/// that exists last.
pub fn parent<'a>(item: &Item, items: &'a BTreeMap<Address, Item>) -> Option<&'a Item> {
    let needed = item.needs.iter().filter_map(|address| items.get(address));
    needed.filter(|it| it.stage == item.stage && it.level < item.level).max_by_key(|it| it.level)
}

/// An item with its depth in the tree of its stage, from 0.
pub type Placed<'a> = (usize, &'a Item);

/// Returns the items of a stage as a tree, parents first.
pub fn tree(stage: Stage, items: &BTreeMap<Address, Item>) -> Vec<Placed<'_>> {
    let mut below: BTreeMap<Option<&Address>, Vec<&Item>> = BTreeMap::new();
    for item in items.values().filter(|item| item.stage == stage) {
        below.entry(parent(item, items).map(|it| &it.address)).or_default().push(item);
    }
    let mut placed = Vec::new();
    let mut open: Vec<Placed<'_>> = below.get(&None).into_iter().flatten().rev().map(|it| (0, *it)).collect();
    while let Some((depth, item)) = open.pop() {
        placed.push((depth, item));
        let children = below.get(&Some(&item.address)).into_iter().flatten().rev();
        open.extend(children.map(|child| (depth.saturating_add(1), *child)));
    }
    placed
}

/// Graphs for tests.
#[cfg(test)]
pub mod examples {
    use super::*;
    use crate::model::Node;
    use serde_json::Value;

    /// A cluster that stands in a VPC with two subnets; the second one has a hostile name.
    pub fn small() -> Graph {
        let nodes = [
            ("network/vpc", Stage::Network, &[][..]),
            ("network/subnet/a", Stage::Network, &["network/vpc"]),
            ("network/subnet/<b> \"&\n", Stage::Network, &["network/vpc"]),
            ("cluster/role", Stage::Cluster, &[]),
            (
                "cluster/eks",
                Stage::Cluster,
                &["network/vpc", "network/subnet/a", "network/subnet/<b> \"&\n", "cluster/role", "elsewhere"],
            ),
            ("cluster/node-group/a", Stage::Cluster, &["cluster/eks", "network/subnet/a"]),
        ];
        let node = |(address, stage, after): (&str, Stage, &[&str])| Node {
            address: address.into(),
            kind: "thing".to_owned(),
            stage,
            spec: Value::Null,
            after: after.iter().map(|address| Address::from(*address)).collect(),
            follows: BTreeSet::new(),
        };
        Graph { nodes: nodes.map(node).into_iter().map(|node| (node.address.clone(), node)).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_that_follow_from_others_are_left_out() {
        let items = items(&examples::small());
        let needs = |address: &str| -> Vec<&str> {
            items[&Address::from(address)].needs.iter().map(Address::as_str).collect()
        };
        assert_eq!(needs("cluster/eks"), ["cluster/role", "network/subnet/<b> \"&\n", "network/subnet/a"]);
        assert_eq!(needs("cluster/node-group/a"), ["cluster/eks"]);
        let levels: Vec<usize> = items.values().map(|item| item.level).collect();
        assert_eq!(levels, [2, 3, 0, 1, 1, 0]);
        let vpc = &items[&Address::from("network/vpc")];
        assert_eq!(vpc.needed_by.len(), 2);
    }

    #[test]
    fn every_item_stands_once_in_the_tree_of_its_stage() {
        let items = items(&examples::small());
        let placed: Vec<(usize, &str)> = Stage::ALL
            .into_iter()
            .flat_map(|stage| tree(stage, &items))
            .map(|(depth, item)| (depth, item.address.as_str()))
            .collect();
        let expected = [
            (0, "network/vpc"),
            (1, "network/subnet/<b> \"&\n"),
            (1, "network/subnet/a"),
            (0, "cluster/role"),
            (1, "cluster/eks"),
            (2, "cluster/node-group/a"),
        ];
        assert_eq!(placed, expected);
    }

    #[test]
    fn a_circle_ends() {
        let mut graph = examples::small();
        graph.nodes.get_mut(&Address::from("network/vpc")).unwrap().after.insert("cluster/eks".into());
        let items = items(&graph);
        assert_eq!(items.len(), graph.nodes.len());
        let placed: usize = Stage::ALL.into_iter().map(|stage| tree(stage, &items).len()).sum();
        assert_eq!(placed, items.len());
    }
}
