//! The Auto Scaling groups behind node groups.

use super::{Call, Clients, required};
use crate::model::CallError;
use aws_sdk_autoscaling::{
    operation::describe_auto_scaling_groups::DescribeAutoScalingGroupsError,
    types::{AutoScalingGroup, LifecycleState},
};
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use std::collections::BTreeMap;

/// The processes without which a group cannot replace or update its instances. EKS and the cluster autoscaler do without
/// the others.
/// Source: <https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-suspend-resume-processes.html>
const NEEDED_PROCESSES: [&str; 2] = ["Launch", "Terminate"];

/// The instance counts of an Auto Scaling group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AutoscalingGroup {
    /// The desired capacity.
    pub desired: usize,
    /// The number of instances in service and healthy.
    pub in_service: usize,
    /// The number of instances in any state.
    pub all: usize,
}

/// Returns the Auto Scaling groups with these names. Groups that do not exist are left out.
pub async fn autoscaling_groups(
    clients: &Clients,
    names: Vec<String>,
) -> Result<BTreeMap<String, AutoscalingGroup>, CallError> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let scaling_group = |group: AutoScalingGroup| {
        let desired = required(group.desired_capacity, "DesiredCapacity")?;
        let instances = group.instances();
        let works = |instance: &&aws_sdk_autoscaling::types::Instance| {
            instance.lifecycle_state() == Some(&LifecycleState::InService)
                && instance.health_status() == Some("Healthy")
        };
        let scaling_group = AutoscalingGroup {
            // AWS never answers with a negative number.
            desired: usize::try_from(desired).unwrap_or_default(),
            in_service: instances.iter().filter(works).count(),
            all: instances.len(),
        };
        Ok((required(group.auto_scaling_group_name, "AutoScalingGroupName")?, scaling_group))
    };
    described(clients, names).await.read(|groups| groups.into_iter().map(scaling_group).collect())
}

/// Returns the suspended processes of the groups with these names that keep them from replacing or updating instances.
/// Groups without one, or that do not exist, are left out.
pub async fn suspended_processes(
    clients: &Clients,
    names: Vec<String>,
) -> Result<BTreeMap<String, Vec<String>>, CallError> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let suspended = |group: AutoScalingGroup| {
        let processes = group.suspended_processes.unwrap_or_default().into_iter();
        let names = processes.filter_map(|process| process.process_name);
        let needed: Vec<String> = names.filter(|name| NEEDED_PROCESSES.contains(&name.as_str())).collect();
        Ok((required(group.auto_scaling_group_name, "AutoScalingGroupName")?, needed))
    };
    let groups: BTreeMap<String, Vec<String>> =
        described(clients, names).await.read(|groups| groups.into_iter().map(suspended).collect())?;
    Ok(groups.into_iter().filter(|(_, processes)| !processes.is_empty()).collect())
}

type Described = Result<Vec<AutoScalingGroup>, SdkError<DescribeAutoScalingGroupsError, HttpResponse>>;

async fn described(clients: &Clients, names: Vec<String>) -> Described {
    let call = clients.autoscaling.describe_auto_scaling_groups().set_auto_scaling_group_names(Some(names));
    call.into_paginator().items().send().try_collect().await
}
