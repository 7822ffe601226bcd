//! `.github/packaging/pack.py`: what is in an archive of a release, and that the same input gives the same bytes.

use crate::common::Ended;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

const NAME: &str = "provisioner-0.1.0-x86_64-unknown-linux-gnu";

fn pack(binary: &Path, out: &Path) -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(".github/packaging/pack.py");
    let mut command = Command::new("python3");
    command.arg("-B").arg(script).arg(binary).arg("x86_64-unknown-linux-gnu").arg(out);
    command.env("SOURCE_DATE_EPOCH", "1764547200").env("CARGO_NET_OFFLINE", "true");
    Ended::of(&command.output().unwrap()).with(0);
    out.join(format!("{NAME}.tar.gz"))
}

fn run(program: &str, args: &[&str], folder: &Path) -> Ended {
    Ended::of(&Command::new(program).args(args).current_dir(folder).output().unwrap())
}

#[test]
fn an_archive_has_what_a_user_installs_and_the_same_bytes_each_time() {
    let folder = tempfile::tempdir().unwrap();
    // The binary with debug information has 250 MB, which takes long to compress: a script that starts it stands for it.
    let binary = folder.path().join("provisioner");
    fs::write(&binary, format!("#!/bin/sh\nexec '{}' \"$@\"\n", env!("CARGO_BIN_EXE_provisioner"))).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    let [first, second] = ["first", "second"].map(|out| pack(&binary, &folder.path().join(out)));
    assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap());
    let out = first.parent().unwrap();
    run("sha256sum", &["--check", &format!("{NAME}.tar.gz.sha256")], out).with(0);
    run("tar", &["-xzf", &format!("{NAME}.tar.gz")], out).with(0);

    let unpacked = out.join(NAME);
    let ended = run(unpacked.join("provisioner").to_str().unwrap(), &["--version"], out).with(0);
    assert!(ended.out.starts_with("provisioner 0.1.0"), "{}", ended.out);
    let text = |path: &str| fs::read_to_string(unpacked.join(path)).unwrap();
    assert!(text("LICENSE").contains("Apache License") && text("CHANGELOG.md").contains("# Changelog"));
    let shells =
        ["provisioner.bash", "_provisioner", "provisioner.fish", "_provisioner.ps1", "provisioner.elv"];
    for name in shells {
        assert!(text(&format!("completions/{name}")).contains("validate"), "{name}");
    }
    for command in ["provisioner", "provisioner-up", "provisioner-state-import"] {
        assert!(text(&format!("man/man1/{command}.1")).contains(".SH NAME"), "{command}");
    }

    let bill: serde_json::Value = serde_json::from_str(&text("provisioner.cdx.json")).unwrap();
    assert_eq!((&bill["bomFormat"], &bill["specVersion"]), (&"CycloneDX".into(), &"1.6".into()));
    assert_eq!(bill["metadata"]["component"]["purl"], "pkg:cargo/provisioner@0.1.0");
    let components = bill["components"].as_array().unwrap();
    let named = |name: &str| components.iter().find(|component| component["name"] == name);
    let linked = named("aws-sdk-eks").unwrap();
    assert_eq!(linked["licenses"][0]["expression"], "Apache-2.0");
    assert_eq!(linked["hashes"][0]["content"].as_str().unwrap().len(), 64);
    assert!(named("insta").is_none(), "it is linked by tests only");
}
