//! Objects in a cluster that a deletion keeps, because others or data would be deleted with them.

use super::{
    OperationError, PlanOptions, Workspace, blocked_deletion::BlockedDeletion,
    cluster_access::name_of_cluster,
};
use crate::{
    aws::{Obstacle, cluster_endpoint},
    kube::KubeClient,
    model::{Action, Address, Desired as _, ErrorKind, Observed, Plan, Snapshot, object, tag},
    resources::{eks_cluster, manifest},
};
use serde_json::Value;

/// Maximum number of objects that a message names.
const MAX_NAMED: usize = 5;

/// An object of the stack that is to be deleted.
struct Deleted<'a> {
    address: &'a Address,
    name: &'a str,
    uid: &'a str,
}

/// Looks for what a plan would delete together with objects of the stack: what others have in its Namespaces, and the
/// volumes of its claims. It keeps these, unless `--replace` names them. If the plan deletes the cluster as well, they end
/// with it, and what others have there is only told. Without `removal` the plan asks about claims itself.
pub async fn kept_objects(
    workspace: &Workspace,
    options: &PlanOptions,
    plan: &Plan,
    snapshot: &Snapshot,
    observed: &Observed,
    removal: bool,
) -> Result<Vec<BlockedDeletion>, OperationError> {
    let ends =
        plan.changes.iter().any(|it| it.action == Action::Delete && it.kind == eks_cluster::Spec::KIND);
    let namespaces: Vec<Deleted<'_>> = deleted(plan, observed, "Namespace").collect();
    let claims: Vec<Deleted<'_>> = deleted(plan, observed, "PersistentVolumeClaim").collect();
    let is_allowed = |it: &Deleted<'_>| options.replace.iter().any(|named| named == it.address.as_str());
    let mut kept = Vec::new();
    let keeps_claims = removal && !ends;
    if keeps_claims {
        kept.extend(claims.iter().filter(|it| !is_allowed(it)).map(|it| {
            let detail = "its driver deletes the volume with it, if its policy is Delete".to_owned();
            blocked(it, "claim", it.name.to_owned(), detail)
        }));
    }
    if namespaces.iter().all(is_allowed) {
        return Ok(kept);
    }
    let name = name_of_cluster(&workspace.stack);
    let (clients, region) = (&workspace.target.clients, &workspace.stack.region);
    let there = match cluster_endpoint(clients, &name).await {
        // Nothing is deleted that was not looked at; the end of the cluster is another deletion.
        Err(error) if error.class == ErrorKind::Denied => {
            workspace.warn(format!("could not be looked at: the contents of Namespaces: {error}"));
            let unseen = namespaces.iter().filter(|it| !ends && !is_allowed(it));
            kept.extend(unseen.map(|it| {
                blocked(it, "Namespace", it.name.to_owned(), "its contents could not be looked at".to_owned())
            }));
            return Ok(kept);
        }
        there => there?,
    };
    let Some(there) = there else { return Ok(kept) };
    let cluster = KubeClient::new(clients, &there, &name, region)?;
    for namespace in namespaces.iter().filter(|it| !is_allowed(it)) {
        let all = match workspace.patient(async || Ok(cluster.contents(namespace.name).await?)).await {
            Ok(all) => all,
            // What the plan could read before is not reachable now: nothing is deleted that was not looked at.
            Err(OperationError::Step(problem)) if ends => {
                workspace.warn(format!("could not be looked at: Namespaces: {}", problem.error));
                continue;
            }
            Err(error) => return Err(error),
        };
        let counts = |(kind, it): &(&str, Value)| {
            let ours = object::marks(it).get(tag::LINEAGE) == Some(&snapshot.lineage);
            !ours || (keeps_claims && *kind == "PersistentVolumeClaim" && !is_named(options, kind, it))
        };
        let named: Vec<String> =
            all.iter().filter(|it| counts(it)).map(|(kind, it)| named(kind, it)).collect();
        if named.is_empty() {
            continue;
        }
        let text = listed(&named);
        match ends {
            true => workspace.warn(format!(
                "Namespace {} contains objects of others, which are deleted with the cluster: {text}",
                namespace.name
            )),
            false => kept.push(blocked(namespace, "objects of others", text, "deleted with it".to_owned())),
        }
    }
    Ok(kept)
}

/// Returns the objects of a kind that a plan deletes.
fn deleted<'a>(
    plan: &'a Plan,
    observed: &'a Observed,
    kind: &'static str,
) -> impl Iterator<Item = Deleted<'a>> {
    let objects = plan
        .changes
        .iter()
        .filter(|change| change.action == Action::Delete && change.kind == manifest::Spec::KIND);
    objects.filter_map(move |change| {
        let live = &observed.found.get(&change.address)?.live;
        let text = |field: &str| live.get(field).and_then(Value::as_str);
        let is_kind = text("kind") == Some(kind);
        is_kind.then_some(Deleted { address: &change.address, name: text("name")?, uid: text("id")? })
    })
}

/// Whether the options allow the deletion of this claim.
fn is_named(options: &PlanOptions, kind: &str, found: &Value) -> bool {
    let mut typed = found.clone();
    if let Some(map) = typed.as_object_mut() {
        map.insert("kind".to_owned(), Value::from(kind));
    }
    object::address(&typed).is_some_and(|at| options.replace.iter().any(|named| named == at.as_str()))
}

fn named(kind: &str, found: &Value) -> String {
    format!("{kind} {}", found.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("?"))
}

fn listed(named: &[String]) -> String {
    let mut text = named.iter().take(MAX_NAMED).cloned().collect::<Vec<_>>().join(", ");
    if let Some(more @ 1..) = named.len().checked_sub(MAX_NAMED) {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

fn blocked(it: &Deleted<'_>, kind: &'static str, id: String, detail: String) -> BlockedDeletion {
    let hint =
        format!("delete or move what is named; `--replace {}` deletes it together with that", it.address);
    let obstacle =
        Obstacle { kind, id, name: None, detail, blocks: [it.uid.to_owned()].into(), ends: false, hint };
    BlockedDeletion { address: it.address.clone(), obstacle }
}
