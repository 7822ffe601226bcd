//! Starts and controls the sandbox: a simulated AWS on loopback, written in Python and embedded in this
//! program.

mod control;
mod endpoint_record;
mod owned_process;
mod python;
mod server;

pub use control::Control;
pub use endpoint_record::Running;
pub use server::{Kubernetes, Sandbox, StartOptions};

/// Why the sandbox cannot be installed, started or reached.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Python is missing or too old.
    #[error("the sandbox needs Python 3.10 or newer with the venv module ({0})")]
    NoPython(String),
    /// The virtual environment could not be created.
    #[error("{folder}: failed to create the virtual environment of the sandbox: {reason}")]
    Install {
        /// Folder of the environment.
        folder: String,
        /// Last lines of the output of pip or venv.
        reason: String,
    },
    /// Go is missing or too old.
    #[error("{0}")]
    NoGo(String),
    /// The Kubernetes control plane could not be built.
    #[error("failed to build the Kubernetes control plane: {0}")]
    Build(String),
    /// The process of the sandbox could not be started or stopped.
    #[error("sandbox: {0}")]
    Start(String),
    /// No sandbox is running.
    #[error("the sandbox is not running")]
    NotRunning,
    /// The sandbox does not answer.
    #[error("the sandbox does not answer: {0}")]
    Silent(String),
    /// A file of the sandbox cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// Path of the file.
        path: String,
        /// Error of the operating system.
        error: std::io::Error,
    },
}

impl SandboxError {
    /// Returns what to do about the error.
    pub fn hint(&self) -> &'static str {
        match self {
            SandboxError::NoPython(_) => {
                "install Python 3.10+ (Debian, Ubuntu: `apt install python3 python3-venv`; \
                macOS: `brew install python`), or set `PROVISIONER_PYTHON`"
            }
            SandboxError::Install { .. } => {
                "check the network and pip's configuration, which names the package index, then run again"
            }
            SandboxError::NoGo(_) => {
                "install Go (https://go.dev/dl), or use the stand-in with `--kubernetes=stand-in`"
            }
            SandboxError::Build(_) => {
                "run again (compiled packages are kept), or use the stand-in with `--kubernetes=stand-in`"
            }
            SandboxError::Start(_) => {
                "read its log in `state/sandbox/log`, run `provisioner sandbox stop`, then start it again"
            }
            SandboxError::NotRunning => "run `provisioner sandbox start`",
            SandboxError::Silent(_) => {
                "run `provisioner sandbox stop`, then start it again; its resources are lost"
            }
            SandboxError::File { .. } => "free disk space or make the folder writable, then run again",
        }
    }
}

fn at(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> SandboxError {
    let path = path.display().to_string();
    move |error| SandboxError::File { path, error }
}
