//! The tags of resources whose describe calls do not return them.

use super::{
    context::Cx,
    sdk_error::Call,
    tags::{Tags, tag_map},
};
use crate::model::{CallError, ErrorKind, tag};
use aws_sdk_resourcegroupstagging::types::TagFilter;
use futures_util::future::try_join_all;
use std::collections::BTreeMap;

/// The largest number of resources whose tags are read one by one. More are read with one query for the whole
/// stack, which lags slightly, but is never used by a step that has just created a resource.
const ONE_BY_ONE: usize = 3;

/// Returns the tags of resources of one type (`ecr:repository`) whose describe calls do not return tags.
pub async fn tags_by_arn<F: Future<Output = Result<Tags, CallError>>>(
    cx: &Cx,
    kind: &str,
    arns: &[String],
    ask: impl Fn(String) -> F,
) -> Result<BTreeMap<String, Tags>, CallError> {
    let mut known: BTreeMap<String, Tags> = BTreeMap::new();
    if arns.len() > ONE_BY_ONE {
        let owned = TagFilter::builder().key(tag::STACK).values(&cx.owner.stack).build();
        let call = cx.tagging.get_resources().resource_type_filters(kind).tag_filters(owned);
        let all: Vec<_> = call.into_paginator().items().send().try_collect().await.call()?;
        let tags = all.into_iter().filter_map(|resource| {
            let tags = resource.tags.unwrap_or_default();
            let tags = tag_map(tags.iter().map(|tag| (Some(tag.key()), Some(tag.value()))));
            Some((resource.resource_arn?, tags))
        });
        known.extend(tags);
    }
    let ask = &ask;
    // The query lags, and an owner's tags decide whether a resource is deleted: one that it misses is asked for itself.
    let all = arns.iter().filter(|arn| !known.contains_key(*arn)).map(|arn| async move {
        match ask(arn.clone()).await {
            Err(error) if error.class == ErrorKind::Gone => Ok((arn.clone(), Tags::new())),
            tags => Ok::<_, CallError>((arn.clone(), tags?)),
        }
    });
    let asked = try_join_all(all).await?;
    known.extend(asked);
    Ok(known)
}
