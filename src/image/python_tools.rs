//! Follows the commands that install Python packages: pip, uv, Poetry, venv.
//! Sources: <https://docs.astral.sh/uv/reference/cli/>, <https://python-poetry.org/docs/cli/#install>

use super::{
    Refusal,
    file_tree::{FileOwner, TreeNode, resolved},
    lock_files::{LockFile, LockForm},
    packages::{Install, Requirements},
    pip_command::{self, PipArguments},
    project_install::{self, Project},
    requirement_text::decoded,
    requirements::lines,
    run_scope::RunScope,
    stage_state::{PackagePlace, StageState},
};
use std::{collections::BTreeSet, path::Path};

/// Maximum depth of requirements files that include each other.
const MAX_DEPTH: usize = 16;

/// Installs what `pip install` or, with `uv`, `uv pip install` and `uv pip sync` says.
///
/// # Errors
/// Fails on arguments that cannot be followed, and if a file is missing.
pub fn pip_install(
    state: &mut StageState<'_>,
    scope: &RunScope,
    program: &str,
    arguments: &[String],
) -> Result<(), Refusal> {
    let refused = |what: String| {
        Refusal::new(scope.line, format!("unsupported {what} of `pip install`")).hint(super::TWO_WAYS)
    };
    let uv = program == "uv";
    let mut given = pip_command::parse(arguments).map_err(refused)?;
    let place = target(state, scope, program, &given)
        .map_err(|what| Refusal::new(scope.line, what).hint(super::TWO_WAYS))?;
    let mut found =
        Requirements { no_deps: given.no_deps, options: given.options.clone(), ..Requirements::default() };
    for variable in ["PIP_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX"] {
        if let Some(url) = scope.variable(state, variable).filter(|_| variable.starts_with("UV") == uv) {
            found.options.push(format!("--index-url={url}"));
        }
    }
    for file in std::mem::take(&mut given.files) {
        let name = file.rsplit('/').next().unwrap_or_default();
        let is_toml = Path::new(name).extension().is_some_and(|it| it.eq_ignore_ascii_case("toml"));
        if name.starts_with("pylock") && is_toml {
            let (bytes, from) = scope.read(state, &file)?;
            state.install(&place, Install::Lock(lock(LockForm::Pylock, from, &bytes, String::new())));
            continue;
        }
        let mut included = Included {
            found: Requirements { no_deps: given.no_deps, ..Requirements::default() },
            given: &mut given,
        };
        included.file(state, scope, &file, false, 0)?;
        let mut one = included.found;
        one.options.extend(found.options.iter().cloned());
        state.install(&place, Install::Requirements(one));
    }
    let mut constraints = Included { found: Requirements::default(), given: &mut given };
    for file in std::mem::take(&mut constraints.given.constraints) {
        constraints.file(state, scope, &file, true, 0)?;
    }
    found.constraints = constraints.found.constraints;
    found.text = given.specs.iter().map(|spec| format!("{spec}\n")).collect();
    for (path, extras, editable) in &given.projects {
        let project = Project::read(state, scope, path)?;
        if !given.no_deps && project.has_hidden_dependencies() {
            let what =
                format!("the dependencies of the project `{path}` are not known without running its build");
            return Err(Refusal::new(scope.line, what).hint(super::TWO_WAYS));
        }
        if !given.no_deps {
            found.text.push_str(&project.requirements(extras));
        }
        project_install::install(state, scope, &project, &place, *editable)?;
    }
    if !found.text.is_empty() || !found.constraints.is_empty() {
        state.install(&place, Install::Requirements(found));
    }
    Ok(())
}

fn lock(form: LockForm, file: String, bytes: &[u8], project: String) -> LockFile {
    LockFile {
        form,
        file,
        text: String::from_utf8_lossy(bytes).into_owned(),
        project,
        extras: BTreeSet::new(),
        groups: BTreeSet::new(),
        only_groups: false,
    }
}

