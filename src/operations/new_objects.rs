//! Whether the API server would accept the objects that a plan creates in a cluster that is there: `up` does not begin what
//! ends at a manifest with an invalid field.

use super::{OperationError, Workspace, cluster_access::name_of_cluster};
use crate::{
    aws::cluster_endpoint,
    kube::{Apply, KubeClient, without_values},
    model::{
        Action, Address, CallError, Desired as _, ErrorKind, Graph, ManifestSecrets, Observed, Plan,
        StepError, references, resolve,
    },
    resources::{addon, manifest},
};
use futures_util::future::try_join_all;
use serde_json::Value;

/// What an admission plugin, policy or webhook says of an object itself. The caller's own rights may be part of the plan.
const ADMISSION: &[&str] = &["admission webhook", "ValidatingAdmissionPolicy", "violates PodSecurity"];

/// An object that a plan creates, with everything in it that is known.
struct NewObject<'a> {
    address: &'a Address,
    object: Value,
}

/// Asks the API server, without a change, about each object that the plan creates. Not asked: a cluster that is not there yet,
/// and objects of which a part is known only after a step of the plan.
pub async fn refused_objects(
    workspace: &Workspace,
    graph: &Graph,
    plan: &Plan,
    observed: &Observed,
) -> Result<Vec<StepError>, OperationError> {
    let objects: Vec<NewObject<'_>> = new_objects(graph, plan, observed, &workspace.secrets).collect();
    if objects.is_empty() {
        return Ok(Vec::new());
    }
    let name = name_of_cluster(&workspace.stack);
    let (clients, region) = (&workspace.target.clients, &workspace.stack.region);
    let endpoint = workspace.patient(async || Ok(cluster_endpoint(clients, &name).await?)).await?;
    let Some(endpoint) = endpoint else { return Ok(Vec::new()) };
    let cluster = KubeClient::new(clients, &endpoint, &name, region)?;
    let answers = objects.iter().map(async |new| {
        let answer = workspace.patient(async || {
            // What a retry may change is for the run.
            match cluster.apply(&new.object, Apply::Dry).await {
                Err(error) if is_refused(&error, &new.object, graph, plan) => Ok(Some(error)),
                _ => Ok(None),
            }
        });
        Ok::<_, OperationError>(answer.await?.map(|error| {
            let error = without_values(error, &new.object);
            let text = format!("the API server does not accept it: {}", error.message);
            StepError::refused(new.address, text, error.hint.unwrap_or_else(|| "fix the manifest".to_owned()))
        }))
    });
    Ok(try_join_all(answers).await?.into_iter().flatten().collect())
}

/// Returns the objects that the plan creates, and of which everything is known.
fn new_objects<'a>(
    graph: &'a Graph,
    plan: &'a Plan,
    observed: &'a Observed,
    secrets: &'a ManifestSecrets,
) -> impl Iterator<Item = NewObject<'a>> {
    let known = |address: &str, field: &str| {
        observed.found.get(address)?.live.get(field).filter(|value| !value.is_null()).cloned()
    };
    let new = plan
        .changes
        .iter()
        .filter(|change| change.kind == manifest::Spec::KIND && change.action == Action::Create);
    new.filter_map(move |change| {
        let mut object = resolve(graph.nodes.get(&change.address)?.spec.get("object")?, &known);
        if !secrets.reveal(&change.address, &mut object) {
            return None;
        }
        references(&object).is_empty().then_some(NewObject { address: &change.address, object })
    })
}

/// Returns whether waiting does not help: the API server refuses the object itself, or does not know its kind and nothing in the
/// plan defines it.
fn is_refused(error: &CallError, object: &Value, graph: &Graph, plan: &Plan) -> bool {
    match error.class {
        ErrorKind::Invalid | ErrorKind::Quota => true,
        ErrorKind::Denied => ADMISSION.iter().any(|text| error.message.contains(text)),
        _ => error.code == "UnknownKind" && !is_defined(object, graph, plan),
    }
}

/// Returns whether a step of the plan may define the object's kind: a CustomResourceDefinition, or an add-on.
fn is_defined(object: &Value, graph: &Graph, plan: &Plan) -> bool {
    let kind = object.get("kind");
    plan.changes.iter().filter(|change| change.action != Action::Delete).any(|change| {
        let defines = graph.nodes.get(&change.address).is_some_and(|node| {
            node.spec.pointer("/object/kind").is_some_and(|kind| kind == "CustomResourceDefinition")
                && node.spec.pointer("/object/spec/names/kind") == kind
        });
        defines || change.kind == addon::Spec::KIND
    })
}
