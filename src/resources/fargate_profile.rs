//! A Fargate profile: which pods run without a node of the stack's own. EKS changes nothing of it but its tags, and
//! makes or removes one at a time.

use super::{lookups::renamed, prelude::*};
use crate::{
    aws::{eks_status, issues},
    model::{Address, ReplacementOrder},
};
use aws_sdk_eks::types::{
    FargateProfile as Answer, FargateProfileIssueCode, FargateProfileSelector, FargateProfileStatus,
};
use std::collections::BTreeMap;

/// The kind.
pub struct FargateProfile;

/// Pods that a profile takes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SelectorSpec {
    /// Their namespace.
    pub namespace: String,
    /// Labels that they have.
    pub labels: BTreeMap<String, String>,
}

/// What a stack decides of the resource: with inputs in a spec, with texts in a live form.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fields<T> {
    /// The cluster's name.
    pub cluster: String,
    /// The profile's name.
    pub name: String,
    /// The ARN of the role that Fargate pulls images and writes logs in.
    pub role: T,
    /// Private subnets.
    pub subnets: Vec<T>,
    /// Which pods.
    pub selectors: Vec<SelectorSpec>,
    /// Tags.
    pub tags: Tags,
}

/// What is asked for.
pub type Spec = Fields<In<String>>;

/// What is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// The ARN.
    pub arn: String,
    /// EKS's word, `ACTIVE` and others.
    pub status: String,
    /// What EKS says is wrong.
    pub trouble: Option<String>,
    /// When it was created, RFC 3339. No later resource of its name has the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub birth: Option<String>,
    /// What the stack decides of it, as AWS has it.
    #[serde(flatten)]
    pub fields: Fields<String>,
}

has_fields!(Live, Fields<String>);

impl Desired for Spec {
    const KIND: &'static str = FargateProfile::KIND;
}

impl Resource for FargateProfile {
    const INFO: KindInfo = KindInfo {
        name: "fargate_profile",
        blockable: Blockable::FargateProfile,
        identity: Identity::Name,
        replacement: ReplacementOrder::CreateFirst,
        max_name_len: 100,
        serial: true,
        parent: Some(("eks_cluster", "cluster")),
        ready_within: minutes(20),
        deleted_within: minutes(20),
        typical: Duration::from_secs(60),
        birth_mark: Some("birth"),
        iam: &[
            (
                IamScope::EKS,
                &[
                    "eks:DescribeFargateProfile",
                    "eks:ListFargateProfiles",
                    "eks:CreateFargateProfile",
                    "eks:DeleteFargateProfile",
                    "eks:TagResource",
                    "eks:UntagResource",
                ],
            ),
            (IamScope::PASS_ROLES, &["iam:PassRole"]),
            (IamScope::READ_ROLES, &["iam:GetRole"]),
            (IamScope::SERVICE_ROLES, &["iam:CreateServiceLinkedRole"]),
            (IamScope::EC2_READ, &["ec2:DescribeSubnets"]),
        ],
        ..KindInfo::DEFAULT
    };
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default()
            .fixed("cluster", &want.cluster, &live.cluster)
            .fixed("name", &want.name, &live.name)
            .fixed("role", &want.role, &live.role)
            .fixed("subnets", &sorted_set(&want.subnets), &sorted_set(&live.subnets))
            .fixed("selectors", &sorted_set(&want.selectors), &sorted_set(&live.selectors))
            .mutable("tags", &want.tags, &live.tags)
    }

    fn ready(live: &Live) -> Readiness {
        let why = eks_status(&live.status, live.trouble.as_deref());
        match FargateProfileStatus::from(live.status.as_str()) {
            FargateProfileStatus::Active if live.trouble.is_some() => Readiness::Degraded(why),
            FargateProfileStatus::Active => Readiness::Ready,
            FargateProfileStatus::CreateFailed => Readiness::Failed(why),
            FargateProfileStatus::DeleteFailed => Readiness::Degraded(why),
            FargateProfileStatus::Deleting => Readiness::Waiting("being deleted".to_owned()),
            _ => Readiness::Waiting(why),
        }
    }

    fn delete_failed(live: &Live) -> Option<String> {
        let failed = live.status == FargateProfileStatus::DeleteFailed.as_str();
        failed.then(|| live.trouble.clone().unwrap_or_else(|| live.status.clone()))
    }

    /// Source: <https://docs.aws.amazon.com/eks/latest/userguide/delete-fargate-profile.html>
    fn deletion_note(_live: &Live) -> Option<String> {
        Some("its pods are deleted; those that match another profile start again there".to_owned())
    }

    fn deleting(live: &Live) -> bool {
        FargateProfileStatus::from(live.status.as_str()) == FargateProfileStatus::Deleting
    }
}

