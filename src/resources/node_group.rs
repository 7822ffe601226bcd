//! A managed node group: an Auto Scaling group of EKS's, made after a launch template of the stack's.
//!
//! EKS says late, or never, why instances do not start: while a group is not well, the Auto Scaling group's own
//! activities are read beside it.

pub use super::node_group_forms::{AwaySpec, Live, Spec, TaintSpec};
use super::{
    lookups::renamed,
    node_group_drain,
    node_group_forms::default_strategy,
    node_terms::{self, Update},
    prelude::*,
};
use crate::{
    aws::{EksUpdate, eks_status, issues, launch_trouble, suspended_processes},
    model::{Address, Ahead, ReplacementOrder, Undrained, UpdateOutcome},
};
use aws_sdk_eks::types::{
    AmiTypes, CapacityTypes, LaunchTemplateSpecification, Nodegroup, NodegroupIssueCode,
    NodegroupScalingConfig, NodegroupStatus,
};

/// The kind.
pub struct NodeGroup;

impl Desired for Spec {
    const KIND: &'static str = NodeGroup::KIND;
}

impl Resource for NodeGroup {
    const INFO: KindInfo = KindInfo {
        name: "node_group",
        identity: Identity::Name,
        replacement: ReplacementOrder::CreateFirst,
        max_name_len: 63,
        blockable: Blockable::NodeGroup,
        parent: Some(("eks_cluster", "cluster")),
        ready_within: minutes(60),
        deleted_within: minutes(60),
        typical: Duration::from_secs(120),
        birth_mark: Some("birth"),
        iam: &[
            (
                IamScope::EKS,
                &[
                    "eks:DescribeNodegroup",
                    "eks:ListNodegroups",
                    "eks:CreateNodegroup",
                    "eks:UpdateNodegroupConfig",
                    "eks:UpdateNodegroupVersion",
                    "eks:DescribeUpdate",
                    "eks:ListUpdates",
                    "eks:DeleteNodegroup",
                    "eks:TagResource",
                    "eks:UntagResource",
                ],
            ),
            (IamScope::PASS_ROLES, &["iam:PassRole"]),
            (IamScope::READ_ROLES, &["iam:GetRole"]),
            (IamScope::ROLES, &["iam:ListAttachedRolePolicies"]),
            (IamScope::SERVICE_ROLES, &["iam:CreateServiceLinkedRole"]),
            (IamScope::EC2_WRITE, &["ec2:RunInstances", "ec2:CreateTags"]),
            (IamScope::EC2_READ, &["ec2:DescribeSubnets", "ec2:DescribeLaunchTemplateVersions"]),
            (
                IamScope::ANYWHERE,
                &["autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeScalingActivities"],
            ),
        ],
        ..KindInfo::DEFAULT
    };
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        let changes = Changes::default()
            .fixed("cluster", &want.cluster, &live.cluster)
            .fixed("name", &want.name, &live.name)
            .fixed("role", &want.role, &live.role)
            .fixed("subnets", &sorted_set(&want.subnets), &sorted_set(&live.subnets))
            .fixed("amiType", &want.ami_type, &live.ami_type)
            .fixed("instanceTypes", &want.instance_types, &live.instance_types)
            .fixed("capacity", &want.capacity, &live.capacity)
            .fixed_optional("template", &want.template, &live.template)
            .mutable("min", &want.min, &live.min)
            .mutable("max", &want.max, &live.max);
        let changes = match node_terms::floats(want) {
            true => changes,
            false => changes.mutable("desired", &want.desired, &live.desired),
        };
        changes
            .mutable("labels", &want.labels, &live.labels)
            .mutable("taints", &sorted_set(&want.taints), &sorted_set(&live.taints))
            .mutable("maxUnavailable", &Some(&want.max_unavailable), &live.max_unavailable.as_ref())
            .mutable("updateStrategy", &want.update_strategy, &live.update_strategy)
            .mutable("repair", &want.repair, &live.repair)
            .mutable("version", &want.version, &live.version)
            .mutable("release", &want.release, &live.release)
            .mutable("templateVersion", &want.template_version, &live.template_version)
            .mutable("tags", &want.tags, &live.tags)
    }

    fn ready(live: &Live) -> Readiness {
        let why = eks_status(&live.status, live.trouble.as_deref());
        if let Some(suspended) = suspended(live) {
            return suspended;
        }
        match NodegroupStatus::from(live.status.as_str()) {
            NodegroupStatus::Active => Readiness::Ready,
            NodegroupStatus::CreateFailed => Readiness::Failed(why),
            NodegroupStatus::Degraded if node_terms::BEYOND_REPAIR.iter().any(|code| why.contains(code)) => {
                Readiness::Failed(why)
            }
            NodegroupStatus::Degraded | NodegroupStatus::DeleteFailed => Readiness::Degraded(why),
            NodegroupStatus::Deleting => Readiness::Waiting("being deleted".to_owned()),
            _ if live.trouble.is_some() => Readiness::Degraded(why),
            _ => Readiness::Waiting(why),
        }
    }

    fn ahead(want: &Spec, live: &Live, recorded: Option<(&Spec, &Live)>) -> Option<Ahead<Spec>> {
        Some(node_terms::ahead(want, live, recorded.map(|(_, last)| last)))
    }

    fn delete_failed(live: &Live) -> Option<String> {
        let failed = live.status == NodegroupStatus::DeleteFailed.as_str();
        failed.then(|| live.trouble.clone().unwrap_or_else(|| live.status.clone()))
    }

    fn deleting(live: &Live) -> bool {
        NodegroupStatus::from(live.status.as_str()) == NodegroupStatus::Deleting
    }
}

