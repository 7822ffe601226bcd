//! The positions of all fields in the stack file, for errors.

use super::{
    diagnostics::{Diagnostic, SourceText, Span},
    tree::{Raw, YamlNode},
};
use std::collections::BTreeMap;

/// Maximum length of a path whose position is recorded, in bytes. Keys may be as long as the file, and each
/// path repeats its parents. An error at a longer path is shown at its nearest recorded parent.
pub(super) const MAX_PATH_LEN: usize = 500;

/// The positions of all fields in the file, for errors.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Positions {
    source: SourceText,
    /// Position of the key (of the item itself in a list) and of the value, by path.
    pub(super) spans: BTreeMap<String, (Span, Span)>,
    /// Text as the file has it, by path, of values with environment variables.
    pub(super) templates: BTreeMap<String, String>,
}

impl Positions {
    /// Collects the positions of everything in the file.
    pub(super) fn new(source: SourceText, root: &YamlNode) -> Self {
        let mut positions = Positions { source, spans: BTreeMap::new(), templates: BTreeMap::new() };
        positions.collect("", root);
        positions
    }

    /// Returns an error at the value of `path`, or at the key of its nearest parent that the file contains.
    pub(super) fn at(&self, path: &str, message: String, hint: Option<String>) -> Diagnostic {
        let mut near = path;
        loop {
            if let Some((key, value)) = self.spans.get(near) {
                return self.source.at(if near == path { *value } else { *key }, path, message, hint);
            }
            match near.rfind(['.', '[']) {
                Some(end) => near = near.get(..end).unwrap_or_default(),
                None => return self.source.at(Span::default(), path, message, hint),
            }
        }
    }

    /// Records the positions of everything below `node`, whose own path is `path`.
    fn collect(&mut self, path: &str, node: &YamlNode) {
        if path.len() > MAX_PATH_LEN {
            return;
        }
        if let Some(template) = &node.template {
            self.templates.insert(path.to_owned(), template.clone());
        }
        match &node.raw {
            Raw::Map(entries) => {
                for (key, node) in entries {
                    let path =
                        if path.is_empty() { key.name.clone() } else { format!("{path}.{}", key.name) };
                    self.spans.insert(path.clone(), (key.span, node.span));
                    self.collect(&path, node);
                }
            }
            Raw::List(list) => {
                for (index, node) in list.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    self.spans.insert(path.clone(), (node.span, node.span));
                    self.collect(&path, node);
                }
            }
            _ => {}
        }
    }
}
