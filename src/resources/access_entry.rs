//! An EKS access entry: what an IAM principal may do in a cluster, by access policies and Kubernetes groups.

use super::prelude::*;
use aws_sdk_eks::operation::describe_access_entry::DescribeAccessEntryError;
use aws_sdk_eks::types::{AccessScope, AccessScopeType, AssociatedAccessPolicy};

/// EKS access entry of type `STANDARD`: grants an IAM principal access to a cluster.
pub struct AccessEntry;

/// Access policy of EKS, and the part of the cluster that it applies to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicySpec {
    /// ARN, `arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy`.
    pub arn: String,
    /// Namespaces that it is restricted to; empty: the whole cluster.
    pub namespaces: Vec<String>,
}

/// What a stack decides of the resource: with inputs in a spec, with texts in a live form.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fields<T> {
    /// Name of the cluster.
    pub cluster: String,
    /// ARN of the IAM role or user.
    pub principal: T,
    /// Kubernetes groups that the principal is in, for RBAC bindings. In any order.
    pub groups: Vec<String>,
    /// Access policies of the principal, in any order.
    pub policies: Vec<PolicySpec>,
    /// Wanted tags of the access entry: those of the stack file, `Name` and the owner tags.
    pub tags: Tags,
}

/// Desired access entry.
pub type Spec = Fields<In<String>>;

/// Access entry as EKS describes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// ARN, `arn:aws:eks:REGION:ACCOUNT:access-entry/CLUSTER/role/ACCOUNT/NAME/UUID`.
    pub arn: String,
    /// When it was created, RFC 3339. No later resource of its name has the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub birth: Option<String>,
    /// What the stack decides of it, as AWS has it.
    #[serde(flatten)]
    pub fields: Fields<String>,
}

has_fields!(Live, Fields<String>);

impl Desired for Spec {
    const KIND: &'static str = AccessEntry::KIND;
}

/// Sorts policies by ARN, and the namespaces of each: EKS keeps no order.
fn sorted_policies(policies: &[PolicySpec]) -> Vec<PolicySpec> {
    let each = policies
        .iter()
        .map(|policy| PolicySpec { namespaces: sorted_set(&policy.namespaces), ..policy.clone() });
    sorted_set(&each.collect::<Vec<_>>())
}

impl Resource for AccessEntry {
    const INFO: KindInfo = KindInfo {
        name: "access_entry",
        identity: Identity::Name,
        exclusive: &["principal"],
        // Nodes are drained, and objects deleted, through the Kubernetes API, with the access of the caller.
        outlives: &["node_group", "manifest", "webhook_certificate"],
        parent: Some(("eks_cluster", "cluster")),
        birth_mark: Some("birth"),
        iam: &[(
            IamScope::EKS,
            &[
                "eks:DescribeAccessEntry",
                "eks:ListAssociatedAccessPolicies",
                "eks:CreateAccessEntry",
                "eks:UpdateAccessEntry",
                "eks:AssociateAccessPolicy",
                "eks:DisassociateAccessPolicy",
                "eks:DeleteAccessEntry",
                "eks:TagResource",
                "eks:UntagResource",
            ],
        )],
        ..KindInfo::DEFAULT
    };
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default()
            .fixed("cluster", &want.cluster, &live.cluster)
            .fixed("principal", &want.principal, &live.principal)
            .mutable("groups", &sorted_set(&want.groups), &sorted_set(&live.groups))
            .mutable("policies", &sorted_policies(&want.policies), &sorted_policies(&live.policies))
            .mutable("tags", &want.tags, &live.tags)
    }
}

impl Lifecycle for AccessEntry {
    async fn find(cx: &Cx, asked: &[TypedLookup<Self>]) -> Result<Vec<FoundResource<Live>>, CallError> {
        describe_each(
            asked,
            |asked| {
                let principal = asked.key(|last| Some(&last.principal), |want| want.principal.known())??;
                Some((asked.key(|last| &last.cluster, |want| &want.cluster)?, principal))
            },
            async |(cluster, principal)| describe(cx, cluster, principal).await,
        )
        .await
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), CallError> {
        let call = cx
            .eks
            .create_access_entry()
            .client_request_token(&intent.token)
            .cluster_name(&want.cluster)
            .principal_arn(resolved(&want.principal, "principal")?)
            .set_kubernetes_groups((!want.groups.is_empty()).then(|| want.groups.clone()))
            .r#type("STANDARD")
            .set_tags(Some(tagged(&want.tags, intent).into_iter().collect()));
        let call = call.customize().config_override(signed!(aws_sdk_eks, intent));
        call.send().await.call().map(drop)
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<Option<UpdateId>, CallError> {
        if sorted_set(&want.groups) != sorted_set(&live.groups) {
            let call = cx
                .eks
                .update_access_entry()
                .client_request_token(uuid::Uuid::new_v4().to_string())
                .cluster_name(&live.cluster)
                .principal_arn(&live.principal)
                .set_kubernetes_groups(Some(want.groups.clone()));
            call.send().await.call()?;
        }
        let (wanted, there) = (sorted_policies(&want.policies), sorted_policies(&live.policies));
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
            call.send().await.call()?;
        }
        for policy in there.iter().filter(|policy| !wanted.iter().any(|other| other.arn == policy.arn)) {
            let call = cx
                .eks
                .disassociate_access_policy()
                .cluster_name(&live.cluster)
                .principal_arn(&live.principal)
                .policy_arn(&policy.arn);
            call.send().await.gone_is_done()?;
        }
        retag(cx, TagTarget::Eks(&live.arn), &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), CallError> {
        let call = cx.eks.delete_access_entry().cluster_name(&live.cluster).principal_arn(&live.principal);
        call.send().await.gone_is_done()
    }
}

async fn describe(cx: &Cx, cluster: &str, principal: &str) -> Result<Option<Live>, CallError> {
    let entry = cx.eks.describe_access_entry().cluster_name(cluster).principal_arn(principal).send().await;
    let entry = entry.read_if_found(|answer| required(answer.access_entry, "accessEntry"))?;
    let pages = cx.eks.list_associated_access_policies().cluster_name(cluster).principal_arn(principal);
    let pages: Result<Vec<_>, _> = pages.into_paginator().send().try_collect().await;
    let policies = pages.read_if_found(|pages| {
        let all = pages.into_iter().flat_map(|page| page.associated_access_policies.unwrap_or_default());
        all.map(policy).collect::<Result<Vec<_>, _>>()
    })?;
    let (Some(entry), Some(policies)) = (entry, policies) else { return Ok(None) };
    let arn = required(entry.access_entry_arn, "accessEntryArn");
    Ok(Some(Live {
        arn: arn.map_err(MissingField::in_answer_of::<DescribeAccessEntryError>)?,
        birth: entry.created_at.map(|at| at.to_string()),
        fields: Fields {
            cluster: cluster.to_owned(),
            principal: principal.to_owned(),
            groups: entry.kubernetes_groups.unwrap_or_default(),
            policies,
            tags: entry.tags.unwrap_or_default().into_iter().collect(),
        },
    }))
}

fn policy(policy: AssociatedAccessPolicy) -> Result<PolicySpec, MissingField> {
    Ok(PolicySpec {
        arn: required(policy.policy_arn, "policyArn")?,
        namespaces: policy.access_scope.and_then(|scope| scope.namespaces).unwrap_or_default(),
    })
}
