//! A KMS key with its alias, rotation and policy.
//!
//! `CreateKey` takes neither a token nor a name, and the list of keys has no filter: a key is found by its recorded id,
//! by its alias, and, after a lost answer, by its tags through the tagging API.

use super::{Asked, Found, Lifecycle};
use crate::{
    aws::{Call, Cx, Tags, gone_is_done, normal, once, parse, tag_map, tagged},
    model::{Changes, Class, Desired, Fault, Identity, Intent, Ready, Resource, tag},
};
use aws_sdk_kms::types::{KeyMetadata, KeyState, Tag};
use aws_sdk_resourcegroupstagging::types::TagFilter;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The kind.
pub struct KmsKey;

/// The tag that keeps the deletion window, so that a key is scheduled as asked for even when its state is lost.
const WINDOW: &str = "provisioner:deletion-window-days";

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// `alias/...`, unique in account and region.
    pub alias: String,
    /// What it is for.
    pub description: String,
    /// How often AWS makes new key material, 90-2560.
    pub rotation_days: i32,
    /// How long a deletion can be taken back, 7-30.
    pub deletion_window_days: i32,
    /// The key policy.
    pub policy: Value,
    /// Tags.
    pub tags: Tags,
}

/// What is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// The key id, a UUID.
    pub id: String,
    /// The ARN.
    pub arn: String,
    /// The alias, where it leads to this key.
    pub alias: Option<String>,
    /// Whether the alias leads to another key.
    pub alias_taken: bool,
    /// See [`Spec::description`].
    pub description: String,
    /// See [`Spec::rotation_days`]; none without rotation.
    pub rotation_days: Option<i32>,
    /// The window for the deletion, read off a tag: AWS keeps none while the key lives.
    pub deletion_window_days: i32,
    /// The key policy in its normal form.
    pub policy: Value,
    /// `Enabled`, `Creating`, ...
    pub state: String,
    /// Tags.
    pub tags: Tags,
}

impl Desired for Spec {
    const KIND: &'static str = KmsKey::KIND;
}

impl Resource for KmsKey {
    const KIND: &'static str = "kms_key";
    const IAM: &'static [&'static str] = &[
        "kms:DescribeKey",
        "kms:GetKeyRotationStatus",
        "kms:GetKeyPolicy",
        "kms:ListResourceTags",
        "kms:CreateKey",
        "kms:TagResource",
        "kms:UntagResource",
        "kms:CreateAlias",
        "kms:UpdateAlias",
        "kms:DeleteAlias",
        "kms:EnableKeyRotation",
        "kms:PutKeyPolicy",
        "kms:UpdateKeyDescription",
        "kms:ScheduleKeyDeletion",
        "tag:GetResources",
    ];
    const IDENTITY: Identity = Identity::OwnerTag;
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default()
            .mutable("alias", &want.alias, &live.alias)
            .mutable("description", &want.description, &live.description)
            .mutable("rotationDays", &want.rotation_days, &live.rotation_days)
            .mutable("deletionWindowDays", &want.deletion_window_days, &live.deletion_window_days)
            .mutable("policy", &normal(&want.policy), &live.policy)
            .mutable("tags", &want.tags, &live.tags)
    }

    fn ready(live: &Live) -> Ready {
        match live.state.as_str() {
            "Enabled" => Ready::Yes,
            "Disabled" => {
                Ready::Failed("it is disabled: enable it again, what it encrypted cannot be read".to_owned())
            }
            state => Ready::Wait(state.to_owned()),
        }
    }
}

