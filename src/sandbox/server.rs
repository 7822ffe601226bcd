//! Starts and stops the process of the sandbox: one per `state/` folder, which keeps running between
//! commands.

use super::{Control, SandboxError, at, endpoint_record::Running, python};
use crate::os::{lock_file, new_private_file};
use rustix::fs::{FlockOperation, flock};
use std::{
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Name of the file in which a running sandbox records its address.
const ENDPOINT_FILE: &str = "endpoint.json";

/// Timeout for the start of the sandbox.
const START_TIMEOUT: Duration = Duration::from_secs(90);

/// What serves the clusters of a sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Kubernetes {
    /// The built-in stand-in, which covers what the demo application needs
    #[default]
    StandIn,
    /// The API server, scheduler and controllers of Kubernetes, built with Go
    Real,
}

/// Options for starting a sandbox.
#[derive(Clone, Copy, Debug, Default)]
pub struct StartOptions {
    /// Port on loopback; 0 for any free one.
    pub port: u16,
    /// How many times faster than AWS; `None` for the default.
    pub time_scale: Option<f64>,
    /// What serves the clusters; `None` for the choice of the last start.
    pub kubernetes: Option<Kubernetes>,
}

/// Name of the file that exists if a real API server served the clusters at the last start.
const REAL_MARKER: &str = "kubernetes.real";

/// The sandbox of one `state/` folder.
#[derive(Clone, Debug)]
pub struct Sandbox {
    folder: PathBuf,
    cache: PathBuf,
}

impl Sandbox {
    /// Returns the sandbox with its files in `state/sandbox` and its environment in `cache`. Starts nothing.
    pub fn new(state: &Path, cache: &Path) -> Self {
        Sandbox { folder: state.join("sandbox"), cache: cache.join("sandbox") }
    }

    /// Returns the folder of the sandbox, which also holds the state of its stacks.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the address of the running sandbox, if the process that it records is this user's sandbox and answers.
    pub fn running(&self) -> Option<Running> {
        let running = Running::read(&self.folder.join(ENDPOINT_FILE))?;
        (running.process().is_running() && Control::new(&running).answers()).then_some(running)
    }

    /// Returns the address of the running sandbox, or installs and starts one. `tell` is called with progress
    /// messages.
    pub fn ensure(&self, options: StartOptions, tell: &dyn Fn(&str)) -> Result<Running, SandboxError> {
        fs::create_dir_all(&self.folder).map_err(at(&self.folder))?;
        let guard = self.folder.join("start.lock");
        let lock = lock_file(&guard).map_err(at(&guard))?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|error| at(&guard)(error.into()))?;
        if let Some(running) = self.running() {
            return Ok(running);
        }
        let installed = python::install(&self.cache, tell)?;
        let real = self.prepare_kubernetes(
            options.kubernetes.unwrap_or_else(|| self.kubernetes()),
            &installed,
            tell,
        )?;
        self.forget()?;
        let _ = fs::remove_file(self.folder.join(ENDPOINT_FILE));
        tell("starting the sandbox");
        self.start(&installed, options, real)
    }

    /// Returns what served the clusters at the last start, which is the default for the next.
    pub fn kubernetes(&self) -> Kubernetes {
        if self.folder.join(REAL_MARKER).exists() { Kubernetes::Real } else { Kubernetes::StandIn }
    }

    /// Builds what serves the clusters and records the choice for the next start. Returns whether it is real
    /// Kubernetes.
    fn prepare_kubernetes(
        &self,
        kubernetes: Kubernetes,
        installed: &python::Installed,
        tell: &dyn Fn(&str),
    ) -> Result<bool, SandboxError> {
        let note = self.folder.join(REAL_MARKER);
        let real = kubernetes == Kubernetes::Real;
        if real {
            python::build_kubernetes(installed, tell)?;
            new_private_file(&note).map_err(at(&note))?;
        } else if note.exists() {
            fs::remove_file(&note).map_err(at(&note))?;
        }
        Ok(real)
    }

    fn start(
        &self,
        installed: &python::Installed,
        options: StartOptions,
        real: bool,
    ) -> Result<Running, SandboxError> {
        let log_path = self.folder.join("log");
        let log = new_private_file(&log_path).map_err(at(&log_path))?;
        let errors = log.try_clone().map_err(at(&log_path))?;
        let mut command = python::sandbox_command(installed)?;
        // It runs in another folder than the caller.
        let folder = std::path::absolute(&self.folder).map_err(at(&self.folder))?;
        command.args(["--port", &options.port.to_string(), "--state-dir"]).arg(&folder);
        if let Some(scale) = options.time_scale {
            command.args(["--time-scale", &scale.to_string()]);
        }
        // A process group of its own: Ctrl-C in the terminal stops the command, not the sandbox.
        command.process_group(0).stdout(log).stderr(errors);
        command.env("HOME", &folder);
        if real {
            command.arg("--kubernetes").arg(installed.testplane());
            // The cache in which the control plane was built: two levels above `self.cache`.
            let caches = self.cache.parent().and_then(Path::parent);
            command.env("XDG_CACHE_HOME", caches.unwrap_or(&self.cache));
        }
        let mut child = command.spawn().map_err(at(&installed.python))?;
        let started = Instant::now();
        while started.elapsed() < START_TIMEOUT {
            if let Some(running) = self.running() {
                return Ok(running);
            }
            if let Ok(Some(status)) = child.try_wait() {
                let text = fs::read_to_string(&log_path).unwrap_or_default();
                let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
                return Err(SandboxError::Start(format!("failed to start: {status}: {last}")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(SandboxError::Start(format!("failed to start: no answer within {} s", START_TIMEOUT.as_secs())))
    }

    /// Deletes the state of the sandbox's stacks: their resources were lost when the last sandbox ended.
    pub fn forget(&self) -> Result<(), SandboxError> {
        for file in fs::read_dir(&self.folder).map_err(at(&self.folder))?.flatten() {
            let name = file.file_name();
            if name != ENDPOINT_FILE && Path::new(&name).extension().is_some_and(|ending| ending == "json") {
                fs::remove_file(file.path()).map_err(at(&file.path()))?;
            }
        }
        Ok(())
    }

    /// Stops the sandbox. Returns false if none was running.
    pub fn stop(&self) -> Result<bool, SandboxError> {
        let Some(running) = self.running() else { return Ok(false) };
        let signalled = running.process().terminate().map_err(|error| {
            SandboxError::Start(format!("failed to stop process {}: {error}", running.pid))
        })?;
        if !signalled {
            return Ok(false);
        }
        let started = Instant::now();
        while self.running().is_some() && started.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(50));
        }
        // The sandbox may already have deleted the file.
        let _ = fs::remove_file(self.folder.join(ENDPOINT_FILE));
        Ok(true)
    }
}
