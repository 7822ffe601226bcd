//! Layers of which each machine makes the same bytes: entries in the order of their paths, owner 0, time 0, two modes, and
//! one compressor at one level.

use super::{Blob, Temp, context::hex};
use crate::model::{Class, Fault};
use flate2::{Compression, GzBuilder, write::GzEncoder};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write},
    path::Path,
};
use tar::{EntryType, Header};

/// The media type of a layer.
pub const GZIPPED: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Part of the content digest: another form of layers is another image. A test holds it against the bytes.
pub const FORM: u32 = 1;

/// A layer, and the digest of it before it was compressed.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The digest of the tar archive.
    pub diff_id: String,
    /// The compressed archive.
    pub blob: Blob,
}

/// What goes through, hashed and counted.
struct Tally<W> {
    inner: W,
    hash: Sha256,
    size: u64,
}

impl<W> Tally<W> {
    fn new(inner: W) -> Self {
        Tally { inner, hash: Sha256::new(), size: 0 }
    }
}

impl<W: Write> Write for Tally<W> {
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
    // No name, no time; the system's byte says "unknown".
    GzBuilder::new().mtime(0).operating_system(255).write(to, Compression::new(6))
}

/// A layer in the making. Entries must come in the order of their paths' bytes; folders make themselves.
pub struct Writer {
    temp: Temp,
    tar: tar::Builder<Tally<GzEncoder<Tally<io::BufWriter<fs::File>>>>>,
    folders: BTreeSet<String>,
}

impl Writer {
    /// An empty layer, in a file of its own in `folder` until it is dropped.
    pub fn new(folder: &Path) -> Result<Self, Fault> {
        let temp = Temp::new(folder, "layer")?;
        let file = fs::File::create(temp.path()).map_err(|error| temp.fault(&error))?;
        let tar = tar::Builder::new(Tally::new(compressor(Tally::new(io::BufWriter::new(file)))));
        Ok(Writer { temp, tar, folders: BTreeSet::new() })
    }

    /// A file.
    pub fn file(&mut self, path: &str, executable: bool, bytes: &[u8]) -> Result<(), Fault> {
        let mode = if executable { 0o755 } else { 0o644 };
        self.put(path, EntryType::Regular, mode, None, bytes)
    }

    /// A symbolic link.
    pub fn link(&mut self, path: &str, target: &str) -> Result<(), Fault> {
        self.put(path, EntryType::Symlink, 0o777, Some(target), &[])
    }

    /// A folder, where none is there yet.
    pub fn folder(&mut self, path: &str) -> Result<(), Fault> {
        let ends = path.char_indices().filter(|(_, char)| *char == '/').map(|(at, _)| at);
        for end in ends.chain(std::iter::once(path.len())) {
            let folder = path.get(..end).unwrap_or_default();
            if !folder.is_empty() && self.folders.insert(folder.to_owned()) {
                self.entry(&format!("{folder}/"), EntryType::Directory, 0o755, None, &[])
                    .map_err(|error| self.temp.fault(&error))?;
            }
        }
        Ok(())
    }

    fn put(
        &mut self,
        path: &str,
        kind: EntryType,
        mode: u32,
        link: Option<&str>,
        bytes: &[u8],
    ) -> Result<(), Fault> {
        if let Some((folder, _)) = path.rsplit_once('/') {
            self.folder(folder)?;
        }
        self.entry(path, kind, mode, link, bytes).map_err(|error| self.temp.fault(&error))
    }

    fn entry(
        &mut self,
        path: &str,
        kind: EntryType,
        mode: u32,
        link: Option<&str>,
        bytes: &[u8],
    ) -> io::Result<()> {
        let mut header = blank(kind, mode, bytes.len());
        let mut extended = String::new();
        if !path.is_ascii() || header.set_path(path).is_err() {
            extended.push_str(&record("path", path));
            header.set_path("long-name")?;
        }
        if let Some(link) = link {
            // As it stands: `a/../b` goes another way than `b` where `a` is a link.
            if !link.is_ascii() || header.set_link_name_literal(link).is_err() {
                extended.push_str(&record("linkpath", link));
                header.set_link_name_literal("long-name")?;
            }
        }
        if !extended.is_empty() {
            let mut before = blank(EntryType::XHeader, 0o644, extended.len());
            before.set_path("PaxHeader")?;
            before.set_cksum();
            self.tar.append(&before, extended.as_bytes())?;
        }
        header.set_cksum();
        self.tar.append(&header, bytes)
    }

