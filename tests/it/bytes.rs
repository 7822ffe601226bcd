//! Arbitrary bytes: whatever is in the bucket, in the lock table or in the file, reading it ends in a
//! value or in a reason, soon and in little memory, and never in a panic. `bytes/` keeps what is known to
//! hurt parsers; what is too big for a file is made here.

use crate::common::thread_time;
use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use proptest::{prelude::*, sample::Index};
use provisioner::{
    engine::describe_holder,
    model::{LeaseHolder, Owner, Process, Snapshot},
    stack::{
        self,
        manifest_file::{ManifestFile, render},
    },
    store::{LeaseItem, lease_item},
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

/// How long reading may take.
const LIMIT: Duration = Duration::from_secs(1);
/// The same for ten million bytes: code that is not optimised hashes them in a second or two.
const LONG: Duration = Duration::from_secs(if cfg!(debug_assertions) { 5 } else { 1 });
/// In kB, for a process that does nothing but read one of the files.
const MEMORY: u64 = 256 * 1024;

const STATES: &[&[u8]] = &[
    include_bytes!("../state_files/fresh.json"),
    include_bytes!("../state_files/interrupted.json"),
    include_bytes!("../state_files/writer.json"),
    include_bytes!("../state_files/before_by_and_at.json"),
    include_bytes!("../state_files/tombstone.json"),
];

const STACKS: &[&[u8]] = &[
    include_bytes!("../../docs/examples/arm64-spot.yaml"),
    include_bytes!("../../docs/examples/auto-mode.yaml"),
    include_bytes!("../../docs/examples/default.yaml"),
    include_bytes!("../../docs/examples/existing-network.yaml"),
    include_bytes!("../../docs/examples/fargate-and-nodes.yaml"),
    include_bytes!("../../docs/examples/fargate-only.yaml"),
    include_bytes!("../../docs/examples/many-groups.yaml"),
    include_bytes!("../../docs/examples/no-internet.yaml"),
    include_bytes!("../stack_files/good/full.yaml"),
];

const MANIFESTS: &[&[u8]] = &[
    include_bytes!("../../manifests/app/deployment.yaml"),
    include_bytes!("../../manifests/app/service.yaml"),
    include_bytes!("../../manifests/app/availability.yaml"),
    include_bytes!("../../manifests/cluster-autoscaler/rbac.yaml"),
    include_bytes!("../../manifests/load-balancer-controller/webhooks.yaml"),
];

/// What is said of bytes from outside is short, and does not steer the terminal.
#[track_caller]
fn speaks(text: &str, most: usize) {
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    assert!(text.chars().count() <= most, "{} characters: {}", text.len(), &text[..200]);
}

#[track_caller]
fn in_time<T>(what: &str, limit: Duration, read: impl FnOnce() -> T) -> T {
    let began = thread_time();
    let value = read();
    let took = thread_time().saturating_sub(began);
    assert!(took < limit, "{what} took {took:?} of a processor");
    value
}

fn state(what: &str, bytes: &[u8]) -> Option<Snapshot> {
    let limit = if bytes.len() > 1_000_000 { LONG } else { LIMIT };
    let read = in_time(what, limit, || Snapshot::decode(bytes));
    read.map_err(|error| speaks(&error.to_string(), 600)).ok()
}

/// The environment: the examples' variables, and one that must not be shown.
fn env(name: &str) -> Option<String> {
    let value = match name {
        "HIDDEN" => "hunter2",
        "VPC_ID" => "vpc-0123456789abcdef0",
        "PRIVATE_A" => "subnet-0123456789abcdef0",
        "PRIVATE_B" => "subnet-0123456789abcdef1",
        "PUBLIC_A" => "subnet-0123456789abcdef2",
        "PUBLIC_B" => "subnet-0123456789abcdef3",
        _ => return None,
    };
    Some(value.to_owned())
}

fn file(what: &str, bytes: &[u8]) -> bool {
    let read =
        in_time(what, LIMIT, || stack::load("stack.yaml", bytes, &env).map_err(|error| error.to_string()));
    read.map_err(|error| {
        speaks(&error, 200_000);
        assert!(!error.contains("hunter2"), "{error}");
    })
    .is_ok()
}

/// An item as a run leaves it in the table, but for `holder`.
fn manifest(what: &str, bytes: &[u8]) {
    let file = ManifestFile {
        path: "app/a.yaml".to_owned(),
        name: "manifests/app/a.yaml".to_owned(),
        bytes: bytes.to_vec(),
    };
    let known = ["app.release", "app.namespace", "stack.name", "image", "app.ingress"];
    let variables = known.map(|name| (name.to_owned(), json!("value"))).into();
    let read = in_time(what, LIMIT, || render(&file, &variables).map_err(|error| error.to_string()));
    if let Err(error) = read {
        speaks(&error, 200_000);
    }
}

fn held(holder: AttributeValue) -> HashMap<String, AttributeValue> {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let item = [
        ("stack", text("shop")),
        ("owner", text("run")),
        ("record", text("beat")),
        ("fence", AttributeValue::N("7".to_owned())),
        ("holder", holder),
    ];
    item.map(|(name, value)| (name.to_owned(), value)).into()
}

fn lease(what: &str, item: &HashMap<String, AttributeValue>) -> LeaseItem {
    let read = in_time(what, LIMIT, || lease_item(item));
    if let Some(holder) = &read.holder {
        speaks(&describe_holder(holder), 600);
    }
    // The table refuses a caller that considers the item free: so must the reader.
    assert_eq!(read.holder.is_some(), item.contains_key("owner"), "{what}: {read:?}");
    read
}

/// Text of the lease as its holder: unread, it is still held.
fn holder(what: &str, bytes: &[u8]) {
    // DynamoDB has no text that is not UTF-8.
    let text = String::from_utf8_lossy(bytes).into_owned();
    let read = lease(what, &held(AttributeValue::S(text))).holder.unwrap();
    // What the conditions go by comes from the item, whatever the text says.
    assert_eq!((read.owner.as_str(), read.record.as_str(), read.fence), ("run", "beat", 7), "{what}");
}

#[test]
fn what_has_hurt_parsers_is_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bytes");
    let mut count = [0; 3];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let (name, bytes) =
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap());
        let (as_state, as_file) = (state(&name, &bytes), file(&name, &bytes));
        holder(&name, &bytes);
        manifest(&name, &bytes);
        // None is a sound file of any kind.
        assert!(as_state.is_none() && !as_file, "{name} is taken");
        let kind = ["state-", "stack-", "lease-"].iter().position(|kind| name.starts_with(kind));
        count[kind.unwrap_or_else(|| panic!("{name} is of no kind"))] += 1;
    }
    assert!(count.iter().all(|count| *count >= 10), "{count:?}");
}

