//! A subnet: a part of the VPC's address range in one availability zone.
//!
//! AWS refuses a second subnet with an overlapping range as `InvalidSubnet.Conflict`.

use super::prelude::*;
use crate::aws::sweep_interfaces;
use aws_sdk_ec2::types::{self, Filter, ResourceType};

/// Subnet of a VPC, in one availability zone.
pub struct Subnet;

/// What a stack decides of the resource: with inputs in a spec, with texts in a live form.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fields<T> {
    /// Id of the VPC.
    pub vpc: T,
    /// IPv4 block, `10.0.0.0/20`.
    pub cidr: String,
    /// Name of the availability zone, `eu-central-1a`.
    pub zone: String,
    /// Wanted tags, including the role tags by which load balancer controllers choose subnets.
    pub tags: Tags,
}

/// Desired subnet.
pub type Spec = Fields<In<String>>;

/// Subnet as EC2 describes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// Subnet id, `subnet-0123456789abcdef0`.
    pub id: String,
    /// EC2's state: `pending`, `available`, `failed` or `failed-insufficient-capacity`.
    pub state: String,
    /// What the stack decides of it, as AWS has it.
    #[serde(flatten)]
    pub fields: Fields<String>,
}

has_fields!(Live, Fields<String>);

/// Field [`Live::id`].
pub const ID: Field = Field::new("id");

identified!(Live);

impl Desired for Spec {
    const KIND: &'static str = Subnet::KIND;
}

impl Resource for Subnet {
    const INFO: KindInfo = KindInfo {
        name: "subnet",
        identity: Identity::OwnerTag,
        supplies: &[ID],
        exclusive: &["cidr"],
        birth_mark: Some("id"),
        blockable: Blockable::Subnet,
        iam: &[
            (IamScope::EC2_READ, &["ec2:DescribeSubnets", "ec2:DescribeNetworkInterfaces"]),
            (IamScope::EC2_WRITE, &["ec2:CreateSubnet", "ec2:CreateTags", "ec2:DeleteTags"]),
            (IamScope::EC2_OWN, &["ec2:DeleteSubnet"]),
            (IamScope::CNI_INTERFACES, &["ec2:DeleteNetworkInterface"]),
        ],
        ..KindInfo::DEFAULT
    };
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default()
            .fixed("vpc", &want.vpc, &live.vpc)
            .fixed("cidr", &want.cidr, &live.cidr)
            .fixed("zone", &want.zone, &live.zone)
            .mutable("tags", &want.tags, &live.tags)
    }

    fn ready(live: &Live) -> Readiness {
        match live.state.as_str() {
            "available" => Readiness::Ready,
            "failed" | "failed-insufficient-capacity" => Readiness::Failed(live.state.clone()),
            state => Readiness::Waiting(state.to_owned()),
        }
    }
}

impl Lifecycle for Subnet {
    async fn find(cx: &Cx, asked: &[TypedLookup<Self>]) -> Result<Vec<FoundResource<Live>>, CallError> {
        by_tag(cx, asked, "subnet-id", |filters| list(cx, filters)).await
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), CallError> {
        let call = cx
            .ec2
            .create_subnet()
            .vpc_id(resolved(&want.vpc, "vpc")?)
            .cidr_block(&want.cidr)
            .availability_zone(&want.zone)
            .tag_specifications(ec2_tags(ResourceType::Subnet, &want.tags, intent));
        call.customize().config_override(single_shot!(aws_sdk_ec2, intent)).send().await.call()?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<Option<UpdateId>, CallError> {
        retag(cx, TagTarget::Ec2(&live.id), &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), CallError> {
        let deleted = cx.ec2.delete_subnet().subnet_id(&live.id).send().await.gone_is_done();
        if deleted.as_ref().is_err_and(|error| error.class == ErrorKind::Conflict) {
            sweep_interfaces(cx, "subnet-id", &live.id).await;
        }
        deleted
    }
}

/// Lists subnets, also those of other owners.
pub(super) async fn list(cx: &Cx, filters: Vec<Filter>) -> Result<Vec<Live>, CallError> {
    let pages = cx.ec2.describe_subnets().set_filters(Some(filters)).into_paginator().page_size(1000).items();
    let subnets: Result<Vec<types::Subnet>, _> = pages.send().try_collect().await;
    subnets.read(|subnets| subnets.into_iter().map(live).collect())
}

fn live(subnet: types::Subnet) -> Result<Live, MissingField> {
    Ok(Live {
        id: required(subnet.subnet_id, "subnetId")?,
        state: required_text(subnet.state, "state")?,
        fields: Fields {
            vpc: required(subnet.vpc_id, "vpcId")?,
            cidr: required(subnet.cidr_block, "cidrBlock")?,
            zone: required(subnet.availability_zone, "availabilityZone")?,
            tags: from_ec2(subnet.tags.as_deref()),
        },
    })
}
