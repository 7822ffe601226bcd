//! Details of the cluster and its parts for `status`: node counts, versions, and newer versions.

use crate::{
    aws::{
        AddonVersion, AutoscalingGroup, Clients, OfferedVersion, addon_versions, autoscaling_groups,
        kubernetes_versions,
    },
    model::{Address, CallError, ErrorKind, KubernetesMinor, Observed, Snapshot, counted},
    resources::{addon, eks_cluster, fargate_profile, node_group, vpc_endpoint},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The details of one resource.
#[derive(Clone, Debug)]
pub struct Detail {
    /// The resource's address.
    pub address: Address,
    /// The kind of resource, in words for people.
    pub what: &'static str,
    /// The details, in words for people.
    pub text: String,
    /// The details, for programs.
    pub json: Value,
    /// A newer version that is available.
    pub newer: Option<String>,
}

/// What AWS offers at the moment. Empty if the caller may not ask, so that the rest is still shown.
#[derive(Default)]
struct Offered {
    versions: Vec<OfferedVersion>,
    addons: BTreeMap<String, Vec<AddonVersion>>,
    releases: BTreeMap<String, String>,
}

fn or_none<T: Default>(answer: Result<T, CallError>) -> Result<T, CallError> {
    match answer {
        Err(error)
            if matches!(error.class, ErrorKind::Denied | ErrorKind::Unsupported | ErrorKind::Refused) =>
        {
            Ok(T::default())
        }
        answer => answer,
    }
}

/// Returns the addresses and live forms of the observed resources of a kind.
fn live<T: DeserializeOwned>(observed: &Observed, kind: &str) -> Vec<(Address, T)> {
    let of_kind = observed.found.iter().filter(|(_, found)| found.kind == kind);
    of_kind
        .filter_map(|(at, found)| Some((at.clone(), serde_json::from_value(found.live.clone()).ok()?)))
        .collect()
}

/// Returns the details of the recorded resources. Asks AWS for what was not observed.
pub async fn gather_details(
    clients: &Clients,
    snapshot: &Snapshot,
    observed: &Observed,
) -> Result<Vec<Detail>, CallError> {
    let recorded = |address: &Address| snapshot.resources.contains_key(address);
    let clusters: Vec<(Address, eks_cluster::Live)> = live(observed, "eks_cluster");
    let Some((address, cluster)) = clusters.into_iter().find(|(address, _)| recorded(address)) else {
        return Ok(Vec::new());
    };
    let groups: Vec<(Address, node_group::Live)> = live(observed, "node_group");
    let architectures: BTreeSet<&str> = groups.iter().map(|(_, group)| architecture(group)).collect();
    let list: Vec<&str> = architectures.into_iter().collect();
    let names: Vec<String> = groups.iter().filter_map(|(_, group)| group.scaling_group.clone()).collect();
    let releases = async {
        match list.is_empty() {
            true => Ok(BTreeMap::new()),
            false => crate::aws::bottlerocket_releases(clients, &cluster.version, &list).await,
        }
    };
    let (versions, addons, releases, autoscaling_groups) = tokio::join!(
        kubernetes_versions(clients),
        addon_versions(clients, &cluster.version),
        releases,
        autoscaling_groups(clients, names)
    );
    let offered =
        Offered { versions: or_none(versions)?, addons: or_none(addons)?, releases: or_none(releases)? };
    let autoscaling_groups = or_none(autoscaling_groups)?;

    let mut details = vec![of_cluster(address, &cluster, &offered)];
    details.extend(groups.into_iter().map(|(at, group)| of_group(at, &group, &autoscaling_groups, &offered)));
    let profiles: Vec<(Address, fargate_profile::Live)> = live(observed, "fargate_profile");
    details.extend(profiles.into_iter().map(|(address, profile)| Detail {
        address,
        what: "Fargate",
        text: format!("{}: {}", profile.name, profile.status),
        json: json!({"status": profile.status}),
        newer: None,
    }));
    let addons: Vec<(Address, addon::Live)> = live(observed, "addon");
    details.extend(addons.into_iter().map(|(at, addon)| of_addon(at, &addon, &offered)));
    let endpoints: Vec<(Address, vpc_endpoint::Live)> = live(observed, "vpc_endpoint");
    details.extend(endpoints.into_iter().map(|(address, endpoint)| Detail {
        text: format!("{}: {}", address.as_str().rsplit('/').next().unwrap_or_default(), endpoint.state),
        json: json!({"status": endpoint.state}),
        address,
        what: "endpoint",
        newer: None,
    }));
    details.retain(|detail| recorded(&detail.address));
    Ok(details)
}

fn of_cluster(address: Address, cluster: &eks_cluster::Live, offered: &Offered) -> Detail {
    let newest = offered.versions.first().map(|it| it.version.clone());
    let support = offered.versions.iter().find(|it| it.version == cluster.version).map(|it| &it.support);
    let until = support.and_then(|it| it.standard.clone());
    let runs = KubernetesMinor::parse(&cluster.version);
    let open = match (cluster.endpoint_public, cluster.public_cidrs.join(", ")) {
        (true, blocks) => format!("open to {blocks}"),
        (false, _) => "private".to_owned(),
    };
    Detail {
        what: "cluster",
        text: format!(
            "{}: {}, Kubernetes {}{}{}, API server {open}",
            cluster.name,
            cluster.status,
            cluster.version,
            cluster.platform_version.as_ref().map(|version| format!(" ({version})")).unwrap_or_default(),
            until.as_ref().map(|until| format!(", in standard support until {until}")).unwrap_or_default(),
        ),
        json: json!({
            "status": cluster.status, "version": cluster.version, "platformVersion": cluster.platform_version,
            "endpoint": cluster.endpoint, "endOfStandardSupport": until,
            "endOfExtendedSupport": support.and_then(|it| it.extended.clone()),
        }),
        newer: newest.filter(|newest| KubernetesMinor::parse(newest) > runs),
        address,
    }
}

fn architecture(group: &node_group::Live) -> &'static str {
    if group.ami_type.ends_with("ARM_64") { "arm64" } else { "x86_64" }
}

