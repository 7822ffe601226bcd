//! The images of the applications: by the tag that the content of a folder gives, or by the digest of one that exists.

use super::super::{OperationError, PlanOptions, Workspace};
use crate::{
    graph::{AppImage, builder, platforms},
    image::{BuildMethod, ImagePlatform, Store, resolve, survey},
    model::{CallError, ImageReference, Snapshot},
    stack::{Stack, delivery::App},
};
use serde_json::json;
use std::{collections::BTreeMap, path::Path};

/// The key in the state's outputs of the digests that tags had when they were looked up, by the names of the applications.
const DIGESTS: &str = "imageDigests";

/// How many hexadecimal digits of its digest form the tag of a copied image.
const TAG_DIGITS: usize = 32;

/// Returns the images of the applications. Their folders are read each time; tags of images elsewhere are looked up once,
/// and recorded in the snapshot.
pub(super) async fn app_images(
    workspace: &Workspace,
    options: &PlanOptions,
    snapshot: &mut Snapshot,
) -> Result<BTreeMap<String, AppImage>, OperationError> {
    let recorded = snapshot.outputs.get(DIGESTS).cloned().unwrap_or_default();
    let (mut images, mut digests) = (BTreeMap::new(), BTreeMap::new());
    let (stack, project) = (&workspace.stack, workspace.folders.project());
    for app in &stack.apps {
        let name = app.name.clone().unwrap_or_default();
        let chosen = options.deploys(app);
        let tags = if chosen { options.image_tags.clone() } else { Vec::new() };
        let image = match &app.image {
            None => {
                AppImage::InRepository { content: built(stack, &project, app).await?, tags, copied: None }
            }
            Some(reference) => {
                let text = |field: &str| recorded.get(&name)?.get(field)?.as_str();
                let same = text("image") == Some(reference) && !(options.refresh && chosen);
                let known = text("digest").filter(|_| same);
                let (image, pinned) = existing(workspace, app, reference, known, tags).await?;
                let pin = pinned.map(|digest| json!({"image": reference, "digest": digest}));
                digests.extend(pin.map(|pin| (name.clone(), pin)));
                image
            }
        };
        images.insert(name, image);
    }
    match digests.is_empty() {
        true => snapshot.outputs.remove(DIGESTS),
        false => snapshot.outputs.insert(DIGESTS.to_owned(), json!(digests)),
    };
    Ok(images)
}

/// Sets the tags of the images that are built from the folders of the applications. `project` is the folder of the stack file.
pub(super) async fn add_built_images(
    stack: &Stack,
    project: &Path,
    images: &mut BTreeMap<String, AppImage>,
) -> Result<(), OperationError> {
    for app in stack.apps.iter().filter(|app| app.image.is_none()) {
        let content = built(stack, project, app).await?;
        let image = AppImage::InRepository { content, tags: Vec::new(), copied: None };
        images.insert(app.name.clone().unwrap_or_default(), image);
    }
    Ok(())
}

/// Returns an image that exists, and the digest to record if the file names a tag.
async fn existing(
    workspace: &Workspace,
    app: &App,
    reference: &str,
    known: Option<&str>,
    tags: Vec<String>,
) -> Result<(AppImage, Option<String>), OperationError> {
    let parsed = ImageReference::parse(reference)
        .ok_or_else(|| CallError::bug("an image reference that was not validated"))?;
    let digest = if let Some(digest) = parsed.digest().or(known) {
        digest.to_owned()
    } else {
        let store = Store::in_cache(&workspace.folders.cache)?;
        let platforms = image_platforms(&workspace.stack, app)?;
        resolve(&store, &workspace.target.clients.ecr, reference, &platforms).await?
    };
    let at = parsed.at(&digest);
    let pinned = parsed.digest().is_none().then(|| digest.clone());
    let content = digest.trim_start_matches("sha256:").chars().take(TAG_DIGITS).collect();
    let image = match app.copy {
        true => AppImage::InRepository { content, tags, copied: Some(at) },
        false => AppImage::Elsewhere(at),
    };
    Ok((image, pinned))
}

/// Returns the tag of the image that is built from an application's folder.
async fn built(stack: &Stack, project: &Path, app: &App) -> Result<String, OperationError> {
    let folder = project.join(&app.path);
    if !folder.is_dir() {
        let message = format!("folder not found: {}", folder.display());
        let field = app.field("path");
        let help = Some(format!("set `{field}` to the folder of the application and its Dockerfile"));
        return Err(stack.diagnostic(&field, message, help).into());
    }
    let builder: BuildMethod = CallError::decode("image", &json!(builder(app)))?;
    let platforms = image_platforms(stack, app)?;
    let read = tokio::task::spawn_blocking(move || survey(&folder, builder, &platforms));
    let found = read.await.unwrap_or_else(|error| Err(CallError::bug(error.to_string())))?;
    Ok(found.tag)
}

fn image_platforms(stack: &Stack, app: &App) -> Result<Vec<ImagePlatform>, CallError> {
    CallError::decode("image", &json!(platforms(stack, app)))
}