/// The head of every stack here.
const HEAD: &str = "name: shop\nregion: eu-central-1\n";

/// Files of stacks at the limit of their size, each of which takes a resource to its limit.
fn big_stacks() -> Vec<(&'static str, Vec<u8>)> {
    let list =
        |count: usize, item: &dyn Fn(usize) -> String| (0..count).map(item).collect::<Vec<_>>().join(",");
    let addon = |configuration: &str| {
        format!(
            "{HEAD}network: {{}}\ncluster:\n  addons:\n    - name: vpc-cni\n      configuration:\n\
            {configuration}"
        )
    };
    let long = "k".repeat(900_000);
    let texts = [
        (
            "a long key above many values",
            addon(&format!(
                "        ? {}\n        : [{}]\n",
                &long[..500_000],
                list(15_000, &|_| "1".into())
            )),
        ),
        (
            "long keys above each other",
            addon(&{
                let key = &long[..30_000];
                let deep =
                    (4..20).map(|depth| format!("{}? {key}\n{}:\n", "  ".repeat(depth), "  ".repeat(depth)));
                format!("{}{}[{}]\n", deep.collect::<String>(), "  ".repeat(20), list(9_000, &|_| "1".into()))
            }),
        ),
        (
            "many variables in a line",
            addon(&format!("        a: [{}]\n", list(15_000, &|_| "\"${A:-b}\"".into()))),
        ),
        (
            "many variables behind a long text",
            addon(&format!(
                "        a: [\"{}\",{}]\n",
                "é".repeat(300_000),
                list(15_000, &|_| "\"${A:-b}\"".into())
            )),
        ),
        (
            "many errors in a line",
            format!("{HEAD}tags: {{{}}}\n", list(9_000, &|n| format!("\"aws:{n}\": {}", "b".repeat(60)))),
        ),
        (
            "many wrong groups in a line",
            format!("{HEAD}nodeGroups: [{}]\n", list(2_400, &|_| "{name: a, min: 5, max: 2}".into())),
        ),
        ("many wrong zones", format!("{HEAD}network: {{zones: [{}]}}\n", list(18_000, &|_| "a".into()))),
        (
            "many networks",
            format!(
                "{HEAD}network: {{}}\ncluster: {{endpoint: {{publicCidrs: [{}]}}}}\n",
                list(18_000, &|n| format!("1.2.{}.{}/32", n / 256, n % 256))
            ),
        ),
        ("an unknown field as long as the file", format!("{HEAD}? {long}\n: 1\n")),
        ("a name as long as the file", format!("name: {long}\nregion: eu-central-1\nnetwork: {{}}\n")),
        ("a region as long as the file", format!("name: shop\nregion: {long}\nnetwork: {{}}\n")),
        ("a variable that never ends", format!("{HEAD}tags: {{a: \"{}\"}}\n", "${A:-".repeat(150_000))),
        (
            "settings that are nested",
            format!(
                "{HEAD}nodeGroups:\n  - name: a\n    bottlerocket: |\n      a = {}\n",
                "[".repeat(400_000)
            ),
        ),
        (
            "settings of long paths",
            format!(
                "{HEAD}nodeGroups:\n  - name: a\n    bottlerocket: |\n      {}b = 1\n",
                "a.".repeat(300_000)
            ),
        ),
        ("only brackets", "[".repeat(1 << 20)),
        ("only dashes", "- ".repeat(1 << 19)),
        ("only anchors", "&a ".repeat(300_000)),
        ("only empty lines", format!("{HEAD}{}", "\n".repeat(1 << 19))),
        ("a long comment", format!("{HEAD}# {}", "x".repeat(1_000_000))),
        ("a text of ten million bytes", format!("{HEAD}tags: {{a: {}}}\n", "x".repeat(10_000_000))),
    ];
    texts.map(|(name, text)| (name, text.into_bytes())).into()
}

