//! Reads lock files: which packages they name for a Python on a platform, with the hashes of their files.
//! Sources: <https://docs.astral.sh/uv/concepts/projects/layout/#the-lockfile>,
//! <https://github.com/python-poetry/poetry/blob/main/src/poetry/packages/locker.py>,
//! <https://packaging.python.org/en/latest/specifications/pylock-toml/>

use super::{ImagePlatform, Refusal, markers::holds};
use std::{collections::BTreeSet, path::Path};
use toml::{Table, Value};

/// Form of a lock file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockForm {
    /// `uv.lock`.
    Uv,
    /// `poetry.lock`.
    Poetry,
    /// `pylock.toml`.
    Pylock,
}

/// A lock file, and which of its packages are installed.
#[derive(Clone, Debug, PartialEq)]
pub struct LockFile {
    /// Form of the file.
    pub form: LockForm,
    /// Its path in the context, for messages.
    pub file: String,
    /// Its text.
    pub text: String,
    /// Text of `pyproject.toml`, for the forms that need it.
    pub project: String,
    /// The chosen extras; `*` for all.
    pub extras: BTreeSet<String>,
    /// The chosen groups.
    pub groups: BTreeSet<String>,
    /// Whether the dependencies of the project itself are left out.
    pub only_groups: bool,
}

impl LockFile {
    /// Returns the packages for `python` on `platform`: `name==version --hash=sha256:...` in each line.
    ///
    /// # Errors
    /// Fails if the file is invalid, or names a package that is not a wheel of a package index.
    pub fn lines(&self, python: &str, platform: ImagePlatform) -> Result<Vec<String>, Refusal> {
        let table = self.text.parse::<Table>().map_err(|error| invalid(error.message()))?;
        let target = LockTarget { python, platform };
        match self.form {
            LockForm::Uv => self.of_uv(&table, target),
            LockForm::Poetry => self.of_poetry(&table, target),
            LockForm::Pylock => of_pylock(&table, target),
        }
    }

    fn of_uv(&self, table: &Table, target: LockTarget<'_>) -> Result<Vec<String>, Refusal> {
        let packages = tables(table.get("package"));
        let is_local = |package: &&&Table| {
            let source = package.get("source").and_then(Value::as_table);
            source.is_some_and(|source| ["virtual", "editable"].iter().any(|key| is_here(source.get(*key))))
        };
        let root = packages.iter().find(is_local).ok_or_else(|| invalid("the project is not in the file"))?;
        let mut open: Vec<&Table> = Vec::new();
        if !self.only_groups {
            open.extend(tables(root.get("dependencies")));
        }
        let optional = root.get("optional-dependencies").and_then(Value::as_table);
        for (name, list) in optional.into_iter().flatten() {
            if self.extras.contains("*") || self.extras.contains(name) {
                open.extend(tables(Some(list)));
            }
        }
        let groups = root.get("dev-dependencies").and_then(Value::as_table);
        for (name, list) in groups.into_iter().flatten() {
            if self.groups.contains(name) || self.groups.contains("*") {
                open.extend(tables(Some(list)));
            }
        }
        let (mut seen, mut lines) = (BTreeSet::new(), Vec::new());
        while let Some(wanted) = open.pop() {
            if !applies(wanted.get("marker"), target)? {
                continue;
            }
            let name = text(wanted, "name");
            let version = wanted.get("version").and_then(Value::as_str);
            let found = packages.iter().find(|package| {
                text(package, "name") == name
                    && version.is_none_or(|version| text(package, "version") == version)
            });
            let package = found.ok_or_else(|| invalid(&format!("package `{name}` is not in the file")))?;
            let extras = wanted.get("extra").and_then(Value::as_array).into_iter().flatten();
            let extras: Vec<&str> = extras.filter_map(Value::as_str).collect();
            let version = text(package, "version");
            let mut parts: Vec<(&str, Option<&Value>)> = vec![("", package.get("dependencies"))];
            let optional = package.get("optional-dependencies").and_then(Value::as_table);
            parts.extend(extras.iter().map(|extra| (*extra, optional.and_then(|all| all.get(*extra)))));
            for (extra, list) in parts {
                if seen.insert((name.to_owned(), version.to_owned(), extra.to_owned())) {
                    open.extend(tables(list));
                    if extra.is_empty() {
                        lines.push(uv_line(package)?);
                    }
                }
            }
        }
        Ok(sorted(lines))
    }

