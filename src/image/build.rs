//! A folder becomes an image.

use super::{
    Blob, Builder, Document, Platform, Store, Survey,
    base::{Base, base},
    context::{Context, Entry},
    dockerfile::{HOME, Stage},
    external,
    layer::{Layer, Writer},
    manifest, python,
    registry::Trouble,
    source::Source,
    survey, wheels,
};
use crate::{
    aws::{notice, tell},
    model::{Class, Fault},
};
use std::path::{Path, PathBuf};

/// What is to be built, and where.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The application's folder.
    pub folder: PathBuf,
    /// Who builds.
    pub builder: Builder,
    /// For which platforms.
    pub platforms: Vec<Platform>,
    /// The tag that [`survey`] gave when this was decided.
    pub tag: String,
    /// The user's cache folder.
    pub cache: PathBuf,
    /// Whether an image without its base will do where the base's registry is out of reach.
    pub without_base: bool,
}

/// An image, ready to be pushed.
#[derive(Clone, Debug)]
pub struct Built {
    /// Its manifests; the last one names the others, where there are several.
    pub documents: Vec<Document>,
    /// Layers and configurations, each once.
    pub blobs: Vec<Blob>,
}

impl Built {
    /// Of images for these platforms.
    pub(super) fn of(images: Vec<(Platform, Blob, Vec<Blob>)>) -> Self {
        let (mut documents, mut blobs) = (Vec::new(), Vec::<Blob>::new());
        for (platform, config, layers) in images {
            documents.push((platform, manifest::manifest(&config, &layers)));
            for blob in layers.into_iter().chain([config]) {
                if !blobs.iter().any(|other| other.digest == blob.digest) {
                    blobs.push(blob);
                }
            }
        }
        Built::of_documents(documents, blobs)
    }

    /// Of these manifests and what they name.
    pub(super) fn of_documents(documents: Vec<(Platform, Document)>, blobs: Vec<Blob>) -> Self {
        let index = (documents.len() > 1).then(|| manifest::index(&documents));
        let documents = documents.into_iter().map(|(_, document)| document).chain(index).collect();
        Built { documents, blobs }
    }

    /// The manifest or index that is the image.
    pub fn root(&self) -> Result<&Document, Fault> {
        self.documents.last().ok_or_else(|| Fault::bug("an image without a manifest"))
    }
}

/// Builds it.
///
/// # Errors
/// The files are no longer those that were decided on; whatever its parts cannot be had.
pub async fn build(ask: &Ask) -> Result<Built, Fault> {
    let store = Store::new(&ask.cache.join("image"));
    let (folder, builder, platforms) = (ask.folder.clone(), ask.builder, ask.platforms.clone());
    let found = blocking(move || survey(&folder, builder, &platforms)).await?;
    if found.tag != ask.tag {
        let text = format!("the files in {} changed since the plan was made", ask.folder.display());
        return Err(Fault::new(Class::Other, text).hint("run again: the plan is made anew"));
    }
    match &found.stage {
        Some(stage) => daemonless(ask, &store, &found, stage).await,
        None => external::build(&store, &found).await,
    }
}

async fn daemonless(ask: &Ask, store: &Store, found: &Survey, stage: &Stage) -> Result<Built, Fault> {
    tell("laying out the application");
    let (context, work) = (found.context.clone(), store.work());
    let source = blocking(move || application(&context, &work)).await?;
    let sources = Source::new(store);
    let mut images = Vec::new();
    let mut told = false;
    for platform in &found.platforms {
        let (below, empty) = match base(&sources, &stage.base, *platform).await {
            Err(Trouble::OutOfReach(fault)) if ask.without_base => {
                if !told {
                    notice(&format!(
                        "{}; the image is built on an empty base, which runs in the sandbox alone",
                        fault.message
                    ));
                }
                told = true;
                (Base::default(), true)
            }
            found => (found.map_err(Trouble::fault)?, false),
        };
        // Without the base's Python it is the sandbox's that loads them.
        let python = if empty { python::version(&ask.cache).await } else { stage.python.clone() };
        let fetched = match (&python, &found.requirements) {
            (Some(python), Some(text)) => wheels::layer(store, text, python, *platform).await?,
            _ => None,
        };
        let mut own: Vec<(&Layer, &str)> =
            fetched.iter().map(|layer| (layer, "wheels of requirements.txt")).collect();
        own.push((&source, "application"));
        let config = manifest::config(&below, stage, *platform, &own);
        let layers = below.layers.into_iter().chain(own.iter().map(|(layer, _)| layer.blob.clone()));
        images.push((*platform, config, layers.collect()));
    }
    Ok(Built::of(images))
}

/// The files of the context as a layer.
pub(super) fn application(context: &Context, work: &Path) -> Result<Layer, Fault> {
    let mut layer = Writer::new(work)?;
    layer.folder(HOME)?;
    for (path, entry) in &context.entries {
        let to = format!("{HOME}/{path}");
        match entry {
            Entry::File { executable, hash, .. } => {
                layer.file(&to, *executable, &context.bytes(path, hash)?)?;
            }
            Entry::Link { target } => layer.link(&to, target)?,
        }
    }
    layer.end()
}

/// Work that waits for the disk and not for the network.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(Fault::bug(error.to_string())))
}
