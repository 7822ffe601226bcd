//! The context that every verb of a resource kind receives.

use super::{Call, Clients, MissingField, required, tag_queue::Ec2TagQueue};
use crate::model::{Address, CallError, ManifestSecrets, Owner};
use aws_sdk_ec2::types::{RouteTable, SecurityGroup, SecurityGroupRule};
use std::{
    collections::BTreeSet,
    ops::Deref,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::OnceCell;

/// What a verb may use of this machine, for example the files that an image is built from.
#[derive(Clone, Debug, Default)]
pub struct Local {
    /// The stack file's folder.
    pub folder: PathBuf,
    /// The user's cache folder.
    pub cache: PathBuf,
    /// The files and folders of the stack, which never belong to an image.
    pub own: Vec<PathBuf>,
    /// Whether the target is the sandbox, which accepts an image without its base.
    pub sandbox: bool,
}

/// The clients and the stack that they act for.
///
/// A new one is created for each polling round, so that the lists that it caches are never older than the
/// round.
#[derive(Clone)]
pub struct Cx {
    clients: Clients,
    /// The stack that owns the resources.
    pub owner: Owner,
    /// The account id, twelve digits.
    pub account: String,
    /// The region, `eu-central-1`.
    pub region: String,
    /// Folders and mode of this machine.
    pub local: Arc<Local>,
    /// Objects of the cluster whose fields are taken from other managers.
    take_fields: Arc<BTreeSet<Address>>,
    /// The values of the Secrets of the manifests.
    secrets: ManifestSecrets,
    /// The EC2 resources that wait for tags.
    tag_queue: Ec2TagQueue,
    /// The names of the stack's clusters, also if they no longer exist.
    clusters: Arc<BTreeSet<String>>,
    kept: Arc<Mutex<http::Extensions>>,
    route_tables: Arc<OnceCell<Vec<RouteTable>>>,
    groups: Arc<OnceCell<Vec<SecurityGroup>>>,
    rules: Arc<OnceCell<Vec<SecurityGroupRule>>>,
}

impl Deref for Cx {
    type Target = Clients;

    fn deref(&self) -> &Clients {
        &self.clients
    }
}

impl Cx {
    /// Returns a context with empty caches and no access to local files.
    pub fn new(clients: Clients, owner: Owner, account: &str, region: &str) -> Self {
        Cx {
            clients,
            owner,
            account: account.to_owned(),
            region: region.to_owned(),
            local: Arc::default(),
            take_fields: Arc::default(),
            secrets: ManifestSecrets::default(),
            tag_queue: Ec2TagQueue::default(),
            clusters: Arc::default(),
            kept: Arc::default(),
            route_tables: Arc::default(),
            groups: Arc::default(),
            rules: Arc::default(),
        }
    }

    /// Returns the context with `local` as its machine.
    #[must_use]
    pub fn on(self, local: Local) -> Self {
        Cx { local: Arc::new(local), ..self }
    }

    /// Returns the context in which fields of these objects are taken from the managers that own them.
    #[must_use]
    pub fn taking_fields(self, of: &BTreeSet<Address>) -> Self {
        Cx { take_fields: Arc::new(of.clone()), ..self }
    }

    /// Returns whether fields of the object are taken from the managers that own them.
    pub fn takes_fields(&self, of: &Address) -> bool {
        self.take_fields.contains(of)
    }

    /// Returns the context with the values of the Secrets of the manifests.
    #[must_use]
    pub fn with_secrets(self, secrets: &ManifestSecrets) -> Self {
        Cx { secrets: secrets.clone(), ..self }
    }

    /// Returns the values of the Secrets of the manifests.
    pub fn secrets(&self) -> &ManifestSecrets {
        &self.secrets
    }

    /// Returns the EC2 resources that wait for tags.
    pub(super) fn tag_queue(&self) -> &Ec2TagQueue {
        &self.tag_queue
    }

    /// Returns the context of a stack that has, or had, these clusters.
    #[must_use]
    pub fn with_clusters(self, names: impl IntoIterator<Item = String>) -> Self {
        Cx { clusters: Arc::new(self.clusters.iter().cloned().chain(names).collect()), ..self }
    }

    /// Returns the names of the stack's clusters, also of those that no longer exist.
    pub fn clusters(&self) -> &BTreeSet<String> {
        &self.clusters
    }

    /// Returns a copy with empty caches.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Cx { route_tables: Arc::default(), groups: Arc::default(), rules: Arc::default(), ..self.clone() }
    }

    /// Returns the value of this type that was passed to [`keep`](Self::keep) last, such as an open connection.
    pub fn kept<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).get::<T>().cloned()
    }

    /// Keeps one value of each type for all polling rounds.
    pub fn keep<T: Clone + Send + Sync + 'static>(&self, thing: T) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(thing);
    }

    /// Returns the ARN partition of the region, such as `aws` or `aws-cn`.
    pub fn partition(&self) -> &'static str {
        crate::model::partition(&self.region)
    }

    /// Returns the stack's route tables: route tables, routes and associations are all read from one answer.
    pub async fn route_tables(&self) -> Result<&[RouteTable], CallError> {
        let tables = self.route_tables.get_or_try_init(|| async {
            let pages = self.ec2.describe_route_tables().set_filters(Some(super::by_owner(&self.owner)));
            let pages = pages.into_paginator().page_size(100).items().send();
            pages.try_collect().await.call()
        });
        Ok(tables.await?)
    }

    /// Returns the stack's security groups, listed once per context.
    pub async fn security_groups(&self) -> Result<&[SecurityGroup], CallError> {
        let groups = self.groups.get_or_try_init(|| async {
            let pages = self.ec2.describe_security_groups().set_filters(Some(super::by_owner(&self.owner)));
            let pages = pages.into_paginator().page_size(1000).items().send();
            pages.try_collect().await.call()
        });
        Ok(groups.await?)
    }

    /// Returns all rules in the stack's security groups, including those created outside provisioner.
    pub async fn security_group_rules(&self) -> Result<&[SecurityGroupRule], CallError> {
        let rules = self.rules.get_or_try_init(|| async {
            let groups = self.security_groups().await?;
            let ids: Vec<String> = groups.iter().filter_map(|group| group.group_id.clone()).collect();
            if ids.is_empty() {
                return Ok(Vec::new());
            }
            let pages = self.ec2.describe_security_group_rules().filters(super::filter("group-id", ids));
            let pages = pages.into_paginator().page_size(1000).items().send();
            pages.try_collect().await.read(complete_rules)
        });
        Ok(rules.await?)
    }
}

