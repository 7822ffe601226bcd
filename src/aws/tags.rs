//! Tags between the model's maps and the SDK's lists.

use super::{Call, Cx};
use crate::model::{Address, Fault, Intent, Owner, tag};
use aws_sdk_ec2::types::{Filter, ResourceType, Tag, TagSpecification};
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
