//! A clone that another user prepared gains nothing: no file in it is imported or started, no link in it is written
//! through, and what it says does not steer the terminal. An innocent one works: many projects have a `types.py`.

use crate::common::Provider;
use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::Command,
};

const STACK: &str = "name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: single, flowLogs: false}\n\
    cluster: {addons: [{name: metrics-server, enabled: false}]}\n\
    app: {ingress: none, platforms: [linux/amd64]}\n";

/// Modules that Python, pip, venv, boto3 and moto import while they start.
const MODULES: &[&str] = &[
    "abc",
    "argparse",
    "ast",
    "asyncio",
    "base64",
    "boto3",
    "botocore",
    "calendar",
    "codecs",
    "collections",
    "contextlib",
    "copy",
    "csv",
    "ctypes",
    "dataclasses",
    "datetime",
    "decimal",
    "email",
    "ensurepip",
    "enum",
    "functools",
    "gc",
    "genericpath",
    "getpass",
    "glob",
    "gzip",
    "hashlib",
    "hmac",
    "http",
    "importlib",
    "inspect",
    "io",
    "ipaddress",
    "json",
    "keyword",
    "linecache",
    "locale",
    "logging",
    "moto",
    "mimetypes",
    "operator",
    "os",
    "pathlib",
    "pickle",
    "pip",
    "pkgutil",
    "platform",
    "posixpath",
    "provisioner_sandbox",
    "pydoc",
    "queue",
    "random",
    "re",
    "runpy",
    "select",
    "selectors",
    "shutil",
    "signal",
    "site",
    "sitecustomize",
    "socket",
    "ssl",
    "stat",
    "string",
    "struct",
    "subprocess",
    "sysconfig",
    "tempfile",
    "textwrap",
    "threading",
    "tokenize",
    "traceback",
    "types",
    "typing",
    "urllib",
    "usercustomize",
    "uuid",
    "venv",
    "warnings",
    "weakref",
    "xml",
    "yaml",
    "zipfile",
    "zipimport",
];

/// Puts a trap under each name that could be imported or started. A trap that runs writes its name into `sprung`.
fn traps(folder: &Path, sprung: &Path) {
    for module in MODULES {
        let text = format!("open({:?}, 'a').write('{module}\\n')\n", sprung.display());
        fs::write(folder.join(format!("{module}.py")), text).unwrap();
    }
    for program in ["python3", "python", "pip", "docker", "podman", "buildah", "go", "aws"] {
        let file = folder.join(program);
        fs::write(&file, format!("#!/bin/sh\necho {program} >> '{}'\nexit 1\n", sprung.display())).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::write(folder.join("pyvenv.cfg"), format!("home = {}\n", folder.display())).unwrap();
    fs::write(folder.join(".python-version"), "9.9.9\n").unwrap();
    fs::write(folder.join("pip.conf"), "[global]\nindex-url = http://127.0.0.1:1/\n").unwrap();
    fs::write(folder.join("setup.cfg"), "[global]\n").unwrap();
}

/// The environment of a caller whose shell looks into the current folder.
fn command(world: &Provider, args: &[&str]) -> Command {
    let mut command = world.command(args);
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!(".:{path}:")).env("PYTHONPATH", ".").env("PYTHONSTARTUP", "site.py");
    command.env("PYTHONHOME", "").env("PYTHONUSERBASE", ".").env("AWS_SECRET_ACCESS_KEY", "topsecret");
    command
}

