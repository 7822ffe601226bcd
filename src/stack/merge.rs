//! Merges a stack file into the file that it extends.

use super::{
    diagnostics::{SourceText, Span},
    tree::{Key, Raw, YamlNode},
};
use std::collections::BTreeMap;

/// The list whose items are named by their namespace, too: names of service accounts are unique only in one.
/// Source: <https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/>
const BY_NAMESPACE: &str = "serviceAccounts";

/// Returns `over` merged into `base`. `name` is the field that both are the value of; empty for whole files.
///
/// Maps merge field by field, and lists whose items all have a `name` merge item by item. Everything else is replaced:
/// other lists, scalars, and values of different types. An explicit `null` removes the field; an empty value is an error
/// later, because it is usually a section whose lines are not indented.
pub fn merge(base: YamlNode, over: YamlNode, name: &str, source: &SourceText) -> YamlNode {
    let raw = match (base.raw, over.raw) {
        (Raw::Map(base), Raw::Map(over)) => Raw::Map(maps(base, over, source)),
        (Raw::List(base), Raw::List(over)) => Raw::List(match (labels(&base, name), labels(&over, name)) {
            (Some(known), Some(labels)) => lists(base, over, (&known, &labels), source),
            _ => over,
        }),
        (_, over) => over,
    };
    YamlNode { raw, span: over.span, template: over.template }
}

fn maps(
    mut base: Vec<(Key, YamlNode)>,
    over: Vec<(Key, YamlNode)>,
    source: &SourceText,
) -> Vec<(Key, YamlNode)> {
    let places: BTreeMap<String, usize> =
        base.iter().enumerate().map(|(place, (key, _))| (key.name.clone(), place)).collect();
    let mut removed = Vec::new();
    for (key, node) in over {
        match places.get(&key.name).and_then(|place| base.get_mut(*place).map(|entry| (*place, entry))) {
            None => base.push((key, node)),
            Some((place, _)) if is_null(&node, source) => removed.push(place),
            Some((_, entry)) => {
                let old = std::mem::replace(&mut entry.1, NOTHING);
                entry.1 = merge(old, node, &key.name, source);
                entry.0 = key;
            }
        }
    }
    removed.sort_unstable();
    let mut place = 0_usize;
    base.retain(|_| {
        let kept = removed.binary_search(&place).is_err();
        place = place.saturating_add(1);
        kept
    });
    base
}

/// Stands for a value while it is merged.
const NOTHING: YamlNode =
    YamlNode { raw: Raw::Null, span: Span { file: 0, line: 0, column: 0, length: 0 }, template: None };

fn lists(
    mut base: Vec<YamlNode>,
    over: Vec<YamlNode>,
    (known, labels): (&[String], &[String]),
    source: &SourceText,
) -> Vec<YamlNode> {
    let places: BTreeMap<&String, usize> =
        known.iter().enumerate().map(|(place, label)| (label, place)).collect();
    for (node, label) in over.into_iter().zip(labels) {
        match places.get(label).and_then(|place| base.get_mut(*place)) {
            None => base.push(node),
            Some(item) => *item = merge(std::mem::replace(item, NOTHING), node, "", source),
        }
    }
    base
}

/// Returns what names each item of a list; `None` if an item has no name, or if the list is empty.
fn labels(list: &[YamlNode], name: &str) -> Option<Vec<String>> {
    let label = |node: &YamlNode| {
        let Raw::Map(entries) = &node.raw else { return None };
        let text = |wanted: &str| match entries.iter().find(|(key, _)| key.name == wanted) {
            Some((_, YamlNode { raw: Raw::Text(text), .. })) => Some(text.as_str()),
            _ => None,
        };
        let own = text("name")?;
        Some(match name {
            BY_NAMESPACE => format!("{}/{own}", text("namespace").unwrap_or_default()),
            _ => own.to_owned(),
        })
    };
    if list.is_empty() { None } else { list.iter().map(label).collect() }
}

/// Returns whether the file says `null` or `~`. The parser reports a value that is missing at the text that follows.
fn is_null(node: &YamlNode, source: &SourceText) -> bool {
    node.raw == Raw::Null
        && match source.char_at(node.span) {
            Some('~') => true,
            Some('n' | 'N') => node.span.length == "null".len(),
            _ => false,
        }
}
