//! Whether an object does its work, asked of the cluster.

use super::{
    Cluster,
    rollout::{State, Witnesses, crashing, state, wants_witnesses},
};
use crate::model::Fault;
use serde_json::Value;
use std::collections::BTreeMap;

/// How far it is, with its pods and their last words where these tell.
pub async fn judge(cluster: &Cluster, object: &Value) -> Result<State, Fault> {
    if !wants_witnesses(object) {
        return Ok(state(object, &Witnesses::default()));
    }
    let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
    let labels = object.pointer("/spec/selector/matchLabels").cloned().unwrap_or_default();
    let labels: BTreeMap<String, String> = serde_json::from_value(labels).unwrap_or_default();
    let pods = cluster.newest_pods(namespace, &labels, object).await?;
    let warnings = cluster.warnings(namespace).await?;
    let witnesses = Witnesses { pods, warnings };
    match (state(object, &witnesses), crashing(&witnesses.pods)) {
        (State::Troubled(why), Some((pod, container))) => {
            let words = cluster.log(namespace, &pod, &container, true).await.unwrap_or_default();
            let words = words.lines().filter(|line| !line.trim().is_empty()).collect::<Vec<_>>().join(" | ");
            let words: String = words.chars().take(600).collect();
            Ok(State::Troubled(if words.is_empty() { why } else { format!("{why}; it wrote: {words}") }))
        }
        (state, _) => Ok(state),
    }
}
