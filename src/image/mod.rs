//! Container images without a daemon: what decides one, the layers, and the way to ECR.

mod base;
mod blob;
mod build;
mod context;
mod copy;
mod digest;
mod dockerfile;
mod external;
mod ignore;
mod layer;
mod layout;
mod manifest;
mod markers;
mod push;
mod python;
mod registry;
mod requirements;
mod source;
mod wheels;
mod words;

pub use blob::{Blob, Store};
pub use build::{Ask, Built, build};
pub use context::{Context, Entry};
pub use copy::{copy, empty};
pub use digest::{Survey, survey};
pub use ignore::Ignore;
pub use layout::write_layout;
pub use manifest::Document;
pub use push::{ACCEPTED, Remote, give_tags, push};
pub use source::LAYOUT;

use crate::model::{Class, Fault};
use blob::Temp;
use serde::{Deserialize, Serialize};
use std::{fmt, path::Path};

/// Who builds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Builder {
    /// This program, without running anything.
    #[default]
    Python,
    /// docker, podman or buildah.
    Dockerfile,
}

/// A platform that an image runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Platform {
    /// Intel and AMD.
    #[serde(rename = "linux/amd64")]
    Amd64,
    /// Graviton.
    #[serde(rename = "linux/arm64")]
    Arm64,
}

impl Platform {
    /// The architecture's name in images.
    pub fn architecture(self) -> &'static str {
        match self {
            Platform::Amd64 => "amd64",
            Platform::Arm64 => "arm64",
        }
    }

    /// The architecture's name in Linux and Python.
    pub fn machine(self) -> &'static str {
        match self {
            Platform::Amd64 => "x86_64",
            Platform::Arm64 => "aarch64",
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "linux/{}", self.architecture())
    }
}

/// A line that asks for what is not done.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Refusal {
    fn new(line: usize, what: impl Into<String>) -> Self {
        Refusal { line, what: what.into(), hint: None }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Refusal { hint: Some(hint.into()), ..self }
    }

    /// With the file's name.
    fn at(self, path: &Path) -> Fault {
        let fault = Fault::new(Class::Refused, format!("{}:{}: {}", path.display(), self.line, self.what));
        match self.hint {
            Some(hint) => fault.hint(hint),
            None => fault,
        }
    }
}
