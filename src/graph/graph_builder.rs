//! Builds a graph of resources, each with its tags and dependencies.

use crate::model::{Address, Desired, Graph, Node, Owner, Stage};
use std::collections::{BTreeMap, BTreeSet};

/// A graph under construction.
pub struct GraphBuilder<'a> {
    owner: &'a Owner,
    tags: &'a BTreeMap<String, String>,
    stage: Stage,
    /// The resources added so far.
    pub graph: Graph,
}

impl<'a> GraphBuilder<'a> {
    /// Returns an empty graph of `owner`. All resources get `tags`; the first ones belong to `stage`.
    pub fn new(owner: &'a Owner, tags: &'a BTreeMap<String, String>, stage: Stage) -> Self {
        GraphBuilder { owner, tags, stage, graph: Graph::default() }
    }

    /// Sets the stage of the resources that are added next.
    pub fn stage(&mut self, stage: Stage) {
        self.stage = stage;
    }

    /// Returns the tags of the resource at `address`: those of the file, `Name` for the AWS console, and
    /// those that mark its owner.
    pub fn tags(&self, address: &Address) -> BTreeMap<String, String> {
        let short =
            address.as_str().split_once('/').map_or(address.as_str(), |(_, rest)| rest).replace('/', "-");
        let mut tags = BTreeMap::from([("Name".to_owned(), format!("{}-{short}", self.owner.stack))]);
        tags.extend(self.tags.clone());
        tags.extend(self.owner.tags(address));
        tags
    }

    /// Adds a resource that depends only on what its fields refer to.
    pub fn add<S: Desired>(&mut self, address: &Address, spec: &S) {
        self.add_after(address, spec, &[]);
    }

    /// Adds a resource that also depends on resources that none of its fields refers to.
    pub fn add_after<S: Desired>(&mut self, address: &Address, spec: &S, after: &[&Address]) {
        let node = Node {
            address: address.clone(),
            kind: S::KIND.to_owned(),
            stage: self.stage,
            // Specs derive `Serialize` and cannot fail here; a null spec would fail the first diff.
            spec: serde_json::to_value(spec).unwrap_or_default(),
            after: after.iter().map(|address| (*address).clone()).collect::<BTreeSet<_>>(),
            follows: BTreeSet::new(),
        };
        self.graph.nodes.insert(address.clone(), node);
    }

    /// Orders the update of `then` after that of `first`, if both are updated in the same run.
    pub fn follow(&mut self, then: &Address, first: &Address) {
        if let Some(node) = self.graph.nodes.get_mut(then) {
            node.follows.insert(first.clone());
        }
    }
}
