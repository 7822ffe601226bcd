//! Follows RUN instructions without running them: the packages that they install, and the users, folders and permissions
//! that they make.

use super::{
    Refusal,
    file_tree::{TreeNode, below, is_system_folder, resolved},
    lexer::words,
    python_tools::{create_venv, pip_install, poetry_install, uv_sync},
    run_permissions::{change_mode, change_owner},
    run_scope::RunScope,
    shell_words::commands,
    stage_state::StageState,
};

/// Programs that install packages of a distribution. A stage that only builds needs none of them: nothing is built.
const PACKAGE_MANAGERS: &[&str] = &[
    "apt-get",
    "apt",
    "apk",
    "dnf",
    "yum",
    "microdnf",
    "tdnf",
    "aptitude",
    "dpkg",
    "update-ca-certificates",
];
/// Folders of caches, whose files are in no image that this program builds.
const CACHES: &[&str] = &["root/.cache", "tmp", "var/tmp", "var/lib/apt/lists", "var/cache", "var/log"];

/// Follows a RUN instruction.
///
/// # Errors
/// Fails on a command that has to run.
pub fn run(state: &mut StageState<'_>, line: usize, rest: &str) -> Result<(), Refusal> {
    let mut scope = RunScope { line, folder: state.workdir.clone(), ..RunScope::default() };
    let text = options(state, &mut scope, rest)?;
    let refused = |what: String| Refusal::new(line, what).hint(super::TWO_WAYS);
    if text.starts_with("<<") {
        return Err(refused("RUN of a here-document".to_owned()));
    }
    if is_tool_installer(&text) {
        return Ok(());
    }
    let list = if let Ok(words) = serde_json::from_str::<Vec<String>>(&text) {
        vec![words]
    } else {
        let split = commands(&text, &|name| scope.variable(state, name));
        split.map_err(|what| {
            refused(format!("{what} in `RUN {}`: only a shell can run it", shortened(&text)))
        })?
    };
    for words in list {
        command(state, &mut scope, &words)?;
    }
    Ok(())
}

/// Returns whether a command installs uv or Poetry with the script of its project. Only the tool is needed, not its files.
fn is_tool_installer(text: &str) -> bool {
    let scripts = ["https://astral.sh/uv/", "https://install.python-poetry.org"];
    scripts.iter().any(|script| text.contains(script)) && text.contains('|') && !text.contains("&&")
}

/// Reads the options before the command, and returns the command.
fn options(state: &StageState<'_>, scope: &mut RunScope, rest: &str) -> Result<String, Refusal> {
    let mut text = rest.trim();
    while let Some(option) = text.strip_prefix("--") {
        let (option, after) = option.split_once(char::is_whitespace).unwrap_or((option, ""));
        text = after.trim_start();
        let option = words(scope.line, option, &|name| state.variable(name))?.concat();
        let Some(mount) = option.strip_prefix("mount=") else { continue };
        let field = |names: &[&str]| {
            let mut fields = mount.split(',').filter_map(|field| field.split_once('='));
            fields.find(|(name, _)| names.contains(name)).map(|(_, value)| value.to_owned())
        };
        let kind = field(&["type"]).unwrap_or_else(|| "bind".to_owned());
        match (kind.as_str(), field(&["from"])) {
            ("cache" | "tmpfs", _) => {}
            ("bind", None) => {
                let source = field(&["source", "src"]).unwrap_or_default();
                if let Some(target) = field(&["target", "dst", "destination"]) {
                    let (source, target) = (resolved("", &source), scope.path(&target));
                    scope.mounts.insert(target, source);
                }
            }
            // uv and pip are not run, so that their files are not needed.
            ("bind", Some(image)) if image.contains("astral-sh/uv") => {}
            _ => {
                return Err(Refusal::new(scope.line, format!("unsupported option `--{option}` of RUN"))
                    .hint(super::TWO_WAYS));
            }
        }
    }
    Ok(text.to_owned())
}

