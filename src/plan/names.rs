//! The names of resources that are replaced by creation first. The file says `NAME`; what is recorded says which of `NAME` and
//! `NAME-SUFFIX` it is at present.

use crate::model::{
    Address, Entry, Graph, Kind, Node, Readiness, ReplacementOrder, Snapshot, is_name_of, next_name, resolve,
};
use serde_json::{Value, json};

/// The field with the name, in the wanted and in the live form.
const NAME: &str = "name";

fn name(form: &Value) -> Option<&str> {
    form.get(NAME).and_then(Value::as_str)
}

/// Returns whether the resource is replaced by creation first.
fn is_renamed(kind: Kind) -> bool {
    kind.replacement == ReplacementOrder::CreateFirst
}

/// Returns `spec` under another name.
pub(super) fn renamed(spec: &Value, name: &str) -> Value {
    let mut spec = spec.clone();
    if let Some(fields) = spec.as_object_mut() {
        fields.insert(NAME.to_owned(), json!(name));
    }
    spec
}

/// Records again what was being replaced and fits the file again, as after a replacement that failed and was undone in the
/// file: it serves on, and what was to replace it is deleted.
pub fn take_back(graph: &Graph, snapshot: &mut Snapshot, kinds: &dyn Fn(&str) -> Option<Kind>) {
    for node in graph.nodes.values() {
        let Some(kind) = kinds(&node.kind).filter(|kind| is_renamed(*kind)) else { continue };
        if let Some((retired, new)) = fits_again(node, kind, snapshot) {
            snapshot.take_back(&node.address, &retired, &new);
        }
    }
}

/// Returns the address of what was retired at that of `node` and fits it while what was to replace it does not, and the name of
/// the latter.
fn fits_again(node: &Node, kind: Kind, snapshot: &Snapshot) -> Option<(Address, String)> {
    let (entry, intent) = (snapshot.resources.get(&node.address), snapshot.intents.get(&node.address));
    let want = resolve(&node.spec, &|at, field| {
        snapshot.resources.get(at)?.live.get(field).filter(|value| !value.is_null()).cloned()
    });
    let fits = |live: &Value| {
        let want = name(live).map(|name| renamed(&want, name));
        let changes = want.map(|want| (kind.diff)(&want, live));
        matches!(changes, Some(Ok(changes)) if !changes.force_replace())
    };
    let new = match (entry, intent) {
        (Some(entry), None) if !fits(&entry.live) => name(&entry.live),
        (None, Some(intent)) => name(&intent.request),
        _ => None,
    }?;
    let of_node = |at: &Address| *at != node.address && at.base() == node.address.as_str();
    let mut retired = snapshot.resources.iter().filter(|(at, it)| of_node(at) && it.kind == node.kind);
    let serves = |old: &Entry| {
        !old.leaving && fits(&old.live) && matches!((kind.ready)(&old.live), Ok(Readiness::Ready))
    };
    retired
        .find(|(at, old)| name(&old.live).is_some_and(|it| **at == node.address.retired(it)) && serves(old))
        .map(|(at, _)| (at.clone(), new.to_owned()))
}

/// Gives each wanted resource the name under which it is recorded, if that is one for its name in the file.
pub fn fill_names(graph: &mut Graph, snapshot: &Snapshot, kinds: &dyn Fn(&str) -> Option<Kind>) {
    let names: Vec<(Address, String)> = graph
        .nodes
        .values()
        .filter_map(|node| {
            let kind = kinds(&node.kind).filter(|kind| is_renamed(*kind))?;
            Some((node.address.clone(), recorded_name(node, kind, graph, snapshot)?))
        })
        .collect();
    for (address, name) in names {
        if let Some(node) = graph.nodes.get_mut(&address) {
            node.spec = renamed(&node.spec, &name);
        }
    }
}

fn recorded_name(node: &Node, kind: Kind, graph: &Graph, snapshot: &Snapshot) -> Option<String> {
    let base = node.address.last_segment();
    let recorded = snapshot.resources.get(&node.address).and_then(|entry| name(&entry.spec));
    let intended = snapshot.intents.get(&node.address).and_then(|intent| name(&intent.request));
    let own = |name: &&str| is_name_of(base, name, kind.max_name_len);
    if let Some(name) = recorded.or(intended).filter(own) {
        return Some(name.to_owned());
    }
    // The name in the file is that of a resource that is still being deleted.
    let occupied = snapshot.resources.contains_key(&node.address.retired(base));
    occupied.then(|| successor(node, kind, base, graph, snapshot))
}

/// Returns `want` under the name of what was found, if that is one for its name in the file.
pub(super) fn as_found(kind: Kind, address: &Address, want: Value, live: &Value) -> Value {
    let own = |name: &&str| is_name_of(address.last_segment(), name, kind.max_name_len);
    match name(live).filter(|_| is_renamed(kind)).filter(own) {
        Some(name) => renamed(&want, name),
        None => want,
    }
}

/// Returns the address under which the resource that is there is recorded while it is being replaced; `None` if it is deleted
/// first.
pub(super) fn retired(kind: Kind, address: &Address, live: &Value) -> Option<Address> {
    name(live).filter(|_| is_renamed(kind)).map(|old| address.retired(old))
}

/// Returns the name of what replaces the resource named `old` at the address of `node`.
pub(super) fn successor(node: &Node, kind: Kind, old: &str, graph: &Graph, snapshot: &Snapshot) -> String {
    let base = node.address.last_segment();
    let wanted = graph.nodes.values().filter(|it| it.kind == node.kind).map(|it| &it.spec);
    let recorded = snapshot.resources.values().filter(|it| it.kind == node.kind).map(|it| &it.spec);
    let taken: Vec<&str> = wanted.chain(recorded).filter_map(name).collect();
    // The name is no part of what decides about it.
    let spec = renamed(&node.spec, base);
    next_name(base, old, &spec, kind.max_name_len, &|name| taken.contains(&name))
}
