//! Merges one cluster into a kubeconfig file, and keeps everything else in it.

use crate::model::{CallError, ErrorKind};
use serde_json::{Map, Value, json};
use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// The program from which kubectl gets a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec {
    /// Path or name of the program.
    pub command: String,
    /// Arguments of the program.
    pub args: Vec<String>,
    /// Names and values that are added to the caller's environment.
    pub env: Vec<(String, String)>,
}

/// A cluster, its user, and the context that joins both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeconfigEntry {
    /// Name of the cluster and the user: the ARN of the cluster.
    pub name: String,
    /// Name of the context.
    pub context: String,
    /// URL of the API server.
    pub server: String,
    /// Certificate authority of the API server, as base64 of PEM.
    pub ca: String,
    /// The program from which kubectl gets a token.
    pub exec: Exec,
    /// Namespace of commands that do not name one.
    pub namespace: Option<String>,
}

/// Returns `old`, the text of a kubeconfig file or an empty text, with `entry` in it. It becomes the current
/// context if `current` is set or the file has none. Entries with other names, and unknown fields, are kept.
///
/// # Errors
/// Fails if `old` is not a kubeconfig file.
pub fn merge(old: &str, entry: &KubeconfigEntry, current: bool) -> Result<String, CallError> {
    let unreadable = |why: &str| {
        CallError::new(ErrorKind::Refused, format!("not a kubeconfig file: {why}"))
            .hint("fix the file, or name another one with `--file`; nothing was changed")
    };
    let mut config: Map<String, Value> = match old.trim() {
        "" => Map::new(),
        _ => match serde_yaml::from_str(old).map_err(|error| unreadable(&error.to_string()))? {
            Value::Object(map) => map,
            Value::Null => Map::new(),
            _ => return Err(unreadable("expected a mapping")),
        },
    };
    if config.get("kind").is_some_and(|kind| kind != "Config") {
        return Err(unreadable("`kind` is not `Config`"));
    }
    config.entry("apiVersion").or_insert_with(|| json!("v1"));
    config.entry("kind").or_insert_with(|| json!("Config"));
    let cluster = json!({"server": entry.server, "certificate-authority-data": entry.ca});
    let env: Vec<Value> =
        entry.exec.env.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let user = json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": entry.exec.command,
        "args": entry.exec.args,
        "env": env,
        "interactiveMode": "Never",
        "provideClusterInfo": false,
        "installHint": "provisioner creates the tokens for this cluster; add it to PATH, \
        or run `provisioner kubeconfig` again",
    }});
    let mut context = json!({"cluster": entry.name, "user": entry.name});
    if let (Some(namespace), Some(map)) = (&entry.namespace, context.as_object_mut()) {
        map.insert("namespace".to_owned(), json!(namespace));
    }
    for (list, name, kind, value) in [
        ("clusters", &entry.name, "cluster", cluster),
        ("users", &entry.name, "user", user),
        ("contexts", &entry.context, "context", context),
    ] {
        let place = config.entry(list).or_insert_with(|| json!([]));
        if place.is_null() {
            *place = json!([]);
        }
        let items = place.as_array_mut().ok_or_else(|| unreadable(&format!("`{list}` is not a list")))?;
        let item = json!({"name": name, kind: value});
        match items.iter_mut().find(|item| item.get("name").and_then(Value::as_str) == Some(name)) {
            Some(old) => *old = item,
            None => items.push(item),
        }
    }
    if current || config.get("current-context").is_none_or(|value| value.as_str().is_none_or(str::is_empty)) {
        config.insert("current-context".to_owned(), json!(entry.context));
    }
    serde_yaml::to_string(&Value::Object(config)).map_err(|error| CallError::bug(error.to_string()))
}

