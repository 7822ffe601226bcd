//! Whether the pods that a plan deploys, and those of CoreDNS, have a node or a Fargate profile to run on. Without one, the
//! add-on or the rollout fails after 20 minutes, when everything else exists.

use super::{OperationError, Workspace};
use crate::{
    graph::fargate_profiles,
    model::{Action, Desired as _, Graph, Plan},
    resources::{addon, eks_cluster, manifest, node_group},
    stack::{Stack, cluster::NodePool, repelled, selects},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Pods without a place, and how certain that is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Homeless {
    /// What the pods belong to.
    name: String,
    /// The taint of each node group that they do not tolerate.
    taints: Vec<String>,
    /// Whether they will certainly not run: their tolerations are known, and no profile selects them.
    certain: bool,
    hint: String,
}

/// What pods need of a place to run.
struct Pods {
    name: String,
    namespace: String,
    labels: BTreeMap<String, String>,
    tolerations: Vec<Value>,
    /// Whether the tolerations are known.
    known: bool,
    /// Whether EC2 nodes are asked for, so that a Fargate profile alone is not enough.
    on_nodes: bool,
    hint: String,
}

/// The tolerations of EKS's CoreDNS add-on that no configuration changes; older versions have `master` instead.
/// Sources: <https://github.com/aws/containers-roadmap/issues/2167>,
/// <https://github.com/aws/containers-roadmap/issues/1389>
fn coredns_tolerations() -> Vec<Value> {
    let keys =
        ["CriticalAddonsOnly", "node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"];
    keys.iter().map(|key| json!({"key": key, "operator": "Exists"})).collect()
}

/// Returns the pods of an add-on, unless its configuration says where they run, or they run on every node.
fn of_addon(name: &str, configuration: &Value) -> Option<Pods> {
    let (label, tolerations, known) = match name {
        "coredns" => ("kube-dns", coredns_tolerations(), true),
        // EKS does not document the tolerations of its community add-ons.
        "metrics-server" => ("metrics-server", Vec::new(), false),
        _ => return None,
    };
    if configuration.get("tolerations").is_some() || configuration.get("computeType").is_some() {
        return None;
    }
    Some(Pods {
        name: format!("the add-on `{name}`"),
        namespace: "kube-system".to_owned(),
        labels: BTreeMap::from([("k8s-app".to_owned(), label.to_owned())]),
        tolerations,
        known,
        on_nodes: name == "coredns",
        hint: format!("set `tolerations` in `configuration` of the add-on `{name}`"),
    })
}

/// Returns the pods of a manifest, unless it has none, or they run on every node.
fn of_manifest(object: &Value) -> Option<Pods> {
    let text = |value: &Value, pointer: &str| {
        value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let kind = text(object, "/kind");
    if !["Deployment", "ReplicaSet", "StatefulSet", "Job"].contains(&kind.as_str()) {
        return None;
    }
    let template = object.pointer("/spec/template")?;
    let labels = template.pointer("/metadata/labels").cloned().unwrap_or_default();
    Some(Pods {
        name: format!("{kind} {}", text(object, "/metadata/name")),
        namespace: text(object, "/metadata/namespace"),
        labels: serde_json::from_value(labels).unwrap_or_default(),
        tolerations: template
            .pointer("/spec/tolerations")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default(),
        known: true,
        on_nodes: false,
        hint: "add tolerations to its manifest, or a Fargate profile for its namespace".to_owned(),
    })
}

/// Returns the pods of the graph that have no node group to run on, and that no Fargate profile certainly takes.
fn homeless(stack: &Stack, graph: &Graph) -> Vec<Homeless> {
    // Auto Mode starts nodes without taints for every pod that waits for one.
    if stack.node_pools().is_some_and(|pools| pools.contains(&NodePool::GeneralPurpose)) {
        return Vec::new();
    }
    let profiles = fargate_profiles(stack);
    let selectors: Vec<_> = profiles.iter().flat_map(|(_, selectors)| selectors).collect();
    let field = |spec: &Value, name: &str| spec.get(name).cloned().unwrap_or_default();
    let pods = graph.nodes.values().filter_map(|node| match node.kind.as_str() {
        addon::Spec::KIND => {
            of_addon(field(&node.spec, "name").as_str()?, &field(&node.spec, "configuration"))
        }
        manifest::Spec::KIND => of_manifest(&field(&node.spec, "object")),
        _ => None,
    });
    let without = |pods: Pods| {
        let taints = repelled(&stack.node_groups, &pods.tolerations)?;
        let said = selectors.iter().map(|it| selects(it, &pods.namespace, &pods.labels));
        let said: Vec<Option<bool>> = said.collect();
        let (taken, unsure) = (said.contains(&Some(true)), said.contains(&None));
        if taken && !pods.on_nodes {
            return None;
        }
        // CoreDNS comes to Fargate only with `computeType`, which EKS turns into an annotation of its pods.
        let hint = match taken || (unsure && pods.on_nodes) {
            true => "set `computeType: Fargate` in `configuration` of the add-on `coredns`".to_owned(),
            false => format!("add a node group without such taints, or {}", pods.hint),
        };
        Some(Homeless { name: pods.name, taints, certain: pods.known && !taken && !unsure, hint })
    };
    pods.filter_map(without).collect()
}

/// Refuses a plan that creates a cluster in which pods have no place to run. Other nodes may have been added to a cluster
/// that exists, so that a plan for it is only warned about; so are pods whose tolerations are not known.
///
/// # Errors
/// The first of them, with the place of the taints in the file.
pub fn check_pod_placement(
    workspace: &Workspace,
    graph: &Graph,
    plan: &Plan,
) -> Result<Vec<String>, OperationError> {
    let stack = &workspace.stack;
    let new = |kinds: &[&str], actions: &[Action]| {
        plan.changes.iter().any(|it| kinds.contains(&it.kind.as_str()) && actions.contains(&it.action))
    };
    let creates = new(&[eks_cluster::Spec::KIND], &[Action::Create, Action::Replace]);
    let places = [addon::Spec::KIND, manifest::Spec::KIND, node_group::Spec::KIND];
    if !creates && !new(&places, &[Action::Create, Action::Replace, Action::Update]) {
        return Ok(Vec::new());
    }
    let found = homeless(stack, graph);
    if let Some(pods) = found.iter().find(|pods| pods.certain && creates) {
        let path = "nodeGroups[0].taints";
        return Err(stack.diagnostic(path, text(pods), Some(pods.hint.clone())).into());
    }
    Ok(found.iter().map(|pods| format!("{}; {}", text(pods), pods.hint)).collect())
}

fn text(pods: &Homeless) -> String {
    let Homeless { name, taints, certain, .. } = pods;
    let may = if *certain { "" } else { "may " };
    let verb = if *certain { "has" } else { "have" };
    format!(
        "{name} {may}{verb} no node to run on: it does not tolerate a taint of any node group ({})",
        taints.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Node, Stage};
    use std::collections::BTreeSet;

    fn node(kind: &str, address: &str, spec: Value) -> Node {
        Node {
            address: address.into(),
            kind: kind.to_owned(),
            stage: Stage::Cluster,
            spec,
            after: BTreeSet::new(),
            follows: BTreeSet::new(),
        }
    }

    /// The pods without a place and whether that is certain, with CoreDNS, an application and a controller.
    fn found(file: &str, dns: Value) -> Vec<(String, bool)> {
        let text = format!("name: shop\nregion: eu-central-1\ncluster: {{}}\n{file}");
        let stack = crate::stack::load("stack.yaml", text.as_bytes(), &|_| None).unwrap();
        let pods = |kind: &str, namespace: &str, name: &str, tolerations: Value| {
            json!({"object": {"kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": {"template": {
                "metadata": {"labels": {"app": name}}, "spec": {"tolerations": tolerations}}}}})
        };
        let critical = json!([{"key": "CriticalAddonsOnly", "operator": "Exists"}]);
        let nodes = [
            node("addon", "cluster/addon/coredns", json!({"name": "coredns", "configuration": dns})),
            node(
                "addon",
                "cluster/addon/metrics-server",
                json!({"name": "metrics-server", "configuration": {}}),
            ),
            node("addon", "cluster/addon/vpc-cni", json!({"name": "vpc-cni", "configuration": {}})),
            node("manifest", "m/web", pods("Deployment", "web", "web", json!([]))),
            node("manifest", "m/lbc", pods("Deployment", "kube-system", "lbc", critical)),
            node("manifest", "m/agent", pods("DaemonSet", "kube-system", "agent", json!([]))),
        ];
        let graph = Graph { nodes: nodes.into_iter().map(|node| (node.address.clone(), node)).collect() };
        homeless(&stack, &graph).into_iter().map(|pods| (pods.name, pods.certain)).collect()
    }

    fn names(list: &[(&str, bool)]) -> Vec<(String, bool)> {
        list.iter().map(|(name, certain)| ((*name).to_owned(), *certain)).collect()
    }

    const BATCH: &str = "nodeGroups: [{name: batch, taints: [{key: dedicated, effect: NoSchedule}]}]\n";
    const CRITICAL: &str =
        "nodeGroups: [{name: a, taints: [{key: CriticalAddonsOnly, effect: NoSchedule}]}]\n";
    const DNS: (&str, bool) = ("the add-on `coredns`", true);
    const METRICS: (&str, bool) = ("the add-on `metrics-server`", false);
    const WEB: (&str, bool) = ("Deployment web", true);
    const LBC: (&str, bool) = ("Deployment lbc", true);

    #[test]
    fn pods_need_a_group_whose_taints_they_tolerate() {
        assert_eq!(found("", json!({})), []);
        assert_eq!(found(&BATCH.replace("NoSchedule", "PreferNoSchedule"), json!({})), []);
        assert_eq!(found(&BATCH.replace("]}]", "]}, {name: b}]"), json!({})), []);
        assert_eq!(found(BATCH, json!({})), names(&[DNS, METRICS, LBC, WEB]));
        assert_eq!(found(CRITICAL, json!({})), names(&[METRICS, WEB]));
        assert_eq!(found(BATCH, json!({"tolerations": []})), names(&[METRICS, LBC, WEB]));
    }

    #[test]
    fn a_fargate_profile_takes_pods_and_coredns_only_if_it_is_told_to() {
        let profile = |namespace: &str| {
            format!("{BATCH}fargateProfiles: [{{name: p, selectors: [{{namespace: {namespace}}}]}}]\n")
        };
        assert_eq!(found(&profile("web"), json!({})), names(&[DNS, METRICS, LBC]));
        let unsure = ("the add-on `coredns`", false);
        assert_eq!(found(&profile("kube-system"), json!({})), names(&[unsure, WEB]));
        assert_eq!(found(&profile("kube-system"), json!({"computeType": "Fargate"})), names(&[WEB]));
        let maybe = [unsure, METRICS, ("Deployment lbc", false), ("Deployment web", false)];
        assert_eq!(found(&profile("'*'"), json!({})), names(&maybe));
        assert_eq!(found("fargateOnly: true\n", json!({})), []);
    }
}