impl Lifecycle for NodeGroup {
    async fn find(cx: &Cx, asked: &[TypedLookup<Self>]) -> Result<Vec<FoundResource<Live>>, CallError> {
        let mut found = describe_each(
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
        .await?;
        let groups = found.iter().filter_map(|found| found.live.scaling_group.clone()).collect();
        let mut suspended = suspended_processes(cx, groups).await?;
        for found in &mut found {
            let processes = found.live.scaling_group.as_ref().and_then(|group| suspended.remove(group));
            found.live.suspended = processes.unwrap_or_default();
        }
        Ok(found)
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), CallError> {
        let call = cx
            .eks
            .create_nodegroup()
            .client_request_token(&intent.token)
            .cluster_name(&want.cluster)
            .nodegroup_name(&want.name)
            .node_role(resolved(&want.role, "role")?)
            .set_subnets(Some(all_resolved(&want.subnets, "subnets")?))
            .ami_type(AmiTypes::from(want.ami_type.as_str()))
            .set_instance_types(Some(want.instance_types.clone()))
            .capacity_type(CapacityTypes::from(want.capacity.as_str()))
            .scaling_config(scaling(want, want.desired))
            .set_labels((!want.labels.is_empty()).then(|| want.labels.clone().into_iter().collect()))
            .set_taints((!want.taints.is_empty()).then(|| TaintSpec::to_eks(&want.taints)))
            .update_config(node_terms::update_config(want))
            .node_repair_config(node_terms::repair(want.repair))
            .launch_template(template(want)?)
            .version(&want.version)
            .release_version(&want.release)
            .set_tags(Some(tagged(&want.tags, intent).into_iter().collect()));
        let call = call.customize().config_override(signed!(aws_sdk_eks, intent));
        call.send().await.call().map(drop)
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<Option<UpdateId>, CallError> {
        retag(cx, TagTarget::Eks(&live.arn), &want.tags, &live.tags).await?;
        // EKS refuses a second update while one runs: the rest is sent after the next look.
        match node_terms::updates(want, live)?.into_iter().next() {
            Some(update) => send(cx, want, live, update).await,
            None => Ok(None),
        }
    }

    async fn outcome(cx: &Cx, live: &Live, id: &str) -> Result<UpdateOutcome, CallError> {
        let outcome = EksUpdate::NodeGroup(&live.cluster, &live.name).outcome(cx, id).await?;
        Ok(node_terms::with_budgets(cx, &live.cluster, outcome).await)
    }

    async fn running_update(cx: &Cx, live: &Live) -> Result<Option<UpdateId>, CallError> {
        EksUpdate::NodeGroup(&live.cluster, &live.name).running(cx, &live.status).await
    }

    async fn before_delete(cx: &Cx, live: &Live) -> Result<Option<Undrained>, CallError> {
        node_group_drain::drain(cx, &live.cluster, &live.name).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), CallError> {
        if live.status == NodegroupStatus::Deleting.as_str() {
            return Ok(());
        }
        let call = cx.eks.delete_nodegroup().cluster_name(&live.cluster).nodegroup_name(&live.name);
        call.send().await.gone_is_done()
    }
}

/// The state of a group whose Auto Scaling group a person has suspended.
fn suspended(live: &Live) -> Option<Readiness> {
    let group = live.scaling_group.as_ref().filter(|_| !live.suspended.is_empty())?;
    let being_deleted = NodegroupStatus::from(live.status.as_str()) == NodegroupStatus::Deleting;
    (!being_deleted).then(|| Readiness::Suspended {
        why: format!("its Auto Scaling group has suspended processes: {}", live.suspended.join(", ")),
        remedy: format!(
            "aws autoscaling resume-processes --auto-scaling-group-name {group} --scaling-processes {}",
            live.suspended.join(" ")
        ),
    })
}

/// Sends one update and returns its id.
async fn send(cx: &Cx, want: &Spec, live: &Live, update: Update) -> Result<Option<UpdateId>, CallError> {
    let token = uuid::Uuid::new_v4().to_string();
    let update = match update {
        Update::Configuration { desired, labels, taints, away, repair } => {
            let call = cx.eks.update_nodegroup_config().client_request_token(token);
            let call = call.cluster_name(&live.cluster).nodegroup_name(&live.name);
            let call = call.set_labels(labels).set_taints(taints);
            let call = call.set_scaling_config(desired.map(|desired| scaling(want, desired)));
            let call = call.set_update_config(away.then(|| node_terms::update_config(want)));
            call.set_node_repair_config(repair.map(node_terms::repair)).send().await.call()?.update
        }
        Update::Nodes { image, template: new_template } => {
            let call = cx.eks.update_nodegroup_version().client_request_token(token);
            let call = call.cluster_name(&live.cluster).nodegroup_name(&live.name);
            let (version, release) = image.unzip();
            let call = call.set_version(version).set_release_version(release).force(want.force_update);
            let template = new_template.then(|| template(want)).transpose()?;
            call.set_launch_template(template).send().await.call()?.update
        }
    };
    Ok(update.and_then(|update| update.id))
}

fn scaling(want: &Spec, desired: i32) -> NodegroupScalingConfig {
    NodegroupScalingConfig::builder().min_size(want.min).max_size(want.max).desired_size(desired).build()
}

fn template(want: &Spec) -> Result<LaunchTemplateSpecification, CallError> {
    let (id, version) =
        (resolved(&want.template, "template")?, resolved(&want.template_version, "templateVersion")?);
    Ok(LaunchTemplateSpecification::builder().id(id).version(version).build())
}

/// Returns the group at `address` that carries a name which a replacement gave it.
async fn by_tags(cx: &Cx, cluster: &str, address: &Address) -> Result<Option<Live>, CallError> {
    let names: Result<Vec<String>, _> =
        cx.eks.list_nodegroups().cluster_name(cluster).into_paginator().items().send().try_collect().await;
    let names = if_found(names.call())?.unwrap_or_default();
    let look = async |name: String| describe(cx, cluster, &name).await;
    renamed::<NodeGroup, _>(cx, address, names, look, |live| &live.tags).await
}

async fn describe(cx: &Cx, cluster: &str, name: &str) -> Result<Option<Live>, CallError> {
    let call = cx.eks.describe_nodegroup().cluster_name(cluster).nodegroup_name(name);
    let found = call.send().await.read_if_found(|answer| live(required(answer.nodegroup, "nodegroup")?));
    let Some(mut live) = found? else { return Ok(None) };
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

/// Reduces EKS's answer to what is compared and recorded.
fn live(group: Nodegroup) -> Result<Live, MissingField> {
    let unmanaged = node_terms::unmanaged(&group);
    let strategy = group.update_config.as_ref().and_then(|config| config.update_strategy.clone());
    let health = group.health.and_then(|health| health.issues).unwrap_or_default();
    let scaling = required(group.scaling_config, "scalingConfig")?;
    let groups = group.resources.and_then(|resources| resources.auto_scaling_groups).unwrap_or_default();
    Ok(Live {
        arn: required(group.nodegroup_arn, "nodegroupArn")?,
        birth: group.created_at.map(|at| at.to_string()),
        cluster: required(group.cluster_name, "clusterName")?,
        name: required(group.nodegroup_name, "nodegroupName")?,
        role: required(group.node_role, "nodeRole")?,
        subnets: group.subnets.unwrap_or_default(),
        ami_type: required_text(group.ami_type, "amiType")?,
        instance_types: group.instance_types.unwrap_or_default(),
        capacity: required_text(group.capacity_type, "capacityType")?,
        min: required(scaling.min_size, "scalingConfig.minSize")?,
        max: required(scaling.max_size, "scalingConfig.maxSize")?,
        desired: required(scaling.desired_size, "scalingConfig.desiredSize")?,
        labels: group.labels.unwrap_or_default().into_iter().collect(),
        taints: group.taints.unwrap_or_default().into_iter().map(TaintSpec::from).collect(),
        max_unavailable: group.update_config.and_then(|config| AwaySpec::read(&config)),
        update_strategy: strategy.map_or_else(default_strategy, |it| it.as_str().to_owned()),
        repair: group.node_repair_config.and_then(|it| it.enabled) == Some(true),
        unmanaged,
        template: group.launch_template.as_ref().and_then(|it| it.id.clone()),
        template_version: group.launch_template.and_then(|it| it.version),
        version: required(group.version, "version")?,
        // A group with an image of its own has no release.
        release: optional_text(group.release_version),
        status: required_text(group.status, "status")?,
        trouble: issues(health.iter().map(|issue| {
            (issue.code().map(NodegroupIssueCode::as_str), issue.message(), issue.resource_ids())
        })),
        scaling_group: groups.into_iter().find_map(|group| group.name),
        suspended: Vec::new(),
        tags: group.tags.unwrap_or_default().into_iter().collect(),
    })
}
