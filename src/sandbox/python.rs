//! Installs the sandbox in the user's cache folder: its Python sources, once per version, and a virtual
//! environment.

use super::{SandboxError, at};
use crate::os::{
    PYTHON_NAMES, ProgramVariables, isolated_python, lock_file, named_python, own_folder, program,
};
use include_dir::{Dir, include_dir};
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};
use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

static PACKAGE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/sandbox/provisioner_sandbox");
/// The Kubernetes control plane: a Go module, and the Python program that starts it.
static CONTROL_PLANE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/tests/kube");
static REQUIREMENTS: &str = include_str!("../../sandbox/requirements.txt");

/// Paths of an installed sandbox.
pub struct Installed {
    /// Python interpreter of the virtual environment.
    pub python: PathBuf,
    /// Folder of the package `provisioner_sandbox`, and of the control plane in `kubernetes`.
    pub source: PathBuf,
}

impl Installed {
    /// Returns the path of the program that builds and starts the control plane.
    pub fn testplane(&self) -> PathBuf {
        self.source.join(KUBERNETES_FOLDER).join("testplane.py")
    }
}

/// Folder of the control plane below the sources.
const KUBERNETES_FOLDER: &str = "kubernetes";

/// Collects the sources of a folder as paths below `to` and content, without tests and compiled Python.
fn sources<'a>(folder: &'a Dir<'a>, to: &str, found: &mut Vec<(PathBuf, &'a [u8])>) {
    let own = |file: &&include_dir::File<'a>| {
        let name = file.path().file_name().unwrap_or_default().to_string_lossy();
        !name.ends_with(".pyc") && !name.starts_with("test_")
    };
    found.extend(folder.files().filter(own).map(|file| (Path::new(to).join(file.path()), file.contents())));
    folder.dirs().for_each(|folder| sources(folder, to, found));
}

fn digest<'a>(parts: impl Iterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(Sha256::digest(part));
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Unpacks the sources and creates the environment, unless that is done. `tell` is called with progress
/// messages.
pub fn install(cache: &Path, tell: &dyn Fn(&str)) -> Result<Installed, SandboxError> {
    own_folder(cache).map_err(at(cache))?;
    let guard = cache.join("install.lock");
    let lock = lock_file(&guard).map_err(at(&guard))?;
    // If two runs install at once, the second waits and finds the work done. Closing the file releases the
    // lock.
    flock(&lock, FlockOperation::LockExclusive).map_err(|error| at(&guard)(error.into()))?;
    let mut files = Vec::new();
    sources(&PACKAGE, "provisioner_sandbox", &mut files);
    sources(&CONTROL_PLANE, KUBERNETES_FOLDER, &mut files);
    let names = files.iter().flat_map(|(path, text)| [path.as_os_str().as_encoded_bytes(), *text]);
    let source = cache.join(format!("source-{}", digest(names)));
    if !source.join("complete").exists() {
        for (path, text) in &files {
            let file = source.join(path);
            let folder = file.parent().unwrap_or(&source);
            fs::create_dir_all(folder).map_err(at(folder))?;
            fs::write(&file, text).map_err(at(&file))?;
        }
        let complete = source.join("complete");
        fs::write(&complete, "").map_err(at(&complete))?;
    }
    let python = environment(cache, tell)?;
    Ok(Installed { python, source })
}

/// Builds the control plane, unless that is done. `tell` is called with each line of progress.
pub fn build_kubernetes(installed: &Installed, tell: &dyn Fn(&str)) -> Result<(), SandboxError> {
    // A script: its own folder is searched for modules, and the folder that it runs in is not.
    let mut command =
        program(&installed.python, &installed.source, ProgramVariables::Go).map_err(at(&installed.source))?;
    command.env("PYTHONPATH", &installed.source);
    command.arg("-B").arg(installed.testplane()).arg("build").stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(at(&installed.python))?;
    // Lines that do not report progress explain why the build failed.
    let mut why = Vec::new();
    for line in child.stderr.take().into_iter().flat_map(|from| BufReader::new(from).lines()) {
        let line = line.map_err(at(&installed.python))?;
        let line = line.strip_prefix("testplane: ").unwrap_or(&line).to_owned();
        match ["building ", "built ", "waiting ", "  "].iter().any(|start| line.starts_with(start)) {
            true => tell(&line),
            false => why.push(line),
        }
    }
    let status = child.wait().map_err(at(&installed.python))?;
    let said = if why.is_empty() { status.to_string() } else { why.join("\n") };
    match status.code() {
        Some(0) => Ok(()),
        Some(EXIT_NO_GO) => Err(SandboxError::NoGo(said)),
        _ => Err(SandboxError::Build(said)),
    }
}

