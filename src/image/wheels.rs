//! The wheels of `requirements.txt`, fetched for the platform that the image runs on and laid out as one layer.
//! Source: <https://packaging.python.org/en/latest/specifications/binary-distribution-format/>

use super::{
    Platform, Store, Temp,
    blob::digest,
    dockerfile::SITE,
    layer::{FORM, GZIPPED, Layer, Writer, safe},
    python::{Said, run, with_pip},
    requirements,
};
use crate::{
    aws::tell,
    model::{Class, Fault},
};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

/// How much wheels may unpack to.
const MOST_BYTES: u64 = 4 << 30;
/// How many files.
const MOST_FILES: usize = 200_000;

/// The C libraries that wheels may be built against: what Debian 10 and Amazon Linux 2023 have, and all before it.
/// Source: <https://packaging.python.org/en/latest/specifications/platform-compatibility-tags/>
const GLIBC: [u8; 7] = [28, 27, 26, 24, 17, 12, 5];

/// A layer in the cache.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Note {
    diff_id: String,
    digest: String,
    size: u64,
}

/// The layer; none where nothing is required.
///
/// # Errors
/// No Python with pip; an index that is out of reach or lacks a wheel for the platform; a wheel that is none.
pub async fn layer(
    store: &Store,
    text: &str,
    python: &str,
    platform: Platform,
) -> Result<Option<Layer>, Fault> {
    let lines = requirements::read(text, python, platform)
        .map_err(|refusal| refusal.at(Path::new("requirements.txt")))?;
    if lines.is_empty() {
        return Ok(None);
    }
    let lines = lines.join("\n");
    let key = digest(format!("{FORM}\n{python}\n{platform}\n{lines}\n").as_bytes());
    let name = format!("wheels-{}", key.trim_start_matches("sha256:"));
    let note = fs::read(store.note(&name)).ok().and_then(|text| serde_json::from_slice::<Note>(&text).ok());
    if let Some(note) = note
        && let Some(blob) = store.get(&note.digest, note.size, GZIPPED)?
    {
        return Ok(Some(Layer { diff_id: note.diff_id, blob }));
    }
    tell(&format!("fetching the wheels for {platform}"));
    let folder = Temp::new(&store.work(), "wheels")?;
    fs::create_dir_all(folder.path()).map_err(|error| folder.fault(&error))?;
    let wheels = fetch(store, folder.path(), &lines, python, platform).await?;
    tell(&format!("laying out {} wheels for {platform}", wheels.len()));
    let work = store.work();
    let task = tokio::task::spawn_blocking(move || unpack(&wheels, &work));
    let made = task.await.unwrap_or_else(|error| Err(Fault::bug(error.to_string())))?;
    let blob = store.keep_blob(&made.blob)?;
    let note = Note { diff_id: made.diff_id.clone(), digest: blob.digest.clone(), size: blob.size };
    store.write_note(&name, &serde_json::to_string(&note).unwrap_or_default())?;
    Ok(Some(Layer { diff_id: made.diff_id, blob }))
}

