//! An image by docker, podman or buildah: whichever is there builds it for each platform, and hands it over as an archive,
//! so that it goes the same way to ECR as one that is made here.

use super::{
    Blob, Built, Platform, Store, Survey, Temp,
    blob::at,
    build::blocking,
    context::{Context, Entry},
    layer::{Layer, compressed},
    manifest::CONFIG,
    python::{Said, finished, run},
};
use crate::{
    aws::tell,
    model::{Class, Fault},
};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read as _},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::process::Command;

/// How a program is asked.
struct Tool {
    name: &'static str,
    /// Whether it works at all: docker's client without its daemon does not.
    probe: &'static [&'static str],
    build: &'static [&'static str],
    save: fn(&str, &Path) -> Vec<String>,
    remove: &'static [&'static str],
}

/// In the order in which they are tried.
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

/// Builds what was read.
///
/// # Errors
/// None of the programs is there; the one that is does not build it.
pub async fn build(store: &Store, found: &Survey) -> Result<Built, Fault> {
    let tool = tool().await?;
    let folder = Temp::new(&store.work(), "build")?;
    let context = folder.path().join("context");
    let (files, to) = (found.context.clone(), context.clone());
    blocking(move || lay_out(&files, &to)).await?;
    let recipe = folder.path().join("Dockerfile");
    let text = found.dockerfile.as_deref().unwrap_or_default();
    fs::write(&recipe, text).map_err(|error| at(&recipe, &error))?;
    let mut images = Vec::new();
    for platform in &found.platforms {
        tell(&format!("{} builds for {platform}", tool.name));
        let archive = one(&tool, folder.path(), &recipe, *platform).await?;
        let work = store.work();
        let (config, layers) = blocking(move || read(&archive, &work)).await?;
        images.push((*platform, config, layers));
    }
    Ok(Built::of(images))
}

async fn tool() -> Result<Tool, Fault> {
    let mut said = Vec::new();
    for tool in TOOLS {
        match run(Path::new(tool.name), tool.probe).await {
            Ok(()) => return Ok(tool),
            Err(Said::Nothing) => {}
            Err(Said::Words(words)) => said.push(format!("{}: {words}", tool.name)),
        }
    }
    let text = match said.is_empty() {
        true => "`builder: dockerfile` needs docker, podman or buildah, and none of them is there".to_owned(),
        false => format!("`builder: dockerfile` needs docker, podman or buildah: {}", said.join("; ")),
    };
    Err(Fault::new(Class::Other, text)
        .hint("install or start one of them; for a Python application `builder: python` needs none"))
}

/// A copy of exactly the files that were read: what changes meanwhile changes no image.
fn lay_out(context: &Context, to: &Path) -> Result<(), Fault> {
    fs::create_dir_all(to).map_err(|error| at(to, &error))?;
    for (path, entry) in &context.entries {
        let file = to.join(path);
        let put = |bytes: Option<(&[u8], u32)>, target: &str| {
            fs::create_dir_all(file.parent().unwrap_or(to))?;
            match bytes {
                Some((bytes, mode)) => fs::write(&file, bytes)
                    .and_then(|()| fs::set_permissions(&file, fs::Permissions::from_mode(mode))),
                None => symlink(target, &file),
            }
        };
        let put = match entry {
            Entry::File { executable, hash, .. } => {
                let mode = if *executable { 0o755 } else { 0o644 };
                put(Some((&context.bytes(path, hash)?, mode)), "")
            }
            Entry::Link { target } => put(None, target),
        };
        put.map_err(|error| at(&file, &error))?;
    }
    Ok(())
}

async fn one(tool: &Tool, folder: &Path, recipe: &Path, platform: Platform) -> Result<PathBuf, Fault> {
    let id_file = folder.join(format!("{}.id", platform.architecture()));
    let mut command = Command::new(tool.name);
    command.args(tool.build).arg(format!("--platform={platform}"));
    command.arg(format!("--iidfile={}", id_file.display()));
    command.arg(format!("--file={}", recipe.display())).arg(folder.join("context"));
    // Files and history carry this time, where the program can; what docker adds on who built it differs each time.
    command
        .env("SOURCE_DATE_EPOCH", "0")
        .env("DOCKER_BUILDKIT", "1")
        .env("BUILDX_NO_DEFAULT_ATTESTATIONS", "1");
    command.stdin(Stdio::null()).kill_on_drop(true);
    finished(command).await.map_err(|said| failed(tool, "build the image", said))?;
    let id = fs::read_to_string(&id_file).map_err(|error| at(&id_file, &error))?.trim().to_owned();
    let archive = folder.join(format!("{}.tar", platform.architecture()));
    let name = Path::new(tool.name);
    run(name, (tool.save)(&id, &archive)).await.map_err(|said| failed(tool, "hand the image over", said))?;
    // Its layers stay in the builder's cache; an image that somebody named is not removed by its id.
    let _ = run(name, tool.remove.iter().map(|word| (*word).to_owned()).chain([id])).await;
    Ok(archive)
}

fn failed(tool: &Tool, what: &str, said: Said) -> Fault {
    let words = match said {
        Said::Nothing => "it is not there any more".to_owned(),
        Said::Words(words) => words,
    };
    Fault::new(Class::Other, format!("{} could not {what}: {words}", tool.name))
        .hint("the Dockerfile, or the program's own configuration, must be mended; then run again")
}

/// The list in an archive of images.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    layers: Vec<String>,
}

/// The configuration and the layers in an archive, these compressed here.
/// Source: <https://github.com/moby/docker-image-spec/blob/main/v1.2.md#combined-image-json--filesystem-changeset-format>
fn read(archive: &Path, work: &Path) -> Result<(Blob, Vec<Blob>), Fault> {
    let folder = Temp::new(work, "archive")?;
    let parts = parts(archive, folder.path()).map_err(|error| at(archive, &error))?;
    let odd = |what: &str| Fault::new(Class::Other, format!("{}: {what}", archive.display()));
    let part = |name: &str| parts.get(name).ok_or_else(|| odd(&format!("there is no {name} in it")));
    let bytes = |name: &str| {
        let path = part(name)?;
        fs::read(path).map_err(|error| at(path, &error))
    };
    let list: Vec<Saved> =
        serde_json::from_slice(&bytes("manifest.json")?).map_err(|error| odd(&error.to_string()))?;
    let [saved] = list.as_slice() else { return Err(odd("it has not exactly one image")) };
    let config = Blob::memory(CONFIG, bytes(&saved.config)?);
    let mut layers = Vec::new();
    for name in &saved.layers {
        let path = part(name)?;
        layers.push(packed(path, work)?.blob);
    }
    Ok((config, layers))
}

fn packed(path: &Path, work: &Path) -> Result<Layer, Fault> {
    let mut file = fs::File::open(path).map_err(|error| at(path, &error))?;
    let mut head = Vec::new();
    file.by_ref().take(2).read_to_end(&mut head).map_err(|error| at(path, &error))?;
    let mut whole = head.as_slice().chain(file);
    if head == [0x1f, 0x8b] {
        // Unpacked first, so that the bytes are those of our compressor.
        return compressed(&mut flate2::read::MultiGzDecoder::new(whole), work);
    }
    compressed(&mut whole, work)
}

/// The files of an archive, each under a name of its own in `folder`.
fn parts(archive: &Path, folder: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
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
    // Layers that are the same are kept once.
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
    fn an_archive_is_read_whatever_its_layers_are_packed_with() {
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
