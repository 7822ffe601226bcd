//! The resources of the state backend: a separate graph whose own state is a local file, because the backend
//! holds the states of all stacks.

use super::{
    graph_builder::GraphBuilder,
    iam_policies::{document, key_admin},
};
use crate::{
    model::{Address, Desired as _, Graph, In, Owner, Stage, tag},
    resources::{kms_key, lock_table, state_bucket},
};
use std::collections::BTreeMap;

/// The stack name under which the state of the backend itself is stored.
pub const BACKEND: &str = crate::model::BACKEND_OWNER;

/// The state backend of an account and region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Account ID, 12 digits; may be `*` in a generated policy.
    pub account: String,
    /// AWS region, such as `eu-central-1`.
    pub region: String,
    /// Name of the S3 bucket.
    pub bucket: String,
    /// Name of the DynamoDB lock table.
    pub table: String,
    /// ARN of an existing KMS key. If `None`, a key is created.
    pub key_arn: Option<String>,
}

impl Backend {
    /// Returns the backend with default names for those that are `None`.
    pub fn new(
        account: &str,
        region: &str,
        bucket: Option<&String>,
        table: Option<&String>,
        key_arn: Option<&String>,
    ) -> Self {
        Backend {
            account: account.to_owned(),
            region: region.to_owned(),
            bucket: bucket.cloned().unwrap_or_else(|| format!("provisioner-{account}-{region}")),
            table: table.cloned().unwrap_or_else(|| "provisioner-lock".to_owned()),
            key_arn: key_arn.cloned(),
        }
    }

    /// Returns the owner of the backend's resources, which belong to no stack.
    pub fn owner(&self) -> Owner {
        Owner { stack: BACKEND.to_owned(), lineage: self.bucket.clone() }
    }
}

/// Returns the graph of bucket, table and key. `key_exists` says that a key was created before: it is kept
/// even if the file names another one, because it encrypts the states that were written with it.
pub fn backend(backend: &Backend, key_exists: bool) -> Graph {
    let owner = backend.owner();
    let none = BTreeMap::new();
    let mut build = GraphBuilder::new(&owner, &none, Stage::Backend);
    let tags = |address: &Address| {
        BTreeMap::from([
            (tag::BACKEND.to_owned(), backend.bucket.clone()),
            (tag::RESOURCE.to_owned(), address.as_str().to_owned()),
        ])
    };
    let (key, bucket, table) =
        (Address::from("backend/key"), "backend/bucket".into(), "backend/table".into());
    let key_arn = match &backend.key_arn {
        Some(arn) => In::Known(arn.clone()),
        None => kms_key::ARN.of(&key),
    };
    if backend.key_arn.is_none() || key_exists {
        let spec = kms_key::Spec {
            alias: format!("alias/{}", backend.bucket),
            description: format!("State of provisioner's stacks, in {}", backend.bucket),
            rotation_days: 365,
            deletion_window_days: 30,
            policy: document(vec![key_admin(&backend.account, &backend.region)]),
            tags: tags(&key),
        };
        build.add(&key, &spec);
    }
    let (name, region) = (backend.bucket.clone(), backend.region.clone());
    let key = Some(key_arn.clone());
    build.add(&bucket, &state_bucket::Spec { name, region, key, tags: tags(&bucket) });
    build.add(&table, &lock_table::Spec { name: backend.table.clone(), key: key_arn, tags: tags(&table) });
    build.graph
}

/// Returns the part of a backend graph that is created first: the bucket, whose key is not decided yet. Who creates the
/// key is decided in the bucket.
pub fn backend_bucket(graph: &Graph) -> Graph {
    let bucket = graph.nodes.iter().filter(|(_, node)| node.kind == state_bucket::Spec::KIND);
    let mut part = Graph { nodes: bucket.map(|(address, node)| (address.clone(), node.clone())).collect() };
    for node in part.nodes.values_mut() {
        if let Some(key) = node.spec.get_mut("key") {
            *key = serde_json::Value::Null;
        }
    }
    part
}

/// Returns the part of a backend graph that is created second: the key, if the program creates it.
pub fn backend_key(graph: &Graph) -> Graph {
    let key = graph.nodes.iter().filter(|(_, node)| node.kind == kms_key::Spec::KIND);
    Graph { nodes: key.map(|(address, node)| (address.clone(), node.clone())).collect() }
}
