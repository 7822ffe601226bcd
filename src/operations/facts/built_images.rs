//! The images that are built from the folders of applications.

use super::super::{OperationError, Workspace};
use crate::{
    aws::{ProgressEvent, with_progress},
    graph::{AppImage, builder, platforms},
    image::{
        BuildMethod, ImageInputs, ImagePins, ImagePlatform, LeftOut, PinRequest, SurveyError, pinned_survey,
        survey,
    },
    model::CallError,
    stack::{
        Stack,
        delivery::{App, Builder},
    },
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// The key of the record in the state's outputs of what was resolved for images, by the names of the applications: the digests
/// of base images that the Dockerfile names by a tag, and the versions and hashes of packages.
pub const PINS: &str = "imagePins";

/// Returns the image of an application's folder, and what was resolved for it. The folder is read each time.
pub async fn built(
    workspace: &Workspace,
    app: &App,
    tags: Vec<String>,
    known: &ImagePins,
    refresh: bool,
) -> Result<(AppImage, ImagePins), OperationError> {
    let folders = &workspace.folders;
    let (cache, without_base) = (folders.cache.clone(), workspace.target.is_sandbox());
    let extended = workspace.stack.extended_files.iter().map(|file| folders.project().join(file));
    let own = folders.own().into_iter().chain(extended).collect();
    let pins = if refresh { ImagePins::default() } else { known.clone() };
    let inputs = inputs(&workspace.stack, &folders.project(), app, own, pins)?;
    let inputs = ImageInputs { cache: Some(cache.clone()), ..inputs };
    let auto = app.builder == Builder::Auto;
    let request = PinRequest { inputs, auto, cache, without_base };
    let notices = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&notices);
    let heard = move |event| {
        if let ProgressEvent::Notice(text) = event {
            sink.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        }
    };
    let found = with_progress(Arc::new(heard), pinned_survey(&request)).await?;
    for text in notices.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        workspace.warn_once(text);
    }
    for LeftOut { path, why } in &found.context.left_out {
        workspace.detail_once(format!("not in the image: {}/{path} ({why})", app.path));
    }
    if auto && found.builder == BuildMethod::Dockerfile {
        workspace.detail_once(format!(
            "{}: the Python builder cannot follow the Dockerfile, so another runs it",
            app.path
        ));
    }
    if refresh {
        let moved = found.pins.moved_from(known);
        let text = if moved.is_empty() { "nothing moves".to_owned() } else { moved.join(", ") };
        workspace.tell_once(format!("base image and packages of {}: {text}", app.path));
    }
    let builder = CallError::decode("image", &json!(found.builder))?;
    let pins = json!(found.pins);
    let image =
        AppImage::InRepository { content: found.tag, tags, copied: None, builder: Some(builder), pins };
    Ok((image, found.pins))
}

/// Sets the images of the folders of the applications, without a network: what only a registry or the package index knows is
/// left open, and so is a Dockerfile that the Python builder cannot follow, if the file leaves the choice of the builder.
/// `project` is the folder of the stack file.
pub(super) async fn add_built_images(
    stack: &Stack,
    project: &Path,
    images: &mut BTreeMap<String, AppImage>,
) -> Result<(), OperationError> {
    for app in stack.apps.iter().filter(|app| app.image.is_none()) {
        let inputs = inputs(stack, project, app, Vec::new(), ImagePins::default())?;
        let read = tokio::task::spawn_blocking(move || survey(&inputs));
        let found = read.await.unwrap_or_else(|error| Err(CallError::bug(error.to_string()).into()));
        match found {
            Err(SurveyError::Unsupported(..)) if app.builder == Builder::Auto => {}
            Err(error) => return Err(error.into_call_error().into()),
            Ok(_) => {}
        }
        images.insert(app.name.clone().unwrap_or_default(), AppImage::default());
    }
    Ok(())
}

/// Returns what an application's image is built from; the builder is the one that is tried first.
fn inputs(
    stack: &Stack,
    project: &Path,
    app: &App,
    own: Vec<PathBuf>,
    pins: ImagePins,
) -> Result<ImageInputs, OperationError> {
    let folder = project.join(&app.path);
    if !folder.is_dir() {
        let message = format!("folder not found: {}", folder.display());
        let field = app.field("path");
        let help = Some(format!("set `{field}` to the folder of the application and its Dockerfile"));
        return Err(stack.diagnostic(&field, message, help).into());
    }
    let builder = match app.builder {
        Builder::Auto => BuildMethod::Python,
        Builder::Python | Builder::Dockerfile => CallError::decode("image", &json!(builder(app)))?,
    };
    let platforms = image_platforms(stack, app)?;
    Ok(ImageInputs { folder, builder, platforms, own, pins, cache: None })
}

/// Returns the platforms of an application's image.
pub fn image_platforms(stack: &Stack, app: &App) -> Result<Vec<ImagePlatform>, CallError> {
    CallError::decode("image", &json!(platforms(stack, app)))
}
