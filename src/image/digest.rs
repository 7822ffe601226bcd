//! What decides an image, in one digest: the files of its context, its settings, and the form of what is made here.
//! Nothing of it differs between machines.

use super::{
    Builder, Platform,
    blob::digest,
    context::{Context, Entry},
    dockerfile::{self, Stage},
    layer::FORM,
    requirements,
};
use crate::model::{Class, Fault};
use serde::Serialize;
use std::path::Path;

/// How many hex digits of the content digest are the image's tag. A tag has 128 characters at most
/// (<https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests>).
const TAG: usize = 32;

/// Where what is to be built is described.
const DOCKERFILE: &str = "Dockerfile";
/// What is to be installed.
const REQUIREMENTS: &str = "requirements.txt";

/// A folder, read: all that is needed to build its image.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Who builds.
    pub builder: Builder,
    /// For which platforms, sorted.
    pub platforms: Vec<Platform>,
    /// The files.
    pub context: Context,
    /// What the daemonless builder follows.
    pub stage: Option<Stage>,
    /// What somebody else's builder follows: the whole Dockerfile.
    pub dockerfile: Option<String>,
    /// The requirements file, where wheels are asked for.
    pub requirements: Option<String>,
    /// The digest of all this: the tag of the image.
    pub tag: String,
}

#[derive(Serialize)]
struct Content<'a> {
    form: u32,
    builder: Builder,
    platforms: &'a [Platform],
    stage: Option<&'a Stage>,
    dockerfile: Option<&'a str>,
    requirements: Option<&'a str>,
    files: Vec<(&'a str, &'static str, &'a str)>,
}

/// Reads a folder.
///
/// # Errors
/// What is not there, cannot be read, or cannot be built so; with file and line.
pub fn survey(folder: &Path, builder: Builder, platforms: &[Platform]) -> Result<Survey, Fault> {
    let context = Context::read(folder)?;
    let mut platforms = platforms.to_vec();
    platforms.sort();
    platforms.dedup();
    if platforms.is_empty() {
        return Err(Fault::bug("an image for no platform"));
    }
    let path = folder.join(DOCKERFILE);
    let text = read(&path, "an application's folder has a Dockerfile")?;
    let mut survey = Survey {
        builder,
        platforms,
        context,
        stage: None,
        dockerfile: None,
        requirements: None,
        tag: String::new(),
    };
    if builder == Builder::Python {
        let stage = dockerfile::read(&text).map_err(|refusal| refusal.at(&path))?;
        if let Some(python) = &stage.python {
            let path = folder.join(REQUIREMENTS);
            let text = read(&path, "the Dockerfile copies wheels, and this file says which")?;
            for platform in &survey.platforms {
                requirements::read(&text, python, *platform).map_err(|refusal| refusal.at(&path))?;
            }
            survey.requirements = Some(text);
        }
        // Comments and earlier stages decide nothing here.
        survey.stage = Some(stage);
    } else {
        survey.dockerfile = Some(text);
    }
    let files = survey.context.entries.iter().map(|(path, entry)| match entry {
        Entry::File { executable: true, hash, .. } => (path.as_str(), "755", hash.as_str()),
        Entry::File { hash, .. } => (path.as_str(), "644", hash.as_str()),
        Entry::Link { target } => (path.as_str(), "link", target.as_str()),
    });
    let content = Content {
        form: FORM,
        builder,
        platforms: &survey.platforms,
        stage: survey.stage.as_ref(),
        dockerfile: survey.dockerfile.as_deref(),
        requirements: survey.requirements.as_deref(),
        files: files.collect(),
    };
    let bytes = serde_json::to_vec(&content).map_err(|error| Fault::bug(error.to_string()))?;
    survey.tag = digest(&bytes).trim_start_matches("sha256:").chars().take(TAG).collect();
    Ok(survey)
}

