//! `SIGKILL` at every kind of call, before its effect and between effect and answer; then the same command again, and
//! nothing is lost, doubled or left. The real binary on the sandbox; boto3 counts.
//!
//! Here each operation that writes is hit once in each phase. All calls of all phases, for a night:
//! `cargo test --test it crash:: -- --ignored --nocapture`; with `PROVISIONER_SHARD=2/10` the second tenth of them.

use crate::common::{Provider, python};
use serde_json::{Value, json};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

/// Nearly every kind that there is, as small as it gets.
const STACK: &str = "name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: single}\n\
    cluster: {addons: [{name: metrics-server, enabled: false}]}\n\
    nodeGroups:\n  - {name: main, instanceTypes: [t3.large], ssh: {publicKey: \"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFRXS4HYgrxKDTbjqkVoPmLCAeynmnB5kMsjtXpNHgKc\"}}\n\
    fargateProfiles: [{name: jobs, selectors: [{namespace: jobs}]}]\n\
    repositories: [{name: shop/web}]\n\
    serviceAccounts: [{name: worker, namespace: jobs, podIdentity: true}]\n\
    parameters: [{name: /shop/motd, value: hello}]\n\
    app: {repository: shop/web, ingress: none, platforms: [linux/amd64], replicas: 0}\n";

/// What is updated, replaced and removed in the second phase.
const CHANGES: &[(&str, &str)] = &[
    ("nat: single", "nat: per-zone, endpoints: [s3, ec2]"),
    ("enabled: false", "enabled: true"),
    ("instanceTypes: [t3.large]", "instanceTypes: [t3.large], labels: {a: b}, diskGiB: 40"),
    ("namespace: jobs}]}]\nrepositories", "namespace: other}]}]\nrepositories"),
    ("[{name: shop/web}]", "[{name: shop/web, keepImages: 5}]"),
    (", podIdentity: true", ""),
    ("value: hello", "value: goodbye"),
    ("platforms: [linux/amd64]", "platforms: [linux/amd64, linux/arm64]"),
];

fn changed() -> String {
    CHANGES.iter().fold(STACK.to_owned(), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text.replace(from, to)
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Up,
    Change,
    Down,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// The call never has an effect.
    Before,
    /// It has, and its answer is lost.
    After,
}

impl Moment {
    fn fault(self) -> &'static str {
        match self {
            Moment::Before => "hold_request",
            Moment::After => "hold_response",
        }
    }
}

/// A call to be killed at: the `skip`+1st of this name.
#[derive(Clone, Debug)]
struct Spot {
    call: String,
    skip: usize,
    moment: Moment,
}

/// boto3, which takes longer to start than to count.
struct Counter {
    process: Child,
    asks: ChildStdin,
    says: BufReader<ChildStdout>,
}

