//! A KMS key with its alias, rotation and policy.
//!
//! `CreateKey` takes neither a token nor a name, and the list of keys has no filter: a key is found by its recorded id,
//! by its alias, and, after a lost answer, by its tags through the tagging API.

use super::prelude::*;
use crate::{
    aws::{key_suspension, kms_list, normal, parse},
    model::tag,
};
use aws_sdk_kms::types::{KeyMetadata, KeyState, Tag};
use aws_sdk_resourcegroupstagging::types::TagFilter;
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
    /// The other key that the alias leads to, unless that one is to be deleted or is the backend's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias_of: Option<String>,
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
    /// When it is deleted, RFC 3339, if that is scheduled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_date: Option<String>,
    /// Tags.
    pub tags: Tags,
}

/// Field [`Live::arn`].
pub const ARN: Field = Field::new("arn");

/// A key that is created with the owner's tag.
const NEW_KEY: IamScope = IamScope {
    sid: "NewKey",
    resources: &["*"],
    conditions: &[("StringEquals", "aws:RequestTag/{ownerTag}", &["{owner}"])],
};

/// The owner's alias, which IAM treats as a resource besides the key.
const ALIAS: IamScope = IamScope {
    sid: "KeyAlias",
    resources: &["arn:{partition}:kms:{region}:{account}:alias/{alias}"],
    conditions: &[],
};

impl Desired for Spec {
    const KIND: &'static str = KmsKey::KIND;
}

impl Resource for KmsKey {
    const INFO: KindInfo = KindInfo {
        name: "kms_key",
        identity: Identity::OwnerTag,
        supplies: &[ARN],
        typical: Duration::from_secs(3),
        protected: true,
        birth_mark: Some("id"),
        holds: Some("whatever is encrypted with it"),
        iam: &[
            (
                IamScope::KEY_READ,
                &["kms:DescribeKey", "kms:GetKeyRotationStatus", "kms:GetKeyPolicy", "kms:ListResourceTags"],
            ),
            (NEW_KEY, &["kms:CreateKey", "kms:TagResource"]),
            (
                IamScope::KEY,
                &[
                    "kms:TagResource",
                    "kms:UntagResource",
                    "kms:CreateAlias",
                    "kms:UpdateAlias",
                    "kms:DeleteAlias",
                    "kms:EnableKeyRotation",
                    "kms:PutKeyPolicy",
                    "kms:UpdateKeyDescription",
                    "kms:ScheduleKeyDeletion",
                ],
            ),
            (ALIAS, &["kms:CreateAlias", "kms:UpdateAlias", "kms:DeleteAlias"]),
            (IamScope::TAG_QUERY, &["tag:GetResources"]),
        ],
        ..KindInfo::DEFAULT
    };
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

    fn ready(live: &Live) -> Readiness {
        match key_suspension(&live.id, &live.state, live.deletion_date.as_deref()) {
            Some((why, remedy)) => Readiness::Suspended { why, remedy },
            None if live.state == KeyState::Enabled.as_str() => Readiness::Ready,
            None => Readiness::Waiting(live.state.clone()),
        }
    }

    fn validate_change(want: &Spec, live: &Live) -> Option<String> {
        let key = live.alias_of.as_ref()?;
        Some(format!(
            "the alias {} leads to another key ({key}), which provisioner did not create",
            want.alias
        ))
    }

    fn deletion_note(live: &Live) -> Option<String> {
        let kept =
            "what it encrypts and the stack does not delete, such as snapshots and copies, cannot be read";
        match key_suspension(&live.id, &live.state, live.deletion_date.as_deref()) {
            Some((_, remedy)) if is_scheduled(&live.state) => Some(format!(
                "its deletion is scheduled already{}; then {kept}; `{remedy}` undoes that",
                live.deletion_date.as_ref().map(|at| format!(" for {at}")).unwrap_or_default(),
            )),
            Some((_, remedy)) => Some(format!(
                "after {} days; then {kept}; it is disabled, and `{remedy}` undoes that",
                live.deletion_window_days,
            )),
            None => Some(format!("after {} days; then {kept}", live.deletion_window_days)),
        }
    }

