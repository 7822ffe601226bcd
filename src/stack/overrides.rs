//! Values from the command line that override those of the stack file, such as `app.env.GREETING=hello`.

use super::{
    diagnostics::{Diagnostic, SourceText, Span},
    tree::{Key, Raw, YamlNode},
};

/// A field of an application, and its new value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// Path of the field, which begins with `app.`.
    pub path: String,
    /// Its new value, as text.
    pub value: String,
    /// Name of the application in `apps`; `None` for the only one.
    pub app: Option<String>,
}

/// Parses `PATH=VALUE`. Only fields below `app` can be overridden.
///
/// # Errors
/// A text without `=`, or a path that is not below `app`.
pub fn parse(text: &str) -> Result<Override, String> {
    let (path, value) = text.split_once('=').ok_or("expected PATH=VALUE, such as app.env.GREETING=hello")?;
    let fine = path.strip_prefix("app.").is_some_and(|rest| rest.split('.').all(|part| !part.is_empty()));
    if !fine {
        return Err(format!(
            "{path}: only fields below `app` can be set, such as app.env.GREETING or app.replicas"
        ));
    }
    Ok(Override { path: path.to_owned(), value: value.to_owned(), app: None })
}

/// Sets the value in the tree and creates the mappings above it that do not exist.
///
/// # Errors
/// A path that leads through a value that is not a mapping, and an application that is not in the file.
pub fn set(root: &mut YamlNode, source: &SourceText, one: &Override) -> Result<(), Diagnostic> {
    let (path, value) = (&one.path, &one.value);
    let text = path.starts_with("app.env.");
    // The name of an environment variable may contain dots.
    let parts: Vec<&str> = if text { path.splitn(3, '.').collect() } else { path.split('.').collect() };
    let (mut node, mut parts) = (root, parts.into_iter());
    if entry(node, "apps").is_some() {
        node = application(node, source, one)?;
        parts.next();
    }
    for part in parts {
        if node.raw == Raw::Null {
            node.raw = Raw::Map(Vec::new());
        }
        let span = node.span;
        let Raw::Map(entries) = &mut node.raw else {
            let message = format!("--set: cannot set `{part}`, because its parent in the file is not a map");
            return Err(source.at(Span::default(), path, message, None));
        };
        let at = entries.iter().position(|(key, _)| key.name == part).unwrap_or_else(|| {
            entries.push((
                Key { name: part.to_owned(), span },
                YamlNode { raw: Raw::Null, span, template: None },
            ));
            entries.len().saturating_sub(1)
        });
        let Some((_, next)) = entries.get_mut(at) else { return Ok(()) };
        node = next;
    }
    node.template = None;
    node.raw = if text { Raw::Text(value.clone()) } else { super::substitute::typed(value.clone()) };
    Ok(())
}

/// Returns the entry of a map.
fn entry<'a>(node: &'a YamlNode, name: &str) -> Option<&'a YamlNode> {
    let Raw::Map(entries) = &node.raw else { return None };
    entries.iter().find(|(key, _)| key.name == name).map(|(_, value)| value)
}

/// Returns the application in `apps` that an override is for.
fn application<'a>(
    root: &'a mut YamlNode,
    source: &SourceText,
    one: &Override,
) -> Result<&'a mut YamlNode, Diagnostic> {
    let refused = |message: String, hint: &str| {
        Err(source.at(Span::default(), &one.path, message, Some(hint.to_owned())))
    };
    let Raw::Map(entries) = &mut root.raw else { return refused("--set: no `apps`".to_owned(), "") };
    let list = entries.iter_mut().find(|(key, _)| key.name == "apps").map(|(_, value)| &mut value.raw);
    let Some(Raw::List(apps)) = list else {
        return refused("--set: `apps` in the file is not a list".to_owned(), "write `apps: [{name: web}]`");
    };
    let several = apps.len() > 1;
    let named = |app: &&mut YamlNode| match (&one.app, entry(app, "name").map(|name| &name.raw)) {
        (Some(wanted), Some(Raw::Text(name))) => name == wanted,
        (None, _) => !several,
        _ => false,
    };
    match (apps.iter_mut().find(named), &one.app) {
        (Some(app), _) => Ok(app),
        (None, Some(name)) => {
            refused(format!("--set: no application `{name}` in `apps`"), "name one of the file")
        }
        (None, None) => refused(
            "--set: the file has several applications".to_owned(),
            "name one, such as `provisioner deploy web --set app.env.GREETING=hello`",
        ),
    }
}
