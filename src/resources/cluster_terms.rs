//! The updates of an EKS cluster, its configuration as EKS's types, and a version that moved ahead.

use super::{
    cluster_forms::{AutoModeSpec, Live, Spec, managed_egress, standard_tier},
    handler::{all_resolved, resolved},
};
use crate::model::{Ahead, CallError, In, KubernetesMinor, is_newer, sorted_set};
use aws_sdk_eks::{
    operation::update_cluster_config::builders::UpdateClusterConfigFluentBuilder,
    types::{
        AuthenticationMode, BlockStorage, Cluster, ComputeConfigRequest, ControlPlaneEgressModeType,
        ControlPlaneScalingConfig, ElasticLoadBalancing, EncryptionConfig,
        HorizontalPodAutoscalerControllerConfigResponse, KubernetesNetworkConfigRequest, LogSetup, LogType,
        Logging, PodGcControllerConfigResponse, Provider, ScoringStrategyType, StorageConfigRequest,
        SupportType, UpdateAccessConfigRequest, UpgradePolicyRequest, VpcConfigRequest,
        ZonalShiftConfigRequest,
    },
};

/// One update of a cluster. EKS takes no two of them in one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Update {
    /// To this minor version.
    Version(String),
    /// To authentication by access entries only.
    Authentication,
    /// To these subnets.
    Subnets(Vec<String>),
    /// Whether the endpoint is public, and the blocks that reach it then.
    Endpoint(bool, Vec<String>),
    /// Logs that are on, and those that were on before.
    Logs(Vec<String>, Vec<String>),
    /// `STANDARD` or `EXTENDED`.
    UpgradePolicy(String),
    /// Whether zonal shift is on.
    ZonalShift(bool),
    /// To this tier.
    Tier(String),
    /// To this egress mode.
    Egress(String),
    /// EKS Auto Mode, on with these node pools and this role of their nodes, or off.
    AutoMode(AutoModeSpec<String>),
    /// Whether EKS refuses to delete it.
    DeletionProtection(bool),
}

/// Returns the updates that are due, in the order in which they are sent.
pub(super) fn updates(want: &Spec, live: &Live) -> Result<Vec<Update>, CallError> {
    let subnets = all_resolved(&want.subnets, "subnets")?;
    let differ = |want: &[String], live: &[String]| sorted_set(want) != sorted_set(live);
    let endpoint = want.endpoint_public != live.endpoint_public
        || !live.endpoint_private
        || want.endpoint_public && differ(&want.public_cidrs, &live.public_cidrs);
    let all = [
        // First: it decides which versions EKS takes.
        (want.upgrade_policy != live.upgrade_policy, Update::UpgradePolicy(want.upgrade_policy.clone())),
        (want.version != live.version && !want.version_passed, Update::Version(want.version.clone())),
        (live.authentication_mode != AuthenticationMode::Api.as_str(), Update::Authentication),
        (differ(&subnets, &live.subnets), Update::Subnets(subnets)),
        (endpoint, Update::Endpoint(want.endpoint_public, want.public_cidrs.clone())),
        (
            differ(&want.log_types, &live.log_types),
            Update::Logs(want.log_types.clone(), live.log_types.clone()),
        ),
        (
            want.deletion_protection != live.deletion_protection,
            Update::DeletionProtection(want.deletion_protection),
        ),
    ];
    let auto_mode = match &want.auto_mode {
        Some(auto) if auto.setting() != live.auto_mode.setting() => Some(auto_mode(auto)?),
        _ => None,
    };
    let named = [
        auto_mode.map(Update::AutoMode),
        want.zonal_shift.filter(|on| *on != live.zonal_shift).map(Update::ZonalShift),
        want.tier.clone().filter(|tier| *tier != live.tier).map(Update::Tier),
        // The last, since it cannot be taken back.
        want.egress.clone().filter(|mode| *mode != live.egress).map(Update::Egress),
    ];
    let due = all.into_iter().filter(|(due, _)| *due).map(|(_, update)| update);
    Ok(due.chain(named.into_iter().flatten()).collect())
}

