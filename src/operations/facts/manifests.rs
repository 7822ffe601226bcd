//! The manifests: those in the stack's folder, else the built-in ones.

use super::super::OperationError;
use crate::{
    graph::{Context, SHARED_PART, deploys, is_application_part, part, renders, unused_fields, variables},
    model::{Address, CallError, ErrorKind, object::address},
    stack::{
        Diagnostic, Diagnostics, Stack,
        delivery::App,
        foreign_manifest::{Hook, hook, set_namespace},
        manifest_file::{ManifestFile, Object, render},
    },
};
use include_dir::{Dir, include_dir};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// The built-in manifests.
static BUILTIN_MANIFESTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/manifests");

/// The folder of the manifests that is the default; without it, the built-in ones are rendered.
const DEFAULT_FOLDER: &str = "manifests";

/// Maximum number of manifests in a folder.
const MAX_FILES: usize = 500;

/// Adds the objects of the manifests that the stack deploys, with their variables filled in, and the fields of the file
/// that no manifest uses. `project` is the folder of the stack file.
pub(super) fn add_objects(
    stack: &Stack,
    project: &Path,
    context: &mut Context,
) -> Result<(), OperationError> {
    if !deploys(stack) {
        return Ok(());
    }
    let mut sets: BTreeMap<&str, Vec<&App>> = BTreeMap::new();
    for app in &stack.apps {
        sets.entry(&app.manifests).or_default().push(app);
    }
    if sets.is_empty() {
        sets.insert(DEFAULT_FOLDER, Vec::new());
    }
    let mut found = Found::default();
    for (folder, apps) in sets {
        let files = files(stack, project, folder, apps.first().copied())?;
        // What several applications share is not theirs alone.
        let only = if let [app] = stack.apps.as_slice() { Some(app) } else { None };
        let used = found.render(stack, context, &files, only, |at| !is_app_folder(at, &apps));
        for app in apps {
            let own = |at: &str| at == SHARED_PART || app.name.as_deref() == Some(at);
            let mut mine = found.render(stack, context, &files, Some(app), own);
            mine.extend(used.iter().cloned());
            let unused = unused_fields(stack, app, &mine).into_iter();
            context.unused.extend(unused.map(|field| (field, folder.to_owned())));
        }
    }
    if let Some(diagnostics) = Diagnostics::new(found.wrong) {
        return Err(diagnostics.into());
    }
    context.skipped = found.skipped;
    context.objects = once(found.objects)?;
    let secrets = context.objects.iter();
    let secrets = secrets.filter_map(|(_, object)| address(&object.value).zip(object.secret.clone()));
    context.secrets = secrets.collect();
    Ok(())
}

/// Returns whether a folder of manifests belongs to applications: `app`, which is rendered for each, or one that has the name
/// of one of them.
fn is_app_folder(folder: &str, apps: &[&App]) -> bool {
    folder == SHARED_PART || apps.iter().any(|app| app.name.as_deref() == Some(folder))
}

/// What the manifests render to.
#[derive(Default)]
struct Found {
    objects: Vec<(String, Object)>,
    wrong: Vec<Diagnostic>,
    /// Objects that are not applied.
    skipped: Vec<String>,
}

/// Returns kind and name of an object.
fn object_name(object: &Value) -> String {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
    format!("{} {}", text("/kind"), text("/metadata/name"))
}

impl Found {
    /// Renders the files of the folders that `takes` accepts, for one application or for none, and returns the names of the
    /// variables that they use.
    fn render(
        &mut self,
        stack: &Stack,
        context: &Context,
        files: &[ManifestFile],
        app: Option<&App>,
        takes: impl Fn(&str) -> bool,
    ) -> BTreeSet<String> {
        let variables = variables(stack, context, app);
        let mut used = BTreeSet::new();
        for file in files {
            let folder = file.path.split_once('/').map_or("", |(folder, _)| folder);
            if !takes(folder) || !renders(stack, folder) {
                continue;
            }
            let of_app = app.filter(|app| is_app_folder(folder, &[app]));
            let part = of_app.map_or_else(|| folder.to_owned(), part);
            match render(file, &variables) {
                Ok(rendered) => {
                    // As `kubectl apply` does without an option.
                    let namespace = of_app.map_or("default", |app| &app.namespace);
                    for mut object in rendered.objects {
                        if let Some(Hook::Never(hook)) = hook(&object.value) {
                            let name = object_name(&object.value);
                            self.skipped.push(format!("{}: {name}, a Helm hook for `{hook}`", object.path));
                            continue;
                        }
                        set_namespace(&mut object.value, namespace);
                        self.objects.push((part.clone(), object));
                    }
                    used.extend(rendered.used);
                }
                Err(diagnostics) => self.wrong.extend(diagnostics.iter().cloned()),
            }
        }
        used
    }
}

/// Returns the manifests of a folder: those in the stack's directory, else the built-in ones.
fn files(
    stack: &Stack,
    project: &Path,
    folder: &str,
    app: Option<&App>,
) -> Result<Vec<ManifestFile>, OperationError> {
    let place = project.join(folder);
    if place.is_dir() { folder_files(&place) } else { own_files(stack, folder, &place, app) }
}

/// Returns the built-in manifests. It is an error if the file names a folder of its own.
fn own_files(
    stack: &Stack,
    folder: &str,
    place: &Path,
    app: Option<&App>,
) -> Result<Vec<ManifestFile>, OperationError> {
    if folder != DEFAULT_FOLDER {
        let message = format!("folder not found: {}", place.display());
        let help = Some("omit `manifests` to use the built-in ones".to_owned());
        let field = app.map_or_else(|| "app.manifests".to_owned(), |app| app.field("manifests"));
        return Err(stack.diagnostic(&field, message, help).into());
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

/// Returns the objects without repetition: applications may share an object, such as their Namespace, which then belongs to
/// all of them.
///
/// # Errors
/// Refuses an object that is defined twice in different ways.
fn once(objects: Vec<(String, Object)>) -> Result<Vec<(String, Object)>, OperationError> {
    let mut seen: BTreeMap<Address, usize> = BTreeMap::new();
    let mut all: Vec<(String, Object)> = Vec::new();
    for (part, object) in objects {
        let Some(address) = address(&object.value) else { continue };
        let first = seen.get(&address).and_then(|at| all.get_mut(*at));
        match first {
            None => {
                seen.insert(address, all.len());
                all.push((part, object));
            }
            Some(first) if first.0 != part && first.1.is_same(&object) && is_application_part(&part) => {
                SHARED_PART.clone_into(&mut first.0);
            }
            Some((_, first)) => {
                let message = format!("{address} is defined in {} and in {}", first.path, object.path);
                return Err(OperationError::refused(message, "remove one of the two definitions"));
            }
        }
    }
    Ok(all)
}
