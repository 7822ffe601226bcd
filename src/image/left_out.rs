//! What never enters an image: the stack's own files, Git's folder and private keys.

use super::ignore::Ignore;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// How many bytes at the beginning of a file are searched for a private key.
pub const HEAD_BYTES: usize = 64 << 10;

/// Names that `ssh-keygen` gives to private keys.
/// Source: <https://man.openbsd.org/ssh-keygen#FILES>
const KEY_NAMES: [&str; 6] = ["id_rsa", "id_dsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk"];

/// A file or folder of the application's folder that is not part of its image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOut {
    /// Its path in the context, `/`-separated.
    pub path: String,
    /// What it is.
    pub why: &'static str,
}

/// The rules by which files are left out.
pub struct LeaveOut {
    /// The stack's own files and folders, by their paths in the context.
    own: BTreeSet<String>,
}

impl LeaveOut {
    /// Returns the rules for a context at `folder`. `own` are the files and folders of the stack, wherever they are,
    /// whether they exist or not.
    pub fn new(folder: &Path, own: &[PathBuf]) -> Self {
        let folder = whole(folder);
        let inside = own.iter().filter_map(|path| {
            let path = whole(path);
            Some(path.strip_prefix(&folder).ok()?.to_str()?.to_owned())
        });
        LeaveOut { own: inside.filter(|path| !path.is_empty()).collect() }
    }

    /// Returns why the entry at `path` is left out by its name, or `None` if its name tells nothing.
    pub fn by_name(&self, path: &str, is_folder: bool, ignore: &Ignore) -> Option<&'static str> {
        if self.own.contains(path) {
            // What the program writes in its folders differs after each run, and holds keys: no line admits it.
            let why = if is_folder { "a folder of the stack" } else { "the stack file" };
            return (is_folder || !ignore.names(path)).then_some(why);
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        let why = match name {
            ".git" => "the repository of Git",
            name if !is_folder && KEY_NAMES.contains(&name) => "a private key",
            _ => return None,
        };
        (!ignore.names(path)).then_some(why)
    }
}

/// Returns a path without links. The file itself need not exist, but its folder.
fn whole(path: &Path) -> PathBuf {
    let above = path.parent().map(|above| if above.as_os_str().is_empty() { Path::new(".") } else { above });
    path.canonicalize()
        .ok()
        .or_else(|| Some(above?.canonicalize().ok()?.join(path.file_name()?)))
        .unwrap_or_default()
}

/// Returns whether a file that begins with `head` is a private key in the form of PEM, OpenSSH or PuTTY: text before
/// the key may only be comments, attributes and certificates. Program text that quotes a key is none.
/// Source: <https://datatracker.ietf.org/doc/html/rfc7468>
pub fn is_private_key(head: &[u8]) -> bool {
    if head.starts_with(b"PuTTY-User-Key-File-") {
        return true;
    }
    let text = String::from_utf8_lossy(head);
    let mut inside = false;
    for line in text.trim_start_matches('\u{feff}').lines().map(str::trim_end) {
        if let Some(label) = line.strip_prefix("-----BEGIN ").and_then(|line| line.strip_suffix("-----")) {
            if label.ends_with("PRIVATE KEY") || label.ends_with("PRIVATE KEY BLOCK") {
                return true;
            }
            inside = true;
        } else if line.starts_with("-----END ") {
            inside = false;
        } else if !(inside
            || line.is_empty()
            || line.starts_with('#')
            || line == "Bag Attributes"
            || is_attribute(line))
        {
            return false;
        }
    }
    false
}

/// Returns whether a line is an attribute of OpenSSL, such as `    friendlyName: key` or `Key Attributes: <No Attributes>`.
fn is_attribute(line: &str) -> bool {
    let name = line.split_once(':').map(|(name, _)| name.trim());
    line.starts_with("subject=")
        || line.starts_with("issuer=")
        || name.is_some_and(|name| {
            !name.is_empty() && name.chars().all(|char| char.is_ascii_alphanumeric() || " .-_".contains(char))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_keys_are_told_from_text_that_quotes_one() {
        let key = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n";
        let certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        let openssh = key.replace("PRIVATE", "OPENSSH PRIVATE");
        let keys = [
            key.to_owned(),
            openssh,
            key.replace("BEGIN", "BEGIN ENCRYPTED"),
            key.replace("BEGIN", "BEGIN RSA").replace('\n', "\r\n"),
            format!("{certificate}{key}"),
            format!("\u{feff}\n# mine\n{key}"),
            format!("Bag Attributes\n    friendlyName: key\nKey Attributes: <No Attributes>\n{key}"),
            format!("subject=CN = a\n{certificate}{key}"),
            "PuTTY-User-Key-File-3: ssh-ed25519\n".to_owned(),
        ];
        for text in keys {
            assert!(is_private_key(text.as_bytes()), "{text}");
        }
        let others = [
            String::new(),
            certificate.to_owned(),
            key.replace("PRIVATE", "PUBLIC"),
            format!("KEY = \"\"\"\\\n{key}\"\"\"\n"),
            format!("import os\n{key}"),
            format!("tls.key: |\n  {}", key.replace('\n', "\n  ")),
            "\0\u{1}".to_owned(),
        ];
        for text in others {
            assert!(!is_private_key(text.as_bytes()), "{text}");
        }
    }
}
