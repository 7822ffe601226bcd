//! `init` writes a file for each kind of stack that plans as it stands, and never overwrites.

use crate::common::{Ended, Provider, copy, fixture};
use std::{fs, os::unix::fs::symlink, path::Path};

/// A folder without a stack file.
fn empty() -> Provider {
    let world = Provider::new("");
    fs::remove_file(world.path().join("stack.yaml")).unwrap();
    world
}

const NAMED: [&str; 5] = ["init", "--name", "shop", "--region", "eu-central-1"];

fn init(world: &Provider, kind: &str) -> Ended {
    world.run(&[&NAMED[..], &["--kind", kind]].concat()).with(0)
}

#[test]
fn the_file_of_each_kind_is_valid_and_plans() {
    let world = empty();
    world.sandbox(600);
    copy(&fixture("app"), &world.path().join("app"));
    // Each kind with a resource that no other has.
    for (kind, has, lacks) in [
        ("network", "network/nat-gateway/", "cluster/eks"),
        ("cluster", "cluster/node-group/default", "application/image"),
        ("service", "application/image", "cluster/fargate-profile/"),
        ("fargate", "cluster/fargate-profile/", "cluster/node-group/"),
        ("auto-mode", "cluster/eks", "cluster/node-group/"),
        ("private", "network/endpoint/", "network/nat-gateway/"),
    ] {
        let said = init(&world, kind);
        assert!(said.err.starts_with("stack.yaml written\n") && said.out.is_empty(), "{}", said.err);
        world.run(&["validate"]).with(0);
        let plan = world.run(&["plan", "--sandbox", "--json"]).with(0);
        let changes = plan.lines("change");
        let addresses: Vec<&str> = changes.iter().map(|it| it["address"].as_str().unwrap()).collect();
        assert!(addresses.iter().any(|it| it.starts_with(has)), "{kind}: {addresses:?}");
        assert!(!addresses.iter().any(|it| it.starts_with(lacks)), "{kind}: {addresses:?}");
        assert!(changes.iter().all(|it| it["action"] == "create"), "{kind}");
        fs::remove_file(world.path().join("stack.yaml")).unwrap();
    }
}

#[test]
fn nothing_is_overwritten_not_even_through_a_link() {
    let world = Provider::new("name: mine\nregion: eu-central-1\n");
    let path = world.path().join("stack.yaml");
    let refused = |world: &Provider| {
        let ended = world.run(&[&NAMED[..], &["--kind", "network"]].concat()).with(3);
        assert!(ended.err.contains("stack.yaml exists, and is not overwritten"), "{}", ended.err);
    };
    refused(&world);
    assert_eq!(fs::read_to_string(&path).unwrap(), "name: mine\nregion: eu-central-1\n");
    fs::remove_file(&path).unwrap();
    symlink("elsewhere.yaml", &path).unwrap();
    refused(&world);
    assert!(!world.path().join("elsewhere.yaml").exists());
    let other = world.run(&[&NAMED[..], &["--kind", "network", "--stack", "other.yaml"]].concat()).with(0);
    assert!(other.err.contains("`provisioner plan --stack other.yaml --sandbox`"), "{}", other.err);
    fs::write(world.path().join(".provisioner-schema.json"), "mine").unwrap();
    let args = [&NAMED[..], &["--kind", "network", "--stack", "third.yaml", "--schema"]].concat();
    let ended = world.run(&args).with(3);
    assert!(ended.err.contains(".provisioner-schema.json exists"), "{}", ended.err);
    assert!(!world.path().join("third.yaml").exists());
}

#[test]
fn without_a_terminal_each_missing_option_is_named_and_yes_takes_the_defaults() {
    let world = empty();
    for (args, option) in [
        (&["init"][..], "--kind"),
        (&["init", "--kind", "network"], "--name"),
        (&["init", "--kind", "network", "--name", "shop"], "--region"),
    ] {
        let ended = world.run(args).with(3);
        assert!(ended.err.contains(&format!("{option} is missing")), "{args:?}: {}", ended.err);
        assert!(ended.err.contains("hint:"), "{}", ended.err);
    }
    for (name, region, text) in [
        ("My Shop", "eu-central-1", "name: invalid stack name"),
        ("shop", "eu-centrl-1", "region: "),
        ("shop\nprotect: true", "eu-central-1", "name: invalid name"),
    ] {
        let ended = world.run(&["init", "--kind", "network", "--name", name, "--region", region]).with(3);
        assert!(ended.err.contains(text), "{}", ended.err);
    }
    assert!(!world.path().join("stack.yaml").exists());
    let mut command = world.command(&["init", "--yes", "--name", "shop", "--schema", "--json"]);
    let ended = Ended::of(&command.env("AWS_REGION", "eu-west-1").output().unwrap()).with(0);
    assert_eq!(ended.lines("file").len(), 2);
    let text = fs::read_to_string(world.path().join("stack.yaml")).unwrap();
    assert!(
        text.contains("\nname: shop ") && text.contains("\nregion: eu-west-1\n") && text.contains("\napp:"),
        "{text}"
    );
    let schema = world.run(&["schema"]).with(0).out;
    assert_eq!(fs::read_to_string(world.path().join(".provisioner-schema.json")).unwrap(), schema);
    let first = text.lines().next().unwrap();
    let named = first.strip_prefix("# yaml-language-server: $schema=").unwrap();
    assert!(world.path().join(Path::new(named)).exists(), "{first}");
}
