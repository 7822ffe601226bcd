//! A NAT gateway, through which private subnets reach the internet.
//!
//! EC2 lists a deleted gateway for about an hour; deleted gateways are not looked up.

use super::prelude::*;
use aws_sdk_ec2::types::{self, AvailabilityMode, ConnectivityType, Filter, ResourceType};

/// Public NAT gateway: one of a zone, with an elastic IP address of the stack, or one of all zones, with AWS's own.
pub struct NatGateway;

/// What a stack decides of the resource: with inputs in a spec, with texts in a live form.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fields<T> {
    /// Id of the public subnet that a zonal gateway is in.
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    pub subnet: Option<T>,
    /// Allocation id of a zonal gateway's elastic IP address; empty once it is detached.
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    pub allocation: Option<T>,
    /// Id of the VPC whose zones a regional gateway serves; none for a zonal one.
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    pub vpc: Option<T>,
    /// Wanted tags of the gateway: those of the stack file, `Name` and the owner tags.
    pub tags: Tags,
}

/// Desired NAT gateway.
pub type Spec = Fields<In<String>>;

/// NAT gateway as EC2 describes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// Gateway id, `nat-0123456789abcdef0`.
    pub id: String,
    /// EC2's state: `pending`, `available`, `failed` or `deleting`.
    pub state: String,
    /// EC2's message or code if it failed.
    pub failure: Option<String>,
    /// What the stack decides of it, as AWS has it.
    #[serde(flatten)]
    pub fields: Fields<String>,
}

has_fields!(Live, Fields<String>);

/// Field [`Live::id`].
pub const ID: Field = Field::new("id");

identified!(Live);

impl Desired for Spec {
    const KIND: &'static str = NatGateway::KIND;
}

impl Resource for NatGateway {
    const INFO: KindInfo = KindInfo {
        name: "nat_gateway",
        identity: Identity::Token,
        supplies: &[ID],
        ready_within: minutes(15),
        deleted_within: minutes(30),
        typical: Duration::from_secs(120),
        birth_mark: Some("id"),
        iam: &[
            (IamScope::EC2_READ, &["ec2:DescribeNatGateways"]),
            (IamScope::EC2_WRITE, &["ec2:CreateNatGateway", "ec2:CreateTags", "ec2:DeleteTags"]),
            (IamScope::EC2_OWN, &["ec2:DeleteNatGateway"]),
        ],
        ..KindInfo::DEFAULT
    };
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default()
            .fixed("subnet", &want.subnet, &live.subnet)
            // Empty for a gateway that is being deleted: its addresses are already detached.
            .fixed("allocation", &want.allocation, &live.allocation)
            .fixed("vpc", &want.vpc, &live.vpc)
            .mutable("tags", &want.tags, &live.tags)
    }

    fn ready(live: &Live) -> Readiness {
        match live.state.as_str() {
            "available" => Readiness::Ready,
            "failed" => {
                Readiness::Failed(live.failure.clone().unwrap_or_else(|| "no reason given".to_owned()))
            }
            "deleting" => Readiness::Waiting("being deleted".to_owned()),
            state => Readiness::Waiting(state.to_owned()),
        }
    }

    fn deleting(live: &Live) -> bool {
        live.state == "deleting"
    }
}

impl Lifecycle for NatGateway {
    async fn find(cx: &Cx, asked: &[TypedLookup<Self>]) -> Result<Vec<FoundResource<Live>>, CallError> {
        by_tag(cx, asked, "nat-gateway-id", |filters| list(cx, filters)).await
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), CallError> {
        let call = cx
            .ec2
            .create_nat_gateway()
            .client_token(&intent.token)
            .set_availability_mode(want.vpc.as_ref().map(|_| AvailabilityMode::Regional))
            .set_vpc_id(given(want.vpc.as_ref(), "vpc")?)
            .set_subnet_id(given(want.subnet.as_ref(), "subnet")?)
            .set_allocation_id(given(want.allocation.as_ref(), "allocation")?)
            .connectivity_type(ConnectivityType::Public)
            .tag_specifications(ec2_tags(ResourceType::Natgateway, &want.tags, intent));
        let call = call.customize().config_override(signed!(aws_sdk_ec2, intent));
        call.send().await.call().map(drop)
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<Option<UpdateId>, CallError> {
        retag(cx, TagTarget::Ec2(&live.id), &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), CallError> {
        if live.state == "deleting" {
            return Ok(());
        }
        cx.ec2.delete_nat_gateway().nat_gateway_id(&live.id).send().await.gone_is_done()
    }
}

/// Returns an input's value, if there is one.
fn given(input: Option<&In<String>>, name: &str) -> Result<Option<String>, CallError> {
    input.map(|input| resolved(input, name).cloned()).transpose()
}

async fn list(cx: &Cx, mut filters: Vec<Filter>) -> Result<Vec<Live>, CallError> {
    let states = ["pending", "available", "failed", "deleting"].map(str::to_owned);
    filters.push(filter("state", states.to_vec()));
    let pages = cx.ec2.describe_nat_gateways().set_filter(Some(filters)).into_paginator();
    let gateways: Result<Vec<_>, _> = pages.page_size(1000).items().send().try_collect().await;
    gateways.read(|gateways| gateways.into_iter().map(live).collect())
}

fn live(gateway: types::NatGateway) -> Result<Live, MissingField> {
    let regional = gateway.availability_mode == Some(AvailabilityMode::Regional);
    let mut addresses = gateway.nat_gateway_addresses.unwrap_or_default().into_iter();
    Ok(Live {
        id: required(gateway.nat_gateway_id, "natGatewayId")?,
        state: required_text(gateway.state, "state")?,
        failure: gateway.failure_message.or(gateway.failure_code),
        fields: Fields {
            subnet: (!regional).then(|| required(gateway.subnet_id, "subnetId")).transpose()?,
            allocation: (!regional)
                .then(|| optional_text(addresses.find_map(|address| address.allocation_id))),
            vpc: regional.then(|| required(gateway.vpc_id, "vpcId")).transpose()?,
            tags: from_ec2(gateway.tags.as_deref()),
        },
    })
}
