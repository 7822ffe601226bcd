//! Questions that `doctor` asks before anything is made: what there is room for, what is on offer, what is allowed.

use super::{Call, Clients, filter};
use crate::model::{Class, Fault};
use aws_sdk_ec2::types::{Instance, InstanceType, LocationType};
use aws_sdk_iam::types::{ContextEntry, ContextKeyTypeEnum, PolicyEvaluationDecisionType};
use futures_util::future::try_join_all;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// An instance type, as this region has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Its vCPUs.
    pub cpus: u32,
    /// AWS's names of the architectures that it runs.
    pub architectures: BTreeSet<String>,
    /// The zones that offer it.
    pub zones: BTreeSet<String>,
}

/// These instance types; what the region does not know is not in the answer.
pub async fn machines(clients: &Clients, types: &BTreeSet<&str>) -> Result<BTreeMap<String, Machine>, Fault> {
    let names: Vec<String> = types.iter().map(|name| (*name).to_owned()).collect();
    let offered = clients
        .ec2
        .describe_instance_type_offerings()
        .location_type(LocationType::AvailabilityZone)
        .filters(filter("instance-type", names))
        .into_paginator()
        .items()
        .send();
    let offered: Vec<_> = offered.try_collect().await.call("ec2", "DescribeInstanceTypeOfferings")?;
    let mut zones: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for offering in offered {
        if let (Some(name), Some(zone)) = (offering.instance_type, offering.location) {
            zones.entry(name.as_str().to_owned()).or_default().insert(zone);
        }
    }
    if zones.is_empty() {
        return Ok(BTreeMap::new());
    }
    let known: Vec<InstanceType> = zones.keys().map(|name| InstanceType::from(name.as_str())).collect();
    let pages =
        clients.ec2.describe_instance_types().set_instance_types(Some(known)).into_paginator().items().send();
    let infos: Vec<_> = pages.try_collect().await.call("ec2", "DescribeInstanceTypes")?;
    let machine = |info: aws_sdk_ec2::types::InstanceTypeInfo| {
        let name = info.instance_type?.as_str().to_owned();
        let cpus =
            info.v_cpu_info.and_then(|cpus| cpus.default_v_cpus).and_then(|cpus| u32::try_from(cpus).ok())?;
        let runs = info.processor_info.and_then(|it| it.supported_architectures).unwrap_or_default();
        let architectures = runs.iter().map(|arch| arch.as_str().to_owned()).collect();
        let zones = zones.get(&name).cloned().unwrap_or_default();
        Some((name, Machine { cpus, architectures, zones }))
    };
    Ok(infos.into_iter().filter_map(machine).collect())
}

/// How much of what there is a quota for exists in the region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InUse {
    /// VPCs.
    pub vpcs: usize,
    /// Elastic IP addresses.
    pub addresses: usize,
    /// Internet gateways.
    pub gateways: usize,
    /// EKS clusters.
    pub clusters: usize,
    /// vCPUs of instances that run on demand.
    pub on_demand: u32,
    /// vCPUs of Spot instances.
    pub spot: u32,
}

/// Counts it.
pub async fn in_use(clients: &Clients) -> Result<InUse, Fault> {
    let ec2 = &clients.ec2;
    let alive = filter("instance-state-name", vec!["pending".to_owned(), "running".to_owned()]);
    let (vpcs, addresses, gateways, clusters, reservations) = tokio::try_join!(
        async {
            let pages = ec2.describe_vpcs().into_paginator().items().send();
            pages.try_collect().await.call("ec2", "DescribeVpcs")
        },
        async { ec2.describe_addresses().send().await.call("ec2", "DescribeAddresses") },
        async {
            let pages = ec2.describe_internet_gateways().into_paginator().items().send();
            pages.try_collect().await.call("ec2", "DescribeInternetGateways")
        },
        async {
            let pages = clients.eks.list_clusters().into_paginator().items().send();
            pages.try_collect().await.call("eks", "ListClusters")
        },
        async {
            let pages = ec2.describe_instances().filters(alive).into_paginator().items().send();
            pages.try_collect().await.call("ec2", "DescribeInstances")
        },
    )?;
    let instances = reservations.iter().flat_map(aws_sdk_ec2::types::Reservation::instances);
    let (mut on_demand, mut spot) = (0_u32, 0_u32);
    for instance in instances {
        let sum = if instance.spot_instance_request_id.is_some() { &mut spot } else { &mut on_demand };
        *sum = sum.saturating_add(cpus(instance));
    }
    Ok(InUse {
        vpcs: vpcs.len(),
        addresses: addresses.addresses().len(),
        gateways: gateways.len(),
        clusters: clusters.len(),
        on_demand,
        spot,
    })
}

