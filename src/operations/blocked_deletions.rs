//! What blocks a deletion: looked for and named before anything is deleted.

use super::{OperationError, Workspace, blocked_deletion::BlockedDeletion, cluster_access::name_of_cluster};
use crate::{
    aws::{Holdings, Obstacle, obstacles, sweep_endpoints},
    model::{Action, Address, Desired as _, ErrorKind, Observed, Plan, Snapshot, Stage},
    resources::{eks_cluster, iam_role, manifest, security_group, vpc},
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Looks for what blocks the deletions and replacements of a plan. What the caller may not ask is told, and is no obstacle.
///
/// # Errors
/// A query without an answer: what it would have found could be deleted with the cluster.
pub async fn blocked_deletions(
    workspace: &Workspace,
    plan: &Plan,
    snapshot: &Snapshot,
    observed: &Observed,
) -> Result<Vec<BlockedDeletion>, OperationError> {
    let deletions = Deletions::of(plan, snapshot, observed);
    if deletions.is_harmless() {
        return Ok(Vec::new());
    }
    let holdings = deletions.holdings(snapshot, observed, name_of_cluster(&workspace.stack));
    let look = async || {
        let mut all = obstacles(&workspace.target.clients, &holdings).await;
        let passed = |class| matches!(class, ErrorKind::Denied | ErrorKind::Unsupported);
        match all.unanswered.iter().position(|(_, error)| !passed(error.class)) {
            Some(failed) => Err(all.unanswered.swap_remove(failed).1.into()),
            None => Ok(all),
        }
    };
    let all = workspace.patient(look).await?;
    for (what, error) in &all.unanswered {
        workspace.warn(format!("not checked before the deletion: {what}: {error}"));
    }
    let (ending, found): (Vec<_>, Vec<_>) =
        all.found.into_iter().partition(|obstacle| obstacle.blocks.is_empty());
    if found.is_empty() {
        ending.iter().for_each(|it| workspace.warn(format!("{it} is deleted with the network")));
    }
    let blocked = |obstacle: Obstacle| {
        let address = obstacle.blocks.iter().find_map(|id| deletions.address(id))?;
        Some(BlockedDeletion { address, obstacle })
    };
    Ok(found.into_iter().filter_map(blocked).collect())
}

/// Deletes what services left in a VPC that is to be deleted (`aws/swept.rs`). The rest is deleted with the
/// resource that it blocks.
pub async fn sweep_network(workspace: &Workspace, plan: &Plan, snapshot: &Snapshot, observed: &Observed) {
    if let Some(vpc) = Deletions::of(plan, snapshot, observed).texts(vpc::Spec::KIND, "id").next() {
        sweep_endpoints(&workspace.target.clients, &vpc).await;
    }
}

/// Returns what stays because of the obstacles: what they block, all of the network if its VPC stays, the cluster, in which
/// some of them have to be removed, and everything on which these depend. If a load balancer of the cluster is among them,
/// its controller is needed, and so is everything but the application.
pub fn kept(plan: &Plan, snapshot: &Snapshot, blocked: &[BlockedDeletion]) -> BTreeSet<Address> {
    if blocked.is_empty() {
        return BTreeSet::new();
    }
    let ids: BTreeSet<&String> = blocked.iter().flat_map(|it| &it.obstacle.blocks).collect();
    let balanced = ids.iter().any(|id| id.starts_with("cluster/"));
    let is_kind = |address: &Address, kind: &str| {
        snapshot.resources.get(address).is_some_and(|entry| entry.kind == kind)
    };
    let keeps = |address: &Address| {
        let Some(entry) = snapshot.resources.get(address) else { return false };
        let is_blocked = names(&entry.kind, &entry.live).any(|name| ids.contains(&name));
        let is_cluster = entry.kind == eks_cluster::Spec::KIND;
        is_blocked || is_cluster || (balanced && !is_application(snapshot, address))
    };
    let deleted = || plan.changes.iter().filter(|change| change.action == Action::Delete);
    let mut kept: BTreeSet<Address> =
        deleted().map(|change| &change.address).filter(|address| keeps(address)).cloned().collect();
    let mut open: Vec<Address> = kept.iter().cloned().collect();
    while let Some(address) = open.pop() {
        let Some(entry) = snapshot.resources.get(&address) else { continue };
        // The objects of controllers depend on those of the application only for their order.
        let needed = entry.dependencies.iter().filter(|on| !is_application(snapshot, on));
        open.extend(needed.filter(|on| kept.insert((*on).clone())).cloned());
    }
    if kept.iter().any(|address| is_kind(address, vpc::Spec::KIND)) {
        let network = deleted().filter(|change| change.stage == Stage::Network);
        kept.extend(network.map(|change| change.address.clone()));
    }
    kept
}

/// Returns whether a resource is an object of the application. A Namespace is none: it may hold objects of others.
fn is_application(snapshot: &Snapshot, address: &Address) -> bool {
    let Some(entry) = snapshot.resources.get(address) else { return false };
    let text = |path: &str| entry.spec.pointer(path).and_then(Value::as_str);
    text("/part") == Some("app") && text("/object/kind") != Some("Namespace")
}

/// Returns how obstacles name a resource: by its id, `cluster/NAME` or `role/NAME`, and by the id of the group that EKS
/// creates with a cluster.
fn names<'a>(kind: &'a str, live: &'a Value) -> impl Iterator<Item = String> + 'a {
    let of = |field: &str| live.get(field).and_then(Value::as_str).map(str::to_owned);
    let typed = match kind {
        eks_cluster::Spec::KIND => of("name").map(|name| format!("cluster/{name}")),
        iam_role::Spec::KIND => of("name").map(|name| format!("role/{name}")),
        _ => None,
    };
    [of("id"), of("securityGroup"), typed].into_iter().flatten()
}

/// The live forms of what a plan deletes or replaces, by address, with their kinds.
struct Deletions<'a>(BTreeMap<&'a Address, (&'a str, &'a Value)>);