impl Counter {
    fn new(endpoint: &str) -> Self {
        let head = include_str!("common/census.py");
        let script = format!(
            "import boto3, functools, json, sys\n@functools.cache\ndef client(name, region='eu-central-1'):\n    \
             return boto3.client(name, endpoint_url=sys.argv[1], region_name=region, aws_access_key_id='x', \
             aws_secret_access_key='x')\n{head}\nfor line in sys.stdin:\n    print(json.dumps(census('eu-central-1')), flush=True)"
        );
        let mut command = Command::new(python());
        command.args(["-c", &script, endpoint]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let (asks, says) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Counter { process, asks, says: BufReader::new(says) }
    }

    fn count(&mut self) -> Value {
        self.asks.write_all(b"\n").unwrap();
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A sandbox that is emptied between trials.
struct Bench {
    world: Provider,
    endpoint: String,
    counter: RefCell<Counter>,
}

impl Bench {
    fn new() -> Self {
        let world = Provider::new(STACK);
        world.sandbox(1200);
        let endpoint = world.endpoint();
        let counter = RefCell::new(Counter::new(&endpoint));
        Bench { world, endpoint, counter }
    }

    fn ext(&self, method: &str, path: &str, body: &Value) -> Value {
        let url = format!("{}/_ext/{path}", self.endpoint);
        let mut answer = match method {
            "GET" => ureq::get(&url).call().unwrap(),
            "DELETE" => ureq::delete(&url).call().unwrap(),
            _ => ureq::post(&url).send(body.to_string()).unwrap(),
        };
        serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
    }

    fn configure(&self, faults: &Value) {
        self.ext("POST", "config", &json!({"timeScale": 1200, "faults": faults}));
    }

    /// As new: nothing in AWS, nothing recorded here.
    fn reset(&self) {
        self.ext("POST", "reset", &Value::Null);
        // The sandbox's own records stand beside the stack's.
        for entry in fs::read_dir(self.world.path().join("state/sandbox")).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_string_lossy().starts_with("backend-") {
                fs::remove_file(path).unwrap();
            }
        }
        self.configure(&json!([]));
    }

    /// Everything before the phase, in order.
    fn prepare(&self, phase: Phase) {
        self.reset();
        self.world.stack(STACK);
        if phase != Phase::Up {
            self.world.run(&["up", "--sandbox", "--yes"]).with(0);
        }
        if phase == Phase::Change {
            self.world.stack(&changed());
        }
    }

    fn command(phase: Phase) -> &'static [&'static str] {
        match phase {
            Phase::Down => &["down", "--sandbox", "--yes", "--backend"],
            _ => &["up", "--sandbox", "--yes"],
        }
    }

    /// What is there.
    fn census(&self) -> Value {
        self.counter.borrow_mut().count()
    }

    /// The calls of an undisturbed phase, and what is there after it.
    fn rehearse(&self, phase: Phase) -> (Vec<String>, Value) {
        self.prepare(phase);
        self.ext("DELETE", "log", &Value::Null);
        self.world.run(Bench::command(phase)).with(0);
        let log = self.ext("GET", "log", &Value::Null);
        let name = |call: &Value| {
            format!("{}:{}", call["service"].as_str().unwrap(), call["action"].as_str().unwrap())
        };
        (log.as_array().unwrap().iter().map(name).collect(), self.census())
    }

    /// Kills the phase at the spot and runs it again; what was wrong then, if anything. None: the spot was not reached.
    fn trial(&self, phase: Phase, spot: &Spot, expected: &Value) -> Option<Result<(), String>> {
        self.prepare(phase);
        self.configure(
            &json!([{"on": spot.call, "kind": spot.moment.fault(), "skip": spot.skip, "times": 1}]),
        );
        let mut child = self.world.start(Bench::command(phase));
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            if self.ext("GET", "status", &Value::Null)["held"].is_string() {
                break;
            }
            if child.try_wait().unwrap().is_some() {
                return None;
            }
            assert!(Instant::now() < deadline, "{phase:?} {spot:?} neither ends nor comes there");
            std::thread::sleep(Duration::from_millis(4));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        self.ext("POST", "release", &Value::Null);
        self.configure(&json!([]));
        Some(self.again(phase, expected))
    }

    fn again(&self, phase: Phase, expected: &Value) -> Result<(), String> {
        let first = self.world.run(Bench::command(phase));
        let second = match first.code {
            Some(0) => None,
            _ => Some(self.world.run(Bench::command(phase))),
        };
        let last = second.as_ref().unwrap_or(&first);
        if last.code != Some(0) {
            return Err(format!("the second run after it: {:?}\n{}\n{}", last.code, first.err, last.err));
        }
        if phase != Phase::Down {
            let plan = self.world.run(&["plan", "--sandbox", "--json", "--detailed-exitcode"]);
            if plan.code != Some(0) || plan.out.lines().count() != 1 {
                return Err(format!("the plan after it: {:?}\n{}{}", plan.code, plan.out, plan.err));
            }
        }
        let census = self.census();
        if census != *expected {
            return Err(format!("there is {census}\ninstead of {expected}"));
        }
        Ok(())
    }
}

/// Whether an operation changes something.
fn writes(call: &str) -> bool {
    let action = call.split_once(':').unwrap().1;
    !["Describe", "Get", "List", "Head", "Simulate"].iter().any(|start| action.starts_with(start))
}

/// The first of each operation that writes, at both moments in turn.
fn spread(calls: &[String]) -> Vec<Spot> {
    let distinct: BTreeSet<&String> = calls.iter().filter(|call| writes(call)).collect();
    let mut spots = Vec::new();
    for (index, call) in distinct.into_iter().enumerate() {
        let count = calls.iter().filter(|other| *other == call).count();
        let moments = [Moment::After, Moment::Before];
        spots.push(Spot { call: call.clone(), skip: 0, moment: moments[index % 2] });
        // The state and the lease are written from the first step to the last.
        if call.starts_with("s3:PutObject") {
            for skip in [count / 4, count / 2, count - 1] {
                spots.push(Spot { call: call.clone(), skip, moment: moments[skip % 2] });
            }
        }
    }
    spots
}

/// The kind whose call it is: of several that make it, those that have the fewest calls of their own.
fn kind_of(call: &str) -> String {
    match call {
        "s3:PutObject" | "s3:GetObject" => return "(state)".to_owned(),
        "dynamodb:UpdateItem" | "dynamodb:GetItem" => return "(lease)".to_owned(),
        _ => {}
    }
    let kinds = provisioner::resources::REGISTRY.iter().map(|handler| handler.kind);
    let of: Vec<&str> = kinds.filter(|kind| kind.declares(call)).map(|kind| kind.name).collect();
    match (of.as_slice(), call.split_once(':').unwrap().0) {
        ([], "s3") => "state_bucket".to_owned(),
        ([], service) => format!("({service})"),
        (of, _) if of.len() > 4 => "(several)".to_owned(),
        (of, _) => of.join(", "),
    }
}

/// Every call, at both moments.
fn every(calls: &[String]) -> Vec<Spot> {
    let mut seen: BTreeMap<&String, usize> = BTreeMap::new();
    let mut spots = Vec::new();
    for call in calls {
        let skip = seen.entry(call).or_default();
        for moment in [Moment::Before, Moment::After] {
            spots.push(Spot { call: call.clone(), skip: *skip, moment });
        }
        *skip += 1;
    }
    let shard = std::env::var("PROVISIONER_SHARD").unwrap_or_else(|_| "1/1".to_owned());
    let (part, parts) = shard.split_once('/').expect("PROVISIONER_SHARD=1/10");
    let (part, parts): (usize, usize) = (part.parse().unwrap(), parts.parse().unwrap());
    spots.into_iter().skip(part - 1).step_by(parts).collect()
}

/// Goes through the spots of all phases on several sandboxes at once, and prints the table.
fn sweep(choose: fn(&[String]) -> Vec<Spot>) {
    let bench = Bench::new();
    let mut work = Vec::new();
    for phase in [Phase::Up, Phase::Change, Phase::Down] {
        let (calls, expected) = bench.rehearse(phase);
        work.extend(choose(&calls).into_iter().map(|spot| (phase, spot, expected.clone())));
    }
    drop(bench);
    let (queue, results) = (Mutex::new(work), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let bench = Bench::new();
                loop {
                    let Some((phase, spot, expected)) = queue.lock().unwrap().pop() else { return };
                    let result = bench.trial(phase, &spot, &expected);
                    results.lock().unwrap().push((phase, spot, result));
                }
            });
        }
    });
    let results = results.into_inner().unwrap();
    let mut table: BTreeMap<(String, Phase), [usize; 3]> = BTreeMap::new();
    for (phase, spot, result) in &results {
        let row = table.entry((kind_of(&spot.call), *phase)).or_default();
        row[0] += 1;
        match result {
            None => row[1] += 1,
            Some(Err(_)) => row[2] += 1,
            Some(Ok(())) => {}
        }
    }
    println!("| kind | phase | kills | not reached | lost, doubled or left |\n|---|---|---|---|---|");
    for ((kind, phase), [kills, missed, bad]) in &table {
        println!("| {kind} | {phase:?} | {kills} | {missed} | {bad} |");
    }
    let bad: Vec<String> = results
        .iter()
        .filter_map(|(phase, spot, result)| match result {
            Some(Err(why)) => Some(format!("{phase:?}, {spot:?}: {why}")),
            _ => None,
        })
        .collect();
    assert!(bad.is_empty(), "{} of {}:\n{}", bad.len(), results.len(), bad.join("\n\n"));
    let missed = results.iter().filter(|(.., result)| result.is_none()).count();
    assert!(missed * 5 <= results.len(), "{missed} of {} were never reached", results.len());
}

#[test]
fn a_kill_at_each_kind_of_call_loses_and_doubles_nothing() {
    sweep(spread);
}

#[test]
#[ignore = "takes hours"]
fn a_kill_at_every_call_loses_and_doubles_nothing() {
    sweep(every);
}
