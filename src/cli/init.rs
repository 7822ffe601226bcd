//! `init`: writes a stack file to start from.

use super::{
    exit::{CommandError, Exit},
    global_options::Global,
    starter_files::{SCHEMA_FILE, StarterKind},
};
use crate::{
    model::{CallError, ErrorKind},
    stack,
    ui::Ui,
};
use clap::ValueEnum as _;
use serde_json::json;
use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

/// Write a commented stack file to start from; existing files are never overwritten
#[derive(Debug, clap::Args)]
pub struct InitArgs {
    /// Name of the stack and its cluster [default: the folder's name, with --yes]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// AWS region [default: AWS_REGION, with --yes]
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// What the stack contains [default: service, with --yes]
    #[arg(long, value_name = "KIND")]
    pub kind: Option<StarterKind>,
    /// Also write .provisioner-schema.json, with which editors complete and check the file
    #[arg(long)]
    pub schema: bool,
}

/// The kind that is proposed.
const DEFAULT_KIND: StarterKind = StarterKind::Service;

/// How often a question is asked before `init` gives up.
const MAX_ANSWERS: usize = 3;

/// A valid region, for the check of a name alone.
const ANY_REGION: &str = "eu-central-1";

/// Asks for what the options leave open, and writes the file.
pub fn run(global: &Global, args: &InitArgs, ui: Ui) -> Result<Exit, CommandError> {
    let path = &global.stack;
    let folder = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    let schema = folder.join(SCHEMA_FILE);
    check_free(path)?;
    let questions = Questions { ui, asks: ui.can_ask() && !global.yes, defaults: global.yes };
    let kind = match args.kind {
        Some(kind) => kind,
        None => questions.kind()?,
    };
    let name =
        questions.text("Name of the stack", "name", args.name.as_ref(), folder_name(&folder), &|name| {
            check(kind, name, ANY_REGION)
        })?;
    let region =
        questions.text("AWS region", "region", args.region.as_ref(), region_of_environment(), &|region| {
            check(kind, &name, region)
        })?;
    let wants_schema = args.schema
        || (questions.asks
            && !exists(&schema)
            && ui.confirm(&format!("Write {SCHEMA_FILE}, with which editors complete and check the file?")));
    let mut written = vec![path.clone()];
    if wants_schema {
        check_free(&schema)?;
        write(&schema, &format!("{:#}\n", stack::schema()))?;
        written.push(schema);
    }
    write(path, &kind.text(&name, &region))?;
    for path in written {
        match ui.json {
            true => ui.line(json!({"type": "file", "path": path})),
            false => ui.say(&format!("{} written", path.display())),
        }
    }
    next_steps(ui, path, &folder, kind);
    Ok(Exit::Done)
}

/// Says what can be done with the file.
fn next_steps(ui: Ui, path: &Path, folder: &Path, kind: StarterKind) {
    if kind == StarterKind::Service && !folder.join("app").is_dir() {
        ui.tell("hint: put the application and its Dockerfile into the folder app/");
    }
    let option = match path == Path::new("stack.yaml") {
        true => String::new(),
        false => format!(" --stack {}", path.display()),
    };
    ui.tell(&format!(
        "hint: `provisioner plan{option} --sandbox` shows what it creates, without an account; `provisioner plan{option}` \
         compares it with yours"
    ));
}

/// What is asked, and of whom.
struct Questions {
    ui: Ui,
    /// Whether a person is there who can be asked.
    asks: bool,
    /// Whether the defaults are taken without a question.
    defaults: bool,
}

impl Questions {
    /// Returns the kind of stack.
    fn kind(&self) -> Result<StarterKind, CommandError> {
        if self.defaults {
            return Ok(DEFAULT_KIND);
        }
        if !self.asks {
            return Err(missing("kind"));
        }
        self.ui.say("Kinds of stacks:");
        for kind in StarterKind::value_variants() {
            self.ui.say(&format!("  {:10} {}", name_of(*kind), kind.title()));
        }
        let default = name_of(DEFAULT_KIND);
        let known = |answer: &str| match StarterKind::from_str(answer, true) {
            Ok(_) => Ok(()),
            Err(_) => Err(CommandError::refused(
                format!("unknown kind of stack \"{answer}\""),
                "answer with one of the names in the list",
            )),
        };
        let answer = self.answer("Kind of stack", Some(default), &known)?;
        Ok(StarterKind::from_str(&answer, true).unwrap_or(DEFAULT_KIND))
    }

    /// Returns a valid text: the option's, the default, or an answer.
    fn text(
        &self,
        question: &str,
        option: &str,
        given: Option<&String>,
        default: Option<String>,
        check: &dyn Fn(&str) -> Result<(), CommandError>,
    ) -> Result<String, CommandError> {
        let default = default.filter(|default| check(default).is_ok());
        match (given, default) {
            (Some(given), _) => check(given).map(|()| given.clone()),
            (None, Some(default)) if self.defaults => Ok(default),
            (None, default) if self.asks => self.answer(question, default, check),
            (None, _) => Err(missing(option)),
        }
    }

