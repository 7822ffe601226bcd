//! EKS Pod Identity: which role the pods of a Kubernetes service account act in.

use super::{Asked, Found, Lifecycle, handler::given};
use crate::{
    aws::{Call, Cx, Tags, gone_is_done, retag_eks, signed, tagged},
    model::{Changes, Class, Desired, Fault, Identity, In, Intent, Ready, Resource},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The kind.
pub struct PodIdentityAssociation;

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The cluster's name.
    pub cluster: String,
    /// The service account's namespace.
    pub namespace: String,
    /// The service account's name.
    pub service_account: String,
    /// The role's ARN.
    pub role: In<String>,
    /// Tags.
    pub tags: Tags,
}

/// What is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// `a-...`
    pub id: String,
    /// The ARN.
    pub arn: String,
    /// See [`Spec::cluster`].
    pub cluster: String,
    /// See [`Spec::namespace`].
    pub namespace: String,
    /// See [`Spec::service_account`].
    pub service_account: String,
    /// See [`Spec::role`].
    pub role: String,
    /// Tags.
    pub tags: Tags,
}

impl Desired for Spec {
    const KIND: &'static str = PodIdentityAssociation::KIND;
}

impl Resource for PodIdentityAssociation {
    const KIND: &'static str = "pod_identity_association";
    const IAM: &'static [&'static str] = &[
        "eks:ListPodIdentityAssociations",
        "eks:DescribePodIdentityAssociation",
        "eks:CreatePodIdentityAssociation",
        "eks:UpdatePodIdentityAssociation",
        "eks:DeletePodIdentityAssociation",
        "eks:TagResource",
        "eks:UntagResource",
        "iam:PassRole",
        "iam:GetRole",
    ];
    const IDENTITY: Identity = Identity::Name;
    const WITHIN: Option<(&'static str, &'static str)> = Some(("eks_cluster", "cluster"));
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default()
            .fixed("cluster", &want.cluster, &live.cluster)
            .fixed("namespace", &want.namespace, &live.namespace)
            .fixed("serviceAccount", &want.service_account, &live.service_account)
            .mutable("role", &want.role, &live.role)
            .mutable("tags", &want.tags, &live.tags)
    }

    fn ready(_: &Live) -> Ready {
        Ready::Yes
    }
}

/// Cluster, namespace and service account: what EKS keeps unique.
type Place = (String, String, String);

fn place(asked: &Asked<PodIdentityAssociation>) -> Option<Place> {
    let last = asked.last.as_ref();
    let place = |cluster: &String, namespace: &String, name: &String| {
        (cluster.clone(), namespace.clone(), name.clone())
    };
    let wanted = asked.want.as_ref().map(|it| place(&it.cluster, &it.namespace, &it.service_account));
    last.map(|it| place(&it.cluster, &it.namespace, &it.service_account)).or(wanted)
}

impl Lifecycle for PodIdentityAssociation {
    async fn find(cx: &Cx, asked: &[Asked<Self>]) -> Result<Vec<Found<Live>>, Fault> {
        let places: BTreeMap<Place, &Asked<Self>> =
            asked.iter().filter_map(|asked| Some((place(asked)?, asked))).collect();
        let clusters: BTreeSet<&String> = places.keys().map(|(cluster, ..)| cluster).collect();
        let mut there = Vec::new();
        for cluster in clusters {
            let pages = cx.eks.list_pod_identity_associations().cluster_name(cluster).into_paginator();
            let list: Result<Vec<_>, _> = pages.items().send().try_collect().await;
            match list.call("eks", "ListPodIdentityAssociations") {
                Err(fault) if fault.class == Class::Gone => {}
                list => there.extend(list?),
            }
        }
        let looks = there.into_iter().filter_map(|summary| {
            let key = (summary.cluster_name?, summary.namespace?, summary.service_account?);
            let asked = places.get(&key)?;
            let id = summary.association_id?;
            Some(async move {
                let live = look(cx, &key.0, &id).await?;
                Ok::<_, Fault>(live.map(|live| Found { address: asked.address.clone(), live }))
            })
        });
        Ok(futures_util::future::try_join_all(looks).await?.into_iter().flatten().collect())
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), Fault> {
        let call = cx
            .eks
            .create_pod_identity_association()
            .client_request_token(&intent.token)
            .cluster_name(&want.cluster)
            .namespace(&want.namespace)
            .service_account(&want.service_account)
            .role_arn(given(&want.role, "role")?)
            .set_tags(Some(tagged(&want.tags, intent).into_iter().collect()));
        let call = call.customize().config_override(signed!(aws_sdk_eks, intent));
        call.send().await.call("eks", "CreatePodIdentityAssociation")?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<(), Fault> {
        let role = given(&want.role, "role")?;
        if *role != live.role {
            let call = cx
                .eks
                .update_pod_identity_association()
                .client_request_token(uuid::Uuid::new_v4().to_string())
                .cluster_name(&live.cluster)
                .association_id(&live.id)
                .role_arn(role);
            call.send().await.call("eks", "UpdatePodIdentityAssociation")?;
        }
        retag_eks(cx, &live.arn, &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), Fault> {
        let call =
            cx.eks.delete_pod_identity_association().cluster_name(&live.cluster).association_id(&live.id);
        gone_is_done(call.send().await.call("eks", "DeletePodIdentityAssociation"))
    }
}

async fn look(cx: &Cx, cluster: &str, id: &str) -> Result<Option<Live>, Fault> {
    let call = cx.eks.describe_pod_identity_association().cluster_name(cluster).association_id(id);
    let association = match call.send().await.call("eks", "DescribePodIdentityAssociation") {
        Err(fault) if fault.class == Class::Gone => return Ok(None),
        answer => answer?.association,
    };
    Ok(association.map(|it| Live {
        id: it.association_id.unwrap_or_default(),
        arn: it.association_arn.unwrap_or_default(),
        cluster: it.cluster_name.unwrap_or_default(),
        namespace: it.namespace.unwrap_or_default(),
        service_account: it.service_account.unwrap_or_default(),
        role: it.role_arn.unwrap_or_default(),
        tags: it.tags.unwrap_or_default().into_iter().collect(),
    }))
}
