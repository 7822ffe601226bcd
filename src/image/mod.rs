//! Builds container images without a daemon and pushes them to ECR: content digest, layers, manifests,
//! upload.

mod accounts;
mod base;
mod base_reference;
mod blob;
mod build;
mod build_context;
mod build_stage;
mod built;
mod console_scripts;
mod copy;
mod copy_instruction;
mod digest;
mod dockerfile;
mod external;
mod file_hashes;
mod file_tree;
mod hashing;
mod ignore;
mod image_manifest;
mod image_pins;
mod layer;
mod left_out;
mod lexer;
mod lock_files;
mod markers;
mod media_types;
mod oci_layout;
mod origin;
mod packages;
mod pip;
mod pip_command;
mod plain_image;
mod project_install;
mod push;
mod python_tools;
mod registry;
mod requirement_text;
mod requirements;
mod resolve;
mod run_instruction;
mod run_permissions;
mod run_prefix;
mod run_scope;
mod shell_words;
mod source;
mod stage_state;
mod wheel_layer;
mod wheels;

pub use blob::{Blob, Store};
pub use build::{BuildRequest, build};
pub use build_context::{BuildContext, ContextEntry, ContextRules};
pub use built::Built;
pub use copy::{copy, copy_whole, empty, resolve};
pub use digest::{ImageInputs, Survey, SurveyError, survey};
pub use ignore::Ignore;
pub use image_manifest::Document;
pub use image_pins::ImagePins;
pub use left_out::LeftOut;
pub use media_types::ACCEPTED;
pub use oci_layout::write_layout;
pub use push::{Remote, give_tags, push};
pub use registry::LAYOUT;
pub use resolve::{PinRequest, pinned_survey};

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

/// What to do about a line that the Python builder cannot follow.
const TWO_WAYS: &str = "change the line, or set `builder: dockerfile` and install docker, podman or buildah, which run every line";

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

    /// Returns the error that reports all lines of a file.
    fn all_at(path: &Path, mut refusals: Vec<Refusal>) -> CallError {
        if refusals.len() < 2 {
            let only = refusals.pop().unwrap_or_else(|| Refusal::new(1, "cannot be read"));
            return only.at(path);
        }
        let lines: Vec<String> =
            refusals.iter().map(|one| format!("{}:{}: {}", path.display(), one.line, one.what)).collect();
        let mut hints: Vec<&str> = Vec::new();
        for hint in refusals.iter().filter_map(|one| one.hint.as_deref()) {
            if !hints.contains(&hint) {
                hints.push(hint);
            }
        }
        let error = CallError::new(ErrorKind::Refused, lines.join("\n"));
        if hints.is_empty() { error } else { error.hint(hints.join("; ")) }
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
