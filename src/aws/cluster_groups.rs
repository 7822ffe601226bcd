//! Which security groups EKS, or a controller in a cluster, created for that cluster.
//!
//! A tag alone proves nothing: anyone who may tag can set it. AWS changes neither the name nor the description of a group,
//! and accepts no tag that begins with `aws:` from a caller.
//! Source: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html>

use super::{Tags, from_ec2};
use aws_sdk_ec2::types::SecurityGroup;

/// How names and descriptions of a controller's groups begin, and the tag that names the cluster.
struct Creator {
    name: &'static str,
    description: &'static str,
    tagged: fn(&Tags, &str) -> bool,
}

/// Who creates groups for a cluster.
///
/// | who | source |
/// |---|---|
/// | AWS Load Balancer Controller | <https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/deploy/security_groups/>, `pkg/networking/backend_sg_provider.go` |
/// | controller of Classic Load Balancers | <https://github.com/kubernetes/cloud-provider-aws/blob/master/pkg/providers/v1/aws.go>, `buildELBSecurityGroupList` |
/// | EKS | <https://docs.aws.amazon.com/eks/latest/userguide/sec-group-reqs.html> |
const CREATORS: [Creator; 3] = [
    Creator {
        name: "k8s-",
        description: "[k8s] ",
        tagged: |tags, cluster| is(tags, "elbv2.k8s.aws/cluster", cluster),
    },
    Creator { name: "k8s-elb-", description: "Security group for Kubernetes ELB ", tagged: is_owned },
    Creator {
        name: "eks-cluster-sg-",
        description: "EKS created security group ",
        tagged: |tags, cluster| is(tags, "aws:eks:cluster-name", cluster),
    },
];

/// Returns whether EKS or a controller created the group for the cluster of this name.
pub fn is_created_for(group: &SecurityGroup, cluster: &str) -> bool {
    let (name, description) =
        (group.group_name().unwrap_or_default(), group.description().unwrap_or_default());
    let tags = from_ec2(Some(group.tags()));
    CREATORS.iter().any(|creator| {
        name.starts_with(creator.name)
            && description.starts_with(creator.description)
            && (creator.tagged)(&tags, cluster)
    })
}

fn is(tags: &Tags, key: &str, value: &str) -> bool {
    tags.get(key).is_some_and(|it| it == value)
}

/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/eks-using-tags.html>
fn is_owned(tags: &Tags, cluster: &str) -> bool {
    is(tags, &format!("kubernetes.io/cluster/{cluster}"), "owned")
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types::Tag;

    fn group(name: &str, description: &str, key: &str, value: &str) -> SecurityGroup {
        let tag = Tag::builder().key(key).value(value).build();
        SecurityGroup::builder().group_name(name).description(description).tags(tag).build()
    }

    #[test]
    fn a_group_is_a_cluster_s_by_its_name_its_description_and_its_tag() {
        let (shared, controller) =
            ("[k8s] Shared Backend SecurityGroup for LoadBalancer", "elbv2.k8s.aws/cluster");
        let (classic, owned) =
            ("Security group for Kubernetes ELB a01 (team/web)", "kubernetes.io/cluster/shop");
        let (of_eks, reserved) = (
            "EKS created security group applied to ENI that is attached to EKS Control Plane master nodes",
            "aws:eks:cluster-name",
        );
        for (name, description, key, value) in [
            ("k8s-traffic-shop-0a1b", shared, controller, "shop"),
            ("k8s-team-web-0a1b", "[k8s] Managed SecurityGroup for LoadBalancer", controller, "shop"),
            ("k8s-elb-a01", classic, owned, "owned"),
            ("eks-cluster-sg-shop-123", of_eks, reserved, "shop"),
        ] {
            assert!(is_created_for(&group(name, description, key, value), "shop"), "{name}");
            assert!(!is_created_for(&group(name, description, key, value), "other"), "{name}");
        }
        for (name, description, key, value) in [
            // Of another cluster, a group that the cluster may only use, and groups of people with the tags.
            ("k8s-traffic-shop-0a1b", shared, controller, "shop-2"),
            ("k8s-elb-a01", classic, owned, "shared"),
            ("team", "team", controller, "shop"),
            ("nodes", "nodes", owned, "owned"),
            ("k8s-team", "team", controller, "shop"),
            ("team", shared, controller, "shop"),
            ("eks-cluster-sg-shop-123", of_eks, owned, "owned"),
        ] {
            assert!(!is_created_for(&group(name, description, key, value), "shop"), "{name}");
        }
    }
}
