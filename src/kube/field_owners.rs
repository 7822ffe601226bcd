//! Finds the fields of a manifest that another field manager owns in the live object. Pure.
//!
//! Source: <https://kubernetes.io/docs/reference/using-api/server-side-apply/>, and for the steps of `fieldsV1`
//! (`f:NAME`, `k:{KEYS}`, `v:VALUE`, `i:INDEX`, `.`)
//! <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/#System>.

use super::{client::MANAGER, object_diff::joined};
use crate::model::is_reference;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Maximum width of a value in a message, in characters. An image with its digest is about 140.
const VALUE_WIDTH: usize = 160;

/// Fields of one list item of which only one may be set, such as those of an environment variable.
const ALTERNATIVES: [(&str, &str); 2] = [("f:value", "valueFrom"), ("f:valueFrom", "value")];

/// A field that another manager set to another value than the manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TakenField {
    /// Steps to the field, as `fieldsV1` writes them.
    pub steps: Vec<String>,
    /// Path of the field as a plan shows it.
    pub path: String,
    /// Name of the manager: `kubectl-set`, `kubectl-patch`, or a controller's.
    pub manager: String,
    /// When the manager last changed one of its fields, RFC 3339.
    pub at: Option<String>,
    /// Live value.
    pub live: Value,
}

impl TakenField {
    /// Returns the value that `object`, which may order its lists otherwise, has in the field.
    pub fn value<'a>(&self, object: &'a Value) -> Option<&'a Value> {
        self.steps.iter().try_fold(object, |at, step| match position(at, step)? {
            Position::Key(key) => at.get(key),
            Position::Index(index) => at.get(index),
        })
    }

    /// Sets the field of `object`, if it names the field.
    pub fn set(&self, object: &mut Value, value: &Value) {
        let slot = self.steps.iter().try_fold(object, |at, step| match position(at, step)? {
            Position::Key(key) => at.get_mut(key),
            Position::Index(index) => at.get_mut(index),
        });
        if let Some(slot) = slot {
            slot.clone_from(value);
        }
    }

    /// Returns the field with its live value, and who set it when.
    pub fn told(&self) -> String {
        let minute = self.at.as_deref().and_then(|at| Some((at.get(..10)?, at.get(11..16)?)));
        let when = minute.map(|(day, time)| format!(" ({day} {time} UTC)")).unwrap_or_default();
        let by = format!("{}{when}", self.manager);
        format!("{} is set to {} by {}", self.path, shown(&self.live), by.escape_debug())
    }
}

/// Returns a value on one line for a message.
pub fn shown(value: &Value) -> String {
    if is_reference(value) {
        return "(known after up)".to_owned();
    }
    let text = value.to_string();
    match text.chars().count() > VALUE_WIDTH {
        true => text.chars().take(VALUE_WIDTH).chain(['…']).collect(),
        false => text,
    }
}

/// Returns the fields that `want` names, that another manager owns in `live`, and whose values differ: the API server
/// refuses to apply them without force. One manager is named for each, the one that wrote last.
///
/// A field of `want` with a reference in it counts as different.
pub fn taken_fields(want: &Value, live: &Value) -> Vec<TakenField> {
    let mut found: BTreeMap<Vec<String>, TakenField> = BTreeMap::new();
    let entries = live.pointer("/metadata/managedFields").and_then(Value::as_array);
    for entry in entries.into_iter().flatten() {
        let text = |field: &str| entry.get(field).and_then(Value::as_str);
        let ours = (text("manager"), text("operation")) == (Some(MANAGER), Some("Apply"));
        let Some(fields) = entry.get("fieldsV1").and_then(Value::as_object).filter(|_| !ours) else {
            continue;
        };
        let mut leaves = Vec::new();
        leaf_steps(fields, &mut Vec::new(), &mut leaves);
        for steps in leaves {
            let at = text("time").map(str::to_owned);
            let taken = TakenField {
                steps,
                path: String::new(),
                manager: text("manager").unwrap_or("an unnamed manager").to_owned(),
                at,
                live: Value::Null,
            };
            let Some(taken) = differing(taken, want, live) else { continue };
            let newer = |other: &TakenField| other.at < taken.at;
            if found.get(&taken.steps).is_none_or(newer) {
                found.insert(taken.steps.clone(), taken);
            }
        }
    }
    found.into_values().collect()
}

