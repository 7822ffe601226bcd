//! The virtual private cloud: the address space that everything else is in.
//!
//! `CreateVpc` takes neither a client token nor a name: the tags in the call are the only trace of a lost answer.

use super::{Asked, Found, Lifecycle, Lost};
use crate::{
    aws::{Call, Cx, Tags, by_owner, ec2_tags, filter, from_ec2, gone_is_done, once, retag_ec2},
    model::{Changes, Desired, Fault, Identity, Intent, Ready, Resource},
};
use aws_sdk_ec2::types::{self, AttributeBooleanValue, Filter, ResourceType, VpcAttributeName};
use serde::{Deserialize, Serialize};

/// The kind.
pub struct Vpc;

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The IPv4 block.
    pub cidr: String,
    /// Amazon's resolver at the block's second address; EKS and endpoints need it.
    pub dns_support: bool,
    /// Names for instances; private endpoint names need it.
    pub dns_hostnames: bool,
    /// Tags.
    pub tags: Tags,
}

/// What is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// `vpc-...`
    pub id: String,
    /// The IPv4 block.
    pub cidr: String,
    /// See [`Spec::dns_support`].
    pub dns_support: bool,
    /// See [`Spec::dns_hostnames`].
    pub dns_hostnames: bool,
    /// `pending` or `available`.
    pub state: String,
    /// Tags.
    pub tags: Tags,
}

impl Desired for Spec {
    const KIND: &'static str = Vpc::KIND;
}

impl Resource for Vpc {
    const KIND: &'static str = "vpc";
    const IAM: &'static [&'static str] = &[
        "ec2:DescribeVpcs",
        "ec2:DescribeVpcAttribute",
        "ec2:CreateVpc",
        "ec2:CreateTags",
        "ec2:DeleteTags",
        "ec2:ModifyVpcAttribute",
        "ec2:DeleteVpc",
    ];
    const IDENTITY: Identity = Identity::OwnerTag;
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default()
            .fixed("cidr", &want.cidr, &live.cidr)
            .mutable("dnsSupport", &want.dns_support, &live.dns_support)
            .mutable("dnsHostnames", &want.dns_hostnames, &live.dns_hostnames)
            .mutable("tags", &want.tags, &live.tags)
    }

    fn ready(live: &Live) -> Ready {
        match live.state.as_str() {
            "available" => Ready::Yes,
            state => Ready::Wait(state.to_owned()),
        }
    }
}

impl Lifecycle for Vpc {
    async fn find(cx: &Cx, asked: &[Asked<Self>]) -> Result<Vec<Found<Live>>, Fault> {
        let mut vpcs = list(cx, by_owner(&cx.owner)).await?;
        let seen: Vec<String> = vpcs.iter().filter_map(|vpc| vpc.vpc_id.clone()).collect();
        let lost = asked.lost(&seen, |live| &live.id);
        if !lost.is_empty() {
            vpcs.extend(list(cx, vec![filter("vpc-id", lost)]).await?);
        }
        let mut found = Vec::new();
        for vpc in vpcs {
            let (id, tags) = (vpc.vpc_id.clone().unwrap_or_default(), from_ec2(vpc.tags.as_deref()));
            let Some(address) = asked.place(&id, &tags, |live| &live.id) else { continue };
            let (support, hostnames) = futures_util::try_join!(
                attribute(cx, &id, VpcAttributeName::EnableDnsSupport),
                attribute(cx, &id, VpcAttributeName::EnableDnsHostnames)
            )?;
            let live = Live {
                id,
                cidr: vpc.cidr_block.unwrap_or_default(),
                dns_support: support,
                dns_hostnames: hostnames,
                state: vpc.state.map(|state| state.as_str().to_owned()).unwrap_or_default(),
                tags,
            };
            found.push(Found { address, live });
        }
        Ok(found)
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), Fault> {
        let call = cx.ec2.create_vpc().cidr_block(&want.cidr).tag_specifications(ec2_tags(
            ResourceType::Vpc,
            &want.tags,
            intent,
        ));
        call.customize().config_override(once!(aws_sdk_ec2, intent)).send().await.call("ec2", "CreateVpc")?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<(), Fault> {
        // One attribute a call; host names need the resolver, so that goes first.
        let flag = |on: bool| AttributeBooleanValue::builder().value(on).build();
        if want.dns_support != live.dns_support {
            let call =
                cx.ec2.modify_vpc_attribute().vpc_id(&live.id).enable_dns_support(flag(want.dns_support));
            call.send().await.call("ec2", "ModifyVpcAttribute")?;
        }
        if want.dns_hostnames != live.dns_hostnames {
            let call =
                cx.ec2.modify_vpc_attribute().vpc_id(&live.id).enable_dns_hostnames(flag(want.dns_hostnames));
            call.send().await.call("ec2", "ModifyVpcAttribute")?;
        }
        retag_ec2(cx, &live.id, &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), Fault> {
        gone_is_done(cx.ec2.delete_vpc().vpc_id(&live.id).send().await.call("ec2", "DeleteVpc"))
    }
}

async fn list(cx: &Cx, filters: Vec<Filter>) -> Result<Vec<types::Vpc>, Fault> {
    let pages = cx.ec2.describe_vpcs().set_filters(Some(filters)).into_paginator().page_size(1000).items();
    pages.send().try_collect().await.call("ec2", "DescribeVpcs")
}

async fn attribute(cx: &Cx, id: &str, name: VpcAttributeName) -> Result<bool, Fault> {
    let support = name == VpcAttributeName::EnableDnsSupport;
    let call = cx.ec2.describe_vpc_attribute().vpc_id(id).attribute(name);
    let answer = call.send().await.call("ec2", "DescribeVpcAttribute")?;
    let value = if support { answer.enable_dns_support } else { answer.enable_dns_hostnames };
    Ok(value.and_then(|value| value.value).unwrap_or_default())
}
