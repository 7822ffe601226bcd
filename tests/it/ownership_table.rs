//! The table of `docs/RELIABILITY.md`: what each verb does to each kind if another person's thing has its name, its tags or
//! its record. Every cell is run on the sandbox, and boto3 compares another's things and the data before and after it.
//!
//! `PROVISIONER_TABLE=update cargo test --test it ownership_table:: -- --ignored` runs everything and rewrites the table.

use crate::common::Provider;
use provisioner::{
    model::{Identity, KindInfo},
    resources::REGISTRY,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
    sync::Mutex,
    thread,
    time::Instant,
};

/// The stacks in which the kinds are tried, as the Python side names them.
const STACKS: &[(&str, &str)] = &[
    (
        "stack",
        "name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: single, endpoints: [s3, ssm]}\n\
        cluster: {}\n\
        nodeGroups: [{name: default, ssh: {publicKey: \"ssh-ed25519 \
        AAAAC3NzaC1lZDI1NTE5AAAAIJ4n0dmVtbhb9CHbkG9iFk7nUoMXdl0ZBQhZ0Y1cQk0k ops\"}}]\n\
        fargateProfiles: [{name: jobs, selectors: [{namespace: jobs}]}]\n\
        repositories: [{name: team/app}]\n\
        parameters: [{name: /sec/msg, value: hello}, {name: /sec/token, secret: {file: token}}]\n\
        serviceAccounts:\n  \
        - {name: worker, namespace: jobs, podIdentity: true, policyArns: [\"arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess\"]}\n  \
        - {name: reader, namespace: jobs, policyArns: [\"arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess\"]}\n",
    ),
    (
        "application",
        "name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: single, flowLogs: false}\n\
        cluster: {addons: [{name: metrics-server, enabled: false}]}\ncontrollers: {loadBalancerController: true}\n\
        parameters: [{name: /shop/token, value: hello}]\n\
        app: {repository: shop/web, ingress: none, platforms: [linux/amd64], replicas: 0, secrets: {TOKEN: /shop/token}}\n",
    ),
    (
        "backend",
        "name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: none, flowLogs: false, endpoints: []}\n",
    ),
];

/// The situations, as the Python side and the table name them.
const SITUATIONS: &[&str] = &[
    "other tags",
    "no tags",
    "copied tags",
    "forged entry",
    "changed entry",
    "reversible state",
    "fixed field",
];
const VERBS: &[&str] = &["plan", "up", "replace", "down"];

/// The kinds without cells of their own, and why.
const WITHOUT_CELLS: &[(&str, &str)] = &[(
    "subnet_tags",
    "not here, but on an existing network: `tests/it/role_tags.rs`, `tests/it/ownership_chains.rs`: \
     `tags_of_others_on_an_existing_subnet_stay`",
)];

/// What every `cargo test` runs: the situations in which data was lost once, and a kind of each group.
const CROSS_SECTION: Share = Share {
    situations: "copied tags;forged entry;changed entry",
    kinds: "ecr_repository;iam_role;route",
    verbs: "plan;up;down",
};

/// What is run of the table; empty: everything.
#[derive(Clone, Copy, Default)]
struct Share {
    situations: &'static str,
    kinds: &'static str,
    verbs: &'static str,
}

const START: &str = "<!-- table of tests/it/ownership_table.rs -->\n";
const END: &str = "<!-- end of the table -->\n";

/// By kind, situation and verb: what happens.
type Cells = BTreeMap<String, BTreeMap<String, BTreeMap<String, String>>>;

