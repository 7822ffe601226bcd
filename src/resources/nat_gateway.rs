//! A NAT gateway: the way out for private subnets.
//!
//! A deleted one stays listed for about an hour, as does a failed one; only the living are found.

use super::{Asked, Found, Lifecycle, Lost, handler::given};
use crate::{
    aws::{Call, Cx, Tags, by_owner, ec2_tags, filter, from_ec2, gone_is_done, retag_ec2, signed},
    model::{Changes, Desired, Fault, Identity, In, Intent, Ready, Resource},
};
use aws_sdk_ec2::types::{self, ConnectivityType, Filter, ResourceType};
use serde::{Deserialize, Serialize};

/// The kind.
pub struct NatGateway;

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// The public subnet that it stands in.
    pub subnet: In<String>,
    /// The allocation of its address.
    pub allocation: In<String>,
    /// Tags.
    pub tags: Tags,
}

/// What is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Live {
    /// `nat-...`
    pub id: String,
    /// The subnet.
    pub subnet: String,
    /// The allocation of its address.
    pub allocation: String,
    /// `pending`, `available`, `failed` or `deleting`.
    pub state: String,
    /// Why it failed.
    pub failure: Option<String>,
    /// Tags.
    pub tags: Tags,
}

impl Desired for Spec {
    const KIND: &'static str = NatGateway::KIND;
}

impl Resource for NatGateway {
    const KIND: &'static str = "nat_gateway";
    const IAM: &'static [&'static str] = &[
        "ec2:DescribeNatGateways",
        "ec2:CreateNatGateway",
        "ec2:DeleteNatGateway",
        "ec2:CreateTags",
        "ec2:DeleteTags",
    ];
    const IDENTITY: Identity = Identity::Token;
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        let changes = Changes::default().fixed("subnet", &want.subnet, &live.subnet);
        // The addresses of a gateway that is on its way out are detached already.
        let changes = match live.allocation.is_empty() {
            true => changes,
            false => changes.fixed("allocation", &want.allocation, &live.allocation),
        };
        changes.mutable("tags", &want.tags, &live.tags)
    }

    fn ready(live: &Live) -> Ready {
        match live.state.as_str() {
            "available" => Ready::Yes,
            "failed" => Ready::Failed(live.failure.clone().unwrap_or_else(|| "no reason given".to_owned())),
            "deleting" => Ready::Failed("somebody is deleting it".to_owned()),
            state => Ready::Wait(state.to_owned()),
        }
    }
}

impl Lifecycle for NatGateway {
    async fn find(cx: &Cx, asked: &[Asked<Self>]) -> Result<Vec<Found<Live>>, Fault> {
        let mut gateways = list(cx, by_owner(&cx.owner)).await?;
        let seen: Vec<String> =
            gateways.iter().filter_map(|gateway| gateway.nat_gateway_id.clone()).collect();
        let lost = asked.lost(&seen, |live| &live.id);
        if !lost.is_empty() {
            gateways.extend(list(cx, vec![filter("nat-gateway-id", lost)]).await?);
        }
        let found = gateways.into_iter().filter_map(|gateway| {
            let addresses = gateway.nat_gateway_addresses.unwrap_or_default();
            let live = Live {
                id: gateway.nat_gateway_id.unwrap_or_default(),
                subnet: gateway.subnet_id.unwrap_or_default(),
                allocation: addresses
                    .into_iter()
                    .find_map(|address| address.allocation_id)
                    .unwrap_or_default(),
                state: gateway.state.map(|state| state.as_str().to_owned()).unwrap_or_default(),
                failure: gateway.failure_message.or(gateway.failure_code),
                tags: from_ec2(gateway.tags.as_deref()),
            };
            Some(Found { address: asked.place(&live.id, &live.tags, |live| &live.id)?, live })
        });
        Ok(found.collect())
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), Fault> {
        let call = cx
            .ec2
            .create_nat_gateway()
            .client_token(&intent.token)
            .subnet_id(given(&want.subnet, "subnet")?)
            .allocation_id(given(&want.allocation, "allocation")?)
            .connectivity_type(ConnectivityType::Public)
            .tag_specifications(ec2_tags(ResourceType::Natgateway, &want.tags, intent));
        let call = call.customize().config_override(signed!(aws_sdk_ec2, intent));
        call.send().await.call("ec2", "CreateNatGateway")?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<(), Fault> {
        retag_ec2(cx, &live.id, &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), Fault> {
        if live.state == "deleting" {
            return Ok(());
        }
        gone_is_done(
            cx.ec2.delete_nat_gateway().nat_gateway_id(&live.id).send().await.call("ec2", "DeleteNatGateway"),
        )
    }
}

async fn list(cx: &Cx, mut filters: Vec<Filter>) -> Result<Vec<types::NatGateway>, Fault> {
    let states = ["pending", "available", "failed", "deleting"].map(str::to_owned);
    filters.push(filter("state", states.to_vec()));
    let pages =
        cx.ec2.describe_nat_gateways().set_filter(Some(filters)).into_paginator().page_size(1000).items();
    pages.send().try_collect().await.call("ec2", "DescribeNatGateways")
}
