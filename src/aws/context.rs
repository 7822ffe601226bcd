//! What a resource kind's verbs are given.

use super::Clients;
use crate::{
    aws::error::Call,
    model::{Fault, Owner},
};
use aws_sdk_ec2::types::{RouteTable, SecurityGroup, SecurityGroupRule};
use std::{
    ops::Deref,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::OnceCell;

/// What a verb may use of this machine: an image is made from files.
#[derive(Clone, Debug, Default)]
pub struct Local {
    /// The stack file's folder.
    pub folder: PathBuf,
    /// The user's cache folder.
    pub cache: PathBuf,
    /// Whether this is the sandbox, in which an image without its base will do.
    pub sandbox: bool,
}

/// The clients, and on whose behalf they are used.
///
/// Made anew for each round of looking, so that what it remembers is never older than the round.
#[derive(Clone)]
pub struct Cx {
    clients: Clients,
    /// Whose resources.
    pub owner: Owner,
    /// The account, twelve digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// This machine.
    pub local: Arc<Local>,
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
    /// A context with nothing remembered.
    pub fn new(clients: Clients, owner: Owner, account: &str, region: &str) -> Self {
        Cx {
            clients,
            owner,
            account: account.to_owned(),
            region: region.to_owned(),
            local: Arc::default(),
            kept: Arc::default(),
            route_tables: Arc::default(),
            groups: Arc::default(),
            rules: Arc::default(),
        }
    }

    /// The same on this machine.
    #[must_use]
    pub fn on(self, local: Local) -> Self {
        Cx { local: Arc::new(local), ..self }
    }

    /// The same with nothing remembered.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Cx { route_tables: Arc::default(), groups: Arc::default(), rules: Arc::default(), ..self.clone() }
    }

    /// What [`keep`](Self::keep) was given last: connections outlive a round of looking.
    pub fn kept<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).get::<T>().cloned()
    }

    /// Keeps one thing of a type for all rounds.
    pub fn keep<T: Clone + Send + Sync + 'static>(&self, thing: T) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(thing);
    }

    /// The ARN partition that the region is in.
    pub fn partition(&self) -> &'static str {
        crate::model::partition(&self.region)
    }

    /// The stack's route tables; route tables, routes and associations are all read off one answer.
    pub async fn route_tables(&self) -> Result<&[RouteTable], Fault> {
        let tables = self.route_tables.get_or_try_init(|| async {
            let pages = self.ec2.describe_route_tables().set_filters(Some(super::by_owner(&self.owner)));
            let pages = pages.into_paginator().page_size(100).items().send();
            pages.try_collect().await.call("ec2", "DescribeRouteTables")
        });
        Ok(tables.await?)
    }

    /// The stack's security groups.
    pub async fn security_groups(&self) -> Result<&[SecurityGroup], Fault> {
        let groups = self.groups.get_or_try_init(|| async {
            let pages = self.ec2.describe_security_groups().set_filters(Some(super::by_owner(&self.owner)));
            let pages = pages.into_paginator().page_size(1000).items().send();
            pages.try_collect().await.call("ec2", "DescribeSecurityGroups")
        });
        Ok(groups.await?)
    }

    /// All rules in the stack's security groups, also those that others put there.
    pub async fn security_group_rules(&self) -> Result<&[SecurityGroupRule], Fault> {
        let rules = self.rules.get_or_try_init(|| async {
            let groups = self.security_groups().await?;
            let ids: Vec<String> = groups.iter().filter_map(|group| group.group_id.clone()).collect();
            if ids.is_empty() {
                return Ok(Vec::new());
            }
            let pages = self.ec2.describe_security_group_rules().filters(super::filter("group-id", ids));
            let pages = pages.into_paginator().page_size(1000).items().send();
            pages.try_collect().await.call("ec2", "DescribeSecurityGroupRules")
        });
        Ok(rules.await?)
    }
}

/// The per-call configuration of a create: signed with the time in the intent (AWS refuses it when a process that slept
/// sends it late, by when others may have closed the intent), never re-signed.
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

/// The same for a create that takes no client token: sent once, since a retry by the SDK makes a twin.
macro_rules! once {
    ($sdk:ident, $intent:expr) => {
        $crate::aws::signed!($sdk, $intent).retry_config(aws_config::retry::RetryConfig::disabled())
    };
}
pub(crate) use once;
