//! Writes layers that have the same bytes on every machine: entries sorted by path, owner 0, time 0, two file
//! modes, one compressor at one level.

use super::{
    Blob, Temp,
    file_tree::{FileOwner, is_system_folder},
    hashing::hex,
};
use crate::model::{CallError, ErrorKind};
use flate2::{Compression, GzBuilder, write::GzEncoder};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write},
    path::Path,
};
use tar::{EntryType, Header};

/// Media type of a layer: a tar archive compressed with gzip.
pub const GZIPPED: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Version of the layer format. It is part of the content digest, so a new format is a new tag. A test
/// compares it with the bytes of a layer.
pub const FORMAT_VERSION: u32 = 1;

/// A compressed layer and the digest of its uncompressed archive.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Digest of the uncompressed tar archive.
    pub diff_id: String,
    /// The compressed archive.
    pub blob: Blob,
}

/// A writer that hashes and counts what is written through it.
struct HashingWriter<W> {
    inner: W,
    hash: Sha256,
    size: u64,
}

impl<W> HashingWriter<W> {
    fn new(inner: W) -> Self {
        HashingWriter { inner, hash: Sha256::new(), size: 0 }
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hash.update(bytes.get(..count).unwrap_or_default());
        self.size = self.size.saturating_add(u64::try_from(count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn compressor<W: Write>(to: W) -> GzEncoder<W> {
    // No file name and no time in the header; 255 is "unknown operating system".
    GzBuilder::new().mtime(0).operating_system(255).write(to, Compression::new(6))
}

/// A layer that is being written. Entries must arrive sorted by the bytes of their paths; parent folders are
/// added automatically.
pub struct LayerWriter {
    temp: Temp,
    tar: tar::Builder<HashingWriter<GzEncoder<HashingWriter<io::BufWriter<fs::File>>>>>,
    folders: BTreeSet<String>,
}

impl LayerWriter {
    /// Starts an empty layer in a temporary file in `folder`.
    pub fn new(folder: &Path) -> Result<Self, CallError> {
        let temp = Temp::new(folder, "layer")?;
        let file = fs::File::create(temp.path()).map_err(|error| temp.io_error(&error))?;
        let tar =
            tar::Builder::new(HashingWriter::new(compressor(HashingWriter::new(io::BufWriter::new(file)))));
        Ok(LayerWriter { temp, tar, folders: BTreeSet::new() })
    }

    /// Adds a regular file of `size` bytes, which are read from `content` as they are written.
    ///
    /// # Errors
    /// Fails if the content has another size, or cannot be read or written.
    pub fn file(
        &mut self,
        path: &str,
        executable: bool,
        size: u64,
        content: &mut dyn io::Read,
    ) -> Result<(), CallError> {
        let mode = if executable { 0o755 } else { 0o644 };
        self.put(path, EntryType::Regular, (mode, FileOwner::default()), None, (size, content))
    }

    /// Adds a regular file with these permissions and this owner.
    ///
    /// # Errors
    /// Those of [`Self::file`].
    pub fn file_of(
        &mut self,
        path: &str,
        access: (u32, FileOwner),
        size: u64,
        content: &mut dyn io::Read,
    ) -> Result<(), CallError> {
        self.put(path, EntryType::Regular, access, None, (size, content))
    }

    /// Adds a folder with these permissions and this owner, and its parents.
    pub fn folder_of(&mut self, path: &str, access: (u32, FileOwner)) -> Result<(), CallError> {
        if let Some((above, _)) = path.rsplit_once('/') {
            self.folder(above)?;
        }
        if self.folders.insert(path.to_owned()) {
            let empty = &mut io::empty();
            self.entry(&format!("{path}/"), EntryType::Directory, access, None, (0, empty))
                .map_err(|error| self.temp.io_error(&error))?;
        }
        Ok(())
    }

    /// Adds a symbolic link.
    pub fn link(&mut self, path: &str, target: &str) -> Result<(), CallError> {
        self.put(path, EntryType::Symlink, (0o777, FileOwner::default()), Some(target), (0, &mut io::empty()))
    }

    /// Adds a folder and its parents, unless the layer has them.
    pub fn folder(&mut self, path: &str) -> Result<(), CallError> {
        let ends = path.char_indices().filter(|(_, char)| *char == '/').map(|(at, _)| at);
        for end in ends.chain(std::iter::once(path.len())) {
            let folder = path.get(..end).unwrap_or_default();
            // A folder of the base keeps its permissions, or stays the link that it is there.
            if !is_system_folder(folder) && self.folders.insert(folder.to_owned()) {
                let access = (0o755, FileOwner::default());
                self.entry(&format!("{folder}/"), EntryType::Directory, access, None, (0, &mut io::empty()))
                    .map_err(|error| self.temp.io_error(&error))?;
            }
        }
        Ok(())
    }

    fn put(
        &mut self,
        path: &str,
        kind: EntryType,
        access: (u32, FileOwner),
        link: Option<&str>,
        content: (u64, &mut dyn io::Read),
    ) -> Result<(), CallError> {
        if let Some((folder, _)) = path.rsplit_once('/') {
            self.folder(folder)?;
        }
        self.entry(path, kind, access, link, content).map_err(|error| self.temp.io_error(&error))
    }

    fn entry(
        &mut self,
        path: &str,
        kind: EntryType,
        access: (u32, FileOwner),
        link: Option<&str>,
        (size, content): (u64, &mut dyn io::Read),
    ) -> io::Result<()> {
        let mut header = entry_header(kind, access, size);
        let mut extended = String::new();
        if !path.is_ascii() || header.set_path(path).is_err() {
            extended.push_str(&pax_record("path", path));
            header.set_path("long-name")?;
        }
        if let Some(link) = link {
            // Written as given: `a/../b` and `b` are different targets if `a` is a link.
            if !link.is_ascii() || header.set_link_name_literal(link).is_err() {
                extended.push_str(&pax_record("linkpath", link));
                header.set_link_name_literal("long-name")?;
            }
        }
        if !extended.is_empty() {
            let mut before = entry_header(
                EntryType::XHeader,
                (0o644, FileOwner::default()),
                u64::try_from(extended.len()).unwrap_or(u64::MAX),
            );
            before.set_path("PaxHeader")?;
            before.set_cksum();
            self.tar.append(&before, extended.as_bytes())?;
        }
        header.set_cksum();
        let mut counted = Counted { from: content, left: size };
        self.tar.append(&header, &mut counted)?;
        // An entry of another size than its header says would shift all that come after it.
        match (counted.left, counted.from.read(&mut [0])?) {
            (0, 0) => Ok(()),
            _ => {
                Err(io::Error::other(format!("{path}: its content does not have the expected {size} bytes")))
            }
        }
    }

    /// Finishes the archive and returns the layer.
    pub fn end(self) -> Result<Layer, CallError> {
        let LayerWriter { temp, tar, .. } = self;
        let finish = || {
            let plain = tar.into_inner()?;
            let mut packed = plain.inner.finish()?;
            packed.inner.flush()?;
            io::Result::Ok((plain.hash, packed.hash, packed.size))
        };
        let (plain, packed, size) = finish().map_err(|error| temp.io_error(&error))?;
        let digest = format!("sha256:{}", hex(&packed.finalize()));
        Ok(Layer {
            diff_id: format!("sha256:{}", hex(&plain.finalize())),
            blob: Blob::temporary(digest, size, GZIPPED, temp),
        })
    }
}

/// Compresses a tar archive of another builder.
pub fn compress(archive: &mut dyn io::Read, folder: &Path) -> Result<Layer, CallError> {
    let temp = Temp::new(folder, "layer")?;
    let mut pack = || {
        let file = io::BufWriter::new(fs::File::create(temp.path())?);
        let mut plain = HashingWriter::new(compressor(HashingWriter::new(file)));
        io::copy(archive, &mut plain)?;
        let mut packed = plain.inner.finish()?;
        packed.inner.flush()?;
        io::Result::Ok((plain.hash, packed.hash, packed.size))
    };
    let (plain, packed, size) = pack().map_err(|error| temp.io_error(&error))?;
    let digest = format!("sha256:{}", hex(&packed.finalize()));
    let blob = Blob::temporary(digest, size, GZIPPED, temp);
    Ok(Layer { diff_id: format!("sha256:{}", hex(&plain.finalize())), blob })
}

/// A reader of no more bytes than are left.
struct Counted<'a> {
    from: &'a mut dyn io::Read,
    left: u64,
}

impl io::Read for Counted<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(to.len());
        let read = self.from.read(to.get_mut(..most).unwrap_or_default())?;
        self.left = self.left.saturating_sub(u64::try_from(read).unwrap_or(u64::MAX));
        Ok(read)
    }
}

fn entry_header(kind: EntryType, (mode, owner): (u32, FileOwner), size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(owner.uid.into());
    header.set_gid(owner.gid.into());
    header.set_mtime(0);
    header.set_size(size);
    header
}

/// Returns a record of an extended header, which begins with its own length.
/// Source: POSIX.1-2017, `pax`, "pax Extended Header".
fn pax_record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len();
    while length != rest.len().saturating_add(length.to_string().len()) {
        length = rest.len().saturating_add(length.to_string().len());
    }
    format!("{length}{rest}")
}

