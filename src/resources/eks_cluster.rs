//! An EKS cluster: the control plane, who reaches it, and what it logs and encrypts.
//!
//! EKS takes one change of the configuration a call, and one at a time: `sync` sends the first that is due, and the
//! engine looks again until none is.

pub use super::cluster_forms::{AutoModeSpec, Live, Spec};
use super::{
    cluster_forms::{managed_egress, standard_tier},
    cluster_terms::{
        self, Update, auto_mode, balancing, compute, configured, encryption, endpoint, logging, scaling,
        storage, updates, upgrade_policy, zonal_shift,
    },
    prelude::*,
};
use crate::{
    aws::{EksUpdate, issues, sweep_interfaces},
    model::{Ahead, UpdateOutcome},
};
use aws_sdk_eks::types::{
    AuthenticationMode, Cluster, ClusterIssueCode, ClusterStatus, CreateAccessConfigRequest,
    KubernetesNetworkConfigRequest,
};

/// The kind.
pub struct EksCluster;

/// Field [`Live::issuer`].
pub const ISSUER: Field = Field::new("issuer");
/// Field [`Live::issuer_host`].
pub const ISSUER_HOST: Field = Field::new("issuerHost");

impl Desired for Spec {
    const KIND: &'static str = EksCluster::KIND;
}

impl Resource for EksCluster {
    const INFO: KindInfo = KindInfo {
        name: "eks_cluster",
        identity: Identity::Name,
        supplies: &[ISSUER, ISSUER_HOST],
        arn_prefix: Some(":cluster/"),
        blockable: Blockable::Cluster,
        ready_within: minutes(60),
        deleted_within: minutes(60),
        typical: Duration::from_secs(560),
        protected: true,
        birth_mark: Some("birth"),
        holds: Some("the cluster's workloads and its Kubernetes state"),
        iam: &[
            (
                IamScope::EKS,
                &[
                    "eks:DescribeCluster",
                    "eks:TagResource",
                    "eks:UntagResource",
                    "eks:UpdateClusterConfig",
                    "eks:UpdateClusterVersion",
                    "eks:DescribeUpdate",
                    "eks:ListUpdates",
                    "eks:ListInsights",
                    "eks:DeleteCluster",
                ],
            ),
            (IamScope::EKS_REGION, &["eks:CreateCluster"]),
            (IamScope::PASS_ROLES, &["iam:PassRole"]),
            (IamScope::READ_ROLES, &["iam:GetRole"]),
            (IamScope::SERVICE_ROLES, &["iam:CreateServiceLinkedRole"]),
            (IamScope::EC2_READ, &["ec2:DescribeSubnets", "ec2:DescribeVpcs", "ec2:DescribeSecurityGroups"]),
            (IamScope::CNI_INTERFACES, &["ec2:DeleteNetworkInterface"]),
            (IamScope::KEY_READ, &["kms:DescribeKey"]),
            (IamScope::KEY_GRANTS, &["kms:CreateGrant"]),
            (IamScope::GIVEN_KEY, &["kms:CreateGrant"]),
        ],
        ..KindInfo::DEFAULT
    };
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        let changes = Changes::default()
            .fixed("name", &want.name, &live.name)
            .fixed("role", &want.role, &live.role)
            .fixed_optional("key", &want.key, &live.key)
            .fixed("vpc", &want.vpc, &live.vpc);
        let changes = match want.version_passed {
            true => changes,
            false => changes.mutable("version", &want.version, &live.version),
        };
        let changes = changes
            .mutable("subnets", &sorted_set(&want.subnets), &sorted_set(&live.subnets))
            .mutable("endpointPrivate", &true, &live.endpoint_private)
            .mutable("endpointPublic", &want.endpoint_public, &live.endpoint_public);
        // EKS keeps the blocks of an endpoint that is not public.
        let changes = match want.endpoint_public {
            true => changes.mutable(
                "publicCidrs",
                &sorted_set(&want.public_cidrs),
                &sorted_set(&live.public_cidrs),
            ),
            false => changes,
        };
        let changes = match &want.service_cidr {
            Some(_) => changes.fixed("serviceCidr", &want.service_cidr, &live.service_cidr),
            None => changes,
        };
        // A setting that the file does not name is left as it is.
        let changes = match &want.auto_mode {
            Some(auto) => changes.mutable("autoMode", &auto.setting(), &live.auto_mode.setting()),
            None => changes,
        };
        let changes = match &want.zonal_shift {
            Some(on) => changes.mutable("zonalShift", on, &live.zonal_shift),
            None => changes,
        };
        let changes = match &want.tier {
            Some(tier) => changes.mutable("tier", tier, &live.tier),
            None => changes,
        };
        let changes = match &want.egress {
            Some(mode) => changes.mutable("egress", mode, &live.egress),
            None => changes,
        };
        changes
            .mutable("logTypes", &sorted_set(&want.log_types), &sorted_set(&live.log_types))
            .mutable("authenticationMode", &"API", &live.authentication_mode)
            .mutable("upgradePolicy", &want.upgrade_policy, &live.upgrade_policy)
            .mutable("deletionProtection", &want.deletion_protection, &live.deletion_protection)
            .mutable("tags", &want.tags, &live.tags)
    }

    fn ready(live: &Live) -> Readiness {
        let why = |word: &str| match &live.trouble {
            Some(trouble) => format!("{word}: {trouble}"),
            None => word.to_owned(),
        };
        match live.status.as_str() {
            "ACTIVE" => Readiness::Ready,
            "FAILED" => Readiness::Failed(why("failed")),
            "DELETING" => Readiness::Waiting("being deleted".to_owned()),
            other => Readiness::Waiting(why(&other.to_ascii_lowercase())),
        }
    }

    fn validate_change(want: &Spec, live: &Live) -> Option<String> {
        cluster_terms::refused_version(want, live).or_else(|| cluster_terms::refused_egress(want, live))
    }

    fn ahead(want: &Spec, live: &Live, recorded: Option<(&Spec, &Live)>) -> Option<Ahead<Spec>> {
        cluster_terms::ahead(want, live, recorded.map(|(last, _)| last))
    }

    fn deleting(live: &Live) -> bool {
        live.status == ClusterStatus::Deleting.as_str()
    }

    fn deletion_guard(live: &Live) -> Option<&'static str> {
        live.deletion_protection.then_some("cluster.deletionProtection")
    }

    fn deletion_note(live: &Live) -> Option<String> {
        live.deletion_protection.then(|| "its deletion protection is turned off first".to_owned())
    }
}

