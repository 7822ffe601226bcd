//! Reads the last stage of an application's Dockerfile, as far as it can be built without running anything: a
//! base image by digest, settings, the wheels of `requirements.txt` in `/app/site-packages` and the build
//! context in `/app`.

use super::{
    Refusal,
    lexer::{Instruction, instructions, words},
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Folder of the image that receives the build context.
pub const HOME: &str = "app";
/// Folder of the image that receives the wheels.
pub const SITE: &str = "app/site-packages";
/// Label that names the Python version of the wheels if no stage does.
pub const PYTHON: &str = "provisioner.python";

/// Content and settings of an image, as the last stage of its Dockerfile describes them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct BuildStage {
    /// The base image, with its digest.
    pub base: String,
    /// Python version of the wheels (`3.13`); `None` if the stage copies no wheels.
    pub python: Option<String>,
    /// Environment variables, in the order of their lines.
    pub env: Vec<(String, String)>,
    /// Labels of the image, values by names.
    pub labels: BTreeMap<String, String>,
    /// Exposed ports, such as `8000/tcp`.
    pub ports: BTreeSet<String>,
    /// User that runs the program, and its group if given: `65532:65532`.
    pub user: Option<String>,
    /// Working directory, absolute.
    pub folder: Option<String>,
    /// Program and its first arguments, from ENTRYPOINT.
    pub entrypoint: Option<Vec<String>>,
    /// Further arguments, from CMD.
    pub cmd: Option<Vec<String>>,
    /// Signal that stops the program.
    pub stop_signal: Option<String>,
}

/// Reads the last stage of a Dockerfile.
///
/// # Errors
/// Fails on an instruction that cannot be built without running something, and on invalid syntax.
pub fn read(text: &str) -> Result<BuildStage, Refusal> {
    let all = instructions(text)?;
    let is_from = |one: &Instruction| one.name == "FROM";
    let Some(start) = all.iter().rposition(is_from) else {
        return Err(
            Refusal::new(1, "no FROM instruction").hint("begin the file with `FROM NAME:TAG@sha256:...`")
        );
    };
    let (before, last) = all.split_at(start);
    let mut reader =
        Reader { before, stage: BuildStage::default(), source: false, wheels: None, workdir: "/".to_owned() };
    for one in last {
        reader.take(one)?;
    }
    reader.end(last.first().map_or(1, |one| one.line))
}

struct Reader<'a> {
    before: &'a [Instruction],
    stage: BuildStage,
    /// Whether the stage copies the build context.
    source: bool,
    /// The stage that the wheels are copied from, and the line of the COPY.
    wheels: Option<(String, usize)>,
    workdir: String,
}

