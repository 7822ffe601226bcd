//! An obstacle to a deletion, and what the deletion contains.

use crate::aws::Tags;
use std::{collections::BTreeSet, fmt};

/// One resource of another owner that blocks the deletion of some of the stack's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Obstacle {
    /// What it is, `network interface`.
    pub kind: &'static str,
    /// Its id or name, as AWS knows it.
    pub id: String,
    /// Its `Name` tag, if it has one.
    pub name: Option<String>,
    /// What it does to the stack's resource, and who created it: `Lambda function, in subnet-0123`.
    pub detail: String,
    /// The stack's resources that cannot be deleted while it exists: ids, `cluster/NAME` or `role/NAME`.
    /// Empty if it blocks nothing, and is deleted with the network.
    pub blocks: BTreeSet<String>,
    /// What to do about it, as an imperative.
    pub hint: String,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_ref().map(|name| format!(" \"{name}\"")).unwrap_or_default();
        write!(f, "{} {}{name} ({})", self.kind, self.id, self.detail)
    }
}

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
    /// `NAMESPACE/NAME` of the Services and Ingresses that the deletion removes, with their load balancers, and the groups
    /// of such Ingresses.
    pub balanced: BTreeSet<String>,
    /// The names of the roles that are to be deleted.
    pub roles: Vec<String>,
}

impl Holdings {
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

    /// Returns whether tags say that a network interface was created for a node or pod of the stack's cluster, which may be
    /// deleted already.
    pub(super) fn is_of_pods(&self, tags: &Tags) -> bool {
        is_of_pods(tags, &self.former_cluster) || self.clusters.iter().any(|name| is_of_pods(tags, name))
    }

    /// Returns whether tags say that an instance is a node of a node group of one of the clusters. Nodes that something
    /// else started, such as Karpenter, do not end with it.
    pub(super) fn is_node(&self, tags: &Tags) -> bool {
        let cluster = tags.get("eks:cluster-name");
        tags.contains_key("eks:nodegroup-name") && cluster.is_some_and(|name| self.clusters.contains(name))
    }
}

/// Returns whether tags say that a network interface was created for a node or pod of this cluster.
/// Sources: <https://github.com/aws/amazon-vpc-cni-k8s#cluster_name>,
/// <https://github.com/aws/amazon-vpc-resource-controller-k8s>
pub fn is_of_pods(tags: &Tags, cluster: &str) -> bool {
    let is = |key: &str, value: &str| tags.get(key).is_some_and(|it| it == value);
    is("cluster.k8s.amazonaws.com/name", cluster) || is(&format!("kubernetes.io/cluster/{cluster}"), "owned")
}