async fn fetch(
    store: &Store,
    folder: &Path,
    lines: &str,
    python: &str,
    platform: Platform,
) -> Result<Vec<PathBuf>, Fault> {
    let pip = with_pip(store.home()).await?;
    let list = folder.join("requirements.txt");
    let wheels = folder.join("wheels");
    fs::write(&list, lines).map_err(|error| super::blob::at(&list, &error))?;
    let mut arguments: Vec<String> =
        ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input", "--retries", "3"]
            .map(str::to_owned)
            .into();
    arguments.extend(["--require-hashes", "--no-deps", "--only-binary=:all:"].map(str::to_owned));
    arguments.extend(["--implementation=cp".to_owned(), format!("--python-version={python}")]);
    arguments.extend([format!("--abi=cp{}", python.replace('.', "")), "--abi=abi3".to_owned()]);
    arguments.push("--abi=none".to_owned());
    arguments.extend(tags(platform).into_iter().map(|tag| format!("--platform={tag}")));
    arguments.push(format!("--dest={}", wheels.display()));
    arguments.push(format!("--requirement={}", list.display()));
    run(&pip, arguments).await.map_err(|said| {
        let words = match said {
            Said::Nothing => "it is not there any more".to_owned(),
            Said::Words(words) => words,
        };
        let text = format!("pip could not fetch the wheels of requirements.txt for {platform}: {words}");
        Fault::new(Class::Other, text).hint(
            "the index must be reachable (pip's own configuration names it) and have a wheel for Linux of each \
             requirement; what is only there as source needs `builder: dockerfile`",
        )
    })?;
    let mut found = Vec::new();
    for item in fs::read_dir(&wheels).map_err(|error| super::blob::at(&wheels, &error))?.flatten() {
        found.push(item.path());
    }
    found.sort();
    Ok(found)
}

/// The platform tags of wheels, the best first.
fn tags(platform: Platform) -> Vec<String> {
    let machine = platform.machine();
    let old = |glibc: u8| match glibc {
        17 => Some("manylinux2014"),
        12 => Some("manylinux2010"),
        5 => Some("manylinux1"),
        _ => None,
    };
    // There is no Linux on ARM with an older C library.
    let fits = |glibc: &u8| *glibc >= 17 || platform == Platform::Amd64;
    let both = |glibc: u8| {
        let name = format!("manylinux_2_{glibc}_{machine}");
        std::iter::once(name).chain(old(glibc).map(|old| format!("{old}_{machine}")))
    };
    let mut tags: Vec<String> = GLIBC.into_iter().filter(fits).flat_map(both).collect();
    tags.push(format!("linux_{machine}"));
    tags
}

/// One file of a wheel.
struct Item {
    path: String,
    wheel: usize,
    index: usize,
    executable: bool,
}

fn unpack(wheels: &[PathBuf], work: &Path) -> Result<Layer, Fault> {
    let mut archives = Vec::new();
    let mut items: Vec<Item> = Vec::new();
    let mut bytes = 0_u64;
    for (wheel, path) in wheels.iter().enumerate() {
        let none = |what: &dyn std::fmt::Display| {
            let text = format!("{}: {what}", path.file_name().unwrap_or_default().to_string_lossy());
            Fault::new(Class::Refused, text).hint("this wheel cannot be used: take another version of it")
        };
        let file = fs::File::open(path).map_err(|error| super::blob::at(path, &error))?;
        let mut archive =
            zip::ZipArchive::new(std::io::BufReader::new(file)).map_err(|error| none(&error))?;
        for index in 0..archive.len() {
            let file = archive.by_index(index).map_err(|error| none(&error))?;
            let name = file.name().map_err(|error| none(&error))?.into_owned();
            if file.is_dir() {
                continue;
            }
            safe(&name).map_err(|fault| none(&fault.message))?;
            if file.is_symlink() {
                return Err(none(&format!("`{name}` is a link")));
            }
            bytes = bytes.saturating_add(file.size());
            if bytes > MOST_BYTES || items.len() > MOST_FILES {
                return Err(none(&format!(
                    "the wheels unpack to more than {} GiB or {MOST_FILES} files",
                    MOST_BYTES >> 30
                )));
            }
            let executable = file.unix_mode().is_some_and(|mode| mode & 0o100 != 0);
            if let Some(place) = place(&name) {
                items.push(Item { path: format!("{SITE}/{place}"), wheel, index, executable });
            }
        }
        archives.push(archive);
    }
    items.sort_by(|a, b| (a.path.as_bytes(), a.wheel).cmp(&(b.path.as_bytes(), b.wheel)));
    let mut layer = Writer::new(work)?;
    let mut last: Option<(String, Vec<u8>)> = None;
    for item in items {
        let archive = archives.get_mut(item.wheel).ok_or_else(|| Fault::bug("a wheel that went"))?;
        let damaged = |what: &dyn std::fmt::Display| {
            Fault::new(Class::Refused, format!("{} in a wheel: {what}", item.path))
        };
        let file = archive.by_index(item.index).map_err(|error| damaged(&error))?;
        let (size, mut content) = (file.size(), Vec::new());
        // No more than the archive's directory says, whatever the data unpack to.
        file.take(size.saturating_add(1)).read_to_end(&mut content).map_err(|error| damaged(&error))?;
        if u64::try_from(content.len()).ok() != Some(size) {
            return Err(damaged(&"it is longer than it says"));
        }
        match &last {
            Some((path, other)) if *path == item.path && *other == content => continue,
            Some((path, _)) if *path == item.path => {
                return Err(damaged(&"two wheels have this file, and not the same")
                    .hint("take one of them out of requirements.txt, or say `builder: dockerfile`"));
            }
            _ => {}
        }
        layer.file(&item.path, item.executable, &content)?;
        last = Some((item.path.clone(), content));
    }
    layer.end()
}