fn command(state: &mut StageState<'_>, scope: &mut RunScope, all: &[String]) -> Result<(), Refusal> {
    // `NAME=value program`: the value holds for the one command.
    let is_assignment = |word: &&String| word.split_once('=').is_some_and(|(name, _)| is_variable(name));
    let assigned = all.iter().take_while(is_assignment).count();
    let (assignments, words) = all.split_at(assigned);
    let before = scope.variables.clone();
    for (name, value) in assignments.iter().filter_map(|word| word.split_once('=')) {
        scope.variables.insert(name.to_owned(), value.to_owned());
    }
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    let followed = follow(state, scope, program, arguments);
    if program != "export" {
        scope.variables = before;
    }
    followed
}

fn follow(
    state: &mut StageState<'_>,
    scope: &mut RunScope,
    program: &str,
    arguments: &[String],
) -> Result<(), Refusal> {
    let said = || shortened(&format!("{program} {}", arguments.join(" ")));
    let refused = |what: String| Refusal::new(scope.line, what).hint(super::TWO_WAYS);
    let has_to_run = || refused(format!("command `{}` has to run", said()));
    let first = arguments.first().map(String::as_str).unwrap_or_default();
    let after = |count: usize| arguments.get(count..).unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or_default();
    let plain = || arguments.iter().filter(|word| !word.starts_with('-'));
    match name {
        name if is_program(name, "pip") => match first {
            "install" => pip_install(state, scope, program, after(1)),
            "cache" | "check" | "list" | "--version" | "freeze" => Ok(()),
            _ => Err(has_to_run()),
        },
        name if is_program(name, "python") => {
            let module = arguments
                .iter()
                .position(|word| word == "-m")
                .and_then(|at| arguments.get(at.saturating_add(1)..));
            let (module, rest) = module
                .and_then(<[String]>::split_first)
                .map_or(("", [].as_slice()), |(name, rest)| (name.as_str(), rest));
            match (module, rest.first().map(String::as_str)) {
                ("pip", Some("install")) => {
                    pip_install(state, scope, program, rest.get(1..).unwrap_or_default())
                }
                ("pip", Some("cache" | "check" | "list" | "--version")) | ("compileall" | "ensurepip", _) => {
                    Ok(())
                }
                ("venv" | "virtualenv", _) => venv(state, scope, rest).ok_or_else(has_to_run),
                _ if first == "--version" => Ok(()),
                _ => Err(has_to_run()),
            }
        }
        "virtualenv" => venv(state, scope, arguments).ok_or_else(has_to_run),
        "uv" => match (first, arguments.get(1).map(String::as_str)) {
            ("sync", _) => uv_sync(state, scope, after(1)),
            ("pip", Some("install" | "sync")) => {
                // `sync` takes files without `-r`.
                let is_sync = arguments.get(1).is_some_and(|word| word == "sync");
                let files = after(2).iter().flat_map(|word| {
                    let is_file = is_sync && !word.starts_with('-') && word.contains('.');
                    is_file.then(|| "-r".to_owned()).into_iter().chain([word.clone()])
                });
                let files: Vec<String> = files.collect();
                pip_install(state, scope, "uv", &files)
            }
            ("venv", _) => {
                let folder =
                    after(1).iter().find(|word| !word.starts_with('-')).map_or(".venv", String::as_str);
                create_venv(
                    state,
                    scope,
                    folder,
                    after(1).iter().any(|word| word == "--system-site-packages"),
                );
                Ok(())
            }
            ("cache" | "--version" | "version", _) => Ok(()),
            _ => Err(has_to_run()),
        },
        "poetry" => match first {
            "install" => poetry_install(state, scope, after(1)),
            "config" => {
                if let (Some("virtualenvs.create"), Some(value)) =
                    (arguments.get(1).map(String::as_str), arguments.get(2))
                {
                    state.poetry_creates = value != "false";
                }
                Ok(())
            }
            "--version" | "check" | "cache" | "self" => Ok(()),
            _ => Err(has_to_run()),
        },
        "." | "source" => {
            let venv = first.strip_suffix("/bin/activate").map(|venv| scope.path(venv));
            scope.active = Some(venv.filter(|venv| state.venvs.contains(venv)).ok_or_else(has_to_run)?);
            Ok(())
        }
        "useradd" | "adduser" => {
            let home = state.accounts.add_user(name, arguments);
            let home = home.map_err(|what| refused(format!("unsupported {what} of `{program}`")))?;
            let user = plain().next_back().and_then(|user| state.accounts.find(user));
            if let Some(home) = home {
                state.tree.folder(&scope.path(&home), user.unwrap_or_default());
            }
            Ok(())
        }
        "groupadd" | "addgroup" => {
            let added = state.accounts.add_group(name, arguments);
            added.map_err(|what| refused(format!("unsupported {what} of `{program}`")))
        }
        "mkdir" => {
            for path in plain().filter(|word| !is_number(word)) {
                let path = scope.path(path);
                if !is_system_folder(&path) {
                    state.tree.folder(&path, state.user);
                }
            }
            Ok(())
        }
        "chown" => change_owner(state, scope, arguments),
        "chmod" => change_mode(state, scope, arguments),
        "touch" => {
            for path in plain() {
                let (path, owner) = (scope.path(path), state.user);
                if !state.tree.nodes.contains_key(&path) {
                    state
                        .tree
                        .put_in_place(&path, TreeNode::Text { text: String::new(), mode: 0o644, owner });
                }
            }
            Ok(())
        }
        "rm" => remove(state, scope, arguments).ok_or_else(has_to_run),
        "ln" => match plain().collect::<Vec<_>>().as_slice() {
            [target, path] if arguments.iter().any(|word| word.starts_with("-s")) => {
                let (path, target) = (scope.path(path), (*target).clone());
                state.tree.put_in_place(&path, TreeNode::Link { target });
                Ok(())
            }
            _ => Err(has_to_run()),
        },
        "cd" => {
            scope.folder = scope.path(first);
            Ok(())
        }
        "export" => {
            for (name, value) in arguments.iter().filter_map(|word| word.split_once('=')) {
                scope.variables.insert(name.to_owned(), value.to_owned());
            }
            Ok(())
        }
        "set" | "true" | ":" | "echo" | "umask" | "sync" | "usermod" => Ok(()),
        name if PACKAGE_MANAGERS.contains(&name) => {
            let cleans = ["update", "clean", "autoclean", "autoremove"]
                .iter()
                .any(|word| arguments.iter().any(|one| one == word));
            let installs = arguments.iter().any(|word| word == "install" || word == "add");
            if state.is_final && (installs || !cleans) { Err(has_to_run()) } else { Ok(()) }
        }
        _ => Err(has_to_run()),
    }
}

