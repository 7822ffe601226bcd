//! Weather and company: throttling, answers that are errors or never come, reads that lag; eight processes at once; one
//! that slept while another took over. Each ends with nothing lost and nothing doubled.

use crate::common::{Provider, until};
use serde_json::{Value, json};
use std::{
    process::Child,
    time::{Duration, Instant},
};

const STACK: &str = "name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: single}\n\
    nodeGroups: [{name: main, instanceTypes: [t3.large]}]\nrepositories: [{name: shop/web}]\n\
    parameters: [{name: /shop/motd, value: hello}]\n";

const SCALE: u32 = 600;

fn census(world: &Provider) -> Value {
    world.boto3(&format!("{}\nprint(json.dumps(census('eu-central-1')))", include_str!("common/census.py")))
}

/// What there is after an `up` that nothing disturbed.
fn expected() -> Value {
    let world = Provider::new(STACK);
    world.sandbox(600);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    census(&world)
}

/// Up and down through this weather, each run again while it says so; then clear skies.
fn through(faults: &Value) {
    let calm = expected();
    let world = Provider::new(STACK);
    world.sandbox(600);
    let empty = census(&world);
    for (command, after) in [("up", &calm), ("down", &empty)] {
        world.configure(&json!({"timeScale": SCALE, "seed": 7, "faults": faults}));
        let args: &[&str] = if command == "up" {
            &["up", "--sandbox", "--yes"]
        } else {
            &["down", "--sandbox", "--yes", "--backend"]
        };
        let mut runs = 0;
        loop {
            let run = world.run(args);
            runs += 1;
            if run.code == Some(0) {
                break;
            }
            // Nothing but "run again" is ever asked for.
            assert!(
                runs < 4 && matches!(run.code, Some(1 | 6)),
                "{command}, run {runs}: {:?}\n{}",
                run.code,
                run.err
            );
        }
        world.configure(&json!({"timeScale": SCALE}));
        if command == "up" {
            world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
        }
        assert_eq!(census(&world), *after, "after {command}");
    }
}

#[test]
fn half_of_all_calls_throttled() {
    through(&json!([{"on": "*:*", "kind": "throttle", "prob": 0.5}]));
}

#[test]
fn some_calls_done_and_answered_with_an_error() {
    through(&json!([{"on": "*:*", "kind": "error_after", "prob": 0.08}]));
}

#[test]
fn some_answers_lost() {
    through(&json!([{"on": "*:*", "kind": "lost_response", "prob": 0.08}]));
}

#[test]
fn reads_that_lag() {
    // Five seconds of AWS's, in EC2, whose lists do that.
    through(&json!([{"on": "ec2:*", "kind": "stale", "seconds": 5.0 / f64::from(SCALE)}]));
}

/// The versions of the state, newest first: number, the hash that it names as the one before, and its own.
fn chain(world: &Provider) -> Value {
    world.boto3(
        "import hashlib
s3 = client('s3')
bucket = s3.list_buckets()['Buckets'][0]['Name']
found = []
for v in s3.list_object_versions(Bucket=bucket, Prefix='shop/state.json')['Versions']:
    body = s3.get_object(Bucket=bucket, Key=v['Key'], VersionId=v['VersionId'])['Body'].read()
    state = json.loads(body)
    found.append([state['version'], state['previous'], hashlib.sha256(body).hexdigest(), state['epoch']])
print(json.dumps(found))",
    )
}

/// Each version names the one before it, and fences only grow: a chain without a fork.
fn is_a_chain(versions: &Value) {
    let versions = versions.as_array().unwrap();
    assert!(versions.len() > 5, "{versions:?}");
    for pair in versions.windows(2) {
        let (newer, older) = (&pair[0], &pair[1]);
        assert_eq!(newer[0].as_u64().unwrap(), older[0].as_u64().unwrap() + 1);
        assert_eq!(newer[1], older[2], "version {} was not made from the one before it", newer[0]);
        assert!(newer[3].as_u64() >= older[3].as_u64());
    }
}

#[test]
fn eight_at_once_killed_and_started_again_make_one_stack() {
    let calm = expected();
    let world = Provider::new(STACK);
    world.sandbox(600);
    let args = ["up", "--sandbox", "--yes", "--lock-timeout", "60s"];
    let mut crew: Vec<Child> = (0..8).map(|_| world.start(&args)).collect();
    // A fixed sequence, so that a failure comes again.
    let mut dice = 12345_u32;
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(400));
        dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let one = &mut crew[usize::try_from(dice >> 16).unwrap() % 8];
        one.kill().unwrap();
        one.wait().unwrap();
        *one = world.start(&args);
    }
    let deadline = Instant::now() + Duration::from_secs(900);
    for one in crew {
        let output = one.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(Instant::now() < deadline, "{text}");
        // One that made the first call of all while another did is told so, and nothing worse.
        assert!(matches!(output.status.code(), Some(0 | 1 | 4 | 6)), "{:?}: {text}", output.status);
    }
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    assert_eq!(census(&world), calm);
    is_a_chain(&chain(&world));
}

#[test]
fn one_that_slept_while_another_took_over_makes_nothing_and_says_why() {
    use rustix::process::{Pid, Signal, kill_process};
    let world = Provider::new("name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: single}\n");
    // Slow enough to be caught in the middle.
    world.sandbox(20);
    let first = world.start(&["up", "--sandbox", "--yes"]);
    let pid = Pid::from_raw(i32::try_from(first.id()).unwrap()).unwrap();
    let gateways = "print(json.dumps(len(client('ec2').describe_nat_gateways()['NatGateways'])))";
    until("the gateway exists", || world.boto3(gateways) == 1);
    kill_process(pid, Signal::STOP).unwrap();
    let holder = world.run(&["state", "unlock", "--sandbox"]).with(3);
    let fence = holder.err.rsplit("unlock ").next().unwrap().split('`').next().unwrap().trim().to_owned();
    world.run(&["state", "unlock", &fence, "--sandbox"]).with(0);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let calls = || -> Vec<Value> {
        let log = world.boto3("print(urllib.request.urlopen(e + '/_ext/log').read().decode())");
        log.as_array().unwrap().clone()
    };
    let (there, before) = (census(&world), calls().len());
    kill_process(pid, Signal::CONT).unwrap();
    let woken = first.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&woken.stderr).into_owned();
    assert_ne!(woken.status.code(), Some(0), "{text}");
    assert!(text.contains("may no longer write the state") || text.contains("lease"), "{text}");
    let made: Vec<Value> = calls()
        .split_off(before)
        .into_iter()
        .filter(|call| call["status"] == 200)
        .filter(|call| {
            let action = call["action"].as_str().unwrap();
            let reads = ["Describe", "Get", "List", "Head"].iter().any(|start| action.starts_with(start));
            !reads && call["service"] != "dynamodb" && call["service"] != "s3"
        })
        .collect();
    assert_eq!(made, Vec::<Value>::new(), "what slept made something");
    assert_eq!(census(&world), there);
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    is_a_chain(&chain(&world));
}