/// Returns `object` with the live values of taken fields: applied with these, the fields have two owners, and the
/// server sees no conflict. Left out, a field that this program owned before would be deleted.
pub fn with_live_values(object: &Value, taken: &[TakenField]) -> Value {
    let mut object = object.clone();
    taken.iter().for_each(|field| field.set(&mut object, &field.live));
    object
}

/// Collects the steps to each field that a set of fields lists. A list item or map that is itself in the set (`.`) is
/// no leaf: only what is in it can conflict.
fn leaf_steps(fields: &Map<String, Value>, at: &mut Vec<String>, leaves: &mut Vec<Vec<String>>) {
    for (step, inner) in fields.iter().filter(|(step, _)| *step != ".") {
        at.push(step.clone());
        match inner.as_object() {
            Some(inner) if !inner.is_empty() => leaf_steps(inner, at, leaves),
            _ => leaves.push(at.clone()),
        }
        at.pop();
    }
}

/// Completes `taken` if `want` names its field, or an alternative to it, with another value than `live`.
fn differing(mut taken: TakenField, want: &Value, live: &Value) -> Option<TakenField> {
    if taken.value(want).is_none() {
        let last = taken.steps.pop()?;
        let (_, other) = ALTERNATIVES.iter().find(|(step, _)| *step == last)?;
        // Only a list item has alternatives; the whole item is taken.
        taken
            .value(want)?
            .get(other)
            .filter(|_| taken.steps.last().is_some_and(|it| it.starts_with("k:")))?;
    }
    let (wanted, there) = (taken.value(want)?, taken.value(live)?);
    // An empty map that is owned says nothing of the keys that another manager adds.
    let empty = there.as_object().is_some_and(Map::is_empty) || there.is_null();
    if wanted == there || empty {
        return None;
    }
    taken.live = there.clone();
    taken.path = path(live, &taken.steps);
    Some(taken)
}

enum Position<'a> {
    Key(&'a str),
    Index(usize),
}

/// Returns where a step leads in `value`. `None` for a list item that is not in it, and for an item of a set (`v:`),
/// which has no value of its own.
fn position<'a>(value: &Value, step: &'a str) -> Option<Position<'a>> {
    match step.split_once(':')? {
        ("f", name) => Some(Position::Key(name)),
        ("i", index) => index.parse().ok().map(Position::Index),
        ("k", keys) => {
            let keys: Map<String, Value> = serde_json::from_str(keys).ok()?;
            let items = value.as_array()?;
            let has = |item: &Value, exact: bool| {
                keys.iter().all(|(key, value)| match item.get(key) {
                    Some(there) => there == value,
                    // The server adds defaults to the keys, such as `protocol: TCP` of a port.
                    None => !exact,
                })
            };
            let index = items.iter().position(|item| has(item, true));
            index.or_else(|| items.iter().position(|item| has(item, false))).map(Position::Index)
        }
        _ => None,
    }
}

