//! A route table; its routes and associations are resources of their own.

use super::{Asked, Found, Lifecycle, Lost, handler::given};
use crate::{
    aws::{Call, Cx, Tags, ec2_tags, filter, from_ec2, gone_is_done, retag_ec2, signed},
    model::{Changes, Desired, Fault, Identity, In, Intent, Ready, Resource},
};
use aws_sdk_ec2::types::{self, ResourceType};
use serde::{Deserialize, Serialize};

/// The kind.
pub struct RouteTable;

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// The VPC.
    pub vpc: In<String>,
    /// Tags.
    pub tags: Tags,
}

/// What is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Live {
    /// `rtb-...`
    pub id: String,
    /// The VPC.
    pub vpc: String,
    /// Tags.
    pub tags: Tags,
}

impl Desired for Spec {
    const KIND: &'static str = RouteTable::KIND;
}

impl Resource for RouteTable {
    const KIND: &'static str = "route_table";
    const IAM: &'static [&'static str] = &[
        "ec2:DescribeRouteTables",
        "ec2:CreateRouteTable",
        "ec2:DeleteRouteTable",
        "ec2:CreateTags",
        "ec2:DeleteTags",
    ];
    const IDENTITY: Identity = Identity::Token;
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default().fixed("vpc", &want.vpc, &live.vpc).mutable("tags", &want.tags, &live.tags)
    }

    fn ready(_: &Live) -> Ready {
        Ready::Yes
    }
}

impl Lifecycle for RouteTable {
    async fn find(cx: &Cx, asked: &[Asked<Self>]) -> Result<Vec<Found<Live>>, Fault> {
        let mut tables: Vec<types::RouteTable> = cx.route_tables().await?.to_vec();
        let seen: Vec<String> = tables.iter().filter_map(|table| table.route_table_id.clone()).collect();
        let lost = asked.lost(&seen, |live| &live.id);
        if !lost.is_empty() {
            let call = cx.ec2.describe_route_tables().filters(filter("route-table-id", lost));
            tables.extend(
                call.send().await.call("ec2", "DescribeRouteTables")?.route_tables.unwrap_or_default(),
            );
        }
        let found = tables.into_iter().filter_map(|table| {
            let live = Live {
                id: table.route_table_id.unwrap_or_default(),
                vpc: table.vpc_id.unwrap_or_default(),
                tags: from_ec2(table.tags.as_deref()),
            };
            Some(Found { address: asked.place(&live.id, &live.tags, |live| &live.id)?, live })
        });
        Ok(found.collect())
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), Fault> {
        let call = cx
            .ec2
            .create_route_table()
            .client_token(&intent.token)
            .vpc_id(given(&want.vpc, "vpc")?)
            .tag_specifications(ec2_tags(ResourceType::RouteTable, &want.tags, intent));
        let call = call.customize().config_override(signed!(aws_sdk_ec2, intent));
        call.send().await.call("ec2", "CreateRouteTable")?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<(), Fault> {
        retag_ec2(cx, &live.id, &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), Fault> {
        gone_is_done(
            cx.ec2.delete_route_table().route_table_id(&live.id).send().await.call("ec2", "DeleteRouteTable"),
        )
    }
}

/// The table that an input names: by its id, or, while that is not resolved, by the address in its tags.
pub(super) fn named<'a>(
    tables: &'a [types::RouteTable],
    input: &In<String>,
) -> Option<&'a types::RouteTable> {
    tables.iter().find(|table| match input {
        In::Known(id) => table.route_table_id.as_ref() == Some(id),
        In::Ref { r#ref, .. } => {
            crate::aws::resource_of(&from_ec2(table.tags.as_deref())).as_ref() == Some(r#ref)
        }
    })
}
