//! Installs the application's own project, if it is pure Python: what `pyproject.toml` says of it, without running a build.
//! Source: <https://packaging.python.org/en/latest/specifications/pyproject-toml/>

use super::{
    Refusal,
    console_scripts::script,
    file_tree::{FileOwner, TreeNode, joined},
    lock_files::normalized,
    run_scope::RunScope,
    stage_state::{PackagePlace, StageState},
};
use std::collections::BTreeSet;
use toml::{Table, Value};

/// A project with its `pyproject.toml`.
pub struct Project {
    /// Folder of the project in the image, without a `/` at the beginning.
    folder: String,
    /// Text of `pyproject.toml`.
    pub text: String,
    table: Table,
}

impl Project {
    /// Reads `pyproject.toml` of the project in a folder of the stage.
    ///
    /// # Errors
    /// Fails if the file is missing or invalid.
    pub fn read(state: &StageState<'_>, scope: &RunScope, path: &str) -> Result<Self, Refusal> {
        let folder = scope.path(path);
        let (bytes, from) = scope.read(state, &format!("/{}", joined(&folder, "pyproject.toml")))?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let table = text.parse::<Table>().map_err(|error| {
            Refusal::new(scope.line, format!("{from}: {}", error.message())).hint("correct the file")
        })?;
        Ok(Project { folder, text, table })
    }

    fn at(&self, path: &[&str]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.table.get(*first)?, |value, key| value.get(*key))
    }

    fn words(&self, path: &[&str]) -> Vec<String> {
        let list = self.at(path).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    fn word(&self, path: &[&str]) -> Option<&str> {
        self.at(path).and_then(Value::as_str)
    }

    /// Returns whether the project is installed itself, and not only its dependencies.
    pub fn is_package(&self) -> bool {
        let of_uv = self.at(&["tool", "uv", "package"]).and_then(Value::as_bool);
        let of_poetry = self.at(&["tool", "poetry", "package-mode"]).and_then(Value::as_bool);
        of_uv.or(of_poetry).unwrap_or_else(|| self.table.contains_key("build-system"))
    }

    /// Returns the groups that uv installs by default.
    pub fn default_groups(&self) -> Vec<String> {
        match self.at(&["tool", "uv", "default-groups"]) {
            Some(Value::String(all)) if all == "all" => vec!["*".to_owned()],
            Some(_) => self.words(&["tool", "uv", "default-groups"]),
            None => vec!["dev".to_owned()],
        }
    }

    /// Returns the groups that Poetry installs by default: those that are not optional.
    pub fn poetry_groups(&self) -> BTreeSet<String> {
        let groups = self.at(&["tool", "poetry", "group"]).and_then(Value::as_table).into_iter().flatten();
        let wanted = groups.filter(|(_, group)| group.get("optional").and_then(Value::as_bool) != Some(true));
        let standard = self.at(&["dependency-groups"]).and_then(Value::as_table).into_iter().flatten();
        wanted.map(|(name, _)| name.clone()).chain(standard.map(|(name, _)| name.clone())).collect()
    }

    /// Returns the dependencies of the project with these extras, one a line.
    pub fn requirements(&self, extras: &[String]) -> String {
        let mut all = self.words(&["project", "dependencies"]);
        for extra in extras {
            all.extend(self.words(&["project", "optional-dependencies", extra]));
        }
        all.into_iter().map(|line| format!("{line}\n")).collect()
    }

    /// Returns whether the dependencies are given in a form that only the project's build understands.
    pub fn has_hidden_dependencies(&self) -> bool {
        let dynamic = self.words(&["project", "dynamic"]).iter().any(|field| field == "dependencies");
        let poetry = self.at(&["tool", "poetry", "dependencies"]).and_then(Value::as_table);
        dynamic || self.at(&["project", "dependencies"]).is_none() && poetry.is_some_and(|all| all.len() > 1)
    }

    fn name(&self) -> Option<&str> {
        self.word(&["project", "name"]).or_else(|| self.word(&["tool", "poetry", "name"]))
    }

    /// Returns the names that can be imported, with their folders or files in the stage.
    fn modules(&self, state: &StageState<'_>) -> Vec<(String, String)> {
        let name = normalized(self.name().unwrap_or_default()).replace('-', "_");
        let named = [
            self.words(&["tool", "setuptools", "packages"]),
            self.words(&["tool", "hatch", "build", "targets", "wheel", "packages"]),
            self.words(&["tool", "setuptools", "py-modules"])
                .into_iter()
                .map(|name| format!("{name}.py"))
                .collect(),
        ]
        .concat();
        let roots = [joined(&self.folder, "src"), self.folder.clone()];
        let is_there = |path: &str| state.tree.at(path).next().is_some();
        if !named.is_empty() {
            let place = |name: &String| {
                let found = roots.iter().map(|root| joined(root, name)).find(|path| is_there(path))?;
                Some((name.rsplit('/').next()?.to_owned(), found))
            };
            return named.iter().filter_map(place).collect();
        }
        for root in &roots {
            for module in [name.clone(), format!("{name}.py")] {
                let path = joined(root, &module);
                if is_there(&path) {
                    return vec![(module, path)];
                }
            }
        }
        // A folder `src` holds nothing but what is imported.
        let Some(source) = roots.first() else { return Vec::new() };
        let names: BTreeSet<&str> =
            state.tree.at(source).filter_map(|(rest, _)| rest.split('/').next()).collect();
        let names = names.into_iter().filter(|name| !name.is_empty() && !name.ends_with(".egg-info"));
        names.map(|name| (name.to_owned(), joined(source, name))).collect()
    }

    /// Returns the console scripts: name, and entry point.
    fn scripts(&self) -> Vec<(String, String)> {
        let tables = [self.at(&["project", "scripts"]), self.at(&["tool", "poetry", "scripts"])];
        let all = tables.into_iter().flatten().filter_map(Value::as_table).flatten();
        all.filter_map(|(name, target)| Some((name.clone(), target.as_str()?.to_owned()))).collect()
    }
}

