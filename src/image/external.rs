//! Builds an image with docker, podman or buildah. The first one that works builds the image for each
//! platform and exports it as an archive, which is pushed to ECR in the same way as an image built
//! in-process.

use super::{
    Blob, Built, ImagePlatform, Store, Survey, Temp,
    blob::{at, blocking},
    build_context::{BuildContext, ContextEntry},
    image_manifest::CONFIG,
    layer::{Layer, compress},
    pip::{ProgramError, run, run_long},
};
use crate::{
    aws::report_progress,
    model::{CallError, ErrorKind},
    os::{ProgramVariables, program},
};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read as _},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

/// The command line of a builder.
struct Tool {
    name: &'static str,
    /// Arguments that succeed only if the builder works: docker's client fails without its daemon.
    probe: &'static [&'static str],
    build: &'static [&'static str],
    save: fn(&str, &Path) -> Vec<String>,
    remove: &'static [&'static str],
}

/// The supported builders, in the order in which they are tried.
const TOOLS: [Tool; 3] = [
    Tool {
        name: "docker",
        probe: &["version"],
        build: &["build"],
        save: |id, to| vec!["save".to_owned(), format!("--output={}", to.display()), id.to_owned()],
        remove: &["image", "rm"],
    },
    Tool {
        name: "podman",
        probe: &["version"],
        build: &["build", "--timestamp=0"],
        save: |id, to| {
            let to = format!("--output={}", to.display());
            vec!["save".to_owned(), "--format=docker-archive".to_owned(), to, id.to_owned()]
        },
        remove: &["image", "rm"],
    },
    Tool {
        name: "buildah",
        probe: &["version"],
        build: &["build", "--timestamp=0"],
        save: |id, to| vec!["push".to_owned(), id.to_owned(), format!("docker-archive:{}", to.display())],
        remove: &["rmi"],
    },
];

/// Builds the image with the first builder that works.
///
/// # Errors
/// Fails if no builder is installed and running, or if the build fails.
pub async fn build(store: &Store, found: &Survey) -> Result<Built, CallError> {
    let folder = Temp::new(&store.work(), "build")?;
    let tool = tool(folder.path()).await?;
    let context = folder.path().join("context");
    let (files, to) = (found.context.clone(), context.clone());
    blocking(move || copy_context(&files, &to)).await?;
    let recipe = folder.path().join("Dockerfile");
    let text = found.dockerfile.as_deref().unwrap_or_default();
    fs::write(&recipe, text).map_err(|error| at(&recipe, &error))?;
    let mut images = Vec::new();
    for platform in &found.platforms {
        report_progress(&format!("{} is building for {platform}", tool.name));
        let archive = build_for(&tool, folder.path(), &recipe, *platform).await?;
        let work = store.work();
        let (config, layers) = blocking(move || read(&archive, &work)).await?;
        images.push((*platform, config, layers));
    }
    Ok(Built::of(images))
}

/// Checks that a builder is installed and running.
///
/// # Errors
/// Fails if there is none. The message says what each of them says.
pub async fn is_available(cache: &Path) -> Result<(), CallError> {
    tool(&cache.join("image")).await.map(drop)
}

/// Returns a command that runs a builder in `folder`.
fn builder(tool: &Tool, folder: &Path) -> Result<Command, CallError> {
    program(Path::new(tool.name), folder, ProgramVariables::Builder).map_err(|error| at(folder, &error))
}

async fn tool(folder: &Path) -> Result<Tool, CallError> {
    let mut said = Vec::new();
    for tool in TOOLS {
        let mut probe = builder(&tool, folder)?;
        probe.args(tool.probe);
        match run(probe).await {
            Ok(()) => return Ok(tool),
            Err(ProgramError::Nothing) => {}
            Err(ProgramError::Words(words)) => said.push(format!("{}: {words}", tool.name)),
        }
    }
    let text = match said.is_empty() {
        true => "docker, podman and buildah are not installed".to_owned(),
        false => format!("docker, podman or buildah is needed to run the Dockerfile ({})", said.join("; ")),
    };
    Err(CallError::new(ErrorKind::Other, text)
        .hint("install or start one of them, or set `builder: python` for a Python application"))
}

