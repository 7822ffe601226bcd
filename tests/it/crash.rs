//! `SIGKILL` at every kind of call, before its effect and between effect and answer; then the same command again, and
//! nothing is lost, doubled or left. The real binary on the sandbox; boto3 counts.
//!
//! Here each operation that writes is hit once in each phase, four of them one after the other: the run that resumes is
//! killed again at a later operation. All calls of all phases, each on its own, for a night:
//! `cargo test --test it crash:: -- --ignored --nocapture`; with `PROVISIONER_SHARD=2/10` the second tenth of them.

use crate::common::{Provider, python};
use serde_json::{Value, json};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
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
    /// The sandbox's records of the backend when the stack was created, once it was: the sandbox has a save of the account
    /// at that moment.
    created: RefCell<Option<BTreeMap<PathBuf, Vec<u8>>>>,
}

/// The name of that save.
const CREATED: &str = "created";

/// Kills one after the other, in runs of which each resumes the one before.
#[derive(Clone, Debug)]
struct Trial {
    phase: Phase,
    spots: Vec<Spot>,
}

/// How often the runs of a trial are killed.
const KILLS: usize = 4;

/// What came of a trial.
struct Tried {
    /// The spots at which a run was killed.
    killed: Vec<Spot>,
    /// The others: a run ended before it came to the first of them.
    unreached: Vec<Spot>,
    /// What was wrong in the end, if anything.
    wrong: Option<String>,
}

impl Bench {
    fn new() -> Self {
        let world = Provider::new(STACK);
        world.sandbox(1200);
        let endpoint = world.endpoint();
        let counter = RefCell::new(Counter::new(&endpoint));
        Bench { world, endpoint, counter, created: RefCell::default() }
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

    fn post(&self, path: &str, body: &str) {
        ureq::post(format!("{}/_ext/{path}", self.endpoint)).send(body).unwrap();
    }

    fn configure(&self, faults: &Value) {
        self.ext("POST", "config", &json!({"timeScale": 1200, "faults": faults}));
    }

    /// The sandbox's own records of the backend, which stand beside the stack's.
    fn backend_records(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let files = fs::read_dir(self.world.path().join("state/sandbox")).unwrap();
        let paths = files.map(|entry| entry.unwrap().path());
        paths
            .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("backend-"))
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect()
    }

    /// As new: nothing in AWS, nothing recorded here.
    fn reset(&self) {
        self.ext("POST", "reset", &Value::Null);
        self.backend_records().keys().for_each(|path| fs::remove_file(path).unwrap());
        self.configure(&json!([]));
    }