/// Returns the path of a field of `live` as a plan shows it, such as `spec.containers[app].image`.
fn path(live: &Value, steps: &[String]) -> String {
    let (mut text, mut at) = (String::new(), live);
    for step in steps {
        let inner = match position(at, step) {
            Some(Position::Key(key)) => {
                text = joined(&text, key);
                at.get(key)
            }
            Some(Position::Index(index)) => {
                let item = at.get(index);
                let name = item.and_then(|item| item.get("name")?.as_str()).map(str::to_owned);
                text.push_str(&format!("[{}]", name.unwrap_or_else(|| index.to_string())));
                item
            }
            None => None,
        };
        at = inner.unwrap_or(&Value::Null);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What kubectl and the controllers of a cluster leave in `managedFields`, as an API server of 1.35 writes it.
    fn entry(manager: &str, operation: &str, subresource: Option<&str>, fields: Value) -> Value {
        let mut entry = json!({
            "manager": manager, "operation": operation, "apiVersion": "apps/v1",
            "time": "2026-11-29T16:40:05Z", "fieldsType": "FieldsV1", "fieldsV1": fields,
        });
        if let Some(subresource) = subresource {
            entry["subresource"] = json!(subresource);
        }
        entry
    }

    fn deployment(replicas: u32, image: &str, env: &Value) -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop", "labels": {"app.kubernetes.io/name": "web"}},
            "spec": {"replicas": replicas, "template": {"spec": {"containers": [
                {"name": "sidecar", "image": "proxy:1"},
                {"name": "app", "image": image, "env": env,
                 "ports": [{"containerPort": 80}], "args": ["--fast"]},
            ]}}},
        })
    }

    fn in_app(fields: Value) -> Value {
        json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"app\"}": fields}}}}})
    }

    fn found(want: &Value, live: &Value, entries: &[Value]) -> Vec<(String, String, Value)> {
        let mut live = live.clone();
        live["metadata"]["managedFields"] = json!(entries);
        let taken = taken_fields(want, &live);
        // What is applied then has the live values, and conflicts with nothing.
        assert_eq!(taken_fields(&with_live_values(want, &taken), &live), []);
        taken.into_iter().map(|field| (field.path, field.manager, field.live)).collect()
    }

    fn one(path: &str, manager: &str, live: Value) -> Vec<(String, String, Value)> {
        vec![(path.to_owned(), manager.to_owned(), live)]
    }

    #[test]
    fn fields_that_kubectl_set_are_found_with_their_manager() {
        let variable =
            |value: &str| json!([{"name": "OTHER", "value": "x"}, {"name": "GREETING", "value": value}]);
        let want = deployment(2, "shop:1", &variable("hello"));
        const APP: &str = "spec.template.spec.containers[app]";
        // kubectl set image
        let live = deployment(2, "busybox", &variable("hello"));
        let set = entry("kubectl-set", "Update", None, in_app(json!({"f:image": {}})));
        assert_eq!(
            found(&want, &live, &[set]),
            one(&format!("{APP}.image"), "kubectl-set", json!("busybox"))
        );
        // kubectl set env: an item of ours, and one that the manifest does not have.
        let mut env = variable("bonjour");
        env.as_array_mut().unwrap().push(json!({"name": "NEW", "value": "1"}));
        let live = deployment(2, "shop:1", &env);
        let fields = json!({"f:env": {
            "k:{\"name\":\"GREETING\"}": {"f:value": {}},
            "k:{\"name\":\"NEW\"}": {".": {}, "f:name": {}, "f:value": {}},
        }});
        let set = entry("kubectl-set", "Update", None, in_app(fields));
        let expected = one(&format!("{APP}.env[GREETING].value"), "kubectl-set", json!("bonjour"));
        assert_eq!(found(&want, &live, &[set]), expected);
        // kubectl patch: labels with dots and slashes, a list that is replaced as a whole.
        let mut live = deployment(2, "shop:1", &variable("hello"));
        live["metadata"]["labels"]["app.kubernetes.io/name"] = json!("api");
        live["spec"]["template"]["spec"]["containers"][1]["args"] = json!(["--slow", "-v"]);
        let mut fields = in_app(json!({"f:args": {}}));
        fields["f:metadata"] = json!({"f:labels": {"f:app.kubernetes.io/name": {}}});
        let patch = entry("kubectl-patch", "Update", None, fields);
        let expected = [
            one("metadata.labels[app.kubernetes.io/name]", "kubectl-patch", json!("api")),
            one(&format!("{APP}.args"), "kubectl-patch", json!(["--slow", "-v"])),
        ];
        assert_eq!(found(&want, &live, &[patch]), expected.concat());
    }

    #[test]
    fn a_scale_of_kubectl_and_of_an_autoscaler_are_found_by_their_subresource() {
        let (want, live) = (deployment(2, "a", &json!([])), deployment(7, "a", &json!([])));
        let replicas = json!({"f:spec": {"f:replicas": {}}});
        for manager in ["kubectl", "kube-controller-manager"] {
            let scale = entry(manager, "Update", Some("scale"), replicas.clone());
            let status = json!({"f:status": {"f:replicas": {}, "f:conditions": {".": {}}}});
            let status = entry("kube-controller-manager", "Update", Some("status"), status);
            assert_eq!(found(&want, &live, &[status, scale]), one("spec.replicas", manager, json!(7)));
        }
    }

    #[test]
    fn what_this_program_owns_what_is_equal_and_what_the_manifest_lacks_is_not_taken() {
        let (want, live) = (deployment(2, "a", &json!([])), deployment(7, "b", &json!([])));
        let mut fields = in_app(json!({".": {}, "f:name": {}, "f:image": {}}));
        fields["f:spec"]["f:replicas"] = json!({});
        // Drift without an owner, such as an edit that sent `managedFields: []`.
        assert_eq!(found(&want, &live, &[entry("provisioner", "Apply", None, fields.clone())]), []);
        assert_eq!(found(&want, &live, &[]), []);
        // kubectl apply as the sole owner of an object that has the wanted values.
        let applied = entry("kubectl-client-side-apply", "Update", None, fields.clone());
        assert_eq!(found(&live, &live, std::slice::from_ref(&applied)), []);
        let both = [entry("provisioner", "Apply", None, fields), applied];
        let names: Vec<String> = found(&want, &live, &both).into_iter().map(|(path, ..)| path).collect();
        assert_eq!(names, ["spec.replicas", "spec.template.spec.containers[app].image"]);
        let mut without = want;
        without["spec"].as_object_mut().unwrap().remove("replicas");
        without["spec"]["template"]["spec"]["containers"][1].as_object_mut().unwrap().remove("image");
        assert_eq!(found(&without, &live, &both), []);
    }

    #[test]
    fn items_are_found_by_their_keys_in_any_order_and_with_defaults_left_out() {
        let mut live = deployment(2, "a", &json!([]));
        live["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap().reverse();
        live["spec"]["template"]["spec"]["containers"][0]["ports"] =
            json!([{"containerPort": 80, "protocol": "TCP", "name": "web"}]);
        let mut want = deployment(2, "a", &json!([]));
        want["spec"]["template"]["spec"]["containers"][1]["ports"] =
            json!([{"containerPort": 9090}, {"containerPort": 80, "name": "http"}]);
        let key = "k:{\"containerPort\":80,\"protocol\":\"TCP\"}";
        let fields = in_app(json!({"f:ports": {key: {".": {}, "f:containerPort": {}, "f:name": {}}}}));
        let edit = entry("kubectl-edit", "Update", None, fields);
        let path = "spec.template.spec.containers[app].ports[web].name";
        assert_eq!(found(&want, &live, &[edit]), one(path, "kubectl-edit", json!("web")));
    }

    #[test]
    fn a_variable_that_became_a_value_is_taken_as_a_whole() {
        let from = json!({"configMapKeyRef": {"name": "settings", "key": "greeting"}});
        let want = deployment(2, "a", &json!([{"name": "GREETING", "valueFrom": from}]));
        let live = deployment(2, "a", &json!([{"name": "GREETING", "value": "bonjour"}]));
        let fields = in_app(json!({"f:env": {"k:{\"name\":\"GREETING\"}": {"f:value": {}}}}));
        let set = entry("kubectl-set", "Update", None, fields);
        let path = "spec.template.spec.containers[app].env[GREETING]";
        let item = json!({"name": "GREETING", "value": "bonjour"});
        assert_eq!(found(&want, &live, &[set]), one(path, "kubectl-set", item));
    }

    #[test]
    fn the_latest_of_several_owners_is_named_with_the_time() {
        let (want, live) = (deployment(2, "a", &json!([])), deployment(2, "b", &json!([])));
        let image = || in_app(json!({"f:image": {}}));
        let mut live = live;
        let mut first = entry("kubectl-client-side-apply", "Update", None, image());
        first["time"] = json!("2026-11-28T09:00:00Z");
        live["metadata"]["managedFields"] = json!([first, entry("kubectl-set", "Update", None, image())]);
        let taken = taken_fields(&want, &live);
        assert_eq!(
            taken[0].told(),
            "spec.template.spec.containers[app].image is set to \"b\" by kubectl-set (2026-11-29 16:40 UTC)"
        );
        let timeless = TakenField { at: None, manager: "a\u{1b}[2Jb".to_owned(), ..taken[0].clone() };
        assert!(timeless.told().ends_with("by a\\u{1b}[2Jb"), "{}", timeless.told());
        let reference = json!({"ref": "application/image", "field": "uri"});
        let unknown = deployment(2, "", &json!([]));
        let mut unknown = unknown;
        unknown["spec"]["template"]["spec"]["containers"][1]["image"] = reference.clone();
        assert_eq!(taken_fields(&unknown, &live)[0].value(&unknown), Some(&reference));
        assert_eq!(shown(&reference), "(known after up)");
    }
}
