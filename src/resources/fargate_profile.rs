//! A Fargate profile: which pods run without a node of the stack's own. EKS changes nothing of it but its tags, and
//! makes or removes one at a time.

use super::{
    Asked, Found, Lifecycle,
    handler::{all_given, given},
};
use crate::{
    aws::{Call, Cx, Tags, gone_is_done, issues, retag_eks, signed, tagged},
    model::{Changes, Class, Desired, Fault, Identity, In, Intent, Ready, Resource, same_set},
};
use aws_sdk_eks::types::{
    FargateProfile as Answer, FargateProfileIssueCode, FargateProfileSelector, FargateProfileStatus,
};
use serde::{Deserialize, Serialize};
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

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// The cluster's name.
    pub cluster: String,
    /// The profile's name.
    pub name: String,
    /// The ARN of the role that Fargate pulls images and writes logs in.
    pub role: In<String>,
    /// Private subnets.
    pub subnets: Vec<In<String>>,
    /// Which pods.
    pub selectors: Vec<SelectorSpec>,
    /// Tags.
    pub tags: Tags,
}

/// What is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Live {
    /// The ARN.
    pub arn: String,
    /// See [`Spec::cluster`].
    pub cluster: String,
    /// See [`Spec::name`].
    pub name: String,
    /// See [`Spec::role`].
    pub role: String,
    /// See [`Spec::subnets`].
    pub subnets: Vec<String>,
    /// See [`Spec::selectors`].
    pub selectors: Vec<SelectorSpec>,
    /// EKS's word, `ACTIVE` and others.
    pub status: String,
    /// What EKS says is wrong.
    pub trouble: Option<String>,
    /// Tags.
    pub tags: Tags,
}

impl Desired for Spec {
    const KIND: &'static str = FargateProfile::KIND;
}

impl Resource for FargateProfile {
    const KIND: &'static str = "fargate_profile";
    const IAM: &'static [&'static str] = &[
        "eks:DescribeFargateProfile",
        "eks:CreateFargateProfile",
        "eks:DeleteFargateProfile",
        "eks:TagResource",
        "eks:UntagResource",
        "iam:PassRole",
        "iam:GetRole",
        "iam:CreateServiceLinkedRole",
        "ec2:DescribeSubnets",
    ];
    const IDENTITY: Identity = Identity::Name;
    const ONE_AT_A_TIME: bool = true;
    const WITHIN: Option<(&'static str, &'static str)> = Some(("eks_cluster", "cluster"));
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default()
            .fixed("cluster", &want.cluster, &live.cluster)
            .fixed("name", &want.name, &live.name)
            .fixed("role", &want.role, &live.role)
            .fixed("subnets", &same_set(&want.subnets), &same_set(&live.subnets))
            .fixed("selectors", &same_set(&want.selectors), &same_set(&live.selectors))
            .mutable("tags", &want.tags, &live.tags)
    }

    fn ready(live: &Live) -> Ready {
        let word = live.status.to_ascii_lowercase().replace('_', " ");
        let why = match &live.trouble {
            Some(trouble) => format!("{word}: {trouble}"),
            None => word,
        };
        match FargateProfileStatus::from(live.status.as_str()) {
            FargateProfileStatus::Active if live.trouble.is_some() => Ready::Troubled(why),
            FargateProfileStatus::Active => Ready::Yes,
            FargateProfileStatus::CreateFailed => Ready::Failed(why),
            FargateProfileStatus::DeleteFailed => Ready::Troubled(why),
            FargateProfileStatus::Deleting => Ready::Failed("somebody is deleting it".to_owned()),
            _ => Ready::Wait(why),
        }
    }
}

impl Lifecycle for FargateProfile {
    async fn find(cx: &Cx, asked: &[Asked<Self>]) -> Result<Vec<Found<Live>>, Fault> {
        let looks = asked.iter().filter_map(|asked| {
            let (last, want) = (asked.last.as_ref(), asked.want.as_ref());
            let (cluster, name) = last
                .map(|last| (&last.cluster, &last.name))
                .or(want.map(|want| (&want.cluster, &want.name)))?;
            Some(async move {
                let call = cx.eks.describe_fargate_profile().cluster_name(cluster).fargate_profile_name(name);
                match call.send().await.call("eks", "DescribeFargateProfile") {
                    Err(fault) if fault.class == Class::Gone => Ok(None),
                    answer => {
                        let found = answer?.fargate_profile.map(live);
                        Ok::<_, Fault>(found.map(|live| Found { address: asked.address.clone(), live }))
                    }
                }
            })
        });
        Ok(futures_util::future::try_join_all(looks).await?.into_iter().flatten().collect())
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), Fault> {
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
            .pod_execution_role_arn(given(&want.role, "role")?)
            .set_subnets(Some(all_given(&want.subnets, "subnets")?))
            .set_selectors(Some(selectors.collect()))
            .set_tags(Some(tagged(&want.tags, intent).into_iter().collect()));
        let call = call.customize().config_override(signed!(aws_sdk_eks, intent));
        call.send().await.call("eks", "CreateFargateProfile")?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<(), Fault> {
        retag_eks(cx, &live.arn, &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), Fault> {
        if live.status == FargateProfileStatus::Deleting.as_str() {
            return Ok(());
        }
        let call =
            cx.eks.delete_fargate_profile().cluster_name(&live.cluster).fargate_profile_name(&live.name);
        gone_is_done(call.send().await.call("eks", "DeleteFargateProfile"))
    }
}

fn live(profile: Answer) -> Live {
    let health = profile.health.and_then(|health| health.issues).unwrap_or_default();
    let selectors = profile.selectors.unwrap_or_default().into_iter().map(|selector| SelectorSpec {
        namespace: selector.namespace.unwrap_or_default(),
        labels: selector.labels.unwrap_or_default().into_iter().collect(),
    });
    Live {
        arn: profile.fargate_profile_arn.unwrap_or_default(),
        cluster: profile.cluster_name.unwrap_or_default(),
        name: profile.fargate_profile_name.unwrap_or_default(),
        role: profile.pod_execution_role_arn.unwrap_or_default(),
        subnets: profile.subnets.unwrap_or_default(),
        selectors: selectors.collect(),
        status: profile.status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
        trouble: issues(health.iter().map(|issue| {
            (issue.code().map(FargateProfileIssueCode::as_str), issue.message(), issue.resource_ids())
        })),
        tags: profile.tags.unwrap_or_default().into_iter().collect(),
    }
}
