//! The updates of an EKS cluster, its configuration as EKS's types, and a version that moved ahead.

use super::{
    cluster_forms::{Live, Spec},
    handler::all_resolved,
};
use crate::model::{Ahead, CallError, KubernetesMinor, is_newer, sorted_set};
use aws_sdk_eks::{
    operation::update_cluster_config::builders::UpdateClusterConfigFluentBuilder,
    types::{
        AuthenticationMode, EncryptionConfig, LogSetup, LogType, Logging, Provider, SupportType,
        UpdateAccessConfigRequest, UpgradePolicyRequest, VpcConfigRequest,
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
        (want.version != live.version && !want.version_passed, Update::Version(want.version.clone())),
        (live.authentication_mode != AuthenticationMode::Api.as_str(), Update::Authentication),
        (differ(&subnets, &live.subnets), Update::Subnets(subnets)),
        (endpoint, Update::Endpoint(want.endpoint_public, want.public_cidrs.clone())),
        (
            differ(&want.log_types, &live.log_types),
            Update::Logs(want.log_types.clone(), live.log_types.clone()),
        ),
        (want.upgrade_policy != live.upgrade_policy, Update::UpgradePolicy(want.upgrade_policy.clone())),
        (
            want.deletion_protection != live.deletion_protection,
            Update::DeletionProtection(want.deletion_protection),
        ),
    ];
    Ok(all.into_iter().filter(|(due, _)| *due).map(|(_, update)| update).collect())
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

/// The spec of a cluster that was upgraded past it. What was last asked for tells such an upgrade from a file that asks
/// for an older version.
pub(super) fn ahead(want: &Spec, live: &Live, last: Option<&Spec>) -> Option<Ahead<Spec>> {
    let asked_back = last.is_some_and(|last| is_newer(&last.version, &want.version));
    if asked_back || !is_newer(&live.version, &want.version) {
        return None;
    }
    let (runs, asked) = (&live.version, &want.version);
    Some(Ahead {
        spec: Spec { version_passed: true, ..want.clone() },
        note: Some(format!(
            "the cluster runs Kubernetes {runs}, the file asks for {asked}: it was upgraded outside provisioner, and \
             does not go back"
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
    if new < old {
        return Some(format!(
            "the cluster runs Kubernetes {}, and EKS does not go back to {}: `cluster.version` must be {} or one more",
            live.version, want.version, live.version
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
            // This program had upgraded it, and the file now asks for the version before.
            ("1.34", Some("1.35"), "1.35", (false, true, true)),
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
