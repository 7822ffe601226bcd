//! The proof that nothing of a stack is left: a query by its tags.

use super::{Call, Clients, Tags, filter, tag_map};
use crate::model::{Address, Class, Fault, Owner, tag};
use aws_sdk_ec2::types::{Instance, InstanceState, InstanceStateName, NatGatewayState, Reservation};
use aws_sdk_kms::types::{KeyMetadata, KeyState};
use aws_sdk_resourcegroupstagging::types::TagFilter;
use std::collections::BTreeSet;

/// Something that carries a stack's tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// It is there.
    There(String),
    /// A key that AWS deletes at this time (RFC 3339), unless somebody cancels it.
    KeyUntil(String, String),
}

/// What the tagging API lists of `stack`: the ARN, and the other tags by their keys.
async fn tagged(clients: &Clients, stack: &str) -> Result<Vec<(String, Tags)>, Fault> {
    let owned = TagFilter::builder().key(tag::STACK).values(stack).build();
    let pages = clients.tagging.get_resources().tag_filters(owned).into_paginator().items().send();
    let resources: Vec<_> = pages.try_collect().await.call("tag", "GetResources")?;
    let named = resources.into_iter().filter_map(|resource| {
        let tags = tag_map(resource.tags().iter().map(|tag| (Some(tag.key()), Some(tag.value()))));
        Some((resource.resource_arn?, tags))
    });
    Ok(named.collect())
}

/// The lineages that things of `stack` name: one for each time that a stack of this name was made and is still there.
pub async fn lineages(clients: &Clients, stack: &str) -> Result<BTreeSet<String>, Fault> {
    let mut lineages = BTreeSet::new();
    for (arn, mut tags) in tagged(clients, stack).await? {
        // A key that is to be deleted, and what the API lists for a while after its end, is of no stack any more.
        let there = !arn.contains(":kms:") && is_there(clients, &arn).await?;
        lineages.extend(tags.remove(tag::LINEAGE).filter(|_| there));
    }
    Ok(lineages)
}

/// What is there and carries `owner`'s tags at an address that `known` does not know: the address and the ARN.
///
/// IAM roles are not in the tagging API's answer.
pub async fn unknown(
    clients: &Clients,
    owner: &Owner,
    known: impl Fn(&Address) -> bool,
) -> Result<Vec<(Address, String)>, Fault> {
    let mut unknown = Vec::new();
    for (arn, tags) in tagged(clients, &owner.stack).await? {
        let ours = tags.get(tag::LINEAGE) == Some(&owner.lineage);
        let Some(address) = super::resource_of(&tags).filter(|address| ours && !known(address)) else {
            continue;
        };
        if is_there(clients, &arn).await? {
            unknown.push((address, arn));
        }
    }
    Ok(unknown)
}

/// All that carries the tags of `stack`, as the tagging API sees it.
///
/// IAM roles are not in that API's answer; they are found by name, and the engine has seen them go.
pub async fn left_behind(clients: &Clients, stack: &str) -> Result<Vec<Left>, Fault> {
    let mut left = Vec::new();
    for (arn, _) in tagged(clients, stack).await? {
        if !arn.contains(":kms:") {
            if is_there(clients, &arn).await? {
                left.push(Left::There(arn));
            }
            continue;
        }
        let Some(key) = key(clients, &arn).await? else { continue };
        if key.key_state() != Some(&KeyState::PendingDeletion) {
            left.push(Left::There(arn));
            continue;
        }
        let date = key.deletion_date().map(ToString::to_string).unwrap_or_default();
        left.push(Left::KeyUntil(arn, date));
    }
    Ok(left)
}

async fn key(clients: &Clients, arn: &str) -> Result<Option<KeyMetadata>, Fault> {
    match clients.kms.describe_key().key_id(arn).send().await.call("kms", "DescribeKey") {
        Err(fault) if fault.class == Class::Gone => Ok(None),
        answer => Ok(answer?.key_metadata),
    }
}

/// What the owning service says: the tagging API lists some things for an hour after they are gone.
async fn is_there(clients: &Clients, arn: &str) -> Result<bool, Fault> {
    if arn.contains(":kms:") {
        let state = key(clients, arn).await?.and_then(|key| key.key_state);
        return Ok(state.is_some_and(|state| state != KeyState::PendingDeletion));
    }
    let id = arn.rsplit('/').next().unwrap_or_default().to_owned();
    if arn.contains(":natgateway/") {
        let call = clients.ec2.describe_nat_gateways().filter(filter("nat-gateway-id", vec![id]));
        let gateways = call.send().await.call("ec2", "DescribeNatGateways")?.nat_gateways.unwrap_or_default();
        return Ok(gateways.iter().any(|gateway| gateway.state() != Some(&NatGatewayState::Deleted)));
    }
    if arn.contains(":vpc-endpoint/") {
        let call = clients.ec2.describe_vpc_endpoints().filters(filter("vpc-endpoint-id", vec![id]));
        let endpoints =
            call.send().await.call("ec2", "DescribeVpcEndpoints")?.vpc_endpoints.unwrap_or_default();
        return Ok(endpoints
            .iter()
            .any(|endpoint| endpoint.state().is_none_or(|state| state.as_str() != "deleted")));
    }
    if arn.contains(":instance/") {
        let call = clients.ec2.describe_instances().filters(filter("instance-id", vec![id]));
        let pages: Result<Vec<_>, _> = call.into_paginator().items().send().try_collect().await;
        let reservations = pages.call("ec2", "DescribeInstances")?;
        let gone = |instance: &Instance| {
            let state = instance.state().and_then(InstanceState::name);
            state == Some(&InstanceStateName::Terminated)
        };
        return Ok(reservations.iter().flat_map(Reservation::instances).any(|instance| !gone(instance)));
    }
    if arn.contains(":volume/") {
        let call = clients.ec2.describe_volumes().filters(filter("volume-id", vec![id]));
        let volumes = call.send().await.call("ec2", "DescribeVolumes")?.volumes.unwrap_or_default();
        return Ok(!volumes.is_empty());
    }
    Ok(true)
}
