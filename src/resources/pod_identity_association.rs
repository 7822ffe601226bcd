//! An EKS Pod Identity association: the IAM role of the pods of one Kubernetes service account.

use super::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// EKS Pod Identity association: gives the pods of a service account an IAM role.
pub struct PodIdentityAssociation;

/// What a stack decides of the resource: with inputs in a spec, with texts in a live form.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fields<T> {
    /// Name of the cluster.
    pub cluster: String,
    /// Namespace of the service account.
    pub namespace: String,
    /// Name of the service account.
    pub service_account: String,
    /// ARN of the role.
    pub role: T,
    /// ARN of a role, often of another account, that Pod Identity assumes after `role`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_role: Option<String>,
    /// Wanted tags of the association: those of the stack file, `Name` and the owner tags.
    pub tags: Tags,
}

/// Desired association.
pub type Spec = Fields<In<String>>;

/// Association as EKS describes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// Association id, `a-0123456789abcdef0`.
    pub id: String,
    /// ARN, `arn:aws:eks:REGION:ACCOUNT:podidentityassociation/CLUSTER/ID`.
    pub arn: String,
    /// What the stack decides of it, as AWS has it.
    #[serde(flatten)]
    pub fields: Fields<String>,
}

has_fields!(Live, Fields<String>);

impl Desired for Spec {
    const KIND: &'static str = PodIdentityAssociation::KIND;
}

impl Resource for PodIdentityAssociation {
    const INFO: KindInfo = KindInfo {
        name: "pod_identity_association",
        identity: Identity::Name,
        parent: Some(("eks_cluster", "cluster")),
        birth_mark: Some("id"),
        iam: &[
            (
                IamScope::EKS,
                &[
                    "eks:ListPodIdentityAssociations",
                    "eks:DescribePodIdentityAssociation",
                    "eks:CreatePodIdentityAssociation",
                    "eks:UpdatePodIdentityAssociation",
                    "eks:DeletePodIdentityAssociation",
                    "eks:TagResource",
                    "eks:UntagResource",
                ],
            ),
            (IamScope::PASS_ROLES, &["iam:PassRole"]),
            (IamScope::READ_ROLES, &["iam:GetRole"]),
        ],
        ..KindInfo::DEFAULT
    };
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        let changes = Changes::default();
        // The API describes how a target role is set and changed, not how it is taken away.
        let changes = match (&want.target_role, &live.target_role) {
            (None, Some(_)) => changes.fixed("targetRole", &want.target_role, &live.target_role),
            _ => changes.mutable("targetRole", &want.target_role, &live.target_role),
        };
        changes
            .fixed("cluster", &want.cluster, &live.cluster)
            .fixed("namespace", &want.namespace, &live.namespace)
            .fixed("serviceAccount", &want.service_account, &live.service_account)
            .mutable("role", &want.role, &live.role)
            .mutable("tags", &want.tags, &live.tags)
    }
}

/// Cluster, namespace and service account, which EKS keeps unique.
type AccountKey = (String, String, String);

/// Returns the recorded key of a lookup, else the wanted one.
fn account_key(asked: &TypedLookup<PodIdentityAssociation>) -> Option<AccountKey> {
    asked.key(
        |last| (last.cluster.clone(), last.namespace.clone(), last.service_account.clone()),
        |want| (want.cluster.clone(), want.namespace.clone(), want.service_account.clone()),
    )
}

impl Lifecycle for PodIdentityAssociation {
    async fn find(cx: &Cx, asked: &[TypedLookup<Self>]) -> Result<Vec<FoundResource<Live>>, CallError> {
        let keys: BTreeMap<AccountKey, &TypedLookup<Self>> =
            asked.iter().filter_map(|asked| Some((account_key(asked)?, asked))).collect();
        let clusters: BTreeSet<&String> = keys.keys().map(|(cluster, ..)| cluster).collect();
        let mut there = Vec::new();
        for cluster in clusters {
            let pages = cx.eks.list_pod_identity_associations().cluster_name(cluster).into_paginator();
            let list: Result<Vec<_>, _> = pages.items().send().try_collect().await;
            there.extend(if_found(list.call())?.unwrap_or_default());
        }
        let looks = there.into_iter().filter_map(|summary| {
            let key = (summary.cluster_name?, summary.namespace?, summary.service_account?);
            let asked = keys.get(&key)?;
            let id = summary.association_id?;
            Some(async move {
                let live = describe(cx, &key.0, &id).await?;
                Ok::<_, CallError>(live.map(|live| FoundResource { address: asked.address.clone(), live }))
            })
        });
        Ok(futures_util::future::try_join_all(looks).await?.into_iter().flatten().collect())
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), CallError> {
        let call = cx
            .eks
            .create_pod_identity_association()
            .client_request_token(&intent.token)
            .cluster_name(&want.cluster)
            .namespace(&want.namespace)
            .service_account(&want.service_account)
            .role_arn(resolved(&want.role, "role")?)
            .set_target_role_arn(want.target_role.clone())
            .set_tags(Some(tagged(&want.tags, intent).into_iter().collect()));
        let call = call.customize().config_override(signed!(aws_sdk_eks, intent));
        call.send().await.call().map(drop)
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<Option<UpdateId>, CallError> {
        let role = resolved(&want.role, "role")?;
        if *role != live.role || want.target_role != live.target_role {
            let call = cx
                .eks
                .update_pod_identity_association()
                .client_request_token(uuid::Uuid::new_v4().to_string())
                .cluster_name(&live.cluster)
                .association_id(&live.id)
                .role_arn(role)
                .set_target_role_arn(want.target_role.clone());
            call.send().await.call()?;
        }
        retag(cx, TagTarget::Eks(&live.arn), &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), CallError> {
        let call =
            cx.eks.delete_pod_identity_association().cluster_name(&live.cluster).association_id(&live.id);
        call.send().await.gone_is_done()
    }
}

async fn describe(cx: &Cx, cluster: &str, id: &str) -> Result<Option<Live>, CallError> {
    let call = cx.eks.describe_pod_identity_association().cluster_name(cluster).association_id(id);
    call.send().await.read_if_found(|answer| {
        let association = required(answer.association, "association")?;
        Ok(Live {
            id: required(association.association_id, "associationId")?,
            arn: required(association.association_arn, "associationArn")?,
            fields: Fields {
                cluster: required(association.cluster_name, "clusterName")?,
                namespace: required(association.namespace, "namespace")?,
                service_account: required(association.service_account, "serviceAccount")?,
                role: required(association.role_arn, "roleArn")?,
                target_role: association.target_role_arn.filter(|arn| !arn.is_empty()),
                tags: association.tags.unwrap_or_default().into_iter().collect(),
            },
        })
    })
}
