//! Computes the content digest of an image from its context files, its settings and the version of the layer
//! format. The digest is the same on every machine.

use super::{
    BuildMethod, ImagePlatform,
    blob::digest,
    build_context::{BuildContext, ContextEntry},
    dockerfile::{self, BuildStage},
    layer::FORMAT_VERSION,
    requirements,
};
use crate::model::{CallError, ErrorKind};
use serde::Serialize;
use std::path::Path;

/// How many hex digits of the content digest form the tag of the image. A tag has at most 128 characters.
/// Source: <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests>
const TAG_DIGITS: usize = 32;

/// Name of the Dockerfile in the application folder.
const DOCKERFILE: &str = "Dockerfile";
/// Name of the file that pins the Python packages.
const REQUIREMENTS: &str = "requirements.txt";

/// An application folder as it was read: everything needed to build its image.
#[derive(Clone, Debug)]
pub struct Survey {
    /// How the image is built.
    pub builder: BuildMethod,
    /// Target platforms, sorted and without duplicates.
    pub platforms: Vec<ImagePlatform>,
    /// Files of the build context.
    pub context: BuildContext,
    /// The last stage of the Dockerfile, for [`BuildMethod::Python`] only.
    pub stage: Option<BuildStage>,
    /// The text of the Dockerfile, for [`BuildMethod::Dockerfile`] only.
    pub dockerfile: Option<String>,
    /// The text of `requirements.txt`, if the Dockerfile copies wheels.
    pub requirements: Option<String>,
    /// Tag of the image: the first 32 hex digits of the digest over the fields above.
    pub tag: String,
}

#[derive(Serialize)]
struct Content<'a> {
    form: u32,
    builder: BuildMethod,
    platforms: &'a [ImagePlatform],
    stage: Option<&'a BuildStage>,
    dockerfile: Option<&'a str>,
    requirements: Option<&'a str>,
    files: Vec<(&'a str, &'static str, &'a str)>,
}

/// Reads an application folder and computes the tag of its image.
///
/// # Errors
/// Fails if a file is missing, cannot be read or cannot be built with this builder. The message names file
/// and line.
pub fn survey(folder: &Path, builder: BuildMethod, platforms: &[ImagePlatform]) -> Result<Survey, CallError> {
    let context = BuildContext::read(folder)?;
    let mut platforms = platforms.to_vec();
    platforms.sort();
    platforms.dedup();
    if platforms.is_empty() {
        return Err(CallError::bug("image without a platform"));
    }
    let path = folder.join(DOCKERFILE);
    let text = read(&path, "add a `Dockerfile` to the application folder")?;
    let mut survey = Survey {
        builder,
        platforms,
        context,
        stage: None,
        dockerfile: None,
        requirements: None,
        tag: String::new(),
    };
    if builder == BuildMethod::Python {
        let stage = dockerfile::read(&text).map_err(|refusal| refusal.at(&path))?;
        if let Some(python) = &stage.python {
            let path = folder.join(REQUIREMENTS);
            let text = read(&path, "list the wheels that the Dockerfile copies in `requirements.txt`")?;
            for platform in &survey.platforms {
                requirements::read(&text, python, *platform).map_err(|refusal| refusal.at(&path))?;
            }
            survey.requirements = Some(text);
        }
        // Only the parsed stage counts: comments and earlier stages do not change the image.
        survey.stage = Some(stage);
    } else {
        survey.dockerfile = Some(text);
    }
    let files = survey.context.entries.iter().map(|(path, entry)| match entry {
        ContextEntry::File { executable: true, hash, .. } => (path.as_str(), "755", hash.as_str()),
        ContextEntry::File { hash, .. } => (path.as_str(), "644", hash.as_str()),
        ContextEntry::Link { target } => (path.as_str(), "link", target.as_str()),
    });
    let content = Content {
        form: FORMAT_VERSION,
        builder,
        platforms: &survey.platforms,
        stage: survey.stage.as_ref(),
        dockerfile: survey.dockerfile.as_deref(),
        requirements: survey.requirements.as_deref(),
        files: files.collect(),
    };
    let bytes = serde_json::to_vec(&content).map_err(|error| CallError::bug(error.to_string()))?;
    survey.tag = digest(&bytes).trim_start_matches("sha256:").chars().take(TAG_DIGITS).collect();
    Ok(survey)
}