/// Returns where the packages go.
fn target(
    state: &StageState<'_>,
    scope: &RunScope,
    program: &str,
    given: &PipArguments,
) -> Result<PackagePlace, String> {
    let uv = program == "uv";
    let in_base =
        || state.base_place().ok_or_else(|| format!("`{}` is not an image of Python", state.settings.base));
    let place = if uv && (given.system || scope.is_set(state, "UV_SYSTEM_PYTHON") == Some(true)) {
        in_base()?
    } else if uv {
        let named = scope.variable(state, "VIRTUAL_ENV").map(|path| scope.path(&path));
        let own = scope.path(".venv");
        let found =
            named.or_else(|| scope.active_venv(state)).or_else(|| state.venvs.contains(&own).then_some(own));
        match found.filter(|venv| state.venvs.contains(venv)) {
            Some(venv) => state.venv_place(&venv),
            None if given.target.is_some() || given.prefix.is_some() => in_base()?,
            None => return Err("`uv pip` without a virtual environment and without `--system`".to_owned()),
        }
    } else {
        scope.place(state, program)?
    };
    if let Some(folder) = &given.target {
        return Ok(PackagePlace { site: Some(scope.path(folder)), scripts: None, ..place });
    }
    if let Some(prefix) = &given.prefix {
        return Ok(state.place(&scope.path(prefix), place.interpreter));
    }
    if given.user {
        let home = scope.variable(state, "HOME").unwrap_or_default();
        return Ok(state.place(&scope.path(&format!("{home}/.local")), place.interpreter));
    }
    Ok(place)
}

/// Requirements files with those that they include.
struct Included<'a> {
    found: Requirements,
    given: &'a mut PipArguments,
}

impl Included<'_> {
    fn file(
        &mut self,
        state: &StageState<'_>,
        scope: &RunScope,
        path: &str,
        constraints: bool,
        depth: usize,
    ) -> Result<(), Refusal> {
        let (bytes, from) = scope.read(state, path)?;
        let refused = |line: usize, what: String| {
            Refusal::new(scope.line, format!("{from}:{line}: {what}")).hint(super::TWO_WAYS)
        };
        let text = decoded(&bytes).ok_or_else(|| refused(1, "not text in UTF-8 or UTF-16".to_owned()))?;
        if depth > MAX_DEPTH {
            return Err(refused(1, "files include each other".to_owned()));
        }
        if self.found.file.is_empty() {
            self.found.file.clone_from(&from);
        }
        let all = lines(&text);
        if !constraints
            && depth == 0
            && all.iter().all(|(_, line)| !line.starts_with('-') && !line.starts_with('.'))
        {
            self.found.text = text;
            return Ok(());
        }
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let beside = |name: &str| match (name.starts_with('/'), folder) {
            (true, _) | (_, "") => name.to_owned(),
            _ => format!("{folder}/{name}"),
        };
        for (number, line) in all {
            let mut words = line.splitn(2, |char: char| char.is_whitespace() || char == '=');
            let (option, value) = (words.next().unwrap_or_default(), words.next().unwrap_or_default().trim());
            match option {
                "-r" | "--requirement" => {
                    self.file(state, scope, &beside(value), constraints, depth.saturating_add(1))?;
                }
                "-c" | "--constraint" => {
                    self.file(state, scope, &beside(value), true, depth.saturating_add(1))?;
                }
                "-i" | "--index-url" => self.found.options.push(format!("--index-url={value}")),
                "--extra-index-url" | "--trusted-host" => {
                    self.found.options.push(format!("{option}={value}"));
                }
                "--pre" => self.found.options.push(line.clone()),
                "-e" | "--editable" if value.starts_with('.') => {
                    let path = resolved(&scope.path(folder), value);
                    self.given.projects.push((format!("/{path}"), Vec::new(), true));
                }
                "--require-hashes" | "--only-binary" | "--prefer-binary" | "--no-cache-dir" => {}
                option if option.starts_with('-') => {
                    return Err(refused(number, format!("unsupported option `{option}`")));
                }
                _ if line.starts_with('.') || line.contains("://") || line.starts_with("git+") => {
                    return Err(refused(
                        number,
                        format!("requirement `{line}`, which is not in a package index"),
                    ));
                }
                _ if constraints => self.found.constraints.push_str(&format!("{line}\n")),
                _ => self.found.text.push_str(&format!("{line}\n")),
            }
        }
        Ok(())
    }
}