fn cpus(instance: &Instance) -> u32 {
    let options = instance.cpu_options();
    let part = |count: Option<i32>| count.and_then(|count| u32::try_from(count).ok()).unwrap_or(1);
    part(options.and_then(|it| it.core_count))
        .saturating_mul(part(options.and_then(|it| it.threads_per_core)))
}

/// The quota that is applied to this account, or AWS's default where nobody ever asked for another.
pub async fn quota(clients: &Clients, service: &str, code: &str) -> Result<f64, Fault> {
    let applied = clients.quotas.get_service_quota().service_code(service).quota_code(code);
    let answer = match applied.send().await.call("servicequotas", "GetServiceQuota") {
        Err(fault) if fault.class == Class::Gone => {
            let default =
                clients.quotas.get_aws_default_service_quota().service_code(service).quota_code(code);
            default.send().await.call("servicequotas", "GetAWSDefaultServiceQuota")?.quota
        }
        answer => answer?.quota,
    };
    answer
        .and_then(|quota| quota.value)
        .ok_or_else(|| Fault::new(Class::Other, format!("{code} has no value")))
}

/// Which actions of these policy statements IAM would refuse to `principal`.
///
/// Each statement is tried on its own first resource and under its own condition, so that somebody who holds exactly
/// this policy passes.
pub async fn refused(
    clients: &Clients,
    principal: &str,
    statements: &[Value],
) -> Result<BTreeSet<String>, Fault> {
    let mut refused = BTreeSet::new();
    // A few at a time: IAM's simulator is slow to answer and quick to throttle.
    for part in statements.chunks(4) {
        for denied in try_join_all(part.iter().map(|one| simulated(clients, principal, one))).await? {
            refused.extend(denied);
        }
    }
    Ok(refused)
}

async fn simulated(clients: &Clients, principal: &str, statement: &Value) -> Result<Vec<String>, Fault> {
    let list = |field: &str| -> Vec<String> {
        let list = statement.get(field).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let call = clients
        .iam
        .simulate_principal_policy()
        .policy_source_arn(principal)
        .set_action_names(Some(list("Action")))
        .set_resource_arns(Some(list("Resource").into_iter().take(1).collect()))
        .set_context_entries(Some(context(statement)));
    let pages = call.into_paginator().items().send();
    let results: Vec<_> = pages.try_collect().await.call("iam", "SimulatePrincipalPolicy")?;
    let denied = results.into_iter().filter(|it| it.eval_decision != PolicyEvaluationDecisionType::Allowed);
    Ok(denied.map(|it| it.eval_action_name).collect())
}

/// What a statement's condition asks of a request, as a request that has it.
fn context(statement: &Value) -> Vec<ContextEntry> {
    let operators = statement.get("Condition").and_then(Value::as_object).into_iter().flatten();
    let mut entries = Vec::new();
    for (operator, keys) in operators {
        let kind = match operator.as_str() {
            "Bool" => ContextKeyTypeEnum::Boolean,
            _ => ContextKeyTypeEnum::String,
        };
        for (key, value) in keys.as_object().into_iter().flatten() {
            let first = value.as_array().map_or(Some(value), |values| values.first()).and_then(Value::as_str);
            let entry = ContextEntry::builder().context_key_name(key).context_key_type(kind.clone());
            entries.push(entry.set_context_key_values(first.map(|value| vec![value.to_owned()])).build());
        }
    }
    entries
}
