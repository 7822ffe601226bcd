//! Reads a Dockerfile without running it: the settings, files and packages of the image that its last stage describes.
//! Source: <https://docs.docker.com/reference/dockerfile/>

use super::{
    Refusal,
    base_reference::is_python,
    copy_instruction,
    file_tree::{FileOwner, is_system_folder},
    lexer::{Instruction, instructions, words},
    packages::{Install, Packages, Requirements},
    run_instruction,
    stage_state::{StageInputs, StageState},
};
use std::collections::BTreeMap;

/// Folder of packages, from which earlier versions of this program copied the wheels of `requirements.txt`.
pub const SITE: &str = "app/site-packages";
/// Label that names the Python version of the wheels if no stage does.
pub const PYTHON: &str = "provisioner.python";
/// Images that hold only uv, which is not run.
const UV_IMAGE: &str = "astral-sh/uv";

/// Reads a Dockerfile. `requirements` is the text of `requirements.txt`, for stages that are not described.
///
/// # Errors
/// Returns all lines that cannot be followed.
pub fn read<'a>(
    text: &str,
    inputs: StageInputs<'a>,
    requirements: Option<&str>,
) -> Result<StageState<'a>, Vec<Refusal>> {
    let all = instructions(text).map_err(|refusal| vec![refusal])?;
    let mut reader =
        Reader { stages: Vec::new(), globals: BTreeMap::new(), inputs, requirements, refusals: Vec::new() };
    for one in all {
        match (one.name.as_str(), reader.stages.is_empty()) {
            ("ARG", true) => reader.global(&one),
            ("FROM", _) => reader.stages.push(vec![one]),
            (_, true) => reader.refusals.push(
                Refusal::new(one.line, "no FROM instruction")
                    .hint("begin the file with `FROM python:3.13-slim`"),
            ),
            _ => reader.stages.last_mut().into_iter().for_each(|stage| stage.push(one.clone())),
        }
    }
    let Some(last) = reader.stages.len().checked_sub(1) else {
        let first = reader.refusals.into_iter().next();
        let hint = "begin the file with `FROM python:3.13-slim`";
        return Err(vec![first.unwrap_or_else(|| Refusal::new(1, "no FROM instruction").hint(hint))]);
    };
    let line = reader.stages.last().and_then(|stage| stage.first()).map_or(1, |one| one.line);
    let state = reader.stage(last, true);
    let mut refusals = reader.refusals;
    if let Some(mut state) = state {
        finish(&mut state, line, &mut refusals);
        if refusals.is_empty() {
            return Ok(state);
        }
    }
    refusals.sort_by(|a, b| (a.line, &a.what).cmp(&(b.line, &b.what)));
    refusals.dedup();
    Err(refusals)
}

fn finish(state: &mut StageState<'_>, line: usize, refusals: &mut Vec<Refusal>) {
    if state.settings.entrypoint.is_none() && state.settings.cmd.is_none() {
        let hint = "add `CMD [\"python\", \"-m\", \"...\"]`";
        refusals.push(Refusal::new(line, "the last stage has no ENTRYPOINT and no CMD").hint(hint));
    }
    if let Some(python) = state.settings.labels.get(PYTHON).filter(|python| is_python(python)) {
        for packages in &mut state.packages {
            packages.python = Some(python.clone());
        }
    }
    if !state.facts.shell {
        let shell = |words: &Option<Vec<String>>| {
            words.as_ref().and_then(|words| words.first()).is_some_and(|first| first == "/bin/sh")
        };
        if shell(&state.settings.cmd) || shell(&state.settings.entrypoint) {
            let what = "the image has no shell, which CMD and ENTRYPOINT in shell form need";
            refusals.push(Refusal::new(line, what).hint("write them as JSON lists: `CMD [\"-m\", \"...\"]`"));
        }
    }
}

struct Reader<'a, 'b> {
    stages: Vec<Vec<Instruction>>,
    /// Values of the ARG lines before the first stage.
    globals: BTreeMap<String, String>,
    inputs: StageInputs<'a>,
    requirements: Option<&'b str>,
    refusals: Vec<Refusal>,
}

