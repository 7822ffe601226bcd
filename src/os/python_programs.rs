//! Starts Python so that it imports what is installed, and nothing of the caller's folder or environment: a `types.py`
//! beside the stack file would run as the caller.

use super::{ProgramVariables, absolute_program, program};
use std::{
    io,
    path::{Path, PathBuf},
    process::Command,
};

/// The names under which a Python is looked for, in this order.
pub const PYTHON_NAMES: [&str; 7] =
    ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10", "python"];

/// Returns the Python that the operator named in `PROVISIONER_PYTHON`, if any.
pub fn named_python() -> Option<PathBuf> {
    std::env::var_os("PROVISIONER_PYTHON").map(|named| absolute_program(Path::new(&named)))
}

/// Returns a command that runs Python in isolated mode: `PYTHON*` variables are ignored, and neither the folder that it
/// runs in nor the user's own packages are searched for modules.
/// Source: <https://docs.python.org/3/using/cmdline.html#cmdoption-I>
///
/// # Errors
/// Fails if the folder cannot be created.
pub fn isolated_python(python: &Path, folder: &Path, variables: ProgramVariables) -> io::Result<Command> {
    let mut command = program(python, folder, variables)?;
    command.arg("-I");
    Ok(command)
}
