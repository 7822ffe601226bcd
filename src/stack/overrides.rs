//! Values from the command line in the place of the file's: `app.env.GREETING=hello`.

use super::{
    diagnostics::{Diagnostic, Source, Spot},
    tree::{Key, Node, Raw},
};

/// A field's path and the value that it takes.
pub type Override = (String, String);

/// Reads `PATH=VALUE`; only what is below `app` can be set so.
pub fn parse(text: &str) -> Result<Override, String> {
    let (path, value) = text.split_once('=').ok_or("PATH=VALUE is needed, such as app.env.GREETING=hello")?;
    let fine = path.strip_prefix("app.").is_some_and(|rest| rest.split('.').all(|part| !part.is_empty()));
    if !fine {
        return Err(format!(
            "`{path}`: only fields below `app` can be set, such as app.env.GREETING or app.replicas"
        ));
    }
    Ok((path.to_owned(), value.to_owned()))
}

/// Puts the value into the tree, with the maps that lead to it.
pub fn set(root: &mut Node, source: &Source, (path, value): &Override) -> Result<(), Diagnostic> {
    let text = path.starts_with("app.env.");
    // A variable's name may hold dots.
    let parts: Vec<&str> = if text { path.splitn(3, '.').collect() } else { path.split('.').collect() };
    let mut node = root;
    for part in parts {
        if node.raw == Raw::Null {
            node.raw = Raw::Map(Vec::new());
        }
        let spot = node.spot;
        let Raw::Map(entries) = &mut node.raw else {
            let message = format!("--set {path}: `{part}` is below what is no map in the file");
            return Err(source.at(Spot::default(), path, message, None));
        };
        let at = entries.iter().position(|(key, _)| key.name == part).unwrap_or_else(|| {
            entries.push((Key { name: part.to_owned(), spot }, Node { raw: Raw::Null, spot }));
            entries.len().saturating_sub(1)
        });
        let Some((_, next)) = entries.get_mut(at) else { return Ok(()) };
        node = next;
    }
    node.raw = if text { Raw::Text(value.clone()) } else { super::substitute::typed(value.clone()) };
    Ok(())
}
