//! A CloudWatch log group with retention, encrypted with a key of ours.

use super::{Asked, Found, Lifecycle, handler::given};
use crate::{
    aws::{Call, Cx, Tags, gone_is_done, once, tagged},
    model::{Changes, Class, Desired, Fault, Identity, In, Intent, Ready, Resource},
};
use serde::{Deserialize, Serialize};

/// The kind.
pub struct LogGroup;

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The name, unique in account and region.
    pub name: String,
    /// How long entries are kept.
    pub retention_days: i32,
    /// The key's ARN.
    pub key: In<String>,
    /// Tags.
    pub tags: Tags,
}

/// What is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// The name.
    pub name: String,
    /// The ARN without the `:*` that stands for its streams.
    pub arn: String,
    /// See [`Spec::retention_days`]; none means for ever.
    pub retention_days: Option<i32>,
    /// See [`Spec::key`].
    pub key: Option<String>,
    /// Tags.
    pub tags: Tags,
}

impl Desired for Spec {
    const KIND: &'static str = LogGroup::KIND;
}

impl Resource for LogGroup {
    const KIND: &'static str = "log_group";
    const IAM: &'static [&'static str] = &[
        "logs:DescribeLogGroups",
        "logs:ListTagsForResource",
        "logs:CreateLogGroup",
        "logs:PutRetentionPolicy",
        "logs:AssociateKmsKey",
        "logs:TagResource",
        "logs:UntagResource",
        "logs:DeleteLogGroup",
    ];
    const IDENTITY: Identity = Identity::Name;
    const NAMED: Option<&'static str> = Some(":log-group:");
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default()
            .fixed("name", &want.name, &live.name)
            .mutable("retentionDays", &want.retention_days, &live.retention_days)
            .mutable("key", &want.key, &live.key)
            .mutable("tags", &want.tags, &live.tags)
    }

    fn ready(_: &Live) -> Ready {
        Ready::Yes
    }
}

impl Lifecycle for LogGroup {
    async fn find(cx: &Cx, asked: &[Asked<Self>]) -> Result<Vec<Found<Live>>, Fault> {
        let looks = asked.iter().filter_map(|asked| {
            let recorded = asked.last.as_ref().map(|last| &last.name);
            let name = recorded.or(asked.want.as_ref().map(|want| &want.name)).or(asked.name.as_ref())?;
            Some(async move {
                Ok(look(cx, name).await?.map(|live| Found { address: asked.address.clone(), live }))
            })
        });
        let found = futures_util::future::try_join_all(looks).await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), Fault> {
        let call = cx
            .logs
            .create_log_group()
            .log_group_name(&want.name)
            .kms_key_id(given(&want.key, "key")?)
            .set_tags(Some(tagged(&want.tags, intent).into_iter().collect()));
        let call = call.customize().config_override(once!(aws_sdk_cloudwatchlogs, intent));
        call.send().await.call("logs", "CreateLogGroup")?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<(), Fault> {
        if live.retention_days != Some(want.retention_days) {
            let call = cx
                .logs
                .put_retention_policy()
                .log_group_name(&live.name)
                .retention_in_days(want.retention_days);
            call.send().await.call("logs", "PutRetentionPolicy")?;
        }
        let key = given(&want.key, "key")?;
        if live.key.as_ref() != Some(key) {
            let call = cx.logs.associate_kms_key().log_group_name(&live.name).kms_key_id(key);
            call.send().await.call("logs", "AssociateKmsKey")?;
        }
        if want.tags.iter().any(|(key, value)| live.tags.get(key) != Some(value)) {
            let tags = want.tags.clone().into_iter().collect();
            let call = cx.logs.tag_resource().resource_arn(&live.arn).set_tags(Some(tags));
            call.send().await.call("logs", "TagResource")?;
        }
        let old: Vec<String> =
            live.tags.keys().filter(|key| !want.tags.contains_key(*key)).cloned().collect();
        if !old.is_empty() {
            let call = cx.logs.untag_resource().resource_arn(&live.arn).set_tag_keys(Some(old));
            call.send().await.call("logs", "UntagResource")?;
        }
        Ok(())
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), Fault> {
        gone_is_done(
            cx.logs.delete_log_group().log_group_name(&live.name).send().await.call("logs", "DeleteLogGroup"),
        )
    }
}

async fn look(cx: &Cx, name: &str) -> Result<Option<Live>, Fault> {
    let pages = cx.logs.describe_log_groups().log_group_name_prefix(name).into_paginator().items().send();
    let groups: Vec<_> = pages.try_collect().await.call("logs", "DescribeLogGroups")?;
    let Some(group) = groups.into_iter().find(|group| group.log_group_name.as_deref() == Some(name)) else {
        return Ok(None);
    };
    let arn = match (group.log_group_arn, group.arn) {
        (Some(arn), _) => arn,
        (None, arn) => arn.unwrap_or_default().trim_end_matches(":*").to_owned(),
    };
    let tags = cx.logs.list_tags_for_resource().resource_arn(&arn).send().await;
    let tags = match tags.call("logs", "ListTagsForResource") {
        Err(fault) if fault.class == Class::Gone => return Ok(None),
        answer => answer?.tags.unwrap_or_default().into_iter().collect(),
    };
    let (retention_days, key) = (group.retention_in_days, group.kms_key_id);
    Ok(Some(Live { name: name.to_owned(), arn, retention_days, key, tags }))
}
