//! Finds a Python with pip on this machine, and runs other programs.

use super::{Temp, blob::at};
use crate::model::{CallError, ErrorKind};
use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::process::Command;

/// How many lines of a failed program's output are shown.
const SHOWN_LINES: usize = 4;

/// Returns a Python with pip: one of this machine, or a virtual environment that is created in `folder`.
///
/// # Errors
/// Fails if no Python on this machine has pip or can create a virtual environment.
pub async fn python_with_pip(folder: &Path) -> Result<PathBuf, CallError> {
    let named = std::env::var_os("PROVISIONER_PYTHON").map(PathBuf::from);
    let usual = ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10", "python"];
    let candidates = named.map_or_else(|| usual.iter().map(PathBuf::from).collect(), |named| vec![named]);
    let own = folder.join("pip").join("bin").join("python");
    for python in std::iter::once(&own).chain(&candidates) {
        if run(python, ["-m", "pip", "--version"]).await.is_ok() {
            return Ok(python.clone());
        }
    }
    let mut said = String::from("no Python is installed");
    for python in candidates {
        let made = Temp::new(&folder.join("work"), "pip")?;
        match run(&python, [OsStr::new("-m"), OsStr::new("venv"), made.path().as_os_str()]).await {
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
    let python = python_with_pip(&cache.join("image")).await.ok()?;
    let asked = ["-c", "import sys; print('%d.%d' % sys.version_info[:2])"];
    let output = Command::new(python).args(asked).stdin(Stdio::null()).output().await.ok()?;
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

/// Runs a program to its end. Dropping the future ends the program.
pub async fn run<S: AsRef<OsStr>>(
    program: &Path,
    arguments: impl IntoIterator<Item = S>,
) -> Result<(), ProgramError> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    run_command(command).await
}

/// Runs a prepared command to its end.
pub async fn run_command(mut command: Command) -> Result<(), ProgramError> {
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
    let last = lines.get(lines.len().saturating_sub(SHOWN_LINES)..).unwrap_or_default().join("; ");
    let clean: String = last.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
    Err(ProgramError::Words(if clean.is_empty() { output.status.to_string() } else { clean }))
}
