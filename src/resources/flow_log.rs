//! The VPC's flow log, written to a CloudWatch log group. AWS cannot change one, only its tags.

use super::{Asked, Found, Lifecycle, Lost, handler::given};
use crate::{
    aws::{Call, Cx, Tags, by_owner, ec2_tags, filter, from_ec2, gone_is_done, retag_ec2, signed},
    model::{Changes, Desired, Fault, Identity, In, Intent, Ready, Resource},
};
use aws_sdk_ec2::types::{self, Filter, FlowLogsResourceType, LogDestinationType, ResourceType, TrafficType};
use serde::{Deserialize, Serialize};

/// The kind.
pub struct FlowLog;

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// The VPC.
    pub vpc: In<String>,
    /// The log group's name.
    pub group: In<String>,
    /// The role that writes, by its ARN.
    pub role: In<String>,
    /// Tags.
    pub tags: Tags,
}

/// What is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Live {
    /// `fl-...`
    pub id: String,
    /// The VPC.
    pub vpc: String,
    /// The log group's name.
    pub group: String,
    /// The role's ARN.
    pub role: String,
    /// Tags.
    pub tags: Tags,
}

impl Desired for Spec {
    const KIND: &'static str = FlowLog::KIND;
}

impl Resource for FlowLog {
    const KIND: &'static str = "flow_log";
    const IAM: &'static [&'static str] = &[
        "ec2:DescribeFlowLogs",
        "ec2:CreateFlowLogs",
        "ec2:DeleteFlowLogs",
        "ec2:CreateTags",
        "ec2:DeleteTags",
        "iam:PassRole",
    ];
    const IDENTITY: Identity = Identity::Token;
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default()
            .fixed("vpc", &want.vpc, &live.vpc)
            .fixed("group", &want.group, &live.group)
            .fixed("role", &want.role, &live.role)
            .mutable("tags", &want.tags, &live.tags)
    }

    fn ready(_: &Live) -> Ready {
        Ready::Yes
    }
}

impl Lifecycle for FlowLog {
    async fn find(cx: &Cx, asked: &[Asked<Self>]) -> Result<Vec<Found<Live>>, Fault> {
        let mut logs = list(cx, by_owner(&cx.owner)).await?;
        let seen: Vec<String> = logs.iter().filter_map(|log| log.flow_log_id.clone()).collect();
        let lost = asked.lost(&seen, |live| &live.id);
        if !lost.is_empty() {
            logs.extend(list(cx, vec![filter("flow-log-id", lost)]).await?);
        }
        let found = logs.into_iter().filter_map(|log| {
            let live = Live {
                id: log.flow_log_id.unwrap_or_default(),
                vpc: log.resource_id.unwrap_or_default(),
                group: log.log_group_name.unwrap_or_default(),
                role: log.deliver_logs_permission_arn.unwrap_or_default(),
                tags: from_ec2(log.tags.as_deref()),
            };
            Some(Found { address: asked.place(&live.id, &live.tags, |live| &live.id)?, live })
        });
        Ok(found.collect())
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), Fault> {
        let call = cx
            .ec2
            .create_flow_logs()
            .client_token(&intent.token)
            .resource_type(FlowLogsResourceType::Vpc)
            .resource_ids(given(&want.vpc, "vpc")?)
            .traffic_type(TrafficType::All)
            .log_destination_type(LogDestinationType::CloudWatchLogs)
            .log_group_name(given(&want.group, "group")?)
            .deliver_logs_permission_arn(given(&want.role, "role")?)
            .tag_specifications(ec2_tags(ResourceType::VpcFlowLog, &want.tags, intent));
        let call = call.customize().config_override(signed!(aws_sdk_ec2, intent));
        let answer = call.send().await.call("ec2", "CreateFlowLogs")?;
        // The call succeeds as a whole and lists what it could not do.
        match answer.unsuccessful.unwrap_or_default().into_iter().find_map(|item| item.error) {
            None => Ok(()),
            Some(error) => {
                let (code, message) = (error.code().unwrap_or_default(), error.message().unwrap_or_default());
                let class = crate::aws::classify("ec2", "CreateFlowLogs", code, Some(400), message);
                let mut fault = Fault::new(class, message);
                "ec2".clone_into(&mut fault.service);
                "CreateFlowLogs".clone_into(&mut fault.operation);
                code.clone_into(&mut fault.code);
                Err(fault)
            }
        }
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<(), Fault> {
        retag_ec2(cx, &live.id, &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), Fault> {
        gone_is_done(
            cx.ec2.delete_flow_logs().flow_log_ids(&live.id).send().await.call("ec2", "DeleteFlowLogs"),
        )
    }
}

async fn list(cx: &Cx, filters: Vec<Filter>) -> Result<Vec<types::FlowLog>, Fault> {
    let pages =
        cx.ec2.describe_flow_logs().set_filter(Some(filters)).into_paginator().page_size(1000).items();
    pages.send().try_collect().await.call("ec2", "DescribeFlowLogs")
}