#[test]
fn nothing_in_a_prepared_folder_runs_and_everything_works() {
    let world = Provider::new(STACK);
    let sprung = world.path().join("sprung");
    traps(world.path(), &sprung);
    // As users start it, Python included.
    let run = |args: &[&str], code: i32| {
        let output = command(&world, args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert_eq!(fs::read_to_string(&sprung).unwrap_or_default(), "", "{args:?}: {said}");
    };
    run(&["sandbox", "start", "--time-scale", "600"], 0);
    run(&["plan", "--sandbox", "--detailed-exitcode"], 2);
    run(&["up", "--sandbox", "--yes"], 0);
    run(&["down", "--sandbox", "--yes"], 0);
    run(&["sandbox", "stop"], 0);
}

#[test]
fn links_in_a_prepared_folder_are_not_written_through() {
    let world =
        Provider::new("name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: none, flowLogs: false}\n");
    let precious = world.path().join("precious");
    fs::write(&precious, "precious").unwrap();
    fs::create_dir_all(world.path().join("state/sandbox")).unwrap();
    symlink(&precious, world.path().join("state/sandbox/log")).unwrap();
    let refused = world.run(&["sandbox", "start"]).with(1);
    assert!(refused.err.contains("state/sandbox/log: not a regular file"), "{}", refused.err);
    fs::remove_file(world.path().join("state/sandbox/log")).unwrap();

    symlink(&precious, world.path().join("plan.json")).unwrap();
    let refused = world.run(&["plan", "--sandbox", "--out", "plan.json"]).with(1);
    assert!(refused.err.contains("plan.json: not a regular file"), "{}", refused.err);
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");

    // An old plan that others could read is not written into.
    fs::remove_file(world.path().join("plan.json")).unwrap();
    fs::write(world.path().join("plan.json"), "old").unwrap();
    fs::set_permissions(world.path().join("plan.json"), fs::Permissions::from_mode(0o644)).unwrap();
    world.run(&["plan", "--sandbox", "--out", "plan.json"]).with(0);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&world.path().join("plan.json")), 0o600);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let records = fs::read_dir(world.path().join("state/sandbox")).unwrap().flatten();
    for record in
        records.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|it| it == "json"))
    {
        assert_eq!(mode(&record), 0o600, "{}", record.display());
    }
    world.run(&["down", "--sandbox", "--yes", "--backend"]).with(0);
}

#[test]
fn a_cache_that_others_can_write_to_is_refused() {
    let world = Provider::new(STACK);
    let cache = tempfile::tempdir().unwrap();
    let open = cache.path().join("provisioner");
    fs::create_dir(&open).unwrap();
    fs::create_dir(open.join("sandbox")).unwrap();
    fs::set_permissions(open.join("sandbox"), fs::Permissions::from_mode(0o777)).unwrap();
    let mut command = world.command(&["sandbox", "start"]);
    let output = command.env("XDG_CACHE_HOME", cache.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("other users can write to the folder"), "{said}");
}

#[test]
fn what_others_wrote_does_not_steer_the_terminal() {
    let world =
        Provider::new("name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: none, flowLogs: false}\n");
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let address = "network/x\\u009b2J\\n\\nshop: no changes\\u202e";
    world.boto3(&format!(
        "ec2 = client('ec2')\n\
         tags = ec2.describe_vpcs(Filters=[{{'Name': 'tag:provisioner:stack', 'Values': ['shop']}}])['Vpcs'][0]['Tags']\n\
         tags = [tag for tag in tags if tag['Key'] != 'provisioner:resource' and not tag['Key'].startswith('aws:')]\n\
         tags.append({{'Key': 'provisioner:resource', 'Value': '{address}'}})\n\
         ec2.create_vpc(CidrBlock='10.9.0.0/16', TagSpecifications=[{{'ResourceType': 'vpc', 'Tags': tags}}])\nprint('null')"
    ));
    let unseen =
        |char: char| (char.is_control() && char != '\n') || ('\u{202a}'..='\u{202e}').contains(&char);
    for args in [&["plan"][..], &["status"], &["down", "--json"], &["plan", "--json"], &["state", "list"]] {
        let said = world.run(&[args, &["--sandbox"]].concat());
        for text in [&said.out, &said.err] {
            assert!(!text.chars().any(unseen), "{args:?}: {text:?}");
            assert!(!text.lines().any(|line| line.starts_with("shop: no changes")), "{args:?}: {text}");
        }
    }
    let plan = world.run(&["plan", "--sandbox"]);
    assert!(plan.err.contains("network/x\\u{9b}2J\\n\\nshop: no changes\\u{202e}"), "{}", plan.err);
    // Arguments are quoted by the parser of the command line.
    let refused = world.run(&["plan\x1b]0;title\x07\u{202e}"]).with(3);
    assert!(!refused.err.chars().any(unseen), "{:?}", refused.err);
}
