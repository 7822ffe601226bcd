//! Unpacks wheels into one layer: modules, console scripts and data, each where the Python of the image looks for it.
//! Source: <https://packaging.python.org/en/latest/specifications/binary-distribution-format/>

use super::{
    console_scripts::{of_entry_points, with_interpreter},
    dockerfile::SITE,
    hashing::{Hashing, hex},
    layer::{Layer, LayerWriter, check_path},
};
use crate::model::{CallError, ErrorKind};
use serde::Serialize;
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

/// Maximum size of a script or a list of entry points, in bytes.
const MAX_SCRIPT_BYTES: u64 = 4 << 20;

/// Where the parts of wheels go.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WheelPlace {
    /// Folder of the modules; `None` for a layer without them.
    pub site: Option<String>,
    /// Folder of the console scripts; `None` for a layer without them.
    pub scripts: Option<String>,
    /// Interpreter that runs the scripts.
    pub interpreter: String,
}

impl WheelPlace {
    /// Returns whether only modules are unpacked, into the folder that earlier versions of this program knew.
    pub fn is_plain(&self) -> bool {
        self.site.as_deref() == Some(SITE) && self.scripts.is_none()
    }

    /// Returns the path of a wheel's file in the layer, or `None` for a file that the image has no place for.
    fn path(&self, name: &str) -> Option<String> {
        let data = name.split_once(".data/").filter(|(first, _)| !first.contains('/'));
        let Some((_, rest)) = data else { return Some(format!("{}/{name}", self.site.as_ref()?)) };
        let (kind, rest) = rest.split_once('/')?;
        match kind {
            "purelib" | "platlib" => Some(format!("{}/{rest}", self.site.as_ref()?)),
            "scripts" => Some(format!("{}/{rest}", self.scripts.as_ref()?)),
            // Of a virtual environment or `/usr/local`: what lies beside the folder of programs.
            "data" => Some(format!("{}/{rest}", self.scripts.as_ref()?.strip_suffix("/bin")?)),
            _ => None,
        }
    }
}

/// A file of the layer: a file of a wheel, or a text that is made from one.
struct Item {
    path: String,
    wheel: usize,
    index: usize,
    executable: bool,
    text: Option<Vec<u8>>,
}

/// Unpacks wheels into a layer.
///
/// # Errors
/// Fails on a damaged wheel, on paths that leave the folder, and if two wheels have different files of one name.
pub fn unpack(wheels: &[PathBuf], work: &Path, place: &WheelPlace) -> Result<Layer, CallError> {
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
            let mut file = archive.by_index(index).map_err(|error| unusable(&error))?;
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
            let is_script = name.contains(".data/scripts/");
            let is_list = name.ends_with(".dist-info/entry_points.txt") && name.matches('/').count() == 1;
            let mut text = None;
            if place.scripts.is_some() && (is_script || is_list) {
                let mut content = Vec::new();
                (&mut file)
                    .take(MAX_SCRIPT_BYTES)
                    .read_to_end(&mut content)
                    .map_err(|error| unusable(&error))?;
                if is_script {
                    text = with_interpreter(&content, &place.interpreter);
                } else {
                    let list = String::from_utf8_lossy(&content);
                    for (name, text) in of_entry_points(&list, &place.interpreter) {
                        let path = format!("{}/{name}", place.scripts.as_deref().unwrap_or_default());
                        let text = Some(text.into_bytes());
                        items.push(Item { path, wheel, index, executable: true, text });
                    }
                }
            }
            if let Some(path) = place.path(&name) {
                items.push(Item { path, wheel, index, executable: executable || is_script, text });
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
                    .hint("remove one of them from the requirements, or set `builder: dockerfile`"));
            }
        }
        let written = if let Some(text) = &item.text {
            let size = u64::try_from(text.len()).unwrap_or(u64::MAX);
            layer.file(&item.path, item.executable, size, &mut text.as_slice())
        } else {
            let mut file = opened(&mut archives, item)?;
            let size = file.size();
            layer.file(&item.path, item.executable, size, &mut file)
        };
        written.map_err(|error| damaged(&error.message))?;
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
    if let Some(text) = &item.text {
        return Ok(hex(&Sha256::digest(text)));
    }
    let mut hashing = Hashing(Sha256::new());
    let file = opened(archives, item)?;
    // No more than the size in the archive's directory, whatever the data unpacks to.
    let size = file.size();
    std::io::copy(&mut file.take(size.saturating_add(1)), &mut hashing)
        .map_err(|error| CallError::new(ErrorKind::Refused, format!("{}: {error}", item.path)))?;
    Ok(hex(&hashing.0.finalize()))
}

#[cfg(test)]
mod tests;
