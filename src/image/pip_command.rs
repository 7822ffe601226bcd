//! Reads the arguments of `pip install`, `uv pip install` and `uv pip sync`.
//! Source: <https://pip.pypa.io/en/stable/cli/pip_install/>

use super::lock_files::normalized;
use std::{ffi::OsStr, path::Path};

/// What a command installs, and where.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PipArguments {
    /// Requirements files.
    pub files: Vec<String>,
    /// Constraints files.
    pub constraints: Vec<String>,
    /// Requirements of the command line.
    pub specs: Vec<String>,
    /// Folders of projects, their extras, and whether they are installed as links.
    pub projects: Vec<(String, Vec<String>, bool)>,
    /// Folder that receives the packages (`--target`).
    pub target: Option<String>,
    /// Folder that receives packages and scripts (`--prefix`, `--root` is not supported).
    pub prefix: Option<String>,
    /// Whether the packages go to the user's folder.
    pub user: bool,
    /// Whether the packages go to the system's Python, whatever environment is active (`uv pip --system`).
    pub system: bool,
    /// Options that say where packages come from.
    pub options: Vec<String>,
    /// Whether dependencies are left out.
    pub no_deps: bool,
}

/// Options without a value that change nothing in the image.
const FLAGS: &[&str] = &[
    "--no-cache-dir",
    "--no-cache",
    "--upgrade",
    "--quiet",
    "--verbose",
    "--no-compile",
    "--compile",
    "--compile-bytecode",
    "--no-compile-bytecode",
    "--disable-pip-version-check",
    "--prefer-binary",
    "--no-input",
    "--no-warn-script-location",
    "--ignore-installed",
    "--force-reinstall",
    "--reinstall",
    "--break-system-packages",
    "--require-hashes",
    "--no-build-isolation",
    "--no-python-version-warning",
    "--no-warn-conflicts",
    "--use-pep517",
    "--no-color",
    "--no-progress",
    "--require-virtualenv",
    "--strict",
    "--native-tls",
    "--debug",
    "--frozen",
];

/// Options with a value that change nothing in the image.
const VALUES: &[&str] = &[
    "--root-user-action",
    "--only-binary",
    "--exists-action",
    "--timeout",
    "--default-timeout",
    "--retries",
    "--progress-bar",
    "--cache-dir",
    "--upgrade-strategy",
    "--link-mode",
    "--log",
    "--python",
    "--python-version",
    "--src",
];

/// Options with a value that are passed to pip when requirements are resolved.
const SOURCES: &[(&str, &str)] = &[
    ("--index-url", "--index-url"),
    ("-i", "--index-url"),
    ("--default-index", "--index-url"),
    ("--extra-index-url", "--extra-index-url"),
    ("--index", "--extra-index-url"),
    ("--trusted-host", "--trusted-host"),
];

/// Tools that install packages. The image needs none of them when it runs.
const TOOLS: &[&str] =
    &["pip", "wheel", "uv", "poetry", "poetry-plugin-export", "pipenv", "virtualenv", "pip-tools", "build"];