/// Where a wheel's file goes below `site-packages`; none: scripts, headers and data, which nobody imports.
fn place(name: &str) -> Option<&str> {
    let Some((_, rest)) = name.split_once(".data/").filter(|(first, _)| !first.contains('/')) else {
        return Some(name);
    };
    let (kind, rest) = rest.split_once('/')?;
    ["purelib", "platlib"].contains(&kind).then_some(rest)
}

#[cfg(test)]
mod tests {
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
    fn wheels_become_one_layer_in_one_order() {
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
            .map(|name| {
                (format!("app/site-packages/{name}"), if name.contains(".so") { 0o755 } else { 0o644 })
            })
            .collect();
        assert_eq!(listing(&first), wanted);
        assert_eq!(unpack(&[b, a.clone()], &work).unwrap().blob.digest, first.blob.digest);
        let c = wheel(folder.path(), "c-1-py3-none-any.whl", &[("shared/__init__.py", 0o644, "other")]);
        assert!(unpack(&[a, c], &work).unwrap_err().message.contains("two wheels have this file"));
    }

    #[test]
    fn wheels_that_lead_elsewhere_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["../evil.py", "/etc/passwd", "a/../../b", "x-1.data/purelib/../../../b"] {
            let wheel = wheel(folder.path(), "evil.whl", &[(name, 0o644, "x")]);
            let fault = unpack(&[wheel], folder.path()).unwrap_err();
            assert!(fault.message.starts_with("evil.whl: `"), "{fault}");
        }
        let mut zip = ZipWriter::new(fs::File::create(folder.path().join("link.whl")).unwrap());
        zip.add_symlink("a", "/etc/passwd", SimpleFileOptions::default()).unwrap();
        zip.finish().unwrap();
        let fault = unpack(&[folder.path().join("link.whl")], folder.path()).unwrap_err();
        assert!(fault.message.contains("`a` is a link"), "{fault}");
        fs::write(folder.path().join("none.whl"), "no archive").unwrap();
        assert!(
            unpack(&[folder.path().join("none.whl")], folder.path())
                .unwrap_err()
                .message
                .starts_with("none.whl: ")
        );
    }

    #[test]
    fn tags_are_those_of_the_platform() {
        let amd = tags(Platform::Amd64);
        assert_eq!(amd.first().map(String::as_str), Some("manylinux_2_28_x86_64"));
        assert!(
            amd.contains(&"manylinux2014_x86_64".to_owned()) && amd.contains(&"manylinux1_x86_64".to_owned())
        );
        let arm = tags(Platform::Arm64);
        assert_eq!(arm.last().map(String::as_str), Some("linux_aarch64"));
        assert!(!arm.iter().any(|tag| tag.contains("manylinux1") || tag.contains("x86")));
    }
}
