//! A managed node group: an Auto Scaling group of EKS's, made after a launch template of the stack's.
//!
//! EKS says late, or never, why instances do not start: while a group is not well, the Auto Scaling group's own
//! activities are read beside it.

pub use super::node_terms::{AwaySpec, TaintSpec};
use super::{
    Asked, Found, Lifecycle,
    handler::{all_given, given},
};
use crate::{
    aws::{Call, Cx, Tags, gone_is_done, issues, launch_trouble, retag_eks, signed, tagged},
    model::{Changes, Class, Desired, Fault, Identity, In, Intent, Ready, Resource, same_set},
};
use aws_sdk_eks::types::{
    AmiTypes, CapacityTypes, LaunchTemplateSpecification, Nodegroup, NodegroupIssueCode,
    NodegroupScalingConfig, NodegroupStatus, UpdateLabelsPayload, UpdateTaintsPayload,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The kind.
pub struct NodeGroup;

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The cluster's name.
    pub cluster: String,
    /// The group's name.
    pub name: String,
    /// The ARN of the nodes' role.
    pub role: In<String>,
    /// The nodes' subnets.
    pub subnets: Vec<In<String>>,
    /// EKS's name of the image's kind, `BOTTLEROCKET_x86_64`.
    pub ami_type: String,
    /// Instance types, the first tried first.
    pub instance_types: Vec<String>,
    /// `ON_DEMAND` or `SPOT`.
    pub capacity: String,
    /// The fewest nodes.
    pub min: i32,
    /// The most nodes.
    pub max: i32,
    /// How many nodes.
    pub desired: i32,
    /// Whether something else than this program says how many nodes there are, once the group is made.
    pub desired_floats: bool,
    /// Kubernetes labels.
    pub labels: BTreeMap<String, String>,
    /// Kubernetes taints.
    pub taints: Vec<TaintSpec>,
    /// How many nodes may be away during an update.
    pub max_unavailable: AwaySpec,
    /// The launch template's id.
    pub template: In<String>,
    /// The launch template's version.
    pub template_version: In<String>,
    /// The Kubernetes minor.
    pub version: String,
    /// The Bottlerocket release, `1.54.0-abcdef12`.
    pub release: String,
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
    /// See [`Spec::name`].
    pub name: String,
    /// See [`Spec::role`].
    pub role: String,
    /// See [`Spec::subnets`].
    pub subnets: Vec<String>,
    /// See [`Spec::ami_type`].
    pub ami_type: String,
    /// See [`Spec::instance_types`].
    pub instance_types: Vec<String>,
    /// See [`Spec::capacity`].
    pub capacity: String,
    /// See [`Spec::min`].
    pub min: i32,
    /// See [`Spec::max`].
    pub max: i32,
    /// See [`Spec::desired`].
    pub desired: i32,
    /// See [`Spec::labels`].
    pub labels: BTreeMap<String, String>,
    /// See [`Spec::taints`].
    pub taints: Vec<TaintSpec>,
    /// See [`Spec::max_unavailable`].
    pub max_unavailable: Option<AwaySpec>,
    /// See [`Spec::template`].
    pub template: Option<String>,
    /// See [`Spec::template_version`].
    pub template_version: Option<String>,
    /// See [`Spec::version`].
    pub version: String,
    /// See [`Spec::release`].
    pub release: String,
    /// EKS's word, `ACTIVE` and others.
    pub status: String,
    /// What EKS or Auto Scaling says is wrong.
    pub trouble: Option<String>,
    /// The Auto Scaling group.
    pub scaling_group: Option<String>,
    /// Tags.
    pub tags: Tags,
}

impl Desired for Spec {
    const KIND: &'static str = NodeGroup::KIND;
}

