//! The sandbox's process: one for a `state/` folder, alive between commands.

use super::{Control, SandboxError, at, python};
use rustix::{
    fs::{FlockOperation, flock},
    process::{Pid, Signal, kill_process},
};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// The file in which a running sandbox says where it is.
const ENDPOINT: &str = "endpoint.json";

/// How long a start may take.
const START: Duration = Duration::from_secs(90);

/// Where a running sandbox is; the form of `state/sandbox/endpoint.json` and of `sandbox status --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// `http://127.0.0.1:PORT`
    pub endpoint: String,
    /// The port.
    pub port: u16,
    /// The process.
    pub pid: i32,
}

/// Who serves the clusters of a sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Kubernetes {
    /// A part of the sandbox that behaves like Kubernetes where the demo needs it
    #[default]
    StandIn,
    /// Kubernetes' own API server, scheduler and controllers, built with Go
    Real,
}

/// How a sandbox is to be started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// The port; 0: any free one.
    pub port: u16,
    /// How many times faster than AWS; none: as is usual.
    pub time_scale: Option<f64>,
    /// Who serves clusters; none: who did the last time.
    pub kubernetes: Option<Kubernetes>,
}

/// Says that clusters are served by a real API server, from one start to the next.
const REAL: &str = "kubernetes.real";

/// The sandbox of one `state/` folder.
#[derive(Clone, Debug)]
pub struct Sandbox {
    folder: PathBuf,
    cache: PathBuf,
}

impl Sandbox {
    /// The sandbox that keeps its files in `state/sandbox`, and its environment in `cache`.
    pub fn new(state: &Path, cache: &Path) -> Self {
        Sandbox { folder: state.join("sandbox"), cache: cache.join("sandbox") }
    }

    /// The folder that holds what is recorded of things in the sandbox.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The running one, if it answers.
    pub fn running(&self) -> Option<Running> {
        let bytes = fs::read(self.folder.join(ENDPOINT)).ok()?;
        let running: Running = serde_json::from_slice(&bytes).ok()?;
        Control::new(&running.endpoint).status().is_ok().then_some(running)
    }

    /// The running one; where there is none, it is installed and started. `tell` hears of what takes time.
    pub fn ensure(&self, wish: Wish, tell: &dyn Fn(&str)) -> Result<Running, SandboxError> {
        fs::create_dir_all(&self.folder).map_err(at(&self.folder))?;
        let guard = self.folder.join("start.lock");
        let lock = fs::File::create(&guard).map_err(at(&guard))?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|error| at(&guard)(error.into()))?;
        if let Some(running) = self.running() {
            return Ok(running);
        }
        let installed = python::install(&self.cache, tell)?;
        let real = self.settle(wish.kubernetes.unwrap_or_else(|| self.kubernetes()), &installed, tell)?;
        self.forget()?;
        let _ = fs::remove_file(self.folder.join(ENDPOINT));
        tell("starting the sandbox");
        self.start(&installed, wish, real)
    }

    /// Who serves clusters unless something else is asked for.
    pub fn kubernetes(&self) -> Kubernetes {
        if self.folder.join(REAL).exists() { Kubernetes::Real } else { Kubernetes::StandIn }
    }

    /// Makes what is needed for it, and keeps it for the next start. Whether it is the real one.
    fn settle(
        &self,
        kubernetes: Kubernetes,
        installed: &python::Installed,
        tell: &dyn Fn(&str),
    ) -> Result<bool, SandboxError> {
        let note = self.folder.join(REAL);
        let real = kubernetes == Kubernetes::Real;
        if real {
            python::build_kubernetes(installed, tell)?;
            fs::write(&note, "").map_err(at(&note))?;
        } else if note.exists() {
            fs::remove_file(&note).map_err(at(&note))?;
        }
        Ok(real)
    }

    fn start(&self, installed: &python::Installed, wish: Wish, real: bool) -> Result<Running, SandboxError> {
        let log_path = self.folder.join("log");
        let log = fs::File::create(&log_path).map_err(at(&log_path))?;
        let errors = log.try_clone().map_err(at(&log_path))?;
        let mut command = Command::new(&installed.python);
        command
            .args(["-m", "provisioner_sandbox", "--port", &wish.port.to_string(), "--state-dir"])
            .arg(&self.folder);
        if let Some(scale) = wish.time_scale {
            command.args(["--time-scale", &scale.to_string()]);
        }
        // Its own process group: Ctrl-C in the terminal is for the command, not for the sandbox.
        command.process_group(0).stdin(Stdio::null()).stdout(log).stderr(errors);
        // No credential and no proxy of the caller's environment reaches it.
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
            .env("HOME", &self.folder)
            .env("PYTHONPATH", &installed.source)
            .env("PYTHONDONTWRITEBYTECODE", "0");
        if real {
            command.arg("--kubernetes").arg(installed.testplane());
            // Where the control plane was built to: `cache` is below `provisioner` in it.
            let caches = self.cache.parent().and_then(Path::parent);
            command.env("XDG_CACHE_HOME", caches.unwrap_or(&self.cache));
        }
        let mut child = command.spawn().map_err(at(&installed.python))?;
        let started = Instant::now();
        while started.elapsed() < START {
            if let Some(running) = self.running() {
                return Ok(running);
            }
            if let Ok(Some(status)) = child.try_wait() {
                let text = fs::read_to_string(&log_path).unwrap_or_default();
                let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
                return Err(SandboxError::Start(format!("{status}: {last}")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(SandboxError::Start(format!("no answer after {} s", START.as_secs())))
    }

    /// Drops what was recorded of things in the sandbox: they went with its memory.
    pub fn forget(&self) -> Result<(), SandboxError> {
        for file in fs::read_dir(&self.folder).map_err(at(&self.folder))?.flatten() {
            let name = file.file_name();
            if name != ENDPOINT && Path::new(&name).extension().is_some_and(|ending| ending == "json") {
                fs::remove_file(file.path()).map_err(at(&file.path()))?;
            }
        }
        Ok(())
    }

    /// Ends it. False: none was running.
    pub fn stop(&self) -> Result<bool, SandboxError> {
        let Some(running) = self.running() else { return Ok(false) };
        let Some(pid) = Pid::from_raw(running.pid) else { return Ok(false) };
        // Only what answers at the recorded port is ended, so that a number that was used again is safe.
        kill_process(pid, Signal::TERM)
            .map_err(|error| SandboxError::Start(format!("cannot end it: {error}")))?;
        let started = Instant::now();
        while self.running().is_some() && started.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(50));
        }
        // It may have removed the file itself.
        let _ = fs::remove_file(self.folder.join(ENDPOINT));
        Ok(true)
    }
}
