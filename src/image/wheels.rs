//! Downloads the wheels of an image for its platform, and keeps the layer that they form.
//! Source: <https://packaging.python.org/en/latest/specifications/binary-distribution-format/>

use super::{
    ImagePlatform, Store, Temp,
    blob::digest,
    layer::{FORMAT_VERSION, GZIPPED, Layer},
    pip::{ProgramError, isolated, python_with_pip, run},
    wheel_layer::{WheelPlace, unpack},
};
use crate::{
    aws::report_progress,
    model::{CallError, ErrorKind, counted},
    os::ProgramVariables,
};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Minor versions of glibc 2 that wheels may be built against: up to that of Debian 10. Amazon Linux 2023 is
/// newer.
/// Source: <https://packaging.python.org/en/latest/specifications/platform-compatibility-tags/>
const GLIBC_MINORS: [u8; 7] = [28, 27, 26, 24, 17, 12, 5];

/// Minor versions of musl 1 that wheels may be built against: up to that of Alpine 3.13.
/// Source: <https://packaging.python.org/en/latest/specifications/platform-compatibility-tags/#musllinux>
const MUSL_MINORS: [u8; 2] = [2, 1];

/// The record of a layer of wheels in the cache.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LayerRecord {
    diff_id: String,
    digest: String,
    size: u64,
}

/// What wheels are chosen for.
#[derive(Clone, Copy, Debug)]
pub struct WheelTarget<'a> {
    /// Python version, such as `3.13`.
    pub python: &'a str,
    /// Platform of the image.
    pub platform: ImagePlatform,
    /// Whether the C library is musl.
    pub musl: bool,
}

impl WheelTarget<'_> {
    /// Returns the options by which pip chooses wheels.
    pub fn options(&self) -> Vec<String> {
        let python = self.python;
        let mut options = vec!["--only-binary=:all:".to_owned(), "--implementation=cp".to_owned()];
        options.push(format!("--python-version={python}"));
        options.push(format!("--abi=cp{}", python.replace('.', "")));
        options.extend(["--abi=abi3", "--abi=none"].map(str::to_owned));
        options.extend(
            platform_tags(self.platform, self.musl).into_iter().map(|tag| format!("--platform={tag}")),
        );
        options
    }
}

/// Returns the layer of wheels, or `None` without packages.
///
/// # Errors
/// Fails if Python with pip is not found, if the package index is unreachable or has no wheel for the
/// platform, or if a wheel is invalid.
pub async fn layer(
    store: &Store,
    lines: &[String],
    target: WheelTarget<'_>,
    place: &WheelPlace,
) -> Result<Option<Layer>, CallError> {
    if lines.is_empty() {
        return Ok(None);
    }
    let (python, platform) = (target.python, target.platform);
    let lines = lines.join("\n");
    let more = match place.is_plain() && !target.musl {
        true => String::new(),
        false => format!("{}\n{}\n", target.musl, serde_json::to_string(place).unwrap_or_default()),
    };
    let key = digest(format!("{FORMAT_VERSION}\n{python}\n{platform}\n{lines}\n{more}").as_bytes());
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
    let wheels = fetch(store, folder.path(), &lines, target).await?;
    report_progress(&format!("unpacking {} for {platform}", counted(wheels.len(), "wheel")));
    let (work, place) = (store.work(), place.clone());
    let task = tokio::task::spawn_blocking(move || unpack(&wheels, &work, &place));
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
    target: WheelTarget<'_>,
) -> Result<Vec<PathBuf>, CallError> {
    let platform = target.platform;
    let python_program = python_with_pip(store.home()).await?;
    let list = folder.join("requirements.txt");
    let wheels = folder.join("wheels");
    fs::write(&list, lines).map_err(|error| super::blob::at(&list, &error))?;
    let mut arguments: Vec<String> =
        ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input", "--retries", "3"]
            .map(str::to_owned)
            .into();
    arguments.extend(["--require-hashes", "--no-deps"].map(str::to_owned));
    arguments.extend(target.options());
    arguments.push(format!("--dest={}", wheels.display()));
    arguments.push(format!("--requirement={}", list.display()));
    let mut pip = isolated(&python_program, folder, ProgramVariables::Pip)?;
    pip.args(arguments);
    run(pip).await.map_err(|said| {
        let words = match said {
            ProgramError::Nothing => "no longer installed".to_owned(),
            ProgramError::Words(words) => words,
        };
        let text = format!("pip failed to download the wheels for {platform}: {words}");
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
fn platform_tags(platform: ImagePlatform, musl: bool) -> Vec<String> {
    let machine = platform.machine();
    if musl {
        let tags = MUSL_MINORS.map(|minor| format!("musllinux_1_{minor}_{machine}"));
        return tags.into_iter().chain([format!("linux_{machine}")]).collect();
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_fit_the_platform() {
        let amd = platform_tags(ImagePlatform::Amd64, false);
        assert_eq!(amd.first().map(String::as_str), Some("manylinux_2_28_x86_64"));
        assert!(
            amd.contains(&"manylinux2014_x86_64".to_owned()) && amd.contains(&"manylinux1_x86_64".to_owned())
        );
        let arm = platform_tags(ImagePlatform::Arm64, false);
        assert_eq!(arm.last().map(String::as_str), Some("linux_aarch64"));
        assert!(!arm.iter().any(|tag| tag.contains("manylinux1") || tag.contains("x86")));
        let musl = platform_tags(ImagePlatform::Arm64, true);
        assert_eq!(musl, ["musllinux_1_2_aarch64", "musllinux_1_1_aarch64", "linux_aarch64"]);
    }
}
