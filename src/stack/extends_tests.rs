//! Files that extend others: what is merged, what is refused, and where errors are shown.

use super::{Diagnostics, Stack, load_extended};
use proptest::prelude::*;

const BASE: &str = "name: shop\nregion: eu-central-1\ntags: {team: platform, stage: dev}\n\
    network: {zones: 2, nat: single}\n\
    nodeGroups:\n  - {name: default, min: 1, max: 3, labels: {a: one}}\n  - {name: batch, capacity: spot}\n";

/// Loads the first of several files, which are named by their paths.
fn load(files: &[(&str, &str)]) -> Result<Stack, Diagnostics> {
    let (name, text) = files[0];
    let read = |path: &str| match files[1..].iter().find(|(name, _)| *name == path) {
        Some((_, text)) => Ok(text.as_bytes().to_vec()),
        None => Err(format!("{path} is not there")),
    };
    let env = |name: &str| (name == "STAGE").then(|| "base".to_owned());
    load_extended(name, text.as_bytes(), &env, &[], &read)
}

fn error(files: &[(&str, &str)]) -> String {
    load(files).unwrap_err().to_string()
}

fn two(over: &str) -> Stack {
    load(&[("stack.yaml", over), ("base.yaml", BASE)]).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn maps_and_lists_of_named_things_merge_and_everything_else_is_replaced() {
    let same = two("extends: base.yaml\n");
    assert_eq!(same.extended_files, ["base.yaml"]);
    assert_eq!((same.name.as_str(), same.node_groups.len()), ("shop", 2));
    let stack = two("extends: base.yaml\nname: shop-prod\ntags: {stage: prod}\n\
        network: {zones: [eu-central-1a, eu-central-1b, eu-central-1c]}\n\
        nodeGroups: [{name: gpu}, {name: default, max: 9, labels: {b: two}}]\n");
    assert_eq!(stack.name, "shop-prod");
    assert_eq!(
        stack.tags.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>(),
        ["stage=prod", "team=platform"]
    );
    let network = stack.network.as_ref().unwrap();
    assert_eq!(
        (network.nat, &network.zones),
        (
            super::Nat::Single,
            &super::Zones::Names(["a", "b", "c"].map(|zone| format!("eu-central-1{zone}")).to_vec())
        )
    );
    let groups: Vec<_> =
        stack.node_groups.iter().map(|group| (group.name.as_str(), group.min, group.max)).collect();
    assert_eq!(groups.iter().map(|(name, ..)| *name).collect::<Vec<_>>(), ["default", "batch", "gpu"]);
    assert_eq!((groups[0].1, groups[0].2), (1, 9));
    assert_eq!(stack.node_groups[0].labels.len(), 2);
    // A list without names is replaced as a whole, and an empty one empties the list.
    let types = two("extends: base.yaml\nnodeGroups: []\nfargateOnly: true\n");
    assert!(types.node_groups.is_empty());
}

#[test]
fn service_accounts_of_two_namespaces_are_two() {
    let base = "name: shop\nregion: eu-central-1\nserviceAccounts:\n\
        - {name: web, namespace: a, policyArns: ['arn:aws:iam::aws:policy/A']}\n";
    let over = "extends: base.yaml\nserviceAccounts:\n\
        - {name: web, namespace: b, policyArns: ['arn:aws:iam::aws:policy/B']}\n\
        - {name: web, namespace: a, policyArns: ['arn:aws:iam::aws:policy/C']}\n";
    let stack = load(&[("stack.yaml", over), ("base.yaml", base)]).unwrap();
    let found: Vec<_> =
        stack.service_accounts.iter().map(|it| (it.namespace.as_str(), it.policy_arns[0].as_str())).collect();
    assert_eq!(found, [("a", "arn:aws:iam::aws:policy/C"), ("b", "arn:aws:iam::aws:policy/B")]);
}

#[test]
fn null_removes_a_field_and_an_empty_value_does_not() {
    for null in ["null", "~", "Null", "NULL"] {
        let stack = two(&format!("extends: base.yaml\nnetwork:\n  nat: {null}\nnodeGroups: {null}\n"));
        assert_eq!(stack.node_groups.len(), 0);
        let nat = serde_json::to_value(stack.network.unwrap().nat).unwrap();
        assert_eq!(nat, "single", "the default");
        assert_eq!(stack.cluster, None);
    }
    // The line below is a field of its own whose first letter is that of `null`.
    for empty in [
        "extends: base.yaml\nnodeGroups:\nname: shop\n",
        "extends: base.yaml\nnodeGroups:\n",
        "extends: base.yaml\nnetwork:\n  nat:\n",
    ] {
        let text = error(&[("stack.yaml", empty), ("base.yaml", BASE)]);
        assert!(text.contains("no value"), "{empty}: {text}");
    }
    let text = error(&[("stack.yaml", "extends: base.yaml\nregion: null\n"), ("base.yaml", BASE)]);
    assert!(text.contains("missing field `region`"), "{text}");
}

#[test]
fn chains_are_followed_and_paths_are_relative_to_the_file_that_names_them() {
    let stack = load(&[
        ("envs/stack.yaml", "extends: parts/${STAGE}.yaml\nname: prod\n"),
        ("parts/base.yaml", "extends: ../common.yaml\nname: stage\nnetwork: {nat: per-zone}\n"),
        ("common.yaml", BASE),
    ])
    .unwrap();
    assert_eq!(stack.extended_files, ["parts/base.yaml", "common.yaml"]);
    assert_eq!((stack.name.as_str(), stack.region.as_str()), ("prod", "eu-central-1"));
    let network = stack.network.unwrap();
    assert_eq!((network.nat, network.zones), (super::Nat::PerZone, super::Zones::Count(2)));
}

#[test]
fn an_error_is_shown_in_the_file_that_it_is_in() {
    let wrong = BASE.replace("zones: 2", "zones: 9");
    let text = error(&[("a/stack.yaml", "extends: base.yaml\nname: x\n"), ("base.yaml", &wrong)]);
    assert!(text.contains("--> a/base.yaml:4:18") && text.contains("4 | network: {zones: 9"), "{text}");
    let text = error(&[("a/stack.yaml", "extends: base.yaml\nnetwork: {zones: 9}\n"), ("base.yaml", BASE)]);
    assert!(text.contains("--> a/stack.yaml:2:18"), "{text}");
    let unknown = format!("{BASE}clutser: {{}}\n");
    let text = error(&[("stack.yaml", "extends: base.yaml\n"), ("base.yaml", &unknown)]);
    assert!(text.contains("--> base.yaml:8:1") && text.contains("did you mean `cluster`?"), "{text}");
    let variable = BASE.replace("zones: 2", "zones: \"${MISSING}\"");
    let text = error(&[("stack.yaml", "extends: base.yaml\n"), ("base.yaml", &variable)]);
    assert!(text.contains("--> base.yaml:4:18") && text.contains("`MISSING` is not set"), "{text}");
    // What is overridden needs no variable.
    load(&[("stack.yaml", "extends: base.yaml\nnetwork: {zones: 3}\n"), ("base.yaml", &variable)]).unwrap();
    let text = error(&[("stack.yaml", "extends: base.yaml\n"), ("base.yaml", "a: [\n")]);
    assert!(text.contains("--> base.yaml:"), "{text}");
    let text = error(&[("stack.yaml", "extends: base.yaml\n"), ("base.yaml", "- a\n")]);
    assert!(text.contains("--> base.yaml:1:1") && text.contains("expected a map of fields"), "{text}");
    // A check that names a field by its path finds it in its file.
    let stack = two("extends: base.yaml\nname: prod\n");
    let found = |path: &str| stack.diagnostic(path, "wrong".to_owned(), None).to_string();
    assert!(
        found("nodeGroups[1].capacity").contains("--> base.yaml:7:"),
        "{}",
        found("nodeGroups[1].capacity")
    );
    assert!(found("name").contains("--> stack.yaml:2:7"), "{}", found("name"));
}

#[test]
fn circles_long_chains_and_paths_that_lead_out_are_refused() {
    let circle = error(&[
        ("x/stack.yaml", "extends: a.yaml\n"),
        ("a.yaml", "extends: ./sub/b.yaml\n"),
        ("sub/b.yaml", "extends: ../a.yaml\n"),
    ]);
    assert!(
        circle.contains("the files extend each other: stack.yaml -> a.yaml -> sub/b.yaml -> a.yaml"),
        "{circle}"
    );
    assert!(circle.contains("--> x/sub/b.yaml:1:10"), "{circle}");
    let own = error(&[("stack.yaml", "extends: stack.yaml\n"), ("stack.yaml", BASE)]);
    assert!(own.contains("stack.yaml -> stack.yaml"), "{own}");
    let long: Vec<(String, String)> =
        (0..12).map(|n| (format!("{n}.yaml"), format!("extends: {}.yaml\n", n + 1))).collect();
    let long: Vec<(&str, &str)> = long.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let text = error(&long);
    assert!(text.contains("more than 8 files: 0.yaml -> 1.yaml"), "{text}");
    for path in
        ["/etc/passwd", "../base.yaml", "a/../../base.yaml", "''", ".", "a/..", "base.yaml/", "\"a\\0b\""]
    {
        let text = error(&[("stack.yaml", &format!("extends: {path}\n")), ("base.yaml", BASE)]);
        assert!(text.contains("must be a file below the folder of the stack file"), "{path}: {text}");
        assert!(text.contains("--> stack.yaml:1:10"), "{text}");
    }
    for value in ["[base.yaml]", "{}", "7", "true", ""] {
        let text = error(&[("stack.yaml", &format!("extends: {value}\n")), ("base.yaml", BASE)]);
        assert!(text.contains("extends: expected the path of a file"), "{value}: {text}");
    }
    let text = error(&[("stack.yaml", "extends: other-${STAGE}.yaml\n"), ("base.yaml", BASE)]);
    assert!(text.contains("cannot read \"other-${STAGE}.yaml\": other-base.yaml is not there"), "{text}");
    let text = error(&[("stack.yaml", "extends: ${SOME_TOKEN}\n"), ("base.yaml", BASE)]);
    assert!(text.contains("holds a credential"), "{text}");
}

#[test]
fn merging_takes_time_by_the_size_of_the_files() {
    let items: String = (0..4_000).map(|n| format!("- {{name: n{n}}}\n")).collect();
    let text = format!("repositories:\n{items}");
    let base = format!("name: shop\nregion: eu-central-1\n{text}");
    let began = std::time::Instant::now();
    let result = load(&[("stack.yaml", &format!("extends: base.yaml\n{text}")), ("base.yaml", &base)]);
    assert_eq!(result.unwrap().repositories.len(), 4_000);
    assert!(began.elapsed().as_secs() < 20);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn no_pair_of_files_makes_it_panic(
        over in "(name|tags|nodeGroups|extends|- |  |: |null|~|[a-z\\[\\]{},\\n\"$-]){0,30}",
        base in "(name|tags|nodeGroups|extends|- |  |: |null|~|[a-z\\[\\]{},\\n\"$-]){0,30}",
    ) {
        for over in [over.clone(), format!("extends: base.yaml\n{over}")] {
            for base in [base.clone(), format!("{BASE}{base}")] {
                if let Err(error) = load(&[("stack.yaml", over.as_str()), ("base.yaml", base.as_str())]) {
                    let text = error.to_string();
                    prop_assert!(text.contains("--> stack.yaml") || text.contains("--> base.yaml"), "{text}");
                }
            }
        }
    }
}