/// Checks that a `/`-separated path stays in the folder in which it is unpacked.
///
/// # Errors
/// Fails if the path is absolute, has an empty, `.` or `..` part, or has a backslash, NUL or line break.
pub fn check_path(path: &str) -> Result<(), CallError> {
    let sound = !path.is_empty()
        && !path.contains(['\0', '\\', '\n', '\r'])
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if sound {
        Ok(())
    } else {
        Err(CallError::new(ErrorKind::Refused, format!("invalid file path {path:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn put(layer: &mut LayerWriter, path: &str, executable: bool, mut bytes: &[u8]) {
        layer.file(path, executable, u64::try_from(bytes.len()).unwrap(), &mut bytes).unwrap();
    }

    #[test]
    fn a_file_has_the_size_of_its_header() {
        let folder = tempfile::tempdir().unwrap();
        for size in [2, 4] {
            let mut layer = LayerWriter::new(folder.path()).unwrap();
            let error = layer.file("a", false, size, &mut b"one".as_slice()).unwrap_err();
            assert!(error.message.contains("does not have the expected"), "{error:?}");
        }
    }

    fn made(folder: &Path) -> Layer {
        let mut layer = LayerWriter::new(folder).unwrap();
        put(&mut layer, "app/a.py", false, b"print('a')\n");
        put(&mut layer, "app/bin/run", true, b"#!/bin/sh\n");
        layer.link("app/bin/to", "../a.py").unwrap();
        put(&mut layer, &format!("app/{}/{}", "l".repeat(120), "n".repeat(150)), false, b"long");
        layer.link(&format!("app/{}", "m".repeat(160)), &"t".repeat(160)).unwrap();
        put(&mut layer, "app/\u{e4}", false, &vec![7; 100_000]);
        layer.end().unwrap()
    }

    #[test]
    fn a_layer_holds_the_entries_that_were_added() {
        let folder = tempfile::tempdir().unwrap();
        let layer = made(folder.path());
        let packed = layer.blob.part(0, layer.blob.size).unwrap();
        assert_eq!(packed.get(..10), Some([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255].as_slice()));
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut plain).unwrap();
        assert_eq!(layer.diff_id, format!("sha256:{}", hex(&Sha256::digest(&plain))));
        assert_eq!(layer.blob.digest, format!("sha256:{}", hex(&Sha256::digest(&packed))));
        let mut archive = tar::Archive::new(plain.as_slice());
        let found: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let header = entry.header().clone();
                assert_eq!(
                    (header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()),
                    (0, 0, 0)
                );
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).unwrap();
                let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
                let link = entry.link_name_bytes().map(|name| name.len());
                (path, header.mode().unwrap(), bytes.len(), link)
            })
            .collect();
        let long = format!("app/{}", "l".repeat(120));
        let wanted = [
            ("app/".to_owned(), 0o755, 0, None),
            ("app/a.py".to_owned(), 0o644, 11, None),
            ("app/bin/".to_owned(), 0o755, 0, None),
            ("app/bin/run".to_owned(), 0o755, 10, None),
            ("app/bin/to".to_owned(), 0o777, 0, Some(7)),
            (format!("{long}/"), 0o755, 0, None),
            (format!("{long}/{}", "n".repeat(150)), 0o644, 4, None),
            (format!("app/{}", "m".repeat(160)), 0o777, 0, Some(160)),
            ("app/\u{e4}".to_owned(), 0o644, 100_000, None),
        ];
        assert_eq!(found, wanted);
    }

    /// Other bytes for the same files are another image, so a change here must raise [`FORMAT_VERSION`].
    #[test]
    fn layer_bytes_match_the_format_version() {
        let folder = tempfile::tempdir().unwrap();
        let layer = made(folder.path());
        assert_eq!(FORMAT_VERSION, 1);
        assert_eq!(layer.diff_id, "sha256:0d14e064d97e55ecf644862e4936c7d9f5cda545a29433f9d9a26a4682846ff3");
        assert_eq!(
            layer.blob.digest,
            "sha256:b4b6cc71ae48281001f638fcdfb7a9e4830112f09ecee801920c722e0c45d9bd"
        );
        assert_eq!(made(folder.path()).blob.digest, layer.blob.digest);
        let left = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 1, "a dropped layer deletes its file");
        let mut plain = Vec::new();
        let packed = layer.blob.part(0, layer.blob.size).unwrap();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut plain).unwrap();
        let again = compress(&mut plain.as_slice(), folder.path()).unwrap();
        assert_eq!((again.diff_id, again.blob.digest), (layer.diff_id, layer.blob.digest));
    }

    #[test]
    fn a_record_counts_its_own_length() {
        assert_eq!(pax_record("path", "a"), "9 path=a\n");
        assert_eq!(pax_record("path", &"x".repeat(90)).len(), 99);
        assert_eq!(pax_record("path", &"x".repeat(91)).split(' ').next(), Some("101"));
    }

    #[test]
    fn paths_that_leave_the_folder_are_rejected() {
        for name in ["/a", "../a", "a/../../b", "a//b", "", "a\\b", "./a", "a/"] {
            assert!(check_path(name).is_err(), "{name}");
        }
        assert!(check_path("a/b-1.0.dist-info/RECORD").is_ok());
    }
}