    /// The layer.
    pub fn end(self) -> Result<Layer, Fault> {
        let Writer { temp, tar, .. } = self;
        let finish = || {
            let plain = tar.into_inner()?;
            let mut packed = plain.inner.finish()?;
            packed.inner.flush()?;
            io::Result::Ok((plain.hash, packed.hash, packed.size))
        };
        let (plain, packed, size) = finish().map_err(|error| temp.fault(&error))?;
        let digest = format!("sha256:{}", hex(&packed.finalize()));
        Ok(Layer {
            diff_id: format!("sha256:{}", hex(&plain.finalize())),
            blob: Blob::temporary(digest, size, GZIPPED, temp),
        })
    }
}

/// Compresses an archive that somebody else wrote.
pub fn compressed(archive: &mut dyn io::Read, folder: &Path) -> Result<Layer, Fault> {
    let temp = Temp::new(folder, "layer")?;
    let mut pack = || {
        let file = io::BufWriter::new(fs::File::create(temp.path())?);
        let mut plain = Tally::new(compressor(Tally::new(file)));
        io::copy(archive, &mut plain)?;
        let mut packed = plain.inner.finish()?;
        packed.inner.flush()?;
        io::Result::Ok((plain.hash, packed.hash, packed.size))
    };
    let (plain, packed, size) = pack().map_err(|error| temp.fault(&error))?;
    let digest = format!("sha256:{}", hex(&packed.finalize()));
    let blob = Blob::temporary(digest, size, GZIPPED, temp);
    Ok(Layer { diff_id: format!("sha256:{}", hex(&plain.finalize())), blob })
}

fn blank(kind: EntryType, mode: u32, size: usize) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(u64::try_from(size).unwrap_or_default());
    header
}

/// A record of an extended header, which begins with its own length.
/// Source: POSIX.1-2017, `pax`, "pax Extended Header".
fn record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len();
    while length != rest.len().saturating_add(length.to_string().len()) {
        length = rest.len().saturating_add(length.to_string().len());
    }
    format!("{length}{rest}")
}

/// A name that must not lead out of where it is unpacked, with `/` between its parts.
pub fn safe(path: &str) -> Result<(), Fault> {
    let sound = !path.is_empty()
        && !path.contains(['\0', '\\', '\n', '\r'])
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if sound { Ok(()) } else { Err(Fault::new(Class::Refused, format!("`{path}` is no name of a file"))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn made(folder: &Path) -> Layer {
        let mut layer = Writer::new(folder).unwrap();
        layer.file("app/a.py", false, b"print('a')\n").unwrap();
        layer.file("app/bin/run", true, b"#!/bin/sh\n").unwrap();
        layer.link("app/bin/to", "../a.py").unwrap();
        layer.file(&format!("app/{}/{}", "l".repeat(120), "n".repeat(150)), false, b"long").unwrap();
        layer.link(&format!("app/{}", "m".repeat(160)), &"t".repeat(160)).unwrap();
        layer.file("app/\u{e4}", false, &vec![7; 100_000]).unwrap();
        layer.end().unwrap()
    }

    #[test]
    fn what_went_in_comes_out() {
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

    /// Other bytes for the same files are another image: then [`FORM`] must move, too.
    #[test]
    fn the_bytes_are_those_of_this_form() {
        let folder = tempfile::tempdir().unwrap();
        let layer = made(folder.path());
        assert_eq!(FORM, 1);
        assert_eq!(layer.diff_id, "sha256:0d14e064d97e55ecf644862e4936c7d9f5cda545a29433f9d9a26a4682846ff3");
        assert_eq!(
            layer.blob.digest,
            "sha256:b4b6cc71ae48281001f638fcdfb7a9e4830112f09ecee801920c722e0c45d9bd"
        );
        assert_eq!(made(folder.path()).blob.digest, layer.blob.digest);
        let left = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 1, "what is dropped is removed");
        let mut plain = Vec::new();
        let packed = layer.blob.part(0, layer.blob.size).unwrap();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut plain).unwrap();
        let again = compressed(&mut plain.as_slice(), folder.path()).unwrap();
        assert_eq!((again.diff_id, again.blob.digest), (layer.diff_id, layer.blob.digest));
    }

    #[test]
    fn a_record_counts_its_own_length() {
        assert_eq!(record("path", "a"), "9 path=a\n");
        assert_eq!(record("path", &"x".repeat(90)).len(), 99);
        assert_eq!(record("path", &"x".repeat(91)).split(' ').next(), Some("101"));
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        for name in ["/a", "../a", "a/../../b", "a//b", "", "a\\b", "./a", "a/"] {
            assert!(safe(name).is_err(), "{name}");
        }
        assert!(safe("a/b-1.0.dist-info/RECORD").is_ok());
    }
}