impl Reader<'_> {
    fn take(&mut self, one: &Instruction) -> Result<(), Refusal> {
        let Instruction { line, name, rest } = one;
        match name.as_str() {
            "FROM" => self.stage.base = base(*line, rest)?,
            "ENV" => {
                for (name, value) in pairs(*line, rest, true)? {
                    self.stage.env.retain(|(other, _)| *other != name);
                    self.stage.env.push((name, value));
                }
            }
            "LABEL" => self.stage.labels.extend(pairs(*line, rest, false)?),
            "EXPOSE" => {
                for port in words(*line, rest)? {
                    self.stage.ports.insert(port_of(*line, &port)?);
                }
            }
            "USER" => self.stage.user = Some(one_word(*line, rest)?),
            "WORKDIR" => {
                let folder = one_word(*line, rest)?;
                self.workdir = joined(&self.workdir, &folder);
                self.stage.folder = Some(self.workdir.clone());
            }
            "ENTRYPOINT" => {
                self.stage.entrypoint = Some(exec(*line, name, rest)?);
            }
            "CMD" => self.stage.cmd = Some(exec(*line, name, rest)?),
            "STOPSIGNAL" => self.stage.stop_signal = Some(one_word(*line, rest)?),
            "COPY" => self.copy(*line, rest)?,
            _ => {
                return Err(Refusal::new(*line, format!("unsupported instruction {name} in the last stage"))
                    .hint("set `builder: dockerfile`, or move the instruction to an earlier stage"));
            }
        }
        Ok(())
    }

    fn copy(&mut self, line: usize, rest: &str) -> Result<(), Refusal> {
        let refused = || {
            Refusal::new(line, format!("unsupported instruction `COPY {rest}` in the last stage")).hint(
                "set `builder: dockerfile`, or use only `COPY . /app` and \
                `COPY --from=STAGE /app/site-packages /app/site-packages`",
            )
        };
        let (mut from, mut places) = (None, Vec::new());
        for word in words(line, rest)? {
            match word.split_once('=') {
                Some(("--from", stage)) => from = Some(stage.to_owned()),
                // Changes how the layer is stacked, not which files it has.
                _ if word == "--link" || word == "--link=true" || word == "--link=false" => {}
                _ if word.starts_with("--") => return Err(refused()),
                _ => places.push(word),
            }
        }
        let [source, target] = places.as_slice() else { return Err(refused()) };
        let target = joined(&self.workdir, target);
        match from {
            Some(stage) if joined("/", source) == format!("/{SITE}") && target == format!("/{SITE}") => {
                self.wheels = Some((stage, line));
            }
            None if joined("/", source) == "/" && target == format!("/{HOME}") => self.source = true,
            _ => return Err(refused()),
        }
        Ok(())
    }

    fn end(mut self, line: usize) -> Result<BuildStage, Refusal> {
        if !self.source {
            return Err(Refusal::new(line, "the last stage does not copy the application")
                .hint("add `COPY . /app`, and list files to leave out in .dockerignore"));
        }
        if self.stage.entrypoint.is_none() && self.stage.cmd.is_none() {
            return Err(Refusal::new(line, "the last stage has no ENTRYPOINT and no CMD")
                .hint("add `ENTRYPOINT [\"/usr/bin/python3\", \"-m\", \"...\"]`"));
        }
        if let Some((stage, line)) = &self.wheels {
            let labelled = self.stage.labels.get(PYTHON).cloned();
            let python = labelled
                .or_else(|| self.python_of(stage))
                .filter(|python| is_python(python))
                .ok_or_else(|| {
                    Refusal::new(*line, format!("unknown Python version of stage `{stage}`")).hint(format!(
                        "copy the wheels from a `FROM python:3.13...` stage, or add `LABEL {PYTHON}=\"3.13\"`"
                    ))
                })?;
            self.stage.python = Some(python);
        }
        Ok(self.stage)
    }

    /// Returns the Python version of an earlier stage, which the tag of its image names: `python:3.13-slim`.
    fn python_of(&self, stage: &str) -> Option<String> {
        let froms = self.before.iter().filter(|one| one.name == "FROM");
        let named = froms.enumerate().filter(|(index, one)| {
            let mut words = one.rest.split_whitespace().rev();
            let name = words.next().zip(words.next()).filter(|(_, r#as)| r#as.eq_ignore_ascii_case("as"));
            index.to_string() == stage || name.is_some_and(|(name, _)| name.eq_ignore_ascii_case(stage))
        });
        let (_, from) = named.last()?;
        let image = from.rest.split_whitespace().find(|word| !word.starts_with("--"))?;
        let image = image.split('@').next()?;
        let (path, tag) = image.rsplit_once(':')?;
        let digits = tag.split(|char: char| !char.is_ascii_digit()).take(2).collect::<Vec<_>>().join(".");
        (path.rsplit('/').next()? == "python").then_some(digits)
    }
}

fn is_python(text: &str) -> bool {
    text.strip_prefix("3.").is_some_and(|minor| minor.parse::<u8>().is_ok_and(|minor| minor >= 8))
}

fn base(line: usize, rest: &str) -> Result<String, Refusal> {
    let mut images = words(line, rest)?.into_iter().filter(|word| !word.starts_with("--"));
    let image = images.next().unwrap_or_default();
    let digest = image.rsplit_once("@sha256:").map(|(_, digest)| digest);
    let sound = digest.is_some_and(|digest| {
        digest.len() == 64 && digest.chars().all(|char| matches!(char, '0'..='9' | 'a'..='f'))
    });
    if sound {
        return Ok(image);
    }
    Err(Refusal::new(line, format!("base image `{image}` is not pinned by its digest"))
        .hint("write `FROM NAME:TAG@sha256:...`: a tag can move to another image"))
}

/// Parses `A=b C="d e"` or, for ENV only, `A b`.
fn pairs(line: usize, rest: &str, env: bool) -> Result<Vec<(String, String)>, Refusal> {
    let words = words(line, rest)?;
    let pair = |word: &String| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    let found: Option<Vec<_>> = words.iter().map(pair).collect();
    let old = words.split_first().filter(|(name, value)| env && !name.contains('=') && !value.is_empty());
    match (found, old) {
        (Some(found), _) if !found.is_empty() && found.iter().all(|(name, _)| !name.is_empty()) => Ok(found),
        (_, Some((name, value))) => Ok(vec![(name.clone(), value.join(" "))]),
        _ => Err(Refusal::new(line, format!("expected NAME=VALUE (`{rest}`)"))),
    }
}

fn one_word(line: usize, rest: &str) -> Result<String, Refusal> {
    match words(line, rest)?.as_slice() {
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
        _ => Err(Refusal::new(
            line,
            format!("invalid port `{port}` (min 1, max 65535, protocol tcp, udp or sctp)"),
        )),
    }
}

fn exec(line: usize, name: &str, rest: &str) -> Result<Vec<String>, Refusal> {
    serde_json::from_str::<Vec<String>>(rest)
        .ok()
        .filter(|list| !list.is_empty() && list.iter().all(|word| !word.contains('\0')))
        .ok_or_else(|| {
            Refusal::new(line, format!("{name} is not a JSON list of strings (`{rest}`)")).hint(format!(
                "write `{name} [\"/usr/bin/python3\", \"-m\", \"...\"]`: the image has no shell"
            ))
        })
}

/// Resolves a path against a folder, without `.` and `..`.
fn joined(folder: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{folder}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match part {
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:4376456c1d8520c9d464f2c475465850efaecabf9a190ff24d4a0eef2b884bea";

    fn stage(rest: &str) -> Result<BuildStage, Refusal> {
        read(&format!("FROM python:3.13-slim@{DIGEST} AS wheels\nRUN pip\nFROM base@{DIGEST}\n{rest}"))
    }

    #[test]
    fn the_last_stage_is_read_in_full() {
        let text = "LABEL a.b=\"c d\" \\\n e=f\nWORKDIR /app\nENV A=1 B=\"2 3\"\nENV A=4\nENV OLD way of it\n\
            COPY --link --from=wheels /app/site-packages ./site-packages/\nCOPY . .\nUSER 65532:65532\nEXPOSE 8000 53/udp\n\
            STOPSIGNAL SIGINT\nENTRYPOINT [\"/usr/bin/python3\"]\nCMD [\"-m\", \"demo\"]\n";
        let found = stage(text).unwrap();
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            found,
            BuildStage {
                base: format!("base@{DIGEST}"),
                python: Some("3.13".to_owned()),
                env: [("B", "2 3"), ("A", "4"), ("OLD", "way of it")]
                    .map(|(a, b)| (a.into(), b.into()))
                    .into(),
                labels: [("a.b", "c d"), ("e", "f")].map(|(a, b)| (a.into(), b.into())).into(),
                ports: ["8000/tcp".to_owned(), "53/udp".to_owned()].into(),
                user: Some("65532:65532".to_owned()),
                folder: Some("/app".to_owned()),
                entrypoint: Some(list(&["/usr/bin/python3"])),
                cmd: Some(list(&["-m", "demo"])),
                stop_signal: Some("SIGINT".to_owned()),
            }
        );
    }

    #[test]
    fn the_python_version_comes_from_the_stage_of_the_wheels_or_the_label() {
        let copy = "COPY . /app\nCMD [\"x\"]\nCOPY --from=";
        let wheels = " /app/site-packages /app/site-packages\n";
        let python = |before: &str, from: &str, after: &str| {
            read(&format!("{before}\nFROM b@{DIGEST}\n{copy}{from}{wheels}{after}")).map(|stage| stage.python)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(python("FROM python:3.12.4-alpine AS w", "w", "").unwrap(), some("3.12"));
        assert_eq!(python("FROM docker.io/library/python:3.14@x as W", "w", "").unwrap(), some("3.14"));
        assert_eq!(python("FROM --platform=linux/amd64 python:3.11", "0", "").unwrap(), some("3.11"));
        assert_eq!(
            python("FROM debian:13 AS w", "w", "LABEL provisioner.python=3.13").unwrap(),
            some("3.13")
        );
        for (before, from) in
            [("FROM debian:13 AS w", "w"), ("FROM python:3 AS w", "w"), ("FROM python:3.13 AS v", "w")]
        {
            assert!(
                python(before, from, "").unwrap_err().what.contains("unknown Python version of stage"),
                "{before}"
            );
        }
        assert_eq!(stage("COPY . /app\nCMD [\"x\"]").unwrap().python, None);
    }

    #[test]
    fn unsupported_instructions_are_reported_with_their_line() {
        let cases = [
            ("RUN pip install x", 4, "RUN in the last stage"),
            ("ADD . /app", 4, "ADD in the last stage"),
            ("HEALTHCHECK NONE", 4, "HEALTHCHECK in the last stage"),
            ("COPY demo /app/demo", 4, "unsupported instruction `COPY "),
            ("COPY --chown=1:1 . /app", 4, "unsupported instruction `COPY "),
            ("COPY . /srv", 4, "unsupported instruction `COPY "),
            ("COPY --from=wheels /usr /usr", 4, "unsupported instruction `COPY "),
            ("\nCMD python -m demo", 5, "CMD is not a JSON list"),
            ("ENTRYPOINT []", 4, "ENTRYPOINT is not a JSON list"),
            ("ENV A=$B", 4, "variables are not supported (`A=$B`)"),
            ("ENV A", 4, "expected NAME=VALUE (`A`)"),
            ("EXPOSE 0", 4, "invalid port `0`"),
            ("EXPOSE 80/http", 4, "invalid port `80/http`"),
            ("USER a b", 4, "expected one value (`a b`)"),
            ("COPY . /app", 3, "no ENTRYPOINT and no CMD"),
            ("CMD [\"x\"]", 3, "does not copy the application"),
        ];
        for (text, line, what) in cases {
            let refusal = stage(text).unwrap_err();
            assert!(refusal.line == line && refusal.what.contains(what), "{text}: {refusal:?}");
        }
        for (text, what) in [
            ("", "no FROM"),
            ("FROM python:3.13", "not pinned"),
            ("FROM x@sha256:abc", "not pinned"),
            ("FROM ${BASE}", "variables"),
        ] {
            assert!(read(text).unwrap_err().what.contains(what), "{text}");
        }
    }
}
