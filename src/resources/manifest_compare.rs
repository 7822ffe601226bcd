//! Compares a manifest with the live object: the API server says what an apply would change, or why it refuses it.

use super::prelude::*;
use crate::{
    kube::{self, Apply, DeferredField, KubeClient, TakenField, is_refused_update},
    model::{Change, hidden_change, hidden_live, is_secret},
};
use serde_json::Value;

/// What an apply would change, and what it would not.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Changes that the server would make.
    pub pending: Changes,
    /// Fields that other resources supply only later.
    pub later: Vec<DeferredField>,
    /// Fields that another manager set to another value.
    pub taken: Vec<TakenField>,
    /// The server's words for a conflict in fields that are not in `taken`.
    pub conflict: Option<String>,
    /// The server's words for why it does not accept the manifest.
    pub refused: Option<String>,
}

/// Asks the server what an apply would change. What other resources supply only later is compared without it. Fields that
/// another manager took are part of the answer only if they are `forced`. Values of a Secret are not part of the answer.
pub async fn compare(
    cluster: &KubeClient,
    wanted: &Value,
    object: &Value,
    forced: bool,
) -> Result<Comparison, CallError> {
    let found = compare_values(cluster, wanted, object, forced).await;
    if !is_secret(wanted) {
        return found;
    }
    let mut found = found.map_err(|error| kube::without_values(error, wanted))?;
    let hidden = |text: String| {
        let error = CallError::new(ErrorKind::Invalid, text);
        kube::without_values(kube::without_values(error, wanted), object).message
    };
    (found.refused, found.conflict) = (found.refused.map(hidden), found.conflict.map(hidden));
    found.pending = Changes(found.pending.0.into_iter().map(hidden_change).collect());
    let taken = found.taken.into_iter().map(|field| TakenField { live: hidden_live(&field.live), ..field });
    found.taken = taken.collect();
    Ok(found)
}

async fn compare_values(
    cluster: &KubeClient,
    wanted: &Value,
    object: &Value,
    forced: bool,
) -> Result<Comparison, CallError> {
    let mut found = Comparison::default();
    if !forced {
        found.taken = kube::taken_fields(wanted, object);
    }
    let (known, later) = kube::fill_deferred(&kube::with_live_values(wanted, &found.taken), object);
    found.later = later;
    match cluster.apply(&known, if forced { Apply::DryForced } else { Apply::Dry }).await {
        Ok(would) => found.pending = Changes(kube::changes(object, &would)),
        // Another manager owns the field under another API version, whose paths are not comparable.
        Err(error) if error.code == kube::FIELD_CONFLICT => {
            found.conflict = Some(error.message);
            found.later = Vec::new();
        }
        Err(error) if error.class == ErrorKind::Invalid => {
            if let Some(patch) = kube::strategy_patch(&known, object) {
                let mut changes = Vec::new();
                kube::changed_fields(object, &patch, "", &mut changes);
                found.pending = Changes(changes.into_iter().filter(|it| !it.new.is_null()).collect());
            } else if is_refused_update(cluster, &known, &error).await? {
                found.pending = Changes(vec![change(head(&error.message), object, &known, true)]);
            } else {
                found.refused = Some(error.message);
                found.later = Vec::new();
            }
        }
        // A webhook that does not answer tells nothing about the object: what the manifest names is compared here.
        Err(error) if error.class == ErrorKind::Eventual && error.message.contains("webhook") => {
            let mut changes = Vec::new();
            kube::changed_fields(object, &known, "", &mut changes);
            found.pending = Changes(changes);
        }
        Err(error) => return Err(error),
    }
    Ok(found)
}

/// The field at the head of a message such as `spec.selector: Invalid value: ...`.
fn head(message: &str) -> &str {
    message.split(':').next().unwrap_or_default().trim()
}

fn change(path: &str, live: &Value, want: &Value, forces_replace: bool) -> Change {
    let at = |value: &Value| {
        let pointer = format!("/{}", path.replace('.', "/"));
        value.pointer(&pointer).cloned().unwrap_or_default()
    };
    Change { path: path.to_owned(), old: at(live), new: at(want), forces_replace }
}

/// Returns whether a field of a Job cannot be changed once it exists: its pods are those of one template.
/// Source: <https://kubernetes.io/docs/concepts/workloads/controllers/job/#mutable-scheduling-directives>
pub fn is_fixed_in_jobs(path: &str) -> bool {
    ["spec.template", "spec.selector", "spec.completionMode"].iter().any(|field| path.starts_with(field))
}

/// Returns whether an API version belongs to custom resources: those of Kubernetes have a group without a dot, or one that
/// ends in `.k8s.io`.
/// Source: <https://kubernetes.io/docs/reference/using-api/#api-groups>
pub fn is_custom(api_version: &str) -> bool {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    group.contains('.') && !group.ends_with(".k8s.io") && !group.ends_with(".k8s.aws")
}