/// Those that are valid, and so are read to the end.
const SOUND: &[&str] = &[
    "a long key above many values",
    "long keys above each other",
    "many variables in a line",
    "many variables behind a long text",
    "many networks",
    "only empty lines",
    "a long comment",
];

/// A state whose outputs hold `value`, sound but for its size.
fn outputs(value: Value) -> Vec<u8> {
    let owner = Owner { stack: "shop".into(), lineage: "l".into() };
    let mut snapshot = Snapshot::new(&owner, "123456789012", "eu-central-1");
    snapshot.outputs.insert("o".into(), value);
    snapshot.encode().unwrap()
}

fn big_states() -> Vec<(&'static str, Vec<u8>)> {
    let ten = 10_000_000;
    vec![
        ("a sound text of ten million bytes", outputs(json!("x".repeat(ten)))),
        (
            "a text of ten million bytes",
            format!("{{\"schema\": 1, \"stack\": \"{}\"}}", "x".repeat(ten)).into_bytes(),
        ),
        (
            "a field's name of ten million bytes",
            format!("{{\"schema\": 1, \"{}\": 1}}", "x".repeat(ten)).into_bytes(),
        ),
        (
            "a newer program's name of ten million bytes",
            format!("{{\"schema\": 3, \"writer\": {{\"tool\": \"{}\"}}}}", "x".repeat(ten)).into_bytes(),
        ),
        (
            "ten million escapes",
            format!("{{\"schema\": 1, \"stack\": \"{}\"}}", "\\u0000".repeat(ten / 6)).into_bytes(),
        ),
        ("ten million brackets", "[".repeat(ten).into_bytes()),
        ("ten million spaces", " ".repeat(ten).into_bytes()),
        ("ten million digits", format!("{{\"schema\": {}}}", "9".repeat(ten)).into_bytes()),
        ("many fields", format!("{{\"schema\": 1{}}}", ", \"a\": 1".repeat(ten / 8)).into_bytes()),
        ("many small values", outputs(json!(vec![1; 200_000]))),
    ]
}

