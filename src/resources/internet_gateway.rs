//! An internet gateway, attached to the VPC.
//!
//! A VPC has at most one, so a second one cannot be attached. It exists all the same, and is found by its
//! owner tags.

use super::prelude::*;
use aws_sdk_ec2::types::{self, Filter, ResourceType};

/// Internet gateway, attached to the VPC.
pub struct InternetGateway;

/// Desired internet gateway.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// Id of the VPC that it is attached to.
    pub vpc: In<String>,
    /// Wanted tags of the gateway: those of the stack file, `Name` and the owner tags.
    pub tags: Tags,
}

/// Internet gateway as EC2 describes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Live {
    /// Gateway id, `igw-0123456789abcdef0`.
    pub id: String,
    /// Id of the VPC that it is attached to; none between its creation and its attachment.
    pub vpc: Option<String>,
    /// Tags that the gateway has, with those that other programs set.
    pub tags: Tags,
}

/// Field [`Live::id`].
pub const ID: Field = Field::new("id");

identified!(Live);

impl Desired for Spec {
    const KIND: &'static str = InternetGateway::KIND;
}

impl Resource for InternetGateway {
    const INFO: KindInfo = KindInfo {
        name: "internet_gateway",
        identity: Identity::OwnerTag,
        supplies: &[ID],
        birth_mark: Some("id"),
        blockable: Blockable::InternetGateway,
        iam: &[
            (IamScope::EC2_READ, &["ec2:DescribeInternetGateways"]),
            (
                IamScope::EC2_WRITE,
                &[
                    "ec2:CreateInternetGateway",
                    "ec2:AttachInternetGateway",
                    "ec2:DetachInternetGateway",
                    "ec2:CreateTags",
                    "ec2:DeleteTags",
                ],
            ),
            (IamScope::EC2_OWN, &["ec2:DeleteInternetGateway"]),
        ],
        ..KindInfo::DEFAULT
    };
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        let changes = Changes::default();
        // A VPC cannot be deleted while a gateway is attached, so a gateway for another VPC is a replacement.
        let changes = match live.vpc {
            None => changes.mutable("vpc", &want.vpc, &live.vpc),
            Some(_) => changes.fixed("vpc", &want.vpc, &live.vpc),
        };
        changes.mutable("tags", &want.tags, &live.tags)
    }
}

impl Lifecycle for InternetGateway {
    async fn find(cx: &Cx, asked: &[TypedLookup<Self>]) -> Result<Vec<FoundResource<Live>>, CallError> {
        by_tag(cx, asked, "internet-gateway-id", |filters| list(cx, filters)).await
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), CallError> {
        let tags = ec2_tags(ResourceType::InternetGateway, &want.tags, intent);
        let call = cx.ec2.create_internet_gateway().tag_specifications(tags);
        let call = call.customize().config_override(single_shot!(aws_sdk_ec2, intent));
        call.send().await.call().map(drop)
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<Option<UpdateId>, CallError> {
        if live.vpc.is_none() {
            let vpc = resolved(&want.vpc, "vpc")?;
            let call = cx.ec2.attach_internet_gateway().internet_gateway_id(&live.id).vpc_id(vpc);
            call.send().await.call()?;
        }
        retag(cx, TagTarget::Ec2(&live.id), &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), CallError> {
        if let Some(vpc) = &live.vpc {
            let call = cx.ec2.detach_internet_gateway().internet_gateway_id(&live.id).vpc_id(vpc);
            call.send().await.gone_is_done()?;
        }
        let call = cx.ec2.delete_internet_gateway().internet_gateway_id(&live.id);
        call.send().await.gone_is_done()
    }
}

async fn list(cx: &Cx, filters: Vec<Filter>) -> Result<Vec<Live>, CallError> {
    let pages = cx.ec2.describe_internet_gateways().set_filters(Some(filters)).into_paginator();
    let gateways: Result<Vec<_>, _> = pages.page_size(1000).items().send().try_collect().await;
    gateways.read(|gateways| gateways.into_iter().map(live).collect())
}

fn live(gateway: types::InternetGateway) -> Result<Live, MissingField> {
    Ok(Live {
        id: required(gateway.internet_gateway_id, "internetGatewayId")?,
        vpc: gateway.attachments.unwrap_or_default().into_iter().find_map(|attachment| attachment.vpc_id),
        tags: from_ec2(gateway.tags.as_deref()),
    })
}