/// Creates a virtual environment, as `python -m venv` does.
pub fn create_venv(state: &mut StageState<'_>, scope: &RunScope, folder: &str, system_site: bool) {
    let (venv, python) = (scope.path(folder), state.python().unwrap_or_else(|| "3".to_owned()));
    let owner = FileOwner::default();
    let home = if state.facts.official { "/usr/local/bin" } else { "/usr/bin" };
    let settings =
        format!("home = {home}\ninclude-system-site-packages = {system_site}\nversion = {python}\n");
    let activate = format!("VIRTUAL_ENV=/{venv}\nPATH=\"$VIRTUAL_ENV/bin:$PATH\"\nexport VIRTUAL_ENV PATH\n");
    for (path, text) in [("pyvenv.cfg", settings), ("bin/activate", activate)] {
        state.tree.put_in_place(&format!("{venv}/{path}"), TreeNode::Text { text, mode: 0o644, owner });
    }
    let links = [
        ("python".to_owned(), format!("{home}/python3")),
        ("python3".to_owned(), "python".to_owned()),
        (format!("python{python}"), "python".to_owned()),
    ];
    for (name, target) in links {
        state.tree.put_in_place(&format!("{venv}/bin/{name}"), TreeNode::Link { target });
    }
    state.venvs.insert(venv);
}

/// Installs what `uv sync` says.
///
/// # Errors
/// Fails on options that cannot be followed, and if `uv.lock` or `pyproject.toml` is missing.
pub fn uv_sync(state: &mut StageState<'_>, scope: &RunScope, arguments: &[String]) -> Result<(), Refusal> {
    let mut choice = Choice::default();
    let mut no_dev = scope.is_set(state, "UV_NO_DEV") == Some(true);
    let mut rest = arguments.iter();
    let mut editable = scope.is_set(state, "UV_NO_EDITABLE") != Some(true);
    let mut project = scope.is_set(state, "UV_NO_INSTALL_PROJECT") != Some(true);
    while let Some(word) = rest.next() {
        let (name, given) =
            word.split_once('=').map_or((word.as_str(), None), |(name, value)| (name, Some(value)));
        let mut value = || given.map(str::to_owned).or_else(|| rest.next().cloned()).unwrap_or_default();
        match name {
            "--no-dev" => no_dev = true,
            "--no-default-groups" => no_dev = true,
            "--no-install-project" | "--no-install-workspace" | "--no-install-local" => project = false,
            "--no-editable" => editable = false,
            "--extra" => _ = choice.extras.insert(value()),
            "--all-extras" => _ = choice.extras.insert("*".to_owned()),
            "--group" => _ = choice.groups.insert(value()),
            "--all-groups" => _ = choice.groups.insert("*".to_owned()),
            "--only-group" => {
                choice.groups.insert(value());
                choice.only_groups = true;
            }
            "--link-mode" | "--python" | "-p" | "--cache-dir" | "--no-group" => drop(value()),
            "--frozen"
            | "--locked"
            | "--no-cache"
            | "-n"
            | "--compile-bytecode"
            | "--quiet"
            | "-q"
            | "--no-progress"
            | "--dev"
            | "--inexact"
            | "--exact"
            | "--no-python-downloads"
            | "-v"
            | "--verbose"
            | "--native-tls" => {}
            other => {
                return Err(Refusal::new(scope.line, format!("unsupported option `{other}` of `uv sync`"))
                    .hint(super::TWO_WAYS));
            }
        }
    }
    let (text, file) = scope.read(state, "uv.lock")?;
    let described = Project::read(state, scope, ".")?;
    if !no_dev && !choice.only_groups {
        choice.groups.extend(described.default_groups());
    }
    let folder = scope.variable(state, "UV_PROJECT_ENVIRONMENT").unwrap_or_else(|| ".venv".to_owned());
    let place = if scope.path(&folder) == "usr/local" {
        state.base_place()
    } else {
        if !state.venvs.contains(&scope.path(&folder)) {
            create_venv(state, scope, &folder, false);
        }
        Some(state.venv_place(&scope.path(&folder)))
    };
    let place = place.ok_or_else(|| {
        Refusal::new(scope.line, format!("`{}` is not an image of Python", state.settings.base))
            .hint(super::TWO_WAYS)
    })?;
    choice.install(state, &place, lock(LockForm::Uv, file, &text, described.text.clone()));
    if project && described.is_package() {
        project_install::install(state, scope, &described, &place, editable)?;
    }
    Ok(())
}

