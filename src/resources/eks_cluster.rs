//! An EKS cluster: the control plane, who reaches it, and what it logs and encrypts.
//!
//! EKS takes one change of the configuration a call, and one at a time: `sync` sends the first that is due, and the
//! engine looks again until none is.

use super::{
    Asked, Found, Lifecycle,
    handler::{all_given, given},
};
use crate::{
    aws::{Call, Cx, Tags, gone_is_done, issues, retag_eks, signed, tagged},
    model::{Changes, Class, Desired, Fault, Identity, In, Intent, Ready, Resource, same_set},
};
use aws_sdk_eks::types::{
    AuthenticationMode, Cluster, ClusterStatus, CreateAccessConfigRequest, EncryptionConfig,
    KubernetesNetworkConfigRequest, LogSetup, LogType, Logging, Provider, SupportType,
    UpdateAccessConfigRequest, UpgradePolicyRequest, VpcConfigRequest,
};
use serde::{Deserialize, Serialize};

/// The kind.
pub struct EksCluster;

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The name, unique in account and region.
    pub name: String,
    /// The Kubernetes minor, `1.35`.
    pub version: String,
    /// The ARN of the role that EKS acts in.
    pub role: In<String>,
    /// The VPC that the subnets are in, for good.
    pub vpc: In<String>,
    /// The subnets of the control plane's interfaces, in two zones or more.
    pub subnets: Vec<In<String>>,
    /// Whether the API server can be reached from outside the VPC. From inside it always can.
    pub endpoint_public: bool,
    /// The blocks that reach it from outside.
    pub public_cidrs: Vec<String>,
    /// The block of service addresses; EKS chooses where none is given.
    pub service_cidr: Option<String>,
    /// The control plane's logs, in EKS's names.
    pub log_types: Vec<String>,
    /// The ARN of the key that encrypts Kubernetes secrets.
    pub key: In<String>,
    /// `STANDARD` or `EXTENDED`.
    pub upgrade_policy: String,
    /// Whether EKS refuses to delete it.
    pub deletion_protection: bool,
    /// Tags.
    pub tags: Tags,
}

/// What is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// The name.
    pub name: String,
    /// The ARN.
    pub arn: String,
    /// See [`Spec::version`].
    pub version: String,
    /// See [`Spec::role`].
    pub role: String,
    /// See [`Spec::subnets`].
    pub subnets: Vec<String>,
    /// See [`Spec::endpoint_public`].
    pub endpoint_public: bool,
    /// Whether the API server can be reached from inside the VPC.
    pub endpoint_private: bool,
    /// See [`Spec::public_cidrs`].
    pub public_cidrs: Vec<String>,
    /// See [`Spec::service_cidr`].
    pub service_cidr: Option<String>,
    /// See [`Spec::log_types`].
    pub log_types: Vec<String>,
    /// See [`Spec::key`].
    pub key: Option<String>,
    /// `API`, `API_AND_CONFIG_MAP` or `CONFIG_MAP`.
    pub authentication_mode: String,
    /// See [`Spec::upgrade_policy`].
    pub upgrade_policy: String,
    /// See [`Spec::deletion_protection`].
    pub deletion_protection: bool,
    /// EKS's word, `ACTIVE` and others.
    pub status: String,
    /// What EKS says is wrong.
    pub trouble: Option<String>,
    /// The API server's URL.
    pub endpoint: Option<String>,
    /// The API server's certificate authority, base64.
    pub certificate_authority: Option<String>,
    /// The issuer of the cluster's service account tokens, a URL.
    pub issuer: Option<String>,
    /// The issuer without its scheme, as IAM's trust policies name it.
    pub issuer_host: Option<String>,
    /// The security group that EKS made for control plane and nodes.
    pub security_group: Option<String>,
    /// The VPC.
    pub vpc: Option<String>,
    /// EKS's own version of the control plane.
    pub platform_version: Option<String>,
    /// Tags.
    pub tags: Tags,
}

impl Desired for Spec {
    const KIND: &'static str = EksCluster::KIND;
}

