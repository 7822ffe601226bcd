//! Labels, taints and update limits of node groups, to EKS's types and back; and what of a group is kept.

use super::{
    handler::resolved,
    node_group_forms::{AwaySpec, Live, Spec, TaintSpec},
};
use crate::{
    aws::{Cx, optional_text},
    kube,
    model::{Ahead, CallError, UpdateOutcome, counted, is_newer},
};
use aws_sdk_eks::types::{
    NodeRepairConfig, Nodegroup, NodegroupUpdateConfig, Taint, TaintEffect, UpdateLabelsPayload,
    UpdateTaintsPayload,
};
use serde_json::Value;
use std::collections::BTreeMap;

impl TaintSpec {
    /// Converts taints to EKS's type.
    pub fn to_eks(list: &[TaintSpec]) -> Vec<Taint> {
        let each = list.iter().map(|taint| {
            let effect = TaintEffect::from(taint.effect.as_str());
            Taint::builder().key(&taint.key).value(&taint.value).effect(effect).build()
        });
        each.collect()
    }

    /// The change from `live` to `want`; none if they are the same.
    pub fn update(want: &[TaintSpec], live: &[TaintSpec]) -> Option<UpdateTaintsPayload> {
        let added: Vec<TaintSpec> = want.iter().filter(|taint| !live.contains(taint)).cloned().collect();
        // A taint is one key and effect: one of which only the value differs is updated, not removed.
        let is_removed =
            |old: &&TaintSpec| !want.iter().any(|it| (&it.key, &it.effect) == (&old.key, &old.effect));
        let removed: Vec<TaintSpec> = live.iter().filter(is_removed).cloned().collect();
        (!added.is_empty() || !removed.is_empty()).then(|| {
            UpdateTaintsPayload::builder()
                .set_add_or_update_taints((!added.is_empty()).then(|| TaintSpec::to_eks(&added)))
                .set_remove_taints((!removed.is_empty()).then(|| TaintSpec::to_eks(&removed)))
                .build()
        })
    }
}

/// The change of labels from `live` to `want`; none if they are the same.
pub fn labels_update(
    want: &BTreeMap<String, String>,
    live: &BTreeMap<String, String>,
) -> Option<UpdateLabelsPayload> {
    let added: BTreeMap<_, _> = want.iter().filter(|(key, value)| live.get(*key) != Some(value)).collect();
    let removed: Vec<String> = live.keys().filter(|key| !want.contains_key(*key)).cloned().collect();
    (!added.is_empty() || !removed.is_empty()).then(|| {
        let added = added.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        UpdateLabelsPayload::builder()
            .set_add_or_update_labels(Some(added))
            .set_remove_labels((!removed.is_empty()).then_some(removed))
            .build()
    })
}

impl From<Taint> for TaintSpec {
    fn from(taint: Taint) -> Self {
        TaintSpec {
            key: optional_text(taint.key),
            value: optional_text(taint.value),
            effect: optional_text(taint.effect),
        }
    }
}

/// How updates of a group replace nodes, as EKS's type. Both parts are always sent: EKS takes the whole.
pub fn update_config(want: &Spec) -> NodegroupUpdateConfig {
    let config = NodegroupUpdateConfig::builder().update_strategy(want.update_strategy.as_str().into());
    match want.max_unavailable {
        AwaySpec::Count(count) => config.max_unavailable(count).build(),
        AwaySpec::Percent(percent) => config.max_unavailable_percentage(percent).build(),
    }
}

/// Whether EKS repairs nodes, as EKS's type.
pub fn repair(on: bool) -> NodeRepairConfig {
    NodeRepairConfig::builder().enabled(on).build()
}

/// The settings of a group that no stack file can hold and that are not EKS's defaults.
pub fn unmanaged(group: &Nodegroup) -> Vec<String> {
    let repair = group.node_repair_config.as_ref().is_some_and(|it| {
        it.max_unhealthy_node_threshold_count.is_some()
            || it.max_unhealthy_node_threshold_percentage.is_some()
            || it.max_parallel_nodes_repaired_count.is_some()
            || it.max_parallel_nodes_repaired_percentage.is_some()
            || !it.node_repair_config_overrides().is_empty()
    });
    let warm = group.warm_pool_config.as_ref().is_some_and(|it| it.enabled == Some(true));
    let all = [
        (repair, "nodeRepairConfig (limits and overrides)"),
        (warm, "warmPoolConfig"),
        (group.remote_access.is_some(), "remoteAccess"),
    ];
    all.into_iter().filter(|(on, _)| *on).map(|(_, name)| name.to_owned()).collect()
}

