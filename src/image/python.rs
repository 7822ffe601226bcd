//! A pip on this machine, and what it fetches.

use super::{Temp, blob::at};
use crate::model::{Class, Fault};
use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::process::Command;

/// The last lines of a program that failed.
const LINES: usize = 4;

/// A Python with pip: one of this machine, or a virtual environment in `folder`.
pub async fn with_pip(folder: &Path) -> Result<PathBuf, Fault> {
    let named = std::env::var_os("PROVISIONER_PYTHON").map(PathBuf::from);
    let usual = ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10", "python"];
    let candidates = named.map_or_else(|| usual.iter().map(PathBuf::from).collect(), |named| vec![named]);
    let own = folder.join("pip").join("bin").join("python");
    for python in std::iter::once(&own).chain(&candidates) {
        if run(python, ["-m", "pip", "--version"]).await.is_ok() {
            return Ok(python.clone());
        }
    }
    let mut said = String::from("none was found");
    for python in candidates {
        let made = Temp::new(&folder.join("work"), "pip")?;
        match run(&python, [OsStr::new("-m"), OsStr::new("venv"), made.path().as_os_str()]).await {
            Ok(()) => {
                let home = folder.join("pip");
                let _ = fs::remove_dir_all(&home);
                fs::rename(made.path(), &home).map_err(|error| at(&home, &error))?;
                return Ok(own);
            }
            Err(Said::Words(words)) => said = format!("{}: {words}", python.display()),
            Err(Said::Nothing) => {}
        }
    }
    Err(Fault::new(Class::Other, format!("wheels are fetched with pip, and there is no Python with it: {said}")).hint(
        "install Python 3 with pip (Debian, Ubuntu: `apt install python3-pip`), or name one in PROVISIONER_PYTHON",
    ))
}

/// The minor version of this machine's Python, such as `3.12`; the one that [`with_pip`] finds.
pub async fn version(cache: &Path) -> Option<String> {
    let python = with_pip(&cache.join("image")).await.ok()?;
    let asked = ["-c", "import sys; print('%d.%d' % sys.version_info[:2])"];
    let output = Command::new(python).args(asked).stdin(Stdio::null()).output().await.ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|version| version.starts_with("3."))
}

/// Why a program did not do it.
pub enum Said {
    /// It is not there.
    Nothing,
    /// Its last words.
    Words(String),
}

/// Runs a program to its end; it ends with us.
pub async fn run<S: AsRef<OsStr>>(
    program: &Path,
    arguments: impl IntoIterator<Item = S>,
) -> Result<(), Said> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    finished(command).await
}

/// The same for a command that says more.
pub async fn finished(mut command: Command) -> Result<(), Said> {
    let output = match command.output().await {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(Said::Nothing),
        Err(error) => return Err(Said::Words(error.to_string())),
    };
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default().join("; ");
    let clean: String = last.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
    Err(Said::Words(if clean.is_empty() { output.status.to_string() } else { clean }))
}
