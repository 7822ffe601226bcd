//! What changes the tag of an image.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::image::image_pins::BasePin;
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
};

const FILE: &str = "FROM b@sha256:4376456c1d8520c9d464f2c475465850efaecabf9a190ff24d4a0eef2b884bea\nENV A=1\nCOPY . /app\nCMD [\"x\"]\n";

fn survey(folder: &Path, builder: BuildMethod, platforms: &[ImagePlatform]) -> Result<Survey, CallError> {
    let (folder, platforms) = (folder.to_owned(), platforms.to_vec());
    let inputs =
        ImageInputs { folder, builder, platforms, own: Vec::new(), pins: ImagePins::default(), cache: None };
    super::survey(&inputs).map_err(SurveyError::into_call_error)
}

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
    let turned =
        survey(at, BuildMethod::Python, &[ImagePlatform::Amd64, ImagePlatform::Arm64, ImagePlatform::Amd64]);
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
    let built = |folder: &Path| survey(folder, BuildMethod::Dockerfile, &[ImagePlatform::Amd64]).unwrap().tag;
    let second = built(home.path());
    fs::write(home.path().join("Dockerfile"), FILE).unwrap();
    assert_ne!(built(home.path()), second, "an external builder reads the whole Dockerfile");
}

#[test]
fn requirements_change_the_tag_and_must_be_pinned() {
    let home = folder();
    let text = format!("FROM python:3.13 AS w\n{FILE}COPY --from=w /app/site-packages /app/site-packages\n");
    fs::write(home.path().join("Dockerfile"), text).unwrap();
    let survey = |folder: &Path| survey(folder, BuildMethod::Python, &[ImagePlatform::Amd64]);
    assert!(survey(home.path()).unwrap_err().message.contains("requirements.txt: "));
    fs::write(home.path().join("requirements.txt"), "\nfastapi\n").unwrap();
    let open = survey(home.path()).unwrap();
    assert_eq!((open.tag.as_str(), open.open_packages.len()), ("", 1));
    assert_eq!(
        (open.open_packages[0].text.as_str(), open.open_packages[0].python.as_str()),
        ("\nfastapi\n", "3.13")
    );
    fs::write(home.path().join("requirements.txt"), "").unwrap();
    let first = survey(home.path()).unwrap();
    assert_eq!(first.content.as_ref().unwrap().stage.python.as_deref(), Some("3.13"));
    fs::write(home.path().join(".dockerignore"), "requirements.txt").unwrap();
    let second = survey(home.path()).unwrap();
    fs::write(home.path().join("requirements.txt"), "# more\n").unwrap();
    assert_ne!(survey(home.path()).unwrap().tag, second.tag);
}

#[test]
fn what_is_resolved_determines_the_tag() {
    let home = folder();
    let text = "FROM python:3.12-slim\nCOPY . .\nRUN pip install flask\nCMD [\"x\"]\n";
    fs::write(home.path().join("Dockerfile"), text).unwrap();
    let mut inputs = ImageInputs {
        folder: home.path().to_owned(),
        builder: BuildMethod::Python,
        platforms: vec![ImagePlatform::Amd64],
        own: Vec::new(),
        pins: ImagePins::default(),
        cache: None,
    };
    let open = super::survey(&inputs).unwrap();
    assert_eq!((open.open_bases.len(), open.open_packages.len(), open.tag.as_str()), (1, 1, ""));
    let pin = |digest: &str| BasePin { digest: Some(digest.to_owned()), python: None };
    inputs.pins.bases.insert("python:3.12-slim".to_owned(), pin("sha256:a"));
    inputs.pins.bases.insert("unused".to_owned(), pin("sha256:z"));
    inputs.pins.packages.insert(open.open_packages[0].key(), vec!["flask==1 --hash=sha256:0".to_owned()]);
    let first = super::survey(&inputs).unwrap();
    assert_eq!((first.open_bases.len(), first.tag.len(), first.pins.bases.len()), (0, 32, 1));
    inputs.pins.packages.insert(open.open_packages[0].key(), vec!["flask==2 --hash=sha256:0".to_owned()]);
    let second = super::survey(&inputs).unwrap();
    inputs.pins.bases.insert("python:3.12-slim".to_owned(), pin("sha256:b"));
    let third = super::survey(&inputs).unwrap();
    assert_eq!(BTreeSet::from([first.tag, second.tag, third.tag.clone()]).len(), 3);
    // A file that no line copies does not reach the image.
    fs::write(home.path().join("Dockerfile"), text.replace("COPY . .", "COPY main.py .")).unwrap();
    let copied = super::survey(&inputs).unwrap().tag;
    fs::write(home.path().join("notes.md"), "").unwrap();
    assert_eq!(super::survey(&inputs).unwrap().tag, copied);
    // Wheels of one C library do not run with the other.
    let two = "FROM python:3.12-alpine AS b\nRUN pip install --prefix /x flask\nFROM python:3.12-slim\nCOPY --from=b /x /usr/local\nCMD [\"x\"]\n";
    fs::write(home.path().join("Dockerfile"), two).unwrap();
    let error = super::survey(&inputs).unwrap_err().into_call_error();
    assert!(error.message.contains("has glibc, the packages of python:3.12-alpine are for musl"), "{error}");
}

#[test]
fn an_unsupported_dockerfile_is_reported_with_file_and_line() {
    let home = folder();
    fs::write(home.path().join("Dockerfile"), format!("{FILE}RUN x\n")).unwrap();
    let error = survey(home.path(), BuildMethod::Python, &[ImagePlatform::Amd64]).unwrap_err();
    assert!(error.message.contains("Dockerfile:5: command `x` has to run"), "{error}");
    assert!(error.hint.unwrap().contains("builder: dockerfile"));
    fs::remove_file(home.path().join("Dockerfile")).unwrap();
    let error = survey(home.path(), BuildMethod::Python, &[ImagePlatform::Amd64]).unwrap_err();
    assert!(error.message.contains("Dockerfile: No such file"), "{error}");
}
