//! Renders manifest files into Kubernetes objects: substitutes variables and evaluates conditions. Each error
//! has its file and line. Pure.

use super::{
    diagnostics::{Diagnostic, Diagnostics, SourceText},
    foreign_manifest::{is_literal, items, name_generated},
    nearest,
    secret_manifest::normalize,
    tree::{Raw, YamlNode, parse_all},
};
use crate::model::{SecretData, hide, is_reference, joined};
use serde_json::{Map, Value, json};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

/// A file of the manifests directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestFile {
    /// Path below the manifests directory, such as `app/service.yaml`.
    pub path: String,
    /// Path that errors show, relative to the working directory.
    pub name: String,
    /// Content of the file.
    pub bytes: Vec<u8>,
}

/// The values of the variables by name. A reference is a value that another resource supplies later, such as
/// its ARN.
pub type Variables = BTreeMap<String, Value>;

/// The key with the condition under which a map is rendered; as an annotation of the object, the whole document.
/// It is removed.
const WHEN: &str = "provisioner/when";

/// A rendered Kubernetes object.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Path of the file below the manifests directory.
    pub path: String,
    /// The object. Values that other resources supply are references in it, and texts stand for those of a Secret.
    pub value: Value,
    /// The values of a Secret.
    pub secret: Option<SecretData>,
}

impl Object {
    /// Returns whether both describe the same object, wherever they are written.
    pub fn is_same(&self, other: &Object) -> bool {
        self.value == other.value && self.secret == other.secret
    }
}

/// What the documents of one file render to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rendered {
    /// The objects of the documents whose conditions hold.
    pub objects: Vec<Object>,
    /// Names of the variables that these documents, or any condition, use.
    pub used: BTreeSet<String>,
}

/// Renders the documents of one file whose conditions hold.
///
/// # Errors
/// YAML that cannot be parsed, unknown variables, invalid conditions, and documents that cannot be applied,
/// each with its position.
pub fn render(file: &ManifestFile, variables: &Variables) -> Result<Rendered, Diagnostics> {
    let (documents, source) = parse_all(&file.name, &file.bytes)?;
    let literal = is_literal(&file.bytes);
    let renderer = Renderer { source: &source, variables, literal, used: RefCell::default() };
    let mut objects = Vec::new();
    let mut wrong = Vec::new();
    for document in items(documents) {
        match renderer.document(&document) {
            Ok(Some(mut value)) => {
                let secret = hide(&mut value);
                objects.push(Object { path: file.path.clone(), value, secret });
            }
            Ok(None) => {}
            Err(diagnostic) => wrong.push(diagnostic),
        }
    }
    let rendered = Rendered { objects, used: renderer.used.into_inner() };
    Diagnostics::new(wrong).map_or(Ok(rendered), Err)
}

struct Renderer<'a> {
    source: &'a SourceText,
    variables: &'a Variables,
    /// Whether `${` in texts is left as it is.
    literal: bool,
    used: RefCell<BTreeSet<String>>,
}

