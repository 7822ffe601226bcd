//! Where pods can run: which taints of node groups they tolerate, and which Fargate profiles select them.

use super::cluster::{Effect, NodeGroup, Selector, Taint};
use serde_json::Value;
use std::collections::BTreeMap;

/// Returns Kubernetes' name for the effect.
fn effect_name(effect: Effect) -> &'static str {
    match effect {
        Effect::NoSchedule => "NoSchedule",
        Effect::PreferNoSchedule => "PreferNoSchedule",
        Effect::NoExecute => "NoExecute",
    }
}

/// Returns whether one of the tolerations, as a pod has them, tolerates the taint.
/// Source: <https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/>
fn tolerated(taint: &Taint, tolerations: &[Value]) -> bool {
    tolerations.iter().any(|toleration| {
        let text = |field: &str| toleration.get(field).and_then(Value::as_str).unwrap_or_default();
        let (key, effect) = (text("key"), text("effect"));
        let exists = text("operator") == "Exists";
        let same_key = if key.is_empty() { exists } else { key == taint.key };
        let same_effect = effect.is_empty() || effect == effect_name(taint.effect);
        same_key && same_effect && (exists || text("value") == taint.value)
    })
}

/// Returns the taints that keep a pod with these tolerations off a group's nodes.
fn repelling<'a>(group: &'a NodeGroup, tolerations: &'a [Value]) -> impl Iterator<Item = &'a Taint> {
    let hard = group.taints.iter().filter(|taint| taint.effect != Effect::PreferNoSchedule);
    hard.filter(|taint| !tolerated(taint, tolerations))
}

/// Returns the taints that keep a pod with these tolerations off every node, one of each group as `group: key=value:effect`.
/// `None` if a group has a place for it, or if there is no group.
pub fn repelled(groups: &[NodeGroup], tolerations: &[Value]) -> Option<Vec<String>> {
    let each = groups.iter().map(|group| {
        let taint = repelling(group, tolerations).next()?;
        let value = if taint.value.is_empty() { String::new() } else { format!("={}", taint.value) };
        Some(format!("{}: {}{value}:{}", group.name, taint.key, effect_name(taint.effect)))
    });
    each.collect::<Option<Vec<String>>>().filter(|taints| !taints.is_empty())
}

/// Returns whether a selector of a Fargate profile selects a pod. `None` for a namespace with a wildcard.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/fargate-profile.html>
pub fn selects(selector: &Selector, namespace: &str, labels: &BTreeMap<String, String>) -> Option<bool> {
    if selector.namespace.contains(['*', '?']) {
        return None;
    }
    let all = selector.labels.iter().all(|(key, value)| labels.get(key) == Some(value));
    Some(selector.namespace == namespace && all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn taint(key: &str, value: &str, effect: Effect) -> Taint {
        Taint { key: key.to_owned(), value: value.to_owned(), effect }
    }

    fn group(name: &str, taints: Vec<Taint>) -> NodeGroup {
        NodeGroup { taints, ..serde_json::from_value(json!({"name": name})).unwrap() }
    }

    #[test]
    fn a_toleration_fits_by_key_value_and_effect() {
        let dedicated = taint("dedicated", "batch", Effect::NoSchedule);
        for (toleration, fits) in [
            (json!({"operator": "Exists"}), true),
            (json!({"key": "dedicated", "operator": "Exists"}), true),
            (json!({"key": "dedicated", "value": "batch"}), true),
            (
                json!({"key": "dedicated", "operator": "Equal", "value": "batch", "effect": "NoSchedule"}),
                true,
            ),
            (json!({"key": "dedicated", "operator": "Exists", "effect": "NoExecute"}), false),
            (json!({"key": "dedicated", "value": "web"}), false),
            (json!({"key": "dedicated"}), false),
            (json!({"key": "other", "operator": "Exists"}), false),
            (json!({}), false),
        ] {
            assert_eq!(tolerated(&dedicated, std::slice::from_ref(&toleration)), fits, "{toleration}");
        }
    }

    #[test]
    fn a_pod_is_repelled_if_every_group_has_a_hard_taint_that_it_does_not_tolerate() {
        let plain = group("plain", Vec::new());
        let soft = group("soft", vec![taint("a", "", Effect::PreferNoSchedule)]);
        let batch = group("batch", vec![taint("dedicated", "batch", Effect::NoSchedule)]);
        let critical = group("critical", vec![taint("CriticalAddonsOnly", "", Effect::NoExecute)]);
        let system = [json!({"key": "CriticalAddonsOnly", "operator": "Exists"})];
        assert_eq!(repelled(&[], &[]), None);
        assert_eq!(repelled(&[batch.clone(), plain], &[]), None);
        assert_eq!(repelled(&[batch.clone(), soft], &[]), None);
        assert_eq!(repelled(&[batch.clone(), critical.clone()], &system), None);
        let both = repelled(&[batch, critical], &[]).unwrap();
        assert_eq!(both, ["batch: dedicated=batch:NoSchedule", "critical: CriticalAddonsOnly:NoExecute"]);
    }

    #[test]
    fn a_selector_needs_the_namespace_and_all_of_its_labels() {
        let selector = |namespace: &str, labels: Value| -> Selector {
            serde_json::from_value(json!({"namespace": namespace, "labels": labels})).unwrap()
        };
        let labels = BTreeMap::from([("app".to_owned(), "dns".to_owned())]);
        let said = |selector: Selector| selects(&selector, "kube-system", &labels);
        assert_eq!(said(selector("kube-system", json!({}))), Some(true));
        assert_eq!(said(selector("kube-system", json!({"app": "dns"}))), Some(true));
        assert_eq!(said(selector("kube-system", json!({"app": "dns", "b": "c"}))), Some(false));
        assert_eq!(said(selector("web", json!({}))), Some(false));
        assert_eq!(said(selector("kube-*", json!({}))), None);
    }
}