/// Returns the call with an update of the configuration in it. A new version has a call of its own.
pub(super) fn configured(
    call: UpdateClusterConfigFluentBuilder,
    update: Update,
) -> UpdateClusterConfigFluentBuilder {
    match update {
        Update::Version(_) => call,
        Update::Authentication => {
            let access = UpdateAccessConfigRequest::builder().authentication_mode(AuthenticationMode::Api);
            call.access_config(access.build())
        }
        Update::Subnets(subnets) => {
            call.resources_vpc_config(VpcConfigRequest::builder().set_subnet_ids(Some(subnets)).build())
        }
        Update::Endpoint(public, cidrs) => call.resources_vpc_config(endpoint(public, &cidrs).build()),
        Update::Logs(on, before) => call.logging(logging(&on, &before)),
        Update::UpgradePolicy(name) => call.upgrade_policy(upgrade_policy(&name)),
        Update::DeletionProtection(on) => call.deletion_protection(on),
        Update::AutoMode(auto) => call
            .compute_config(compute(&auto))
            .kubernetes_network_config(
                KubernetesNetworkConfigRequest::builder().elastic_load_balancing(balancing(&auto)).build(),
            )
            .storage_config(storage(&auto)),
        Update::ZonalShift(on) => call.zonal_shift_config(zonal_shift(on)),
        Update::Tier(tier) => call.control_plane_scaling_config(scaling(&tier)),
        Update::Egress(mode) => call.resources_vpc_config(
            VpcConfigRequest::builder().control_plane_egress_mode(mode.as_str().into()).build(),
        ),
    }
}

/// EKS encrypts all that Kubernetes keeps; older models of its API still want the list of what.
#[allow(deprecated)]
pub(super) fn encryption(key: &str) -> EncryptionConfig {
    let provider = Provider::builder().key_arn(key).build();
    EncryptionConfig::builder().resources("secrets").provider(provider).build()
}

pub(super) fn endpoint(
    public: bool,
    cidrs: &[String],
) -> aws_sdk_eks::types::builders::VpcConfigRequestBuilder {
    VpcConfigRequest::builder()
        .endpoint_private_access(true)
        .endpoint_public_access(public)
        .set_public_access_cidrs(public.then(|| cidrs.to_vec()))
}

pub(super) fn logging(on: &[String], before: &[String]) -> Logging {
    let setup = |types: Vec<LogType>, enabled| {
        (!types.is_empty()).then(|| LogSetup::builder().set_types(Some(types)).enabled(enabled).build())
    };
    let types =
        |list: &mut dyn Iterator<Item = &String>| list.map(|name| LogType::from(name.as_str())).collect();
    let off = setup(types(&mut before.iter().filter(|name| !on.contains(name))), false);
    let on = setup(types(&mut on.iter()), true);
    Logging::builder().set_cluster_logging(Some(on.into_iter().chain(off).collect())).build()
}

pub(super) fn upgrade_policy(name: &str) -> UpgradePolicyRequest {
    UpgradePolicyRequest::builder().support_type(SupportType::from(name)).build()
}

/// Returns Auto Mode with the role of its nodes.
pub(super) fn auto_mode(auto: &AutoModeSpec<In<String>>) -> Result<AutoModeSpec<String>, CallError> {
    let role = auto.node_role.as_ref().map(|role| resolved(role, "autoMode.nodeRole").cloned());
    Ok(AutoModeSpec {
        enabled: auto.enabled,
        node_pools: auto.node_pools.clone(),
        node_role: role.transpose()?,
    })
}

/// The nodes of Auto Mode. EKS takes this, [`balancing`] and [`storage`] only together and alike.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/auto-enable-existing.html>
pub(super) fn compute(auto: &AutoModeSpec<String>) -> ComputeConfigRequest {
    let call = ComputeConfigRequest::builder().enabled(auto.enabled);
    // Without pools EKS refuses a role.
    let pools = auto.enabled && !auto.node_pools.is_empty();
    call.set_node_pools(auto.enabled.then(|| auto.node_pools.clone()))
        .set_node_role_arn(auto.node_role.clone().filter(|_| pools))
        .build()
}

/// The load balancing of Auto Mode.
pub(super) fn balancing(auto: &AutoModeSpec<String>) -> ElasticLoadBalancing {
    ElasticLoadBalancing::builder().enabled(auto.enabled).build()
}

/// The disks of Auto Mode.
pub(super) fn storage(auto: &AutoModeSpec<String>) -> StorageConfigRequest {
    let disks = BlockStorage::builder().enabled(auto.enabled).build();
    StorageConfigRequest::builder().block_storage(disks).build()
}

pub(super) fn zonal_shift(on: bool) -> ZonalShiftConfigRequest {
    ZonalShiftConfigRequest::builder().enabled(on).build()
}

pub(super) fn scaling(tier: &str) -> ControlPlaneScalingConfig {
    ControlPlaneScalingConfig::builder().tier(tier.into()).build()
}

