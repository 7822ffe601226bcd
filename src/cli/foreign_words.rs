//! Commands and options of other tools, and what they are called here. Without it, the most similar word is suggested, which
//! for `destroy` is `deploy`.

use clap::error::{ContextKind, ContextValue};

const COMMANDS: &[(&[&str], &str)] = &[
    (
        &["apply", "create", "install", "upgrade", "sync"],
        "to create or update the stack, run `provisioner up`",
    ),
    (&["destroy", "delete", "remove", "uninstall"], "to remove the stack, run `provisioner down`"),
    (&["diff", "preview"], "to see what `up` would change, run `provisioner plan`"),
    (
        &["output", "outputs", "show"],
        "to see the stack, run `provisioner status`, with `--json` for programs",
    ),
    (&["import"], "to take a resource that exists into the state, run `provisioner state import`"),
    (&["lint", "check"], "to check the stack file, run `provisioner validate`"),
    (&["version"], "to see the version, run `provisioner --version`"),
    (&["completion"], "to write completions for a shell, run `provisioner completions`"),
];

const OPTIONS: &[(&[&str], &str)] = &[
    (&["-y", "--auto-approve", "--approve"], "to run without questions, pass `--yes`"),
    (&["-o", "--output"], "to get JSON, pass `--json`"),
    (&["-f", "--file", "--config-file"], "to name the stack file, pass `--stack FILE`"),
];

/// Replaces the suggestions of an error about a word that other tools use.
pub fn advise(error: &mut clap::Error) {
    let written = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word.clone()),
        _ => None,
    };
    let advice = written(ContextKind::InvalidSubcommand)
        .and_then(|word| here(COMMANDS, &word))
        .or_else(|| written(ContextKind::InvalidArg).and_then(|word| here(OPTIONS, &word)));
    if let Some(advice) = advice {
        error.remove(ContextKind::SuggestedSubcommand);
        error.remove(ContextKind::SuggestedArg);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![advice.into()]));
    }
}

fn here(words: &[(&[&str], &'static str)], written: &str) -> Option<&'static str> {
    words.iter().find(|(theirs, _)| theirs.contains(&written)).map(|(_, advice)| *advice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Cli;
    use clap::{CommandFactory as _, Parser as _};

    fn said(arguments: &[&str]) -> String {
        let mut error = Cli::try_parse_from([&["provisioner"], arguments].concat()).unwrap_err();
        advise(&mut error);
        error.render().to_string()
    }

    #[test]
    fn destroy_is_down_and_never_deploy() {
        let text = said(&["destroy"]);
        assert!(text.contains("tip: to remove the stack, run `provisioner down`"), "{text}");
        assert!(!text.contains("deploy"), "{text}");
    }

    #[test]
    fn options_of_other_tools_are_told_as_options() {
        for (arguments, advice) in
            [(["up", "-y"], "`--yes`"), (["up", "--auto-approve"], "`--yes`"), (["plan", "-o"], "`--json`")]
        {
            let text = said(&arguments);
            assert!(text.contains(advice) && !text.contains("as a value"), "{text}");
        }
    }

    #[test]
    fn other_mistakes_keep_their_suggestion() {
        assert!(said(&["statu"]).contains("'status'"));
    }

    #[test]
    fn no_word_is_a_command_of_the_program() {
        let cli = Cli::command();
        for word in COMMANDS.iter().flat_map(|(words, _)| *words) {
            assert!(cli.find_subcommand(word).is_none(), "{word}");
        }
    }
}
