//! A VPC endpoint: an AWS service, reachable without the internet. Gateway endpoints stand in route tables, interface
//! endpoints in subnets.
//!
//! The SDK fills in no client token here, so ours is what keeps a repeated call from making a twin.

use super::{
    Asked, Found, Lifecycle, Lost,
    handler::{all_given, given},
};
use crate::{
    aws::{
        Call, Cx, Tags, by_owner, ec2_tags, filter, from_ec2, gone_is_done, normal, parse, retag_ec2, signed,
    },
    model::{Changes, Class, Desired, Fault, Identity, In, Intent, Ready, Resource, same_set},
};
use aws_sdk_ec2::types::{self, Filter, ResourceType, VpcEndpointType};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The kind.
pub struct VpcEndpoint;

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The VPC.
    pub vpc: In<String>,
    /// The service's full name, `com.amazonaws.eu-central-1.s3`.
    pub service: String,
    /// `Gateway` or `Interface`.
    pub r#type: String,
    /// The subnets of an interface endpoint.
    pub subnets: Vec<In<String>>,
    /// The security groups of an interface endpoint.
    pub groups: Vec<In<String>>,
    /// The route tables of a gateway endpoint.
    pub route_tables: Vec<In<String>>,
    /// Whether the service's public name leads to an interface endpoint.
    pub private_dns: bool,
    /// The endpoint policy.
    pub policy: Value,
    /// Tags.
    pub tags: Tags,
}

/// What is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// `vpce-...`
    pub id: String,
    /// See [`Spec::vpc`].
    pub vpc: String,
    /// See [`Spec::service`].
    pub service: String,
    /// See [`Spec::type`].
    pub r#type: String,
    /// See [`Spec::subnets`].
    pub subnets: Vec<String>,
    /// See [`Spec::groups`].
    pub groups: Vec<String>,
    /// See [`Spec::route_tables`].
    pub route_tables: Vec<String>,
    /// See [`Spec::private_dns`].
    pub private_dns: bool,
    /// The endpoint policy in its normal form.
    pub policy: Value,
    /// `pending`, `available`, `deleting`, `failed` and others, in small letters.
    pub state: String,
    /// Why it failed.
    pub failure: Option<String>,
    /// Tags.
    pub tags: Tags,
}

impl Desired for Spec {
    const KIND: &'static str = VpcEndpoint::KIND;
}

impl Resource for VpcEndpoint {
    const KIND: &'static str = "vpc_endpoint";
    const IAM: &'static [&'static str] = &[
        "ec2:DescribeVpcEndpoints",
        "ec2:CreateVpcEndpoint",
        "ec2:ModifyVpcEndpoint",
        "ec2:DeleteVpcEndpoints",
        "ec2:CreateTags",
        "ec2:DeleteTags",
    ];
    const IDENTITY: Identity = Identity::Token;
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default()
            .fixed("vpc", &want.vpc, &live.vpc)
            .fixed("service", &want.service, &live.service)
            .fixed("type", &want.r#type, &live.r#type)
            .mutable("subnets", &same_set(&want.subnets), &same_set(&live.subnets))
            .mutable("groups", &same_set(&want.groups), &same_set(&live.groups))
            .mutable("routeTables", &same_set(&want.route_tables), &same_set(&live.route_tables))
            .mutable("privateDns", &want.private_dns, &live.private_dns)
            .mutable("policy", &normal(&want.policy), &live.policy)
            .mutable("tags", &want.tags, &live.tags)
    }

    fn ready(live: &Live) -> Ready {
        match live.state.as_str() {
            "available" => Ready::Yes,
            "failed" | "rejected" | "expired" => {
                Ready::Failed(live.failure.clone().unwrap_or_else(|| live.state.clone()))
            }
            "deleting" => Ready::Failed("somebody is deleting it".to_owned()),
            state => Ready::Wait(state.to_owned()),
        }
    }
}

