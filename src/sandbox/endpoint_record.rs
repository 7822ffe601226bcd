//! The record of a running sandbox, `state/sandbox/endpoint.json`, which only its owner may have written.

use super::owned_process::OwnedProcess;
use crate::model::AccessKey;
use rustix::{
    fs::{Mode, OFlags, open},
    process::geteuid,
};
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::Read as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};

/// Longest record that is read.
const MAX_BYTES: u64 = 64 * 1024;

/// Address and access key of a running sandbox: the content of `state/sandbox/endpoint.json`, and part of
/// `sandbox status --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Running {
    /// URL of the sandbox: `http://127.0.0.1:PORT`.
    pub endpoint: String,
    /// Port on loopback.
    pub port: u16,
    /// Process ID.
    pub pid: i32,
    /// Start of the process in clock ticks since the start of the machine; Linux only.
    pub start_time: Option<u64>,
    /// Access key of this start. Other users of the machine need it, and the control API takes its secret.
    #[serde(flatten)]
    pub access_key: AccessKey,
}

impl Running {
    /// Returns the record, if it is a file of this user alone and names an address on loopback. Links are not followed.
    pub fn read(path: &Path) -> Option<Self> {
        // Without `NONBLOCK`, opening a named pipe would wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(open(path, flags, Mode::empty()).ok()?);
        let about = file.metadata().ok()?;
        let private = about.permissions().mode() & 0o7777 == 0o600 && about.uid() == geteuid().as_raw();
        if !about.is_file() || !private {
            return None;
        }
        let mut bytes = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
        let running: Running = serde_json::from_slice(&bytes).ok()?;
        let local = running.port != 0 && running.endpoint == format!("http://127.0.0.1:{}", running.port);
        local.then_some(running)
    }

    /// Returns what tells whether its process still runs.
    pub fn process(&self) -> OwnedProcess {
        OwnedProcess { pid: self.pid, start_time: self.start_time, port: self.port }
    }
}

#[cfg(test)]
mod tests {
    use super::Running;
    use serde_json::{Value, json};
    use std::{
        fs::{self, Permissions},
        os::unix::fs::{PermissionsExt as _, symlink},
        path::Path,
    };

    fn record() -> Value {
        json!({
            "endpoint": "http://127.0.0.1:5000", "port": 5000, "pid": 7, "startTime": 8, "version": "1",
            "accessKeyId": "SBOX1", "secretAccessKey": "secret",
        })
    }

    fn write(path: &Path, record: &Value, mode: u32) {
        fs::write(path, record.to_string()).unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_record_counts_if_its_file_is_private_and_its_address_local() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("endpoint.json");
        assert_eq!(Running::read(&path), None);
        write(&path, &record(), 0o600);
        let running = Running::read(&path).unwrap();
        assert_eq!((running.pid, running.start_time), (7, Some(8)));
        assert_eq!(running.access_key.secret_access_key, "secret");
        for mode in [0o644, 0o640, 0o660, 0o700, 0o4600] {
            write(&path, &record(), mode);
            assert_eq!(Running::read(&path), None, "{mode:o}");
        }
        for endpoint in [
            "http://127.0.0.1:5001",
            "http://127.0.0.1:5000/",
            "https://127.0.0.1:5000",
            "http://127.0.0.1:5000@evil.example",
            "http://evil.example:5000",
        ] {
            let mut other = record();
            other["endpoint"] = json!(endpoint);
            write(&path, &other, 0o600);
            assert_eq!(Running::read(&path), None, "{endpoint}");
        }
        for text in ["", "{}", "[]", "{\"pid\": 99999999999}"] {
            fs::write(&path, text).unwrap();
            assert_eq!(Running::read(&path), None, "{text}");
        }
    }

    #[test]
    fn links_pipes_and_folders_are_no_record() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real.json");
        write(&real, &record(), 0o600);
        let path = folder.path().join("endpoint.json");
        symlink(&real, &path).unwrap();
        assert_eq!(Running::read(&path), None);
        fs::remove_file(&path).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
        assert_eq!(Running::read(&path), None);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(Running::read(&path), None);
    }
}
