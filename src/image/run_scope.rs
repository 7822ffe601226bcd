//! What holds for one RUN instruction alone: its working directory, its mounts, and the environment that it activates.

use super::{
    Refusal,
    file_tree::joined,
    file_tree::resolved,
    stage_state::{PackagePlace, StageState},
};
use std::collections::BTreeMap;

/// The scope of a RUN instruction.
#[derive(Debug, Default)]
pub struct RunScope {
    /// Line of the instruction.
    pub line: usize,
    /// Working directory, without a `/` at the beginning.
    pub folder: String,
    /// Files and folders of the build context by the paths at which they are mounted.
    pub mounts: BTreeMap<String, String>,
    /// The virtual environment that a command of the instruction activates.
    pub active: Option<String>,
    /// Variables that a command of the instruction exports.
    pub variables: BTreeMap<String, String>,
}

impl RunScope {
    /// Returns a path of the image, without a `/` at the beginning.
    pub fn path(&self, path: &str) -> String {
        resolved(&self.folder, path)
    }

    /// Returns the value of a variable, as a command of the instruction sees it.
    pub fn variable(&self, state: &StageState<'_>, name: &str) -> Option<String> {
        let own = self.variables.get(name).cloned().or_else(|| state.variable(name));
        own.or_else(|| (name == "HOME").then(|| "/root".to_owned()))
    }

    /// Returns whether a switch such as `UV_NO_DEV` is set.
    pub fn is_set(&self, state: &StageState<'_>, name: &str) -> Option<bool> {
        let value = self.variable(state, name)?.to_ascii_lowercase();
        Some(["1", "true", "yes", "on", "t", "y"].contains(&value.as_str()))
    }

    /// Returns the content of a file and its path in the context.
    ///
    /// # Errors
    /// Fails if neither the stage nor a mount has the file.
    pub fn read(&self, state: &StageState<'_>, path: &str) -> Result<(Vec<u8>, String), Refusal> {
        let whole = self.path(path);
        for (at, from) in &self.mounts {
            if let Some(rest) = super::file_tree::below(at, &whole) {
                let from = joined(from, rest);
                return Ok((state.read_context(self.line, &from)?, from));
            }
        }
        state.read(self.line, &whole)?.ok_or_else(|| {
            Refusal::new(self.line, format!("`/{whole}` is not among the files that this stage copies"))
                .hint("copy it in an earlier line, and check that .dockerignore does not exclude it")
        })
    }

    /// Returns where the Python that `program` names, or the active one, has its packages.
    ///
    /// # Errors
    /// Fails if that is not known: another base than an image of Python. The error is what is wrong.
    pub fn place(&self, state: &StageState<'_>, program: &str) -> Result<PackagePlace, String> {
        if let Some(folder) = program.rsplit_once("/bin/").map(|(folder, _)| self.path(folder)) {
            if state.venvs.contains(&folder) {
                return Ok(state.venv_place(&folder));
            }
            if !["usr/local", "usr"].contains(&folder.as_str()) {
                return Err(format!("`{program}` is in no environment that the stage creates"));
            }
        } else if let Some(venv) = self.active_venv(state) {
            return Ok(state.venv_place(&venv));
        }
        state.base_place().ok_or_else(|| {
            format!("`{}` is not an image of Python, whose packages lie in /usr/local", state.settings.base)
        })
    }

    /// Returns the active virtual environment.
    pub fn active_venv(&self, state: &StageState<'_>) -> Option<String> {
        if let Some(active) = &self.active {
            return Some(active.clone());
        }
        let path = self.variable(state, "PATH")?;
        let before = path.split("${PATH}").next().unwrap_or_default();
        let mut folders =
            before.split(':').filter_map(|folder| folder.trim_end_matches('/').strip_suffix("/bin"));
        folders.find_map(|folder| Some(self.path(folder)).filter(|folder| state.venvs.contains(folder)))
    }
}
