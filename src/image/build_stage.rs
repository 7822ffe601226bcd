//! The settings of an image, as the last stage of its Dockerfile gives them.

use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Settings of an image, as the last stage of its Dockerfile describes them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct BuildStage {
    /// The base image.
    pub base: String,
    /// Python version of the wheels (`3.13`) in an image of the context in `/app` and wheels in `/app/site-packages`.
    pub python: Option<String>,
    /// Environment variables, in the order of their lines. `${PATH}` is the value of the base.
    pub env: Vec<(String, String)>,
    /// Labels of the image, values by names.
    pub labels: BTreeMap<String, String>,
    /// Exposed ports, such as `8000/tcp`.
    pub ports: BTreeSet<String>,
    /// User that runs the program, and its group if given: `65532:65532`.
    pub user: Option<String>,
    /// Working directory, absolute.
    pub folder: Option<String>,
    /// Program and its first arguments, from ENTRYPOINT.
    pub entrypoint: Option<Vec<String>>,
    /// Further arguments, from CMD.
    pub cmd: Option<Vec<String>>,
    /// Signal that stops the program.
    pub stop_signal: Option<String>,
    /// Paths of volumes.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub volumes: BTreeSet<String>,
}

impl BuildStage {
    /// Returns the value of an environment variable.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.env.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// Sets an environment variable. It moves to the end.
    pub fn set_variable(&mut self, name: String, value: String) {
        self.env.retain(|(other, _)| *other != name);
        self.env.push((name, value));
    }
}
