//! What a deletion contains, by the ids and names that AWS knows.

use crate::{
    aws::{Tags, is_created_for},
    model::Blockable,
};
use aws_sdk_ec2::types::SecurityGroup;
use serde_json::Value;
use std::collections::BTreeSet;

/// What a deletion contains, by the ids and names that AWS knows.
#[derive(Clone, Debug, Default)]
pub struct Holdings {
    /// The VPC that is to be deleted; `None` if the network stays.
    pub vpc: Option<String>,
    /// The security groups that are to be deleted.
    pub groups: BTreeSet<String>,
    /// The ids of everything that the stack's state records, also of what stays.
    pub ids: BTreeSet<String>,
    /// The names of the clusters that are to be deleted.
    pub clusters: BTreeSet<String>,
    /// The security groups that EKS created with them, which pods on Fargate have.
    pub cluster_groups: BTreeSet<String>,
    /// The name of the stack's cluster, also if an earlier run deleted it: its interfaces end some time later.
    pub former_cluster: String,
    /// The names of the stack's clusters that an earlier run deleted, and whose groups are swept.
    pub former_clusters: BTreeSet<String>,
    /// `NAMESPACE/NAME` of the Services and Ingresses that the deletion removes, with their load balancers, and the groups
    /// of such Ingresses.
    pub balanced: BTreeSet<String>,
    /// The names of the roles that are to be deleted.
    pub roles: BTreeSet<String>,
}

/// Returns how obstacles name a resource: by its id, a typed name such as `cluster/NAME`, and by the id of the group that
/// EKS creates with a cluster.
pub fn names_of(blockable: Blockable, live: &Value) -> Vec<String> {
    let of = |field: &str| live.get(field).and_then(Value::as_str).map(str::to_owned);
    let typed = match blockable {
        Blockable::Cluster => of("name").map(|name| format!("cluster/{name}")),
        Blockable::Role => of("name").map(|name| format!("role/{name}")),
        Blockable::NodeGroup | Blockable::FargateProfile => of("name").map(|name| format!("worker/{name}")),
        _ => None,
    };
    [of("id"), of("securityGroup"), typed].into_iter().flatten().collect()
}

impl Holdings {
    /// Adds a resource that the stack records.
    pub fn know(&mut self, blockable: Blockable, live: &Value) {
        self.ids.extend(names_of(blockable, live));
    }

    /// Adds a resource that is to be deleted.
    pub fn delete(&mut self, blockable: Blockable, spec: &Value, live: &Value) {
        let of = |field: &str| live.get(field).and_then(Value::as_str).map(str::to_owned);
        match blockable {
            Blockable::Vpc => self.vpc = self.vpc.take().or(of("id")),
            Blockable::SecurityGroup => self.groups.extend(of("id")),
            Blockable::Role => self.roles.extend(of("name")),
            Blockable::Cluster => {
                self.clusters.extend(of("name"));
                self.groups.extend(of("securityGroup"));
                self.cluster_groups.extend(of("securityGroup"));
            }
            _ => {}
        }
        if let Some(object) = spec.get("object") {
            self.balanced.extend(balanced(object));
        }
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// Returns whether tags say that a resource was created by one of the clusters or by a controller in it: it ends with
    /// its cluster. A resource that a cluster may only use has the value `shared`.
    /// Sources: <https://docs.aws.amazon.com/eks/latest/userguide/eks-using-tags.html>,
    /// <https://github.com/aws/amazon-vpc-cni-k8s#cluster_name>,
    /// <https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/deploy/security_groups/>
    pub(super) fn is_of_cluster(&self, tags: &Tags) -> bool {
        const KEYS: [&str; 4] = [
            "aws:eks:cluster-name",
            "eks:cluster-name",
            "cluster.k8s.amazonaws.com/name",
            "elbv2.k8s.aws/cluster",
        ];
        let named = KEYS.iter().filter_map(|key| tags.get(*key)).any(|name| self.clusters.contains(name));
        let owned = |name: &String| {
            tags.get(&format!("kubernetes.io/cluster/{name}")).is_some_and(|value| value == "owned")
        };
        named || self.clusters.iter().any(owned)
    }

    /// Returns whether a group is deleted with the network, or before it: one of the stack's clusters, or a controller in
    /// it, created it, and it is in no network that stays.
    pub(super) fn is_swept(&self, group: &SecurityGroup) -> bool {
        let mut clusters = self.clusters.iter().chain(&self.former_clusters);
        let is_elsewhere = self.vpc.is_some() && group.vpc_id != self.vpc;
        !is_elsewhere && clusters.any(|cluster| is_created_for(group, cluster))
    }

    /// Returns whether tags say that a network interface was created for a node or pod of the stack's cluster, which may be
    /// deleted already.
    pub(super) fn is_of_pods(&self, tags: &Tags) -> bool {
        is_of_pods(tags, &self.former_cluster) || self.clusters.iter().any(|name| is_of_pods(tags, name))
    }

    /// Returns whether tags say that an instance is a node of a node group of one of the clusters, or of its Auto Mode. Nodes
    /// that something else started, such as Karpenter, do not end with it: only AWS sets tags that begin with `aws:`.
    /// Source: <https://docs.aws.amazon.com/eks/latest/userguide/eks-using-tags.html>
    pub(super) fn is_node(&self, tags: &Tags) -> bool {
        let cluster = tags.get("eks:cluster-name");
        let of_group = tags.contains_key("eks:nodegroup-name")
            && cluster.is_some_and(|name| self.clusters.contains(name));
        of_group || tags.get("aws:eks:cluster-name").is_some_and(|name| self.clusters.contains(name))
    }
}

/// Returns whether tags say that a network interface was created for a node or pod of this cluster.
/// Sources: <https://github.com/aws/amazon-vpc-cni-k8s#cluster_name>,
/// <https://github.com/aws/amazon-vpc-resource-controller-k8s>
pub fn is_of_pods(tags: &Tags, cluster: &str) -> bool {
    let is = |key: &str, value: &str| tags.get(key).is_some_and(|it| it == value);
    is("cluster.k8s.amazonaws.com/name", cluster) || is(&format!("kubernetes.io/cluster/{cluster}"), "owned")
}

/// Returns `NAMESPACE/NAME` of a Service or an Ingress, and the group of the latter.
fn balanced(object: &Value) -> impl Iterator<Item = String> {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str);
    let is_balanced = matches!(text("/kind"), Some("Service" | "Ingress"));
    let namespace = text("/metadata/namespace").unwrap_or("default");
    let name = format!("{namespace}/{}", text("/metadata/name").unwrap_or_default());
    let group = text("/metadata/annotations/alb.ingress.kubernetes.io~1group.name").map(str::to_owned);
    [Some(name), group].into_iter().flatten().filter(move |_| is_balanced)
}
