//! Every reference between resources names a field that the kind of the other resource has.

use super::{REGISTRY, serialised_live, tables};
use crate::{
    graph::{Context, addons, graph, variables},
    model::Graph,
    stack::{Stack, load, manifest_file::Object},
};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Stack files whose graphs together use every reference: one with all fields, and its alternatives.
fn stacks() -> Vec<Stack> {
    let full = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stack_files/good/full.yaml");
    let small = "name: shop\nregion: eu-central-1\ncluster: {}\n";
    // Variables of the manifests refer to the certificate of this controller.
    let controller = "controllers: {loadBalancerController: true}\n";
    let texts = [
        std::fs::read_to_string(full).unwrap(),
        format!(
            "{small}network: {{nat: none, zones: 2}}\nfargateOnly: true\n{controller}app: {{ingress: none}}\n"
        ),
        format!("{small}nodeGroups: [{{name: ssh, ssh: {{generate: true}}}}]\napp: {{ingress: nlb}}\n"),
        format!("{small}serviceAccounts: [{{name: web, namespace: demo, podIdentity: true}}]\n{controller}"),
    ];
    let env = |_: &str| Some("x".to_owned());
    texts.iter().map(|text| load("stack.yaml", text.as_bytes(), &env).unwrap()).collect()
}

fn graph_of(stack: &Stack) -> Graph {
    let zones = ["a", "b", "c"].map(str::to_owned);
    let mut context = Context {
        account: "123456789012".to_owned(),
        version: "1.35".to_owned(),
        caller: Some("arn:aws:iam::123456789012:user/me".to_owned()),
        my_ip: Some("203.0.113.7/32".to_owned()),
        shares: zones.iter().cloned().zip(0..).collect(),
        zones: zones.into(),
        releases: stack
            .node_groups
            .iter()
            .map(|group| (group.name.clone(), "1.54.0-2f6b08ec".to_owned()))
            .collect(),
        addons: addons(stack).into_keys().map(|name| (name, "v1".to_owned())).collect(),
        ..Context::default()
    };
    // An object with all variables has every reference that a manifest can have.
    let data: Map<String, Value> = variables(stack, &context, stack.apps.first())
        .into_iter()
        .map(|(name, value)| (name.clone(), value))
        .collect();
    let value = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "all"}, "data": data});
    context.objects =
        vec![("app".to_owned(), Object { path: "app/all.yaml".to_owned(), value, secret: None })];
    graph(stack, &context).unwrap()
}

/// Returns a stack whose file has all fields, and its graph.
pub(super) fn full_stack() -> (Stack, Graph) {
    let stack = stacks().remove(0);
    let graph = graph_of(&stack);
    (stack, graph)
}

/// Collects the references in a serialised spec: address and field.
fn collect(value: &Value, found: &mut BTreeSet<(String, String)>) {
    match value {
        Value::Object(map) => {
            if let (Some(Value::String(address)), Some(Value::String(field))) =
                (map.get("ref"), map.get("field"))
            {
                found.insert((address.clone(), field.clone()));
            }
            map.values().for_each(|value| collect(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, found)),
        _ => {}
    }
}

#[test]
fn each_reference_names_a_field_of_the_other_resource() {
    let tables = tables();
    let fields: BTreeMap<&str, Map<String, Value>> =
        tables.iter().map(|table| (table.kind, serialised_live(table))).collect();
    let (mut used, mut wrong) = (BTreeSet::new(), BTreeSet::new());
    for stack in stacks() {
        let graph = graph_of(&stack);
        let mut references = BTreeSet::new();
        graph.nodes.values().for_each(|node| collect(&node.spec, &mut references));
        for (address, field) in references {
            let kind = graph.nodes.get(address.as_str()).map(|node| node.kind.as_str());
            if !kind.is_some_and(|kind| fields[kind].contains_key(&field)) {
                wrong.insert(format!("{address} ({kind:?}) has no field {field}"));
            }
            used.extend(kind.map(|kind| (kind.to_owned(), field)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let supplied = REGISTRY.iter().flat_map(|it| it.kind.supplies.iter().map(|field| (it.kind.name, *field)));
    for (kind, field) in supplied {
        assert!(fields[kind].contains_key(field.name()), "{kind} has no field {}", field.name());
        let used = used.remove(&(kind.to_owned(), field.name().to_owned()));
        assert!(used, "no stack of this test uses {} of {kind}", field.name());
    }
    assert!(used.is_empty(), "not among the fields that their kinds supply: {used:?}");
}