/// What a lock file is asked for.
#[derive(Default)]
struct Choice {
    extras: BTreeSet<String>,
    groups: BTreeSet<String>,
    only_groups: bool,
}

impl Choice {
    fn install(self, state: &mut StageState<'_>, place: &PackagePlace, lock: LockFile) {
        let lock =
            LockFile { extras: self.extras, groups: self.groups, only_groups: self.only_groups, ..lock };
        state.install(place, Install::Lock(lock));
    }
}

/// Installs what `poetry install` says.
///
/// # Errors
/// Fails on options that cannot be followed, and if `poetry.lock` or `pyproject.toml` is missing.
pub fn poetry_install(
    state: &mut StageState<'_>,
    scope: &RunScope,
    arguments: &[String],
) -> Result<(), Refusal> {
    let described = Project::read(state, scope, ".")?;
    let mut choice = Choice { groups: described.poetry_groups(), ..Choice::default() };
    let mut root = true;
    let list = |text: String| text.split([',', ' ']).map(str::to_owned).collect::<Vec<_>>();
    let mut rest = arguments.iter();
    while let Some(word) = rest.next() {
        let (name, given) =
            word.split_once('=').map_or((word.as_str(), None), |(name, value)| (name, Some(value)));
        let mut value = || given.map(str::to_owned).or_else(|| rest.next().cloned()).unwrap_or_default();
        match name {
            "--no-root" => root = false,
            "--no-dev" => choice.groups.clear(),
            "--only" => {
                let only = list(value());
                choice.only_groups = !only.iter().any(|group| group == "main");
                choice.groups = only.into_iter().collect();
                root &= !choice.only_groups;
            }
            "--without" => {
                for group in list(value()) {
                    choice.groups.remove(&group);
                }
            }
            "--with" => choice.groups.extend(list(value())),
            "--extras" | "-E" => choice.extras.extend(list(value())),
            "--all-extras" => _ = choice.extras.insert("*".to_owned()),
            "--no-interaction" | "-n" | "--no-ansi" | "--sync" | "--no-cache" | "--compile"
            | "--no-directory" | "-q" | "--quiet" | "-v" | "-vv" | "-vvv" | "--verbose" | "--no-plugins" => {}
            other => {
                return Err(Refusal::new(
                    scope.line,
                    format!("unsupported option `{other}` of `poetry install`"),
                )
                .hint(super::TWO_WAYS));
            }
        }
    }
    let (text, file) = scope.read(state, "poetry.lock")?;
    let creates = scope.is_set(state, "POETRY_VIRTUALENVS_CREATE").unwrap_or(state.poetry_creates);
    let place = if let Some(venv) = scope.active_venv(state) {
        Some(state.venv_place(&venv))
    } else if !creates {
        state.base_place()
    } else if scope.is_set(state, "POETRY_VIRTUALENVS_IN_PROJECT") == Some(true) {
        create_venv(state, scope, ".venv", false);
        Some(state.venv_place(&scope.path(".venv")))
    } else {
        let what = "`poetry install` into an environment below Poetry's cache, whose name is not known";
        return Err(Refusal::new(scope.line, what)
            .hint("set `ENV POETRY_VIRTUALENVS_CREATE=false`, or `POETRY_VIRTUALENVS_IN_PROJECT=true`"));
    };
    let place = place.ok_or_else(|| {
        Refusal::new(scope.line, format!("`{}` is not an image of Python", state.settings.base))
            .hint(super::TWO_WAYS)
    })?;
    choice.install(state, &place, lock(LockForm::Poetry, file, &text, described.text.clone()));
    if root && described.is_package() {
        project_install::install(state, scope, &described, &place, true)?;
    }
    Ok(())
}
