//! The manifests: those of the stack's folder, else those that this program brings.

use super::{Failure, Session};
use crate::{
    graph::{Context, deploys, renders, variables},
    model::{Class, Fault},
    stack::{
        Diagnostics,
        manifest::{ManifestFile, Object, render},
    },
};
use include_dir::{Dir, include_dir};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// What a folder without manifests uses.
static OWN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/manifests");

/// How many files a folder may hold.
const MOST: usize = 500;

impl Session {
    /// The objects that the manifests describe.
    pub(super) fn objects(&self, context: &Context) -> Result<Vec<Object>, Failure> {
        if !deploys(&self.stack) {
            return Ok(Vec::new());
        }
        let folder = self.stack.app.as_ref().map_or("manifests", |app| &app.manifests);
        let place = self.folder().join(folder);
        let files = if place.is_dir() { folder_files(&place)? } else { self.own_files(folder, &place)? };
        let variables = variables(&self.stack, context);
        let (mut objects, mut wrong) = (Vec::new(), Vec::new());
        for file in files {
            let folder = file.path.split_once('/').map_or("", |(folder, _)| folder);
            if !renders(&self.stack, folder) {
                continue;
            }
            match render(&file, &variables) {
                Ok(rendered) => objects.extend(rendered),
                Err(diagnostics) => wrong.extend(diagnostics.iter().cloned()),
            }
        }
        if let Some(diagnostics) = Diagnostics::new(wrong) {
            return Err(diagnostics.into());
        }
        twice(&objects)?;
        Ok(objects)
    }

    /// The built-in manifests, where the file does not ask for others.
    fn own_files(&self, folder: &str, place: &Path) -> Result<Vec<ManifestFile>, Failure> {
        if folder != "manifests" {
            let message = format!("there is no folder {}", place.display());
            let help = Some("leave `manifests` out to use those that provisioner brings".to_owned());
            return Err(self.stack.diagnostic("app.manifests", message, help).into());
        }
        let mut files = Vec::new();
        own(&OWN, &mut files);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }
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

/// All manifests below `root`, in the order of their paths.
fn folder_files(root: &Path) -> Result<Vec<ManifestFile>, Failure> {
    let failed = |path: &Path, error: std::io::Error| {
        Failure::from(Fault::new(Class::Refused, format!("{}: {error}", path.display())))
    };
    let mut folders: Vec<PathBuf> = vec![root.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|error| failed(&folder, error))? {
            let path = entry.map_err(|error| failed(&folder, error))?.path();
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            // A link may lead round in a circle, and out of the folder.
            if hidden || path.is_symlink() {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if is_manifest(&path) {
                if files.len() >= MOST {
                    let message = format!("{} holds more than {MOST} manifests", root.display());
                    return Err(Failure::refused(message, "is this the right folder?"));
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

/// Refuses two documents that describe one object.
fn twice(objects: &[Object]) -> Result<(), Failure> {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for object in objects {
        let Some(address) = crate::model::object::address(&object.value) else { continue };
        if let Some(first) = seen.insert(address.to_string(), &object.path) {
            let message = format!("{address} is in {first} and again in {}", object.path);
            return Err(Failure::refused(message, "keep one of the two"));
        }
    }
    Ok(())
}