    fn deleted(live: &Live) -> bool {
        is_scheduled(&live.state)
    }
}

impl Lifecycle for KmsKey {
    async fn find(cx: &Cx, asked: &[TypedLookup<Self>]) -> Result<Vec<FoundResource<Live>>, CallError> {
        let looks = asked.iter().map(|asked| look(cx, asked));
        Ok(futures_util::future::try_join_all(looks).await?.into_iter().flatten().collect())
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), CallError> {
        let mut tags = tagged(&want.tags, intent);
        tags.insert(WINDOW.to_owned(), want.deletion_window_days.to_string());
        let call = cx
            .kms
            .create_key()
            .description(&want.description)
            .policy(want.policy.to_string())
            .set_tags(Some(kms_list(&tags)?));
        call.customize().config_override(single_shot!(aws_sdk_kms, intent)).send().await.call()?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<Option<UpdateId>, CallError> {
        if live.alias.as_ref() != Some(&want.alias) {
            if live.alias_taken {
                let call = cx.kms.update_alias().alias_name(&want.alias).target_key_id(&live.id);
                call.send().await.call()?;
            } else {
                let call = cx.kms.create_alias().alias_name(&want.alias).target_key_id(&live.id);
                call.send().await.call()?;
            }
        }
        if live.rotation_days != Some(want.rotation_days) {
            let call =
                cx.kms.enable_key_rotation().key_id(&live.id).rotation_period_in_days(want.rotation_days);
            call.send().await.call()?;
        }
        if normal(&want.policy) != live.policy {
            let call = cx
                .kms
                .put_key_policy()
                .key_id(&live.id)
                .policy_name("default")
                .policy(want.policy.to_string());
            call.send().await.call()?;
        }
        if want.description != live.description {
            let call = cx.kms.update_key_description().key_id(&live.id).description(&want.description);
            call.send().await.call()?;
        }
        let mut wanted = want.tags.clone();
        if want.deletion_window_days != live.deletion_window_days {
            wanted.insert(WINDOW.to_owned(), want.deletion_window_days.to_string());
        }
        retag(cx, TagTarget::Key(&live.id), &wanted, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), CallError> {
        if let Some(alias) = &live.alias {
            cx.kms.delete_alias().alias_name(alias).send().await.gone_is_done()?;
        }
        let call =
            cx.kms.schedule_key_deletion().key_id(&live.id).pending_window_in_days(live.deletion_window_days);
        call.send().await.gone_is_done()
    }
}

/// Finds the recorded key whatever its state, else the one that the alias leads to, else those with the owner's tags. Whose
/// they are is for plan and engine to say: an alias can lead to any key, and anyone can write tags.
async fn look(cx: &Cx, asked: &TypedLookup<KmsKey>) -> Result<Vec<FoundResource<Live>>, CallError> {
    let wanted = asked.want.as_ref().map(|want| want.alias.clone());
    let alias = wanted.or_else(|| asked.recorded.as_ref().and_then(|last| last.alias.clone()));
    let by_alias = match &alias {
        Some(alias) => describe(cx, alias).await?,
        None => None,
    };
    let recorded = asked.recorded.as_ref().map(|last| last.id.as_str()).or(asked.name.as_deref());
    let known = match (&by_alias, recorded) {
        (Some(key), Some(id)) if key.key_id() == id => by_alias.clone(),
        (_, Some(id)) => describe(cx, id).await?,
        (_, None) => None,
    };
    // Nothing can be encrypted with a key whose deletion is scheduled: only the recorded one is still of interest.
    let usable = |key: &KeyMetadata| !key.key_state().is_some_and(|state| is_scheduled(state.as_str()));
    let mut keys: Vec<KeyMetadata> = known.into_iter().collect();
    if !keys.iter().any(usable) {
        keys.extend(by_alias.clone().filter(usable));
    }
    if !keys.iter().any(usable) {
        for arn in tagged_keys(cx, asked).await? {
            keys.extend(describe(cx, &arn).await?.filter(usable));
        }
    }
    let lives = keys.into_iter().map(|key| live(cx, key, alias.as_ref(), by_alias.as_ref()));
    let lives = futures_util::future::try_join_all(lives).await?;
    Ok(lives.into_iter().map(|live| FoundResource { address: asked.address.clone(), live }).collect())
}

fn is_scheduled(state: &str) -> bool {
    [KeyState::PendingDeletion.as_str(), KeyState::PendingReplicaDeletion.as_str()].contains(&state)
}

async fn live(
    cx: &Cx,
    key: KeyMetadata,
    alias: Option<&String>,
    by_alias: Option<&KeyMetadata>,
) -> Result<Live, CallError> {
    let id = key.key_id();
    let state = optional_text(key.key_state());
    let (rotation_days, policy, mut tags) = futures_util::try_join!(
        async {
            if is_scheduled(&state) {
                return Ok(None);
            }
            let answer = cx.kms.get_key_rotation_status().key_id(id).send().await;
            let answer = answer.call()?;
            Ok(answer.key_rotation_enabled.then(|| answer.rotation_period_in_days.unwrap_or(365)))
        },
        async {
            let call = cx.kms.get_key_policy().key_id(id).policy_name("default");
            call.send().await.call()
        },
        tags_of(cx, id),
    )?;
    let window = tags.remove(WINDOW).and_then(|days| days.parse().ok());
    let other = by_alias.filter(|other| other.key_id() != id);
    let scheduled =
        |other: &&KeyMetadata| other.key_state().is_some_and(|state| is_scheduled(state.as_str()));
    let alias_of = match other.filter(|other| !scheduled(other)) {
        // First runs at once may have created several keys for the backend.
        Some(other) if tags_of(cx, other.key_id()).await?.contains_key(tag::BACKEND) => None,
        other => other.map(|other| other.key_id().to_owned()),
    };
    Ok(Live {
        id: id.to_owned(),
        arn: optional_text(key.arn()),
        alias_taken: other.is_some(),
        alias_of,
        alias: alias.filter(|_| by_alias.is_some() && other.is_none()).cloned(),
        description: optional_text(key.description()),
        rotation_days,
        deletion_window_days: window.unwrap_or(30),
        policy: policy.policy.as_deref().map(parse).unwrap_or_default(),
        deletion_date: key.deletion_date().map(ToString::to_string),
        state,
        tags,
    })
}

async fn tags_of(cx: &Cx, id: &str) -> Result<Tags, CallError> {
    let pages = cx.kms.list_resource_tags().key_id(id).into_paginator().items().send();
    let tags: Vec<Tag> = pages.try_collect().await.call()?;
    Ok(tag_map(tags.iter().map(|tag| (Some(tag.tag_key()), Some(tag.tag_value())))))
}

async fn describe(cx: &Cx, id: &str) -> Result<Option<KeyMetadata>, CallError> {
    let answer = cx.kms.describe_key().key_id(id).send().await;
    answer.read_if_found(|answer| {
        let key = required(answer.key_metadata, "KeyMetadata")?;
        required(key.arn(), "KeyMetadata.Arn")?;
        required(key.key_state(), "KeyMetadata.KeyState")?;
        Ok(key)
    })
}

/// The ARNs of the keys with the wanted owner tags, the lineage included.
async fn tagged_keys(cx: &Cx, asked: &TypedLookup<KmsKey>) -> Result<Vec<String>, CallError> {
    let Some(want) = &asked.want else { return Ok(Vec::new()) };
    let names = [tag::STACK, tag::LINEAGE, tag::BACKEND, tag::RESOURCE];
    let owner = want.tags.iter().filter(|(key, _)| names.contains(&key.as_str()));
    let filters = owner.map(|(key, value)| TagFilter::builder().key(key).values(value).build()).collect();
    let call = cx.tagging.get_resources().resource_type_filters("kms:key").set_tag_filters(Some(filters));
    let pages = call.into_paginator().items().send();
    let keys: Vec<_> = pages.try_collect().await.call()?;
    // Of several, every run must take the same one.
    let arns: std::collections::BTreeSet<String> =
        keys.into_iter().filter_map(|key| key.resource_arn).collect();
    Ok(arns.into_iter().collect())
}
