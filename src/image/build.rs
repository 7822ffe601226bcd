//! Builds an image from an application folder.

use super::{
    BuildMethod, ImagePlatform, Store, Survey,
    base::{Base, base},
    blob::blocking,
    build_context::{BuildContext, ContextEntry},
    built::Built,
    dockerfile::{BuildStage, HOME},
    external, image_manifest,
    layer::{Layer, LayerWriter},
    pip,
    registry::ImageError,
    source::ImageSource,
    survey, wheels,
};
use crate::{
    aws::{notice, report_progress},
    model::{CallError, ErrorKind},
};
use std::path::{Path, PathBuf};

/// A request to build an image.
#[derive(Clone, Debug)]
pub struct BuildRequest {
    /// The application folder.
    pub folder: PathBuf,
    /// How the image is built.
    pub builder: BuildMethod,
    /// Target platforms.
    pub platforms: Vec<ImagePlatform>,
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
    let (folder, builder, platforms) = (ask.folder.clone(), ask.builder, ask.platforms.clone());
    let found = blocking(move || survey(&folder, builder, &platforms)).await?;
    if found.tag != ask.tag {
        let text = format!("{}: files changed since the plan was created", ask.folder.display());
        return Err(CallError::new(ErrorKind::Other, text).hint("run again to create a new plan"));
    }
    match &found.stage {
        Some(stage) => daemonless(ask, &store, &found, stage).await,
        None => external::build(&store, &found).await,
    }
}

async fn daemonless(
    ask: &BuildRequest,
    store: &Store,
    found: &Survey,
    stage: &BuildStage,
) -> Result<Built, CallError> {
    report_progress("packing the application");
    let (context, work) = (found.context.clone(), store.work());
    let source = blocking(move || application(&context, &work)).await?;
    let sources = ImageSource::new(store);
    let mut images = Vec::new();
    let mut told = false;
    for platform in &found.platforms {
        let (below, empty) = match base(&sources, &stage.base, *platform).await {
            Err(ImageError::Unreachable(error)) if ask.without_base => {
                if !told {
                    notice(&format!(
                        "{}; building on an empty base, which only runs in the sandbox",
                        error.message
                    ));
                }
                told = true;
                (Base::default(), true)
            }
            found => (found.map_err(ImageError::into_call_error)?, false),
        };
        // On an empty base the Python of the sandbox loads the wheels, so they must fit its version.
        let python = if empty { pip::python_version(&ask.cache).await } else { stage.python.clone() };
        let fetched = match (&python, &found.requirements) {
            (Some(python), Some(text)) => wheels::layer(store, text, python, *platform).await?,
            _ => None,
        };
        let mut own: Vec<(&Layer, &str)> =
            fetched.iter().map(|layer| (layer, "wheels of requirements.txt")).collect();
        own.push((&source, "application"));
        let config = image_manifest::config(&below, stage, *platform, &own);
        let layers = below.layers.into_iter().chain(own.iter().map(|(layer, _)| layer.blob.clone()));
        images.push((*platform, config, layers.collect()));
    }
    Ok(Built::of(images))
}

/// Returns the files of the context as a layer.
pub(super) fn application(context: &BuildContext, work: &Path) -> Result<Layer, CallError> {
    let mut layer = LayerWriter::new(work)?;
    layer.folder(HOME)?;
    for (path, entry) in &context.entries {
        let to = format!("{HOME}/{path}");
        match entry {
            ContextEntry::File { executable, size, hash } => {
                context.reread(path, hash, |content| layer.file(&to, *executable, *size, content))?;
            }
            ContextEntry::Link { target } => layer.link(&to, target)?,
        }
    }
    layer.end()
}
