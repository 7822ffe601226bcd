//! What blocks a deletion: looked for and named before anything is deleted.

use super::{
    OperationError, Workspace, blocked_deletion::BlockedDeletion, cluster_access::name_of_cluster,
    workspace::kind,
};
use crate::{
    aws::{
        Cx, Holdings, Obstacle, cluster_exists, names_of, obstacles, sweep_cluster_groups, sweep_endpoints,
    },
    graph::is_application_part,
    model::{
        Action, Address, Blockable, Desired as _, ErrorKind, Observed, Owner, Plan, PlannedChange, Snapshot,
        Stage,
    },
    resources::{eks_cluster, vpc},
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
    let mut holdings = deletions.holdings(snapshot, observed, name_of_cluster(&workspace.stack));
    holdings.former_clusters = former_cluster(workspace, &holdings).await;
    let clients = workspace.target.clients.persistent();
    let look = async || {
        let mut all = obstacles(&clients, &holdings).await;
        let passed = |class| matches!(class, ErrorKind::Denied | ErrorKind::Unsupported);
        match all.unanswered.iter().position(|(_, error)| !passed(error.class)) {
            Some(failed) => Err(all.unanswered.swap_remove(failed).1.into()),
            None => Ok(all),
        }
    };
    let all = workspace.patient(look).await?;
    for (what, error) in &all.unanswered {
        workspace.warn(format!("could not be looked at: {what}: {error}"));
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

/// Returns the name of the stack's cluster if an earlier run deleted it: its groups are the stack's. A cluster of this name
/// that exists and is not recorded belongs to others.
async fn former_cluster(workspace: &Workspace, holdings: &Holdings) -> BTreeSet<String> {
    let name = name_of_cluster(&workspace.stack);
    if workspace.stack.cluster.is_none() || holdings.clusters.contains(&name) {
        return BTreeSet::new();
    }
    let look = async || Ok(cluster_exists(&workspace.target.clients, &name).await?);
    match workspace.patient(look).await {
        Ok(false) => [name].into(),
        Ok(true) | Err(_) => BTreeSet::new(),
    }
}

/// Deletes what services left in a VPC that is to be deleted (`aws/swept.rs`). The rest is deleted with the
/// resource that it blocks.
pub async fn sweep_network(workspace: &Workspace, plan: &Plan, snapshot: &Snapshot, observed: &Observed) {
    if let Some(vpc) = Deletions::of(plan, snapshot, observed).vpc() {
        sweep_endpoints(&workspace.target.clients, &vpc).await;
    }
}

/// Deletes the groups that deleted clusters left in a network that stays.
pub async fn sweep_clusters(workspace: &Workspace, plan: &Plan, owner: &Owner, observed: &Observed) {
    let (account, region) = (&workspace.target.identity.account, &workspace.stack.region);
    let deleted = |it: &&PlannedChange| it.kind == eks_cluster::Spec::KIND && it.action == Action::Delete;
    for change in plan.changes.iter().filter(deleted) {
        let live = observed.found.get(&change.address).map(|found| &found.live);
        let text = |field: &str| live?.get(field)?.as_str().map(str::to_owned);
        if let (Some(name), Some(vpc)) = (text("name"), text("vpc")) {
            let cx = Cx::new(workspace.target.clients.clone(), owner.clone(), account, region);
            sweep_cluster_groups(&cx.with_clusters([name]), &vpc, false).await;
        }
    }
}

/// Returns what stays because of the obstacles: what they block, all of the network if its VPC stays, the cluster, in which
/// some of them have to be removed, and everything on which these depend. If a load balancer of the cluster is among them,
/// its controller is needed, and so is everything but the application.
pub fn kept(
    plan: &Plan,
    snapshot: &Snapshot,
    observed: &Observed,
    blocked: &[BlockedDeletion],
) -> BTreeSet<Address> {
    if blocked.is_empty() {
        return BTreeSet::new();
    }
    let deletions = Deletions::of(plan, snapshot, observed);
    let ids: BTreeSet<&String> = blocked.iter().flat_map(|it| &it.obstacle.blocks).collect();
    let balanced = ids.iter().any(|id| id.starts_with("cluster/"));
    let keeps = |address: &Address, kind: &str| {
        let is_blocked = deletions.names(address).iter().any(|name| ids.contains(name));
        is_blocked || kind == eks_cluster::Spec::KIND || (balanced && !is_application(snapshot, address))
    };
    let deleted = || plan.changes.iter().filter(|change| change.action == Action::Delete);
    let first = deleted().filter(|change| keeps(&change.address, &change.kind));
    let mut kept: BTreeSet<Address> = first.map(|change| change.address.clone()).collect();
    let mut open: Vec<Address> = kept.iter().cloned().collect();
    while let Some(address) = open.pop() {
        // The objects of controllers depend on those of the application only for their order.
        let needed = dependencies(snapshot, &address).filter(|on| !is_application(snapshot, on));
        open.extend(needed.filter(|on| kept.insert((*on).clone())).cloned());
    }
    if deleted().any(|change| change.kind == vpc::Spec::KIND && kept.contains(&change.address)) {
        let network = deleted().filter(|change| change.stage == Stage::Network);
        kept.extend(network.map(|change| change.address.clone()));
    }
    kept
}

/// Returns what a resource depends on that is recorded, or whose creation was begun.
fn dependencies<'a>(snapshot: &'a Snapshot, address: &Address) -> impl Iterator<Item = &'a Address> {
    let recorded = snapshot.resources.get(address).map(|entry| &entry.dependencies);
    let begun = snapshot.intents.get(address).map(|intent| &intent.dependencies);
    recorded.into_iter().chain(begun).flatten()
}