impl Resource for EksCluster {
    const KIND: &'static str = "eks_cluster";
    const IAM: &'static [&'static str] = &[
        "eks:DescribeCluster",
        "eks:CreateCluster",
        "eks:TagResource",
        "eks:UntagResource",
        "eks:UpdateClusterConfig",
        "eks:UpdateClusterVersion",
        "eks:DeleteCluster",
        "iam:PassRole",
        "iam:GetRole",
        "iam:CreateServiceLinkedRole",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcs",
        "ec2:DescribeSecurityGroups",
        "kms:DescribeKey",
        "kms:CreateGrant",
    ];
    const IDENTITY: Identity = Identity::Name;
    const NAMED: Option<&'static str> = Some(":cluster/");
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        let changes = Changes::default()
            .fixed("name", &want.name, &live.name)
            .fixed("role", &want.role, &live.role)
            .fixed("key", &want.key, &live.key)
            .fixed("vpc", &want.vpc, &live.vpc)
            .mutable("version", &want.version, &live.version)
            .mutable("subnets", &same_set(&want.subnets), &same_set(&live.subnets))
            .mutable("endpointPrivate", &true, &live.endpoint_private)
            .mutable("endpointPublic", &want.endpoint_public, &live.endpoint_public);
        // EKS keeps the blocks of an endpoint that is not public.
        let changes = match want.endpoint_public {
            true => {
                changes.mutable("publicCidrs", &same_set(&want.public_cidrs), &same_set(&live.public_cidrs))
            }
            false => changes,
        };
        let changes = match &want.service_cidr {
            Some(_) => changes.fixed("serviceCidr", &want.service_cidr, &live.service_cidr),
            None => changes,
        };
        changes
            .mutable("logTypes", &same_set(&want.log_types), &same_set(&live.log_types))
            .mutable("authenticationMode", &"API", &live.authentication_mode)
            .mutable("upgradePolicy", &want.upgrade_policy, &live.upgrade_policy)
            .mutable("deletionProtection", &want.deletion_protection, &live.deletion_protection)
            .mutable("tags", &want.tags, &live.tags)
    }

    fn ready(live: &Live) -> Ready {
        let why = |word: &str| match &live.trouble {
            Some(trouble) => format!("{word}: {trouble}"),
            None => word.to_owned(),
        };
        match live.status.as_str() {
            "ACTIVE" => Ready::Yes,
            "FAILED" => Ready::Failed(why("failed")),
            "DELETING" => Ready::Failed("somebody is deleting it".to_owned()),
            other => Ready::Wait(why(&other.to_ascii_lowercase())),
        }
    }

    fn refuse(want: &Spec, live: &Live) -> Option<String> {
        let (new, old) = (minor(&want.version)?, minor(&live.version)?);
        if new < old {
            return Some(format!(
                "the cluster runs Kubernetes {}, and EKS does not go back to {}: `cluster.version` must be {} or one more",
                live.version, want.version, live.version
            ));
        }
        (new > old.saturating_add(1)).then(|| {
            format!(
                "the cluster runs Kubernetes {}, and EKS goes up one minor version at a time: ask for 1.{} first, not {}",
                live.version,
                old.saturating_add(1),
                want.version
            )
        })
    }

    fn farewell(live: &Live) -> Option<String> {
        live.deletion_protection.then(|| "its deletion protection is turned off first".to_owned())
    }
}

/// The minor of `1.35`.
fn minor(version: &str) -> Option<u32> {
    version.split('.').nth(1)?.parse().ok()
}