/// Writes what `change` returns for the text of the file at `path`, in one step and readable only by the
/// owner. Links are followed, and kubectl's lock is respected. Returns the path that was written.
///
/// # Errors
/// Fails if the file is locked, if it cannot be read or written, or if `change` fails. The message names the
/// path.
pub fn write(
    path: &Path,
    change: impl FnOnce(&str) -> Result<String, CallError>,
) -> Result<PathBuf, CallError> {
    let failed = |path: &Path, error: std::io::Error| {
        CallError::new(ErrorKind::Other, format!("{}: {error}", path.display()))
            .hint("make the path writable, then run again; nothing was changed")
    };
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if let Some(folder) = real.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    }
    let sibling = |ending: &str| {
        let mut name = real.clone().into_os_string();
        name.push(ending);
        PathBuf::from(name)
    };
    let lock = sibling(".lock");
    let own = |path: &Path| fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    own(&lock).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            CallError::new(ErrorKind::Conflict, format!("{}: locked by another program", real.display()))
                .hint(format!(
                    "wait for it and run again, or delete {} if no program is using the file",
                    lock.display()
                ))
        }
        _ => failed(&lock, error),
    })?;
    let result = (|| {
        let old = match fs::read_to_string(&real) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            text => text.map_err(|error| failed(&real, error))?,
        };
        let text = change(&old).map_err(|error| CallError {
            message: format!("{}: {}", real.display(), error.message),
            ..error
        })?;
        let new = sibling(&format!(".{}.new", std::process::id()));
        let written = own(&new).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        written.and_then(|()| fs::rename(&new, &real)).map_err(|error| {
            let _ = fs::remove_file(&new);
            failed(&real, error)
        })
    })();
    // If this fails, the lock stays and blocks kubectl; there is nothing else to try here.
    let _ = fs::remove_file(&lock);
    result.map(|()| real)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn entry(server: &str) -> KubeconfigEntry {
        KubeconfigEntry {
            name: "arn:aws:eks:eu-central-1:1:cluster/shop".to_owned(),
            context: "shop".to_owned(),
            server: server.to_owned(),
            ca: "Q0E=".to_owned(),
            exec: Exec {
                command: "provisioner".to_owned(),
                args: vec!["token".to_owned(), "--cluster".to_owned(), "shop".to_owned()],
                env: vec![("AWS_PROFILE".to_owned(), "ops".to_owned())],
            },
            namespace: Some("demo".to_owned()),
        }
    }

    fn read(text: &str) -> Value {
        serde_yaml::from_str(text).unwrap()
    }

    #[test]
    fn a_new_file_holds_one_cluster_and_uses_it() {
        let config = read(&merge("", &entry("https://a"), false).unwrap());
        assert_eq!(config["current-context"], "shop");
        assert_eq!(config["clusters"][0]["cluster"]["server"], "https://a");
        assert_eq!(config["users"][0]["user"]["exec"]["args"], json!(["token", "--cluster", "shop"]));
        assert_eq!(
            config["users"][0]["user"]["exec"]["env"],
            json!([{"name": "AWS_PROFILE", "value": "ops"}])
        );
        assert_eq!(config["contexts"][0]["context"]["namespace"], "demo");
    }

    #[test]
    fn other_entries_are_kept_and_the_own_entry_is_replaced() {
        let old = "apiVersion: v1\nkind: Config\npreferences: {colors: true}\nextensions: [{name: x}]\n\
            clusters:\n- {name: other, cluster: {server: 'https://o', insecure-skip-tls-verify: true}}\n\
            contexts: null\nusers:\n- {name: u, user: {token: 'yes', client-key-data: 1e3}}\ncurrent-context: other\n";
        let once = merge(old, &entry("https://a"), false).unwrap();
        let twice = read(&merge(&once, &entry("https://b"), true).unwrap());
        assert_eq!(read(&once)["current-context"], "other");
        assert_eq!(twice["current-context"], "shop");
        assert_eq!(twice["preferences"]["colors"], true);
        assert_eq!(twice["extensions"][0]["name"], "x");
        assert_eq!(twice["clusters"][0]["cluster"]["insecure-skip-tls-verify"], true);
        assert_eq!(
            twice["users"][0]["user"]["token"], "yes",
            "a string that looks like a boolean stays a string"
        );
        let servers: Vec<&Value> =
            twice["clusters"].as_array().unwrap().iter().map(|it| &it["cluster"]["server"]).collect();
        assert_eq!(servers, ["https://o", "https://b"]);
    }

    #[test]
    fn files_of_other_formats_are_rejected() {
        for text in ["- a\n", "kind: Pod\n", "clusters: {a: b}\n", "{{", "text"] {
            assert_eq!(
                merge(text, &entry("https://a"), true).unwrap_err().class,
                ErrorKind::Refused,
                "{text}"
            );
        }
    }

    #[test]
    fn the_file_is_written_in_one_step_for_its_owner_under_the_lock_of_kubectl() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("real"), folder.path().join("link"));
        write(&file, |old| Ok(format!("{old}one"))).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write(&link, |old| Ok(format!("{old} two"))).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "one two");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let refused = write(&file, |_| Err(CallError::new(ErrorKind::Refused, "no")));
        assert!(refused.unwrap_err().message.ends_with("real: no"));
        fs::write(folder.path().join("real.lock"), "").unwrap();
        assert_eq!(write(&file, |_| Ok(String::new())).unwrap_err().class, ErrorKind::Conflict);
        assert_eq!(fs::read_to_string(&file).unwrap(), "one two");
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["link", "real", "real.lock"]);
    }
}