/// Returns the rules if each has an id, a group, a direction and a protocol: what is revoked is told apart by them.
pub fn complete_rules(rules: Vec<SecurityGroupRule>) -> Result<Vec<SecurityGroupRule>, MissingField> {
    for rule in &rules {
        required(rule.security_group_rule_id(), "securityGroupRuleId")?;
        required(rule.group_id(), "groupId")?;
        required(rule.is_egress(), "isEgress")?;
        required(rule.ip_protocol(), "ipProtocol")?;
    }
    Ok(rules)
}

/// Builds the per-call configuration of a create: signed with the time in the intent and never re-signed, so
/// that AWS rejects it if a suspended process sends it late, when another run may already have closed the
/// intent.
macro_rules! signed {
    ($sdk:ident, $intent:expr) => {
        $sdk::config::Config::builder()
            .time_source(aws_smithy_async::time::StaticTimeSource::from_secs(
                u64::try_from($intent.signed_at).unwrap_or_default(),
            ))
            .disable_clock_skew_correction(true)
    };
}
pub(crate) use signed;

/// Builds the same for a create without a client token: sent once, since a retry by the SDK would create a
/// duplicate.
macro_rules! single_shot {
    ($sdk:ident, $intent:expr) => {
        $crate::aws::signed!($sdk, $intent).retry_config(aws_config::retry::RetryConfig::disabled())
    };
}
pub(crate) use single_shot;
