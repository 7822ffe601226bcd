//! A stack file that extends another: one plan of both, errors in the right file, and nothing read outside the folder.

use crate::common::Provider;
use std::{fs, os::unix::fs::symlink, process::Command};

const BASE: &str = "name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: none, endpoints: [], flowLogs: false}\n\
    parameters: [{name: /shop/stage, value: dev}, {name: /shop/team, value: web}]\n";
const PROD: &str = "extends: base.yaml\nname: shop-prod\nparameters: [{name: /shop/stage, value: prod}]\n";

#[test]
fn a_base_and_what_overrides_it_are_one_stack() {
    let world = Provider::new(PROD);
    world.sandbox(600);
    fs::write(world.path().join("base.yaml"), BASE).unwrap();
    let said = world.run(&["validate"]).with(0);
    assert_eq!(
        said.err,
        "stack.yaml (extends base.yaml) is valid: stack shop-prod in eu-central-1: network in 2 zones, 2 parameters\n"
    );
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let values = "print(json.dumps({p['Name']: p['Value'] for p in client('ssm').get_parameters(Names=['/shop/stage', '/shop/team'])['Parameters']}))";
    assert_eq!(world.boto3(values), serde_json::json!({"/shop/stage": "prod", "/shop/team": "web"}));
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);

    // A change of the base is a change of the stack, also for a plan that was saved before it.
    let changed = BASE.replace("value: web", "value: shop");
    fs::write(world.path().join("base.yaml"), &changed).unwrap();
    let plan = world.run(&["plan", "--sandbox", "--out", "saved"]).with(0);
    assert!(plan.out.contains("value: web -> shop"), "{}", plan.out);
    fs::write(world.path().join("base.yaml"), format!("{changed}# later\n")).unwrap();
    let up = world.run(&["up", "saved", "--sandbox", "--yes"]).with(3);
    assert!(up.err.contains("the stack file changed since it was saved"), "{}", up.err);
    fs::write(world.path().join("base.yaml"), &changed).unwrap();
    world.run(&["up", "saved", "--sandbox", "--yes"]).with(0);
}

#[test]
fn errors_name_the_file_that_they_are_in() {
    let world = Provider::new(PROD);
    fs::write(world.path().join("base.yaml"), BASE.replace("zones: 2", "zones: 7")).unwrap();
    let said = world.run(&["validate"]).with(3);
    assert!(said.err.contains("--> base.yaml:3:18"), "{}", said.err);
    let said = world.run(&["validate", "--json"]).with(3);
    assert_eq!(
        (&said.lines("error")[0]["file"], &said.lines("error")[0]["line"]),
        (&"base.yaml".into(), &3.into())
    );
    let path = world.path().join("stack.yaml");
    let said = world.run(&["validate", "--stack", path.to_str().unwrap()]).with(3);
    let shown = format!("--> {}:3:18", world.path().join("base.yaml").display());
    assert!(said.err.contains(&shown), "{}", said.err);
}

/// An error shows the line that it is in, so a stack file must not be able to name any file of the caller.
#[test]
fn nothing_outside_the_folder_is_read_and_nothing_hangs() {
    let world = Provider::new(PROD);
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("credentials");
    fs::write(&secret, "aws_secret_access_key = hunter2\n").unwrap();
    let base = world.path().join("base.yaml");
    let refused = |words: &str| {
        let said = world.run(&["validate"]).with(3);
        assert!(said.err.contains(words) && !said.err.contains("hunter2"), "{}", said.err);
        assert!(said.err.contains("--> stack.yaml:1:10"), "{}", said.err);
    };
    refused("cannot read \"base.yaml\": No such file");
    symlink(&secret, &base).unwrap();
    refused("it is a link that leads out of the folder of the stack file");
    fs::remove_file(&base).unwrap();
    fs::create_dir(&base).unwrap();
    refused("it is not a file");
    fs::remove_dir(&base).unwrap();
    assert!(Command::new("mkfifo").arg(&base).status().unwrap().success());
    refused("it is not a file");
    fs::remove_file(&base).unwrap();
    symlink("/dev/zero", &base).unwrap();
    refused("it is a link that leads out");
    fs::remove_file(&base).unwrap();
    fs::write(world.path().join("real.yaml"), BASE).unwrap();
    symlink("real.yaml", &base).unwrap();
    world.run(&["validate"]).with(0);
    world.stack(&format!("extends: {}\n", secret.display()));
    refused("must be a file below the folder of the stack file");
}
