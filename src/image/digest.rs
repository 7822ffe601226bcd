//! Computes the content digest of an image from its context files, its settings and the version of the layer
//! format. The digest is the same on every machine.

use super::{
    BuildMethod, ImagePlatform, Refusal,
    base_reference::{BaseFacts, has_digest},
    build_context::{BuildContext, ContextEntry, ContextRules},
    build_stage::BuildStage,
    dockerfile,
    file_tree::FileTree,
    hashing::{ContentHash, Hashing},
    image_pins::{ImagePins, ResolveRequest},
    layer::FORMAT_VERSION,
    packages::{Packages, Pinned},
    plain_image,
    stage_state::StageInputs,
};
use crate::model::{CallError, ErrorKind};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeSet,
    io::BufWriter,
    path::{Path, PathBuf},
};

/// How many hex digits of the content digest form the tag of the image. A tag has at most 128 characters.
/// Source: <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests>
const TAG_DIGITS: usize = 32;

/// Name of the Dockerfile in the application folder.
const DOCKERFILE: &str = "Dockerfile";
/// Name of the file that pins the Python packages.
const REQUIREMENTS: &str = "requirements.txt";

/// What an image is built from.
#[derive(Clone, Debug)]
pub struct ImageInputs {
    /// The application folder.
    pub folder: PathBuf,
    /// How the image is built.
    pub builder: BuildMethod,
    /// Target platforms.
    pub platforms: Vec<ImagePlatform>,
    /// Files and folders of the stack, which never belong to an image.
    pub own: Vec<PathBuf>,
    /// What was resolved before.
    pub pins: ImagePins,
    /// The user's cache folder, if hashes of files are remembered there.
    pub cache: Option<PathBuf>,
}

/// Packages of an image, each with version and hashes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PinnedPackages {
    /// Folder that Python imports from, without a `/` at the beginning.
    pub site: Option<String>,
    /// Folder of console scripts.
    pub scripts: Option<String>,
    /// Interpreter that runs the scripts.
    pub interpreter: String,
    /// Python version of the wheels.
    pub python: String,
    /// Whether the C library is musl.
    pub musl: bool,
    /// The packages of each platform.
    pub lines: Vec<Vec<String>>,
}

/// What the Python builder puts into an image.
#[derive(Clone, Debug)]
pub struct ImageContent {
    /// Settings.
    pub stage: BuildStage,
    /// Files.
    pub tree: FileTree,
    /// Python packages.
    pub packages: Vec<PinnedPackages>,
}

/// An application folder as it was read: everything needed to build its image.
#[derive(Clone, Debug)]
pub struct Survey {
    /// How the image is built.
    pub builder: BuildMethod,
    /// Target platforms, sorted and without duplicates.
    pub platforms: Vec<ImagePlatform>,
    /// Files of the build context.
    pub context: BuildContext,
    /// What the image has, for [`BuildMethod::Python`] only.
    pub content: Option<ImageContent>,
    /// The text of the Dockerfile, for [`BuildMethod::Dockerfile`] only.
    pub dockerfile: Option<String>,
    /// Base images that must be resolved first. While there are any, [`tag`](Self::tag) is empty.
    pub open_bases: BTreeSet<String>,
    /// Requirements that must be resolved first. While there are any, [`tag`](Self::tag) is empty.
    pub open_packages: Vec<ResolveRequest>,
    /// Bases of the stages that install packages.
    pub package_bases: BTreeSet<String>,
    /// Those of the pins that the image uses.
    pub pins: ImagePins,
    /// Tag of the image: the first 32 hex digits of the digest over the fields above.
    pub tag: String,
}

/// Why a folder cannot be surveyed.
#[derive(Debug)]
pub enum SurveyError {
    /// The Python builder cannot follow these lines of the file.
    Unsupported(PathBuf, Vec<Refusal>),
    /// Another error.
    Failed(CallError),
}

impl From<CallError> for SurveyError {
    fn from(error: CallError) -> Self {
        SurveyError::Failed(error)
    }
}

impl SurveyError {
    /// Returns the error to report.
    pub fn into_call_error(self) -> CallError {
        match self {
            SurveyError::Failed(error) => error,
            SurveyError::Unsupported(path, refusals) => Refusal::all_at(&path, refusals),
        }
    }
}

