//! The ways in which kinds find their resources: by the owner's tags in one list, or each by its name.

use super::{FoundResource, TypedLookup};
use crate::{
    aws::{Cx, Tags, by_owner, filter, has_tags, resource_of},
    model::{Address, CallError, Resource, is_name_of},
};
use aws_sdk_ec2::types::Filter;
use futures_util::future::try_join_all;
use std::future::Future;

/// What the live forms of kinds have in common that AWS identifies by an id of its own.
pub(super) trait Identified {
    /// Returns the id, `vpc-0123456789abcdef0`.
    fn id(&self) -> &str;
    /// Returns the tags.
    fn tags(&self) -> &Tags;
}

/// Implements [`Identified`] for live forms with the fields `id` and `tags`.
macro_rules! identified {
    ($live:ty) => {
        impl $crate::resources::lookups::Identified for $live {
            fn id(&self) -> &str {
                &self.id
            }

            fn tags(&self) -> &$crate::aws::Tags {
                &self.tags
            }
        }
    };
}
pub(super) use identified;

/// Lets a live form be read like the fields that it has in common with the spec.
macro_rules! has_fields {
    ($live:ty, $fields:ty) => {
        impl std::ops::Deref for $live {
            type Target = $fields;

            fn deref(&self) -> &$fields {
                &self.fields
            }
        }
    };
}
pub(super) use has_fields;

/// Finds the resources that carry the owner's tags with one call to `list`, and recorded ones whose tags were removed with a
/// second call. `id` is the name of EC2's filter for ids.
pub(super) async fn by_tag<R, F>(
    cx: &Cx,
    asked: &[TypedLookup<R>],
    id: &str,
    list: impl Fn(Vec<Filter>) -> F,
) -> Result<Vec<FoundResource<R::Live>>, CallError>
where
    R: Resource<Live: Identified>,
    F: Future<Output = Result<Vec<R::Live>, CallError>>,
{
    let mut lives = list(by_owner(&cx.owner)).await?;
    let lost = untagged_ids(asked, &lives);
    if !lost.is_empty() {
        lives.extend(list(vec![filter(id, lost)]).await?);
    }
    Ok(addressed(asked, lives))
}

/// Returns the ids that `asked` recorded and that a search by tags did not find: the tags may have been removed by hand.
pub(super) fn untagged_ids<R>(asked: &[TypedLookup<R>], found: &[R::Live]) -> Vec<String>
where
    R: Resource<Live: Identified>,
{
    let recorded = asked.iter().filter_map(|asked| asked.recorded.as_ref()).map(Identified::id);
    let named = asked.iter().filter_map(|asked| asked.name.as_deref());
    let lost = |id: &&str| !id.is_empty() && !found.iter().any(|found| found.id() == *id);
    recorded.chain(named).filter(lost).map(str::to_owned).collect()
}

/// Returns the address of what was found: by its recorded id, else by its tags.
pub(super) fn address_of<R>(asked: &[TypedLookup<R>], live: &R::Live) -> Option<Address>
where
    R: Resource<Live: Identified>,
{
    let is_recorded = |asked: &&TypedLookup<R>| {
        asked.recorded.as_ref().is_some_and(|recorded| recorded.id() == live.id())
            || asked.name.as_deref() == Some(live.id())
    };
    let recorded = asked.iter().find(is_recorded).map(|asked| asked.address.clone());
    recorded.or_else(|| resource_of(live.tags()))
}

/// Returns what was found with its address. What has none is not the stack's.
pub(super) fn addressed<R>(asked: &[TypedLookup<R>], lives: Vec<R::Live>) -> Vec<FoundResource<R::Live>>
where
    R: Resource<Live: Identified>,
{
    let found =
        lives.into_iter().filter_map(|live| Some(FoundResource { address: address_of(asked, &live)?, live }));
    found.collect()
}

/// Looks for each resource by the key that `key` reads off its lookup. What has no key yet is not looked for.
pub(super) async fn describe_each<'a, R, K, F>(
    asked: &'a [TypedLookup<R>],
    key: impl Fn(&'a TypedLookup<R>) -> Option<K>,
    describe: impl Fn(K) -> F,
) -> Result<Vec<FoundResource<R::Live>>, CallError>
where
    R: Resource,
    F: Future<Output = Result<Option<R::Live>, CallError>>,
{
    let looks = asked.iter().filter_map(|asked| {
        // Many of them at once would not fit on the stack of a thread.
        let look = Box::pin(describe(key(asked)?));
        Some(
            async move { Ok(look.await?.map(|live| FoundResource { address: asked.address.clone(), live })) },
        )
    });
    Ok(try_join_all(looks).await?.into_iter().flatten().collect())
}

/// Returns the resource at `address` that carries one of `names` which a replacement gave it, if it has the owner's tags.
pub(super) async fn renamed<R, F>(
    cx: &Cx,
    address: &Address,
    names: Vec<String>,
    describe: impl Fn(String) -> F,
    tags: fn(&R::Live) -> &Tags,
) -> Result<Option<R::Live>, CallError>
where
    R: Resource,
    F: Future<Output = Result<Option<R::Live>, CallError>>,
{
    let base = address.last_segment();
    for name in names.into_iter().filter(|name| is_name_of(base, name, R::INFO.max_name_len)) {
        if name == base {
            continue;
        }
        let found = describe(name).await?.filter(|live| !R::deleting(live));
        if let Some(live) = found.filter(|live| has_tags(tags(live), &cx.owner.tags(address))) {
            return Ok(Some(live));
        }
    }
    Ok(None)
}

impl<R: Resource> TypedLookup<R> {
    /// Returns what names the resource: of what is recorded, else of what is wanted.
    pub(super) fn key<'a, K>(
        &'a self,
        recorded: impl FnOnce(&'a R::Live) -> K,
        wanted: impl FnOnce(&'a R::Spec) -> K,
    ) -> Option<K> {
        self.recorded.as_ref().map(recorded).or_else(|| self.want.as_ref().map(wanted))
    }
}
