//! Builds container images without a daemon and pushes them to ECR: content digest, layers, manifests,
//! upload.

mod base;
mod blob;
mod build;
mod build_context;
mod built;
mod copy;
mod digest;
mod dockerfile;
mod external;
mod ignore;
mod image_manifest;
mod layer;
mod lexer;
mod markers;
mod media_types;
mod oci_layout;
mod origin;
mod pip;
mod push;
mod registry;
mod requirements;
mod source;
mod wheels;

pub use blob::{Blob, Store};
pub use build::{BuildRequest, build};
pub use build_context::{BuildContext, ContextEntry};
pub use built::Built;
pub use copy::{copy, copy_whole, empty, resolve};
pub use digest::{Survey, survey};
pub use ignore::Ignore;
pub use image_manifest::Document;
pub use media_types::ACCEPTED;
pub use oci_layout::write_layout;
pub use push::{Remote, give_tags, push};
pub use registry::LAYOUT;

use crate::model::{CallError, ErrorKind};
use blob::Temp;
use serde::{Deserialize, Serialize};
use std::{fmt, path::Path};

/// How an image is built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BuildMethod {
    /// Built in-process: no command of the Dockerfile runs.
    #[default]
    Python,
    /// docker, podman or buildah builds the whole Dockerfile.
    Dockerfile,
}

/// The operating system and CPU architecture that an image runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ImagePlatform {
    /// 64-bit x86: Intel and AMD.
    #[serde(rename = "linux/amd64")]
    Amd64,
    /// 64-bit ARM: Graviton.
    #[serde(rename = "linux/arm64")]
    Arm64,
}

impl ImagePlatform {
    /// Returns the architecture as image manifests name it (`amd64`).
    pub fn architecture(self) -> &'static str {
        match self {
            ImagePlatform::Amd64 => "amd64",
            ImagePlatform::Arm64 => "arm64",
        }
    }

    /// Returns the architecture as Linux and Python wheels name it (`x86_64`).
    pub fn machine(self) -> &'static str {
        match self {
            ImagePlatform::Amd64 => "x86_64",
            ImagePlatform::Arm64 => "aarch64",
        }
    }
}

impl fmt::Display for ImagePlatform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "linux/{}", self.architecture())
    }
}

/// A line of a Dockerfile or requirements file that cannot be built.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// Line number, starting at 1.
    pub line: usize,
    /// What is wrong with the line, as a fragment without a period.
    pub what: String,
    /// What to write instead, as an imperative.
    pub hint: Option<String>,
}

impl Refusal {
    fn new(line: usize, what: impl Into<String>) -> Self {
        Refusal { line, what: what.into(), hint: None }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Refusal { hint: Some(hint.into()), ..self }
    }

    /// Returns the error to report, which begins with `PATH:LINE: `.
    fn at(self, path: &Path) -> CallError {
        let error =
            CallError::new(ErrorKind::Refused, format!("{}:{}: {}", path.display(), self.line, self.what));
        match self.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}