/// Runs a module of a folder, which are the first two arguments: isolated Python searches no other folder than those of
/// what is installed.
const RUN_MODULE: &str = "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); \
    runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)";

/// Environment variable that names a folder with an OCI layout, whose images pods can run too.
const LAYOUT: &str = "PROVISIONER_BASE_LAYOUT";

/// Returns the command that starts the sandbox; its arguments follow. It does not get the credentials and proxies of the
/// caller's environment.
pub fn sandbox_command(installed: &Installed) -> Result<Command, SandboxError> {
    let source = &installed.source;
    let mut command =
        isolated_python(&installed.python, source, ProgramVariables::User).map_err(at(source))?;
    command.args(["-c", RUN_MODULE]).arg(source).arg("provisioner_sandbox");
    // For the programs that it starts in turn.
    command.env("PYTHONPATH", source);
    // The sandbox runs in another folder.
    if let Some(layout) = std::env::var_os(LAYOUT).and_then(|folder| std::path::absolute(folder).ok()) {
        command.env(LAYOUT, layout);
    }
    Ok(command)
}

/// Exit code of the control plane's builder if Go is missing or too old.
const EXIT_NO_GO: i32 = 3;

fn environment(cache: &Path, tell: &dyn Fn(&str)) -> Result<PathBuf, SandboxError> {
    let folder = cache.join(format!("venv-{}", digest([REQUIREMENTS.as_bytes()].into_iter())));
    let python = folder.join("bin").join("python");
    let complete = folder.join("complete");
    // An upgrade of the system may have removed the interpreter of the environment.
    let isolated = |python: &Path, variables| isolated_python(python, cache, variables).map_err(at(cache));
    if complete.exists()
        && isolated(&python, ProgramVariables::User)?.arg("-V").output().is_ok_and(|it| it.status.success())
    {
        return Ok(python);
    }
    let system = interpreter(cache)?;
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(at(&folder))?;
    }
    tell("creating the Python environment of the sandbox (once, takes about a minute)");
    let failed = |reason: String| SandboxError::Install { folder: folder.display().to_string(), reason };
    run(isolated(&system, ProgramVariables::User)?.args(["-m", "venv"]).arg(&folder)).map_err(|reason| {
        match reason.contains("ensurepip") {
            true => SandboxError::NoPython(format!("{} lacks ensurepip", system.display())),
            false => failed(reason),
        }
    })?;
    let requirements = folder.join("requirements.txt");
    fs::write(&requirements, REQUIREMENTS).map_err(at(&requirements))?;
    tell("installing the packages of the sandbox, pinned by hash");
    let mut pip = isolated(&python, ProgramVariables::Pip)?;
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--require-hashes",
        "--only-binary",
        ":all:",
    ]);
    run(pip.arg("-r").arg(&requirements)).map_err(failed)?;
    fs::write(&complete, "").map_err(at(&complete))?;
    Ok(python)
}

/// Returns Python 3.10 or newer: the one that `PROVISIONER_PYTHON` names, or the first in `PATH`.
fn interpreter(folder: &Path) -> Result<PathBuf, SandboxError> {
    let usual = PYTHON_NAMES.map(PathBuf::from);
    let candidates = named_python().map_or_else(|| usual.to_vec(), |named| vec![named]);
    let mut seen = Vec::new();
    for candidate in candidates {
        let test = "import sys; print('%d.%d' % sys.version_info[:2]); sys.exit(sys.version_info < (3, 10))";
        let mut asked = isolated_python(&candidate, folder, ProgramVariables::User).map_err(at(folder))?;
        match asked.args(["-c", test]).output() {
            Ok(output) if output.status.success() => return Ok(candidate),
            Ok(output) => {
                seen.push(format!(
                    "{} is {}",
                    candidate.display(),
                    String::from_utf8_lossy(&output.stdout).trim()
                ));
            }
            Err(_) => {}
        }
    }
    Err(SandboxError::NoPython(if seen.is_empty() { "not found".to_owned() } else { seen.join(", ") }))
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.iter().rev().take(4).rev().copied().collect::<Vec<_>>();
    Err(last.join("; "))
}
