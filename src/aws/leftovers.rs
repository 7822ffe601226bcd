//! The proof that nothing of a stack is left behind: a query by its tags.

use super::{
    Call, ClaimVolume, Clients, Tags, Traces, claim_volumes, filter,
    iam_leftovers::{is_left, issuers, roles},
    is_of_driver,
    marked_subnets::marked_subnets,
    tag_map,
};
use crate::model::{Address, CallError, ErrorKind, Owner, tag};
use aws_sdk_ec2::types::{Instance, InstanceState, InstanceStateName, NatGatewayState, Reservation};
use aws_sdk_kms::types::{KeyMetadata, KeyState};
use aws_sdk_resourcegroupstagging::{
    operation::get_resources::builders::GetResourcesFluentBuilder, types::TagFilter,
};
use std::collections::{BTreeMap, BTreeSet};

/// A resource left behind, which carries the stack's tags.
#[derive(Clone, Debug)]
pub enum Left {
    /// The resource with this ARN exists.
    There(String),
    /// The KMS key with this ARN is deleted at this time (RFC 3339) unless the deletion is cancelled.
    KeyUntil(String, String),
    /// This volume was created for a claim in a cluster, and holds its data.
    Volume(ClaimVolume),
    /// The subnet with this id, which is not the stack's, carries the stack's marker of role tags.
    Marked(String),
    /// The volume or snapshot with this ARN was created by the driver of such volumes.
    Data(String),
    /// What the query did not look for, and why.
    NotAsked(String, CallError),
    /// The query by the stack's tags was not answered.
    Unproven,
}

/// Lists the resources of `stack` in the tagging API: the ARN and all tags of each.
async fn tagged(clients: &Clients, stack: &str) -> Result<Vec<(String, Tags)>, CallError> {
    carrying(clients, TagFilter::builder().key(tag::STACK).values(stack).build(), None).await
}

/// Lists what carries a tag in the tagging API, limited to one type of resource if `kind` is given.
async fn carrying(
    clients: &Clients,
    filter: TagFilter,
    kind: Option<&str>,
) -> Result<Vec<(String, Tags)>, CallError> {
    let call = clients.tagging.get_resources().tag_filters(filter);
    listed(call.set_resource_type_filters(kind.map(|kind| vec![kind.to_owned()]))).await
}

async fn listed(call: GetResourcesFluentBuilder) -> Result<Vec<(String, Tags)>, CallError> {
    let pages = call.into_paginator().items().send();
    let resources: Vec<_> = pages.try_collect().await.call()?;
    let named = resources.into_iter().filter_map(|resource| {
        let tags = tag_map(resource.tags().iter().map(|tag| (Some(tag.key()), Some(tag.value()))));
        Some((resource.resource_arn?, tags))
    });
    Ok(named.collect())
}

/// Lists the ARN and the tags of what carries a tag, with this value if one is given.
pub fn resources_with_tag<'a>(
    clients: &'a Clients,
    key: &str,
    value: Option<&str>,
) -> impl Future<Output = Result<Vec<(String, Tags)>, CallError>> + 'a {
    let filter = TagFilter::builder().key(key).set_values(value.map(|value| vec![value.to_owned()])).build();
    carrying(clients, filter, None)
}

/// Lists the ARN and the tags of all resources of a type that have tags.
pub async fn tagged_of_type(clients: &Clients, kind: &str) -> Result<Vec<(String, Tags)>, CallError> {
    listed(clients.tagging.get_resources().resource_type_filters(kind)).await
}

/// Returns the lineages of existing resources of `stack`: one for each stack of this name that was created and
/// still exists.
pub async fn lineages(clients: &Clients, stack: &str) -> Result<BTreeSet<String>, CallError> {
    let mut lineages = BTreeSet::new();
    for (arn, mut tags) in tagged(clients, stack).await? {
        // Keys that are scheduled for deletion, and deleted resources that the API still lists, do not count.
        let there = !arn.contains(":kms:") && is_there(clients, &arn).await?;
        lineages.extend(tags.remove(tag::LINEAGE).filter(|_| there));
    }
    Ok(lineages)
}

