//! Checks that `doctor` runs before anything is created: quotas, instance types on offer, and permissions.

use super::{Call, Clients, filter, required};
use crate::model::CallError;
use aws_sdk_ec2::types::{Instance, InstanceType, LocationType};
use aws_sdk_iam::types::{ContextEntry, ContextKeyTypeEnum, PolicyEvaluationDecisionType};
use aws_sdk_servicequotas::types::ServiceQuota;
use futures_util::future::try_join_all;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// An instance type as this region offers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The number of vCPUs.
    pub cpus: u32,
    /// The supported architectures, in AWS's names (`x86_64`, `arm64`).
    pub architectures: BTreeSet<String>,
    /// The availability zones that offer it.
    pub zones: BTreeSet<String>,
}

/// Returns these instance types. Types that the region does not offer are left out.
pub async fn machines(
    clients: &Clients,
    types: &BTreeSet<&str>,
) -> Result<BTreeMap<String, Machine>, CallError> {
    let names: Vec<String> = types.iter().map(|name| (*name).to_owned()).collect();
    let offered = clients
        .ec2
        .describe_instance_type_offerings()
        .location_type(LocationType::AvailabilityZone)
        .filters(filter("instance-type", names))
        .into_paginator()
        .items()
        .send();
    let offered: Vec<_> = offered.try_collect().await.call()?;
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
    let infos: Vec<_> = pages.try_collect().await.call()?;
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

/// The current usage in the region of everything that a quota limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InUse {
    /// The number of VPCs.
    pub vpcs: usize,
    /// The number of Elastic IP addresses.
    pub addresses: usize,
    /// The number of internet gateways.
    pub gateways: usize,
    /// The number of EKS clusters.
    pub clusters: usize,
    /// The vCPUs of On-Demand instances.
    pub on_demand: u32,
    /// The vCPUs of Spot instances.
    pub spot: u32,
}

/// Counts the current usage in the region.
pub async fn in_use(clients: &Clients) -> Result<InUse, CallError> {
    let alive = filter("instance-state-name", vec!["pending".to_owned(), "running".to_owned()]);
    let (vpcs, addresses, gateways, clusters, reservations) = tokio::try_join!(
        count(clients, "vpc"),
        count(clients, "elastic_ip"),
        count(clients, "internet_gateway"),
        count(clients, "eks_cluster"),
        async {
            let pages = clients.ec2.describe_instances().filters(alive).into_paginator().items().send();
            pages.try_collect().await.call()
        },
    )?;
    let reservations: Vec<aws_sdk_ec2::types::Reservation> = reservations;
    let instances = reservations.iter().flat_map(aws_sdk_ec2::types::Reservation::instances);
    let (mut on_demand, mut spot) = (0_u32, 0_u32);
    for instance in instances {
        let sum = if instance.spot_instance_request_id.is_some() { &mut spot } else { &mut on_demand };
        *sum = sum.saturating_add(cpus(instance));
    }
    Ok(InUse { vpcs, addresses, gateways, clusters, on_demand, spot })
}

/// Counts the resources in the region of one of the kinds that a quota limits: `vpc`, `elastic_ip`, `internet_gateway` or
/// `eks_cluster`.
pub async fn count(clients: &Clients, kind: &str) -> Result<usize, CallError> {
    let ec2 = &clients.ec2;
    Ok(match kind {
        "vpc" => {
            let pages = ec2.describe_vpcs().into_paginator().items().send();
            let all: Vec<_> = pages.try_collect().await.call()?;
            all.len()
        }
        "elastic_ip" => ec2.describe_addresses().send().await.call()?.addresses().len(),
        "internet_gateway" => {
            let pages = ec2.describe_internet_gateways().into_paginator().items().send();
            let all: Vec<_> = pages.try_collect().await.call()?;
            all.len()
        }
        "eks_cluster" => {
            let pages = clients.eks.list_clusters().into_paginator().items().send();
            let all: Vec<_> = pages.try_collect().await.call()?;
            all.len()
        }
        _ => return Err(CallError::bug(format!("no quota is known for the kind {kind}"))),
    })
}

fn cpus(instance: &Instance) -> u32 {
    let options = instance.cpu_options();
    let part = |count: Option<i32>| count.and_then(|count| u32::try_from(count).ok()).unwrap_or(1);
    part(options.and_then(|it| it.core_count))
        .saturating_mul(part(options.and_then(|it| it.threads_per_core)))
}

/// Returns the quota applied to this account, or AWS's default if it was never changed.
pub async fn quota(clients: &Clients, service: &str, code: &str) -> Result<f64, CallError> {
    let applied = clients.quotas.get_service_quota().service_code(service).quota_code(code);
    let value = |quota: Option<ServiceQuota>| required(quota.and_then(|quota| quota.value), "Quota.Value");
    if let Some(applied) = applied.send().await.read_if_found(|answer| value(answer.quota))? {
        return Ok(applied);
    }
    let default = clients.quotas.get_aws_default_service_quota().service_code(service).quota_code(code);
    default.send().await.read(|answer| value(answer.quota))
}

/// Returns the actions of these policy statements that IAM would deny to `principal`.
///
/// Each statement is simulated on its own first resource and with its own condition, so that a principal with
/// exactly this policy passes.
pub async fn refused(
    clients: &Clients,
    principal: &str,
    statements: &[Value],
) -> Result<BTreeSet<String>, CallError> {
    let mut refused = BTreeSet::new();
    // A few at a time: IAM's simulator answers slowly and throttles early.
    for part in statements.chunks(4) {
        for denied in try_join_all(part.iter().map(|one| simulated(clients, principal, one))).await? {
            refused.extend(denied);
        }
    }
    Ok(refused)
}

async fn simulated(clients: &Clients, principal: &str, statement: &Value) -> Result<Vec<String>, CallError> {
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
    let results: Vec<_> = pages.try_collect().await.call()?;
    let denied = results.into_iter().filter(|it| it.eval_decision != PolicyEvaluationDecisionType::Allowed);
    Ok(denied.map(|it| it.eval_action_name).collect())
}

/// Returns the context entries of a request that satisfies the statement's condition.
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
