//! `completions`: completion scripts for shells.

use super::exit::{CommandError, Exit};
use crate::{model::CallError, ui::Ui};
use clap::Command;
use clap_complete::Shell;

/// The part of the help that says where each shell looks for completion scripts.
/// Source: the manuals of the shells: <https://github.com/scop/bash-completion#faq>,
/// <https://zsh.sourceforge.io/Doc/Release/Completion-System.html>,
/// <https://fishshell.com/docs/current/completions.html#where-to-put-completions>.
const INSTALLATION: &str = "\
Examples:
  bash        provisioner completions bash > ~/.local/share/bash-completion/completions/provisioner
  zsh         provisioner completions zsh > DIR/_provisioner, with DIR in `fpath`
  fish        provisioner completions fish > ~/.config/fish/completions/provisioner.fish
  powershell  provisioner completions powershell >> $PROFILE
  elvish      provisioner completions elvish >> ~/.config/elvish/rc.elv";

/// Print the completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = INSTALLATION)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

/// Prints the script for `command`, the whole command line.
pub fn run(args: &CompletionsArgs, command: Command, ui: Ui) -> Result<Exit, CommandError> {
    ui.document(script(args.shell, command)?.trim_end());
    Ok(Exit::Done)
}

fn script(shell: Shell, mut command: Command) -> Result<String, CallError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "provisioner", &mut script);
    String::from_utf8(script).map_err(|error| CallError::bug(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::{super::args::Cli, *};
    use clap::{CommandFactory as _, ValueEnum as _};

    #[test]
    fn each_shell_completes_every_command_and_option() {
        let shells = Shell::value_variants();
        assert_eq!(shells.len(), 5);
        for shell in shells {
            let script = script(*shell, Cli::command()).unwrap();
            for command in Cli::command().get_subcommands() {
                assert!(script.contains(command.get_name()), "{shell}: {}", command.get_name());
                for option in command.get_arguments().filter_map(clap::Arg::get_long) {
                    assert!(script.contains(option), "{shell}: {} --{option}", command.get_name());
                }
            }
        }
    }
}