/// DynamoDB takes items of 400 kB.
fn big_holders() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("a long user", format!("{{\"user\": \"{}\"}}", "x".repeat(400_000)).into_bytes()),
        ("deep", "{\"process\": ".repeat(30_000).into_bytes()),
        ("many fields", format!("{{\"a\": 1{}}}", ", \"a\": 1".repeat(50_000)).into_bytes()),
    ]
}

/// Where the child finds its bytes, and what they are.
const CHILD: &str = "PROVISIONER_TEST_BYTES";

/// The most memory that this process ever had, in kB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
#[ignore = "the child of the test below"]
fn reads_one_file_and_says_how_much_memory_that_took() {
    let Ok(place) = std::env::var(CHILD) else { return };
    let (kind, path) = place.split_once(':').unwrap();
    let bytes = fs::read(path).unwrap();
    match kind {
        "state" => drop(state(path, &bytes)),
        "stack" => drop(file(path, &bytes)),
        _ => holder(path, &bytes),
    }
    println!("peak {}", peak());
}

#[test]
fn the_biggest_are_read_in_time_and_in_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bytes");
    let mut worst = (0, "");
    for (kind, files) in [("stack", big_stacks()), ("state", big_states()), ("lease", big_holders())] {
        for (name, bytes) in files {
            fs::write(&path, &bytes).unwrap();
            let mut child = Command::new(std::env::current_exe().unwrap());
            child.args([
                "--exact",
                "bytes::reads_one_file_and_says_how_much_memory_that_took",
                "--ignored",
                "--nocapture",
            ]);
            let output = child.env(CHILD, format!("{kind}:{}", path.display())).output().unwrap();
            let out = String::from_utf8_lossy(&output.stdout);
            assert!(
                output.status.success(),
                "{kind}, {name}: {out}{}",
                String::from_utf8_lossy(&output.stderr)
            );
            let peak: u64 =
                out.split_once("peak ").unwrap().1.split_whitespace().next().unwrap().parse().unwrap();
            println!("{kind}, {name} ({} bytes): {} MB", bytes.len(), peak / 1024);
            assert!(peak < MEMORY, "{kind}, {name}: {} MB", peak / 1024);
            worst = worst.max((peak, name));
        }
    }
    println!("worst: {} with {} MB", worst.1, worst.0 / 1024);
}

/// The same with the program itself, which has a runtime, clients and a printer around the reader.
#[test]
fn the_program_takes_little_memory_for_the_biggest_stacks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stack.yaml");
    let witness = "import resource, subprocess, sys\n\
        code = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, \
        stderr=subprocess.DEVNULL).returncode\n\
        used = resource.getrusage(resource.RUSAGE_CHILDREN)\n\
        print(code, used.ru_maxrss, used.ru_utime + used.ru_stime)";
    let run = |name: &str, path: &Path| {
        let mut python = Command::new("python3");
        python.args(["-c", witness, env!("CARGO_BIN_EXE_provisioner"), "plan", "--stack"]).arg(path);
        python.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", folder.path());
        python.env("AWS_EC2_METADATA_DISABLED", "true").stdin(Stdio::null());
        let text = String::from_utf8(python.output().unwrap().stdout).unwrap();
        let [code, peak, took] = text.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{text}") };
        let took = Duration::from_secs_f64(took.parse().unwrap());
        assert!(took < LONG, "{name} took {took:?} of a processor");
        (code.parse::<i32>().unwrap(), peak.parse::<u64>().unwrap())
    };
    for (name, bytes) in big_stacks() {
        fs::write(&path, &bytes).unwrap();
        let (code, peak) = run(name, &path);
        // What is valid, however odd, ends where there are no credentials.
        let expected = if SOUND.contains(&name) { 7 } else { 3 };
        assert!(code == expected && peak < MEMORY, "{name}: exit code {code}, {} MB", peak / 1024);
    }
    // What has no end is not read to its end.
    let (code, peak) = run("zeros", Path::new("/dev/zero"));
    assert!(code == 3 && peak < MEMORY, "exit code {code}, {} MB", peak / 1024);
}

