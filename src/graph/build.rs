//! Putting nodes into a graph, each with its tags.

use crate::model::{Address, Desired, Graph, In, Node, Owner, Stage};
use std::collections::{BTreeMap, BTreeSet};

/// A graph in the making.
pub struct Build<'a> {
    owner: &'a Owner,
    tags: &'a BTreeMap<String, String>,
    stage: Stage,
    /// What was added so far.
    pub graph: Graph,
}

impl<'a> Build<'a> {
    /// An empty graph of `owner`, whose resources all carry `tags`.
    pub fn new(owner: &'a Owner, tags: &'a BTreeMap<String, String>, stage: Stage) -> Self {
        Build { owner, tags, stage, graph: Graph::default() }
    }

    /// From here on resources belong to `stage`.
    pub fn stage(&mut self, stage: Stage) {
        self.stage = stage;
    }

    /// The tags of the resource at `address`: the file's, a name for the console, and the owner's.
    pub fn tags(&self, address: &Address) -> BTreeMap<String, String> {
        let short =
            address.as_str().split_once('/').map_or(address.as_str(), |(_, rest)| rest).replace('/', "-");
        let mut tags = BTreeMap::from([("Name".to_owned(), format!("{}-{short}", self.owner.stack))]);
        tags.extend(self.tags.clone());
        tags.extend(self.owner.tags(address));
        tags
    }

    /// Adds a resource.
    pub fn add<S: Desired>(&mut self, address: &Address, spec: &S) {
        self.add_after(address, spec, &[]);
    }

    /// Adds a resource that needs others which no field of it names.
    pub fn add_after<S: Desired>(&mut self, address: &Address, spec: &S, after: &[&Address]) {
        let node = Node {
            address: address.clone(),
            kind: S::KIND.to_owned(),
            stage: self.stage,
            // The specs derive their form; one that could not be written would fail its first diff.
            spec: serde_json::to_value(spec).unwrap_or_default(),
            after: after.iter().map(|address| (*address).clone()).collect::<BTreeSet<_>>(),
            follows: BTreeSet::new(),
        };
        self.graph.nodes.insert(address.clone(), node);
    }

    /// Says that `then` is updated after `first`, where both are.
    pub fn follow(&mut self, then: &Address, first: &Address) {
        if let Some(node) = self.graph.nodes.get_mut(then) {
            node.follows.insert(first.clone());
        }
    }
}

/// The id of the resource at `address`.
pub fn id(address: &Address) -> In<String> {
    In::of(address, "id")
}

/// The ARN of the resource at `address`.
pub fn arn(address: &Address) -> In<String> {
    In::of(address, "arn")
}
