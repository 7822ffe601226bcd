//! By what a deleted stack is looked for.

use std::collections::BTreeSet;

/// By what a stack that is deleted is looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traces {
    /// Its name.
    pub stack: String,
    /// Its region.
    pub region: String,
    /// Its lineage, if its state was found.
    pub lineage: Option<String>,
    /// The names of the clusters that were to be deleted.
    pub clusters: BTreeSet<String>,
    /// The name of the stack's cluster if an earlier run deleted it. Volumes, groups and OIDC
    /// providers are looked for by it; load balancers are not, because the tagging API lists deleted ones for a while.
    pub former_cluster: Option<String>,
    /// The key of its marker on subnets of an existing network.
    pub marker: String,
    /// The URLs of the clusters' issuers of tokens.
    pub issuers: BTreeSet<String>,
}

impl Traces {
    /// Returns how the names of the stack's roles begin.
    pub fn role_prefix(&self) -> String {
        format!("{}-{}-", self.stack, self.region)
    }
}
