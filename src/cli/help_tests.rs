//! The text of `--help` and of the exit codes as snapshots, so that a changed word shows in review.

use super::{
    args::Cli,
    exit::{CODES, Exit},
};
use clap::{Command, CommandFactory as _};

/// The number of columns that help is wrapped to.
const WIDTH: usize = 100;

/// Returns the words of `command` and of all its subcommands, parents first.
fn commands(command: &Command, words: &[String]) -> Vec<Vec<String>> {
    let mut all = vec![words.to_vec()];
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        all.extend(commands(sub, &[words, &[sub.get_name().to_owned()]].concat()));
    }
    all
}

#[test]
fn help() {
    let cli = Cli::command().term_width(WIDTH);
    let mut text = String::new();
    for words in commands(&cli, &["provisioner".to_owned()]) {
        let asked = words.iter().cloned().chain(["--help".to_owned()]);
        let help = cli.clone().try_get_matches_from(asked).unwrap_err().render();
        text.push_str(&format!("$ {} --help\n{help}\n", words.join(" ")));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn exit_codes() {
    let exits = [
        Exit::Done,
        Exit::Failed,
        Exit::Changes,
        Exit::Invalid,
        Exit::Locked,
        Exit::Interrupted,
        Exit::Partial,
        Exit::Denied,
    ];
    let explained = CODES.lines().skip(1).map(|line| line.trim().split_once("  ").unwrap().0);
    assert_eq!(explained.collect::<Vec<_>>(), exits.map(|exit| exit.code().to_string()));
    insta::assert_snapshot!(CODES);
}
