//! Manifest files -> objects: variables and conditions, each error with file and line. Pure.

use super::{
    diagnostics::{Diagnostic, Diagnostics, Source},
    nearest,
    tree::{Node, Raw, parse_all},
};
use crate::model::{is_reference, joined};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A file of the manifests' folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestFile {
    /// Its path below the folder, such as `app/service.yaml`.
    pub path: String,
    /// Its path for people.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// What `${name}` stands for. A reference is a value that another resource supplies later.
pub type Variables = BTreeMap<String, Value>;

/// The annotation that says when a document is rendered.
const WHEN: &str = "provisioner/when";

/// A rendered document.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// The file's path below the folder.
    pub path: String,
    /// The object. What another resource supplies is a reference in it.
    pub value: Value,
}

/// Renders the documents of one file whose conditions hold.
///
/// # Errors
/// What cannot be read, an unknown variable, and what is no Kubernetes object, with its line.
pub fn render(file: &ManifestFile, variables: &Variables) -> Result<Vec<Object>, Diagnostics> {
    let (documents, source) = parse_all(&file.name, &file.bytes)?;
    let renderer = Renderer { source: &source, variables };
    let mut objects = Vec::new();
    let mut wrong = Vec::new();
    for document in documents {
        match renderer.document(&document) {
            Ok(Some(value)) => objects.push(Object { path: file.path.clone(), value }),
            Ok(None) => {}
            Err(diagnostic) => wrong.push(diagnostic),
        }
    }
    Diagnostics::new(wrong).map_or(Ok(objects), Err)
}

struct Renderer<'a> {
    source: &'a Source,
    variables: &'a Variables,
}