/// Installs a project: its modules, or a link to them if it is editable, and its scripts.
///
/// # Errors
/// Fails if the project has no name, or no module that can be told without a build.
pub fn install(
    state: &mut StageState<'_>,
    scope: &RunScope,
    project: &Project,
    place: &PackagePlace,
    editable: bool,
) -> Result<(), Refusal> {
    let refused = |what: &str| {
        Refusal::new(scope.line, format!("{}/pyproject.toml: {what}", project.folder)).hint(super::TWO_WAYS)
    };
    let name = project.name().ok_or_else(|| refused("the project has no name"))?;
    let modules = project.modules(state);
    if modules.is_empty() {
        return Err(refused("what the project installs is not known without running its build"));
    }
    let Some(site) = &place.site else { return Err(refused("the project has no folder to go to")) };
    let (owner, name) = (FileOwner::default(), normalized(name).replace('-', "_"));
    let version =
        project.word(&["project", "version"]).or_else(|| project.word(&["tool", "poetry", "version"]));
    let version = version.unwrap_or("0.0.0");
    let mut texts = vec![(
        format!("{site}/{name}-{version}.dist-info/METADATA"),
        format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"),
        0o644,
    )];
    if editable {
        let folders: BTreeSet<&str> =
            modules.iter().filter_map(|(_, path)| Some(path.rsplit_once('/')?.0)).collect();
        let lines = folders.into_iter().map(|folder| format!("/{folder}\n")).collect();
        texts.push((format!("{site}/_{name}.pth"), lines, 0o644));
    } else {
        for (module, path) in &modules {
            let nodes: Vec<(String, TreeNode)> =
                state.tree.at(path).map(|(rest, node)| (joined(module, rest), node.clone())).collect();
            for (path, node) in nodes {
                state.tree.put_in_place(&joined(site, &path), node);
            }
        }
    }
    if let Some(folder) = &place.scripts {
        for (name, target) in project.scripts() {
            let text = script(&target, &place.interpreter)
                .ok_or_else(|| refused(&format!("invalid entry point `{target}`")))?;
            texts.push((format!("{folder}/{name}"), text, 0o755));
        }
    }
    for (path, text, mode) in texts {
        state.tree.put_in_place(&path, TreeNode::Text { text, mode, owner });
    }
    Ok(())
}