impl Lifecycle for VpcEndpoint {
    async fn find(cx: &Cx, asked: &[Asked<Self>]) -> Result<Vec<Found<Live>>, Fault> {
        let mut endpoints = list(cx, by_owner(&cx.owner)).await?;
        let seen: Vec<String> =
            endpoints.iter().filter_map(|endpoint| endpoint.vpc_endpoint_id.clone()).collect();
        let lost = asked.lost(&seen, |live| &live.id);
        if !lost.is_empty() {
            endpoints.extend(list(cx, vec![filter("vpc-endpoint-id", lost)]).await?);
        }
        let found = endpoints.into_iter().map(live).filter(|live| live.state != "deleted");
        let found = found.filter_map(|live| {
            Some(Found { address: asked.place(&live.id, &live.tags, |live| &live.id)?, live })
        });
        Ok(found.collect())
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), Fault> {
        let list = |inputs: &[In<String>], field| {
            all_given(inputs, field).map(|list| Some(list).filter(|list| !list.is_empty()))
        };
        let interface = want.r#type == VpcEndpointType::Interface.as_str();
        let call = cx
            .ec2
            .create_vpc_endpoint()
            .client_token(&intent.token)
            .vpc_id(given(&want.vpc, "vpc")?)
            .service_name(&want.service)
            .vpc_endpoint_type(VpcEndpointType::from(want.r#type.as_str()))
            .set_subnet_ids(list(&want.subnets, "subnets")?)
            .set_security_group_ids(list(&want.groups, "groups")?)
            .set_route_table_ids(list(&want.route_tables, "routeTables")?)
            .set_private_dns_enabled(interface.then_some(want.private_dns))
            .policy_document(want.policy.to_string())
            .tag_specifications(ec2_tags(ResourceType::VpcEndpoint, &want.tags, intent));
        let call = call.customize().config_override(signed!(aws_sdk_ec2, intent));
        call.send().await.call("ec2", "CreateVpcEndpoint")?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<(), Fault> {
        let same_tags = Live { tags: want.tags.clone(), ..live.clone() };
        if !Self::diff(want, &same_tags).is_empty() {
            let (subnets, groups) =
                (all_given(&want.subnets, "subnets")?, all_given(&want.groups, "groups")?);
            let tables = all_given(&want.route_tables, "routeTables")?;
            let interface = want.r#type == VpcEndpointType::Interface.as_str();
            let call = cx
                .ec2
                .modify_vpc_endpoint()
                .vpc_endpoint_id(&live.id)
                .set_add_subnet_ids(missing(&subnets, &live.subnets))
                .set_remove_subnet_ids(missing(&live.subnets, &subnets))
                .set_add_security_group_ids(missing(&groups, &live.groups))
                .set_remove_security_group_ids(missing(&live.groups, &groups))
                .set_add_route_table_ids(missing(&tables, &live.route_tables))
                .set_remove_route_table_ids(missing(&live.route_tables, &tables))
                .set_private_dns_enabled(
                    (interface && want.private_dns != live.private_dns).then_some(want.private_dns),
                )
                .set_policy_document((normal(&want.policy) != live.policy).then(|| want.policy.to_string()));
            call.send().await.call("ec2", "ModifyVpcEndpoint")?;
        }
        retag_ec2(cx, &live.id, &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), Fault> {
        if live.state == "deleting" {
            return Ok(());
        }
        let call = cx.ec2.delete_vpc_endpoints().vpc_endpoint_ids(&live.id);
        let answer = call.send().await.call("ec2", "DeleteVpcEndpoints")?;
        // The call succeeds as a whole and lists what it could not do.
        let refused = answer.unsuccessful.unwrap_or_default().into_iter().find_map(|item| item.error);
        match refused {
            Some(error) if !error.code().unwrap_or_default().ends_with("NotFound") => {
                let mut fault = Fault::new(Class::Conflict, error.message().unwrap_or_default());
                fault.code = error.code().unwrap_or_default().to_owned();
                "ec2".clone_into(&mut fault.service);
                "DeleteVpcEndpoints".clone_into(&mut fault.operation);
                gone_is_done(Err::<(), _>(fault))
            }
            _ => Ok(()),
        }
    }
}

/// What `there` lacks of `wanted`; none where it lacks nothing.
fn missing(wanted: &[String], there: &[String]) -> Option<Vec<String>> {
    let list: Vec<String> = wanted.iter().filter(|item| !there.contains(item)).cloned().collect();
    Some(list).filter(|list| !list.is_empty())
}

fn live(endpoint: types::VpcEndpoint) -> Live {
    let groups = endpoint.groups.unwrap_or_default().into_iter().filter_map(|group| group.group_id);
    Live {
        id: endpoint.vpc_endpoint_id.unwrap_or_default(),
        vpc: endpoint.vpc_id.unwrap_or_default(),
        service: endpoint.service_name.unwrap_or_default(),
        r#type: endpoint.vpc_endpoint_type.map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
        subnets: endpoint.subnet_ids.unwrap_or_default(),
        groups: groups.collect(),
        route_tables: endpoint.route_table_ids.unwrap_or_default(),
        private_dns: endpoint.private_dns_enabled.unwrap_or_default(),
        policy: endpoint.policy_document.as_deref().map(parse).unwrap_or_default(),
        state: endpoint.state.map(|state| state.as_str().to_ascii_lowercase()).unwrap_or_default(),
        failure: endpoint.last_error.and_then(|error| error.message),
        tags: from_ec2(endpoint.tags.as_deref()),
    }
}

async fn list(cx: &Cx, filters: Vec<Filter>) -> Result<Vec<types::VpcEndpoint>, Fault> {
    let pages =
        cx.ec2.describe_vpc_endpoints().set_filters(Some(filters)).into_paginator().page_size(1000).items();
    pages.send().try_collect().await.call("ec2", "DescribeVpcEndpoints")
}
