//! Conversion of tags between the model's maps and the SDK's lists.

use crate::model::{Address, Intent, Owner, tag};
use aws_sdk_ec2::types::{Filter, ResourceType, Tag, TagSpecification};
use std::collections::BTreeMap;

/// Tags by key, as specs and live forms hold them.
pub type Tags = BTreeMap<String, String>;

/// Returns whether `tags` has all of `wanted`.
pub fn has_tags(tags: &Tags, wanted: &Tags) -> bool {
    wanted.iter().all(|(key, value)| tags.get(key) == Some(value))
}

/// Returns the EC2 filters that match every resource of a stack.
pub fn by_owner(owner: &Owner) -> Vec<Filter> {
    vec![Filter::builder().name(format!("tag:{}", tag::STACK)).values(&owner.stack).build()]
}

/// Most values of one filter of an EC2 describe call.
/// Source: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html>
pub const MAX_VALUES: usize = 200;

/// Builds a filter of an EC2 describe call.
pub fn filter(name: &str, values: Vec<String>) -> Filter {
    Filter::builder().name(name).set_values(Some(values)).build()
}

/// Converts the tags of an EC2 answer.
pub fn from_ec2(tags: Option<&[Tag]>) -> Tags {
    tag_map(tags.unwrap_or_default().iter().map(|tag| (tag.key(), tag.value())))
}

/// Collects tag pairs as the SDKs return them; pairs without a key are dropped.
pub fn tag_map<'a>(pairs: impl Iterator<Item = (Option<&'a str>, Option<&'a str>)>) -> Tags {
    pairs.filter_map(|(key, value)| Some((key?.to_owned(), value.unwrap_or_default().to_owned()))).collect()
}

/// Adds the nonce of the create attempt to the wanted tags.
pub fn tagged(tags: &Tags, intent: &Intent) -> Tags {
    let mut all = tags.clone();
    all.insert(tag::INTENT.to_owned(), intent.nonce.clone());
    all
}

/// Builds the tag specification of an EC2 create call.
pub fn ec2_tags(kind: ResourceType, tags: &Tags, intent: &Intent) -> TagSpecification {
    let tags = ec2_list(&tagged(tags, intent));
    TagSpecification::builder().resource_type(kind).set_tags(Some(tags)).build()
}

/// Returns the address in a resource's tags.
pub fn resource_of(tags: &Tags) -> Option<Address> {
    tags.get(tag::RESOURCE).map(|address| Address::from(address.as_str()))
}

/// Converts tags to the list of EC2.
pub fn ec2_list(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}
