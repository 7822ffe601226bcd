//! The commands of the first day, which need neither credentials nor a network: `validate`, `completions`, `man`.

use crate::common::{Ended, Provider, fixture};
use std::{fs, process::Command};

/// Runs it where every call to AWS would fail: no credentials, and an endpoint that refuses connections.
fn offline(world: &Provider, args: &[&str]) -> Ended {
    let mut command = world.command(args);
    command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:1").env("HOME", world.path());
    Ended::of(&command.output().unwrap())
}

/// The names in the folder.
fn names(world: &Provider) -> Vec<String> {
    let entries = fs::read_dir(world.path()).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_valid_file_is_described_in_one_line_and_nothing_is_called_or_written() {
    let world = Provider::new("name: shop\nregion: eu-central-1\ncluster: {}\napp: {}\n");
    let before = names(&world);
    let ended = offline(&world, &["validate"]).with(0);
    assert_eq!(ended.out, "");
    assert_eq!(
        ended.err,
        "stack.yaml is valid: stack shop in eu-central-1: network in 3 zones, cluster, 1 node group, application\n"
    );
    let ended = offline(&world, &["validate", "--json"]).with(0);
    let [line] = &ended.lines("valid")[..] else { panic!("{}", ended.out) };
    assert_eq!((&line["stack"], &line["parts"][1]), (&"shop".into(), &"cluster".into()));
    assert_eq!(ended.err, "");
    assert_eq!(names(&world), before);
}

#[test]
fn what_the_file_names_is_checked_too() {
    let stack = "name: shop\nregion: eu-central-1\ncluster: {}\n";
    let world = Provider::new(&format!("{stack}app: {{replicas: two}}\n"));
    let wrong = |world: &Provider, parts: &[&str]| {
        let ended = offline(world, &["validate"]).with(3);
        assert!(parts.iter().all(|part| ended.err.contains(part)), "{parts:?}: {}", ended.err);
    };
    wrong(&world, &["error: app.replicas: expected an integer", "stack.yaml:4:17"]);
    world.stack(&format!("{stack}app: {{path: web}}\n"));
    wrong(&world, &["app.path: folder not found: web", "stack.yaml:4:13"]);
    fs::create_dir(world.path().join("web")).unwrap();
    wrong(&world, &["Dockerfile"]);
    world.stack(&format!("{stack}app: {{manifests: objects}}\n"));
    wrong(&world, &["app.manifests: folder not found: objects"]);
    fs::create_dir(world.path().join("objects")).unwrap();
    let object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: \"${app.relase}\"}\n";
    fs::write(world.path().join("objects/a.yaml"), object).unwrap();
    wrong(&world, &["objects/a.yaml:4", "app.relase"]);
    fs::write(world.path().join("objects/a.yaml"), object.replace("relase", "release")).unwrap();
    let ended = offline(&world, &["validate"]).with(0);
    assert!(ended.err.ends_with("application\n"), "{}", ended.err);
    world.stack(&format!("{stack}app: {{manifests: objects, replicas: 3}}\n"));
    let ended = offline(&world, &["validate"]).with(0);
    assert!(
        ended.err.contains("warning: app.replicas is set, but no file in objects/ uses it"),
        "{}",
        ended.err
    );
    fs::remove_file(world.path().join("stack.yaml")).unwrap();
    wrong(&world, &["stack.yaml: No such file"]);
}

#[test]
fn every_example_is_valid() {
    let world = Provider::new("");
    fs::create_dir(world.path().join("app")).unwrap();
    for entry in fs::read_dir(fixture("app")).unwrap() {
        let from = entry.unwrap().path();
        if from.is_file() {
            fs::copy(&from, world.path().join("app").join(from.file_name().unwrap())).unwrap();
        }
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/examples");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        fs::copy(&file, world.path().join("stack.yaml")).unwrap();
        let mut command = world.command(&["validate"]);
        let ids = ["VPC_ID", "PRIVATE_A", "PRIVATE_B", "PUBLIC_A", "PUBLIC_B"];
        for (index, name) in ids.iter().enumerate() {
            let kind = if index == 0 { "vpc" } else { "subnet" };
            command.env(name, format!("{kind}-{index:017x}"));
        }
        let ended = Ended::of(&command.output().unwrap());
        assert_eq!(ended.code, Some(0), "{}: {}", file.display(), ended.err);
        count += 1;
    }
    assert!(count >= 8, "{count} examples");
}

#[test]
fn bash_completes_commands_and_options_with_the_script() {
    let world = Provider::new("");
    let script = offline(&world, &["completions", "bash"]).with(0).out;
    fs::write(world.path().join("script"), script).unwrap();
    let complete = |words: &str| {
        let code = format!(
            "source ./script; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _provisioner provisioner \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; echo \"${{COMPREPLY[@]}}\""
        );
        let output = Command::new("bash").args(["-c", &code]).current_dir(world.path()).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(complete("provisioner val"), "validate");
    assert_eq!(complete("provisioner plan --detailed"), "--detailed-exitcode");
    assert_eq!(complete("provisioner completions po"), "powershell");
    let ended = offline(&world, &["completions", "tcsh"]).with(3);
    assert!(ended.err.contains("possible values: bash, elvish, fish, powershell, zsh"), "{}", ended.err);
}

#[test]
fn manual_pages_are_written_one_for_each_command() {
    let world = Provider::new("");
    let main = offline(&world, &["man"]).with(0).out;
    assert!(main.contains(".TH provisioner 1"), "{main}");
    let ended = offline(&world, &["man", "--out", "man1"]).with(0);
    let written: Vec<&str> = ended.out.lines().collect();
    assert!(written.contains(&"man1/provisioner-state-rollback.1"), "{}", ended.out);
    assert_eq!(fs::read_dir(world.path().join("man1")).unwrap().count(), written.len());
    assert_eq!(
        fs::read_to_string(world.path().join("man1/provisioner.1")).unwrap().trim_end(),
        main.trim_end()
    );
    fs::write(world.path().join("taken"), "").unwrap();
    let ended = offline(&world, &["man", "--out", "taken"]).with(1);
    assert!(ended.err.contains("taken"), "{}", ended.err);
}

#[test]
fn the_version_is_short_or_names_the_build() {
    let world = Provider::new("");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(world.run(&["-V"]).with(0).out, format!("provisioner {version}\n"));
    let long = world.run(&["--version"]).with(0).out;
    assert!(long.starts_with(&format!("provisioner {version}")), "{long}");
}
