//! Where a resource stands in the stack, and how AWS is told whose it is.

use serde::{Deserialize, Serialize};
use std::{borrow::Borrow, collections::BTreeMap, fmt};

/// The tag keys that every resource carries.
pub mod tag {
    /// The stack's name.
    pub const STACK: &str = "provisioner:stack";
    /// The address, unique in the stack.
    pub const RESOURCE: &str = "provisioner:resource";
    /// The UUID made together with the stack; tells two stacks of one name apart.
    pub const LINEAGE: &str = "provisioner:lineage";
    /// The nonce of the intent that a create call was made for; recovery finds the result of one single attempt by it.
    pub const INTENT: &str = "provisioner:intent";
    /// On the state bucket, the lock table and their key: shared by all stacks of an account and region.
    pub const BACKEND: &str = "provisioner:backend";
}

/// A resource's place in the stack, unique in it: `network/subnet/private-eu-central-1a`.
///
/// Segments are separated by `/`. The text is part of tags and of the state, so an address is never renamed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Address(String);

impl Address {
    /// Makes an address of its text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, as in tags and output.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `selector` names this address or a group that it is in: `network` and `network/subnet` both
    /// cover `network/subnet/private-a`.
    pub fn is_within(&self, selector: &str) -> bool {
        let selector = selector.trim_end_matches('/');
        self.0 == selector || self.0.strip_prefix(selector).is_some_and(|rest| rest.starts_with('/'))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<&str> for Address {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Address {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl Borrow<str> for Address {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The steps of the guided journey; `up` asks before each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// State bucket, lock table and their key.
    Backend,
    /// VPC and all in it, and the stack's key.
    Network,
    /// EKS and what it needs.
    Cluster,
    /// Image, manifests, controllers.
    Application,
}

impl Stage {
    /// All stages, in the order in which `up` goes through them.
    pub const ALL: [Stage; 4] = [Stage::Backend, Stage::Network, Stage::Cluster, Stage::Application];

    /// The name in output and in `--target`.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Backend => "backend",
            Stage::Network => "network",
            Stage::Cluster => "cluster",
            Stage::Application => "application",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Whose resources these are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The stack's name.
    pub stack: String,
    /// The stack's UUID.
    pub lineage: String,
}

impl Owner {
    /// The three tags that say so, for the resource at `address`.
    pub fn tags(&self, address: &Address) -> BTreeMap<String, String> {
        [(tag::STACK, self.stack.as_str()), (tag::RESOURCE, address.as_str()), (tag::LINEAGE, &self.lineage)]
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }
}

/// The ARN partition of a region.
pub fn partition(region: &str) -> &'static str {
    match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_covers_whole_segments_only() {
        let address = Address::from("network/subnet/private-a");
        for selector in ["network", "network/", "network/subnet", "network/subnet/private-a"] {
            assert!(address.is_within(selector), "{selector}");
        }
        for selector in ["net", "network/sub", "network/subnet/private-a/x", "subnet"] {
            assert!(!address.is_within(selector), "{selector}");
        }
    }
}
