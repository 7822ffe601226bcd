//! Commands that begin with `uv run` or `poetry run`: the image has neither tool, only the environment that it would use.

use super::stage_state::StageState;

/// Options of `uv run` that say nothing about the program.
const OPTIONS: &[&str] =
    &["--frozen", "--no-sync", "--no-dev", "--locked", "--no-cache", "--offline", "--quiet", "-q", "--"];

/// Returns the words of a command without `uv run` or `poetry run`, with the path of the environment's program.
pub fn without(state: &StageState<'_>, words: &[String]) -> Vec<String> {
    let is_prefix = matches!(words, [tool, run, ..] if (tool == "uv" || tool == "poetry") && run == "run");
    let rest: Vec<String> =
        words.iter().skip(2).skip_while(|word| OPTIONS.contains(&word.as_str())).cloned().collect();
    let (true, Some((program, arguments))) = (is_prefix, rest.split_first()) else { return words.to_vec() };
    let mut found = vec![in_environment(state, program)];
    found.extend(arguments.iter().cloned());
    found
}

/// Does the same with a command of a shell.
pub fn without_in_text(state: &StageState<'_>, text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (tool, rest) = match words.as_slice() {
        [tool @ ("uv" | "poetry"), "run", rest @ ..] => (*tool, rest),
        _ => return text.to_owned(),
    };
    let skipped = rest.iter().take_while(|word| OPTIONS.contains(word)).count();
    let Some(program) = rest.get(skipped) else { return text.to_owned() };
    let Some(at) = text.find(tool).and_then(|_| text.find(program)) else { return text.to_owned() };
    let after = text.get(at.saturating_add(program.len())..).unwrap_or_default();
    format!("{}{after}", in_environment(state, program))
}

/// Returns the path of a program in the environment of the working directory, if that has one.
fn in_environment(state: &StageState<'_>, program: &str) -> String {
    let named = state.variable("UV_PROJECT_ENVIRONMENT").unwrap_or_else(|| ".venv".to_owned());
    let venv = state.path(&named);
    match state.venvs.contains(&venv) && !program.contains('/') {
        true => format!("/{venv}/bin/{program}"),
        false => program.to_owned(),
    }
}
