//! A VPC endpoint: an AWS service, reachable without the internet. Gateway endpoints stand in route tables, interface
//! endpoints in subnets.
//!
//! The SDK fills in no client token here, so ours is what keeps a repeated call from making a twin.

use super::prelude::*;
use crate::aws::{item_error, normal, parse};
use aws_sdk_ec2::{
    operation::delete_vpc_endpoints::DeleteVpcEndpointsError,
    types::{self, Filter, ResourceType, VpcEndpointType},
};
use serde_json::Value;

/// The kind.
pub struct VpcEndpoint;

/// What a stack decides of the resource: with inputs in a spec, with texts in a live form.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fields<T> {
    /// The VPC.
    pub vpc: T,
    /// The service's full name, `com.amazonaws.eu-central-1.s3`.
    pub service: String,
    /// `Gateway` or `Interface`.
    pub r#type: String,
    /// The subnets of an interface endpoint.
    pub subnets: Vec<T>,
    /// The security groups of an interface endpoint.
    pub groups: Vec<T>,
    /// The route tables of a gateway endpoint.
    pub route_tables: Vec<T>,
    /// Whether the service's public name leads to an interface endpoint.
    pub private_dns: bool,
    /// The endpoint policy; a live one in its normal form.
    pub policy: Value,
    /// Tags.
    pub tags: Tags,
}

/// What is asked for.
pub type Spec = Fields<In<String>>;

/// What is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// `vpce-...`
    pub id: String,
    /// `pending`, `available`, `deleting`, `failed` and others, in small letters.
    pub state: String,
    /// Why it failed.
    pub failure: Option<String>,
    /// What the stack decides of it, as AWS has it.
    #[serde(flatten)]
    pub fields: Fields<String>,
}

has_fields!(Live, Fields<String>);

identified!(Live);

impl Desired for Spec {
    const KIND: &'static str = VpcEndpoint::KIND;
}

impl Resource for VpcEndpoint {
    const INFO: KindInfo = KindInfo {
        name: "vpc_endpoint",
        identity: Identity::Token,
        ready_within: minutes(15),
        deleted_within: minutes(30),
        typical: Duration::from_secs(90),
        birth_mark: Some("id"),
        iam: &[
            (IamScope::EC2_READ, &["ec2:DescribeVpcEndpoints"]),
            (
                IamScope::EC2_WRITE,
                &["ec2:CreateVpcEndpoint", "ec2:ModifyVpcEndpoint", "ec2:CreateTags", "ec2:DeleteTags"],
            ),
            (IamScope::EC2_OWN, &["ec2:DeleteVpcEndpoints"]),
        ],
        ..KindInfo::DEFAULT
    };
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default()
            .fixed("vpc", &want.vpc, &live.vpc)
            .fixed("service", &want.service, &live.service)
            .fixed("type", &want.r#type, &live.r#type)
            .mutable("subnets", &sorted_set(&want.subnets), &sorted_set(&live.subnets))
            .mutable("groups", &sorted_set(&want.groups), &sorted_set(&live.groups))
            .mutable("routeTables", &sorted_set(&want.route_tables), &sorted_set(&live.route_tables))
            .mutable("privateDns", &want.private_dns, &live.private_dns)
            .mutable("policy", &normal(&want.policy), &live.policy)
            .mutable("tags", &want.tags, &live.tags)
    }

    fn ready(live: &Live) -> Readiness {
        match live.state.as_str() {
            "available" => Readiness::Ready,
            "rejected" => Readiness::Suspended {
                why: "the owner of the service rejected the endpoint's connection".to_owned(),
                remedy: format!(
                    "aws ec2 accept-vpc-endpoint-connections --service-id SERVICE --vpc-endpoint-ids {}",
                    live.id
                ),
            },
            "failed" | "expired" => {
                Readiness::Failed(live.failure.clone().unwrap_or_else(|| live.state.clone()))
            }
            "deleting" => Readiness::Waiting("being deleted".to_owned()),
            state => Readiness::Waiting(state.to_owned()),
        }
    }

    fn deleting(live: &Live) -> bool {
        live.state == "deleting"
    }
}

