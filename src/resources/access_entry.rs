//! An EKS access entry: an IAM principal at the cluster's door, with its access policies.

use super::{Asked, Found, Lifecycle, handler::given};
use crate::{
    aws::{Call, Cx, Tags, gone_is_done, retag_eks, signed, tagged},
    model::{Changes, Class, Desired, Fault, Identity, In, Intent, Ready, Resource, same_set},
};
use aws_sdk_eks::types::{AccessScope, AccessScopeType, AssociatedAccessPolicy};
use serde::{Deserialize, Serialize};

/// The kind.
pub struct AccessEntry;

/// An access policy, and where it holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicySpec {
    /// The ARN of one of EKS's access policies.
    pub arn: String,
    /// The namespaces that it holds in; none means the whole cluster.
    pub namespaces: Vec<String>,
}

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The cluster's name.
    pub cluster: String,
    /// The principal's ARN.
    pub principal: In<String>,
    /// Kubernetes groups.
    pub groups: Vec<String>,
    /// Access policies.
    pub policies: Vec<PolicySpec>,
    /// Tags.
    pub tags: Tags,
}

/// What is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// The ARN.
    pub arn: String,
    /// See [`Spec::cluster`].
    pub cluster: String,
    /// See [`Spec::principal`].
    pub principal: String,
    /// See [`Spec::groups`].
    pub groups: Vec<String>,
    /// See [`Spec::policies`].
    pub policies: Vec<PolicySpec>,
    /// Tags.
    pub tags: Tags,
}

impl Desired for Spec {
    const KIND: &'static str = AccessEntry::KIND;
}

/// Policies by their ARNs, namespaces sorted.
fn sorted(policies: &[PolicySpec]) -> Vec<PolicySpec> {
    let each = policies
        .iter()
        .map(|policy| PolicySpec { namespaces: same_set(&policy.namespaces), ..policy.clone() });
    same_set(&each.collect::<Vec<_>>())
}

impl Resource for AccessEntry {
    const KIND: &'static str = "access_entry";
    const IAM: &'static [&'static str] = &[
        "eks:DescribeAccessEntry",
        "eks:ListAssociatedAccessPolicies",
        "eks:CreateAccessEntry",
        "eks:UpdateAccessEntry",
        "eks:AssociateAccessPolicy",
        "eks:DisassociateAccessPolicy",
        "eks:DeleteAccessEntry",
        "eks:TagResource",
        "eks:UntagResource",
    ];
    const IDENTITY: Identity = Identity::Name;
    const WITHIN: Option<(&'static str, &'static str)> = Some(("eks_cluster", "cluster"));
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default()
            .fixed("cluster", &want.cluster, &live.cluster)
            .fixed("principal", &want.principal, &live.principal)
            .mutable("groups", &same_set(&want.groups), &same_set(&live.groups))
            .mutable("policies", &sorted(&want.policies), &sorted(&live.policies))
            .mutable("tags", &want.tags, &live.tags)
    }

    fn ready(_: &Live) -> Ready {
        Ready::Yes
    }
}