fn read(path: &Path, why: &str) -> Result<String, Fault> {
    std::fs::read_to_string(path)
        .map_err(|error| Fault::new(Class::Refused, format!("{}: {error}", path.display())).hint(why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        collections::BTreeSet,
        fs,
        os::unix::fs::{PermissionsExt as _, symlink},
    };

    const FILE: &str = "FROM b@sha256:4376456c1d8520c9d464f2c475465850efaecabf9a190ff24d4a0eef2b884bea\nENV A=1\nCOPY . /app\nCMD [\"x\"]\n";

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("Dockerfile"), FILE).unwrap();
        fs::write(folder.path().join("main.py"), "one").unwrap();
        folder
    }

    fn tag(folder: &Path) -> String {
        survey(folder, Builder::Python, &[Platform::Amd64]).unwrap().tag
    }

    #[test]
    fn what_decides_the_image_decides_the_digest_and_nothing_else() {
        let home = folder();
        let at = home.path();
        let first = tag(at);
        assert!(first.len() == 32 && first.chars().all(|char| char.is_ascii_hexdigit()), "{first}");
        // Another folder, other modes but for the owner's bit, another time.
        let other = folder();
        fs::set_permissions(other.path().join("main.py"), fs::Permissions::from_mode(0o604)).unwrap();
        let file = fs::File::options().write(true).open(other.path().join("main.py")).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        fs::create_dir(other.path().join("empty")).unwrap();
        assert_eq!(tag(other.path()), first);
        let mut seen = BTreeSet::from([first.clone()]);
        let mut moves = |what: &str| assert!(seen.insert(tag(at)), "{what} decides nothing");
        fs::write(at.join("main.py"), "two").unwrap();
        moves("a file's text");
        fs::set_permissions(at.join("main.py"), fs::Permissions::from_mode(0o700)).unwrap();
        moves("the owner's bit");
        fs::rename(at.join("main.py"), at.join("other.py")).unwrap();
        moves("a name");
        symlink("other.py", at.join("link")).unwrap();
        moves("a link");
        for (from, to) in [("A=1", "A=2"), ("b@", "c@"), ("4376", "4377"), ("\"x\"", "\"y\"")] {
            fs::write(at.join("Dockerfile"), FILE.replace(from, to)).unwrap();
            moves(to);
        }
        let both = survey(at, Builder::Python, &[Platform::Arm64, Platform::Amd64]).unwrap();
        assert!(seen.insert(both.tag.clone()), "a platform decides nothing");
        let turned = survey(at, Builder::Python, &[Platform::Amd64, Platform::Arm64, Platform::Amd64]);
        assert_eq!(turned.unwrap().tag, both.tag);
        assert!(seen.insert(survey(at, Builder::Dockerfile, &[Platform::Amd64]).unwrap().tag));
    }

    #[test]
    fn comments_in_a_dockerfile_that_is_not_in_the_context_decide_nothing() {
        let home = folder();
        fs::write(home.path().join(".dockerignore"), "*\n!main.py\n").unwrap();
        let first = tag(home.path());
        fs::write(home.path().join("Dockerfile"), format!("# why\nFROM debian AS x\n{FILE}")).unwrap();
        assert_eq!(tag(home.path()), first);
        let built = |folder: &Path| survey(folder, Builder::Dockerfile, &[Platform::Amd64]).unwrap().tag;
        let second = built(home.path());
        fs::write(home.path().join("Dockerfile"), FILE).unwrap();
        assert_ne!(built(home.path()), second, "somebody else's builder reads all of it");
    }

    #[test]
    fn requirements_count_and_must_be_whole() {
        let home = folder();
        let text =
            format!("FROM python:3.13 AS w\n{FILE}COPY --from=w /app/site-packages /app/site-packages\n");
        fs::write(home.path().join("Dockerfile"), text).unwrap();
        let survey = |folder: &Path| survey(folder, Builder::Python, &[Platform::Amd64]);
        assert!(survey(home.path()).unwrap_err().message.contains("requirements.txt: "));
        fs::write(home.path().join("requirements.txt"), "\nfastapi\n").unwrap();
        let fault = survey(home.path()).unwrap_err();
        assert!(fault.message.contains("requirements.txt:2: `fastapi` is not pinned"), "{fault}");
        fs::write(home.path().join("requirements.txt"), "").unwrap();
        let first = survey(home.path()).unwrap();
        assert_eq!(first.stage.unwrap().python.as_deref(), Some("3.13"));
        fs::write(home.path().join(".dockerignore"), "requirements.txt").unwrap();
        let second = survey(home.path()).unwrap();
        fs::write(home.path().join("requirements.txt"), "# more\n").unwrap();
        assert_ne!(survey(home.path()).unwrap().tag, second.tag);
    }

    #[test]
    fn a_dockerfile_is_refused_with_file_and_line() {
        let home = folder();
        fs::write(home.path().join("Dockerfile"), format!("{FILE}RUN x\n")).unwrap();
        let fault = survey(home.path(), Builder::Python, &[Platform::Amd64]).unwrap_err();
        assert!(fault.message.contains("Dockerfile:5: RUN in the last stage"), "{fault}");
        assert!(fault.hint.unwrap().contains("builder: dockerfile"));
        fs::remove_file(home.path().join("Dockerfile")).unwrap();
        let fault = survey(home.path(), Builder::Python, &[Platform::Amd64]).unwrap_err();
        assert!(fault.message.contains("Dockerfile: No such file"), "{fault}");
    }
}
