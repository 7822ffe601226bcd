//! The internet gateway, attached to the VPC.
//!
//! A VPC has one at most, so a twin fails to attach; it would still be there, and the owner tags find it.

use super::{Asked, Found, Lifecycle, Lost, handler::given};
use crate::{
    aws::{Call, Cx, Tags, by_owner, ec2_tags, filter, from_ec2, gone_is_done, once, retag_ec2},
    model::{Changes, Desired, Fault, Identity, In, Intent, Ready, Resource},
};
use aws_sdk_ec2::types::{self, Filter, ResourceType};
use serde::{Deserialize, Serialize};

/// The kind.
pub struct InternetGateway;

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// The VPC that it is attached to.
    pub vpc: In<String>,
    /// Tags.
    pub tags: Tags,
}

/// What is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Live {
    /// `igw-...`
    pub id: String,
    /// The VPC that it is attached to, if any.
    pub vpc: Option<String>,
    /// Tags.
    pub tags: Tags,
}

impl Desired for Spec {
    const KIND: &'static str = InternetGateway::KIND;
}

impl Resource for InternetGateway {
    const KIND: &'static str = "internet_gateway";
    const IAM: &'static [&'static str] = &[
        "ec2:DescribeInternetGateways",
        "ec2:CreateInternetGateway",
        "ec2:AttachInternetGateway",
        "ec2:DetachInternetGateway",
        "ec2:DeleteInternetGateway",
        "ec2:CreateTags",
        "ec2:DeleteTags",
    ];
    const IDENTITY: Identity = Identity::OwnerTag;
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        let changes = Changes::default();
        // It must let go of one VPC before that can go, so another VPC means a gateway made anew.
        let changes = match live.vpc {
            None => changes.mutable("vpc", &want.vpc, &live.vpc),
            Some(_) => changes.fixed("vpc", &want.vpc, &live.vpc),
        };
        changes.mutable("tags", &want.tags, &live.tags)
    }

    fn ready(_: &Live) -> Ready {
        Ready::Yes
    }
}

impl Lifecycle for InternetGateway {
    async fn find(cx: &Cx, asked: &[Asked<Self>]) -> Result<Vec<Found<Live>>, Fault> {
        let mut gateways = list(cx, by_owner(&cx.owner)).await?;
        let seen: Vec<String> =
            gateways.iter().filter_map(|gateway| gateway.internet_gateway_id.clone()).collect();
        let lost = asked.lost(&seen, |live| &live.id);
        if !lost.is_empty() {
            gateways.extend(list(cx, vec![filter("internet-gateway-id", lost)]).await?);
        }
        let found = gateways.into_iter().filter_map(|gateway| {
            let live = Live {
                id: gateway.internet_gateway_id.unwrap_or_default(),
                vpc: gateway
                    .attachments
                    .unwrap_or_default()
                    .into_iter()
                    .find_map(|attachment| attachment.vpc_id),
                tags: from_ec2(gateway.tags.as_deref()),
            };
            Some(Found { address: asked.place(&live.id, &live.tags, |live| &live.id)?, live })
        });
        Ok(found.collect())
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), Fault> {
        let tags = ec2_tags(ResourceType::InternetGateway, &want.tags, intent);
        let call = cx.ec2.create_internet_gateway().tag_specifications(tags);
        let call = call.customize().config_override(once!(aws_sdk_ec2, intent));
        call.send().await.call("ec2", "CreateInternetGateway")?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<(), Fault> {
        if live.vpc.is_none() {
            let vpc = given(&want.vpc, "vpc")?;
            let call = cx.ec2.attach_internet_gateway().internet_gateway_id(&live.id).vpc_id(vpc);
            call.send().await.call("ec2", "AttachInternetGateway")?;
        }
        retag_ec2(cx, &live.id, &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), Fault> {
        if let Some(vpc) = &live.vpc {
            let call = cx.ec2.detach_internet_gateway().internet_gateway_id(&live.id).vpc_id(vpc);
            gone_is_done(call.send().await.call("ec2", "DetachInternetGateway"))?;
        }
        let call = cx.ec2.delete_internet_gateway().internet_gateway_id(&live.id);
        gone_is_done(call.send().await.call("ec2", "DeleteInternetGateway"))
    }
}

async fn list(cx: &Cx, filters: Vec<Filter>) -> Result<Vec<types::InternetGateway>, Fault> {
    let pages = cx.ec2.describe_internet_gateways().set_filters(Some(filters)).into_paginator();
    pages.page_size(1000).items().send().try_collect().await.call("ec2", "DescribeInternetGateways")
}
