//! Starts and talks to the AWS on loopback, whose Python side is embedded in this program.

mod control;
mod python;
mod server;

pub use control::Control;
pub use server::{Kubernetes, Running, Sandbox, Wish};

/// Why the sandbox cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// No Python that is new enough.
    #[error("the sandbox needs Python 3.10 or newer with its venv module: {0}")]
    NoPython(String),
    /// The virtual environment could not be made.
    #[error("the sandbox's virtual environment could not be made in {folder}: {reason}")]
    Install {
        /// Where.
        folder: String,
        /// What pip or venv said last.
        reason: String,
    },
    /// No Go that is new enough.
    #[error("{0}")]
    NoGo(String),
    /// The Kubernetes control plane could not be built.
    #[error("the Kubernetes control plane could not be built: {0}")]
    Build(String),
    /// It was started and did not come up.
    #[error("the sandbox did not start: {0}")]
    Start(String),
    /// It does not answer.
    #[error("the sandbox does not answer: {0}")]
    Silent(String),
    /// A file of it.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: String,
        /// What the system said.
        error: std::io::Error,
    },
}

impl SandboxError {
    /// What to do.
    pub fn hint(&self) -> &'static str {
        match self {
            SandboxError::NoPython(_) => {
                "install Python 3.10+ (Debian, Ubuntu: `apt install python3 python3-venv`; macOS: `brew install python`), \
                 or name one in PROVISIONER_PYTHON"
            }
            SandboxError::Install { .. } => {
                "pip must reach a package index: check the network or pip's configuration, then run again"
            }
            SandboxError::NoGo(_) => {
                "install Go (https://go.dev/dl), or leave --kubernetes out: then a stand-in serves the cluster"
            }
            SandboxError::Build(_) => {
                "run again: what was compiled is kept; without --kubernetes a stand-in serves the cluster"
            }
            SandboxError::Start(_) => {
                "its log in state/sandbox/log says more; `provisioner sandbox stop`, then start again"
            }
            SandboxError::Silent(_) => "`provisioner sandbox stop`, then start again; what was in it is lost",
            SandboxError::File { .. } => "make room, or make the folder writable, then run again",
        }
    }
}

fn at(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> SandboxError {
    let path = path.display().to_string();
    move |error| SandboxError::File { path, error }
}
