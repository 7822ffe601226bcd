//! A CloudWatch log group with retention, encrypted with a key of ours.

use super::prelude::*;
use crate::model::ServiceMade;
use aws_sdk_cloudwatchlogs::primitives::DateTime;
use aws_sdk_cloudwatchlogs::types::LogGroup as LogGroupAnswer;

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
    /// When it was created, RFC 3339. No later resource of its name has the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub birth: Option<String>,
    /// Tags.
    pub tags: Tags,
}

/// Field [`Live::name`].
pub const NAME: Field = Field::new("name");

/// The stack's log groups and what is in them.
const LOG_GROUPS: IamScope = IamScope {
    sid: "Logs",
    resources: &[
        "arn:{partition}:logs:{region}:{account}:log-group:{log_group.name}",
        "arn:{partition}:logs:{region}:{account}:log-group:{log_group.name}:*",
    ],
    conditions: &[],
};

impl Desired for Spec {
    const KIND: &'static str = LogGroup::KIND;
}

impl Resource for LogGroup {
    const INFO: KindInfo = KindInfo {
        name: "log_group",
        identity: Identity::Name,
        supplies: &[NAME],
        arn_prefix: Some(":log-group:"),
        birth_mark: Some("birth"),
        holds: Some("its log events"),
        iam: &[
            (IamScope::ANYWHERE, &["logs:DescribeLogGroups"]),
            (
                LOG_GROUPS,
                &[
                    "logs:ListTagsForResource",
                    "logs:CreateLogGroup",
                    "logs:PutRetentionPolicy",
                    "logs:AssociateKmsKey",
                    "logs:TagResource",
                    "logs:UntagResource",
                    "logs:DeleteLogGroup",
                ],
            ),
        ],
        ..KindInfo::DEFAULT
    };
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default()
            .fixed("name", &want.name, &live.name)
            .mutable("retentionDays", &want.retention_days, &live.retention_days)
            .mutable("key", &want.key, &live.key)
            .mutable("tags", &want.tags, &live.tags)
    }

    /// EKS writes a cluster's logs to the group of this name, and creates it if it does not exist, also for the last events
    /// of a cluster that is deleted.
    /// Sources: <https://docs.aws.amazon.com/eks/latest/userguide/control-plane-logs.html>,
    /// <https://github.com/terraform-aws-modules/terraform-aws-eks/issues/920>
    fn service_made(live: &Live) -> Option<ServiceMade> {
        let name = live.name.strip_prefix("/aws/eks/")?.strip_suffix("/cluster")?;
        Some(ServiceMade {
            by: "eks_cluster",
            name: name.to_owned(),
            while_set: "logTypes",
            untouched: live.tags.is_empty() && live.key.is_none() && live.retention_days.is_none(),
        })
    }
}

impl Lifecycle for LogGroup {
    async fn find(cx: &Cx, asked: &[TypedLookup<Self>]) -> Result<Vec<FoundResource<Live>>, CallError> {
        let name = |asked: &TypedLookup<Self>| -> Option<String> {
            let known = asked.key(|last| &last.name, |want| &want.name);
            known.or(asked.name.as_ref()).cloned()
        };
        describe_each(asked, name, async |name| describe(cx, &name).await).await
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), CallError> {
        let call = cx
            .logs
            .create_log_group()
            .log_group_name(&want.name)
            .kms_key_id(resolved(&want.key, "key")?)
            .set_tags(Some(tagged(&want.tags, intent).into_iter().collect()));
        let call = call.customize().config_override(single_shot!(aws_sdk_cloudwatchlogs, intent));
        call.send().await.call().map(drop)
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<Option<UpdateId>, CallError> {
        if live.retention_days != Some(want.retention_days) {
            let call = cx
                .logs
                .put_retention_policy()
                .log_group_name(&live.name)
                .retention_in_days(want.retention_days);
            call.send().await.call()?;
        }
        let key = resolved(&want.key, "key")?;
        if live.key.as_ref() != Some(key) {
            let call = cx.logs.associate_kms_key().log_group_name(&live.name).kms_key_id(key);
            call.send().await.call()?;
        }
        retag(cx, TagTarget::LogGroup(&live.arn), &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), CallError> {
        cx.logs.delete_log_group().log_group_name(&live.name).send().await.gone_is_done()
    }
}

async fn describe(cx: &Cx, name: &str) -> Result<Option<Live>, CallError> {
    let pages = cx.logs.describe_log_groups().log_group_name_prefix(name).into_paginator().items().send();
    let groups: Result<Vec<_>, _> = pages.try_collect().await;
    let found = groups.read(|groups| {
        let group = groups.into_iter().find(|group| group.log_group_name.as_deref() == Some(name));
        group.map(live).transpose()
    });
    let Some(live) = found? else { return Ok(None) };
    let tags = cx.logs.list_tags_for_resource().resource_arn(&live.arn).send().await;
    let tags = if_found(tags.call())?.map(|answer| answer.tags.unwrap_or_default());
    Ok(tags.map(|tags| Live { tags: tags.into_iter().collect(), ..live }))
}

fn live(group: LogGroupAnswer) -> Result<Live, MissingField> {
    // The older of the two fields ends in `:*`.
    let arn = required(group.log_group_arn.or(group.arn), "logGroupArn")?;
    Ok(Live {
        name: required(group.log_group_name, "logGroupName")?,
        arn: arn.trim_end_matches(":*").to_owned(),
        retention_days: group.retention_in_days,
        key: group.kms_key_id,
        birth: group.creation_time.map(|at| DateTime::from_millis(at).to_string()),
        tags: Tags::new(),
    })
}