impl Resource for NodeGroup {
    const KIND: &'static str = "node_group";
    const IAM: &'static [&'static str] = &[
        "eks:DescribeNodegroup",
        "eks:CreateNodegroup",
        "eks:UpdateNodegroupConfig",
        "eks:UpdateNodegroupVersion",
        "eks:DeleteNodegroup",
        "eks:TagResource",
        "eks:UntagResource",
        "iam:PassRole",
        "iam:GetRole",
        "iam:ListAttachedRolePolicies",
        "iam:CreateServiceLinkedRole",
        "ec2:RunInstances",
        "ec2:CreateTags",
        "ec2:DescribeSubnets",
        "ec2:DescribeLaunchTemplateVersions",
        "autoscaling:DescribeScalingActivities",
    ];
    const IDENTITY: Identity = Identity::Name;
    const WITHIN: Option<(&'static str, &'static str)> = Some(("eks_cluster", "cluster"));
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        let changes = Changes::default()
            .fixed("cluster", &want.cluster, &live.cluster)
            .fixed("name", &want.name, &live.name)
            .fixed("role", &want.role, &live.role)
            .fixed("subnets", &same_set(&want.subnets), &same_set(&live.subnets))
            .fixed("amiType", &want.ami_type, &live.ami_type)
            .fixed("instanceTypes", &want.instance_types, &live.instance_types)
            .fixed("capacity", &want.capacity, &live.capacity)
            .fixed("template", &want.template, &live.template)
            .mutable("min", &want.min, &live.min)
            .mutable("max", &want.max, &live.max);
        let changes = match want.desired_floats {
            true => changes,
            false => changes.mutable("desired", &want.desired, &live.desired),
        };
        changes
            .mutable("labels", &want.labels, &live.labels)
            .mutable("taints", &same_set(&want.taints), &same_set(&live.taints))
            .mutable("maxUnavailable", &Some(&want.max_unavailable), &live.max_unavailable.as_ref())
            .mutable("version", &want.version, &live.version)
            .mutable("release", &want.release, &live.release)
            .mutable("templateVersion", &want.template_version, &live.template_version)
            .mutable("tags", &want.tags, &live.tags)
    }

    fn ready(live: &Live) -> Ready {
        let word = live.status.to_ascii_lowercase().replace('_', " ");
        let why = match &live.trouble {
            Some(trouble) => format!("{word}: {trouble}"),
            None => word,
        };
        match NodegroupStatus::from(live.status.as_str()) {
            NodegroupStatus::Active => Ready::Yes,
            NodegroupStatus::CreateFailed => Ready::Failed(why),
            NodegroupStatus::Degraded | NodegroupStatus::DeleteFailed => Ready::Troubled(why),
            NodegroupStatus::Deleting => Ready::Failed("somebody is deleting it".to_owned()),
            _ if live.trouble.is_some() => Ready::Troubled(why),
            _ => Ready::Wait(why),
        }
    }
}

