//! Tags between the model's maps and the SDK's lists.

use super::{Call, Cx};
use crate::model::{Address, Class, Fault, Intent, Owner, tag};
use aws_sdk_ec2::types::{Filter, ResourceType, Tag, TagSpecification};
use aws_sdk_resourcegroupstagging::types::TagFilter;
use futures_util::future::try_join_all;
use std::collections::BTreeMap;

/// Tags as specs and live forms hold them.
pub type Tags = BTreeMap<String, String>;

/// The filters that find everything of a stack.
pub fn by_owner(owner: &Owner) -> Vec<Filter> {
    vec![Filter::builder().name(format!("tag:{}", tag::STACK)).values(&owner.stack).build()]
}

/// A filter of an EC2 describe call.
pub fn filter(name: &str, values: Vec<String>) -> Filter {
    Filter::builder().name(name).set_values(Some(values)).build()
}

/// Tags of an EC2 answer.
pub fn from_ec2(tags: Option<&[Tag]>) -> Tags {
    tag_map(tags.unwrap_or_default().iter().map(|tag| (tag.key(), tag.value())))
}

/// A map of pairs as the SDKs give them; a tag without a key is none.
pub fn tag_map<'a>(pairs: impl Iterator<Item = (Option<&'a str>, Option<&'a str>)>) -> Tags {
    pairs.filter_map(|(key, value)| Some((key?.to_owned(), value.unwrap_or_default().to_owned()))).collect()
}

/// The wanted tags, and the nonce of the attempt that sets them.
pub fn tagged(tags: &Tags, intent: &Intent) -> Tags {
    let mut all = tags.clone();
    all.insert(tag::INTENT.to_owned(), intent.nonce.clone());
    all
}

/// The tag specification of an EC2 create call.
pub fn ec2_tags(kind: ResourceType, tags: &Tags, intent: &Intent) -> TagSpecification {
    let tags =
        tagged(tags, intent).into_iter().map(|(key, value)| Tag::builder().key(key).value(value).build());
    TagSpecification::builder().resource_type(kind).set_tags(Some(tags.collect())).build()
}

/// The address in a resource's tags.
pub fn resource_of(tags: &Tags) -> Option<Address> {
    tags.get(tag::RESOURCE).map(|address| Address::from(address.as_str()))
}

/// Brings an EC2 resource's tags from `live` to `want`. Both hold managed tags only.
pub async fn retag_ec2(cx: &Cx, id: &str, want: &Tags, live: &Tags) -> Result<(), Fault> {
    let new: Vec<Tag> = want
        .iter()
        .filter(|(key, value)| live.get(*key) != Some(value))
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect();
    if !new.is_empty() {
        cx.ec2.create_tags().resources(id).set_tags(Some(new)).send().await.call("ec2", "CreateTags")?;
    }
    let old: Vec<Tag> = live
        .keys()
        .filter(|key| !want.contains_key(*key))
        .map(|key| Tag::builder().key(key).build())
        .collect();
    if !old.is_empty() {
        cx.ec2.delete_tags().resources(id).set_tags(Some(old)).send().await.call("ec2", "DeleteTags")?;
    }
    Ok(())
}

/// So many resources are asked for their tags one by one. More are looked up in one query for the whole stack, which
/// lags a little behind, and is never the look of a step that has just made one.
const ONE_BY_ONE: usize = 3;

/// The tags of resources of one type (`ecr:repository`) whose descriptions do not hold them.
pub async fn tags_by_arn<F: Future<Output = Result<Tags, Fault>>>(
    cx: &Cx,
    kind: &str,
    arns: &[String],
    ask: impl Fn(String) -> F,
) -> Result<BTreeMap<String, Tags>, Fault> {
    if arns.len() > ONE_BY_ONE {
        let owned = TagFilter::builder().key(tag::STACK).values(&cx.owner.stack).build();
        let call = cx.tagging.get_resources().resource_type_filters(kind).tag_filters(owned);
        let all: Vec<_> =
            call.into_paginator().items().send().try_collect().await.call("tag", "GetResources")?;
        let tags = all.into_iter().filter_map(|resource| {
            let tags = resource.tags.unwrap_or_default();
            let tags = tag_map(tags.iter().map(|tag| (Some(tag.key()), Some(tag.value()))));
            Some((resource.resource_arn?, tags))
        });
        return Ok(tags.collect());
    }
    let ask = &ask;
    let all = arns.iter().map(|arn| async move {
        match ask(arn.clone()).await {
            Err(fault) if fault.class == Class::Gone => Ok((arn.clone(), Tags::new())),
            tags => Ok::<_, Fault>((arn.clone(), tags?)),
        }
    });
    Ok(try_join_all(all).await?.into_iter().collect())
}
