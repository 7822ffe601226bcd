//! The manifests: those in the stack's folder, else the built-in ones.

use super::super::{OperationError, Workspace};
use crate::{
    graph::{Context, deploys, renders, unused_fields, variables},
    model::{CallError, ErrorKind},
    stack::{
        Diagnostics,
        manifest_file::{ManifestFile, Object, render},
    },
};
use include_dir::{Dir, include_dir};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// The built-in manifests.
static BUILTIN_MANIFESTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/manifests");

/// Maximum number of manifests in a folder.
const MAX_FILES: usize = 500;

/// Adds the objects of the manifests that the stack deploys, with their variables filled in, and the fields of the file
/// that no manifest uses.
pub(super) fn add_objects(workspace: &Workspace, context: &mut Context) -> Result<(), OperationError> {
    if !deploys(&workspace.stack) {
        return Ok(());
    }
    let folder = workspace.stack.app.as_ref().map_or("manifests", |app| &app.manifests);
    let place = workspace.folders.project().join(folder);
    let files = if place.is_dir() { folder_files(&place)? } else { own_files(workspace, folder, &place)? };
    let variables = variables(&workspace.stack, context);
    let (mut objects, mut used, mut wrong) = (Vec::new(), BTreeSet::new(), Vec::new());
    for file in files {
        let folder = file.path.split_once('/').map_or("", |(folder, _)| folder);
        if !renders(&workspace.stack, folder) {
            continue;
        }
        match render(&file, &variables) {
            Ok(rendered) => {
                objects.extend(rendered.objects);
                used.extend(rendered.used);
            }
            Err(diagnostics) => wrong.extend(diagnostics.iter().cloned()),
        }
    }
    if let Some(diagnostics) = Diagnostics::new(wrong) {
        return Err(diagnostics.into());
    }
    twice(&objects)?;
    context.objects = objects;
    context.unused = unused_fields(&workspace.stack, &used);
    Ok(())
}

/// Returns the built-in manifests. It is an error if the file names a folder of its own.
fn own_files(workspace: &Workspace, folder: &str, place: &Path) -> Result<Vec<ManifestFile>, OperationError> {
    if folder != "manifests" {
        let message = format!("folder not found: {}", place.display());
        let help = Some("omit `manifests` to use the built-in ones".to_owned());
        return Err(workspace.stack.diagnostic("app.manifests", message, help).into());
    }
    let mut files = Vec::new();
    own(&BUILTIN_MANIFESTS, &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn own(dir: &Dir<'_>, files: &mut Vec<ManifestFile>) {
    for file in dir.files().filter(|file| is_manifest(file.path())) {
        let path = file.path().display().to_string();
        let name = format!("(built-in) manifests/{path}");
        files.push(ManifestFile { path, name, bytes: file.contents().to_vec() });
    }
    dir.dirs().for_each(|dir| own(dir, files));
}

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml")
}

/// Returns all manifests below `root`, sorted by path.
fn folder_files(root: &Path) -> Result<Vec<ManifestFile>, OperationError> {
    let failed = |path: &Path, error: std::io::Error| {
        OperationError::from(CallError::new(ErrorKind::Refused, format!("{}: {error}", path.display())))
    };
    let mut folders: Vec<PathBuf> = vec![root.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|error| failed(&folder, error))? {
            let path = entry.map_err(|error| failed(&folder, error))?.path();
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            // A symbolic link can form a loop, and lead out of the folder.
            if hidden || path.is_symlink() {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if is_manifest(&path) {
                if files.len() >= MAX_FILES {
                    let message = format!("{} holds more than {MAX_FILES} manifests", root.display());
                    return Err(OperationError::refused(
                        message,
                        "check that `app.manifests` names the right folder",
                    ));
                }
                let bytes = std::fs::read(&path).map_err(|error| failed(&path, error))?;
                let below = path.strip_prefix(root).unwrap_or(&path).display().to_string();
                files.push(ManifestFile { path: below, name: path.display().to_string(), bytes });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Checks that no object is defined twice.
fn twice(objects: &[Object]) -> Result<(), OperationError> {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for object in objects {
        let Some(address) = crate::model::object::address(&object.value) else { continue };
        if let Some(first) = seen.insert(address.to_string(), &object.path) {
            let message = format!("{address} is defined in {first} and in {}", object.path);
            return Err(OperationError::refused(message, "remove one of the two definitions"));
        }
    }
    Ok(())
}
