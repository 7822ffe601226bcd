//! Load balancers that a controller in the cluster created. Only that controller deletes them, so one whose Service or
//! Ingress the stack does not delete outlives a cluster that is deleted first, and blocks its network.

use super::{
    super::{Clients, Tags, resources_with_tag},
    obstacle::{Holdings, Obstacle},
};
use crate::model::CallError;

/// The tags that controllers put on load balancers, each with the tag that names the object.
/// Sources: <https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/service/nlb/>,
/// <https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/ingress/annotations/#resource-tags>,
/// <https://github.com/kubernetes/cloud-provider-aws/blob/master/docs/service_controller.md>
const OBJECT: [(&str, &str); 5] = [
    ("gateway.k8s.aws.alb/stack", "Gateway"),
    ("gateway.k8s.aws.nlb/stack", "Gateway"),
    ("service.k8s.aws/stack", "Service"),
    ("ingress.k8s.aws/stack", "Ingress"),
    ("kubernetes.io/service-name", "Service"),
];

/// A load balancer that a controller in a cluster of the stack created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Balancer {
    /// Its name.
    pub name: String,
    cluster: String,
    /// `NAMESPACE/NAME` of its Service or Ingress, or the name of a group of Ingresses.
    object: String,
    kind: &'static str,
}

/// Lists the load balancers of the stack's clusters.
pub(super) async fn list(clients: &Clients, holdings: &Holdings) -> Result<Vec<Balancer>, CallError> {
    let mut found = Vec::new();
    for cluster in &holdings.clusters {
        let of_controller = resources_with_tag(clients, "elbv2.k8s.aws/cluster", Some(cluster)).await?;
        let of_cloud = resources_with_tag(clients, &format!("kubernetes.io/cluster/{cluster}"), None).await?;
        let all = of_controller.into_iter().chain(of_cloud);
        found.extend(all.filter_map(|(arn, tags)| balancer(&arn, &tags, cluster)));
    }
    Ok(found)
}

fn balancer(arn: &str, tags: &Tags, cluster: &str) -> Option<Balancer> {
    let (_, path) = arn.split_once(":loadbalancer/")?;
    // `net/NAME/ID`, `app/NAME/ID`, or NAME alone.
    let name = path.split('/').nth(1).unwrap_or(path).to_owned();
    let (object, kind) = OBJECT.iter().find_map(|(key, kind)| Some((tags.get(*key)?.clone(), *kind)))?;
    Some(Balancer { name, cluster: cluster.to_owned(), object, kind })
}

/// Returns those whose Service or Ingress the deletion does not remove.
pub(super) fn obstacles(balancers: &[Balancer], holdings: &Holdings) -> Vec<Obstacle> {
    let others = balancers.iter().filter(|it| !holdings.balanced.contains(&it.object));
    others.map(|balancer| obstacle(balancer, holdings)).collect()
}

fn obstacle(balancer: &Balancer, holdings: &Holdings) -> Obstacle {
    let Balancer { name, cluster, object, kind } = balancer;
    let (namespace, resource) = object.split_once('/').unwrap_or(("default", object));
    let hint = match *kind {
        "Ingress" if !object.contains('/') => format!(
            "delete the Ingresses of the group `{object}` while the cluster exists: `kubectl get ingress -A` lists them"
        ),
        _ => format!(
            "delete it while the cluster exists: `kubectl delete {} -n {namespace} {resource}`",
            kind.to_lowercase()
        ),
    };
    Obstacle {
        kind: "load balancer",
        id: name.clone(),
        name: None,
        detail: format!("of {kind} {object} in cluster {cluster}"),
        // It also blocks the network, which stays anyway if the cluster is gone and the load balancer is not.
        blocks: [format!("cluster/{cluster}")].into_iter().chain(holdings.vpc.clone()).collect(),
        hint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:elasticloadbalancing:eu-central-1:1:loadbalancer/net/k8s-team-web-0a1b/9f8e";

    fn found(arn: &str, key: &str, object: &str) -> Option<Obstacle> {
        let holdings = Holdings { balanced: ["shop/web".to_owned()].into(), ..Holdings::default() };
        let tags = Tags::from([(key.to_owned(), object.to_owned())]);
        obstacles(&balancer(arn, &tags, "shop").into_iter().collect::<Vec<_>>(), &holdings).pop()
    }

    #[test]
    fn a_load_balancer_is_named_after_its_object() {
        let team = found(ARN, "service.k8s.aws/stack", "team/web").unwrap();
        assert_eq!(team.to_string(), "load balancer k8s-team-web-0a1b (of Service team/web in cluster shop)");
        assert!(team.hint.ends_with("`kubectl delete service -n team web`"), "{}", team.hint);
        let group = found(ARN, "ingress.k8s.aws/stack", "public").unwrap();
        assert!(group.hint.contains("kubectl get ingress -A"), "{}", group.hint);
        let classic = "arn:aws:elasticloadbalancing:eu-central-1:1:loadbalancer/a0123";
        assert_eq!(found(classic, "kubernetes.io/service-name", "team/web").unwrap().id, "a0123");
    }

    #[test]
    fn the_stack_s_own_load_balancers_and_target_groups_are_none() {
        assert_eq!(found(ARN, "service.k8s.aws/stack", "shop/web"), None);
        let group = "arn:aws:elasticloadbalancing:eu-central-1:1:targetgroup/k8s-team-web/1";
        assert_eq!(found(group, "service.k8s.aws/stack", "team/web"), None);
    }
}
