//! How wheels are unpacked.

#![allow(clippy::unwrap_used)]

use super::*;
use std::io::Write as _;
use zip::{ZipWriter, write::SimpleFileOptions};

fn wheel(folder: &Path, name: &str, files: &[(&str, u32, &str)]) -> PathBuf {
    let path = folder.join(name);
    let mut zip = ZipWriter::new(fs::File::create(&path).unwrap());
    for (name, mode, text) in files {
        zip.start_file(*name, SimpleFileOptions::default().unix_permissions(*mode)).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
    path
}

fn unpack(wheels: &[PathBuf], work: &Path) -> Result<Layer, CallError> {
    let place = WheelPlace { site: Some(SITE.to_owned()), scripts: None, interpreter: String::new() };
    super::unpack(wheels, work, &place)
}

fn listing(layer: &Layer) -> Vec<(String, u32)> {
    let bytes = layer.blob.part(0, layer.blob.size).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
    let entries = archive.entries().unwrap().map(Result::unwrap);
    entries
        .map(|one| (one.path().unwrap().display().to_string(), one.header().mode().unwrap()))
        .filter(|(path, _)| !path.ends_with('/'))
        .collect()
}

#[test]
fn a_small_wheel_that_unpacks_to_much_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let zeros = "\0".repeat(17 << 20);
    let bomb = wheel(folder.path(), "b-1-py3-none-any.whl", &[("b/data", 0o644, &zeros)]);
    assert!(fs::metadata(&bomb).unwrap().len() < 1 << 20);
    let said = unpack(&[bomb], &folder.path().join("work")).unwrap_err().message;
    assert!(said.contains("`b/data` unpacks to more than 200 times its size"), "{said}");
}

#[test]
fn wheels_form_one_layer_in_a_fixed_order() {
    let folder = tempfile::tempdir().unwrap();
    let work = folder.path().join("work");
    let a = wheel(
        folder.path(),
        "a-1-py3-none-any.whl",
        &[
            ("a/b.py", 0o664, "b"),
            ("a/lib.so", 0o755, "so"),
            ("shared/__init__.py", 0o600, ""),
            ("a-1.data/scripts/run", 0o755, "script"),
            ("a-1.data/headers/a.h", 0o644, "header"),
            ("a-1.data/platlib/a/c.py", 0o644, "c"),
            ("a-1.data/purelib/d.py", 0o644, "d"),
            ("a-1.dist-info/RECORD", 0o644, "record"),
        ],
    );
    let b = wheel(
        folder.path(),
        "b-1-py3-none-any.whl",
        &[("shared/__init__.py", 0o644, ""), ("a.py", 0o644, "x")],
    );
    let first = unpack(&[a.clone(), b.clone()], &work).unwrap();
    let names =
        ["a-1.dist-info/RECORD", "a.py", "a/b.py", "a/c.py", "a/lib.so", "d.py", "shared/__init__.py"];
    let wanted: Vec<(String, u32)> = names
        .iter()
        .map(|name| (format!("app/site-packages/{name}"), if name.contains(".so") { 0o755 } else { 0o644 }))
        .collect();
    assert_eq!(listing(&first), wanted);
    assert_eq!(unpack(&[b, a.clone()], &work).unwrap().blob.digest, first.blob.digest);
    let c = wheel(folder.path(), "c-1-py3-none-any.whl", &[("shared/__init__.py", 0o644, "other")]);
    assert!(unpack(&[a, c], &work).unwrap_err().message.contains("two wheels have different files"));
}

#[test]
fn wheels_with_paths_that_leave_the_folder_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["../evil.py", "/etc/passwd", "a/../../b", "x-1.data/purelib/../../../b"] {
        let wheel = wheel(folder.path(), "evil.whl", &[(name, 0o644, "x")]);
        let error = unpack(&[wheel], folder.path()).unwrap_err();
        assert!(error.message.starts_with("evil.whl: invalid file path"), "{error}");
    }
    let mut zip = ZipWriter::new(fs::File::create(folder.path().join("link.whl")).unwrap());
    zip.add_symlink("a", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    zip.finish().unwrap();
    let error = unpack(&[folder.path().join("link.whl")], folder.path()).unwrap_err();
    assert!(error.message.contains("`a` is a symbolic link"), "{error}");
    fs::write(folder.path().join("none.whl"), "no archive").unwrap();
    assert!(
        unpack(&[folder.path().join("none.whl")], folder.path())
            .unwrap_err()
            .message
            .starts_with("none.whl: ")
    );
}

#[test]
fn scripts_and_entry_points_run_with_the_interpreter_of_the_image() {
    let folder = tempfile::tempdir().unwrap();
    let file = wheel(
        folder.path(),
        "a-1-py3-none-any.whl",
        &[
            ("a/b.py", 0o644, "b"),
            ("a-1.data/scripts/run", 0o644, "#!python\nimport a\n"),
            ("a-1.data/scripts/other", 0o755, "#!/bin/sh\n"),
            ("a-1.data/data/share/a.txt", 0o644, "data"),
            ("a-1.dist-info/entry_points.txt", 0o644, "[console_scripts]\nmain = a.b:main\n"),
        ],
    );
    let place = WheelPlace {
        site: Some("opt/venv/lib/python3.13/site-packages".to_owned()),
        scripts: Some("opt/venv/bin".to_owned()),
        interpreter: "/opt/venv/bin/python".to_owned(),
    };
    let layer = super::unpack(&[file], &folder.path().join("work"), &place).unwrap();
    let wanted = [
        ("opt/venv/bin/main", 0o755),
        ("opt/venv/bin/other", 0o755),
        ("opt/venv/bin/run", 0o755),
        ("opt/venv/lib/python3.13/site-packages/a-1.dist-info/entry_points.txt", 0o644),
        ("opt/venv/lib/python3.13/site-packages/a/b.py", 0o644),
        ("opt/venv/share/a.txt", 0o644),
    ];
    assert_eq!(listing(&layer), wanted.map(|(path, mode)| (path.to_owned(), mode)));
    let bytes = layer.blob.part(0, layer.blob.size).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
    let mut text = String::new();
    for entry in archive.entries().unwrap().map(Result::unwrap) {
        if entry.path().unwrap().ends_with("run") {
            std::io::Read::read_to_string(&mut { entry }, &mut text).unwrap();
        }
    }
    assert_eq!(text, "#!/opt/venv/bin/python\nimport a\n");
}
