//! Which files of a folder belong to its image.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;
use std::os::unix::fs::symlink;

fn put(folder: &Path, path: &str, text: &str) {
    let file = folder.join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

fn read(folder: &Path) -> Result<BuildContext, CallError> {
    BuildContext::read(folder, &ContextRules::default())
}

fn names(folder: &Path) -> Vec<String> {
    read(folder).unwrap().entries.into_iter().map(|(name, _)| name).collect()
}

#[test]
fn files_are_sorted_by_bytes_and_keep_the_execute_bit() {
    let folder = tempfile::tempdir().unwrap();
    for path in ["b/c", "b.txt", "a", "b/a/x", "B", "ä"] {
        put(folder.path(), path, path);
    }
    fs::create_dir(folder.path().join("empty")).unwrap();
    fs::set_permissions(folder.path().join("a"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(folder.path().join("B"), fs::Permissions::from_mode(0o677)).unwrap();
    symlink("../b.txt", folder.path().join("b/link")).unwrap();
    assert_eq!(names(folder.path()), ["B", "a", "b.txt", "b/a/x", "b/c", "b/link", "ä"]);
    let context = read(folder.path()).unwrap();
    let executable: Vec<bool> = context
        .entries
        .iter()
        .filter_map(|(_, entry)| match entry {
            ContextEntry::File { executable, .. } => Some(*executable),
            ContextEntry::Link { .. } => None,
        })
        .collect();
    assert_eq!(executable, [false, true, false, false, false, false]);
    assert_eq!(context.entries[5].1, ContextEntry::Link { target: "../b.txt".to_owned() });
    assert!(context.has("a") && !context.has("b") && !context.has("b/link"));
}

#[test]
fn ignored_entries_are_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "demo/a.py", "");
    put(folder.path(), "demo/__pycache__/a.pyc", "");
    put(folder.path(), "secret/.env", "");
    symlink("/etc/passwd", folder.path().join("out")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, folder.path().join("pipe"), rustix::fs::Mode::RWXU).unwrap();
    put(folder.path(), ".dockerignore", "*\n!demo\n**/__pycache__\n");
    assert_eq!(names(folder.path()), ["demo/a.py"]);
    put(folder.path(), "Dockerfile.dockerignore", "demo\nout\npipe\nDockerfile.dockerignore\n");
    assert_eq!(names(folder.path()), [".dockerignore", "secret/.env"]);
}

#[test]
fn unsupported_entries_are_reported_with_their_path() {
    let cases: [(&str, &dyn Fn(&Path)); 5] = [
        ("names that begin with `.wh.` delete files of lower layers", &|at| put(at, "a/.wh.b", "")),
        ("l: target of the link is outside the build context (/etc/passwd)", &|at| {
            symlink("/etc/passwd", at.join("l")).unwrap();
        }),
        ("l: target of the link is outside the build context (../l)", &|at| {
            symlink("../l", at.join("l")).unwrap();
        }),
        ("p: not a regular file, folder or link", &|at| {
            rustix::fs::mkfifoat(rustix::fs::CWD, at.join("p"), rustix::fs::Mode::RWXU).unwrap();
        }),
        ("name is not UTF-8", &|at| {
            use std::os::unix::ffi::OsStrExt as _;
            fs::write(at.join(std::ffi::OsStr::from_bytes(b"\xff")), "").unwrap();
        }),
    ];
    for (text, make) in cases {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path());
        let error = read(folder.path()).unwrap_err();
        assert!(error.message.contains(text) && error.class == ErrorKind::Refused, "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent");
    assert!(read(&absent).unwrap_err().message.contains("absent: folder not found"));
}

#[test]
fn a_file_that_changes_during_the_build_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "a", "one");
    let context = read(folder.path()).unwrap();
    let ContextEntry::File { hash, size, .. } = &context.entries[0].1 else { panic!("a file") };
    let read = || {
        let mut bytes = Vec::new();
        context
            .reread("a", *hash, |from| from.read_to_end(&mut bytes).map(drop).map_err(|_| CallError::bug("")))
            .map(|()| bytes)
    };
    assert_eq!((read().unwrap(), *size), (b"one".to_vec(), 3));
    put(folder.path(), "a", "two");
    assert!(read().unwrap_err().message.contains("changed while"));
}

#[test]
fn keys_git_and_the_files_of_the_stack_are_left_out_unless_they_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let key = "-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n";
    for (path, text) in [
        (".git/config", ""),
        ("lib/.git", "gitdir: x"),
        ("state/f.pem", key),
        ("stack.yaml", "name: x"),
        ("main.py", ""),
        ("certs/ca.pem", "-----BEGIN CERTIFICATE-----\n"),
        ("certs/tls.key", key),
        ("certs/id_rsa", "short"),
        ("docs/state/a", "other"),
    ] {
        put(at, path, text);
    }
    let rules =
        ContextRules { own: vec![at.join("state"), at.join("stack.yaml")], ..ContextRules::default() };
    let read = || BuildContext::read(at, &rules).unwrap();
    let names = |context: &BuildContext| {
        context.entries.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>().join(" ")
    };
    let context = read();
    assert_eq!(names(&context), "certs/ca.pem docs/state/a main.py");
    let left = context.left_out.iter().map(|one| format!("{}: {}", one.path, one.why)).collect::<Vec<_>>();
    let wanted = [
        ".git: the repository of Git",
        "certs/id_rsa: a private key",
        "certs/tls.key: a private key",
        "lib/.git: the repository of Git",
        "stack.yaml: the stack file",
        "state: a folder of the stack",
    ];
    assert_eq!(left, wanted);
    put(at, ".dockerignore", ".dockerignore\n!.git\n!certs/*\n!stack.yaml\n!state\n");
    let all = ".git/config certs/ca.pem certs/id_rsa certs/tls.key docs/state/a main.py stack.yaml";
    assert_eq!(names(&read()), all);
    // What is excluded anyway is not reported.
    put(at, ".dockerignore", "*\n!main.py\n");
    assert_eq!((names(&read()).as_str(), read().left_out.len()), ("main.py", 0));
}

#[test]
fn absolute_links_are_for_builders_that_run_the_dockerfile() {
    let folder = tempfile::tempdir().unwrap();
    symlink("/srv/data", folder.path().join("l")).unwrap();
    assert!(read(folder.path()).is_err());
    let rules = ContextRules { absolute_links: true, ..ContextRules::default() };
    let context = BuildContext::read(folder.path(), &rules).unwrap();
    assert_eq!(context.entries, [("l".to_owned(), ContextEntry::Link { target: "/srv/data".to_owned() })]);
    symlink("../../etc", folder.path().join("m")).unwrap();
    assert!(BuildContext::read(folder.path(), &rules).is_err());
}

#[test]
fn a_large_file_is_hashed_once_and_again_when_it_changes() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("app");
    fs::create_dir(&folder).unwrap();
    put(&folder, "data", &"x".repeat(40_000));
    let rules = ContextRules { cache: Some(home.path().join("cache")), ..ContextRules::default() };
    let hash = |rules: &ContextRules| match &BuildContext::read(&folder, rules).unwrap().entries[0].1 {
        ContextEntry::File { hash, .. } => *hash,
        ContextEntry::Link { .. } => panic!("a file"),
    };
    let first = hash(&rules);
    assert_eq!((hash(&rules), hash(&ContextRules::default())), (first, first));
    put(&folder, "data", &"y".repeat(40_000));
    assert_ne!(hash(&rules), first);
    assert_eq!(hash(&rules), hash(&ContextRules::default()));
}
