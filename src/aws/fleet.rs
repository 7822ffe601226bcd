//! The instances behind node groups.

use super::{Call, Clients};
use crate::model::Fault;
use aws_sdk_autoscaling::types::LifecycleState;
use std::collections::BTreeMap;

/// How many instances an Auto Scaling group has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fleet {
    /// How many it is to have.
    pub desired: usize,
    /// How many work and are healthy.
    pub in_service: usize,
    /// How many there are in any state.
    pub all: usize,
}

/// The Auto Scaling groups of these names; what is not there is not in the answer.
pub async fn fleets(clients: &Clients, names: Vec<String>) -> Result<BTreeMap<String, Fleet>, Fault> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let call = clients.autoscaling.describe_auto_scaling_groups().set_auto_scaling_group_names(Some(names));
    let pages = call.into_paginator().items().send();
    let groups: Vec<_> = pages.try_collect().await.call("autoscaling", "DescribeAutoScalingGroups")?;
    let fleet = |group: aws_sdk_autoscaling::types::AutoScalingGroup| {
        let instances = group.instances();
        let works = |instance: &&aws_sdk_autoscaling::types::Instance| {
            instance.lifecycle_state() == Some(&LifecycleState::InService)
                && instance.health_status() == Some("Healthy")
        };
        let fleet = Fleet {
            desired: group.desired_capacity.and_then(|count| usize::try_from(count).ok()).unwrap_or_default(),
            in_service: instances.iter().filter(works).count(),
            all: instances.len(),
        };
        Some((group.auto_scaling_group_name?, fleet))
    };
    Ok(groups.into_iter().filter_map(fleet).collect())
}