/// Copies exactly the files that were read, so that an edit during the build does not reach the image.
fn copy_context(context: &BuildContext, to: &Path) -> Result<(), CallError> {
    fs::create_dir_all(to).map_err(|error| at(to, &error))?;
    for (path, entry) in &context.entries {
        let file = to.join(path);
        let failed = |error: io::Error| at(&file, &error);
        fs::create_dir_all(file.parent().unwrap_or(to)).map_err(failed)?;
        match entry {
            ContextEntry::File { executable, hash, .. } => {
                let mode = if *executable { 0o755 } else { 0o644 };
                context.reread(path, *hash, |content| {
                    let mut copy = fs::File::create(&file).map_err(failed)?;
                    io::copy(content, &mut copy).map_err(failed)?;
                    copy.set_permissions(fs::Permissions::from_mode(mode)).map_err(failed)
                })?;
            }
            ContextEntry::Link { target } => symlink(target, &file).map_err(failed)?,
        }
    }
    Ok(())
}

async fn build_for(
    tool: &Tool,
    folder: &Path,
    recipe: &Path,
    platform: ImagePlatform,
) -> Result<PathBuf, CallError> {
    let id_file = folder.join(format!("{}.id", platform.architecture()));
    let mut command = builder(tool, folder)?;
    command.args(tool.build).arg(format!("--platform={platform}"));
    command.arg(format!("--iidfile={}", id_file.display()));
    command.arg(format!("--file={}", recipe.display())).arg(folder.join("context"));
    // The time in files and history, if the builder supports it. Attestations of docker differ with each
    // build.
    command
        .env("SOURCE_DATE_EPOCH", "0")
        .env("DOCKER_BUILDKIT", "1")
        .env("BUILDX_NO_DEFAULT_ATTESTATIONS", "1");
    run_long(command).await.map_err(|said| failed(tool, "build the image", said))?;
    let id = fs::read_to_string(&id_file).map_err(|error| at(&id_file, &error))?.trim().to_owned();
    let archive = folder.join(format!("{}.tar", platform.architecture()));
    let mut save = builder(tool, folder)?;
    save.args((tool.save)(&id, &archive));
    run(save).await.map_err(|said| failed(tool, "export the image", said))?;
    // Best effort: the layers stay in the cache of the builder, and an image with a name may be in use.
    let mut remove = builder(tool, folder)?;
    remove.args(tool.remove).arg(id);
    let _ = run(remove).await;
    Ok(archive)
}

fn failed(tool: &Tool, what: &str, said: ProgramError) -> CallError {
    let words = match said {
        ProgramError::Nothing => "no longer installed".to_owned(),
        ProgramError::Words(words) => words,
    };
    CallError::new(ErrorKind::Other, format!("{}: failed to {what}: {words}", tool.name))
        .hint("fix the Dockerfile or the configuration of the builder, then run again")
}

/// An entry of `manifest.json` in an archive of images.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SavedImage {
    config: String,
    layers: Vec<String>,
}

/// Reads the configuration and the layers of an archive. The layers are compressed by this program.
/// Source: <https://github.com/moby/docker-image-spec/blob/main/v1.2.md#combined-image-json--filesystem-changeset-format>
fn read(archive: &Path, work: &Path) -> Result<(Blob, Vec<Blob>), CallError> {
    let folder = Temp::new(work, "archive")?;
    let parts = extract(archive, folder.path()).map_err(|error| at(archive, &error))?;
    let invalid = |what: &str| CallError::new(ErrorKind::Other, format!("{}: {what}", archive.display()));
    let part =
        |name: &str| parts.get(name).ok_or_else(|| invalid(&format!("{name} not found in the archive")));
    let bytes = |name: &str| {
        let path = part(name)?;
        fs::read(path).map_err(|error| at(path, &error))
    };
    let list: Vec<SavedImage> =
        serde_json::from_slice(&bytes("manifest.json")?).map_err(|error| invalid(&error.to_string()))?;
    let [saved] = list.as_slice() else { return Err(invalid("expected an archive of exactly one image")) };
    let config = Blob::memory(CONFIG, bytes(&saved.config)?);
    let mut layers = Vec::new();
    for name in &saved.layers {
        let path = part(name)?;
        layers.push(compressed_layer(path, work)?.blob);
    }
    Ok((config, layers))
}