fn read(path: &Path, why: &str) -> Result<String, CallError> {
    std::fs::read_to_string(path)
        .map_err(|error| CallError::new(ErrorKind::Refused, format!("{}: {error}", path.display())).hint(why))
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
        survey(folder, BuildMethod::Python, &[ImagePlatform::Amd64]).unwrap().tag
    }

    #[test]
    fn only_the_content_of_the_image_changes_the_tag() {
        let home = folder();
        let at = home.path();
        let first = tag(at);
        assert!(first.len() == 32 && first.chars().all(|char| char.is_ascii_hexdigit()), "{first}");
        // Another folder, other mode bits except the owner's execute bit, another modification time.
        let other = folder();
        fs::set_permissions(other.path().join("main.py"), fs::Permissions::from_mode(0o604)).unwrap();
        let file = fs::File::options().write(true).open(other.path().join("main.py")).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        fs::create_dir(other.path().join("empty")).unwrap();
        assert_eq!(tag(other.path()), first);
        let mut seen = BTreeSet::from([first.clone()]);
        let mut moves = |what: &str| assert!(seen.insert(tag(at)), "{what} does not change the tag");
        fs::write(at.join("main.py"), "two").unwrap();
        moves("the content of a file");
        fs::set_permissions(at.join("main.py"), fs::Permissions::from_mode(0o700)).unwrap();
        moves("the owner's execute bit");
        fs::rename(at.join("main.py"), at.join("other.py")).unwrap();
        moves("a file name");
        symlink("other.py", at.join("link")).unwrap();
        moves("a link");
        for (from, to) in [("A=1", "A=2"), ("b@", "c@"), ("4376", "4377"), ("\"x\"", "\"y\"")] {
            fs::write(at.join("Dockerfile"), FILE.replace(from, to)).unwrap();
            moves(to);
        }
        let both = survey(at, BuildMethod::Python, &[ImagePlatform::Arm64, ImagePlatform::Amd64]).unwrap();
        assert!(seen.insert(both.tag.clone()), "a platform does not change the tag");
        let turned = survey(
            at,
            BuildMethod::Python,
            &[ImagePlatform::Amd64, ImagePlatform::Arm64, ImagePlatform::Amd64],
        );
        assert_eq!(turned.unwrap().tag, both.tag);
        assert!(seen.insert(survey(at, BuildMethod::Dockerfile, &[ImagePlatform::Amd64]).unwrap().tag));
    }

    #[test]
    fn comments_of_an_excluded_dockerfile_do_not_change_the_tag() {
        let home = folder();
        fs::write(home.path().join(".dockerignore"), "*\n!main.py\n").unwrap();
        let first = tag(home.path());
        fs::write(home.path().join("Dockerfile"), format!("# why\nFROM debian AS x\n{FILE}")).unwrap();
        assert_eq!(tag(home.path()), first);
        let built =
            |folder: &Path| survey(folder, BuildMethod::Dockerfile, &[ImagePlatform::Amd64]).unwrap().tag;
        let second = built(home.path());
        fs::write(home.path().join("Dockerfile"), FILE).unwrap();
        assert_ne!(built(home.path()), second, "an external builder reads the whole Dockerfile");
    }

    #[test]
    fn requirements_change_the_tag_and_must_be_pinned() {
        let home = folder();
        let text =
            format!("FROM python:3.13 AS w\n{FILE}COPY --from=w /app/site-packages /app/site-packages\n");
        fs::write(home.path().join("Dockerfile"), text).unwrap();
        let survey = |folder: &Path| survey(folder, BuildMethod::Python, &[ImagePlatform::Amd64]);
        assert!(survey(home.path()).unwrap_err().message.contains("requirements.txt: "));
        fs::write(home.path().join("requirements.txt"), "\nfastapi\n").unwrap();
        let error = survey(home.path()).unwrap_err();
        assert!(error.message.contains("requirements.txt:2: `fastapi` is not pinned"), "{error}");
        fs::write(home.path().join("requirements.txt"), "").unwrap();
        let first = survey(home.path()).unwrap();
        assert_eq!(first.stage.unwrap().python.as_deref(), Some("3.13"));
        fs::write(home.path().join(".dockerignore"), "requirements.txt").unwrap();
        let second = survey(home.path()).unwrap();
        fs::write(home.path().join("requirements.txt"), "# more\n").unwrap();
        assert_ne!(survey(home.path()).unwrap().tag, second.tag);
    }

    #[test]
    fn an_unsupported_dockerfile_is_reported_with_file_and_line() {
        let home = folder();
        fs::write(home.path().join("Dockerfile"), format!("{FILE}RUN x\n")).unwrap();
        let error = survey(home.path(), BuildMethod::Python, &[ImagePlatform::Amd64]).unwrap_err();
        assert!(
            error.message.contains("Dockerfile:5: unsupported instruction RUN in the last stage"),
            "{error}"
        );
        assert!(error.hint.unwrap().contains("builder: dockerfile"));
        fs::remove_file(home.path().join("Dockerfile")).unwrap();
        let error = survey(home.path(), BuildMethod::Python, &[ImagePlatform::Amd64]).unwrap_err();
        assert!(error.message.contains("Dockerfile: No such file"), "{error}");
    }
}
