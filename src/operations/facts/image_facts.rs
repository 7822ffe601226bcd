//! The images of the applications: by the tag that the content of a folder gives, or by the digest of one that exists.

use super::{
    super::{OperationError, PlanOptions, Workspace},
    built_images::{PINS, built, image_platforms},
};
use crate::{
    graph::AppImage,
    image::{ImagePins, Store, resolve},
    model::{CallError, ImageReference, Snapshot},
    stack::delivery::App,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The key in the state's outputs of the digests that tags had when they were looked up, by the names of the applications.
const DIGESTS: &str = "imageDigests";

/// How many hexadecimal digits of its digest form the tag of a copied image.
const TAG_DIGITS: usize = 32;

/// Returns the images of the applications. Their folders are read each time; tags of images elsewhere are looked up once,
/// and what builds need is resolved once, and recorded in the snapshot.
pub(super) async fn app_images(
    workspace: &Workspace,
    options: &PlanOptions,
    snapshot: &mut Snapshot,
) -> Result<BTreeMap<String, AppImage>, OperationError> {
    let recorded = snapshot.outputs.get(DIGESTS).cloned().unwrap_or_default();
    let resolved = snapshot.outputs.get(PINS).cloned().unwrap_or_default();
    let (mut images, mut digests, mut pins) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for app in &workspace.stack.apps {
        let name = app.name.clone().unwrap_or_default();
        let chosen = options.deploys(app);
        let tags = if chosen { options.image_tags.clone() } else { Vec::new() };
        let refresh = options.refresh && chosen;
        let image = match &app.image {
            None => {
                let pinned = resolved.get(&name).cloned();
                let known: ImagePins =
                    pinned.and_then(|pins| serde_json::from_value(pins).ok()).unwrap_or_default();
                let (image, found) = built(workspace, app, tags, &known, refresh).await?;
                pins.extend((!found.is_empty()).then(|| (name.clone(), json!(found))));
                image
            }
            Some(reference) => {
                let text = |field: &str| recorded.get(&name)?.get(field)?.as_str();
                let same = text("image") == Some(reference) && !refresh;
                let known = text("digest").filter(|_| same);
                let (image, pinned) = existing(workspace, app, reference, known, tags).await?;
                let pin = pinned.map(|digest| json!({"image": reference, "digest": digest}));
                digests.extend(pin.map(|pin| (name.clone(), pin)));
                image
            }
        };
        images.insert(name, image);
    }
    record(snapshot, DIGESTS, &digests);
    record(snapshot, PINS, &pins);
    Ok(images)
}

fn record(snapshot: &mut Snapshot, key: &str, values: &BTreeMap<String, Value>) {
    match values.is_empty() {
        true => snapshot.outputs.remove(key),
        false => snapshot.outputs.insert(key.to_owned(), json!(values)),
    };
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
        true => AppImage::InRepository { content, tags, copied: Some(at), builder: None, pins: Value::Null },
        false => AppImage::Elsewhere(at),
    };
    Ok((image, pinned))
}