impl Lifecycle for AccessEntry {
    async fn find(cx: &Cx, asked: &[Asked<Self>]) -> Result<Vec<Found<Live>>, Fault> {
        let looks = asked.iter().filter_map(|asked| {
            let (last, want) = (asked.last.as_ref(), asked.want.as_ref());
            let cluster = last.map(|last| &last.cluster).or(want.map(|want| &want.cluster))?;
            let principal =
                last.map(|last| &last.principal).or(want.and_then(|want| want.principal.known()))?;
            Some(async move {
                let live = look(cx, cluster, principal).await?;
                Ok::<_, Fault>(live.map(|live| Found { address: asked.address.clone(), live }))
            })
        });
        Ok(futures_util::future::try_join_all(looks).await?.into_iter().flatten().collect())
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), Fault> {
        let call = cx
            .eks
            .create_access_entry()
            .client_request_token(&intent.token)
            .cluster_name(&want.cluster)
            .principal_arn(given(&want.principal, "principal")?)
            .set_kubernetes_groups((!want.groups.is_empty()).then(|| want.groups.clone()))
            .r#type("STANDARD")
            .set_tags(Some(tagged(&want.tags, intent).into_iter().collect()));
        let call = call.customize().config_override(signed!(aws_sdk_eks, intent));
        call.send().await.call("eks", "CreateAccessEntry")?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<(), Fault> {
        if same_set(&want.groups) != same_set(&live.groups) {
            let call = cx
                .eks
                .update_access_entry()
                .client_request_token(uuid::Uuid::new_v4().to_string())
                .cluster_name(&live.cluster)
                .principal_arn(&live.principal)
                .set_kubernetes_groups(Some(want.groups.clone()));
            call.send().await.call("eks", "UpdateAccessEntry")?;
        }
        let (wanted, there) = (sorted(&want.policies), sorted(&live.policies));
        for policy in wanted.iter().filter(|policy| !there.contains(policy)) {
            let scope = match policy.namespaces.is_empty() {
                true => AccessScope::builder().r#type(AccessScopeType::Cluster),
                false => AccessScope::builder()
                    .r#type(AccessScopeType::Namespace)
                    .set_namespaces(Some(policy.namespaces.clone())),
            };
            let call = cx
                .eks
                .associate_access_policy()
                .cluster_name(&live.cluster)
                .principal_arn(&live.principal)
                .policy_arn(&policy.arn)
                .access_scope(scope.build());
            call.send().await.call("eks", "AssociateAccessPolicy")?;
        }
        for policy in there.iter().filter(|policy| !wanted.iter().any(|other| other.arn == policy.arn)) {
            let call = cx
                .eks
                .disassociate_access_policy()
                .cluster_name(&live.cluster)
                .principal_arn(&live.principal)
                .policy_arn(&policy.arn);
            gone_is_done(call.send().await.call("eks", "DisassociateAccessPolicy"))?;
        }
        retag_eks(cx, &live.arn, &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), Fault> {
        let call = cx.eks.delete_access_entry().cluster_name(&live.cluster).principal_arn(&live.principal);
        gone_is_done(call.send().await.call("eks", "DeleteAccessEntry"))
    }
}

async fn look(cx: &Cx, cluster: &str, principal: &str) -> Result<Option<Live>, Fault> {
    let entry = cx.eks.describe_access_entry().cluster_name(cluster).principal_arn(principal);
    let entry = match entry.send().await.call("eks", "DescribeAccessEntry") {
        Err(fault) if fault.class == Class::Gone => return Ok(None),
        answer => answer?.access_entry,
    };
    let Some(entry) = entry else { return Ok(None) };
    let pages = cx.eks.list_associated_access_policies().cluster_name(cluster).principal_arn(principal);
    let policies: Vec<_> =
        match pages.into_paginator().send().try_collect().await.call("eks", "ListAssociatedAccessPolicies") {
            Err(fault) if fault.class == Class::Gone => return Ok(None),
            answer => answer?,
        };
    let policies = policies.into_iter().flat_map(|page| page.associated_access_policies.unwrap_or_default());
    let policy = |policy: AssociatedAccessPolicy| PolicySpec {
        arn: policy.policy_arn.unwrap_or_default(),
        namespaces: policy.access_scope.and_then(|scope| scope.namespaces).unwrap_or_default(),
    };
    Ok(Some(Live {
        arn: entry.access_entry_arn.unwrap_or_default(),
        cluster: cluster.to_owned(),
        principal: principal.to_owned(),
        groups: entry.kubernetes_groups.unwrap_or_default(),
        policies: policies.map(policy).collect(),
        tags: entry.tags.unwrap_or_default().into_iter().collect(),
    }))
}
