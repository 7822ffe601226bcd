//! Builds an image from an application folder.

use super::{
    ImageInputs, ImagePlatform, Store, Survey, SurveyError,
    base::{Base, base},
    base_reference::has_digest,
    blob::blocking,
    build_context::BuildContext,
    build_stage::BuildStage,
    built::Built,
    digest::{ImageContent, PinnedPackages},
    external,
    file_tree::{FileTree, TreeNode},
    image_manifest,
    layer::{Layer, LayerWriter},
    pip,
    registry::ImageError,
    resolve::python_of,
    source::ImageSource,
    survey,
    wheel_layer::WheelPlace,
    wheels::{self, WheelTarget},
};
use crate::{
    aws::{notice, report_progress},
    model::{CallError, ErrorKind},
};
use std::path::{Path, PathBuf};

/// A request to build an image.
#[derive(Clone, Debug)]
pub struct BuildRequest {
    /// What the image is built from.
    pub inputs: ImageInputs,
    /// The tag that [`survey`] returned when the plan was created.
    pub tag: String,
    /// The user's cache folder.
    pub cache: PathBuf,
    /// Whether to build on an empty base if the registry of the base image is unreachable.
    pub without_base: bool,
}

/// Builds an image.
///
/// # Errors
/// Fails if the files changed since the plan was created, or if the base image, a wheel or a builder is not
/// available.
pub async fn build(ask: &BuildRequest) -> Result<Built, CallError> {
    let store = Store::in_cache(&ask.cache)?;
    let inputs = ask.inputs.clone();
    let mut found = blocking(move || survey(&inputs).map_err(SurveyError::into_call_error)).await?;
    if found.tag != ask.tag {
        let text = format!("{}: files changed since the plan was created", ask.inputs.folder.display());
        return Err(CallError::new(ErrorKind::Other, text).hint("run again to create a new plan"));
    }
    match found.content.take() {
        Some(mut content) => {
            report_progress("packing the application");
            // Moved, since a folder may have many files.
            let (context, tree) = (std::mem::take(&mut found.context), std::mem::take(&mut content.tree));
            let work = store.work();
            let source = blocking(move || files(&context, &tree, &work)).await?;
            daemonless(ask, &store, &found, &content, source).await
        }
        None => external::build(&store, &found).await,
    }
}

async fn daemonless(
    ask: &BuildRequest,
    store: &Store,
    found: &Survey,
    content: &ImageContent,
    source: Layer,
) -> Result<Built, CallError> {
    let mut images = Vec::new();
    let mut told = false;
    for (index, platform) in found.platforms.iter().enumerate() {
        let (below, notice_text) = fetched_base(ask, store, found, &content.stage, *platform).await?;
        if let Some(text) = notice_text.filter(|_| !told) {
            notice(&format!("{text}; building on an empty base, which only runs in the sandbox"));
            told = true;
        }
        let empty = below.digest.is_none();
        let mut layers = Vec::new();
        for packages in &content.packages {
            if !empty {
                check_python(&content.stage, &below, packages)?;
            }
            // On an empty base the Python of the sandbox loads the wheels, so they must fit its version.
            let own = if empty { pip::python_version(&ask.cache).await } else { None };
            let python = own.unwrap_or_else(|| packages.python.clone());
            let target = WheelTarget { python: &python, platform: *platform, musl: packages.musl && !empty };
            let place = WheelPlace {
                site: packages.site.clone(),
                scripts: packages.scripts.clone(),
                interpreter: packages.interpreter.clone(),
            };
            let lines = packages.lines.get(index).map(Vec::as_slice).unwrap_or_default();
            layers.extend(wheels::layer(store, lines, target, &place).await?);
        }
        let mut own: Vec<(&Layer, &str)> =
            layers.iter().map(|layer| (layer, "wheels of requirements.txt")).collect();
        own.push((&source, "application"));
        let config = image_manifest::config(&below, &content.stage, *platform, &own);
        let layers = below.layers.into_iter().chain(own.iter().map(|(layer, _)| layer.blob.clone()));
        images.push((*platform, config, layers.collect()));
    }
    Ok(Built::of(images))
}

/// Returns the base image, or an empty one and the reason for it.
async fn fetched_base(
    ask: &BuildRequest,
    store: &Store,
    found: &Survey,
    stage: &BuildStage,
    platform: ImagePlatform,
) -> Result<(Base, Option<String>), CallError> {
    let pin = found.pins.bases.get(&stage.base);
    let reference = match pin.map(|pin| pin.digest.as_ref()) {
        Some(Some(digest)) if !has_digest(&stage.base) => format!("{}@{digest}", stage.base),
        Some(None) if ask.without_base => {
            return Ok((Base::default(), Some(format!("{}: unreachable", stage.base))));
        }
        _ => stage.base.clone(),
    };
    match base(&ImageSource::new(store), &reference, platform).await {
        Err(ImageError::Unreachable(error)) if ask.without_base => Ok((Base::default(), Some(error.message))),
        found => Ok((found.map_err(ImageError::into_call_error)?, None)),
    }
}

/// Refuses packages for another Python than that of the base.
fn check_python(stage: &BuildStage, base: &Base, packages: &PinnedPackages) -> Result<(), CallError> {
    match python_of(&base.config) {
        Some(python) if python != packages.python => {
            let text = format!(
                "base image {} has Python {python}, the packages are for {}",
                stage.base, packages.python
            );
            Err(CallError::new(ErrorKind::Refused, text).hint("use the same Python version in all stages"))
        }
        _ => Ok(()),
    }
}

/// Returns the files of the image as a layer.
fn files(context: &BuildContext, tree: &FileTree, work: &Path) -> Result<Layer, CallError> {
    let mut layer = LayerWriter::new(work)?;
    for (path, node) in &tree.nodes {
        match node {
            TreeNode::File { from, size, hash, mode, owner } => {
                context
                    .reread(from, *hash, |content| layer.file_of(path, (*mode, *owner), *size, content))?;
            }
            TreeNode::Text { text, mode, owner } => {
                let size = u64::try_from(text.len()).unwrap_or(u64::MAX);
                layer.file_of(path, (*mode, *owner), size, &mut text.as_bytes())?;
            }
            TreeNode::Link { target } => layer.link(path, target)?,
            TreeNode::Folder { mode, owner } => layer.folder_of(path, (*mode, *owner))?,
        }
    }
    layer.end()
}