impl Lifecycle for NodeGroup {
    async fn find(cx: &Cx, asked: &[Asked<Self>]) -> Result<Vec<Found<Live>>, Fault> {
        let looks = asked.iter().filter_map(|asked| {
            let (last, want) = (asked.last.as_ref(), asked.want.as_ref());
            let (cluster, name) = last
                .map(|last| (&last.cluster, &last.name))
                .or(want.map(|want| (&want.cluster, &want.name)))?;
            Some(async move {
                let live = look(cx, cluster, name).await?;
                Ok::<_, Fault>(live.map(|live| Found { address: asked.address.clone(), live }))
            })
        });
        Ok(futures_util::future::try_join_all(looks).await?.into_iter().flatten().collect())
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), Fault> {
        let call = cx
            .eks
            .create_nodegroup()
            .client_request_token(&intent.token)
            .cluster_name(&want.cluster)
            .nodegroup_name(&want.name)
            .node_role(given(&want.role, "role")?)
            .set_subnets(Some(all_given(&want.subnets, "subnets")?))
            .ami_type(AmiTypes::from(want.ami_type.as_str()))
            .set_instance_types(Some(want.instance_types.clone()))
            .capacity_type(CapacityTypes::from(want.capacity.as_str()))
            .scaling_config(scaling(want, want.desired))
            .set_labels((!want.labels.is_empty()).then(|| want.labels.clone().into_iter().collect()))
            .set_taints((!want.taints.is_empty()).then(|| TaintSpec::sent(&want.taints)))
            .update_config(want.max_unavailable.sent())
            .launch_template(template(want)?)
            .version(&want.version)
            .release_version(&want.release)
            .set_tags(Some(tagged(&want.tags, intent).into_iter().collect()));
        let call = call.customize().config_override(signed!(aws_sdk_eks, intent));
        call.send().await.call("eks", "CreateNodegroup")?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<(), Fault> {
        retag_eks(cx, &live.arn, &want.tags, &live.tags).await?;
        // EKS refuses a second update while one runs: the configuration goes first, the rest with the next look.
        if configured(want, live) {
            replaced_nodes(cx, want, live).await
        } else {
            configure(cx, want, live).await
        }
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), Fault> {
        if live.status == NodegroupStatus::Deleting.as_str() {
            return Ok(());
        }
        let call = cx.eks.delete_nodegroup().cluster_name(&live.cluster).nodegroup_name(&live.name);
        gone_is_done(call.send().await.call("eks", "DeleteNodegroup"))
    }
}

/// How many nodes are asked for: what floats stays where it is, inside the bounds.
fn desired(want: &Spec, live: &Live) -> i32 {
    if want.desired_floats { live.desired.clamp(want.min, want.max) } else { want.desired }
}

fn configured(want: &Spec, live: &Live) -> bool {
    (want.min, want.max, desired(want, live)) == (live.min, live.max, live.desired)
        && want.labels == live.labels
        && same_set(&want.taints) == same_set(&live.taints)
        && Some(&want.max_unavailable) == live.max_unavailable.as_ref()
}

async fn configure(cx: &Cx, want: &Spec, live: &Live) -> Result<(), Fault> {
    let added: BTreeMap<_, _> =
        want.labels.iter().filter(|(key, value)| live.labels.get(*key) != Some(value)).collect();
    let removed: Vec<String> =
        live.labels.keys().filter(|key| !want.labels.contains_key(*key)).cloned().collect();
    let labels = (!added.is_empty() || !removed.is_empty()).then(|| {
        let added = added.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        UpdateLabelsPayload::builder()
            .set_add_or_update_labels(Some(added))
            .set_remove_labels((!removed.is_empty()).then_some(removed))
            .build()
    });
    let new: Vec<TaintSpec> =
        want.taints.iter().filter(|taint| !live.taints.contains(taint)).cloned().collect();
    // A taint is one key and effect: one whose value alone differs is updated, not removed.
    let stays =
        |old: &&TaintSpec| !want.taints.iter().any(|it| (&it.key, &it.effect) == (&old.key, &old.effect));
    let old: Vec<TaintSpec> = live.taints.iter().filter(stays).cloned().collect();
    let taints = (!new.is_empty() || !old.is_empty()).then(|| {
        UpdateTaintsPayload::builder()
            .set_add_or_update_taints((!new.is_empty()).then(|| TaintSpec::sent(&new)))
            .set_remove_taints((!old.is_empty()).then(|| TaintSpec::sent(&old)))
            .build()
    });
    let desired = desired(want, live);
    let scaling =
        ((want.min, want.max, desired) != (live.min, live.max, live.desired)).then(|| scaling(want, desired));
    let away =
        (Some(&want.max_unavailable) != live.max_unavailable.as_ref()).then(|| want.max_unavailable.sent());
    let call = cx
        .eks
        .update_nodegroup_config()
        .client_request_token(uuid::Uuid::new_v4().to_string())
        .cluster_name(&live.cluster)
        .nodegroup_name(&live.name)
        .set_labels(labels)
        .set_taints(taints)
        .set_scaling_config(scaling)
        .set_update_config(away);
    call.send().await.call("eks", "UpdateNodegroupConfig")?;
    Ok(())
}

/// Puts new nodes in the place of the old ones where version, release or template differ.
async fn replaced_nodes(cx: &Cx, want: &Spec, live: &Live) -> Result<(), Fault> {
    let version = given(&want.template_version, "templateVersion")?;
    let image = want.version != live.version || want.release != live.release;
    let template = (live.template_version.as_ref() != Some(version)).then(|| template(want)).transpose()?;
    if !image && template.is_none() {
        return Ok(());
    }
    let call = cx
        .eks
        .update_nodegroup_version()
        .client_request_token(uuid::Uuid::new_v4().to_string())
        .cluster_name(&live.cluster)
        .nodegroup_name(&live.name)
        .set_version(image.then(|| want.version.clone()))
        .set_release_version(image.then(|| want.release.clone()))
        .set_launch_template(template);
    call.send().await.call("eks", "UpdateNodegroupVersion")?;
    Ok(())
}

fn scaling(want: &Spec, desired: i32) -> NodegroupScalingConfig {
    NodegroupScalingConfig::builder().min_size(want.min).max_size(want.max).desired_size(desired).build()
}

fn template(want: &Spec) -> Result<LaunchTemplateSpecification, Fault> {
    let (id, version) =
        (given(&want.template, "template")?, given(&want.template_version, "templateVersion")?);
    Ok(LaunchTemplateSpecification::builder().id(id).version(version).build())
}

async fn look(cx: &Cx, cluster: &str, name: &str) -> Result<Option<Live>, Fault> {
    let call = cx.eks.describe_nodegroup().cluster_name(cluster).nodegroup_name(name);
    let group = match call.send().await.call("eks", "DescribeNodegroup") {
        Err(fault) if fault.class == Class::Gone => return Ok(None),
        answer => answer?.nodegroup,
    };
    let Some(mut live) = group.map(live) else { return Ok(None) };
    let well = matches!(live.status.as_str(), "ACTIVE" | "DELETING");
    if let (false, Some(group)) = (well, &live.scaling_group) {
        let launches = launch_trouble(cx, group).await?;
        live.trouble = match (live.trouble, launches) {
            (Some(eks), Some(launches)) if !eks.contains(&launches) => Some(format!("{eks}; {launches}")),
            (eks, launches) => eks.or(launches),
        };
    }
    Ok(Some(live))
}

fn live(group: Nodegroup) -> Live {
    let health = group.health.and_then(|health| health.issues).unwrap_or_default();
    let scaling = group.scaling_config;
    let size =
        |of: fn(&NodegroupScalingConfig) -> Option<i32>| scaling.as_ref().and_then(of).unwrap_or_default();
    let groups = group.resources.and_then(|resources| resources.auto_scaling_groups).unwrap_or_default();
    Live {
        arn: group.nodegroup_arn.unwrap_or_default(),
        cluster: group.cluster_name.unwrap_or_default(),
        name: group.nodegroup_name.unwrap_or_default(),
        role: group.node_role.unwrap_or_default(),
        subnets: group.subnets.unwrap_or_default(),
        ami_type: group.ami_type.map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
        instance_types: group.instance_types.unwrap_or_default(),
        capacity: group.capacity_type.map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
        min: size(|it| it.min_size),
        max: size(|it| it.max_size),
        desired: size(|it| it.desired_size),
        labels: group.labels.unwrap_or_default().into_iter().collect(),
        taints: group.taints.unwrap_or_default().into_iter().map(TaintSpec::from).collect(),
        max_unavailable: group.update_config.and_then(|config| AwaySpec::read(&config)),
        template: group.launch_template.as_ref().and_then(|it| it.id.clone()),
        template_version: group.launch_template.and_then(|it| it.version),
        version: group.version.unwrap_or_default(),
        release: group.release_version.unwrap_or_default(),
        status: group.status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
        trouble: issues(health.iter().map(|issue| {
            (issue.code().map(NodegroupIssueCode::as_str), issue.message(), issue.resource_ids())
        })),
        scaling_group: groups.into_iter().find_map(|group| group.name),
        tags: group.tags.unwrap_or_default().into_iter().collect(),
    }
}
