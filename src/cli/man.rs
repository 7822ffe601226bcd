//! `man`: manual pages.

use super::exit::{CommandError, Exit};
use crate::{
    model::{CallError, ErrorKind},
    ui::Ui,
};
use clap::Command;
use clap_mangen::Man;
use serde_json::json;
use std::path::PathBuf;

/// Print the manual page, or write one page for each command
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// Write one page for each command to DIR, such as ~/.local/share/man/man1
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// A manual page: the name of its file and its text in roff.
struct Page {
    file: String,
    text: String,
}

/// Prints the main page of `command`, the whole command line, or writes the pages of all commands.
pub fn run(args: &ManArgs, command: Command, ui: Ui) -> Result<Exit, CommandError> {
    let pages = pages(command)?;
    let Some(folder) = &args.out else {
        if let Some(main) = pages.first() {
            ui.document(main.text.trim_end());
        }
        return Ok(Exit::Done);
    };
    let failed = |path: &std::path::Path, error: std::io::Error| {
        CallError::new(ErrorKind::Other, format!("{}: {error}", path.display()))
    };
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    for page in pages {
        let path = folder.join(&page.file);
        std::fs::write(&path, page.text).map_err(|error| failed(&path, error))?;
        match ui.json {
            true => ui.line(json!({"type": "file", "path": path})),
            false => ui.data(&path.display().to_string()),
        }
    }
    Ok(Exit::Done)
}

/// Returns the pages of all commands, the main page first.
fn pages(command: Command) -> Result<Vec<Page>, CallError> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    add(command, &mut pages)?;
    Ok(pages)
}

fn add(command: Command, pages: &mut Vec<Page>) -> Result<(), CallError> {
    let subcommands: Vec<Command> = command.get_subcommands().cloned().collect();
    let man = Man::new(command);
    let mut text = Vec::new();
    man.render(&mut text).map_err(|error| CallError::bug(error.to_string()))?;
    let text = String::from_utf8(text).map_err(|error| CallError::bug(error.to_string()))?;
    pages.push(Page { file: man.get_filename(), text });
    subcommands.into_iter().try_for_each(|subcommand| add(subcommand, pages))
}

#[cfg(test)]
mod tests {
    use super::{super::args::Cli, *};
    use clap::CommandFactory as _;

    #[test]
    fn every_command_has_a_page_with_its_options() {
        let pages = pages(Cli::command()).unwrap();
        let of = |file: &str| &pages.iter().find(|page| page.file == file).unwrap().text;
        let main = &pages[0];
        assert_eq!(main.file, "provisioner.1");
        assert!(
            main.text.contains("Exit codes:") && main.text.contains("provisioner\\-plan"),
            "{}",
            main.text
        );
        assert!(of("provisioner-plan.1").contains("\\-\\-detailed\\-exitcode"));
        assert!(of("provisioner-plan.1").contains("\\-\\-stack"), "global options are on each page");
        assert!(of("provisioner-state-rollback.1").contains("provisioner\\-state\\-rollback"));
        let mut names: Vec<&str> = pages.iter().map(|page| page.file.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), pages.len());
    }
}