impl AwaySpec {
    /// Reads the limit from EKS's answer; none if EKS gives none.
    pub fn read(config: &NodegroupUpdateConfig) -> Option<Self> {
        let count = config.max_unavailable.map(AwaySpec::Count);
        count.or(config.max_unavailable_percentage.map(AwaySpec::Percent))
    }
}

/// The spec with the release that runs, if it is newer: EKS does not go back. `last` is what the state holds.
pub fn ahead(want: &Spec, live: &Live, last: Option<&Live>) -> Ahead<Spec> {
    let (mut spec, mut notes, mut hint) = (want.clone(), Vec::new(), None);
    let same_minor = want.version == live.version;
    let newer_minor = is_newer(&live.version, &want.version) && !want.rolls_back;
    if newer_minor || (same_minor && is_newer(&live.release, &want.release)) {
        (spec.version, spec.release) = (live.version.clone(), live.release.clone());
        if last.is_some_and(|last| last.release != live.release || last.version != live.version) {
            notes.push(format!(
                "the nodes run Bottlerocket {} for Kubernetes {}, newer than {} for {}: it is kept, EKS does not go back",
                live.release, live.version, want.release, want.version
            ));
        }
    }
    if want.desired_unnamed && !want.desired_floats && last.is_some_and(|last| last.desired != live.desired) {
        notes.push(format!(
            "the group has {} and the file names no `desired`: the size is kept between {} and {}",
            counted(usize::try_from(live.desired).unwrap_or_default(), "node"),
            want.min,
            want.max
        ));
        hint = Some("set `desired` in `nodeGroups` to choose the size in the file".to_owned());
    }
    if !live.unmanaged.is_empty() {
        notes.push(format!("set outside provisioner, not in the file: {}", live.unmanaged.join(", ")));
    }
    let note = (!notes.is_empty()).then(|| notes.join("; "));
    Ahead { spec, note, hint }
}

/// Causes of a degraded group that only a new group cures.
/// Source: <https://docs.aws.amazon.com/eks/latest/APIReference/API_Issue.html>
pub const BEYOND_REPAIR: &[&str] = &["AutoScalingGroupNotFound", "Ec2LaunchTemplateNotFound"];

/// Whether the size is left to others once the group exists.
pub fn floats(want: &Spec) -> bool {
    want.desired_floats || want.desired_unnamed
}

/// How many nodes are asked for: what floats is left where it is, inside the bounds.
pub fn desired(want: &Spec, live: &Live) -> i32 {
    if floats(want) { live.desired.clamp(want.min, want.max) } else { want.desired }
}

/// The outcome of an update, with the PodDisruptionBudgets that keep its pods if it failed because of them. Without an
/// answer of the cluster it is left as it is.
pub async fn with_budgets(cx: &Cx, cluster: &str, outcome: UpdateOutcome) -> UpdateOutcome {
    let UpdateOutcome::Failed { code, mut message, resources } = outcome else { return outcome };
    if code == "PodEvictionFailure"
        && let Ok(Some(client)) = kube::cluster(cx, cluster).await
        && let Ok(budgets) = client.disruption_budgets().await
    {
        let names = exhausted(&budgets);
        if !names.is_empty() {
            message
                .push_str(&format!("; PodDisruptionBudgets that allow no disruption: {}", names.join(", ")));
        }
    }
    UpdateOutcome::Failed { code, message, resources }
}