fn of_group(
    address: Address,
    group: &node_group::Live,
    autoscaling_groups: &BTreeMap<String, AutoscalingGroup>,
    offered: &Offered,
) -> Detail {
    let scaling_group = group.scaling_group.as_ref().and_then(|name| autoscaling_groups.get(name));
    let nodes = match scaling_group {
        Some(scaling_group) => {
            format!("{} of {} in service", scaling_group.in_service, counted(scaling_group.desired, "node"))
        }
        None => format!("{} desired", counted(usize::try_from(group.desired).unwrap_or_default(), "node")),
    };
    let newest = offered.releases.get(architecture(group));
    Detail {
        what: "node group",
        text: format!("{}: {}, {nodes}, Bottlerocket {}", group.name, group.status, group.release),
        json: json!({
            "status": group.status, "version": group.version, "release": group.release, "desired": group.desired,
            "inService": scaling_group.map(|scaling_group| scaling_group.in_service), "nodes": scaling_group.map(|scaling_group| scaling_group.all),
        }),
        // Releases of other minors are not comparable; the version of the group moves with the cluster's.
        newer: newest.filter(|newest| **newest != group.release).cloned(),
        address,
    }
}

fn of_addon(address: Address, addon: &addon::Live, offered: &Offered) -> Detail {
    // EKS lists the newest first; `up` would upgrade to the default.
    let versions = offered.addons.get(&addon.name).map(Vec::as_slice).unwrap_or_default();
    let here = versions.iter().position(|version| version.version == addon.version);
    let default = versions.iter().position(|version| version.default);
    let newer = default.filter(|default| here.is_none_or(|here| *default < here));
    Detail {
        what: "add-on",
        text: format!("{}: {}, {}", addon.name, addon.status, addon.version),
        json: json!({"status": addon.status, "version": addon.version}),
        newer: newer.and_then(|index| versions.get(index)).map(|version| version.version.clone()),
        address,
    }
}
