//! The Python packages of an image: what installs them, and where they lie.

use super::{
    ImagePlatform, Refusal,
    image_pins::{ImagePins, ResolveRequest},
    lock_files::LockFile,
    requirements,
};
use std::path::Path;

/// What one command installs.
#[derive(Clone, Debug, PartialEq)]
pub enum Install {
    /// Requirements in the form of a requirements file.
    Requirements(Requirements),
    /// What a lock file names.
    Lock(LockFile),
}

/// Requirements of one command, with the files that they include.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Requirements {
    /// Path of the first file in the context, for messages; empty for requirements of the Dockerfile.
    pub file: String,
    /// The requirements, one a line.
    pub text: String,
    /// The constraints, one a line.
    pub constraints: String,
    /// Options of pip that say where packages come from.
    pub options: Vec<String>,
    /// Whether the dependencies of the requirements are not installed.
    pub no_deps: bool,
}

impl Requirements {
    /// Returns whether these are the hashed requirements of one file, as they stand in it.
    pub fn is_plain(&self) -> bool {
        self.file == "requirements.txt" && self.constraints.is_empty() && self.is_locked()
    }

    /// Returns whether each requirement has a hash, so that nothing is left to resolve.
    fn is_locked(&self) -> bool {
        let lines: Vec<String> = requirements::lines(&self.text).into_iter().map(|(_, line)| line).collect();
        lines.iter().all(|line| line.contains("--hash="))
    }
}

/// Packages in an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Packages {
    /// Base image of the stage that installs them.
    pub base: String,
    /// Python version of that stage, if it is known.
    pub python: Option<String>,
    /// Whether the C library of that stage is musl.
    pub musl: bool,
    /// Folder that Python imports from, without a `/` at the beginning; `None` if the image has none of it.
    pub site: Option<String>,
    /// Folder of console scripts; `None` if the image has none of it.
    pub scripts: Option<String>,
    /// Interpreter that runs the scripts.
    pub interpreter: String,
    /// What is installed.
    pub installs: Vec<Install>,
}

/// The packages of one platform: each with version and hashes, or what must be resolved first.
pub enum Pinned {
    /// `name==version --hash=...` in each line, sorted; and those of them that pins gave, by their keys.
    Lines(Vec<String>, Vec<(String, Vec<String>)>),
    /// Not all are pinned.
    Missing(ResolveRequest),
}

impl Packages {
    /// Returns the packages for `python` on `platform`.
    ///
    /// # Errors
    /// Fails if a lock file or a hashed requirements file is invalid.
    pub fn pinned(
        &self,
        python: &str,
        platform: ImagePlatform,
        pins: &ImagePins,
    ) -> Result<Pinned, crate::model::CallError> {
        let (mut lines, mut open) = (Vec::new(), Requirements::default());
        let mut open_count = 0_usize;
        for install in &self.installs {
            match install {
                Install::Lock(lock) => {
                    let at = |refusal: Refusal| refusal.at(Path::new(&lock.file));
                    lines.extend(lock.lines(python, platform).map_err(at)?);
                }
                Install::Requirements(one) if one.is_locked() => {
                    let file = if one.file.is_empty() { "Dockerfile" } else { &one.file };
                    lines.extend(
                        requirements::read(&one.text, python, platform)
                            .map_err(|refusal| refusal.at(Path::new(file)))?,
                    );
                }
                Install::Requirements(one) => {
                    open_count = open_count.saturating_add(1);
                    for (to, from) in [(&mut open.text, &one.text), (&mut open.constraints, &one.constraints)]
                    {
                        to.push_str(from);
                        if !to.is_empty() && !to.ends_with('\n') {
                            to.push('\n');
                        }
                    }
                    for option in &one.options {
                        if !open.options.contains(option) {
                            open.options.push(option.clone());
                        }
                    }
                    // Of several commands, one that installs dependencies installs them for all.
                    open.no_deps = one.no_deps && (open_count == 1 || open.no_deps);
                    if open.file.is_empty() {
                        open.file.clone_from(&one.file);
                    }
                }
            }
        }
        let mut used = Vec::new();
        if open_count > 0 {
            let request = ResolveRequest {
                file: open.file,
                text: open.text,
                constraints: open.constraints,
                options: open.options,
                no_deps: open.no_deps,
                python: python.to_owned(),
                platform,
                musl: self.musl,
            };
            let key = request.key();
            let Some(pinned) = pins.packages.get(&key) else { return Ok(Pinned::Missing(request)) };
            lines.extend(pinned.iter().cloned());
            used.push((key, pinned.clone()));
        }
        lines.sort();
        lines.dedup();
        Ok(Pinned::Lines(lines, used))
    }
}