/// Runs a share of the table in one of the stacks, and returns the cells. Fails if anything of another, or any data, was
/// lost.
fn cells(stack: &str, share: Share) -> Cells {
    let (_, file) = STACKS.iter().find(|(name, _)| *name == stack).unwrap();
    let world = Provider::new(file);
    fs::write(world.path().join("token"), "correct horse").unwrap();
    world.sandbox(2000);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/ownership_table");
    let program = env!("CARGO_BIN_EXE_provisioner");
    let (folder, here) = (text(world.path()), text(&here));
    let arguments = [program, &folder, &here, stack, share.situations, share.kinds, share.verbs];
    let code = fs::read_to_string(Path::new(&here).join("cells.py")).unwrap();
    let code = format!("sys.argv[2:] = {arguments:?}\n{code}");
    let ran = world.boto3(&code);
    let lost: Vec<&str> = ran["lost"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(lost.is_empty(), "another's thing or data was lost:\n{}", lost.join("\n"));
    serde_json::from_value(ran["cells"].clone()).unwrap()
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// The kind's name in front of what distinguishes two rows of one kind.
fn kind_of(row: &str) -> &str {
    row.split(',').next().unwrap_or(row)
}

/// Why a situation cannot occur, by what the kind states about itself.
fn not_possible(kind: &KindInfo, situation: &str) -> Option<&'static str> {
    match situation {
        "other tags" | "no tags" | "copied tags" if !kind.tagged => Some("not possible: carries no tags"),
        "other tags" | "no tags" if kind.identity != Identity::Name => Some("not possible: AWS gives its id"),
        "changed entry" if kind.name.starts_with("route") => {
            Some("not shown: the tables of others are not looked into; `a_part_is_its_parents`")
        }
        "reversible state" if kind.name == "vpc_endpoint" => {
            Some("not shown: the sandbox rejects no endpoint")
        }
        "reversible state" => Some("not possible: has no state that a person can undo"),
        "fixed field" => Some("not shown: AWS changes none; `drift_never_replaces_what_holds_data`"),
        _ => None,
    }
}

/// The rows of one kind: situations whose cells agree are one row.
fn rows(
    kind: &KindInfo,
    row: &str,
    cells: &BTreeMap<String, BTreeMap<String, String>>,
) -> Vec<(String, String)> {
    let mut rows: Vec<(String, String)> = Vec::new();
    for situation in SITUATIONS {
        let text = match (cells.get(*situation), not_possible(kind, situation)) {
            (Some(cells), _) => VERBS.iter().map(|verb| format!(" {} |", cells[*verb])).collect(),
            (None, Some(why)) => format!(" {why} | | | |"),
            // Its kind has a row of its own.
            (None, None) if row != kind.name => continue,
            (None, None) => panic!("{row}: nothing runs the situation {situation:?}"),
        };
        match rows.iter_mut().find(|(_, other)| *other == text) {
            Some((names, _)) => *names = format!("{names}, {situation}"),
            None => rows.push(((*situation).to_owned(), text)),
        }
    }
    rows
}

fn table(cells: &Cells) -> String {
    let mut table = String::from(
        "| kind | situation | `plan` | `up` | `up --replace` | `down` |\n|---|---|---|---|---|---|\n",
    );
    for handler in REGISTRY {
        let (kind, name) = (handler.kind.info, handler.kind.name);
        if let Some((_, why)) = WITHOUT_CELLS.iter().find(|(without, _)| *without == name) {
            writeln!(table, "| `{name}` | all | {why} | | | |").unwrap();
            continue;
        }
        let of: Vec<&String> = cells.keys().filter(|row| kind_of(row) == name).collect();
        assert!(!of.is_empty(), "{name}: a kind that tests/it/ownership_table does not know");
        for row in of {
            // A second row of a kind has only the situations in which it differs.
            let whole = row == name;
            for (situations, text) in rows(kind, row, &cells[row]) {
                if whole || !text.starts_with(" not ") {
                    let label = row.replacen(name, &format!("`{name}`"), 1);
                    writeln!(table, "| {label} | {situations} |{text}").unwrap();
                }
            }
        }
    }
    table
}

fn document() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/RELIABILITY.md")
}

/// The table in the document.
fn documented() -> String {
    let text = fs::read_to_string(document()).unwrap();
    let (_, rest) = text.split_once(START).expect("the document has no table");
    rest.split_once(END).expect("the table has no end").0.to_owned()
}

/// The document's words for each kind, situation and verb.
fn expected() -> Cells {
    let mut cells = Cells::new();
    for row in documented().lines().skip(2) {
        let parts: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, kind, situations, words @ ..] = &parts[..] else { panic!("{row}") };
        let by_situation = cells.entry(kind.replace('`', "")).or_default();
        for situation in situations.split(", ") {
            let words = VERBS.iter().zip(words).map(|(verb, word)| ((*verb).to_owned(), (*word).to_owned()));
            by_situation.insert(situation.to_owned(), words.collect());
        }
    }
    cells
}

#[test]
fn the_table_lists_every_kind_and_no_dangerous_cell_changed() {
    if std::env::var("PROVISIONER_TABLE").as_deref() == Ok("update") {
        return;
    }
    let known: BTreeSet<&str> = WITHOUT_CELLS.iter().map(|(kind, _)| *kind).collect();
    for handler in REGISTRY {
        let name = handler.kind.name;
        let listed = documented().contains(&format!("| `{name}`"));
        assert!(listed, "{name}: not in the table of docs/RELIABILITY.md");
        assert!(known.contains(name) || !documented().contains(&format!("| `{name}` | all |")), "{name}");
    }
    let expected = expected();
    for (row, situations) in &cells("stack", CROSS_SECTION) {
        for (situation, words) in situations {
            for (verb, word) in words {
                assert_eq!(&expected[row][situation][verb], word, "{row}, {situation}, {verb}");
            }
        }
    }
}

/// Runs the whole table: one situation of one stack after the other, two at a time.
fn every_cell() -> Cells {
    let each =
        STACKS.iter().flat_map(|(stack, _)| SITUATIONS.iter().map(move |situation| (*stack, *situation)));
    let (queue, cells) = (Mutex::new(each.collect::<Vec<_>>()), Mutex::new(Cells::new()));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some((stack, situations)) = queue.lock().unwrap().pop() else { return };
                    let began = Instant::now();
                    let ran = self::cells(stack, Share { situations, ..Share::default() });
                    println!("{stack}, {situations}: {} kinds in {} s", ran.len(), began.elapsed().as_secs());
                    let mut cells = cells.lock().unwrap();
                    for (row, situations) in ran {
                        cells.entry(row).or_default().extend(situations);
                    }
                }
            });
        }
    });
    cells.into_inner().unwrap()
}

#[test]
#[ignore = "every cell: `cargo test --test it ownership_table:: -- --ignored`, with PROVISIONER_TABLE=update to rewrite"]
fn every_cell_is_as_the_table_says() {
    let made = table(&every_cell());
    if std::env::var("PROVISIONER_TABLE").as_deref() == Ok("update") {
        let text = fs::read_to_string(document()).unwrap();
        let (before, rest) = text.split_once(START).unwrap();
        let after = rest.split_once(END).unwrap().1;
        fs::write(document(), format!("{before}{START}{made}{END}{after}")).unwrap();
    }
    assert_eq!(documented(), made, "PROVISIONER_TABLE=update rewrites the table");
}
