//! A stage of a Dockerfile while its instructions are followed: its settings, files and packages.

use super::{
    Refusal,
    accounts::Accounts,
    base_reference::BaseFacts,
    build_context::BuildContext,
    build_stage::BuildStage,
    file_tree::{FileOwner, FileTree, TreeNode, resolved},
    packages::{Install, Packages},
};
use std::collections::{BTreeMap, BTreeSet};

/// What an application's folder may be asked for.
#[derive(Clone, Copy)]
pub struct StageInputs<'a> {
    /// Files of the build context.
    pub context: &'a BuildContext,
    /// Returns the Python version of a base image, if it is pinned.
    pub python_of: &'a dyn Fn(&str) -> Option<String>,
}

/// A stage, as far as its instructions were followed.
#[derive(Clone)]
pub struct StageState<'a> {
    /// The application's folder.
    pub inputs: StageInputs<'a>,
    /// Settings of the image.
    pub settings: BuildStage,
    /// What the base's reference tells.
    pub facts: BaseFacts,
    /// Files that the stage adds.
    pub tree: FileTree,
    /// Python packages that the stage installs or copies.
    pub packages: Vec<Packages>,
    /// Virtual environments: their paths, without a `/` at the beginning.
    pub venvs: BTreeSet<String>,
    /// Users and groups.
    pub accounts: Accounts,
    /// Values of ARG.
    pub args: BTreeMap<String, String>,
    /// Working directory, without a `/` at the beginning.
    pub workdir: String,
    /// The shell of shell-form instructions.
    pub shell: Vec<String>,
    /// The user that RUN instructions run as.
    pub user: FileOwner,
    /// Whether the stage, or one that continues it, is the image. Otherwise only files are copied from it.
    pub is_final: bool,
    /// Whether Poetry creates virtual environments.
    pub poetry_creates: bool,
}

impl<'a> StageState<'a> {
    /// Returns the stage of a base image.
    pub fn new(inputs: StageInputs<'a>, base: &str) -> Self {
        StageState {
            inputs,
            settings: BuildStage { base: base.to_owned(), ..BuildStage::default() },
            facts: BaseFacts::of(base),
            tree: FileTree::default(),
            packages: Vec::new(),
            venvs: BTreeSet::new(),
            accounts: Accounts::default(),
            args: BTreeMap::new(),
            workdir: String::new(),
            shell: ["/bin/sh", "-c"].map(str::to_owned).into(),
            user: FileOwner::default(),
            is_final: false,
            poetry_creates: true,
        }
    }

    /// Returns the value of a variable. That of `PATH` in the base is not known yet, so it stands for itself.
    pub fn variable(&self, name: &str) -> Option<String> {
        let own = self.settings.variable(name).map(str::to_owned).or_else(|| self.args.get(name).cloned());
        own.or_else(|| (name == "PATH").then(|| "${PATH}".to_owned()))
    }

    /// Returns the Python version of the base, if its reference or its pin tells it.
    pub fn python(&self) -> Option<String> {
        // In the sandbox without a network, the pin is the Python that stands for that of the base.
        (self.inputs.python_of)(&self.settings.base).or_else(|| self.facts.python.clone())
    }

    /// Returns a path of the image, without a `/` at the beginning.
    pub fn path(&self, path: &str) -> String {
        resolved(&self.workdir, path)
    }

    /// Returns the content of a file of the stage and its path in the context, or `None` if the stage has no such file.
    ///
    /// # Errors
    /// Fails if the file cannot be read.
    pub fn read(&self, line: usize, path: &str) -> Result<Option<(Vec<u8>, String)>, Refusal> {
        match self.tree.nodes.get(path) {
            Some(TreeNode::File { from, .. }) => Ok(Some((self.read_context(line, from)?, from.clone()))),
            Some(TreeNode::Text { text, .. }) => Ok(Some((text.clone().into_bytes(), path.to_owned()))),
            _ => Ok(None),
        }
    }

    /// Returns the content of a file of the build context.
    ///
    /// # Errors
    /// Fails if the file cannot be read.
    pub fn read_context(&self, line: usize, path: &str) -> Result<Vec<u8>, Refusal> {
        let file = self.inputs.context.folder.join(path);
        std::fs::read(&file).map_err(|error| Refusal::new(line, format!("{}: {error}", file.display())))
    }

    /// Records what a command installs into a folder of packages and a folder of scripts.
    pub fn install(&mut self, place: &PackagePlace, install: Install) {
        let same =
            |packages: &&mut Packages| packages.site == place.site && packages.scripts == place.scripts;
        if let Some(packages) = self.packages.iter_mut().find(same) {
            if let Install::Lock(lock) = &install {
                // The second `uv sync` of a stage installs what the first left out.
                packages.installs.retain(|old| !matches!(old, Install::Lock(old) if old.file == lock.file));
            }
            packages.installs.push(install);
            return;
        }
        self.packages.push(Packages {
            base: self.settings.base.clone(),
            python: self.python(),
            musl: self.facts.musl,
            site: place.site.clone(),
            scripts: place.scripts.clone(),
            interpreter: place.interpreter.clone(),
            installs: vec![install],
        });
    }

    /// Returns the place of packages in an environment at `prefix`.
    pub fn place(&self, prefix: &str, interpreter: String) -> PackagePlace {
        // The first reading of a base whose Python is not known yet is repeated when it is.
        let python = self.python().unwrap_or_else(|| "3".to_owned());
        PackagePlace {
            site: Some(format!("{prefix}/lib/python{python}/site-packages")),
            scripts: Some(format!("{prefix}/bin")),
            interpreter,
        }
    }

    /// Returns the place of packages in the base's Python, or `None` if it is not known where that is.
    pub fn base_place(&self) -> Option<PackagePlace> {
        let python = self.python().unwrap_or_else(|| "3".to_owned());
        self.facts.official.then(|| self.place("usr/local", format!("/usr/local/bin/python{python}")))
    }

    /// Returns the place of packages in a virtual environment.
    pub fn venv_place(&self, venv: &str) -> PackagePlace {
        self.place(venv, format!("/{venv}/bin/python"))
    }
}

/// Where packages lie.
#[derive(Clone, Debug, PartialEq)]
pub struct PackagePlace {
    /// Folder that Python imports from.
    pub site: Option<String>,
    /// Folder of console scripts.
    pub scripts: Option<String>,
    /// Interpreter that runs the scripts.
    pub interpreter: String,
}
