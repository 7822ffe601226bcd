//! The pages of `docs`: links, the commands that they show, and the pages that the program determines. A page whose blocks are
//! marked `sh` is run: its commands in an empty folder, against the sandbox.

use crate::common::{Ended, fixture, python};
use std::{fs, path::Path, process::Command};

fn script(file: &str, arguments: &[&str]) -> Ended {
    let mut command = Command::new(python());
    command.arg("-B").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).args(arguments);
    command.env("PROVISIONER_BASE_LAYOUT", fixture("base"));
    Ended::of(&command.output().unwrap())
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_provisioner");

#[test]
fn every_page_is_in_the_summary_and_every_link_resolves() {
    script("tests/docs/pages.py", &["links"]).with(0);
}

#[test]
fn commands_and_fields_are_those_of_the_program() {
    let options: &[&str] = match std::env::var("PROVISIONER_TABLE").as_deref() {
        Ok("update") => &[PROGRAM, "--write"],
        _ => &[PROGRAM],
    };
    script("docs/generate.py", options).with(0);
}

#[test]
fn the_program_knows_every_command_that_a_page_shows() {
    script("tests/docs/pages.py", &["commands", PROGRAM]).with(0);
}

#[test]
fn the_tutorial_does_what_it_says() {
    let said = script("tests/docs/pages.py", &["run", PROGRAM, "docs/tutorial/first-stack.md"]).with(0).out;
    let after = |command: &str| said.split(command).skip(1).collect::<Vec<_>>();
    let answers = after("$ curl");
    assert!(answers[0].contains("\nWelcome") && answers[1].contains("\nHello"), "{said}");
    assert!(said.contains("[drift]") && said.contains("max: 9 -> 4"), "{said}");
    assert!(said.contains("Kubernetes 1.35") && said.contains("\nproof: "), "{said}");
}

#[test]
fn the_commands_of_other_pages_work_in_an_empty_folder() {
    let mut pages = 0;
    for part in ["howto", "reference", "explanation"] {
        let folder = format!("docs/{part}");
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(&folder)).unwrap() {
            let entry = entry.unwrap();
            if fs::read_to_string(entry.path()).unwrap().contains("\n```sh\n") {
                let page = format!("{folder}/{}", entry.file_name().to_string_lossy());
                script("tests/docs/pages.py", &["run", PROGRAM, &page]).with(0);
                pages += 1;
            }
        }
    }
    assert!(pages >= 4, "{pages} pages");
}

#[test]
fn the_picture_of_the_readme_shows_a_real_run() {
    script("docs/picture.py", &[PROGRAM, "--check"]).with(0);
}
