//! A public address that stays: what a NAT gateway speaks from.

use super::{Asked, Found, Lifecycle, Lost};
use crate::{
    aws::{Call, Cx, Tags, by_owner, ec2_tags, filter, from_ec2, gone_is_done, once, retag_ec2},
    model::{Changes, Desired, Fault, Identity, Intent, Ready, Resource},
};
use aws_sdk_ec2::types::{self, DomainType, Filter, ResourceType};
use serde::{Deserialize, Serialize};

/// The kind.
pub struct ElasticIp;

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// Tags.
    pub tags: Tags,
}

/// What is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// The allocation, `eipalloc-...`
    pub id: String,
    /// The address itself.
    pub address: String,
    /// Tags.
    pub tags: Tags,
}

impl Desired for Spec {
    const KIND: &'static str = ElasticIp::KIND;
}

impl Resource for ElasticIp {
    const KIND: &'static str = "elastic_ip";
    const IAM: &'static [&'static str] = &[
        "ec2:DescribeAddresses",
        "ec2:AllocateAddress",
        "ec2:ReleaseAddress",
        "ec2:CreateTags",
        "ec2:DeleteTags",
    ];
    const IDENTITY: Identity = Identity::OwnerTag;
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default().mutable("tags", &want.tags, &live.tags)
    }

    fn ready(_: &Live) -> Ready {
        Ready::Yes
    }
}

impl Lifecycle for ElasticIp {
    async fn find(cx: &Cx, asked: &[Asked<Self>]) -> Result<Vec<Found<Live>>, Fault> {
        let mut addresses = list(cx, by_owner(&cx.owner)).await?;
        let seen: Vec<String> =
            addresses.iter().filter_map(|address| address.allocation_id.clone()).collect();
        let lost = asked.lost(&seen, |live| &live.id);
        if !lost.is_empty() {
            addresses.extend(list(cx, vec![filter("allocation-id", lost)]).await?);
        }
        let found = addresses.into_iter().filter_map(|address| {
            let live = Live {
                id: address.allocation_id.unwrap_or_default(),
                address: address.public_ip.unwrap_or_default(),
                tags: from_ec2(address.tags.as_deref()),
            };
            Some(Found { address: asked.place(&live.id, &live.tags, |live| &live.id)?, live })
        });
        Ok(found.collect())
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), Fault> {
        let tags = ec2_tags(ResourceType::ElasticIp, &want.tags, intent);
        let call = cx.ec2.allocate_address().domain(DomainType::Vpc).tag_specifications(tags);
        call.customize()
            .config_override(once!(aws_sdk_ec2, intent))
            .send()
            .await
            .call("ec2", "AllocateAddress")?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<(), Fault> {
        retag_ec2(cx, &live.id, &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), Fault> {
        gone_is_done(
            cx.ec2.release_address().allocation_id(&live.id).send().await.call("ec2", "ReleaseAddress"),
        )
    }
}

/// `DescribeAddresses` has no pages.
async fn list(cx: &Cx, filters: Vec<Filter>) -> Result<Vec<types::Address>, Fault> {
    let answer = cx.ec2.describe_addresses().set_filters(Some(filters)).send().await;
    Ok(answer.call("ec2", "DescribeAddresses")?.addresses.unwrap_or_default())
}