impl<'a> Deletions<'a> {
    fn of(plan: &'a Plan, snapshot: &'a Snapshot, observed: &'a Observed) -> Self {
        let gone = plan.changes.iter().filter(|it| matches!(it.action, Action::Delete | Action::Replace));
        let live = |address: &Address| {
            let found = observed.found.get(address).map(|found| &found.live);
            found.or_else(|| snapshot.resources.get(address).map(|entry| &entry.live))
        };
        let all = gone.filter_map(|it| Some((&it.address, (it.kind.as_str(), live(&it.address)?))));
        Deletions(all.collect())
    }

    /// Returns the address of the resource that AWS knows by this id or name.
    fn address(&self, id: &str) -> Option<Address> {
        let mut all = self.0.iter();
        let found = all.find(|(_, (kind, live))| names(kind, live).any(|name| name == id));
        found.map(|(address, _)| (*address).clone())
    }

    /// Returns whether nothing in it can be blocked.
    fn is_harmless(&self) -> bool {
        let kinds =
            [vpc::Spec::KIND, security_group::Spec::KIND, eks_cluster::Spec::KIND, iam_role::Spec::KIND];
        !self.0.values().any(|(kind, _)| kinds.contains(kind))
    }

    /// Returns a field of all live forms of a kind.
    fn texts(&self, kind: &'static str, field: &'static str) -> impl Iterator<Item = String> {
        let of = self.0.values().filter(move |(of, _)| *of == kind);
        of.filter_map(move |(_, live)| Some(live.get(field)?.as_str()?.to_owned()))
    }

    fn holdings(&self, snapshot: &Snapshot, observed: &Observed, former_cluster: String) -> Holdings {
        let recorded = snapshot.resources.values().map(|entry| (&entry.kind, &entry.live));
        let lives = recorded.chain(observed.found.values().map(|found| (&found.kind, &found.live)));
        let groups = self
            .texts(security_group::Spec::KIND, "id")
            .chain(self.texts(eks_cluster::Spec::KIND, "securityGroup"));
        Holdings {
            vpc: self.texts(vpc::Spec::KIND, "id").next(),
            groups: groups.collect(),
            ids: lives.flat_map(|(kind, live)| names(kind, live)).collect(),
            clusters: self.texts(eks_cluster::Spec::KIND, "name").collect(),
            cluster_groups: self.texts(eks_cluster::Spec::KIND, "securityGroup").collect(),
            former_cluster,
            balanced: self.balanced(snapshot).collect(),
            roles: self.texts(iam_role::Spec::KIND, "name").collect(),
        }
    }

    /// Returns `NAMESPACE/NAME` of the Services and Ingresses that are deleted, with their load balancers, and the groups
    /// of the Ingresses.
    fn balanced(&self, snapshot: &Snapshot) -> impl Iterator<Item = String> {
        let objects = self.0.iter().filter(|(_, (kind, _))| *kind == manifest::Spec::KIND);
        let objects = objects.filter_map(|(address, _)| snapshot.resources.get(*address)?.spec.get("object"));
        objects.flat_map(|object| {
            let text = |path: &str| object.pointer(path).and_then(Value::as_str);
            let is_balanced = matches!(text("/kind"), Some("Service" | "Ingress"));
            let namespace = text("/metadata/namespace").unwrap_or("default");
            let name = format!("{namespace}/{}", text("/metadata/name").unwrap_or_default());
            let group = text("/metadata/annotations/alb.ingress.kubernetes.io~1group.name");
            [Some(name), group.map(str::to_owned)].into_iter().flatten().filter(move |_| is_balanced)
        })
    }
}