/// What tells the content of a file, or where a link leads.
#[derive(Serialize)]
#[serde(untagged)]
enum ContentMark<'a> {
    Hash(&'a ContentHash),
    Target(&'a str),
}

#[derive(Serialize)]
struct Content<'a> {
    form: u32,
    builder: BuildMethod,
    platforms: &'a [ImagePlatform],
    stage: Option<&'a BuildStage>,
    dockerfile: Option<&'a str>,
    requirements: Option<&'a str>,
    files: Vec<(&'a str, &'static str, ContentMark<'a>)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tree: Option<&'a FileTree>,
    #[serde(skip_serializing_if = "Option::is_none")]
    packages: Option<&'a [PinnedPackages]>,
}

/// Reads an application folder and computes the tag of its image.
///
/// # Errors
/// Fails if a file is missing, cannot be read or cannot be built with this builder. The message names file
/// and line.
pub fn survey(inputs: &ImageInputs) -> Result<Survey, SurveyError> {
    let (folder, builder) = (inputs.folder.as_path(), inputs.builder);
    let rules = ContextRules {
        own: inputs.own.clone(),
        absolute_links: builder == BuildMethod::Dockerfile,
        cache: inputs.cache.clone(),
    };
    let context = BuildContext::read(folder, &rules)?;
    let mut platforms = inputs.platforms.clone();
    platforms.sort();
    platforms.dedup();
    if platforms.is_empty() {
        return Err(CallError::bug("image without a platform").into());
    }
    let path = folder.join(DOCKERFILE);
    let text = read(&path, "add a `Dockerfile` to the application folder")?;
    let mut survey = Survey {
        builder,
        platforms,
        context,
        content: None,
        dockerfile: None,
        open_bases: BTreeSet::new(),
        open_packages: Vec::new(),
        package_bases: BTreeSet::new(),
        pins: ImagePins::default(),
        tag: String::new(),
    };
    if builder == BuildMethod::Dockerfile {
        survey.dockerfile = Some(text);
        survey.tag = tag(&survey, None)?;
        return Ok(survey);
    }
    let requirements = std::fs::read_to_string(folder.join(REQUIREMENTS)).ok();
    let python_of = |base: &str| inputs.pins.bases.get(base)?.python.clone();
    let stage_inputs = StageInputs { context: &survey.context, python_of: &python_of };
    let state = dockerfile::read(&text, stage_inputs, requirements.as_deref())
        .map_err(|refusals| SurveyError::Unsupported(path, refusals))?;
    let (stage, tree, packages) = (state.settings, state.tree, state.packages);
    // Only what reaches the image counts: comments and unused stages do not change it.
    let plain = plain_image::requirements(&stage, &tree, &packages, &survey.context);
    let stage = match (&plain, packages.first()) {
        (Some(_), Some(packages)) => BuildStage { python: packages.python.clone(), ..stage },
        _ => stage,
    };
    if !has_digest(&stage.base) {
        survey.pin_base(&stage.base, inputs);
    }
    let mut pinned = Vec::new();
    for packages in &packages {
        survey.package_bases.insert(packages.base.clone());
        check_library(&stage, packages)?;
        pinned.extend(survey.pin_packages(packages, inputs)?);
    }
    let content = ImageContent { stage, tree, packages: pinned };
    if survey.open_bases.is_empty() && survey.open_packages.is_empty() {
        survey.tag = tag(&survey, Some((&content, plain.as_deref())))?;
    }
    survey.content = Some(content);
    Ok(survey)
}

/// Refuses packages for another C library than that of the base.
fn check_library(stage: &BuildStage, packages: &Packages) -> Result<(), CallError> {
    let base = BaseFacts::of(&stage.base);
    if base.musl == packages.musl {
        return Ok(());
    }
    let name = |musl: bool| if musl { "musl" } else { "glibc" };
    let text = format!(
        "base image {} has {}, the packages of {} are for {}",
        stage.base,
        name(base.musl),
        packages.base,
        name(packages.musl)
    );
    Err(CallError::new(ErrorKind::Refused, text).hint("use Alpine images in all stages, or in none"))
}

impl Survey {
    /// Notes whether a base is pinned, and by what.
    fn pin_base(&mut self, reference: &str, inputs: &ImageInputs) {
        match inputs.pins.bases.get(reference) {
            Some(pin) => _ = self.pins.bases.insert(reference.to_owned(), pin.clone()),
            None => _ = self.open_bases.insert(reference.to_owned()),
        }
    }

    /// Returns the packages with versions and hashes, or `None` if something must be resolved first.
    fn pin_packages(
        &mut self,
        packages: &Packages,
        inputs: &ImageInputs,
    ) -> Result<Option<PinnedPackages>, CallError> {
        let Some(python) = &packages.python else {
            self.pin_base(&packages.base, inputs);
            if inputs.pins.bases.contains_key(&packages.base) {
                let what = format!("base image `{}`: its Python version is not known", packages.base);
                let hint = format!(
                    "name it in the tag (`python:3.13`), or with `LABEL {}=\"3.13\"`",
                    dockerfile::PYTHON
                );
                return Err(CallError::new(ErrorKind::Refused, what).hint(hint));
            }
            return Ok(None);
        };
        if inputs.pins.bases.get(&packages.base).is_some_and(|pin| pin.python.is_some()) {
            self.pin_base(&packages.base, inputs);
        }
        let mut lines = Vec::new();
        for platform in &self.platforms {
            match packages.pinned(python, *platform, &inputs.pins)? {
                Pinned::Missing(request) => self.open_packages.push(request),
                Pinned::Lines(one, keys) => {
                    for (key, pinned) in keys {
                        self.pins.packages.insert(key, pinned);
                    }
                    lines.push(one);
                }
            }
        }
        Ok((lines.len() == self.platforms.len()).then(|| PinnedPackages {
            site: packages.site.clone(),
            scripts: packages.scripts.clone(),
            interpreter: packages.interpreter.clone(),
            python: python.clone(),
            musl: packages.musl,
            lines,
        }))
    }
}

/// Returns the tag of an image. A plain image has the tag that earlier versions of this program gave it.
fn tag(survey: &Survey, content: Option<(&ImageContent, Option<&str>)>) -> Result<String, CallError> {
    let plain = content.and_then(|(_, plain)| plain);
    let full = content.filter(|(_, plain)| plain.is_none()).map(|(content, _)| content);
    let all = survey.context.entries.iter().filter(|_| full.is_none());
    let files = all.map(|(path, entry)| match entry {
        ContextEntry::File { executable: true, hash, .. } => (path.as_str(), "755", ContentMark::Hash(hash)),
        ContextEntry::File { hash, .. } => (path.as_str(), "644", ContentMark::Hash(hash)),
        ContextEntry::Link { target } => (path.as_str(), "link", ContentMark::Target(target)),
    });
    let pinned = content.and_then(|(content, _)| {
        let digest = survey.pins.bases.get(&content.stage.base)?.digest.as_ref()?;
        Some(BuildStage { base: format!("{}@{digest}", content.stage.base), ..content.stage.clone() })
    });
    let content = Content {
        form: FORMAT_VERSION,
        builder: survey.builder,
        platforms: &survey.platforms,
        stage: pinned.as_ref().or(content.map(|(content, _)| &content.stage)),
        dockerfile: survey.dockerfile.as_deref(),
        requirements: plain.filter(|text| *text != plain_image::NONE),
        files: files.collect(),
        tree: full.map(|content| &content.tree),
        packages: full.map(|content| content.packages.as_slice()),
    };
    // Not as one text: a folder may have many files.
    let bug = |error: String| CallError::bug(error);
    let mut hashing = BufWriter::new(Hashing(Sha256::new()));
    serde_json::to_writer(&mut hashing, &content).map_err(|error| bug(error.to_string()))?;
    let hashing = hashing.into_inner().map_err(|error| bug(error.to_string()))?;
    Ok(ContentHash::of(hashing.0).to_string().chars().take(TAG_DIGITS).collect())
}

fn read(path: &Path, why: &str) -> Result<String, CallError> {
    std::fs::read_to_string(path)
        .map_err(|error| CallError::new(ErrorKind::Refused, format!("{}: {error}", path.display())).hint(why))
}

#[cfg(test)]
mod tests;
