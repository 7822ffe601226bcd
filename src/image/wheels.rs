//! Downloads the wheels of `requirements.txt` for the platform of the image and unpacks them into one layer.
//! Source: <https://packaging.python.org/en/latest/specifications/binary-distribution-format/>

use super::{
    ImagePlatform, Store, Temp,
    blob::digest,
    build_context::{Hashing, hex},
    dockerfile::SITE,
    layer::{FORMAT_VERSION, GZIPPED, Layer, LayerWriter, check_path},
    pip::{ProgramError, isolated, python_with_pip, run},
    requirements,
};
use crate::{
    aws::report_progress,
    model::{CallError, ErrorKind, counted},
    os::ProgramVariables,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeSet,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

/// Maximum unpacked size of all wheels, in bytes.
const MAX_BYTES: u64 = 4 << 30;
/// Maximum growth of a file when it is unpacked, for files of more than [`MAX_FREE_BYTES`]: code and libraries grow less
/// than tenfold, and a file of zeros a thousandfold.
const MAX_RATIO: u64 = 200;
/// Size up to which a file may grow as it will, in bytes.
const MAX_FREE_BYTES: u64 = 16 << 20;
/// Maximum number of files in all wheels.
const MAX_FILES: usize = 200_000;

/// Minor versions of glibc 2 that wheels may be built against: up to that of Debian 10. Amazon Linux 2023 is
/// newer.
/// Source: <https://packaging.python.org/en/latest/specifications/platform-compatibility-tags/>
const GLIBC_MINORS: [u8; 7] = [28, 27, 26, 24, 17, 12, 5];

/// The record of a layer of wheels in the cache.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LayerRecord {
    diff_id: String,
    digest: String,
    size: u64,
}

/// Returns the layer of wheels, or `None` if the platform requires none.
///
/// # Errors
/// Fails if Python with pip is not found, if the package index is unreachable or has no wheel for the
/// platform, or if a wheel is invalid.
pub async fn layer(
    store: &Store,
    text: &str,
    python: &str,
    platform: ImagePlatform,
) -> Result<Option<Layer>, CallError> {
    let lines = requirements::read(text, python, platform)
        .map_err(|refusal| refusal.at(Path::new("requirements.txt")))?;
    if lines.is_empty() {
        return Ok(None);
    }
    let lines = lines.join("\n");
    let key = digest(format!("{FORMAT_VERSION}\n{python}\n{platform}\n{lines}\n").as_bytes());
    let name = format!("wheels-{}", key.trim_start_matches("sha256:"));
    let note =
        fs::read(store.note(&name)).ok().and_then(|text| serde_json::from_slice::<LayerRecord>(&text).ok());
    if let Some(note) = note
        && let Some(blob) = store.get(&note.digest, note.size, GZIPPED)?
    {
        return Ok(Some(Layer { diff_id: note.diff_id, blob }));
    }
    report_progress(&format!("downloading wheels for {platform}"));
    let folder = Temp::new(&store.work(), "wheels")?;
    fs::create_dir_all(folder.path()).map_err(|error| folder.io_error(&error))?;
    let wheels = fetch(store, folder.path(), &lines, python, platform).await?;
    report_progress(&format!("unpacking {} for {platform}", counted(wheels.len(), "wheel")));
    let work = store.work();
    let task = tokio::task::spawn_blocking(move || unpack(&wheels, &work));
    let made = task.await.unwrap_or_else(|error| Err(CallError::bug(error.to_string())))?;
    let blob = store.keep_blob(&made.blob)?;
    let note = LayerRecord { diff_id: made.diff_id.clone(), digest: blob.digest.clone(), size: blob.size };
    store.write_note(&name, &serde_json::to_string(&note).unwrap_or_default())?;
    Ok(Some(Layer { diff_id: made.diff_id, blob }))
}

async fn fetch(
    store: &Store,
    folder: &Path,
    lines: &str,
    python: &str,
    platform: ImagePlatform,
) -> Result<Vec<PathBuf>, CallError> {
    let python_program = python_with_pip(store.home()).await?;
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
    arguments.extend(platform_tags(platform).into_iter().map(|tag| format!("--platform={tag}")));
    arguments.push(format!("--dest={}", wheels.display()));
    arguments.push(format!("--requirement={}", list.display()));
    let mut pip = isolated(&python_program, folder, ProgramVariables::Pip)?;
    pip.args(arguments);
    run(pip).await.map_err(|said| {
        let words = match said {
            ProgramError::Nothing => "no longer installed".to_owned(),
            ProgramError::Words(words) => words,
        };
        let text = format!("requirements.txt: pip failed to download the wheels for {platform}: {words}");
        CallError::new(ErrorKind::Other, text).hint(
            "check that the package index (set in pip's configuration) is reachable and has a Linux wheel of \
            each requirement; for packages without wheels set `builder: dockerfile`",
        )
    })?;
    let mut found = Vec::new();
    for item in fs::read_dir(&wheels).map_err(|error| super::blob::at(&wheels, &error))?.flatten() {
        found.push(item.path());
    }
    found.sort();
    Ok(found)
}

/// Returns the platform tags that a wheel may have, best first.
fn platform_tags(platform: ImagePlatform) -> Vec<String> {
    let machine = platform.machine();
    let old = |glibc: u8| match glibc {
        17 => Some("manylinux2014"),
        12 => Some("manylinux2010"),
        5 => Some("manylinux1"),
        _ => None,
    };
    // glibc supports 64-bit ARM since 2.17.
    let fits = |glibc: &u8| *glibc >= 17 || platform == ImagePlatform::Amd64;
    let both = |glibc: u8| {
        let name = format!("manylinux_2_{glibc}_{machine}");
        std::iter::once(name).chain(old(glibc).map(|old| format!("{old}_{machine}")))
    };
    let mut tags: Vec<String> = GLIBC_MINORS.into_iter().filter(fits).flat_map(both).collect();
    tags.push(format!("linux_{machine}"));
    tags
}

