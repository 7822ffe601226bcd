//! Reads the health of an object from the cluster.

use super::{
    KubeClient,
    pod_trouble::crashing,
    rollout::{HealthInputs, RolloutState, needs_health_inputs, state},
};
use crate::model::CallError;
use serde_json::Value;
use std::collections::BTreeMap;

/// Returns the state of an object. For a workload that is not ready it reads the pods, the warnings and, if a
/// container crashes, the last lines of its log.
pub async fn health(cluster: &KubeClient, object: &Value) -> Result<RolloutState, CallError> {
    if !needs_health_inputs(object) {
        return Ok(state(object, &HealthInputs::default()));
    }
    let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
    let labels = object.pointer("/spec/selector/matchLabels").cloned().unwrap_or_default();
    let labels: BTreeMap<String, String> = serde_json::from_value(labels).unwrap_or_default();
    let pods = cluster.newest_pods(namespace, &labels, object).await?;
    let warnings = cluster.warnings(namespace).await?;
    let inputs = HealthInputs { pods, warnings };
    match (state(object, &inputs), crashing(&inputs.pods)) {
        (RolloutState::Degraded(why), Some((pod, container))) => {
            let words = cluster.log(namespace, &pod, &container, true).await.unwrap_or_default();
            let words = words.lines().filter(|line| !line.trim().is_empty()).collect::<Vec<_>>().join(" | ");
            let words: String = words.chars().take(600).collect();
            Ok(RolloutState::Degraded(if words.is_empty() {
                why
            } else {
                format!("{why}; last log lines: {words}")
            }))
        }
        (state, _) => Ok(state),
    }
}