impl Renderer<'_> {
    fn document(&self, node: &Node) -> Result<Option<Value>, Diagnostic> {
        let wrong = |message: &str, help: &str| {
            Err(self.source.at(node.spot, "", message.to_owned(), Some(help.to_owned())))
        };
        if let Some(condition) = get(node, "metadata").and_then(|it| get(get(it, "annotations")?, WHEN))
            && !self.holds(condition)?
        {
            return Ok(None);
        }
        let mut value = self.value(node)?;
        let text = |path: &str| value.pointer(path).is_some_and(Value::is_string);
        if !text("/apiVersion") || !text("/kind") || !text("/metadata/name") {
            return wrong(
                "this is no Kubernetes object",
                "apiVersion, kind and metadata.name are needed; metadata.generateName is not taken, since it would make a new \
                 object with every run",
            );
        }
        if value.get("kind") == Some(&json!("Secret")) && value.get("apiVersion") == Some(&json!("v1")) {
            return wrong(
                "a Secret has no place among the manifests: what is applied is kept in the state",
                "put it into `parameters` with `secret`, and let the pods read it from there",
            );
        }
        if value.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List")) {
            return wrong(
                "a list of objects is not taken",
                "write each object as a document of its own, after `---`",
            );
        }
        if let Some(Value::Object(annotations)) = value.pointer_mut("/metadata/annotations") {
            annotations.remove(WHEN);
            if annotations.is_empty()
                && let Some(Value::Object(metadata)) = value.get_mut("metadata")
            {
                metadata.remove("annotations");
            }
        }
        Ok(Some(value))
    }

    fn value(&self, node: &Node) -> Result<Value, Diagnostic> {
        Ok(match &node.raw {
            Raw::Null => Value::Null,
            Raw::Bool(value) => json!(value),
            Raw::Int(value) => json!(value),
            Raw::Float(value) => json!(value),
            Raw::Text(text) => self.text(node, text)?,
            Raw::List(list) => list.iter().map(|node| self.value(node)).collect::<Result<_, _>>()?,
            Raw::Map(entries) => {
                let entries = entries.iter().map(|(key, node)| Ok((key.name.clone(), self.value(node)?)));
                let value = Value::Object(entries.collect::<Result<Map<_, _>, _>>()?);
                if is_reference(&value) {
                    let message =
                        "a map of just `ref` and `field` cannot be told from this program's own".to_owned();
                    return Err(self.source.at(node.spot, "", message, None));
                }
                value
            }
        })
    }

    /// A text with its variables replaced; one that is nothing but a variable has that one's type.
    fn text(&self, node: &Node, text: &str) -> Result<Value, Diagnostic> {
        let wrong = |message: String, help: String| self.source.at(node.spot, "", message, Some(help));
        let mut parts: Vec<Value> = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let (before, tail) = rest.split_at(start);
            let body = tail.get(2..).unwrap_or_default();
            // `$${` stands for `${` itself.
            if let Some(before) = before.strip_suffix('$') {
                literal.push_str(before);
                literal.push_str("${");
                rest = body;
                continue;
            }
            literal.push_str(before);
            let Some((name, after)) = body.split_once('}') else {
                let help = "close it, or write `$${` for the characters themselves".to_owned();
                return Err(wrong("`${` without its `}`".to_owned(), help));
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
                    let help = "let the value be nothing but the variable".to_owned();
                    return Err(wrong(
                        format!("`{name}` is a list or a map, which has no place in a text"),
                        help,
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

    fn variable(&self, node: &Node, name: &str) -> Result<&Value, Diagnostic> {
        self.variables.get(name.trim()).ok_or_else(|| {
            let known = self.variables.keys().map(String::as_str);
            let help = match nearest(name.trim(), known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "manifests/README.md lists the variables".to_owned(),
            };
            self.source.at(node.spot, "", format!("there is no variable `{}`", name.trim()), Some(help))
        })
    }

    /// Whether all terms of a condition hold.
    fn holds(&self, node: &Node) -> Result<bool, Diagnostic> {
        let Raw::Text(condition) = &node.raw else {
            let message = format!("{WHEN} wants a text");
            return Err(self.source.at(node.spot, "", message, Some("quote it".to_owned())));
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

    fn compared(&self, node: &Node, name: &str) -> Result<String, Diagnostic> {
        match self.variable(node, name)? {
            Value::String(text) => Ok(text.clone()),
            value @ (Value::Bool(_) | Value::Number(_)) => Ok(value.to_string()),
            _ => {
                let message =
                    format!("`{}` cannot be compared: it is no text, or known only later", name.trim());
                Err(self.source.at(node.spot, "", message, None))
            }
        }
    }
}

fn get<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    match &node.raw {
        Raw::Map(entries) => entries.iter().find(|(name, _)| name.name == key).map(|(_, node)| node),
        _ => None,
    }
}

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
mod tests {
    use super::*;

    fn variables() -> Variables {
        let vpc = json!({"ref": "network/vpc", "field": "id"});
        let pairs = [
            ("stack.name", json!("shop")),
            ("app.replicas", json!(3)),
            ("app.env", json!({"A": "b"})),
            ("app.archs", json!(["amd64"])),
            ("app.parameter", json!("")),
            ("app.ingress", json!("alb")),
            ("network.vpcId", vpc),
        ];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn rendered(text: &str) -> Result<Vec<Value>, String> {
        let file = ManifestFile {
            path: "app/x.yaml".to_owned(),
            name: "manifests/app/x.yaml".to_owned(),
            bytes: text.as_bytes().to_vec(),
        };
        let objects = render(&file, &variables()).map_err(|error| error.to_string())?;
        Ok(objects.into_iter().map(|object| object.value).collect())
    }

    const HEAD: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n";

    #[test]
    fn values_take_the_type_of_their_variable_and_texts_take_its_text() {
        let text = format!(
            "{HEAD}a: ${{app.replicas}}\nb: x-${{app.replicas}}\nc: ${{app.env}}\nd: ${{app.archs}}\ne: $${{not}}\n\
             f: ${{stack.name}}-${{stack.name}}\ng: --vpc=${{network.vpcId}}\nh: ${{network.vpcId}}\n---\n---\n{HEAD}"
        );
        let objects = rendered(&text).unwrap();
        assert_eq!(objects.len(), 2, "empty documents are none");
        let vpc = &variables()["network.vpcId"];
        let wanted = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"},
            "a": 3, "b": "x-3", "c": {"A": "b"}, "d": ["amd64"], "e": "${not}", "f": "shop-shop",
            "g": {"text": ["--vpc=", vpc]}, "h": vpc,
        });
        assert_eq!(objects[0], wanted);
    }

    #[test]
    fn a_document_is_rendered_when_its_condition_holds() {
        let holds = |condition: &str| {
            let text = format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n  annotations: {{provisioner/when: \"{condition}\"}}\n"
            );
            rendered(&text).map(|objects| objects.len())
        };
        for (condition, count) in [
            ("app.replicas", 1),
            ("!app.replicas", 0),
            ("app.parameter", 0),
            ("network.vpcId", 1),
            ("app.ingress == alb", 1),
            ("app.ingress != alb", 0),
            ("app.ingress != none and !app.parameter", 1),
            ("app.ingress == alb and app.parameter", 0),
            ("app.replicas == 3", 1),
        ] {
            assert_eq!(holds(condition).unwrap(), count, "{condition}");
        }
        assert!(holds("app.ingres").unwrap_err().contains("did you mean `app.ingress`?"));
        assert!(holds("network.vpcId == x").unwrap_err().contains("cannot be compared"));
        let left = rendered(
            "apiVersion: v1\nkind: A\nmetadata: {name: x, annotations: {provisioner/when: app.replicas, b: c}}\n",
        );
        assert_eq!(left.unwrap()[0]["metadata"]["annotations"], json!({"b": "c"}));
    }

    #[test]
    fn what_is_wrong_is_shown_with_its_file_and_line() {
        for (text, line, words) in [
            (format!("{HEAD}data:\n  a: ${{app.replica}}\n"), 5, "did you mean `app.replicas`?"),
            (format!("{HEAD}data: {{a: '${{stack.name'}}\n"), 4, "without its `}`"),
            (format!("{HEAD}data: {{a: 'x ${{app.env}}'}}\n"), 4, "a list or a map"),
            ("kind: ConfigMap\nmetadata: {name: x}\n".to_owned(), 1, "no Kubernetes object"),
            (format!("{HEAD}---\napiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\n"), 5, "`parameters`"),
            ("apiVersion: v1\nkind: PodList\nmetadata: {name: s}\n".to_owned(), 1, "a list of objects"),
            (format!("{HEAD}a: {{ref: x, field: y}}\n"), 4, "`ref` and `field`"),
            (format!("{HEAD}a: 1\na: 2\n"), 5, "twice"),
            (format!("{HEAD}a: &b 1\nc: *b\n"), 4, "anchors"),
        ] {
            let error = rendered(&text).unwrap_err();
            assert!(error.contains(words), "{error}");
            assert!(error.contains(&format!("manifests/app/x.yaml:{line}:")), "{line}: {error}");
        }
    }
}
