//! The address of a resource in its stack, and the tags that mark its owner.

use super::one_line;
use serde::{Deserialize, Serialize};
use std::{borrow::Borrow, collections::BTreeMap, fmt};

/// Keys of the tags that the program sets.
pub mod tag {
    /// Name of the stack.
    pub const STACK: &str = "provisioner:stack";
    /// Address of the resource, unique in the stack.
    pub const RESOURCE: &str = "provisioner:resource";
    /// Lineage: a UUID created with the stack, which tells two stacks of one name apart.
    pub const LINEAGE: &str = "provisioner:lineage";
    /// Nonce of the intent whose create call created the resource; recovery finds the result of one attempt
    /// by it.
    pub const INTENT: &str = "provisioner:intent";
    /// Marks the state bucket, the lock table and their key, which all stacks of an account and region share.
    pub const BACKEND: &str = "provisioner:backend";
}

/// Name of a resource, unique in its stack: `network/subnet/private-eu-central-1a`.
///
/// Segments are separated by `/`; the first is the stage. Tags and the state hold the text, so an address is
/// never renamed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Address(String);

impl Address {
    /// Wraps the text of an address, which is not checked.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text, as in tags and output.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether `selector` is this address or a prefix of whole segments: `network` and
    /// `network/subnet` both select `network/subnet/private-a`.
    pub fn is_within(&self, selector: &str) -> bool {
        let selector = selector.trim_end_matches('/');
        self.0 == selector || self.0.strip_prefix(selector).is_some_and(|rest| rest.starts_with(['/', '#']))
    }

    /// Returns the last segment, the name of most resources in the file.
    pub fn last_segment(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// Returns the address of the resource `name` that is being replaced at this address: both exist until it is deleted.
    pub fn retired(&self, name: &str) -> Address {
        Address(format!("{self}#{name}"))
    }

    /// Returns the address without the name of a resource that is being replaced there.
    pub fn base(&self) -> &str {
        self.0.rsplit_once('#').map_or(&self.0, |(base, _)| base)
    }
}

/// For people: an address can come from a tag or a state that another user wrote. [`Address::as_str`] is exact.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&one_line(&self.0))
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

/// Group of resources that `up` works on as one; it asks for confirmation before each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// State bucket, lock table and their KMS key.
    Backend,
    /// VPC with its subnets, gateways, routes and endpoints, and the stack's KMS key.
    Network,
    /// EKS cluster with its roles, nodes, add-ons and access entries.
    Cluster,
    /// Controllers, container image and manifests.
    Application,
}

impl Stage {
    /// All stages, in the order of `up`.
    pub const ALL: [Stage; 4] = [Stage::Backend, Stage::Network, Stage::Cluster, Stage::Application];

    /// Returns the name in output and in `--target`.
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

/// The name under which the backend's own state is kept: it belongs to no stack.
pub const BACKEND_OWNER: &str = "provisioner-backend";

/// Stack that a resource belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Name of the stack.
    pub stack: String,
    /// UUID created with the stack.
    pub lineage: String,
}

impl Owner {
    /// Whether the backend is meant, which all stacks share.
    pub fn is_backend(&self) -> bool {
        self.stack == BACKEND_OWNER
    }

    /// Returns the three owner tags of the resource at `address`.
    pub fn tags(&self, address: &Address) -> BTreeMap<String, String> {
        [(tag::STACK, self.stack.as_str()), (tag::RESOURCE, address.as_str()), (tag::LINEAGE, &self.lineage)]
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }
}

/// Returns the ARN partition of a region: `aws`, `aws-cn` or `aws-us-gov`.
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