/// Returns what the arguments after `install` mean.
///
/// # Errors
/// Fails on an argument that cannot be followed; the error is what is wrong.
pub fn parse(arguments: &[String]) -> Result<PipArguments, String> {
    let mut found = PipArguments::default();
    let mut rest = arguments.iter().cloned();
    while let Some(word) = rest.next() {
        if !word.starts_with('-') {
            found.positional(&word)?;
            continue;
        }
        let (name, mut given) = match word.split_once('=') {
            Some((name, value)) if word.starts_with("--") => (name.to_owned(), Some(value.to_owned())),
            _ => (word.clone(), None),
        };
        let mut value =
            || given.take().or_else(|| rest.next()).ok_or_else(|| format!("`{name}` without a value"));
        match name.as_str() {
            flag if FLAGS.contains(&flag) => {}
            flag if VALUES.contains(&flag) => drop(value()?),
            "-r" | "--requirement" | "--requirements" => found.files.push(value()?),
            "-c" | "--constraint" | "--constraints" => found.constraints.push(value()?),
            "-t" | "--target" => found.target = Some(value()?),
            "--prefix" => found.prefix = Some(value()?),
            "--user" => found.user = true,
            "--system" => found.system = true,
            "--no-deps" | "--no-dependencies" => found.no_deps = true,
            "--pre" => found.options.push("--pre".to_owned()),
            "-e" | "--editable" => {
                let path = value()?;
                found.project(&path, true)?;
            }
            source if SOURCES.iter().any(|(from, _)| *from == source) => {
                let to = SOURCES.iter().find(|(from, _)| *from == source).map_or("", |(_, to)| *to);
                let value = value()?;
                found.options.push(format!("{to}={value}"));
            }
            short if !short.starts_with("--") && short.len() > 2 => {
                // `-qU`, `-Ur FILE`, `-rFILE`.
                let mut letters = short.get(1..).unwrap_or_default().chars();
                while let Some(letter) = letters.next() {
                    match letter {
                        'q' | 'U' | 'v' | 'I' => {}
                        'r' => {
                            let joined = letters.as_str().to_owned();
                            let file = if joined.is_empty() { rest.next() } else { Some(joined) };
                            found.files.push(file.ok_or("`-r` without a value")?);
                            break;
                        }
                        _ => return Err(format!("option `{short}`")),
                    }
                }
            }
            "-q" | "-U" | "-v" | "-I" => {}
            other => return Err(format!("option `{other}`")),
        }
    }
    Ok(found)
}

impl PipArguments {
    fn positional(&mut self, word: &str) -> Result<(), String> {
        if word.starts_with("git+") || word.contains("://") || word.contains(" @ ") {
            return Err(format!("requirement `{word}`, which is not in a package index"));
        }
        let ending = Path::new(word).extension().and_then(OsStr::to_str).unwrap_or_default();
        if ["whl", "gz", "zip"].iter().any(|it| ending.eq_ignore_ascii_case(it)) {
            return Err(format!("the file `{word}`"));
        }
        if word.starts_with(['.', '/']) {
            return self.project(word, false);
        }
        let end = word.find(|char: char| !char.is_ascii_alphanumeric() && !"-_.".contains(char));
        let name = word.get(..end.unwrap_or(word.len())).unwrap_or_default();
        if name.is_empty() {
            return Err(format!("requirement `{word}`"));
        }
        if !TOOLS.contains(&normalized(name).as_str()) {
            self.specs.push(word.to_owned());
        }
        Ok(())
    }

    fn project(&mut self, word: &str, editable: bool) -> Result<(), String> {
        let (path, extras) = match word.strip_suffix(']').and_then(|word| word.split_once('[')) {
            Some((path, extras)) => (path, extras.split(',').map(|one| one.trim().to_owned()).collect()),
            None => (word, Vec::new()),
        };
        if !path.starts_with(['.', '/']) {
            return Err(format!("requirement `{word}`, which is not in a package index"));
        }
        self.projects.push((path.to_owned(), extras, editable));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<PipArguments, String> {
        parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn usual_arguments_are_understood() {
        let found = parsed(
            "--no-cache-dir -Ur requirements.txt -c c.txt -qq -i https://a --extra-index-url=https://b \
             --upgrade pip wheel fastapi>=0.115 uvicorn[standard] -e .[db] --prefix /install --root-user-action=ignore",
        )
        .unwrap();
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(found.files, ["requirements.txt"]);
        assert_eq!(found.constraints, ["c.txt"]);
        assert_eq!(found.specs, ["fastapi>=0.115", "uvicorn[standard]"]);
        assert_eq!(found.projects, [(".".to_owned(), list(&["db"]), true)]);
        assert_eq!(found.options, ["--index-url=https://a", "--extra-index-url=https://b"]);
        assert_eq!(found.prefix.as_deref(), Some("/install"));
        assert_eq!(parsed("-r").unwrap_err(), "`-r` without a value");
        for text in [
            "git+https://x",
            "https://x/a.whl",
            "./a.whl",
            "--no-binary :all:",
            "-z",
            "--root /x",
            "-e git+ssh://x",
        ] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }
}