impl Renderer<'_> {
    fn document(&self, node: &YamlNode) -> Result<Option<Value>, Diagnostic> {
        let wrong = |message: &str, hint: &str| {
            Err(self.source.at(node.span, "", message.to_owned(), Some(hint.to_owned())))
        };
        if let Some(condition) = get(node, "metadata").and_then(|it| get(get(it, "annotations")?, WHEN))
            && !self.holds(condition)?
        {
            return Ok(None);
        }
        let Some(mut value) = self.value(node)? else { return Ok(None) };
        if value.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"))
            && value.pointer("/spec").is_none()
        {
            return wrong(
                "`items` of the list is missing or is no list",
                "write each object as an item, or after `---`",
            );
        }
        name_generated(&mut value);
        let text = |path: &str| value.pointer(path).is_some_and(Value::is_string);
        if !text("/apiVersion") || !text("/kind") || !text("/metadata/name") {
            return wrong(
                "invalid Kubernetes object: apiVersion, kind and metadata.name are required",
                "set all three; instead of a name, `metadata.generateName` is accepted, too",
            );
        }
        if let Err((message, hint)) = normalize(&mut value) {
            return wrong(&message, &hint);
        }
        if let Some(Value::Object(metadata)) = value.get_mut("metadata")
            && metadata.get("annotations") == Some(&json!({}))
        {
            metadata.remove("annotations");
        }
        Ok(Some(value))
    }

    /// Returns the value of a node, or `None` if it is left out: a text that is only a variable without a value, or a map
    /// whose condition does not hold.
    fn value(&self, node: &YamlNode) -> Result<Option<Value>, Diagnostic> {
        Ok(Some(match &node.raw {
            Raw::Null => Value::Null,
            Raw::Bool(value) => json!(value),
            Raw::Int(value) => json!(value),
            Raw::Float(value) => json!(value),
            Raw::Text(text) => match self.text(node, text)? {
                Value::Null => return Ok(None),
                value => value,
            },
            Raw::List(list) => {
                list.iter().filter_map(|node| self.value(node).transpose()).collect::<Result<_, _>>()?
            }
            Raw::Map(entries) => {
                if let Some(condition) = get(node, WHEN)
                    && !self.holds(condition)?
                {
                    return Ok(None);
                }
                let entries = entries.iter().filter(|(key, _)| key.name != WHEN).filter_map(|(key, node)| {
                    let value = self.value(node).transpose()?;
                    Some(value.map(|value| (key.name.clone(), value)))
                });
                let value = Value::Object(entries.collect::<Result<Map<_, _>, _>>()?);
                if is_reference(&value) {
                    let message =
                        "a map with only `ref` and `field` is reserved for references between resources"
                            .to_owned();
                    return Err(self.source.at(node.span, "", message, None));
                }
                value
            }
        }))
    }

    /// Substitutes the variables in a text. A text that is only one variable takes the type of the variable's
    /// value.
    fn text(&self, node: &YamlNode, text: &str) -> Result<Value, Diagnostic> {
        if self.literal {
            return Ok(Value::String(text.to_owned()));
        }
        let wrong = |message: String, hint: String| self.source.at(node.span, "", message, Some(hint));
        let mut parts: Vec<Value> = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let (before, tail) = rest.split_at(start);
            let body = tail.get(2..).unwrap_or_default();
            // `$${` is an escaped `${`.
            if let Some(before) = before.strip_suffix('$') {
                literal.push_str(before);
                literal.push_str("${");
                rest = body;
                continue;
            }
            literal.push_str(before);
            let Some((name, after)) = body.split_once('}') else {
                let hint = "add the `}`, or write `$${` for a literal `${`".to_owned();
                return Err(wrong("`${` without a closing `}`".to_owned(), hint));
            };
            let value = self.variable(node, name)?;
            if literal.is_empty() && parts.is_empty() && after.is_empty() {
                return Ok(value.clone());
            }
            match value {
                Value::String(text) => literal.push_str(text),
                Value::Bool(_) | Value::Number(_) => literal.push_str(&value.to_string()),
                reference if is_reference(reference) => {
                    parts.push(json!(std::mem::take(&mut literal)));
                    parts.push(reference.clone());
                }
                _ => {
                    let hint = format!("use `${{{name}}}` as the whole value");
                    let what = if value.is_null() { "has no value" } else { "is a list or a map" };
                    return Err(wrong(
                        format!("variable `{name}` {what} and cannot be part of a text"),
                        hint,
                    ));
                }
            }
            rest = after;
        }
        literal.push_str(rest);
        if parts.is_empty() {
            return Ok(Value::String(literal));
        }
        parts.push(json!(literal));
        parts.retain(|part| part != "");
        Ok(joined(parts))
    }

    fn variable(&self, node: &YamlNode, name: &str) -> Result<&Value, Diagnostic> {
        self.used.borrow_mut().insert(name.trim().to_owned());
        self.variables.get(name.trim()).ok_or_else(|| {
            let known = self.variables.keys().map(String::as_str);
            let hint = match nearest(name.trim(), known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "see manifests/README.md for the list of variables".to_owned(),
            };
            self.source.at(node.span, "", format!("unknown variable `{}`", name.trim()), Some(hint))
        })
    }

    /// Returns whether all terms of a condition are true.
    fn holds(&self, node: &YamlNode) -> Result<bool, Diagnostic> {
        let Raw::Text(condition) = &node.raw else {
            let message = format!("expected a string for `{WHEN}`");
            return Err(self.source.at(
                node.span,
                "",
                message,
                Some("put the condition in quotes".to_owned()),
            ));
        };
        for term in condition.split(" and ") {
            let term = term.trim();
            let holds = if let Some((name, value)) = term.split_once("==") {
                self.compared(node, name)? == value.trim()
            } else if let Some((name, value)) = term.split_once("!=") {
                self.compared(node, name)? != value.trim()
            } else if let Some(name) = term.strip_prefix('!') {
                !truthy(self.variable(node, name)?)
            } else {
                truthy(self.variable(node, term)?)
            };
            if !holds {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn compared(&self, node: &YamlNode, name: &str) -> Result<String, Diagnostic> {
        match self.variable(node, name)? {
            Value::String(text) => Ok(text.clone()),
            value @ (Value::Bool(_) | Value::Number(_)) => Ok(value.to_string()),
            _ => {
                let message = format!(
                    "variable `{}` cannot be compared: it is not a text, or not known until `up` runs",
                    name.trim()
                );
                Err(self.source.at(node.span, "", message, None))
            }
        }
    }
}

fn get<'a>(node: &'a YamlNode, key: &str) -> Option<&'a YamlNode> {
    match &node.raw {
        Raw::Map(entries) => entries.iter().find(|(name, _)| name.name == key).map(|(_, node)| node),
        _ => None,
    }
}

/// Returns whether a variable counts as true in a condition: not null, false, zero or empty.
fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

#[cfg(test)]
mod tests;