    /// Asks until the answer is valid, a few times.
    fn answer(
        &self,
        question: &str,
        default: Option<String>,
        check: &dyn Fn(&str) -> Result<(), CommandError>,
    ) -> Result<String, CommandError> {
        let shown = default.as_ref().map(|default| format!(" [{default}]")).unwrap_or_default();
        let mut last = CommandError::refused(format!("no answer to \"{question}\""), "pass it as an option");
        for _ in 0..MAX_ANSWERS {
            let answer = self.ui.ask(&format!("{question}{shown}:"));
            let answer =
                Some(answer.trim().to_owned()).filter(|answer| !answer.is_empty()).or(default.clone());
            let Some(answer) = answer else { continue };
            match check(&answer) {
                Ok(()) => return Ok(answer),
                Err(error) => {
                    self.ui.say(&format!("{error}"));
                    last = error;
                }
            }
        }
        Err(last)
    }
}

fn missing(option: &str) -> CommandError {
    CommandError::refused(
        format!("--{option} is missing, and no terminal is attached to ask on"),
        format!("pass `--{option}`, or `--yes` for the defaults"),
    )
}

fn name_of(kind: StarterKind) -> String {
    kind.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// Checks the values by reading the file that they would make.
fn check(kind: StarterKind, name: &str, region: &str) -> Result<(), CommandError> {
    // Anything else could be read as a comment or as another field.
    let plain = |text: &str| text.chars().all(|char| char.is_alphanumeric() || " -_.".contains(char));
    if let Some((what, value)) = [("name", name), ("region", region)].iter().find(|(_, value)| !plain(value))
    {
        let hint = "use letters, digits and `-` only";
        return Err(CommandError::refused(format!("{what}: invalid {what} \"{value}\""), hint));
    }
    let Err(errors) = stack::load("stack.yaml", kind.text(name, region).as_bytes(), &|_| None) else {
        return Ok(());
    };
    let (message, hint) = errors.iter().next().map_or_else(Default::default, |error| {
        let message = format!("{}: {}", error.path, error.message);
        (message, error.hint.clone().unwrap_or_default())
    });
    Err(CommandError::refused(message.trim_start_matches([':', ' ']), hint))
}

/// Returns the name of the folder in the form of a stack's name.
fn folder_name(folder: &Path) -> Option<String> {
    let folder = std::fs::canonicalize(if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
    let name = folder.ok()?.file_name()?.to_string_lossy().to_ascii_lowercase();
    let plain: String =
        name.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '-' }).collect();
    let plain = plain.trim_start_matches(|char: char| !char.is_ascii_lowercase());
    let plain: String = plain.chars().take(30).collect();
    Some(plain.trim_end_matches('-').to_owned())
}

/// Returns the region of the AWS tools' variables.
/// Source: <https://docs.aws.amazon.com/sdkref/latest/guide/feature-region.html>
fn region_of_environment() -> Option<String> {
    ["AWS_REGION", "AWS_DEFAULT_REGION"].iter().find_map(|name| std::env::var(name).ok())
}

/// Returns whether anything has this name, a link that leads nowhere included.
fn exists(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

fn check_free(path: &Path) -> Result<(), CommandError> {
    match exists(path) {
        true => Err(CommandError::refused(
            format!("{} exists, and is not overwritten", path.display()),
            "edit it, remove it, or pass another path with `--stack`",
        )),
        false => Ok(()),
    }
}

/// Writes a new file. What exists is not opened, not even through a link.
fn write(path: &Path, text: &str) -> Result<(), CallError> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| {
        CallError::new(ErrorKind::Other, format!("{}: {error}", path.display()))
            .hint("pass a path in a folder that exists and is writable")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_folder_becomes_the_name_of_a_stack() {
        let root = tempfile::tempdir().unwrap();
        for (folder, name) in
            [("shop", "shop"), ("My Shop 2", "my-shop-2"), ("42 shops_", "shops"), ("äß-x", "x"), ("---", "")]
        {
            let path = root.path().join(folder);
            std::fs::create_dir(&path).unwrap();
            assert_eq!(folder_name(&path).as_deref(), Some(name), "{folder}");
        }
    }

    #[test]
    fn wrong_values_are_named_with_the_field_and_a_hint() {
        assert!(check(StarterKind::Service, "shop", "eu-central-1").is_ok());
        for (name, region, text) in [
            ("My Shop", "eu-central-1", "name: invalid stack name"),
            ("shop", "eu-centrl-1", "region: "),
            ("shop", "", "region: "),
            ("a: [", "eu-central-1", "name: invalid name"),
            ("shop\nprotect: true", "eu-central-1", "name: invalid name"),
            ("shop # a", "eu-central-1", "name: invalid name"),
            ("shop", "eu-central-1\nprotect: true", "region: invalid region"),
        ] {
            let error = check(StarterKind::Network, name, region).unwrap_err().to_string();
            assert!(error.contains(text) && !error.is_empty(), "{error}");
        }
    }
}