/// Returns the ARNs of all existing resources that carry a stack's tag in the region, by the stack's name.
///
/// The tagging API does not list IAM roles.
pub async fn stacks_in_use(clients: &Clients) -> Result<BTreeMap<String, Vec<String>>, CallError> {
    let mut stacks: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (arn, mut tags) in carrying(clients, TagFilter::builder().key(tag::STACK).build(), None).await? {
        if let Some(name) = tags.remove(tag::STACK)
            && is_there(clients, &arn).await?
        {
            stacks.entry(name).or_default().push(arn);
        }
    }
    Ok(stacks)
}

/// Returns the names of all state buckets in the region.
pub async fn state_buckets(clients: &Clients) -> Result<Vec<String>, CallError> {
    let tagged = carrying(clients, TagFilter::builder().key(tag::BACKEND).build(), Some("s3")).await?;
    Ok(tagged.into_iter().filter_map(|(arn, _)| Some(arn.rsplit_once(":::")?.1.to_owned())).collect())
}

/// Returns the ARNs of the keys that carry the tag of the state bucket `bucket` and are not about to be deleted.
pub async fn state_keys(clients: &Clients, bucket: &str) -> Result<Vec<String>, CallError> {
    let filter = TagFilter::builder().key(tag::BACKEND).values(bucket).build();
    let mut keys = Vec::new();
    for (arn, _) in carrying(clients, filter, Some("kms:key")).await? {
        if is_there(clients, &arn).await? {
            keys.push(arn);
        }
    }
    Ok(keys)
}

