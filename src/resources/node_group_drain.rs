//! Moves the pods of a node group to other nodes before the group is deleted.
//!
//! EKS drains a group that it deletes: it evicts the pods of all nodes at once, and terminates after five minutes what is
//! left. Without a PodDisruptionBudget, all replicas of a workload end together.
//! Source: <https://docs.aws.amazon.com/eks/latest/userguide/delete-managed-node-group.html>
//!
//! The caller needs, in Kubernetes: `list` and `patch` on nodes, `list` on pods, `create` on `pods/eviction`, and `get` on
//! the controllers of the pods. The access policy `AmazonEKSClusterAdminPolicy` contains these.

use super::prelude::*;
use crate::{
    aws::{notice, report_accepted},
    kube::{self, EvictionAnswer, KubeClient, PodRef, Replicas},
    model::Undrained,
};
use aws_sdk_eks::types::NodegroupStatus;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Labels that EKS gives each node of a managed group, and each node of Fargate.
const GROUP_LABEL: &str = "/metadata/labels/eks.amazonaws.com~1nodegroup";
const COMPUTE_LABEL: &str = "/metadata/labels/eks.amazonaws.com~1compute-type";

/// How many texts about pods a message holds.
const MAX_TEXTS: usize = 5;

/// Evicts what may be evicted now. `None`: nothing that could be moved is left on the group's nodes.
pub(super) async fn drain(cx: &Cx, cluster: &str, group: &str) -> Result<Option<Undrained>, CallError> {
    let Some(client) = kube::cluster(cx, cluster).await? else { return Ok(None) };
    let result = kube::forget_connection_on_silence(cx, step(cx, &client, (cluster, group)).await);
    result.map_err(|error| {
        let message = format!("cannot move the pods of its nodes: {}", error.message);
        CallError { message, ..error }
    })
}

async fn step(
    cx: &Cx,
    client: &KubeClient,
    (cluster, group): (&str, &str),
) -> Result<Option<Undrained>, CallError> {
    let nodes = client.nodes().await?;
    let (own, others): (Vec<&Value>, Vec<&Value>) =
        nodes.iter().partition(|node| label(node, GROUP_LABEL).as_deref() == Some(group));
    let leaving: BTreeSet<String> = own.iter().filter_map(|node| label(node, "/metadata/name")).collect();
    let takes_pods =
        |node: &&Value| !is_cordoned(node) && label(node, COMPUTE_LABEL).as_deref() != Some("fargate");
    if leaving.is_empty() {
        return Ok(None);
    }
    if !others.iter().any(takes_pods) {
        if kube::next_evictions(&leaving, &client.all_pods().await?, &BTreeMap::new()).left == 0 {
            return Ok(None);
        }
        let Some(expected) = expected_group(cx, cluster, group, &others).await? else {
            notice("no other node can take the pods of its nodes: they end with it");
            return Ok(None);
        };
        return Ok(Some(Undrained {
            // Less is progress, and any pod that moves later is.
            left: usize::MAX,
            why: format!("waiting for the nodes of {expected} to join the cluster"),
            hint: format!("check the instances of {expected}, then run the same command again"),
        }));
    }
    let open = own.iter().filter(|node| !is_cordoned(node)).filter_map(|node| label(node, "/metadata/name"));
    for node in open {
        client.cordon(&node).await?;
        report_accepted();
    }
    // Read after the nodes are closed: no pod comes to them any more.
    let pods = client.all_pods().await?;
    let mut replicas = BTreeMap::new();
    for (uid, controller) in kube::controllers(&leaving, &pods) {
        let found = match client.get(&controller).await {
            Err(error) if error.class == ErrorKind::Denied => None,
            found => found?,
        };
        replicas.insert(uid, Replicas::of(found.as_ref()));
    }
    let kube::DrainStep { evict, lost, mut waits, left } = kube::next_evictions(&leaving, &pods, &replicas);
    if left == 0 {
        return Ok(None);
    }
    for pod in evict {
        match client.evict(&pod).await? {
            EvictionAnswer::Accepted => {
                report_accepted();
                tell_loss(&pod, &lost);
            }
            EvictionAnswer::Gone => {}
            EvictionAnswer::Forbidden(why) => waits.push(format!("pod {pod}: {why}")),
        }
    }
    Ok(Some(Undrained {
        left,
        why: format!("moving pods to other nodes, {left} left{}", listed(&waits)),
        hint: format!(
            "resolve what is named, then run the same command again; `kubectl uncordon -l \
             eks.amazonaws.com/nodegroup={group}` opens the nodes again"
        ),
    }))
}

/// Returns another group that has instances, none of which is a node of the cluster yet.
async fn expected_group(
    cx: &Cx,
    cluster: &str,
    group: &str,
    others: &[&Value],
) -> Result<Option<String>, CallError> {
    let names: Result<Vec<String>, _> =
        cx.eks.list_nodegroups().cluster_name(cluster).into_paginator().items().send().try_collect().await;
    let has_nodes = |name: &str| others.iter().any(|node| label(node, GROUP_LABEL).as_deref() == Some(name));
    for name in if_found(names.call())?.unwrap_or_default() {
        if name == group || has_nodes(&name) {
            continue;
        }
        let call = cx.eks.describe_nodegroup().cluster_name(cluster).nodegroup_name(&name);
        let found = call.send().await.read_if_found(|answer| required(answer.nodegroup, "nodegroup"))?;
        let Some(other) = found else { continue };
        let desired = other.scaling_config.as_ref().and_then(|scaling| scaling.desired_size);
        if other.status != Some(NodegroupStatus::Deleting) && desired.unwrap_or_default() > 0 {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn label(node: &Value, path: &str) -> Option<String> {
    node.pointer(path).and_then(Value::as_str).map(str::to_owned)
}

fn tell_loss(pod: &PodRef, lost: &[PodRef]) {
    if lost.contains(pod) {
        notice(&format!("pod {pod} was evicted, and no controller creates it again"));
    }
}

fn is_cordoned(node: &Value) -> bool {
    node.pointer("/spec/unschedulable").and_then(Value::as_bool) == Some(true)
}

fn listed(waits: &[String]) -> String {
    let (shown, more) = (waits.iter().take(MAX_TEXTS), waits.len().saturating_sub(MAX_TEXTS));
    let mut text: String = shown.map(|wait| format!("; {wait}")).collect();
    if more > 0 {
        text.push_str(&format!("; and {more} more"));
    }
    text
}