/// Returns the recorded spec of a resource, else the one with which its creation was begun.
fn spec<'a>(snapshot: &'a Snapshot, address: &Address) -> Option<&'a Value> {
    let begun = || snapshot.intents.get(address).map(|intent| &intent.request);
    snapshot.resources.get(address).map(|entry| &entry.spec).or_else(begun)
}

/// Returns whether a resource is an object of the application. A Namespace is none: it may hold objects of others.
fn is_application(snapshot: &Snapshot, address: &Address) -> bool {
    let text = |path: &str| spec(snapshot, address)?.pointer(path).and_then(Value::as_str);
    text("/part").is_some_and(is_application_part) && text("/object/kind") != Some("Namespace")
}

/// Returns what a resource of a kind can be blocked by.
fn blockable(name: &str) -> Blockable {
    kind(name).map_or(Blockable::Never, |kind| kind.blockable)
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

    /// Returns how obstacles name the resource at an address.
    fn names(&self, address: &Address) -> Vec<String> {
        self.0.get(address).map(|(kind, live)| names_of(blockable(kind), live)).unwrap_or_default()
    }

    /// Returns the address of the resource that AWS knows by this id or name.
    fn address(&self, id: &str) -> Option<Address> {
        let mut all = self.0.keys();
        all.find(|address| self.names(address).iter().any(|name| name == id)).map(|it| (*it).clone())
    }

    /// Returns whether nothing in it can be blocked by what is looked for.
    fn is_harmless(&self) -> bool {
        use Blockable::{Cluster, Role, SecurityGroup, Vpc};
        !self.0.values().any(|(kind, _)| matches!(blockable(kind), Vpc | SecurityGroup | Cluster | Role))
    }

    fn holdings(&self, snapshot: &Snapshot, observed: &Observed, former_cluster: String) -> Holdings {
        let mut all = Holdings { former_cluster, ..Holdings::default() };
        let recorded = snapshot.resources.values().map(|entry| (&entry.kind, &entry.live));
        let lives = recorded.chain(observed.found.values().map(|found| (&found.kind, &found.live)));
        lives.for_each(|(kind, live)| all.know(blockable(kind), live));
        for (address, (kind, live)) in &self.0 {
            all.delete(blockable(kind), spec(snapshot, address).unwrap_or(&Value::Null), live);
        }
        all
    }

    /// Returns the id of the VPC.
    fn vpc(&self) -> Option<String> {
        let mut vpcs = self.0.values().filter(|(kind, _)| *kind == vpc::Spec::KIND);
        vpcs.find_map(|(_, live)| Some(live.get("id")?.as_str()?.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Changes, Intent, Observation, Origin, Process};
    use serde_json::json;

    fn deletion(address: &str, kind: &str, stage: Stage) -> PlannedChange {
        PlannedChange {
            address: address.into(),
            kind: kind.to_owned(),
            stage,
            action: Action::Delete,
            origin: Origin::File,
            fields: Changes::default(),
            note: None,
            loses: None,
        }
    }

    /// The first run ended before it recorded the VPC: only the intents know it and its subnet.
    #[test]
    fn what_only_an_intent_knows_is_kept_with_what_it_depends_on() {
        let mut snapshot = Snapshot::new(&Owner { stack: "shop".into(), lineage: "l".into() }, "1", "r");
        let intent = |kind: &str, dependencies: &[&str]| Intent {
            kind: kind.to_owned(),
            stage: Stage::Network,
            nonce: "n".to_owned(),
            token: "t".to_owned(),
            signed_at: 0,
            request: Value::Null,
            dependencies: dependencies.iter().map(|on| Address::from(*on)).collect(),
            owner: "run".to_owned(),
            process: Process::default(),
            made: false,
        };
        snapshot.intents.insert("network/vpc".into(), intent("vpc", &[]));
        snapshot.intents.insert("network/subnet/a".into(), intent("subnet", &["network/vpc"]));
        let mut observed = Observed::default();
        for (address, kind, id) in
            [("network/vpc", "vpc", "vpc-1"), ("network/subnet/a", "subnet", "subnet-1")]
        {
            let live = json!({"id": id});
            observed.found.insert(address.into(), Observation { kind: kind.to_owned(), live });
        }
        let plan = Plan {
            changes: vec![
                deletion("network/vpc", "vpc", Stage::Network),
                deletion("network/subnet/a", "subnet", Stage::Network),
                deletion("cluster/key", "kms_key", Stage::Cluster),
            ],
            ..Plan::default()
        };
        let obstacle = Obstacle {
            kind: "network interface",
            id: "eni-1".to_owned(),
            name: None,
            detail: String::new(),
            blocks: ["subnet-1".to_owned()].into(),
            ends: false,
            hint: String::new(),
        };
        let blocked = [BlockedDeletion { address: "network/subnet/a".into(), obstacle }];
        let kept = kept(&plan, &snapshot, &observed, &blocked);
        assert_eq!(kept, ["network/subnet/a".into(), "network/vpc".into()].into());
    }
}