/// The budgets that have pods and allow none of them to go, as `namespace/name`.
fn exhausted(budgets: &[Value]) -> Vec<String> {
    let count = |budget: &Value, field: &str| budget.pointer(&format!("/status/{field}"))?.as_u64();
    let blocks = |budget: &&Value| {
        count(budget, "disruptionsAllowed") == Some(0)
            && count(budget, "expectedPods").is_some_and(|pods| pods > 0)
    };
    let name = |budget: &Value| {
        let text = |field: &str| budget.pointer(&format!("/metadata/{field}"))?.as_str();
        Some(format!("{}/{}", text("namespace")?, text("name")?))
    };
    budgets.iter().filter(blocks).filter_map(name).collect()
}

/// One update of a group.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// What changes without new nodes; `None` is left as it is.
    Configuration {
        /// Number of nodes to ask for; the bounds are those of the spec.
        desired: Option<i32>,
        /// Change of the labels.
        labels: Option<UpdateLabelsPayload>,
        /// Change of the taints.
        taints: Option<UpdateTaintsPayload>,
        /// Whether the limit or the strategy of an update differs.
        away: bool,
        /// Whether EKS repairs nodes.
        repair: Option<bool>,
    },
    /// What replaces the nodes.
    Nodes {
        /// Version of Kubernetes and release of Bottlerocket, if one of them differs.
        image: Option<(String, String)>,
        /// Whether the launch template has another version.
        template: bool,
    },
}