/// One slip.
#[derive(Clone, Debug)]
enum Slip {
    Flip(Index, u8),
    Cut(Index, Index),
    Duplicate(Index, Index),
    Splice(Index, usize, Index, Index),
    Insert(Index, &'static [u8]),
    Truncate(Index),
}

/// Bytes that have a meaning in one of the formats.
const PIECES: &[&[u8]] = &[
    b"\0",
    b"\xff",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"\n",
    b"\r",
    b"\t",
    b"- ",
    b"&a ",
    b"*a",
    b"<<: ",
    b"!!",
    b"? ",
    b"|\n",
    b">",
    b"#",
    b"%",
    b"---\n",
    b"...",
    b"${",
    b"}",
    b":-",
    b"1e999",
    b"-0",
    b"99999999999999999999",
    b"null",
    b"true",
    b".nan",
    b"\xe2\x80\xa8",
    b"\xef\xbb\xbf",
    b"\x1b[31m",
    b"\"schema\": 9",
];

fn slip() -> impl Strategy<Value = Slip> {
    let at = any::<Index>;
    prop_oneof![
        (at(), 0..8_u8).prop_map(|(at, bit)| Slip::Flip(at, bit)),
        (at(), at()).prop_map(|(from, to)| Slip::Cut(from, to)),
        (at(), at()).prop_map(|(from, to)| Slip::Duplicate(from, to)),
        (at(), any::<usize>(), at(), at()).prop_map(|(at, file, from, to)| Slip::Splice(at, file, from, to)),
        (at(), 0..PIECES.len()).prop_map(|(at, piece)| Slip::Insert(at, PIECES[piece])),
        at().prop_map(Slip::Truncate),
    ]
}

impl Slip {
    fn slipped(&self, mut bytes: Vec<u8>, files: &[&[u8]]) -> Vec<u8> {
        let range = |from: &Index, to: &Index, length: usize| {
            let (from, to) = (from.index(length + 1), to.index(length + 1));
            from.min(to)..from.max(to)
        };
        let (length, end) = (bytes.len(), bytes.len() + 1);
        match self {
            Slip::Flip(at, bit) if length > 0 => bytes[at.index(length)] ^= 1 << bit,
            Slip::Flip(..) => {}
            Slip::Cut(from, to) => drop(bytes.drain(range(from, to, length))),
            Slip::Duplicate(from, to) => {
                let range = range(from, to, length);
                let again = bytes[range.clone()].to_vec();
                bytes.splice(range.end..range.end, again);
            }
            Slip::Splice(at, file, from, to) => {
                let (at, other) = (at.index(end), files[file % files.len()]);
                let part = other[range(from, to, other.len())].to_vec();
                bytes.splice(at..at, part);
            }
            Slip::Insert(at, piece) => {
                let at = at.index(end);
                bytes.splice(at..at, piece.iter().copied());
            }
            Slip::Truncate(at) => bytes.truncate(at.index(end)),
        }
        bytes
    }
}

/// One of the files with some slips: which, and what became of it.
fn mutated(files: &'static [&'static [u8]]) -> impl Strategy<Value = (usize, Vec<u8>)> {
    let slips = proptest::collection::vec(slip(), 1..5);
    (0..files.len(), slips).prop_map(move |(file, slips)| {
        (file, slips.iter().fold(files[file].to_vec(), |bytes, slip| slip.slipped(bytes, files)))
    })
}

fn name() -> impl Strategy<Value = String> {
    proptest::sample::select(vec!["owner", "holder", "record", "fence", "stack"]).prop_map(str::to_owned)
}