    fn of_poetry(&self, table: &Table, target: LockTarget<'_>) -> Result<Vec<String>, Refusal> {
        let packages = tables(table.get("package"));
        let extras = table.get("extras").and_then(Value::as_table);
        let of_extras: BTreeSet<String> = extras
            .into_iter()
            .flatten()
            .filter(|(name, _)| self.extras.contains("*") || self.extras.contains(*name))
            .flat_map(|(_, list)| list.as_array().into_iter().flatten())
            .filter_map(Value::as_str)
            .map(normalized)
            .collect();
        if packages.iter().any(|package| !package.contains_key("groups")) && !packages.is_empty() {
            return self.of_old_poetry(&packages, &of_extras, target);
        }
        let mut lines = Vec::new();
        for package in packages {
            let groups: Vec<&str> = package
                .get("groups")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let chosen: Vec<&&str> = groups
                .iter()
                .filter(
                    |group| {
                        if **group == "main" { !self.only_groups } else { self.groups.contains(**group) }
                    },
                )
                .collect();
            let optional = package.get("optional").and_then(Value::as_bool) == Some(true);
            if chosen.is_empty() || optional && !of_extras.contains(&normalized(text(package, "name"))) {
                continue;
            }
            let marker = match package.get("markers") {
                Some(Value::Table(by_group)) => {
                    let mut any = false;
                    for group in chosen {
                        any |= applies(by_group.get(*group), target)?;
                    }
                    any
                }
                marker => optional || applies(marker, target)?,
            };
            if marker {
                lines.push(poetry_line(package)?);
            }
        }
        Ok(sorted(lines))
    }

    /// Before Poetry 2, the file does not say which group a package belongs to: the dependencies are followed.
    fn of_old_poetry(
        &self,
        packages: &[&Table],
        of_extras: &BTreeSet<String>,
        target: LockTarget<'_>,
    ) -> Result<Vec<String>, Refusal> {
        let project = self.project.parse::<Table>().map_err(|error| invalid(error.message()))?;
        let poetry = project.get("tool").and_then(|tool| tool.get("poetry"));
        let mut open: Vec<(String, &Value)> = Vec::new();
        let add = |list: Option<&Value>| -> Vec<(String, Value)> {
            let list = list.and_then(Value::as_table).cloned().unwrap_or_default();
            list.into_iter().filter(|(name, _)| name != "python").collect()
        };
        let mut first = Vec::new();
        if !self.only_groups {
            first.extend(add(poetry.and_then(|poetry| poetry.get("dependencies"))));
        }
        for group in &self.groups {
            let group = poetry.and_then(|poetry| poetry.get("group")?.get(group)?.get("dependencies"));
            first.extend(add(group));
        }
        for (name, wanted) in &first {
            let optional = wanted.get("optional").and_then(Value::as_bool) == Some(true);
            if !optional || of_extras.contains(&normalized(name)) {
                open.push((normalized(name), wanted));
            }
        }
        let (mut seen, mut lines) = (BTreeSet::new(), Vec::new());
        while let Some((name, wanted)) = open.pop() {
            let choices: Vec<&Value> =
                wanted.as_array().map_or_else(|| vec![wanted], |all| all.iter().collect());
            let mut any = false;
            for choice in choices {
                any |= applies(choice.get("markers"), target)?;
            }
            let found = packages.iter().find(|package| normalized(text(package, "name")) == name);
            let Some(package) = found.filter(|_| any) else { continue };
            let extras = wanted.get("extras").and_then(Value::as_array).is_some();
            if !seen.insert((name.clone(), extras)) {
                continue;
            }
            lines.push(poetry_line(package)?);
            for (name, wanted) in package.get("dependencies").and_then(Value::as_table).into_iter().flatten()
            {
                let optional = wanted.get("optional").and_then(Value::as_bool) == Some(true);
                if !optional || extras {
                    open.push((normalized(name), wanted));
                }
            }
        }
        Ok(sorted(lines))
    }
}

/// What the packages are for.
#[derive(Clone, Copy)]
struct LockTarget<'a> {
    python: &'a str,
    platform: ImagePlatform,
}

