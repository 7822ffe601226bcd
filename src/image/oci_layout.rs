//! Writes an image into a folder as an OCI layout, which other programs can read.
//! Source: <https://github.com/opencontainers/image-spec/blob/main/image-layout.md>

use super::{Blob, Built, Store, blob::at};
use crate::model::CallError;
use serde_json::json;
use std::{fs, io::Write as _, path::Path};

/// How much of a blob is read into memory at once, in bytes.
const CHUNK_SIZE: u64 = 8 << 20;

/// Writes an image into `folder`; the index names it `tag`.
pub fn write_layout(built: &Built, folder: &Path, tag: &str) -> Result<(), CallError> {
    let blobs = Store::new(folder);
    for blob in &built.blobs {
        copy(blob, &blobs.path(&blob.digest)?)?;
    }
    for document in &built.documents {
        write(&blobs.path(&document.digest)?, document.text.as_bytes())?;
    }
    let root = built.root()?;
    let index = json!({"schemaVersion": 2, "mediaType": super::image_manifest::INDEX, "manifests": [{
        "mediaType": root.media_type, "digest": root.digest, "size": root.text.len(),
        "annotations": {"org.opencontainers.image.ref.name": tag},
    }]});
    write(&folder.join("index.json"), index.to_string().as_bytes())?;
    write(&folder.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), CallError> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).and_then(|()| fs::write(path, bytes)).map_err(|error| at(path, &error))
}

fn copy(blob: &Blob, path: &Path) -> Result<(), CallError> {
    write(path, &[])?;
    let mut file = fs::File::create(path).map_err(|error| at(path, &error))?;
    let mut from = 0;
    while from < blob.size {
        let part = blob.part(from, CHUNK_SIZE)?;
        if part.is_empty() {
            return Err(blob.damaged());
        }
        file.write_all(&part).map_err(|error| at(path, &error))?;
        from = from.saturating_add(u64::try_from(part.len()).unwrap_or(CHUNK_SIZE));
    }
    Ok(())
}
