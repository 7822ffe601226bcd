//! Load balancers that a controller in the cluster created. Only that controller deletes them, so one whose Service or
//! Ingress the stack does not delete outlives a cluster that is deleted first, and blocks its network.

use super::{
    super::{Clients, Tags, tagged_of_type},
    holdings::Holdings,
    obstacle::Obstacle,
};
use crate::model::CallError;
use std::collections::BTreeSet;

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

/// The load balancers of the region that have tags.
#[derive(Clone, Debug, Default)]
pub(super) struct Balancers {
    /// Those that controllers in the stack's clusters created, also in one that was deleted before.
    of_stack: Vec<Balancer>,
    /// The names of all. Controllers tag each of theirs.
    names: BTreeSet<String>,
}

/// Whose the load balancer of a network interface is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose<'a> {
    /// Of the stack, or deleted already: its interfaces end some minutes later.
    Ending,
    /// Of a Service or Ingress of others in a cluster of the stack.
    Team(&'a Balancer),
    /// Of others.
    Foreign,
}

/// Lists the load balancers with tags.
pub(super) async fn list(clients: &Clients, holdings: &Holdings) -> Result<Balancers, CallError> {
    let mut found = Balancers::default();
    for (arn, tags) in tagged_of_type(clients, "elasticloadbalancing:loadbalancer").await? {
        found.add(&arn, &tags, holdings);
    }
    Ok(found)
}

impl Balancers {
    fn add(&mut self, arn: &str, tags: &Tags, holdings: &Holdings) {
        let Some((_, path)) = arn.split_once(":loadbalancer/") else { return };
        // `net/NAME/ID`, `app/NAME/ID`, or NAME alone.
        let name = path.split('/').nth(1).unwrap_or(path).to_owned();
        let of = OBJECT.iter().find_map(|(key, kind)| Some((tags.get(*key)?.clone(), *kind)));
        let cluster = holdings.clusters.iter().chain([&holdings.former_cluster]).find(|cluster| {
            tags.get("elbv2.k8s.aws/cluster").is_some_and(|it| it == *cluster)
                || tags.contains_key(&format!("kubernetes.io/cluster/{cluster}"))
        });
        if let (Some((object, kind)), Some(cluster)) = (of, cluster) {
            let balancer = Balancer { name: name.clone(), cluster: cluster.clone(), object, kind };
            self.of_stack.push(balancer);
        }
        self.names.insert(name);
    }

    /// Returns those of a cluster that is deleted whose Service or Ingress the deletion does not remove.
    pub(super) fn obstacles(&self, holdings: &Holdings) -> Vec<Obstacle> {
        let others = self.of_stack.iter().filter(|it| it.is_of_others(holdings));
        others.map(|balancer| obstacle(balancer, holdings)).collect()
    }

    /// Returns whose the load balancer with this name is.
    pub(super) fn whose(&self, name: &str, holdings: &Holdings) -> Whose<'_> {
        match self.of_stack.iter().find(|balancer| balancer.name == name) {
            Some(balancer) if balancer.is_of_others(holdings) => Whose::Team(balancer),
            Some(_) => Whose::Ending,
            None if is_named_by_controller(name) && !self.names.contains(name) => Whose::Ending,
            None => Whose::Foreign,
        }
    }
}

impl Balancer {
    /// Whether nothing deletes it with a cluster that is to be deleted. One of a former cluster was deleted with that: the
    /// tagging API lists it for an hour.
    fn is_of_others(&self, holdings: &Holdings) -> bool {
        holdings.clusters.contains(&self.cluster) && !holdings.balanced.contains(&self.object)
    }
}

/// Returns whether controllers give load balancers such names: `k8s-NAMESPACE-NAME-DIGEST`, or `a` and the digits of the
/// uid of a Service.
/// Sources: <https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/ingress/annotations/#load-balancer-name>,
/// <https://github.com/kubernetes/cloud-provider/blob/master/cloud.go> (`DefaultLoadBalancerName`)
fn is_named_by_controller(name: &str) -> bool {
    let digits = |text: &str| text.len() == 31 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    name.starts_with("k8s-") || name.strip_prefix('a').is_some_and(digits)
}

/// Returns how a load balancer is deleted that no controller deletes.
pub(super) fn by_hand(name: &str) -> String {
    format!(
        "delete it: `aws elbv2 describe-load-balancers --names {name}` shows its ARN; its interfaces end some minutes later"
    )
}

pub(super) fn obstacle(balancer: &Balancer, holdings: &Holdings) -> Obstacle {
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
        ends: false,
        // It also blocks the network, which stays anyway if the cluster is gone and the load balancer is not.
        blocks: [format!("cluster/{cluster}")].into_iter().chain(holdings.vpc.clone()).collect(),
        hint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:elasticloadbalancing:eu-central-1:1:loadbalancer/net/k8s-team-web-0a1b/9f8e";

    fn shop() -> Holdings {
        Holdings {
            balanced: ["shop/web".to_owned()].into(),
            clusters: ["shop".to_owned()].into(),
            former_cluster: "shop".to_owned(),
            ..Holdings::default()
        }
    }

    fn listed(arn: &str, key: &str, object: &str, holdings: &Holdings) -> Balancers {
        let cluster = ("elbv2.k8s.aws/cluster".to_owned(), "shop".to_owned());
        let mut all = Balancers::default();
        all.add(arn, &Tags::from([cluster, (key.to_owned(), object.to_owned())]), holdings);
        all
    }

    fn found(arn: &str, key: &str, object: &str) -> Option<Obstacle> {
        let holdings = shop();
        listed(arn, key, object, &holdings).obstacles(&holdings).pop()
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

    #[test]
    fn the_interfaces_of_a_deleted_load_balancer_are_waited_for() {
        let (now, name) = (shop(), "k8s-team-web-0a1b");
        let team = listed(ARN, "service.k8s.aws/stack", "team/web", &now);
        assert!(matches!(team.whose(name, &now), Whose::Team(it) if it.object == "team/web"));
        assert_eq!(listed(ARN, "service.k8s.aws/stack", "shop/web", &now).whose(name, &now), Whose::Ending);
        // The cluster was deleted by an earlier run, and with it the record of its Services.
        let later = Holdings { clusters: BTreeSet::new(), balanced: BTreeSet::new(), ..shop() };
        let left = listed(ARN, "service.k8s.aws/stack", "shop/web", &later);
        assert_eq!((left.whose(name, &later), left.obstacles(&later)), (Whose::Ending, Vec::new()));
        // Only a controller's load balancer is known to have tags as long as it exists.
        let none = Balancers::default();
        assert_eq!(none.whose(name, &later), Whose::Ending);
        assert_eq!(none.whose("a0123456789abcdef0123456789abcde", &later), Whose::Ending);
        assert_eq!(none.whose("by-hand", &later), Whose::Foreign);
        let other = Holdings { clusters: BTreeSet::new(), former_cluster: "other".to_owned(), ..shop() };
        let others = listed(ARN, "service.k8s.aws/stack", "team/web", &other);
        assert_eq!(others.whose(name, &other), Whose::Foreign);
    }
}
