//! The role tags on a subnet of a network that was there before. Nothing else of it is ever changed.
//!
//! Beside the role tags stands one marker that says which of them this stack set, so that removal takes away no tag
//! that was there already.

use super::{Asked, Found, Lifecycle};
use crate::{
    aws::{Call, Cx, Tags, filter, from_ec2, signed},
    model::{Changes, Class, Desired, Fault, Identity, Intent, Ready, Resource},
};
use aws_sdk_ec2::types::Tag;
use serde::{Deserialize, Serialize};

/// The kind.
pub struct SubnetTags;

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// `subnet-...`
    pub subnet: String,
    /// The VPC that it must be in.
    pub vpc: String,
    /// The key of the marker, `provisioner:role-tags/<stack>`.
    pub marker: String,
    /// The role tags.
    pub roles: Tags,
}

/// What is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Live {
    /// `subnet-...`
    pub id: String,
    /// The VPC that it is in.
    pub vpc: String,
    /// The zone that it is in.
    pub zone: String,
    /// The IPv4 block.
    pub cidr: String,
    /// The key of the marker.
    pub marker: String,
    /// The role tags that the marker names.
    pub set: Vec<String>,
    /// Those of the wanted role tags that are there.
    pub roles: Tags,
}

impl Desired for Spec {
    const KIND: &'static str = SubnetTags::KIND;
}

impl Resource for SubnetTags {
    const KIND: &'static str = "subnet_tags";
    const IAM: &'static [&'static str] = &["ec2:DescribeSubnets", "ec2:CreateTags", "ec2:DeleteTags"];
    const IDENTITY: Identity = Identity::Name;
    const TAGGED: bool = false;
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default().fixed("subnet", &want.subnet, &live.id).fixed("vpc", &want.vpc, &live.vpc).mutable(
            "roles",
            &want.roles,
            &live.roles,
        )
    }

    fn ready(_: &Live) -> Ready {
        Ready::Yes
    }
}

impl Lifecycle for SubnetTags {
    async fn find(cx: &Cx, asked: &[Asked<Self>]) -> Result<Vec<Found<Live>>, Fault> {
        let ids: Vec<String> =
            asked.iter().filter_map(|asked| asked.want.as_ref()).map(|w| w.subnet.clone()).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let pages =
            cx.ec2.describe_subnets().filters(filter("subnet-id", ids)).into_paginator().items().send();
        let subnets: Vec<_> = pages.try_collect().await.call("ec2", "DescribeSubnets")?;
        let mut found = Vec::new();
        for asked in asked {
            let Some(want) = &asked.want else { continue };
            let Some(subnet) = subnets.iter().find(|subnet| subnet.subnet_id.as_ref() == Some(&want.subnet))
            else {
                // On removal, a subnet that is gone took its tags along.
                if asked.last.is_some() {
                    continue;
                }
                let message = format!("there is no subnet {} in {}", want.subnet, cx.region);
                return Err(
                    Fault::new(Class::Refused, message).hint("correct network.existing in the stack file")
                );
            };
            let vpc = subnet.vpc_id.clone().unwrap_or_default();
            if vpc != want.vpc {
                let message = format!("subnet {} is in {vpc}, not in {}", want.subnet, want.vpc);
                return Err(
                    Fault::new(Class::Refused, message).hint("correct network.existing in the stack file")
                );
            }
            let tags = from_ec2(subnet.tags.as_deref());
            let Some(set) = tags.get(&want.marker) else { continue };
            let live = Live {
                id: want.subnet.clone(),
                vpc,
                zone: subnet.availability_zone.clone().unwrap_or_default(),
                cidr: subnet.cidr_block.clone().unwrap_or_default(),
                marker: want.marker.clone(),
                set: set.split(' ').filter(|key| !key.is_empty()).map(str::to_owned).collect(),
                roles: tags.into_iter().filter(|(key, _)| want.roles.contains_key(key)).collect(),
            };
            found.push(Found { address: asked.address.clone(), live });
        }
        Ok(found)
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), Fault> {
        let call = cx.ec2.describe_subnets().filters(filter("subnet-id", vec![want.subnet.clone()]));
        let subnets = call.send().await.call("ec2", "DescribeSubnets")?.subnets.unwrap_or_default();
        let there = subnets.first().map(|subnet| from_ec2(subnet.tags.as_deref())).unwrap_or_default();
        let ours: Vec<&str> = want
            .roles
            .iter()
            .filter(|(key, value)| there.get(*key) != Some(value))
            .map(|(key, _)| key.as_str())
            .collect();
        let mut tags: Tags = want.roles.clone();
        tags.insert(want.marker.clone(), ours.join(" "));
        let tags =
            tags.into_iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
        let call = cx.ec2.create_tags().resources(&want.subnet).set_tags(Some(tags));
        let call = call.customize().config_override(signed!(aws_sdk_ec2, intent));
        call.send().await.call("ec2", "CreateTags")?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<(), Fault> {
        crate::aws::retag_ec2(cx, &live.id, &want.roles, &live.roles).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), Fault> {
        let keys = live.set.iter().chain([&live.marker]);
        let tags = keys.map(|key| Tag::builder().key(key).build()).collect();
        let call = cx.ec2.delete_tags().resources(&live.id).set_tags(Some(tags));
        crate::aws::gone_is_done(call.send().await.call("ec2", "DeleteTags"))
    }
}