/// Returns the address and ARN of every existing resource with `owner`'s tags whose address `known` rejects.
///
/// The tagging API does not list IAM roles.
pub async fn unknown(
    clients: &Clients,
    owner: &Owner,
    known: impl Fn(&Address) -> bool,
) -> Result<Vec<(Address, String)>, CallError> {
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

/// Returns everything that carries the tags of `stack`, and what its clusters and the controllers in them created, as the
/// tagging API sees it.
///
/// IAM is asked itself.
pub async fn left_behind(clients: &Clients, traces: &Traces) -> Result<Vec<Left>, CallError> {
    let Traces { stack, clusters, .. } = traces;
    let mut left = Vec::new();
    let of_stack = asked(&mut left, "resources with the stack's tags", tagged(clients, stack).await)?;
    if of_stack.is_none() {
        left.push(Left::Unproven);
    }
    let mut arns: BTreeMap<String, Tags> = of_stack.into_iter().flatten().collect();
    for cluster in clusters.iter().chain(&traces.former_cluster) {
        // A subnet that a cluster may use has the value `shared`, and another owner.
        let of_cluster = format!("kubernetes.io/cluster/{cluster}");
        let queries = [
            ("elbv2.k8s.aws/cluster", cluster.as_str()),
            ("aws:eks:cluster-name", cluster.as_str()),
            (of_cluster.as_str(), "owned"),
        ];
        for (key, value) in queries {
            let found = resources_with_tag(clients, key, Some(value)).await;
            let mut found = asked(&mut left, &format!("resources with the tag {key}={value}"), found)?;
            found.iter_mut().for_each(|it| it.retain(|(arn, _)| clusters.contains(cluster) || is_group(arn)));
            arns.extend(found.into_iter().flatten());
        }
    }
    let with_volumes = clusters.iter().chain(&traces.former_cluster).cloned().collect();
    let volumes = claim_volumes(clients, &with_volumes).await;
    let volumes = asked(&mut left, "volumes of claims", volumes)?.unwrap_or_default();
    arns.retain(|arn, _| !volumes.iter().any(|volume| arn.ends_with(&format!(":volume/{}", volume.id))));
    left.extend(volumes.into_iter().map(Left::Volume));
    let roles = asked(&mut left, "roles", roles(clients, traces).await)?;
    left.extend(roles.into_iter().flatten().map(Left::There));
    let listed = issuers(clients, traces).await;
    for provider in asked(&mut left, "OIDC providers", listed)?.unwrap_or_default() {
        let is_left = is_left(clients, traces, &provider).await;
        if asked(&mut left, &format!("OIDC provider {provider}"), is_left)? == Some(true) {
            left.push(Left::There(provider));
        }
    }
    let marked = marked_subnets(clients, &traces.marker).await;
    let marked = asked(&mut left, "markers on subnets", marked)?;
    left.extend(marked.into_iter().flatten().map(Left::Marked));
    for (arn, tags) in arns {
        let of_driver = is_of_driver(&tags) && (arn.contains(":volume/") || arn.contains(":snapshot/"));
        if of_driver || !arn.contains(":kms:") {
            let there = is_there(clients, &arn).await;
            if asked(&mut left, &format!("whether {arn} exists"), there)? == Some(true) {
                left.push(if of_driver { Left::Data(arn) } else { Left::There(arn) });
            }
            continue;
        }
        let key = key(clients, &arn).await;
        let Some(key) = asked(&mut left, &format!("key {arn}"), key)?.flatten() else { continue };
        if key.key_state() != Some(&KeyState::PendingDeletion) {
            left.push(Left::There(arn));
            continue;
        }
        let date = key.deletion_date().map(ToString::to_string).unwrap_or_default();
        left.push(Left::KeyUntil(arn, date));
    }
    Ok(left)
}

/// Returns what was answered; `None` if the caller may not ask or the target does not know the call, which is noted in `left`.
fn asked<T>(left: &mut Vec<Left>, what: &str, answer: Result<T, CallError>) -> Result<Option<T>, CallError> {
    match answer {
        Err(error) if matches!(error.class, ErrorKind::Denied | ErrorKind::Unsupported) => {
            left.push(Left::NotAsked(what.to_owned(), error));
            Ok(None)
        }
        answer => answer.map(Some),
    }
}

/// Whether it is a security group or a target group.
fn is_group(arn: &str) -> bool {
    arn.contains(":security-group/") || arn.contains(":targetgroup/")
}

async fn key(clients: &Clients, arn: &str) -> Result<Option<KeyMetadata>, CallError> {
    match clients.kms.describe_key().key_id(arn).send().await.call() {
        Err(error) if error.class == ErrorKind::Gone => Ok(None),
        answer => Ok(answer?.key_metadata),
    }
}

/// Asks the owning service whether a resource exists: the tagging API lists some for an hour after their
/// deletion.
async fn is_there(clients: &Clients, arn: &str) -> Result<bool, CallError> {
    if arn.contains(":kms:") {
        let state = key(clients, arn).await?.and_then(|key| key.key_state);
        return Ok(state.is_some_and(|state| state != KeyState::PendingDeletion));
    }
    let id = arn.rsplit('/').next().unwrap_or_default().to_owned();
    if arn.contains(":natgateway/") {
        let call = clients.ec2.describe_nat_gateways().filter(filter("nat-gateway-id", vec![id]));
        let gateways = call.send().await.call()?.nat_gateways.unwrap_or_default();
        return Ok(gateways.iter().any(|gateway| gateway.state() != Some(&NatGatewayState::Deleted)));
    }
    if arn.contains(":vpc-endpoint/") {
        let call = clients.ec2.describe_vpc_endpoints().filters(filter("vpc-endpoint-id", vec![id]));
        let endpoints = call.send().await.call()?.vpc_endpoints.unwrap_or_default();
        return Ok(endpoints
            .iter()
            .any(|endpoint| endpoint.state().is_none_or(|state| state.as_str() != "deleted")));
    }
    if arn.contains(":instance/") {
        let call = clients.ec2.describe_instances().filters(filter("instance-id", vec![id]));
        let pages: Result<Vec<_>, _> = call.into_paginator().items().send().try_collect().await;
        let reservations = pages.call()?;
        let gone = |instance: &Instance| {
            let state = instance.state().and_then(InstanceState::name);
            state == Some(&InstanceStateName::Terminated)
        };
        return Ok(reservations.iter().flat_map(Reservation::instances).any(|instance| !gone(instance)));
    }
    if arn.contains(":security-group/") {
        let call = clients.ec2.describe_security_groups().filters(filter("group-id", vec![id]));
        let groups = call.send().await.call()?.security_groups.unwrap_or_default();
        return Ok(!groups.is_empty());
    }
    if arn.contains(":volume/") {
        let call = clients.ec2.describe_volumes().filters(filter("volume-id", vec![id]));
        let volumes = call.send().await.call()?.volumes.unwrap_or_default();
        return Ok(!volumes.is_empty());
    }
    Ok(true)
}
