//! What a plan is made from.

use crate::model::{Address, Graph, Kind, Observed, Snapshot};

/// What to do with resources that carry the stack's tags and are in neither file nor state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strays {
    /// Leave them and do not report them.
    Keep,
    /// Remove those that the state proves to be the stack's, unless `state forget` dropped them; report the others.
    Remove,
    /// Remove those that the state proves to be the stack's; report the others.
    RemoveProven,
    /// Remove all: only after a person confirmed each by name.
    RemoveAll,
}

/// What the caller allows beyond what the file asks for.
#[derive(Clone, Debug, Default)]
pub struct Consent {
    /// Addresses whose data may be lost by a replacement or deletion (`--replace`).
    pub replace: Vec<String>,
    /// Whether removing is what the command is for: then it needs no further word.
    pub removal: bool,
    /// Whether the stack is protected.
    pub protect: bool,
    /// The one resource that is adopted on request, and whether also from another owner.
    pub adopt: Option<(Address, bool)>,
}

impl Consent {
    /// Whether data at `address` may be lost.
    pub fn replaces(&self, address: &Address) -> bool {
        self.replace.iter().any(|given| given == address.as_str())
    }

    /// Whether the resource at `address` is adopted on request: some, with whether also from another owner.
    pub fn adopts(&self, address: &Address) -> Option<bool> {
        self.adopt.as_ref().filter(|(at, _)| at == address).map(|(_, take_over)| *take_over)
    }
}

/// What a plan is made from.
pub struct Input<'a> {
    /// What is wanted, already reduced to the targets.
    pub graph: &'a Graph,
    /// What is recorded.
    pub snapshot: &'a Snapshot,
    /// What is there.
    pub observed: &'a Observed,
    /// Addresses or stages that removals are limited to; empty: none.
    pub targets: &'a [String],
    /// What to do with strays.
    pub strays: Strays,
    /// What the caller allows.
    pub consent: &'a Consent,
    /// The kinds by name.
    pub kinds: &'a dyn Fn(&str) -> Option<Kind>,
}
