//! Hands the compiler what `provisioner --version` prints: the version, and for a release the commit and its date.
//!
//! Only release builds name a commit: a development build would otherwise be compiled again after each commit, and its
//! sources are usually not those of a commit. A build without git, such as one from a source archive, names the version
//! alone, unless `PROVISIONER_COMMIT` says which commit the sources are.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PROVISIONER_COMMIT");
    let commit = std::env::var("PROVISIONER_COMMIT").ok().filter(|commit| !commit.is_empty());
    let release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let commit = commit.or_else(|| if release { commit_of_git() } else { None });
    let version = env!("CARGO_PKG_VERSION");
    let long = match commit.map(|commit| commit.split_whitespace().collect::<Vec<_>>().join(" ")) {
        Some(commit) if !commit.is_empty() => format!("{version} ({commit})"),
        _ => version.to_owned(),
    };
    println!("cargo::rustc-env=PROVISIONER_LONG_VERSION={long}");
}

/// Returns the abbreviated hash and the date of the commit that is checked out, such as `4d21b676b7 2026-11-30`; with
/// `modified` if files differ from it. `None` outside a repository, or without git.
fn commit_of_git() -> Option<String> {
    // Sources that were unpacked inside another repository are not that repository's commit.
    let top = git(&["rev-parse", "--show-toplevel"])?;
    let own = std::fs::canonicalize(env!("CARGO_MANIFEST_DIR")).ok()?;
    if std::fs::canonicalize(top).ok()? != own {
        return None;
    }
    let head = git(&["log", "-1", "--format=%h %cs", "--abbrev=10"])?;
    // Cargo runs this again when the branch moves.
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name]) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let modified =
        git(&["status", "--porcelain", "--untracked-files=no"]).is_none_or(|text| !text.is_empty());
    Some(if modified { format!("{head} modified") } else { head })
}

/// Returns the trimmed output of a git command that succeeds.
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
