//! Values from the command line that override those of the stack file, such as `app.env.GREETING=hello`.

use super::{
    diagnostics::{Diagnostic, SourceText, Span},
    tree::{Key, Raw, YamlNode},
};

/// A field's path and its new value.
pub type Override = (String, String);

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
    Ok((path.to_owned(), value.to_owned()))
}

/// Sets the value in the tree and creates the mappings above it that do not exist.
///
/// # Errors
/// A path that leads through a value that is not a mapping.
pub fn set(root: &mut YamlNode, source: &SourceText, (path, value): &Override) -> Result<(), Diagnostic> {
    let text = path.starts_with("app.env.");
    // The name of an environment variable may contain dots.
    let parts: Vec<&str> = if text { path.splitn(3, '.').collect() } else { path.split('.').collect() };
    let mut node = root;
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