    /// Everything before the phase, in order. The stack is created once, and restored in later trials.
    fn prepare(&self, phase: Phase) {
        self.reset();
        self.world.stack(STACK);
        if phase == Phase::Up {
            return;
        }
        let mut created = self.created.borrow_mut();
        if let Some(records) = created.as_ref() {
            self.post("restore", CREATED);
            records.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
        } else {
            self.world.run(&["up", "--sandbox", "--yes"]).with(0);
            self.post("save", CREATED);
            *created = Some(self.backend_records());
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

    /// Kills the runs of a phase at the spots, and runs it to its end.
    fn carry_out(&self, trial: &Trial, expected: &Value) -> Tried {
        self.prepare(trial.phase);
        let killed = trial.spots.iter().take_while(|spot| self.kill_at(trial.phase, spot)).count();
        self.configure(&json!([]));
        let (killed, unreached) = trial.spots.split_at(killed);
        let wrong = match killed {
            [] => None,
            _ => self.again(trial.phase, expected).err(),
        };
        Tried { killed: killed.to_vec(), unreached: unreached.to_vec(), wrong }
    }

    /// Runs the phase and kills it at the spot. False: it ended before.
    fn kill_at(&self, phase: Phase, spot: &Spot) -> bool {
        self.configure(
            &json!([{"on": spot.call, "kind": spot.moment.fault(), "skip": spot.skip, "times": 1}]),
        );
        let mut child = self.world.start(Bench::command(phase));
        let deadline = Instant::now() + MAX_RUN;
        while !self.ext("GET", "status", &Value::Null)["held"].is_string() {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(Instant::now() < deadline, "{phase:?} {spot:?} neither ends nor comes there");
            std::thread::sleep(Duration::from_millis(4));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        self.ext("POST", "release", &Value::Null);
        true
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

/// How long a run may take to its end or to the spot where it is killed.
const MAX_RUN: Duration = Duration::from_mins(5);

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

/// The spots in trials of `kills` each, in the order of the calls. What is far apart is in one trial, so that the run that
/// resumes has not yet done it.
fn trials(phase: Phase, mut spots: Vec<Spot>, calls: &[String], kills: usize) -> Vec<Trial> {
    let position = |spot: &Spot| {
        let mut same = calls.iter().enumerate().filter(|(_, call)| **call == spot.call);
        same.nth(spot.skip).map(|(position, _)| position)
    };
    spots.sort_by_key(position);
    let count = spots.len().div_ceil(kills);
    (0..count)
        .map(|first| Trial { phase, spots: spots.iter().skip(first).step_by(count).cloned().collect() })
        .collect()
}

/// Goes through the spots of all phases on several sandboxes at once, and prints the table.
fn sweep(choose: fn(&[String]) -> Vec<Spot>, kills: usize) {
    let bench = Bench::new();
    let (mut work, mut expected) = (Vec::new(), BTreeMap::new());
    for phase in [Phase::Up, Phase::Change, Phase::Down] {
        let (calls, left) = bench.rehearse(phase);
        work.extend(trials(phase, choose(&calls), &calls, kills));
        expected.insert(phase, left);
    }
    drop(bench);
    let (queue, results) = (Mutex::new(work), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..SANDBOXES {
            scope.spawn(|| {
                let bench = Bench::new();
                loop {
                    let Some(trial) = queue.lock().unwrap().pop() else { return };
                    let mut tried = bench.carry_out(&trial, &expected[&trial.phase]);
                    if !tried.killed.is_empty() {
                        // What the runs that resumed had done already is tried on its own.
                        let alone = tried.unreached.drain(..);
                        let alone = alone.map(|spot| Trial { phase: trial.phase, spots: vec![spot] });
                        queue.lock().unwrap().extend(alone);
                    }
                    results.lock().unwrap().push((trial, tried));
                }
            });
        }
    });
    judge(&results.into_inner().unwrap());
}

/// How many sandboxes share the work.
const SANDBOXES: usize = 3;

/// Prints the table, and fails for what was lost, doubled or left.
fn judge(results: &[(Trial, Tried)]) {
    let mut table: BTreeMap<(String, Phase), [usize; 3]> = BTreeMap::new();
    for (trial, tried) in results {
        let mut count = |spot: &Spot, column: usize| {
            table.entry((kind_of(&spot.call), trial.phase)).or_default()[column] += 1;
        };
        tried.killed.iter().for_each(|spot| count(spot, 0));
        tried.unreached.iter().for_each(|spot| count(spot, 1));
        if tried.wrong.is_some() {
            tried.killed.iter().for_each(|spot| count(spot, 2));
        }
    }
    println!("| kind | phase | kills | not reached | lost, doubled or left |\n|---|---|---|---|---|");
    for ((kind, phase), [kills, missed, bad]) in &table {
        println!("| {kind} | {phase:?} | {kills} | {missed} | {bad} |");
    }
    let bad: Vec<String> = results
        .iter()
        .filter_map(|(trial, tried)| Some(format!("{trial:?}: {}", tried.wrong.as_ref()?)))
        .collect();
    assert!(bad.is_empty(), "{} of {}:\n{}", bad.len(), results.len(), bad.join("\n\n"));
    let [kills, missed] = [0, 1].map(|column| table.values().map(|row| row[column]).sum::<usize>());
    assert!(missed * 4 <= kills, "{missed} of {} were never reached", kills + missed);
}

#[test]
fn a_kill_at_each_kind_of_call_loses_and_doubles_nothing() {
    sweep(spread, KILLS);
}

#[test]
#[ignore = "takes hours"]
fn a_kill_at_every_call_loses_and_doubles_nothing() {
    sweep(every, 1);
}