impl Lifecycle for EksCluster {
    async fn find(cx: &Cx, asked: &[TypedLookup<Self>]) -> Result<Vec<FoundResource<Live>>, CallError> {
        let name = |asked: &TypedLookup<Self>| -> Option<String> {
            let known = asked.key(|last| &last.name, |want| &want.name);
            known.or(asked.name.as_ref()).cloned()
        };
        let describe = async |name: String| {
            let call = cx.eks.describe_cluster().name(name).send().await;
            call.read_if_found(|answer| live(required(answer.cluster, "cluster")?))
        };
        describe_each(asked, name, describe).await
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), CallError> {
        let access = CreateAccessConfigRequest::builder()
            .authentication_mode(AuthenticationMode::Api)
            // The creator would be an admin for ever; who is one is said by access entries.
            .bootstrap_cluster_creator_admin_permissions(false);
        let encryption = encryption(resolved(&want.key, "key")?);
        let auto = want.auto_mode.as_ref().filter(|auto| auto.enabled).map(auto_mode).transpose()?;
        let call = cx
            .eks
            .create_cluster()
            .client_request_token(&intent.token)
            .name(&want.name)
            .version(&want.version)
            .role_arn(resolved(&want.role, "role")?)
            .resources_vpc_config(
                endpoint(want.endpoint_public, &want.public_cidrs)
                    .set_subnet_ids(Some(all_resolved(&want.subnets, "subnets")?))
                    .set_control_plane_egress_mode(want.egress.as_deref().map(Into::into))
                    .build(),
            )
            .kubernetes_network_config(
                KubernetesNetworkConfigRequest::builder()
                    .set_service_ipv4_cidr(want.service_cidr.clone())
                    .set_elastic_load_balancing(auto.as_ref().map(balancing))
                    .build(),
            )
            .logging(logging(&want.log_types, &[]))
            .encryption_config(encryption)
            .access_config(access.build())
            // Add-ons are resources of their own; EKS's unmanaged ones would be in their way.
            .bootstrap_self_managed_addons(false)
            .upgrade_policy(upgrade_policy(&want.upgrade_policy))
            .deletion_protection(want.deletion_protection)
            .set_compute_config(auto.as_ref().map(compute))
            .set_storage_config(auto.as_ref().map(storage))
            .set_zonal_shift_config(want.zonal_shift.map(zonal_shift))
            .set_control_plane_scaling_config(want.tier.as_deref().map(scaling))
            .set_tags(Some(tagged(&want.tags, intent).into_iter().collect()));
        let call = call.customize().config_override(signed!(aws_sdk_eks, intent));
        call.send().await.call().map(drop)
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<Option<UpdateId>, CallError> {
        retag(cx, TagTarget::Eks(&live.arn), &want.tags, &live.tags).await?;
        match updates(want, live)?.into_iter().next() {
            Some(update) => send(cx, &live.name, update, want.force_upgrade).await,
            None => Ok(None),
        }
    }

    async fn outcome(cx: &Cx, live: &Live, id: &str) -> Result<UpdateOutcome, CallError> {
        EksUpdate::Cluster(&live.name).outcome(cx, id).await
    }

    async fn running_update(cx: &Cx, live: &Live) -> Result<Option<UpdateId>, CallError> {
        EksUpdate::Cluster(&live.name).running(cx, &live.status).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), CallError> {
        if live.status == ClusterStatus::Deleting.as_str() {
            return Ok(());
        }
        if live.deletion_protection {
            send(cx, &live.name, Update::DeletionProtection(false), false).await?;
        }
        // EKS leaves a security group that something still uses, and nothing else deletes it.
        if let Some(group) = &live.security_group {
            sweep_interfaces(cx, "group-id", group).await;
        }
        cx.eks.delete_cluster().name(&live.name).send().await.gone_is_done()
    }
}

/// Sends one update and returns its id.
async fn send(cx: &Cx, name: &str, update: Update, force: bool) -> Result<Option<UpdateId>, CallError> {
    let token = uuid::Uuid::new_v4().to_string();
    if let Update::Version(version) = update {
        let call = cx.eks.update_cluster_version().name(name).version(version).client_request_token(token);
        let call = call.set_force(force.then_some(true));
        return Ok(call.send().await.call()?.update.and_then(|update| update.id));
    }
    let call = cx.eks.update_cluster_config().name(name).client_request_token(token);
    let answer = configured(call, update).send().await.call()?;
    Ok(answer.update.and_then(|update| update.id))
}

fn live(cluster: Cluster) -> Result<Live, MissingField> {
    let unmanaged = cluster_terms::unmanaged(&cluster);
    let logs = cluster.logging.and_then(|logging| logging.cluster_logging).unwrap_or_default();
    let on = logs.into_iter().filter(|setup| setup.enabled == Some(true));
    let network = required(cluster.resources_vpc_config, "resourcesVpcConfig")?;
    let mut encryption = cluster.encryption_config.unwrap_or_default().into_iter();
    let health = cluster.health.and_then(|health| health.issues).unwrap_or_default();
    let compute = cluster.compute_config.filter(|compute| compute.enabled == Some(true));
    let tier = cluster.control_plane_scaling_config.and_then(|it| it.tier);
    let egress = network.control_plane_egress_mode;
    let issuer = cluster.identity.and_then(|it| it.oidc?.issuer);
    Ok(Live {
        name: required(cluster.name, "name")?,
        arn: required(cluster.arn, "arn")?,
        birth: cluster.created_at.map(|at| at.to_string()),
        version: required(cluster.version, "version")?,
        role: required(cluster.role_arn, "roleArn")?,
        subnets: network.subnet_ids.unwrap_or_default(),
        endpoint_public: network.endpoint_public_access,
        endpoint_private: network.endpoint_private_access,
        public_cidrs: network.public_access_cidrs.unwrap_or_default(),
        service_cidr: cluster.kubernetes_network_config.and_then(|it| it.service_ipv4_cidr),
        log_types: on
            .flat_map(|setup| setup.types.unwrap_or_default())
            .map(|name| name.as_str().to_owned())
            .collect(),
        key: encryption.find_map(|it| it.provider?.key_arn),
        authentication_mode: optional_text(cluster.access_config.and_then(|it| it.authentication_mode)),
        upgrade_policy: optional_text(cluster.upgrade_policy.and_then(|it| it.support_type)),
        // Clusters that are older than the setting do not have it.
        deletion_protection: cluster.deletion_protection == Some(true),
        zonal_shift: cluster.zonal_shift_config.and_then(|it| it.enabled) == Some(true),
        tier: tier.map_or_else(standard_tier, |tier| tier.as_str().to_owned()),
        egress: egress.map_or_else(managed_egress, |mode| mode.as_str().to_owned()),
        auto_mode: compute.map_or_else(AutoModeSpec::default, |compute| AutoModeSpec {
            enabled: true,
            node_pools: compute.node_pools.unwrap_or_default(),
            node_role: compute.node_role_arn,
        }),
        unmanaged,
        status: required_text(cluster.status, "status")?,
        trouble: issues(health.iter().map(|issue| {
            (issue.code().map(ClusterIssueCode::as_str), issue.message(), issue.resource_ids())
        })),
        endpoint: cluster.endpoint,
        certificate_authority: cluster.certificate_authority.and_then(|it| it.data),
        issuer_host: issuer.as_ref().map(|url| url.trim_start_matches("https://").to_owned()),
        issuer,
        security_group: network.cluster_security_group_id,
        vpc: network.vpc_id,
        platform_version: cluster.platform_version,
        tags: cluster.tags.unwrap_or_default().into_iter().collect(),
    })
}
