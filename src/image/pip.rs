//! Finds a Python with pip on this machine, and runs other programs.

use super::{Temp, blob::at};
use crate::{
    model::{CallError, ErrorKind},
    os::{PYTHON_NAMES, ProgramVariables, isolated_python, named_python},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// How many lines of a failed program's output are shown.
const SHOWN_LINES: usize = 4;
/// How many lines of a failed build's log are shown.
const SHOWN_LOG_LINES: usize = 20;

/// Returns a Python with pip: one of this machine, or a virtual environment that is created in `folder`.
///
/// # Errors
/// Fails if no Python on this machine has pip or can create a virtual environment.
pub async fn python_with_pip(folder: &Path) -> Result<PathBuf, CallError> {
    let usual = PYTHON_NAMES.map(PathBuf::from);
    let candidates = named_python().map_or_else(|| usual.to_vec(), |named| vec![named]);
    let own = folder.join("pip").join("bin").join("python");
    for python in std::iter::once(&own).chain(&candidates) {
        let mut asked = isolated(python, folder, ProgramVariables::User)?;
        asked.args(["-m", "pip", "--version"]);
        if run(asked).await.is_ok() {
            return Ok(python.clone());
        }
    }
    let mut said = String::from("no Python is installed");
    for python in candidates {
        let made = Temp::new(&folder.join("work"), "pip")?;
        let mut venv = isolated(&python, folder, ProgramVariables::User)?;
        venv.args(["-m", "venv"]).arg(made.path());
        match run(venv).await {
            Ok(()) => {
                let home = folder.join("pip");
                let _ = fs::remove_dir_all(&home);
                fs::rename(made.path(), &home).map_err(|error| at(&home, &error))?;
                return Ok(own);
            }
            Err(ProgramError::Words(words)) => said = format!("{}: {words}", python.display()),
            Err(ProgramError::Nothing) => {}
        }
    }
    Err(CallError::new(ErrorKind::Other, format!("Python with pip not found ({said})")).hint(
        "install Python 3 with pip (Debian, Ubuntu: `apt install python3-pip`), or set `PROVISIONER_PYTHON`",
    ))
}

/// Returns the version of the Python that [`python_with_pip`] finds, such as `3.12`, or `None` if it finds
/// none.
pub async fn python_version(cache: &Path) -> Option<String> {
    let folder = cache.join("image");
    let python = python_with_pip(&folder).await.ok()?;
    let mut asked = isolated(&python, &folder, ProgramVariables::User).ok()?;
    asked.args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]);
    let output = tokio::process::Command::from(asked).output().await.ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|version| version.starts_with("3."))
}

/// Why a program failed.
pub enum ProgramError {
    /// The program is not installed.
    Nothing,
    /// The last lines of its output, or the error that kept it from running.
    Words(String),
}

/// Returns a command that runs Python in `folder` and imports only what is installed.
///
/// # Errors
/// Fails if the folder cannot be created.
pub fn isolated(python: &Path, folder: &Path, variables: ProgramVariables) -> Result<Command, CallError> {
    isolated_python(python, folder, variables).map_err(|error| at(folder, &error))
}

/// Runs a program to its end. Dropping the future ends the program.
pub async fn run(command: Command) -> Result<(), ProgramError> {
    run_showing(command, SHOWN_LINES).await
}

/// Runs a build, of whose log more is shown if it fails.
pub async fn run_long(command: Command) -> Result<(), ProgramError> {
    run_showing(command, SHOWN_LOG_LINES).await
}

async fn run_showing(command: Command, shown: usize) -> Result<(), ProgramError> {
    let mut command = tokio::process::Command::from(command);
    command.kill_on_drop(true);
    let output = match command.output().await {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(ProgramError::Nothing),
        Err(error) => return Err(ProgramError::Words(error.to_string())),
    };
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(shown)..).unwrap_or_default();
    let last = last.join(if shown > SHOWN_LINES { "\n  " } else { "; " });
    Err(ProgramError::Words(if last.is_empty() { output.status.to_string() } else { last }))
}
