//! What a stack left in IAM, which the tagging API does not list.
//! Source: <https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/supported-services.html>

use super::{Call, Clients, Tags, Traces, tag_map};
use crate::model::{CallError, ErrorKind, tag};
use aws_sdk_iam::{
    operation::get_account_authorization_details::GetAccountAuthorizationDetailsOutput,
    types::{EntityType, RoleDetail, Tag},
};

/// Returns the ARNs of the roles with the stack's tags and of the instance profiles that contain them.
pub async fn roles(clients: &Clients, traces: &Traces) -> Result<Vec<String>, CallError> {
    let call = clients.iam.get_account_authorization_details().filter(EntityType::Role).max_items(1000);
    let pages: Vec<_> = call.into_paginator().send().try_collect().await.call()?;
    let all = pages.iter().flat_map(GetAccountAuthorizationDetailsOutput::role_detail_list);
    Ok(all.filter(|role| is_role_of(role, traces)).flat_map(arns).collect())
}

/// Whether a role carries the stack's tags. IAM is global: a stack of the same name in another region has another lineage,
/// and other names.
fn is_role_of(role: &RoleDetail, traces: &Traces) -> bool {
    let tags = tags(role.tags());
    let named = || role.role_name().is_some_and(|name| name.starts_with(&traces.role_prefix()));
    tags.get(tag::STACK) == Some(&traces.stack)
        && (tags.get(tag::LINEAGE).is_some_and(|lineage| Some(lineage) == traces.lineage.as_ref()) || named())
}

fn arns(role: &RoleDetail) -> Vec<String> {
    let profiles = role.instance_profile_list().iter().map(|profile| profile.arn.clone());
    role.arn.iter().cloned().chain(profiles).collect()
}

/// Returns the ARNs of the OIDC providers of EKS in the stack's region, if the stack may have left one.
pub async fn issuers(clients: &Clients, traces: &Traces) -> Result<Vec<String>, CallError> {
    if traces.issuers.is_empty() && traces.clusters.is_empty() && traces.former_cluster.is_none() {
        return Ok(Vec::new());
    }
    let all = clients.iam.list_open_id_connect_providers().send().await.call()?;
    let of_eks = format!(":oidc-provider/oidc.eks.{}.", traces.region);
    let arns = all.open_id_connect_provider_list.unwrap_or_default().into_iter().filter_map(|it| it.arn);
    Ok(arns.filter(|arn| arn.contains(&of_eks)).collect())
}

/// Returns whether an OIDC provider has the stack's tags, or the issuer of one of its clusters.
pub async fn is_left(clients: &Clients, traces: &Traces, arn: &str) -> Result<bool, CallError> {
    let host = arn.split_once(":oidc-provider/").map(|(_, host)| host).unwrap_or_default();
    if traces.issuers.iter().any(|issuer| issuer.trim_start_matches("https://") == host) {
        return Ok(true);
    }
    let call = clients.iam.get_open_id_connect_provider().open_id_connect_provider_arn(arn);
    match call.send().await.call() {
        Err(error) if error.class == ErrorKind::Gone => Ok(false),
        answer => Ok(tags(answer?.tags()).get(tag::STACK) == Some(&traces.stack)),
    }
}

fn tags(tags: &[Tag]) -> Tags {
    tag_map(tags.iter().map(|tag| (Some(tag.key()), Some(tag.value()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str, lineage: &str) -> RoleDetail {
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build().unwrap();
        let tags = [tag(tag::STACK, "shop"), tag(tag::LINEAGE, lineage)];
        RoleDetail::builder().role_name(name).arn(name).set_tags(Some(tags.into())).build()
    }

    #[test]
    fn a_role_is_the_stack_s_by_its_lineage_or_its_region() {
        let (stack, region, lineage) = ("shop".to_owned(), "eu-central-1".to_owned(), Some("l-1".to_owned()));
        let traces = Traces { stack, region, lineage, ..Traces::default() };
        assert!(is_role_of(&role("named-by-hand", "l-1"), &traces));
        assert!(is_role_of(&role("shop-eu-central-1-cluster", "l-2"), &traces));
        assert!(!is_role_of(&role("shop-us-east-1-cluster", "l-2"), &traces));
        let other = Traces { stack: "other".to_owned(), ..traces };
        assert!(!is_role_of(&role("shop-eu-central-1-cluster", "l-1"), &other));
    }
}