/// A file of a wheel and its path in the layer.
struct Item {
    path: String,
    wheel: usize,
    index: usize,
    executable: bool,
}

fn unpack(wheels: &[PathBuf], work: &Path) -> Result<Layer, CallError> {
    let mut archives = Vec::new();
    let mut items: Vec<Item> = Vec::new();
    let mut bytes = 0_u64;
    for (wheel, path) in wheels.iter().enumerate() {
        let unusable = |what: &dyn std::fmt::Display| {
            let text = format!("{}: {what}", path.file_name().unwrap_or_default().to_string_lossy());
            CallError::new(ErrorKind::Refused, text).hint("pin another version of this package")
        };
        let file = fs::File::open(path).map_err(|error| super::blob::at(path, &error))?;
        let mut archive =
            zip::ZipArchive::new(std::io::BufReader::new(file)).map_err(|error| unusable(&error))?;
        for index in 0..archive.len() {
            let file = archive.by_index(index).map_err(|error| unusable(&error))?;
            let name = file.name().map_err(|error| unusable(&error))?.into_owned();
            if file.is_dir() {
                continue;
            }
            check_path(&name).map_err(|error| unusable(&error.message))?;
            if file.is_symlink() {
                return Err(unusable(&format!("`{name}` is a symbolic link")));
            }
            let (packed, unpacked) = (file.compressed_size(), file.size());
            if unpacked > MAX_FREE_BYTES && unpacked / packed.max(1) > MAX_RATIO {
                return Err(unusable(&format!("`{name}` unpacks to more than {MAX_RATIO} times its size")));
            }
            bytes = bytes.saturating_add(unpacked);
            if bytes > MAX_BYTES || items.len() > MAX_FILES {
                return Err(unusable(&format!(
                    "the wheels are too large when unpacked (max {} GiB and {MAX_FILES} files)",
                    MAX_BYTES >> 30
                )));
            }
            let executable = file.unix_mode().is_some_and(|mode| mode & 0o100 != 0);
            if let Some(place) = path_in_site_packages(&name) {
                items.push(Item { path: format!("{SITE}/{place}"), wheel, index, executable });
            }
        }
        archives.push(archive);
    }
    items.sort_by(|a, b| (a.path.as_bytes(), a.wheel).cmp(&(b.path.as_bytes(), b.wheel)));
    let mut layer = LayerWriter::new(work)?;
    for same in items.chunk_by(|a, b| a.path == b.path) {
        let Some((item, others)) = same.split_first() else { continue };
        let damaged = |what: &dyn std::fmt::Display| {
            CallError::new(ErrorKind::Refused, format!("{}: {what}", item.path))
        };
        if !others.is_empty() {
            let hashes: Result<BTreeSet<_>, CallError> =
                same.iter().map(|item| hash_of(&mut archives, item)).collect();
            if hashes?.len() > 1 {
                return Err(damaged(&"two wheels have different files of this name")
                    .hint("remove one of them from requirements.txt, or set `builder: dockerfile`"));
            }
        }
        let mut file = opened(&mut archives, item)?;
        let size = file.size();
        layer.file(&item.path, item.executable, size, &mut file).map_err(|error| damaged(&error.message))?;
    }
    layer.end()
}

type Wheel = zip::ZipArchive<std::io::BufReader<fs::File>>;

/// Opens a file of a wheel. It is unpacked as it is read.
fn opened<'a>(
    archives: &'a mut [Wheel],
    item: &Item,
) -> Result<zip::read::ZipFile<'a, std::io::BufReader<fs::File>>, CallError> {
    let archive = archives.get_mut(item.wheel).ok_or_else(|| CallError::bug("wheel index out of range"))?;
    archive
        .by_index(item.index)
        .map_err(|error| CallError::new(ErrorKind::Refused, format!("{}: {error}", item.path)))
}

fn hash_of(archives: &mut [Wheel], item: &Item) -> Result<String, CallError> {
    let mut hashing = Hashing(Sha256::new());
    let file = opened(archives, item)?;
    // No more than the size in the archive's directory, whatever the data unpacks to.
    let size = file.size();
    std::io::copy(&mut file.take(size.saturating_add(1)), &mut hashing)
        .map_err(|error| CallError::new(ErrorKind::Refused, format!("{}: {error}", item.path)))?;
    Ok(hex(&hashing.0.finalize()))
}

/// Returns the path of a wheel's file below `site-packages`, or `None` for scripts, headers and data, which
/// Python does not import.
fn path_in_site_packages(name: &str) -> Option<&str> {
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
            .map(|name| {
                (format!("app/site-packages/{name}"), if name.contains(".so") { 0o755 } else { 0o644 })
            })
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
    fn tags_fit_the_platform() {
        let amd = platform_tags(ImagePlatform::Amd64);
        assert_eq!(amd.first().map(String::as_str), Some("manylinux_2_28_x86_64"));
        assert!(
            amd.contains(&"manylinux2014_x86_64".to_owned()) && amd.contains(&"manylinux1_x86_64".to_owned())
        );
        let arm = platform_tags(ImagePlatform::Arm64);
        assert_eq!(arm.last().map(String::as_str), Some("linux_aarch64"));
        assert!(!arm.iter().any(|tag| tag.contains("manylinux1") || tag.contains("x86")));
    }
}