impl Lifecycle for KmsKey {
    async fn find(cx: &Cx, asked: &[Asked<Self>]) -> Result<Vec<Found<Live>>, Fault> {
        let looks = asked.iter().map(|asked| async move {
            Ok::<_, Fault>(look(cx, asked).await?.map(|live| Found { address: asked.address.clone(), live }))
        });
        Ok(futures_util::future::try_join_all(looks).await?.into_iter().flatten().collect())
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), Fault> {
        let mut tags = tagged(&want.tags, intent);
        tags.insert(WINDOW.to_owned(), want.deletion_window_days.to_string());
        let tags = tags.into_iter().map(|(key, value)| kms_tag(&key, &value));
        let call = cx
            .kms
            .create_key()
            .description(&want.description)
            .policy(want.policy.to_string())
            .set_tags(Some(tags.collect::<Result<_, _>>()?));
        call.customize().config_override(once!(aws_sdk_kms, intent)).send().await.call("kms", "CreateKey")?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<(), Fault> {
        if live.alias.as_ref() != Some(&want.alias) {
            if live.alias_taken {
                let call = cx.kms.update_alias().alias_name(&want.alias).target_key_id(&live.id);
                call.send().await.call("kms", "UpdateAlias")?;
            } else {
                let call = cx.kms.create_alias().alias_name(&want.alias).target_key_id(&live.id);
                call.send().await.call("kms", "CreateAlias")?;
            }
        }
        if live.rotation_days != Some(want.rotation_days) {
            let call =
                cx.kms.enable_key_rotation().key_id(&live.id).rotation_period_in_days(want.rotation_days);
            call.send().await.call("kms", "EnableKeyRotation")?;
        }
        if normal(&want.policy) != live.policy {
            let call = cx
                .kms
                .put_key_policy()
                .key_id(&live.id)
                .policy_name("default")
                .policy(want.policy.to_string());
            call.send().await.call("kms", "PutKeyPolicy")?;
        }
        if want.description != live.description {
            let call = cx.kms.update_key_description().key_id(&live.id).description(&want.description);
            call.send().await.call("kms", "UpdateKeyDescription")?;
        }
        retag(cx, want, live).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), Fault> {
        if let Some(alias) = &live.alias {
            gone_is_done(cx.kms.delete_alias().alias_name(alias).send().await.call("kms", "DeleteAlias"))?;
        }
        let call =
            cx.kms.schedule_key_deletion().key_id(&live.id).pending_window_in_days(live.deletion_window_days);
        gone_is_done(call.send().await.call("kms", "ScheduleKeyDeletion"))
    }
}

/// The key that `asked` means, with the policy, rotation and tags that only calls of their own tell.
async fn look(cx: &Cx, asked: &Asked<KmsKey>) -> Result<Option<Live>, Fault> {
    let alias = asked.want.as_ref().map(|want| want.alias.clone());
    let by_alias = match &alias {
        Some(alias) => describe(cx, alias).await?,
        None => None,
    };
    let recorded = asked.last.as_ref().map(|last| last.id.as_str());
    let known = match (&by_alias, recorded) {
        (Some(key), Some(id)) if key.key_id() == id => by_alias.clone(),
        (_, Some(id)) => describe(cx, id).await?,
        (_, None) => None,
    };
    // A key whose deletion is scheduled is gone: nothing can be encrypted with it. Where the recorded one is, another may
    // have been made in its place.
    let here = |key: &KeyMetadata| !leaving(key);
    let key = match known.filter(here).or_else(|| by_alias.clone().filter(here)) {
        Some(key) => Some(key),
        None => match tagged_key(cx, asked).await? {
            Some(arn) => describe(cx, &arn).await?.filter(here),
            None => None,
        },
    };
    let Some(key) = key else { return Ok(None) };
    let alias_target = by_alias.as_ref().map(KeyMetadata::key_id);
    let (rotation, policy, tags) = futures_util::try_join!(
        async {
            cx.kms
                .get_key_rotation_status()
                .key_id(key.key_id())
                .send()
                .await
                .call("kms", "GetKeyRotationStatus")
        },
        async {
            let call = cx.kms.get_key_policy().key_id(key.key_id()).policy_name("default");
            call.send().await.call("kms", "GetKeyPolicy")
        },
        async {
            let pages = cx.kms.list_resource_tags().key_id(key.key_id()).into_paginator().items().send();
            pages.try_collect().await.call("kms", "ListResourceTags")
        }
    )?;
    let tags: Vec<Tag> = tags;
    let rotates = rotation.key_rotation_enabled;
    let mut tags = tag_map(tags.iter().map(|tag| (Some(tag.tag_key()), Some(tag.tag_value()))));
    let window = tags.remove(WINDOW).and_then(|days| days.parse().ok());
    let live = Live {
        id: key.key_id().to_owned(),
        arn: key.arn().unwrap_or_default().to_owned(),
        alias_taken: alias_target.is_some_and(|target| target != key.key_id()),
        alias: alias.filter(|_| alias_target == Some(key.key_id())),
        description: key.description().unwrap_or_default().to_owned(),
        rotation_days: rotates.then(|| rotation.rotation_period_in_days.unwrap_or(365)),
        deletion_window_days: window.unwrap_or(30),
        policy: policy.policy.as_deref().map(parse).unwrap_or_default(),
        state: key.key_state().map(|state| state.as_str().to_owned()).unwrap_or_default(),
        tags,
    };
    // An alias of this name can lead to a key of somebody else; its tags tell, and the plan refuses it.
    Ok(Some(live))
}

fn leaving(key: &KeyMetadata) -> bool {
    matches!(key.key_state(), Some(KeyState::PendingDeletion | KeyState::PendingReplicaDeletion))
}

async fn describe(cx: &Cx, id: &str) -> Result<Option<KeyMetadata>, Fault> {
    match cx.kms.describe_key().key_id(id).send().await.call("kms", "DescribeKey") {
        Err(fault) if fault.class == Class::Gone => Ok(None),
        answer => Ok(answer?.key_metadata),
    }
}

/// The ARN of a living key with the wanted owner tags.
async fn tagged_key(cx: &Cx, asked: &Asked<KmsKey>) -> Result<Option<String>, Fault> {
    let Some(want) = &asked.want else { return Ok(None) };
    let owner =
        want.tags.iter().filter(|(key, _)| [tag::STACK, tag::BACKEND, tag::RESOURCE].contains(&key.as_str()));
    let filters = owner.map(|(key, value)| TagFilter::builder().key(key).values(value).build()).collect();
    let call = cx.tagging.get_resources().resource_type_filters("kms:key").set_tag_filters(Some(filters));
    let pages = call.into_paginator().items().send();
    let keys: Vec<_> = pages.try_collect().await.call("tag", "GetResources")?;
    for arn in keys.into_iter().filter_map(|key| key.resource_arn) {
        if describe(cx, &arn).await?.is_some_and(|key| !leaving(&key)) {
            return Ok(Some(arn));
        }
    }
    Ok(None)
}

async fn retag(cx: &Cx, want: &Spec, live: &Live) -> Result<(), Fault> {
    let mut wanted = want.tags.clone();
    if want.deletion_window_days != live.deletion_window_days {
        wanted.insert(WINDOW.to_owned(), want.deletion_window_days.to_string());
    }
    let new: Vec<Tag> = wanted
        .iter()
        .filter(|(key, value)| live.tags.get(*key) != Some(value))
        .map(|(key, value)| kms_tag(key, value))
        .collect::<Result<_, _>>()?;
    if !new.is_empty() {
        let call = cx.kms.tag_resource().key_id(&live.id).set_tags(Some(new));
        call.send().await.call("kms", "TagResource")?;
    }
    let old: Vec<String> = live.tags.keys().filter(|key| !want.tags.contains_key(*key)).cloned().collect();
    if !old.is_empty() {
        let call = cx.kms.untag_resource().key_id(&live.id).set_tag_keys(Some(old));
        call.send().await.call("kms", "UntagResource")?;
    }
    Ok(())
}

fn kms_tag(key: &str, value: &str) -> Result<Tag, Fault> {
    Tag::builder().tag_key(key).tag_value(value).build().map_err(|error| Fault::bug(error.to_string()))
}