/// Returns the updates that are due, in the order in which they are sent.
pub fn updates(want: &Spec, live: &Live) -> Result<Vec<Update>, CallError> {
    let desired = desired(want, live);
    let sized = (want.min, want.max, desired) != (live.min, live.max, live.desired);
    let (labels, taints) =
        (labels_update(&want.labels, &live.labels), TaintSpec::update(&want.taints, &live.taints));
    let away = Some(&want.max_unavailable) != live.max_unavailable.as_ref()
        || want.update_strategy != live.update_strategy;
    let repair = (want.repair != live.repair).then_some(want.repair);
    let mut due = Vec::new();
    if sized || labels.is_some() || taints.is_some() || away || repair.is_some() {
        due.push(Update::Configuration { desired: sized.then_some(desired), labels, taints, away, repair });
    }
    let template =
        live.template_version.as_ref() != Some(resolved(&want.template_version, "templateVersion")?);
    let image = (want.version != live.version || want.release != live.release)
        .then(|| (want.version.clone(), want.release.clone()));
    if template || image.is_some() {
        due.push(Update::Nodes { image, template });
    }
    Ok(due)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Readiness, Resource as _},
        resources::node_group::NodeGroup,
    };
    use serde_json::json;

    fn with<T: serde::de::DeserializeOwned>(base: &Value, fields: &Value) -> T {
        let mut all = base.clone();
        all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    fn want(fields: &Value) -> Spec {
        let base = json!({"cluster": "shop", "name": "main", "role": "r", "subnets": [], "amiType": "BOTTLEROCKET_x86_64",
            "instanceTypes": ["t3.large"], "capacity": "ON_DEMAND", "min": 2, "max": 4, "desired": 2,
            "desiredFloats": false, "labels": {}, "taints": [], "maxUnavailable": {"count": 1}, "template": "lt-1",
            "templateVersion": "1", "version": "1.34", "release": "1.53.0-5a1c93d7", "tags": {}});
        with(&base, fields)
    }

    fn live(fields: &Value) -> Live {
        let base = json!({"arn": "a", "cluster": "shop", "name": "main", "role": "r", "subnets": [],
            "amiType": "BOTTLEROCKET_x86_64", "instanceTypes": ["t3.large"], "capacity": "ON_DEMAND", "min": 2, "max": 4,
            "desired": 2, "labels": {}, "taints": [], "maxUnavailable": {"count": 1}, "template": "lt-1",
            "templateVersion": "1", "version": "1.34", "release": "1.53.0-5a1c93d7", "status": "ACTIVE",
            "trouble": null, "scalingGroup": "eks-main", "tags": {}});
        with(&base, fields)
    }

    fn paths(want: &Spec, live: &Live) -> Vec<String> {
        NodeGroup::diff(want, live).0.into_iter().map(|change| change.path).collect()
    }

    #[test]
    fn a_newer_release_is_kept_and_an_older_one_is_updated() {
        let new = json!({"release": "1.54.0-2f6b08ec"});
        let newer_minor = json!({"version": "1.35", "release": "1.53.0-5a1c93d7"});
        // What is wanted, what runs, what differs then, and what is said of it.
        let cases = [
            (json!({}), json!({}), &[][..], None),
            (json!({}), new.clone(), &[], Some("1.54.0-2f6b08ec")),
            (json!({}), newer_minor.clone(), &[], Some("1.35")),
            (new, json!({}), &["release"], None),
            (newer_minor, json!({"release": "1.54.0-2f6b08ec"}), &["version", "release"], None),
            // Builds of one release have no order.
            (json!({}), json!({"release": "1.53.0-ffffffff"}), &["release"], None),
        ];
        for (wanted, runs, differs, said) in cases {
            let ahead = ahead(&want(&wanted), &live(&runs), Some(&live(&json!({}))));
            assert_eq!(paths(&ahead.spec, &live(&runs)), differs, "{wanted} {runs}");
            let note = ahead.note.unwrap_or_default();
            assert!(said.map_or(note.is_empty(), |said| note.contains(said)), "{wanted} {runs}: {note}");
        }
        // The state holds it by now.
        let runs = live(&json!({"release": "1.54.0-2f6b08ec"}));
        assert_eq!(ahead(&want(&json!({})), &runs, Some(&runs)).note, None);
    }

    #[test]
    fn a_size_that_the_file_does_not_name_is_left_within_its_bounds() {
        let moved = live(&json!({"desired": 4}));
        let unnamed = want(&json!({"desiredUnnamed": true}));
        assert_eq!(paths(&unnamed, &moved), [""; 0]);
        assert_eq!(paths(&want(&json!({})), &moved), ["desired"], "what the file names is brought back");
        let note = ahead(&unnamed, &moved, Some(&live(&json!({})))).note.unwrap();
        assert!(note.contains("4 nodes") && note.contains("between 2 and 4"), "{note}");
        assert_eq!(ahead(&unnamed, &moved, Some(&moved)).note, None, "it is said once");
        let autoscaler = want(&json!({"desiredUnnamed": true, "desiredFloats": true}));
        assert_eq!(ahead(&autoscaler, &moved, Some(&live(&json!({})))).note, None, "that is its work");
        // A bound that moves takes the size along.
        let sizes = |min: i32, max: i32, there: i32| {
            let fields = json!({"desiredUnnamed": true, "min": min, "max": max});
            desired(&want(&fields), &live(&json!({"desired": there})))
        };
        assert_eq!([sizes(2, 4, 4), sizes(2, 3, 4), sizes(3, 4, 2)], [4, 3, 3]);
    }

    #[test]
    fn only_budgets_that_keep_pods_are_named() {
        let budget = |name: &str, status: Value| json!({"metadata": {"namespace": "demo", "name": name}, "status": status});
        let budgets = [
            budget("tight", json!({"disruptionsAllowed": 0, "expectedPods": 1})),
            budget("loose", json!({"disruptionsAllowed": 1, "expectedPods": 3})),
            budget("empty", json!({"disruptionsAllowed": 0, "expectedPods": 0})),
            budget("new", json!({})),
        ];
        assert_eq!(exhausted(&budgets), ["demo/tight"]);
    }

    #[test]
    fn what_only_a_new_group_cures_is_a_failure() {
        let state = |status: &str, trouble: Option<&str>| {
            NodeGroup::ready(&live(&json!({"status": status, "trouble": trouble})))
        };
        let lost = state("DEGRADED", Some("AutoScalingGroupNotFound: no such group (eks-main)"));
        assert!(matches!(lost, Readiness::Failed(why) if why.contains("AutoScalingGroupNotFound")));
        let unwell = state("DEGRADED", Some("AsgInstanceLaunchFailures: no capacity"));
        assert!(matches!(unwell, Readiness::Degraded(_)), "{unwell:?}");
        assert_eq!(state("ACTIVE", None), Readiness::Ready);
        let failed =
            |status: &str| NodeGroup::delete_failed(&live(&json!({"status": status, "trouble": "sg-1"})));
        assert_eq!((failed("DELETE_FAILED").as_deref(), failed("DELETING")), (Some("sg-1"), None));
    }
}