fn of_pylock(table: &Table, target: LockTarget<'_>) -> Result<Vec<String>, Refusal> {
    let mut lines = Vec::new();
    for package in tables(table.get("packages")) {
        if !applies(package.get("marker"), target)? {
            continue;
        }
        let hashes = tables(package.get("wheels"))
            .into_iter()
            .filter_map(|wheel| Some(format!("sha256:{}", wheel.get("hashes")?.get("sha256")?.as_str()?)));
        lines.push(line(text(package, "name"), text(package, "version"), hashes.collect())?);
    }
    Ok(sorted(lines))
}

fn uv_line(package: &Table) -> Result<String, Refusal> {
    let name = text(package, "name");
    let source = package.get("source").and_then(Value::as_table);
    if source.is_none_or(|source| !source.contains_key("registry")) {
        let what = format!("package `{name}` does not come from a package index");
        return Err(Refusal::new(1, what).hint(super::TWO_WAYS));
    }
    let hashes = tables(package.get("wheels"));
    let hashes = hashes.into_iter().filter_map(|wheel| Some(wheel.get("hash")?.as_str()?.to_owned()));
    line(name, text(package, "version"), hashes.collect())
}

/// Returns whether a file name has this ending, in any case.
fn has_ending(name: &str, ending: &str) -> bool {
    Path::new(name).extension().is_some_and(|it| it.eq_ignore_ascii_case(ending))
}

fn poetry_line(package: &Table) -> Result<String, Refusal> {
    let files = tables(package.get("files"));
    let wheels = files.into_iter().filter(|file| has_ending(text(file, "file"), "whl"));
    let hashes = wheels.filter_map(|file| Some(file.get("hash")?.as_str()?.to_owned()));
    line(text(package, "name"), text(package, "version"), hashes.collect())
}

/// Returns the line of a package with the hashes of its wheels.
fn line(name: &str, version: &str, hashes: BTreeSet<String>) -> Result<String, Refusal> {
    let plain = |text: &str| {
        !text.is_empty() && text.chars().all(|char| char.is_ascii_alphanumeric() || "-_.+!".contains(char))
    };
    if !plain(name) || !plain(version) {
        return Err(invalid(&format!("package `{name}` has the version `{version}`")));
    }
    let sound = |hash: &&String| {
        let hex = hash.strip_prefix("sha256:").unwrap_or_default();
        hex.len() == 64 && hex.chars().all(|char| char.is_ascii_hexdigit())
    };
    let hashes: Vec<String> = hashes.iter().filter(sound).map(|hash| format!("--hash={hash}")).collect();
    if hashes.is_empty() {
        let what = format!("package `{name}` {version} has no wheel in the lock file");
        return Err(Refusal::new(1, what).hint(super::TWO_WAYS));
    }
    Ok(format!("{name}=={version} {}", hashes.join(" ")))
}

fn applies(marker: Option<&Value>, target: LockTarget<'_>) -> Result<bool, Refusal> {
    let Some(marker) = marker.and_then(Value::as_str).filter(|marker| !marker.is_empty()) else {
        return Ok(true);
    };
    holds(marker, target.python, target.platform)
        .ok_or_else(|| invalid(&format!("invalid environment marker `{marker}`")))
}

fn is_here(value: Option<&Value>) -> bool {
    value.and_then(Value::as_str) == Some(".")
}

fn tables(value: Option<&Value>) -> Vec<&Table> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_table).collect()
}

fn text<'a>(table: &'a Table, key: &str) -> &'a str {
    table.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Returns the name of a package as indexes compare names.
/// Source: <https://packaging.python.org/en/latest/specifications/name-normalization/>
pub fn normalized(name: &str) -> String {
    let mut found = String::new();
    for char in name.chars() {
        match char {
            '-' | '_' | '.' if found.ends_with('-') => {}
            '-' | '_' | '.' => found.push('-'),
            char => found.push(char.to_ascii_lowercase()),
        }
    }
    found
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines.dedup();
    lines
}

fn invalid(what: &str) -> Refusal {
    Refusal::new(1, format!("invalid lock file: {what}"))
        .hint("write the file again with the tool that it is from")
}

#[cfg(test)]
mod tests;