fn attribute() -> impl Strategy<Value = AttributeValue> {
    let text = prop_oneof![any::<String>(), "[0-9eE+.-]{0,40}", "\\PC{0,20}"];
    let leaf = prop_oneof![
        text.clone().prop_map(AttributeValue::S),
        text.prop_map(AttributeValue::N),
        any::<u64>().prop_map(|number| AttributeValue::N(number.to_string())),
        any::<bool>().prop_map(AttributeValue::Bool),
        Just(AttributeValue::Null(true)),
        any::<Vec<u8>>().prop_map(|bytes| AttributeValue::B(Blob::new(bytes))),
        any::<Vec<String>>().prop_map(AttributeValue::Ss),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(AttributeValue::L),
            proptest::collection::hash_map("[a-z]{1,6}", inner, 0..4).prop_map(AttributeValue::M),
        ]
    })
}

/// The text that a run leaves in the table.
fn sound_holder() -> Vec<u8> {
    let process = Process {
        host: "laptop".into(),
        boot_id: "0f3e9c61-5d0b-4c8e-9c5e-0a4c6f5b9f11".into(),
        pid_namespace: "pid:[4026531836]".into(),
        pid: 4711,
        started: 52_500,
    };
    let holder = LeaseHolder {
        owner: "run".into(),
        user: "ada".into(),
        process,
        command: "provisioner up --yes".into(),
        fence: 7,
        record: "beat".into(),
        lease_ms: 60_000,
        since: "2026-11-21T09:06:54Z".into(),
    };
    serde_json::to_vec(&holder).unwrap()
}

/// Any value that JSON has.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

#[test]
fn the_files_that_slips_are_made_in_are_sound() {
    assert!(STATES.iter().all(|bytes| state("a golden file", bytes).is_some()));
    for bytes in STACKS {
        stack::load("stack.yaml", bytes, &env).unwrap_or_else(|error| panic!("{error}"));
    }
    let read = lease("a holder", &held(AttributeValue::S(String::from_utf8(sound_holder()).unwrap())));
    assert_eq!(read.holder.unwrap().process.pid, 4711);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        state("any bytes", &bytes);
        file("any bytes", &bytes);
        holder("any bytes", &bytes);
        manifest("any bytes", &bytes);
    }

    #[test]
    fn a_manifest_with_slips_is_read_or_refused((_, bytes) in mutated(MANIFESTS)) {
        manifest("a manifest with slips", &bytes);
    }

    #[test]
    fn a_state_with_slips_is_refused_or_says_what_it_said((which, bytes) in mutated(STATES)) {
        if let Some(read) = state("a state with slips", &bytes) {
            prop_assert_eq!(read, Snapshot::decode(STATES[which]).unwrap());
        }
    }

    #[test]
    fn a_stack_with_slips_is_read_or_refused((_, bytes) in mutated(STACKS)) {
        file("a stack with slips", &bytes);
    }

    #[test]
    fn a_lease_with_slips_is_still_held(slips in proptest::collection::vec(slip(), 1..5)) {
        let sound = sound_holder();
        let slipped = slips.iter().fold(sound.clone(), |bytes, slip| slip.slipped(bytes, &[&sound]));
        holder("a lease with slips", &slipped);
    }

    #[test]
    fn any_item_is_read(item in proptest::collection::hash_map(name(), attribute(), 0..6)) {
        let read = lease("any item", &item);
        if let (Some(AttributeValue::S(owner)), Some(holder)) = (item.get("owner"), &read.holder) {
            prop_assert_eq!(owner, &holder.owner);
        }
        let number = item.get("fence").and_then(|fence| fence.as_n().ok()).and_then(|n| n.parse().ok());
        prop_assert_eq!(read.fence, number.unwrap_or(0));
    }

    #[test]
    fn any_state_is_read_back_as_it_was_written(value in value()) {
        let mut read = Snapshot::decode(&outputs(value.clone())).unwrap();
        prop_assert_eq!(&read.outputs["o"], &value);
        prop_assert_eq!(read.encode().unwrap(), outputs(value));
    }
}
