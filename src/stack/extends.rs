//! The files that a stack file extends: found, read by the caller, and merged.

use super::{
    diagnostics::{Diagnostic, Diagnostics, SourceText, Span},
    merge::merge,
    substitute::substitute,
    tree::{self, Raw, YamlNode},
};

/// Reads a file that a stack file extends, by its path relative to the folder of the stack file. An error is a sentence
/// without the path.
pub type BaseReader<'a> = &'a dyn Fn(&str) -> Result<Vec<u8>, String>;

/// Maximum number of files that form a stack.
const MAX_FILES: usize = 8;

/// The field that names the next file.
const FIELD: &str = "extends";

/// A stack file with all that it extends.
pub struct Chain {
    /// The merged content. Its spans name their files.
    pub root: YamlNode,
    /// The text of all files.
    pub source: SourceText,
    /// The paths of the extended files, nearest first, relative to the folder of the stack file.
    pub files: Vec<String>,
}

/// Parses a stack file, and reads and merges the files that it extends.
///
/// # Errors
/// A file that cannot be read or parsed; an `extends` that is not the path of a file below the folder of the stack file,
/// or that names a file twice; more than [`MAX_FILES`] files.
pub fn chain(
    file_name: &str,
    bytes: &[u8],
    env: &dyn Fn(&str) -> Option<String>,
    read: BaseReader<'_>,
) -> Result<Chain, Diagnostics> {
    let (root, mut source) = tree::parse(file_name, bytes)?;
    let (folder, own_name) =
        file_name.rsplit_once('/').map_or(("", file_name), |(folder, name)| (folder, name));
    let mut names = vec![own_name.to_owned()];
    let mut next = named(&root, &source, env)?;
    let mut trees = vec![root];
    while let Some(Named { text, shown, span }) = next {
        let wrong = |message: String, hint: &str| source.at(span, FIELD, message, Some(hint.to_owned()));
        let from = names.last().map_or("", String::as_str);
        let path = below(from, &text).ok_or_else(|| {
            let hint = "name a file in the folder of the stack file or below, such as `base.yaml`";
            wrong(format!("must be a file below the folder of the stack file (got \"{shown}\")"), hint)
        })?;
        if names.contains(&path) {
            let circle: Vec<&str> = names.iter().chain([&path]).map(String::as_str).collect();
            let hint = "remove `extends` from one of these files";
            return Err(wrong(format!("the files extend each other: {}", circle.join(" -> ")), hint).into());
        }
        if names.len() >= MAX_FILES {
            let message = format!("more than {MAX_FILES} files: {}", names.join(" -> "));
            return Err(wrong(message, "merge some of them by hand").into());
        }
        let bytes = read(&path).map_err(|cause| {
            wrong(
                format!("cannot read \"{shown}\": {cause}"),
                "correct the path, which is relative to this file",
            )
        })?;
        let name = match folder.is_empty() && !file_name.starts_with('/') {
            true => path.clone(),
            false => format!("{folder}/{path}"),
        };
        let (mut tree, text) = tree::parse(&name, &bytes)?;
        mark(&mut tree, source.count());
        source.append(text);
        if !matches!(tree.raw, Raw::Map(_)) {
            let first = Span { file: source.count().saturating_sub(1), line: 1, column: 1, length: 1 };
            let hint = Some("write at least one field, such as `region`".to_owned());
            return Err(source.at(first, "", "expected a map of fields".to_owned(), hint).into());
        }
        names.push(path);
        next = named(&tree, &source, env)?;
        take(&mut tree);
        trees.push(tree);
    }
    names.remove(0);
    let mut merged = trees.pop().ok_or_else(|| bug(&source))?;
    while let Some(over) = trees.pop() {
        merged = merge(merged, over, "", &source);
    }
    Ok(Chain { root: merged, source, files: names })
}

/// Returns the error for what cannot be: a chain without its first file.
fn bug(source: &SourceText) -> Diagnostic {
    source.at(Span::default(), "", "the stack file was not read".to_owned(), None)
}

/// The file that a file extends.
struct Named {
    /// The path, relative to the file that names it.
    text: String,
    /// The path as the file has it, with its environment variables.
    shown: String,
    /// Its position.
    span: Span,
}

/// Returns the path that a file extends, with its environment variables substituted, and its position.
fn named(
    root: &YamlNode,
    source: &SourceText,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Named>, Diagnostic> {
    let Raw::Map(entries) = &root.raw else { return Ok(None) };
    let Some((key, node)) = entries.iter().find(|(key, _)| key.name == FIELD) else { return Ok(None) };
    let mut node = node.clone();
    substitute(&mut node, source, env)?;
    match node.raw {
        Raw::Text(text) => {
            let shown = node.template.unwrap_or_else(|| text.clone());
            Ok(Some(Named { text, shown, span: node.span }))
        }
        raw => {
            let span = if raw == Raw::Null { key.span } else { node.span };
            let hint = Some("write `extends: base.yaml`, or remove the field".to_owned());
            Err(source.at(span, FIELD, "expected the path of a file".to_owned(), hint))
        }
    }
}

/// Removes the field from a file that is extended.
fn take(root: &mut YamlNode) {
    if let Raw::Map(entries) = &mut root.raw {
        entries.retain(|(key, _)| key.name != FIELD);
    }
}

/// Returns the path that `text` means in the file `from`, relative to the folder of the stack file and without `.` and
/// `..`. `None` if it leads out of that folder, or names no file.
fn below(from: &str, text: &str) -> Option<String> {
    if text.is_empty() || text.starts_with('/') || text.ends_with('/') || text.contains('\0') {
        return None;
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    let path = parts.join("/");
    (!path.is_empty() && !text.ends_with("/.") && !text.ends_with("..")).then_some(path)
}

/// Notes in every span that it is in the file of this index.
fn mark(node: &mut YamlNode, file: usize) {
    node.span.file = file;
    match &mut node.raw {
        Raw::List(list) => list.iter_mut().for_each(|node| mark(node, file)),
        Raw::Map(entries) => {
            for (key, node) in entries {
                key.span.file = file;
                mark(node, file);
            }
        }
        _ => {}
    }
}
