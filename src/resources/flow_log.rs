//! A VPC's flow log, written to a CloudWatch log group. AWS can change only its tags.

use super::prelude::*;
use crate::aws::item_error;
use aws_sdk_ec2::{
    operation::create_flow_logs::CreateFlowLogsError,
    types::{
        self, Filter, FlowLogsResourceType, LogDestinationType, ResourceType, TrafficType,
        UnsuccessfulItemError,
    },
};

/// VPC flow log to CloudWatch Logs, of all traffic.
pub struct FlowLog;

/// What a stack decides of the resource: with inputs in a spec, with texts in a live form.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fields<T> {
    /// Id of the VPC.
    pub vpc: T,
    /// Name of the log group; empty if the log is written elsewhere.
    pub group: T,
    /// ARN of the role that writes the entries; empty if the log is written elsewhere.
    pub role: T,
    /// Wanted tags of the flow log: those of the stack file, `Name` and the owner tags.
    pub tags: Tags,
}

/// Desired flow log.
pub type Spec = Fields<In<String>>;

/// Flow log as EC2 describes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// Flow log id, `fl-0123456789abcdef0`.
    pub id: String,
    /// What the stack decides of it, as AWS has it.
    #[serde(flatten)]
    pub fields: Fields<String>,
}

has_fields!(Live, Fields<String>);

identified!(Live);

impl Desired for Spec {
    const KIND: &'static str = FlowLog::KIND;
}

impl Resource for FlowLog {
    const INFO: KindInfo = KindInfo {
        name: "flow_log",
        identity: Identity::Token,
        birth_mark: Some("id"),
        iam: &[
            (IamScope::EC2_READ, &["ec2:DescribeFlowLogs"]),
            (IamScope::EC2_WRITE, &["ec2:CreateFlowLogs", "ec2:CreateTags", "ec2:DeleteTags"]),
            (IamScope::EC2_OWN, &["ec2:DeleteFlowLogs"]),
            (IamScope::PASS_ROLES, &["iam:PassRole"]),
        ],
        ..KindInfo::DEFAULT
    };
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default()
            .fixed("vpc", &want.vpc, &live.vpc)
            .fixed("group", &want.group, &live.group)
            .fixed("role", &want.role, &live.role)
            .mutable("tags", &want.tags, &live.tags)
    }
}

impl Lifecycle for FlowLog {
    async fn find(cx: &Cx, asked: &[TypedLookup<Self>]) -> Result<Vec<FoundResource<Live>>, CallError> {
        by_tag(cx, asked, "flow-log-id", |filters| list(cx, filters)).await
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), CallError> {
        let call = cx
            .ec2
            .create_flow_logs()
            .client_token(&intent.token)
            .resource_type(FlowLogsResourceType::Vpc)
            .resource_ids(resolved(&want.vpc, "vpc")?)
            .traffic_type(TrafficType::All)
            .log_destination_type(LogDestinationType::CloudWatchLogs)
            .log_group_name(resolved(&want.group, "group")?)
            .deliver_logs_permission_arn(resolved(&want.role, "role")?)
            .tag_specifications(ec2_tags(ResourceType::VpcFlowLog, &want.tags, intent));
        let call = call.customize().config_override(signed!(aws_sdk_ec2, intent));
        let answer = call.send().await.call()?;
        // The call succeeds even if the flow log was not created, and lists the failure in its answer.
        let refused = answer.unsuccessful.unwrap_or_default().into_iter().find_map(|item| item.error);
        let error = |it: UnsuccessfulItemError| item_error::<CreateFlowLogsError>(it.code(), it.message());
        refused.map_or(Ok(()), |refused| Err(error(refused)))
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<Option<UpdateId>, CallError> {
        retag(cx, TagTarget::Ec2(&live.id), &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), CallError> {
        cx.ec2.delete_flow_logs().flow_log_ids(&live.id).send().await.gone_is_done()
    }
}

async fn list(cx: &Cx, filters: Vec<Filter>) -> Result<Vec<Live>, CallError> {
    let pages = cx.ec2.describe_flow_logs().set_filter(Some(filters)).into_paginator();
    let logs: Result<Vec<_>, _> = pages.page_size(1000).items().send().try_collect().await;
    logs.read(|logs| logs.into_iter().map(live).collect())
}

fn live(log: types::FlowLog) -> Result<Live, MissingField> {
    Ok(Live {
        id: required(log.flow_log_id, "flowLogId")?,
        fields: Fields {
            vpc: required(log.resource_id, "resourceId")?,
            group: optional_text(log.log_group_name),
            role: optional_text(log.deliver_logs_permission_arn),
            tags: from_ec2(log.tags.as_deref()),
        },
    })
}