impl Lifecycle for VpcEndpoint {
    async fn find(cx: &Cx, asked: &[TypedLookup<Self>]) -> Result<Vec<FoundResource<Live>>, CallError> {
        by_tag(cx, asked, "vpc-endpoint-id", |filters| list(cx, filters)).await
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), CallError> {
        let list = |inputs: &[In<String>], field| {
            all_resolved(inputs, field).map(|list| Some(list).filter(|list| !list.is_empty()))
        };
        let interface = want.r#type == VpcEndpointType::Interface.as_str();
        let call = cx
            .ec2
            .create_vpc_endpoint()
            .client_token(&intent.token)
            .vpc_id(resolved(&want.vpc, "vpc")?)
            .service_name(&want.service)
            .vpc_endpoint_type(VpcEndpointType::from(want.r#type.as_str()))
            .set_subnet_ids(list(&want.subnets, "subnets")?)
            .set_security_group_ids(list(&want.groups, "groups")?)
            .set_route_table_ids(list(&want.route_tables, "routeTables")?)
            .set_private_dns_enabled(interface.then_some(want.private_dns))
            .policy_document(want.policy.to_string())
            .tag_specifications(ec2_tags(ResourceType::VpcEndpoint, &want.tags, intent));
        let call = call.customize().config_override(signed!(aws_sdk_ec2, intent));
        call.send().await.call().map(drop)
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<Option<UpdateId>, CallError> {
        if let Some(update) = update(want, live)? {
            let [subnets, groups, tables] = update.lists;
            let call = cx
                .ec2
                .modify_vpc_endpoint()
                .vpc_endpoint_id(&live.id)
                .set_add_subnet_ids(subnets.added)
                .set_remove_subnet_ids(subnets.removed)
                .set_add_security_group_ids(groups.added)
                .set_remove_security_group_ids(groups.removed)
                .set_add_route_table_ids(tables.added)
                .set_remove_route_table_ids(tables.removed)
                .set_private_dns_enabled(update.private_dns)
                .set_policy_document(update.policy);
            call.send().await.call()?;
        }
        retag(cx, TagTarget::Ec2(&live.id), &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), CallError> {
        if live.state == "deleting" {
            return Ok(());
        }
        let call = cx.ec2.delete_vpc_endpoints().vpc_endpoint_ids(&live.id);
        let answer = call.send().await.call()?;
        // The call succeeds as a whole and lists what it could not do.
        match answer.unsuccessful.unwrap_or_default().into_iter().find_map(|item| item.error) {
            Some(error) => match item_error::<DeleteVpcEndpointsError>(error.code(), error.message()) {
                error if error.class == ErrorKind::Gone => Ok(()),
                error => Err(error.class(ErrorKind::Conflict)),
            },
            None => Ok(()),
        }
    }
}

/// What an update of an endpoint sends; `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Update {
    /// Of subnets, security groups and route tables.
    lists: [ListUpdate; 3],
    private_dns: Option<bool>,
    policy: Option<String>,
}

/// What is added to a list and removed from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ListUpdate {
    added: Option<Vec<String>>,
    removed: Option<Vec<String>>,
}

/// Returns the update that is due.
pub(super) fn update(want: &Spec, live: &Live) -> Result<Option<Update>, CallError> {
    let missing = |wanted: &[String], there: &[String]| {
        let list: Vec<String> = wanted.iter().filter(|item| !there.contains(item)).cloned().collect();
        Some(list).filter(|list| !list.is_empty())
    };
    let list = |want: &[In<String>], live: &[String], field| {
        let want = all_resolved(want, field)?;
        Ok::<_, CallError>(ListUpdate { added: missing(&want, live), removed: missing(live, &want) })
    };
    let interface = want.r#type == VpcEndpointType::Interface.as_str();
    let update = Update {
        lists: [
            list(&want.subnets, &live.subnets, "subnets")?,
            list(&want.groups, &live.groups, "groups")?,
            list(&want.route_tables, &live.route_tables, "routeTables")?,
        ],
        private_dns: (interface && want.private_dns != live.private_dns).then_some(want.private_dns),
        policy: (normal(&want.policy) != live.policy).then(|| want.policy.to_string()),
    };
    Ok(Some(update).filter(|update| *update != Update::default()))
}

fn live(endpoint: types::VpcEndpoint) -> Result<Live, MissingField> {
    let groups = endpoint.groups.unwrap_or_default().into_iter().filter_map(|group| group.group_id);
    let r#type = required_text(endpoint.vpc_endpoint_type, "vpcEndpointType")?;
    let interface = r#type == VpcEndpointType::Interface.as_str();
    Ok(Live {
        id: required(endpoint.vpc_endpoint_id, "vpcEndpointId")?,
        state: required_text(endpoint.state, "state")?.to_ascii_lowercase(),
        failure: endpoint.last_error.and_then(|error| error.message),
        fields: Fields {
            vpc: required(endpoint.vpc_id, "vpcId")?,
            service: required(endpoint.service_name, "serviceName")?,
            r#type,
            subnets: endpoint.subnet_ids.unwrap_or_default(),
            groups: groups.collect(),
            route_tables: endpoint.route_table_ids.unwrap_or_default(),
            // A gateway endpoint has no private name, and no call changes what is answered for it.
            private_dns: interface && endpoint.private_dns_enabled == Some(true),
            policy: endpoint.policy_document.as_deref().map(parse).unwrap_or_default(),
            tags: from_ec2(endpoint.tags.as_deref()),
        },
    })
}

async fn list(cx: &Cx, filters: Vec<Filter>) -> Result<Vec<Live>, CallError> {
    let pages = cx.ec2.describe_vpc_endpoints().set_filters(Some(filters)).into_paginator();
    let endpoints: Result<Vec<_>, _> = pages.page_size(1000).items().send().try_collect().await;
    let lives: Vec<Live> = endpoints.read(|endpoints| endpoints.into_iter().map(live).collect())?;
    Ok(lives.into_iter().filter(|live| live.state != "deleted").collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_private_name_of_a_gateway_endpoint_is_not_compared() {
        let answered = |of: VpcEndpointType| {
            let endpoint = types::VpcEndpoint::builder().vpc_endpoint_id("vpce-1").vpc_id("vpc-1");
            let endpoint = endpoint.service_name("s3").state("available".into()).vpc_endpoint_type(of);
            live(endpoint.private_dns_enabled(true).build()).unwrap().fields.private_dns
        };
        assert!(answered(VpcEndpointType::Interface));
        assert!(!answered(VpcEndpointType::Gateway));
    }
}