fn compressed_layer(path: &Path, work: &Path) -> Result<Layer, CallError> {
    let mut file = fs::File::open(path).map_err(|error| at(path, &error))?;
    let mut head = Vec::new();
    file.by_ref().take(2).read_to_end(&mut head).map_err(|error| at(path, &error))?;
    let mut whole = head.as_slice().chain(file);
    if head == [0x1f, 0x8b] {
        // Decompressed first, so that the bytes are those of this program's compressor.
        return compress(&mut flate2::read::MultiGzDecoder::new(whole), work);
    }
    compress(&mut whole, work)
}

/// Extracts the files of an archive into `folder`, and returns their paths by their names in the archive.
fn extract(archive: &Path, folder: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
    fs::create_dir_all(folder)?;
    let mut tar = tar::Archive::new(io::BufReader::new(fs::File::open(archive)?));
    let (mut files, mut links) = (BTreeMap::new(), Vec::new());
    for (index, entry) in tar.entries()?.enumerate() {
        let mut entry = entry?;
        let name = entry.path()?.to_string_lossy().into_owned();
        let kind = entry.header().entry_type();
        if kind.is_file() {
            let path = folder.join(index.to_string());
            io::copy(&mut entry, &mut fs::File::create(&path)?)?;
            files.insert(name, path);
        } else if let (true, Some(target)) = (kind.is_symlink() || kind.is_hard_link(), entry.link_name()?) {
            links.push((name, target.to_string_lossy().into_owned(), kind.is_hard_link()));
        }
    }
    // Builders write a layer that occurs twice once, and link to it.
    for (name, target, hard) in links {
        let home = name.rsplit_once('/').map(|(home, _)| home).filter(|_| !hard);
        let mut whole: Vec<&str> = home.into_iter().flat_map(|home| home.split('/')).collect();
        for part in target.split('/').filter(|part| !matches!(*part, "" | ".")) {
            match part {
                ".." => drop(whole.pop()),
                part => whole.push(part),
            }
        }
        if let Some(path) = files.get(&whole.join("/")).cloned() {
            files.insert(name, path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_read_with_plain_compressed_and_linked_layers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tar");
        let mut tar = tar::Builder::new(fs::File::create(&path).unwrap());
        let mut put = |name: &str, bytes: &[u8]| {
            let mut header = tar::Header::new_ustar();
            header.set_size(u64::try_from(bytes.len()).unwrap());
            tar.append_data(&mut header, name, bytes).unwrap();
        };
        let mut gzipped = Vec::new();
        let mut encoder = flate2::write::GzEncoder::new(&mut gzipped, flate2::Compression::fast());
        io::Write::write_all(&mut encoder, b"layer one").unwrap();
        encoder.finish().unwrap();
        put("one/layer.tar", b"layer one");
        put("two/layer.tar.gz", &gzipped);
        put("c.json", b"{\"os\": \"linux\"}");
        put(
            "manifest.json",
            br#"[{"Config":"c.json","Layers":["one/layer.tar","two/layer.tar.gz","three/layer.tar"]}]"#,
        );
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, "three/layer.tar", "../one/layer.tar").unwrap();
        tar.finish().unwrap();
        let (config, layers) = read(&path, folder.path()).unwrap();
        assert_eq!(config.part(0, 99).unwrap(), b"{\"os\": \"linux\"}");
        assert_eq!(layers.len(), 3);
        assert!(layers.iter().all(|layer| layer.digest == layers[0].digest));
        fs::write(&path, "no archive").unwrap();
        assert!(read(&path, folder.path()).is_err());
    }
}