impl<'a> Reader<'a, '_> {
    fn global(&mut self, one: &Instruction) {
        let globals = self.globals.clone();
        match words(one.line, &one.rest, &|name| globals.get(name).cloned()) {
            Ok(all) => self.globals.extend(
                all.iter()
                    .filter_map(|word| word.split_once('='))
                    .map(|(name, value)| (name.to_owned(), value.to_owned())),
            ),
            Err(refusal) => self.refusals.push(refusal),
        }
    }

    /// Follows the stage with this index, and those that it needs.
    fn stage(&mut self, index: usize, is_final: bool) -> Option<StageState<'a>> {
        let instructions = self.stages.get(index).cloned().unwrap_or_default();
        let mut all = instructions.iter();
        let from = all.next()?;
        let mut state = match self.from(from, index, is_final) {
            Ok(state) => state,
            Err(refusal) => {
                self.refusals.push(refusal);
                return None;
            }
        };
        state.is_final = is_final;
        for one in all {
            let done = if matches!(one.name.as_str(), "COPY" | "ADD") {
                self.copy(&mut state, one, index)
            } else {
                instruction(&mut state, one, &self.globals)
            };
            self.refusals.extend(done.err());
        }
        Some(state)
    }

    fn from(&mut self, one: &Instruction, index: usize, is_final: bool) -> Result<StageState<'a>, Refusal> {
        let globals = self.globals.clone();
        // The platform is that of the image, whatever a build would run on.
        let text: Vec<&str> = one.rest.split_whitespace().filter(|word| !word.starts_with("--")).collect();
        let image =
            words(one.line, text.first().copied().unwrap_or_default(), &|name| globals.get(name).cloned())?
                .concat();
        if let Some(earlier) = self.find(&image, index) {
            let state = self.stage(earlier, is_final);
            return state.map(|state| StageState { args: BTreeMap::new(), ..state }).ok_or_else(|| {
                Refusal::new(one.line, format!("stage `{image}` cannot be built")).hint(super::TWO_WAYS)
            });
        }
        if image.is_empty() || image == "scratch" {
            return Err(
                Refusal::new(one.line, format!("unsupported base image `{image}`")).hint(super::TWO_WAYS)
            );
        }
        Ok(StageState::new(self.inputs, &image))
    }

    /// Returns the index of a stage before `before`, by its name or number.
    fn find(&self, name: &str, before: usize) -> Option<usize> {
        let stages = self.stages.iter().take(before).enumerate();
        let found = stages.filter(|(index, stage)| {
            let mut words =
                stage.first().map(|from| from.rest.as_str()).unwrap_or_default().split_whitespace().rev();
            let own = words.next().zip(words.next()).filter(|(_, r#as)| r#as.eq_ignore_ascii_case("as"));
            index.to_string() == name || own.is_some_and(|(own, _)| own.eq_ignore_ascii_case(name))
        });
        found.map(|(index, _)| index).next_back()
    }

    fn copy(&mut self, state: &mut StageState<'a>, one: &Instruction, index: usize) -> Result<(), Refusal> {
        let arguments = copy_instruction::arguments(state, one.line, &one.name, &one.rest)?;
        let Some(from) = &arguments.from else {
            return copy_instruction::from_context(state, one.line, &arguments);
        };
        let Some(earlier) = self.find(from, index) else {
            if from.contains(UV_IMAGE) {
                return Ok(());
            }
            return Err(Refusal::new(one.line, format!("COPY from the image `{from}`")).hint(super::TWO_WAYS));
        };
        let before = self.refusals.len();
        let Some(stage) = self.stage(earlier, false) else { return Ok(()) };
        // A stage of another tool that only makes the wheels of requirements.txt need not be understood.
        if arguments.is_exactly(state, SITE)
            && stage.tree.at(SITE).next().is_none()
            && stage.packages.is_empty()
        {
            self.refusals.truncate(before);
            return self.wheels(state, &stage, one.line, from);
        }
        copy_instruction::from_stage(state, &stage, one.line, &arguments)
    }

    /// Adds the packages of `requirements.txt` in `/app/site-packages`.
    fn wheels(
        &self,
        state: &mut StageState<'_>,
        stage: &StageState<'_>,
        line: usize,
        from: &str,
    ) -> Result<(), Refusal> {
        let labelled = self.stages.last().into_iter().flatten().filter(|one| one.name == "LABEL");
        let labelled = labelled.filter(|one| one.rest.contains(PYTHON)).count() > 0;
        let python = stage.python();
        if python.is_none() && !labelled {
            let hint = format!(
                "copy the wheels from a `FROM python:3.13...` stage, or add `LABEL {PYTHON}=\"3.13\"`"
            );
            return Err(Refusal::new(line, format!("unknown Python version of stage `{from}`")).hint(hint));
        }
        let text = self.requirements.ok_or_else(|| {
            Refusal::new(line, "requirements.txt: not found")
                .hint("list the wheels that the Dockerfile copies in `requirements.txt`")
        })?;
        let requirements = Requirements {
            file: "requirements.txt".to_owned(),
            text: text.to_owned(),
            ..Requirements::default()
        };
        state.packages.push(Packages {
            base: stage.settings.base.clone(),
            python,
            musl: stage.facts.musl,
            site: Some(SITE.to_owned()),
            scripts: None,
            interpreter: "/usr/bin/python3".to_owned(),
            installs: vec![Install::Requirements(requirements)],
        });
        Ok(())
    }
}

/// Follows an instruction that is neither FROM nor COPY.
fn instruction(
    state: &mut StageState<'_>,
    one: &Instruction,
    globals: &BTreeMap<String, String>,
) -> Result<(), Refusal> {
    let Instruction { line, name, rest } = one;
    let line = *line;
    let all = |state: &StageState<'_>| words(line, rest, &|name| state.variable(name));
    match name.as_str() {
        "ARG" => {
            for word in all(state)? {
                let (name, value) = match word.split_once('=') {
                    Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                    None => (word.clone(), globals.get(&word).cloned()),
                };
                state.args.extend(value.map(|value| (name, value)));
            }
        }
        "ENV" => {
            for (name, value) in pairs(line, rest, &all(state)?, true)? {
                state.settings.set_variable(name, value);
            }
        }
        "LABEL" => state.settings.labels.extend(pairs(line, rest, &all(state)?, false)?),
        "EXPOSE" => {
            for port in all(state)? {
                state.settings.ports.insert(port_of(line, &port)?);
            }
        }
        "USER" => {
            let user = one_word(line, rest, &all(state)?)?;
            let owner = state.accounts.find(&user);
            let is_number = user.split(':').all(|part| part.parse::<u32>().is_ok());
            // Kubernetes can only verify by the number that a user is not root.
            state.settings.user = Some(match owner {
                Some(owner) if !is_number => format!("{}:{}", owner.uid, owner.gid),
                _ => user,
            });
            state.user = owner.unwrap_or_default();
        }
        "WORKDIR" => {
            let folder = one_word(line, rest, &all(state)?)?;
            state.workdir = state.path(&folder);
            state.settings.folder = Some(format!("/{}", state.workdir));
            let folder = state.workdir.clone();
            if !is_system_folder(&folder) {
                state.tree.folder(&folder, FileOwner::default());
            }
        }
        "ENTRYPOINT" => {
            let program = program(state, line, rest)?;
            state.settings.entrypoint = Some(program);
        }
        "CMD" => state.settings.cmd = Some(program(state, line, rest)?),
        "SHELL" => {
            let shell = serde_json::from_str::<Vec<String>>(rest).ok().filter(|shell| !shell.is_empty());
            state.shell = shell.ok_or_else(|| {
                Refusal::new(line, format!("SHELL is not a JSON list of strings (`{rest}`)"))
            })?;
        }
        "STOPSIGNAL" => state.settings.stop_signal = Some(one_word(line, rest, &all(state)?)?),
        "VOLUME" => {
            let paths = serde_json::from_str::<Vec<String>>(rest).map_or_else(|_| all(state), Ok)?;
            state.settings.volumes.extend(paths);
        }
        // Kubernetes has probes of its own.
        "HEALTHCHECK" | "MAINTAINER" => {}
        "RUN" => run_instruction::run(state, line, rest)?,
        _ => return Err(Refusal::new(line, format!("unsupported instruction {name}")).hint(super::TWO_WAYS)),
    }
    Ok(())
}

/// Parses `A=b C="d e"` or, for ENV only, `A b`.
fn pairs(line: usize, rest: &str, words: &[String], env: bool) -> Result<Vec<(String, String)>, Refusal> {
    let pair = |word: &String| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    let found: Option<Vec<_>> = words.iter().map(pair).collect();
    let old = words.split_first().filter(|(name, value)| env && !name.contains('=') && !value.is_empty());
    match (found, old) {
        (Some(found), _) if !found.is_empty() && found.iter().all(|(name, _)| !name.is_empty()) => Ok(found),
        (_, Some((name, value))) => Ok(vec![(name.clone(), value.join(" "))]),
        _ => Err(Refusal::new(line, format!("expected NAME=VALUE (`{rest}`)"))),
    }
}

fn one_word(line: usize, rest: &str, words: &[String]) -> Result<String, Refusal> {
    match words {
        [one] if !one.is_empty() => Ok(one.clone()),
        _ => Err(Refusal::new(line, format!("expected one value (`{rest}`)"))),
    }
}

fn port_of(line: usize, port: &str) -> Result<String, Refusal> {
    let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
    match number.parse::<u16>() {
        Ok(number) if number > 0 && ["tcp", "udp", "sctp"].contains(&protocol) => {
            Ok(format!("{number}/{protocol}"))
        }
        _ => {
            let what = format!("invalid port `{port}` (min 1, max 65535, protocol tcp, udp or sctp)");
            Err(Refusal::new(line, what).hint("write `EXPOSE 8000`"))
        }
    }
}

/// Returns a program and its arguments: those of a JSON list, or the shell with the text.
fn program(state: &StageState<'_>, line: usize, rest: &str) -> Result<Vec<String>, Refusal> {
    if let Ok(list) = serde_json::from_str::<Vec<String>>(rest) {
        if list.is_empty() || list.iter().any(|word| word.contains('\0')) {
            return Err(Refusal::new(line, format!("empty list of arguments (`{rest}`)")));
        }
        return Ok(super::run_prefix::without(state, &list));
    }
    if rest.is_empty() || rest.contains('\0') {
        return Err(Refusal::new(line, "no command"));
    }
    let mut shell = state.shell.clone();
    shell.push(super::run_prefix::without_in_text(state, rest));
    Ok(shell)
}

#[cfg(test)]
mod tests;