impl Lifecycle for FargateProfile {
    async fn find(cx: &Cx, asked: &[TypedLookup<Self>]) -> Result<Vec<FoundResource<Live>>, CallError> {
        describe_each(
            asked,
            |asked| {
                asked
                    .key(|last| (asked, &last.cluster, &last.name), |want| (asked, &want.cluster, &want.name))
            },
            async |(asked, cluster, name)| {
                match describe(cx, cluster, name).await? {
                    // The state that had its name is lost.
                    None if asked.recorded.is_none() && name == asked.address.last_segment() => {
                        by_tags(cx, cluster, &asked.address).await
                    }
                    live => Ok(live),
                }
            },
        )
        .await
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), CallError> {
        let selectors = want.selectors.iter().map(|selector| {
            let labels = (!selector.labels.is_empty()).then(|| selector.labels.clone().into_iter().collect());
            FargateProfileSelector::builder().namespace(&selector.namespace).set_labels(labels).build()
        });
        let call = cx
            .eks
            .create_fargate_profile()
            .client_request_token(&intent.token)
            .cluster_name(&want.cluster)
            .fargate_profile_name(&want.name)
            .pod_execution_role_arn(resolved(&want.role, "role")?)
            .set_subnets(Some(all_resolved(&want.subnets, "subnets")?))
            .set_selectors(Some(selectors.collect()))
            .set_tags(Some(tagged(&want.tags, intent).into_iter().collect()));
        let call = call.customize().config_override(signed!(aws_sdk_eks, intent));
        call.send().await.call().map(drop)
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<Option<UpdateId>, CallError> {
        retag(cx, TagTarget::Eks(&live.arn), &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), CallError> {
        if live.status == FargateProfileStatus::Deleting.as_str() {
            return Ok(());
        }
        let call =
            cx.eks.delete_fargate_profile().cluster_name(&live.cluster).fargate_profile_name(&live.name);
        call.send().await.gone_is_done()
    }
}

/// Returns the profile at `address` that carries a name which a replacement gave it.
async fn by_tags(cx: &Cx, cluster: &str, address: &Address) -> Result<Option<Live>, CallError> {
    let names: Result<Vec<String>, _> = cx
        .eks
        .list_fargate_profiles()
        .cluster_name(cluster)
        .into_paginator()
        .items()
        .send()
        .try_collect()
        .await;
    let names = if_found(names.call())?.unwrap_or_default();
    let look = async |name: String| describe(cx, cluster, &name).await;
    renamed::<FargateProfile, _>(cx, address, names, look, |live| &live.tags).await
}

async fn describe(cx: &Cx, cluster: &str, name: &str) -> Result<Option<Live>, CallError> {
    let call = cx.eks.describe_fargate_profile().cluster_name(cluster).fargate_profile_name(name);
    call.send().await.read_if_found(|answer| live(required(answer.fargate_profile, "fargateProfile")?))
}

fn live(profile: Answer) -> Result<Live, MissingField> {
    let health = profile.health.and_then(|health| health.issues).unwrap_or_default();
    let selectors = profile.selectors.unwrap_or_default().into_iter().map(|selector| SelectorSpec {
        namespace: optional_text(selector.namespace),
        labels: selector.labels.unwrap_or_default().into_iter().collect(),
    });
    Ok(Live {
        arn: required(profile.fargate_profile_arn, "fargateProfileArn")?,
        birth: profile.created_at.map(|at| at.to_string()),
        status: required_text(profile.status, "status")?,
        trouble: issues(health.iter().map(|issue| {
            (issue.code().map(FargateProfileIssueCode::as_str), issue.message(), issue.resource_ids())
        })),
        fields: Fields {
            cluster: required(profile.cluster_name, "clusterName")?,
            name: required(profile.fargate_profile_name, "fargateProfileName")?,
            role: required(profile.pod_execution_role_arn, "podExecutionRoleArn")?,
            subnets: profile.subnets.unwrap_or_default(),
            selectors: selectors.collect(),
            tags: profile.tags.unwrap_or_default().into_iter().collect(),
        },
    })
}
