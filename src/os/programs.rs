//! Starts other programs with a folder of ours and an environment of named variables. The caller's folder can be a clone
//! of another author, and the caller's environment holds credentials.

use std::{
    ffi::{OsStr, OsString},
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// What a program needs of the caller's environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramVariables {
    /// The user, the language, temporary files.
    User,
    /// Also proxies, certificates, and the configuration of pip.
    Pip,
    /// Also proxies, certificates, and the configuration of Go.
    Go,
    /// Also proxies, certificates, and the configuration of docker, podman and buildah.
    Builder,
}

/// Names for every program. `NAME*` stands for each name that begins so.
const USER: &[&str] = &[
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TZ",
    "TMPDIR",
    // A Python of pyenv or asdf is a script that looks for the installed versions there.
    "PYENV_ROOT",
    "PYENV_VERSION",
    "ASDF_DIR",
    "ASDF_DATA_DIR",
];

/// Names for programs that load from the network.
const NETWORK: &[&str] = &[
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_DIRS",
    "XDG_CONFIG_HOME",
];

const PIP: &[&str] = &["PIP_*", "NETRC"];

/// The environment variables of the `go` command, and of the C compiler.
/// Source: <https://pkg.go.dev/cmd/go#hdr-Environment_variables>
const GO: &[&str] = &["GO*", "CGO_*", "CC", "NETRC"];

/// Sources: <https://docs.docker.com/reference/cli/docker/#environment-variables>, and the manual pages
/// containers-registries.conf(5), podman(1), buildah(1). A rootless podman asks the user's systemd for a scope.
const BUILDER: &[&str] = &[
    "DOCKER_*",
    "BUILDX_*",
    "BUILDKIT_*",
    "BUILDAH_*",
    "CONTAINER_*",
    "CONTAINERS_*",
    "PODMAN_*",
    "REGISTRY_AUTH_FILE",
    "STORAGE_*",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "SSH_AUTH_SOCK",
    "_CONTAINERS_USERNS_CONFIGURED",
];

impl ProgramVariables {
    fn names(self) -> Vec<&'static str> {
        let more: &[&[&str]] = match self {
            ProgramVariables::User => &[],
            ProgramVariables::Pip => &[NETWORK, PIP],
            ProgramVariables::Go => &[NETWORK, GO],
            ProgramVariables::Builder => &[NETWORK, BUILDER],
        };
        more.iter().fold(USER.to_vec(), |names, more| [&names, *more].concat())
    }

    /// Returns those of the variables that the program gets.
    fn of(self, all: impl Iterator<Item = (OsString, OsString)>) -> Vec<(OsString, OsString)> {
        let names = self.names();
        let wanted = |name: &str| {
            names.iter().any(|known| match known.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => name == *known,
            })
        };
        all.filter(|(name, _)| name.to_str().is_some_and(wanted)).collect()
    }
}

/// Returns the absolute folders of a search path. The others lead below the caller's folder.
fn absolute_folders(path: &OsStr) -> OsString {
    let absolute = std::env::split_paths(path).filter(|folder| folder.is_absolute());
    std::env::join_paths(absolute).unwrap_or_default()
}

/// Returns the path of a program that is given by the operator: a name stays one and is looked for in `PATH`, a relative
/// path is one from the caller's folder.
pub fn absolute_program(named: &Path) -> PathBuf {
    match named.components().count() {
        0 | 1 => named.to_owned(),
        _ => std::path::absolute(named).unwrap_or_else(|_| named.to_owned()),
    }
}

/// Returns a command that runs `name` in `folder`, which is created, with nothing on its standard input.
///
/// # Errors
/// Fails if the folder cannot be created.
pub fn program(name: &Path, folder: &Path, variables: ProgramVariables) -> io::Result<Command> {
    std::fs::create_dir_all(folder)?;
    let mut command = Command::new(absolute_program(name));
    command.env_clear().envs(variables.of(std::env::vars_os()));
    command.env("PATH", absolute_folders(&std::env::var_os("PATH").unwrap_or_default()));
    command.current_dir(folder).stdin(Stdio::null());
    Ok(command)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_program_gets_the_variables_that_are_named_for_it() {
        let all = [
            "HOME",
            "LC_ALL",
            "AWS_SECRET_ACCESS_KEY",
            "PYTHONPATH",
            "PYTHONSTARTUP",
            "LD_PRELOAD",
            "PIP_INDEX_URL",
            "https_proxy",
            "GOFLAGS",
            "DOCKER_HOST",
            "GITHUB_TOKEN",
        ];
        let got = |variables: ProgramVariables| {
            let all = all.iter().map(|name| (OsString::from(name), OsString::from("x")));
            let got = variables.of(all).into_iter().map(|(name, _)| name.into_string().unwrap());
            got.collect::<Vec<_>>()
        };
        assert_eq!(got(ProgramVariables::User), ["HOME", "LC_ALL"]);
        assert_eq!(got(ProgramVariables::Pip), ["HOME", "LC_ALL", "PIP_INDEX_URL", "https_proxy"]);
        assert_eq!(got(ProgramVariables::Go), ["HOME", "LC_ALL", "https_proxy", "GOFLAGS"]);
        assert_eq!(got(ProgramVariables::Builder), ["HOME", "LC_ALL", "https_proxy", "DOCKER_HOST"]);
    }

    #[test]
    fn programs_are_not_looked_for_in_the_callers_folder() {
        assert_eq!(absolute_folders(OsStr::new(".:/usr/bin::bin:/bin")), "/usr/bin:/bin");
        assert_eq!(absolute_program(Path::new("python3")), Path::new("python3"));
        let here = std::env::current_dir().unwrap();
        assert_eq!(absolute_program(Path::new("./venv/bin/python")), here.join("venv/bin/python"));
    }

    #[test]
    fn a_program_runs_in_the_folder_that_it_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().canonicalize().unwrap().join("work");
        let output = program(Path::new("pwd"), &place, ProgramVariables::User).unwrap().output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), place.display().to_string());
    }
}