impl Lifecycle for EksCluster {
    async fn find(cx: &Cx, asked: &[Asked<Self>]) -> Result<Vec<Found<Live>>, Fault> {
        let mut found = Vec::new();
        for asked in asked {
            let name = asked.last.as_ref().map(|last| &last.name);
            let name = name.or(asked.want.as_ref().map(|want| &want.name)).or(asked.name.as_ref());
            let Some(name) = name else { continue };
            match cx.eks.describe_cluster().name(name).send().await.call("eks", "DescribeCluster") {
                Err(fault) if fault.class == Class::Gone => {}
                answer => {
                    let cluster = answer?.cluster;
                    found.extend(cluster.map(|it| Found { address: asked.address.clone(), live: live(it) }));
                }
            }
        }
        Ok(found)
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), Fault> {
        let access = CreateAccessConfigRequest::builder()
            .authentication_mode(AuthenticationMode::Api)
            // The creator would be an admin for ever; who is one is said by access entries.
            .bootstrap_cluster_creator_admin_permissions(false);
        let encryption = encryption(given(&want.key, "key")?);
        let call = cx
            .eks
            .create_cluster()
            .client_request_token(&intent.token)
            .name(&want.name)
            .version(&want.version)
            .role_arn(given(&want.role, "role")?)
            .resources_vpc_config(
                endpoint(want).set_subnet_ids(Some(all_given(&want.subnets, "subnets")?)).build(),
            )
            .kubernetes_network_config(
                KubernetesNetworkConfigRequest::builder()
                    .set_service_ipv4_cidr(want.service_cidr.clone())
                    .build(),
            )
            .logging(logging(&want.log_types, &[]))
            .encryption_config(encryption)
            .access_config(access.build())
            // Add-ons are resources of their own; EKS's unmanaged ones would be in their way.
            .bootstrap_self_managed_addons(false)
            .upgrade_policy(upgrade_policy(&want.upgrade_policy))
            .deletion_protection(want.deletion_protection)
            .set_tags(Some(tagged(&want.tags, intent).into_iter().collect()));
        let call = call.customize().config_override(signed!(aws_sdk_eks, intent));
        call.send().await.call("eks", "CreateCluster")?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<(), Fault> {
        retag_eks(cx, &live.arn, &want.tags, &live.tags).await?;
        if want.version != live.version {
            let call = cx.eks.update_cluster_version().name(&live.name).version(&want.version);
            let call = call.client_request_token(uuid::Uuid::new_v4().to_string());
            call.send().await.call("eks", "UpdateClusterVersion")?;
            return Ok(());
        }
        let call = cx
            .eks
            .update_cluster_config()
            .name(&live.name)
            .client_request_token(uuid::Uuid::new_v4().to_string());
        let subnets = all_given(&want.subnets, "subnets")?;
        let cidrs = want.endpoint_public && same_set(&want.public_cidrs) != same_set(&live.public_cidrs);
        let call = if live.authentication_mode != "API" {
            let access = UpdateAccessConfigRequest::builder().authentication_mode(AuthenticationMode::Api);
            call.access_config(access.build())
        } else if same_set(&subnets) != same_set(&live.subnets) {
            call.resources_vpc_config(VpcConfigRequest::builder().set_subnet_ids(Some(subnets)).build())
        } else if cidrs || want.endpoint_public != live.endpoint_public || !live.endpoint_private {
            call.resources_vpc_config(endpoint(want).build())
        } else if same_set(&want.log_types) != same_set(&live.log_types) {
            call.logging(logging(&want.log_types, &live.log_types))
        } else if want.upgrade_policy != live.upgrade_policy {
            call.upgrade_policy(upgrade_policy(&want.upgrade_policy))
        } else if want.deletion_protection != live.deletion_protection {
            call.deletion_protection(want.deletion_protection)
        } else {
            return Ok(());
        };
        call.send().await.call("eks", "UpdateClusterConfig")?;
        Ok(())
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), Fault> {
        if live.status == ClusterStatus::Deleting.as_str() {
            return Ok(());
        }
        if live.deletion_protection {
            let call = cx.eks.update_cluster_config().name(&live.name).deletion_protection(false);
            let call = call.client_request_token(uuid::Uuid::new_v4().to_string());
            call.send().await.call("eks", "UpdateClusterConfig")?;
        }
        gone_is_done(cx.eks.delete_cluster().name(&live.name).send().await.call("eks", "DeleteCluster"))
    }
}

/// EKS encrypts all that Kubernetes keeps; older models of its API still want the list of what.
#[allow(deprecated)]
fn encryption(key: &str) -> EncryptionConfig {
    let provider = Provider::builder().key_arn(key).build();
    EncryptionConfig::builder().resources("secrets").provider(provider).build()
}

fn endpoint(want: &Spec) -> aws_sdk_eks::types::builders::VpcConfigRequestBuilder {
    VpcConfigRequest::builder()
        .endpoint_private_access(true)
        .endpoint_public_access(want.endpoint_public)
        .set_public_access_cidrs(want.endpoint_public.then(|| want.public_cidrs.clone()))
}

fn logging(on: &[String], before: &[String]) -> Logging {
    let setup = |types: Vec<LogType>, enabled| {
        (!types.is_empty()).then(|| LogSetup::builder().set_types(Some(types)).enabled(enabled).build())
    };
    let types =
        |list: &mut dyn Iterator<Item = &String>| list.map(|name| LogType::from(name.as_str())).collect();
    let off = setup(types(&mut before.iter().filter(|name| !on.contains(name))), false);
    let on = setup(types(&mut on.iter()), true);
    Logging::builder().set_cluster_logging(Some(on.into_iter().chain(off).collect())).build()
}

fn upgrade_policy(name: &str) -> UpgradePolicyRequest {
    UpgradePolicyRequest::builder().support_type(SupportType::from(name)).build()
}

fn live(cluster: Cluster) -> Live {
    let logs = cluster.logging.and_then(|logging| logging.cluster_logging).unwrap_or_default();
    let on = logs.into_iter().filter(|setup| setup.enabled == Some(true));
    let network = cluster.resources_vpc_config;
    let mut encryption = cluster.encryption_config.unwrap_or_default().into_iter();
    let health = cluster.health.and_then(|health| health.issues).unwrap_or_default();
    let issuer = cluster.identity.and_then(|it| it.oidc?.issuer);
    Live {
        name: cluster.name.unwrap_or_default(),
        arn: cluster.arn.unwrap_or_default(),
        version: cluster.version.unwrap_or_default(),
        role: cluster.role_arn.unwrap_or_default(),
        subnets: network.as_ref().and_then(|it| it.subnet_ids.clone()).unwrap_or_default(),
        endpoint_public: network.as_ref().is_some_and(|it| it.endpoint_public_access),
        endpoint_private: network.as_ref().is_some_and(|it| it.endpoint_private_access),
        public_cidrs: network.as_ref().and_then(|it| it.public_access_cidrs.clone()).unwrap_or_default(),
        service_cidr: cluster.kubernetes_network_config.and_then(|it| it.service_ipv4_cidr),
        log_types: on
            .flat_map(|setup| setup.types.unwrap_or_default())
            .map(|name| name.as_str().to_owned())
            .collect(),
        key: encryption.find_map(|it| it.provider?.key_arn),
        authentication_mode: cluster
            .access_config
            .and_then(|it| it.authentication_mode)
            .map(|mode| mode.as_str().to_owned())
            .unwrap_or_default(),
        upgrade_policy: cluster
            .upgrade_policy
            .and_then(|it| it.support_type)
            .map(|kind| kind.as_str().to_owned())
            .unwrap_or_default(),
        deletion_protection: cluster.deletion_protection.unwrap_or_default(),
        status: cluster.status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
        trouble: issues(health.iter().map(|issue| {
            (
                issue.code().map(aws_sdk_eks::types::ClusterIssueCode::as_str),
                issue.message(),
                issue.resource_ids(),
            )
        })),
        endpoint: cluster.endpoint,
        certificate_authority: cluster.certificate_authority.and_then(|it| it.data),
        issuer_host: issuer.as_ref().map(|url| url.trim_start_matches("https://").to_owned()),
        issuer,
        security_group: network.as_ref().and_then(|it| it.cluster_security_group_id.clone()),
        vpc: network.and_then(|it| it.vpc_id),
        platform_version: cluster.platform_version,
        tags: cluster.tags.unwrap_or_default().into_iter().collect(),
    }
}
