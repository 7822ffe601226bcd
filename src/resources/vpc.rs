//! A VPC: the network that all other resources are in.
//!
//! `CreateVpc` takes neither a client token nor a name: if its answer is lost, only the tags in the call
//! identify the VPC.

use super::prelude::*;
use crate::aws::{sweep_cluster_groups, sweep_vpc};
use aws_sdk_ec2::types::{self, AttributeBooleanValue, Filter, ResourceType, VpcAttributeName};

/// Amazon VPC with one IPv4 block.
pub struct Vpc;

/// Desired VPC.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// IPv4 block, `10.0.0.0/16`.
    pub cidr: String,
    /// Whether instances can use Amazon's DNS resolver. EKS and VPC endpoints require it.
    pub dns_support: bool,
    /// Whether instances get DNS host names. Private names of VPC endpoints require it.
    pub dns_hostnames: bool,
    /// Wanted tags of the VPC: those of the stack file, `Name` and the owner tags.
    pub tags: Tags,
}

/// VPC as EC2 describes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// VPC id, `vpc-0123456789abcdef0`.
    pub id: String,
    /// EC2's state: `pending` or `available`.
    pub state: String,
    /// What the stack decides of it, as AWS has it.
    #[serde(flatten)]
    pub fields: Spec,
}

has_fields!(Live, Spec);

/// Field [`Live::id`].
pub const ID: Field = Field::new("id");

identified!(Live);

impl Desired for Spec {
    const KIND: &'static str = Vpc::KIND;
}

impl Resource for Vpc {
    const INFO: KindInfo = KindInfo {
        name: "vpc",
        identity: Identity::OwnerTag,
        supplies: &[ID],
        birth_mark: Some("id"),
        blockable: Blockable::Vpc,
        iam: &[
            (
                IamScope::EC2_READ,
                &[
                    "ec2:DescribeVpcs",
                    "ec2:DescribeVpcAttribute",
                    "ec2:DescribeNetworkInterfaces",
                    "ec2:DescribeSecurityGroups",
                ],
            ),
            (
                IamScope::EC2_WRITE,
                &["ec2:CreateVpc", "ec2:CreateTags", "ec2:DeleteTags", "ec2:ModifyVpcAttribute"],
            ),
            (IamScope::EC2_OWN, &["ec2:DeleteVpc"]),
            (IamScope::GUARDDUTY, &["ec2:DeleteSecurityGroup"]),
        ],
        ..KindInfo::DEFAULT
    };
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default()
            .fixed("cidr", &want.cidr, &live.cidr)
            .mutable("dnsSupport", &want.dns_support, &live.dns_support)
            .mutable("dnsHostnames", &want.dns_hostnames, &live.dns_hostnames)
            .mutable("tags", &want.tags, &live.tags)
    }

    fn ready(live: &Live) -> Readiness {
        match live.state.as_str() {
            "available" => Readiness::Ready,
            state => Readiness::Waiting(state.to_owned()),
        }
    }
}

impl Lifecycle for Vpc {
    async fn find(cx: &Cx, asked: &[TypedLookup<Self>]) -> Result<Vec<FoundResource<Live>>, CallError> {
        let mut found = by_tag(cx, asked, "vpc-id", |filters| list(cx, filters)).await?;
        for vpc in &mut found {
            let fields = &mut vpc.live.fields;
            (fields.dns_support, fields.dns_hostnames) = futures_util::try_join!(
                attribute(cx, &vpc.live.id, VpcAttributeName::EnableDnsSupport),
                attribute(cx, &vpc.live.id, VpcAttributeName::EnableDnsHostnames)
            )?;
        }
        Ok(found)
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), CallError> {
        let call = cx.ec2.create_vpc().cidr_block(&want.cidr).tag_specifications(ec2_tags(
            ResourceType::Vpc,
            &want.tags,
            intent,
        ));
        call.customize().config_override(single_shot!(aws_sdk_ec2, intent)).send().await.call()?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<Option<UpdateId>, CallError> {
        // One attribute a call; host names need the resolver, so that goes first.
        let flag = |on: bool| AttributeBooleanValue::builder().value(on).build();
        if want.dns_support != live.dns_support {
            let call =
                cx.ec2.modify_vpc_attribute().vpc_id(&live.id).enable_dns_support(flag(want.dns_support));
            call.send().await.call()?;
        }
        if want.dns_hostnames != live.dns_hostnames {
            let call =
                cx.ec2.modify_vpc_attribute().vpc_id(&live.id).enable_dns_hostnames(flag(want.dns_hostnames));
            call.send().await.call()?;
        }
        retag(cx, TagTarget::Ec2(&live.id), &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), CallError> {
        let deleted = cx.ec2.delete_vpc().vpc_id(&live.id).send().await.gone_is_done();
        if deleted.as_ref().is_err_and(|error| error.class == ErrorKind::Conflict) {
            sweep_vpc(cx, &live.id).await;
            sweep_cluster_groups(cx, &live.id, true).await;
        }
        deleted
    }
}

/// Lists VPCs, without their attributes for DNS, which have a call of their own.
async fn list(cx: &Cx, filters: Vec<Filter>) -> Result<Vec<Live>, CallError> {
    let pages = cx.ec2.describe_vpcs().set_filters(Some(filters)).into_paginator().page_size(1000).items();
    let vpcs: Result<Vec<types::Vpc>, _> = pages.send().try_collect().await;
    vpcs.read(|vpcs| vpcs.into_iter().map(live).collect())
}

fn live(vpc: types::Vpc) -> Result<Live, MissingField> {
    Ok(Live {
        id: required(vpc.vpc_id, "vpcId")?,
        state: required_text(vpc.state, "state")?,
        fields: Spec {
            cidr: required(vpc.cidr_block, "cidrBlock")?,
            dns_support: false,
            dns_hostnames: false,
            tags: from_ec2(vpc.tags.as_deref()),
        },
    })
}

async fn attribute(cx: &Cx, id: &str, name: VpcAttributeName) -> Result<bool, CallError> {
    let support = name == VpcAttributeName::EnableDnsSupport;
    let call = cx.ec2.describe_vpc_attribute().vpc_id(id).attribute(name).send().await;
    call.read(|answer| match support {
        true => required(answer.enable_dns_support.and_then(|it| it.value), "enableDnsSupport"),
        false => required(answer.enable_dns_hostnames.and_then(|it| it.value), "enableDnsHostnames"),
    })
}