/// The settings of a cluster that are on and that no stack file can hold.
pub(super) fn unmanaged(cluster: &Cluster) -> Vec<String> {
    let remote = cluster
        .remote_network_config
        .as_ref()
        .is_some_and(|it| !it.remote_node_networks().is_empty() || !it.remote_pod_networks().is_empty());
    let all = [
        (remote, "remoteNetworkConfig"),
        (is_server_set(cluster), "kubeApiServerConfig"),
        (is_scheduler_set(cluster), "kubeSchedulerConfig"),
        (is_manager_set(cluster), "kubeControllerManagerConfig"),
    ];
    all.into_iter().filter(|(on, _)| *on).map(|(_, name)| name.to_owned()).collect()
}

/// Whether the API server has other settings than Kubernetes' defaults, which EKS may also name.
/// Source: <https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/>
fn is_server_set(cluster: &Cluster) -> bool {
    let Some(config) = &cluster.kube_api_server_config else { return false };
    let events = config.event_ttl().is_some_and(|ttl| !["1h", "1h0m0s", "60m", "3600s"].contains(&ttl));
    let ports = config.service_node_port_range().map(|range| (range.min_port(), range.max_port()));
    events || ports.is_some_and(|ports| ports != (30000, 32767))
}

/// Whether the scheduler prefers other nodes than Kubernetes' default does.
/// Source: <https://kubernetes.io/docs/reference/config-api/kube-scheduler-config.v1/>
fn is_scheduler_set(cluster: &Cluster) -> bool {
    let strategy = cluster
        .kube_scheduler_config
        .as_ref()
        .and_then(|config| config.node_resources_fit()?.scoring_strategy()?.r#type());
    strategy.is_some_and(|strategy| *strategy != ScoringStrategyType::LeastAllocated)
}

/// Whether the controller manager has other settings than Kubernetes' defaults.
/// Source: <https://kubernetes.io/docs/reference/command-line-tools-reference/kube-controller-manager/>
fn is_manager_set(cluster: &Cluster) -> bool {
    let Some(config) = &cluster.kube_controller_manager_config else { return false };
    let autoscaler = config.horizontal_pod_autoscaler_controller_config();
    let period = autoscaler
        .and_then(HorizontalPodAutoscalerControllerConfigResponse::horizontal_pod_autoscaler_sync_period);
    let threshold = config
        .pod_gc_controller_config()
        .and_then(PodGcControllerConfigResponse::terminated_pod_gc_threshold);
    period.is_some_and(|period| period != "15s") || threshold.is_some_and(|most| most != 12500)
}

/// What is set in a cluster without being in the file, for people. It is left as it is.
fn set_outside(want: &Spec, live: &Live) -> Option<String> {
    let pools = || live.auto_mode.node_pools.join(", ");
    let named = [
        (want.auto_mode.is_none() && live.auto_mode.enabled)
            .then(|| format!("autoMode: {{nodePools: [{}]}}", pools())),
        (want.zonal_shift.is_none() && live.zonal_shift).then(|| "zonalShift: true".to_owned()),
        (want.tier.is_none() && live.tier != standard_tier()).then(|| format!("tier: {}", live.tier)),
        (want.egress.is_none() && live.egress != managed_egress())
            .then(|| "egress: customer-routed".to_owned()),
    ];
    let all: Vec<String> = named.into_iter().flatten().chain(live.unmanaged.iter().cloned()).collect();
    (!all.is_empty()).then(|| format!("set outside provisioner, not in the file: {}", all.join(", ")))
}

/// What of a cluster is kept: the version, if it was upgraded past the spec, and what the file does not name.
pub(super) fn ahead(want: &Spec, live: &Live, last: Option<&Spec>) -> Option<Ahead<Spec>> {
    let outside = set_outside(want, live);
    match (upgraded(want, live, last), outside) {
        (None, None) => None,
        (None, note) => Some(Ahead { spec: want.clone(), note, hint: None }),
        (Some(ahead), None) => Some(ahead),
        (Some(ahead), Some(outside)) => {
            let note = ahead.note.map_or_else(|| outside.clone(), |note| format!("{note}; {outside}"));
            Some(Ahead { note: Some(note), ..ahead })
        }
    }
}

/// Why the control plane's egress mode cannot become the one that is asked for.
/// Source: <https://docs.aws.amazon.com/eks/latest/APIReference/API_VpcConfigRequest.html>
pub(super) fn refused_egress(want: &Spec, live: &Live) -> Option<String> {
    let customer = ControlPlaneEgressModeType::CustomerRouted;
    let back = want.egress.as_ref().is_some_and(|mode| mode != customer.as_str());
    (back && live.egress == customer.as_str()).then(|| {
        "the control plane's egress is `customer-routed`, and EKS does not take that back: set `cluster.egress: \
         customer-routed` in the stack file"
            .to_owned()
    })
}

/// The spec of a cluster that was upgraded past it. What was last asked for tells such an upgrade from a file that asks
/// for an older version.
fn upgraded(want: &Spec, live: &Live, last: Option<&Spec>) -> Option<Ahead<Spec>> {
    let asked_back = last.is_some_and(|last| is_newer(&last.version, &want.version));
    if asked_back || !is_newer(&live.version, &want.version) {
        return None;
    }
    let (runs, asked) = (&live.version, &want.version);
    Some(Ahead {
        spec: Spec { version_passed: true, ..want.clone() },
        note: Some(format!(
            "the cluster runs Kubernetes {runs}, the file asks for {asked}: it was upgraded outside provisioner, and \
             is kept"
        )),
        hint: Some(format!("set `cluster.version: \"{runs}\"` in the stack file")),
    })
}

/// Why the cluster cannot take the version that is asked for.
pub(super) fn refused_version(want: &Spec, live: &Live) -> Option<String> {
    let (new, old) = (KubernetesMinor::parse(&want.version)?, KubernetesMinor::parse(&live.version)?);
    if want.version_passed {
        return None;
    }
    if new.next() < old {
        return Some(format!(
            "the cluster runs Kubernetes {old}, and EKS goes back by one minor version at most: ask for {}, not {new}",
            KubernetesMinor(old.0.saturating_sub(1))
        ));
    }
    (new > old.next()).then(|| {
        format!(
            "the cluster runs Kubernetes {old}, and EKS goes up one minor version at a time: ask for {} first, not {new}",
            old.next()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::Resource as _, resources::eks_cluster::EksCluster};
    use serde_json::json;

    fn want(version: &str) -> Spec {
        let spec = json!({"name": "shop", "version": version, "role": "r", "vpc": "v", "subnets": [],
            "endpointPublic": false, "publicCidrs": [], "serviceCidr": null, "logTypes": [], "key": "k",
            "upgradePolicy": "STANDARD", "deletionProtection": true, "tags": {}});
        serde_json::from_value(spec).unwrap()
    }

    fn live(version: &str) -> Live {
        let live = json!({"name": "shop", "arn": "a", "version": version, "role": "r", "vpc": "v", "subnets": [],
            "endpointPublic": false, "endpointPrivate": true, "publicCidrs": [], "serviceCidr": null, "logTypes": [],
            "key": "k", "authenticationMode": "API", "upgradePolicy": "STANDARD", "deletionProtection": true,
            "status": "ACTIVE", "trouble": null, "endpoint": null, "certificateAuthority": null, "issuer": null,
            "issuerHost": null, "securityGroup": null, "platformVersion": null, "tags": {}});
        serde_json::from_value(live).unwrap()
    }

    #[test]
    fn an_upgrade_by_eks_is_kept_and_a_file_that_goes_back_is_refused() {
        // What the file asks for, what was last asked for, what runs: kept, refused, differs.
        let cases = [
            ("1.34", Some("1.34"), "1.34", (false, false, false)),
            ("1.35", Some("1.34"), "1.34", (false, false, true)),
            ("1.34", Some("1.34"), "1.35", (true, false, false)),
            ("1.34", None, "1.35", (true, false, false)),
            // EKS upgraded it again.
            ("1.33", Some("1.33"), "1.35", (true, false, false)),
            // This program had upgraded it, and the file now asks for the version before: a rollback.
            ("1.34", Some("1.35"), "1.35", (false, false, true)),
            ("1.33", Some("1.35"), "1.35", (false, true, true)),
            ("1.36", Some("1.34"), "1.34", (false, true, true)),
        ];
        for (asked, last, runs, expected) in cases {
            let kept = ahead(&want(asked), &live(runs), last.map(want).as_ref());
            let spec = kept.as_ref().map_or_else(|| want(asked), |kept| kept.spec.clone());
            let refused = EksCluster::validate_change(&spec, &live(runs)).is_some();
            let differs = !EksCluster::diff(&spec, &live(runs)).is_empty();
            assert_eq!((kept.is_some(), refused, differs), expected, "{asked} {last:?} {runs}");
            if let Some(kept) = kept {
                assert_eq!(
                    kept.hint.unwrap(),
                    format!("set `cluster.version: \"{runs}\"` in the stack file")
                );
                assert!(kept.note.unwrap().contains(runs));
                assert_eq!(kept.spec.version, asked, "the record keeps what was asked for");
            }
        }
    }
}
