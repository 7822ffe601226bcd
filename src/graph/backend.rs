//! The backend: a small graph of its own, whose state is a file, since it holds all other states.

use super::{
    build::{Build, arn},
    policy::{document, key_admin},
};
use crate::{
    model::{Address, Graph, In, Owner, Stage, tag},
    resources::{kms_key, lock_table, state_bucket},
};
use std::collections::BTreeMap;

/// The name under which the backend's own state is kept.
pub const BACKEND: &str = "provisioner-backend";

/// Where the states of an account and region are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// The account, twelve digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// The lock table.
    pub table: String,
    /// A key that is there already, by its ARN; else one is made.
    pub key_arn: Option<String>,
}

impl Backend {
    /// The names that count where the file gives none.
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

    /// Whose resources these are: nobody's stack.
    pub fn owner(&self) -> Owner {
        Owner { stack: BACKEND.to_owned(), lineage: self.bucket.clone() }
    }
}

/// Bucket, table and key. A key that was `made` stays also where the file names another: the states written so far are
/// encrypted with it.
pub fn backend(backend: &Backend, made: bool) -> Graph {
    let owner = backend.owner();
    let none = BTreeMap::new();
    let mut build = Build::new(&owner, &none, Stage::Backend);
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
        None => arn(&key),
    };
    if backend.key_arn.is_none() || made {
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
    build.add(&bucket, &state_bucket::Spec { name, region, key: key_arn.clone(), tags: tags(&bucket) });
    build.add(&table, &lock_table::Spec { name: backend.table.clone(), key: key_arn, tags: tags(&table) });
    build.graph
}
