//! A subnet: one zone's slice of the network.
//!
//! AWS keeps the block unique in the VPC, so a twin is refused as `InvalidSubnet.Conflict`.

use super::{Asked, Found, Lifecycle, Lost, handler::given};
use crate::{
    aws::{Call, Cx, Tags, by_owner, ec2_tags, filter, from_ec2, gone_is_done, once, retag_ec2},
    model::{Changes, Desired, Fault, Identity, In, Intent, Ready, Resource},
};
use aws_sdk_ec2::types::{self, Filter, ResourceType};
use serde::{Deserialize, Serialize};

/// The kind.
pub struct Subnet;

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The VPC.
    pub vpc: In<String>,
    /// The IPv4 block.
    pub cidr: String,
    /// The availability zone's name.
    pub zone: String,
    /// Tags, with the role tags that load balancer controllers look for.
    pub tags: Tags,
}

/// What is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// `subnet-...`
    pub id: String,
    /// The VPC.
    pub vpc: String,
    /// The IPv4 block.
    pub cidr: String,
    /// The availability zone's name.
    pub zone: String,
    /// `pending` or `available`.
    pub state: String,
    /// Tags.
    pub tags: Tags,
}

impl Desired for Spec {
    const KIND: &'static str = Subnet::KIND;
}

impl Resource for Subnet {
    const KIND: &'static str = "subnet";
    const IAM: &'static [&'static str] =
        &["ec2:DescribeSubnets", "ec2:CreateSubnet", "ec2:CreateTags", "ec2:DeleteTags", "ec2:DeleteSubnet"];
    const IDENTITY: Identity = Identity::OwnerTag;
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default()
            .fixed("vpc", &want.vpc, &live.vpc)
            .fixed("cidr", &want.cidr, &live.cidr)
            .fixed("zone", &want.zone, &live.zone)
            .mutable("tags", &want.tags, &live.tags)
    }

    fn ready(live: &Live) -> Ready {
        match live.state.as_str() {
            "available" => Ready::Yes,
            "failed" | "failed-insufficient-capacity" => Ready::Failed(live.state.clone()),
            state => Ready::Wait(state.to_owned()),
        }
    }
}

impl Lifecycle for Subnet {
    async fn find(cx: &Cx, asked: &[Asked<Self>]) -> Result<Vec<Found<Live>>, Fault> {
        let mut subnets = list(cx, by_owner(&cx.owner)).await?;
        let seen: Vec<String> = subnets.iter().filter_map(|subnet| subnet.subnet_id.clone()).collect();
        let lost = asked.lost(&seen, |live| &live.id);
        if !lost.is_empty() {
            subnets.extend(list(cx, vec![filter("subnet-id", lost)]).await?);
        }
        let found = subnets.into_iter().filter_map(|subnet| {
            let (id, tags) = (subnet.subnet_id.unwrap_or_default(), from_ec2(subnet.tags.as_deref()));
            let live = Live {
                vpc: subnet.vpc_id.unwrap_or_default(),
                cidr: subnet.cidr_block.unwrap_or_default(),
                zone: subnet.availability_zone.unwrap_or_default(),
                state: subnet.state.map(|state| state.as_str().to_owned()).unwrap_or_default(),
                id,
                tags,
            };
            Some(Found { address: asked.place(&live.id, &live.tags, |live| &live.id)?, live })
        });
        Ok(found.collect())
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), Fault> {
        let call = cx
            .ec2
            .create_subnet()
            .vpc_id(given(&want.vpc, "vpc")?)
            .cidr_block(&want.cidr)
            .availability_zone(&want.zone)
            .tag_specifications(ec2_tags(ResourceType::Subnet, &want.tags, intent));
        call.customize()
            .config_override(once!(aws_sdk_ec2, intent))
            .send()
            .await
            .call("ec2", "CreateSubnet")?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<(), Fault> {
        retag_ec2(cx, &live.id, &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), Fault> {
        gone_is_done(cx.ec2.delete_subnet().subnet_id(&live.id).send().await.call("ec2", "DeleteSubnet"))
    }
}

async fn list(cx: &Cx, filters: Vec<Filter>) -> Result<Vec<types::Subnet>, Fault> {
    let pages = cx.ec2.describe_subnets().set_filters(Some(filters)).into_paginator().page_size(1000).items();
    pages.send().try_collect().await.call("ec2", "DescribeSubnets")
}