fn venv(state: &mut StageState<'_>, scope: &RunScope, arguments: &[String]) -> Option<()> {
    let known =
        ["--copies", "--clear", "--upgrade-deps", "--without-pip", "--system-site-packages", "--symlinks"];
    let (options, folders): (Vec<&String>, Vec<&String>) =
        arguments.iter().partition(|word| word.starts_with('-'));
    let [folder] = folders.as_slice() else { return None };
    if !options.iter().all(|option| known.contains(&option.as_str())) {
        return None;
    }
    create_venv(state, scope, folder, options.iter().any(|option| *option == "--system-site-packages"));
    Some(())
}

/// Removes files of the stage, and caches, which no image has. `None` for others: they may be files of the base.
fn remove(state: &mut StageState<'_>, scope: &RunScope, arguments: &[String]) -> Option<()> {
    for path in arguments.iter().filter(|word| !word.starts_with('-')) {
        let expanded = path.strip_prefix('~').map_or_else(|| path.clone(), |rest| format!("/root{rest}"));
        let path = scope.path(&expanded);
        let is_cache = CACHES.iter().any(|cache| below(cache, &path).is_some());
        let below_packages = state
            .packages
            .iter()
            .filter_map(|one| one.site.as_ref())
            .any(|site| below(&path, site).is_some());
        let removed = !path.contains(['*', '?', '[']) && !below_packages && state.tree.remove(&path);
        if !(is_cache || removed) {
            return None;
        }
    }
    Some(())
}

fn is_number(text: &str) -> bool {
    text.chars().all(|char| char.is_ascii_digit())
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|char: char| char.is_ascii_digit())
        && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
}

/// Returns whether a name is that of a program, with a version or without: `pip`, `pip3`, `pip3.12`.
fn is_program(name: &str, program: &str) -> bool {
    name.strip_prefix(program)
        .is_some_and(|rest| rest.chars().all(|char| char.is_ascii_digit() || char == '.'))
}

/// Returns the beginning of a long command.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.trim_end().to_owned(),
    }
}
