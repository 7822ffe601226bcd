//! What a run depends on fails in the middle: the bucket, the credentials. It ends with a sentence that says what to do,
//! and that is enough.

use crate::common::Provider;
use serde_json::{Value, json};

const STACK: &str =
    "name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: single}\nrepositories: [{name: shop/web}]\n";

fn world(faults: &Value) -> Provider {
    let world = Provider::new(STACK);
    world.sandbox(600);
    world.configure(&json!({"timeScale": 600, "faults": faults}));
    world
}

fn calm(world: &Provider) {
    world.configure(&json!({"timeScale": 600}));
}

fn settled(world: &Provider) {
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    let twins = world.boto3(
        "ec2 = client('ec2')
print(json.dumps([len([v for v in ec2.describe_vpcs()['Vpcs'] if not v['IsDefault']]),
    len(ec2.describe_internet_gateways()['InternetGateways']), len(ec2.describe_addresses()['Addresses']),
    len([n for n in ec2.describe_nat_gateways()['NatGateways'] if n['State'] == 'available']),
    len([s for s in ec2.describe_subnets()['Subnets'] if not s['DefaultForAz']])]))",
    );
    assert_eq!(twins, json!([1, 1, 1, 1, 4]));
}

/// The file that the last run left when it could not write.
fn left(world: &Provider) -> String {
    let files = std::fs::read_dir(world.path().join("state/sandbox")).unwrap();
    let names = files.map(|entry| entry.unwrap().path());
    let mut unsaved: Vec<_> =
        names.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("unsaved-")).collect();
    assert_eq!(unsaved.len(), 1, "{unsaved:?}");
    unsaved.remove(0).display().to_string()
}

#[test]
fn a_bucket_out_of_reach_leaves_a_copy_that_can_be_pushed() {
    // The backend and the first steps are made; then the bucket takes no write any more.
    let world = world(&json!([{"on": "s3:PutObject", "kind": "lost_request", "skip": 6}]));
    let failed = world.run(&["up", "--sandbox", "--yes"]).with(6);
    assert!(failed.err.contains("state push"), "{}", failed.err);
    let path = left(&world);
    calm(&world);
    world.run(&["state", "push", &path, "--sandbox", "--yes"]).with(0);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    settled(&world);
}

#[test]
fn a_bucket_out_of_reach_needs_no_push_either() {
    let world = world(&json!([{"on": "s3:PutObject", "kind": "lost_request", "skip": 8}]));
    world.run(&["up", "--sandbox", "--yes"]).with(6);
    calm(&world);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    settled(&world);
}

#[test]
fn credentials_that_expire_half_way_are_named_and_renewed_ones_end_it() {
    let world = world(&json!([
        {"on": "*:*", "kind": "error", "code": "ExpiredToken", "status": 400, "skip": 120,
            "message": "The provided token has expired."}
    ]));
    let failed = world.run(&["up", "--sandbox", "--yes"]).with(6);
    assert!(failed.err.contains("ExpiredToken") && failed.err.contains("log in"), "{}", failed.err);
    calm(&world);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    settled(&world);
}

#[test]
fn without_a_lock_table_that_answers_nothing_begins() {
    let world = world(&json!([]));
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world.stack(&STACK.replace("nat: single", "nat: none"));
    world.configure(&json!({"timeScale": 600, "faults": [
        {"on": "dynamodb:*", "kind": "error", "code": "AccessDeniedException", "status": 400, "message": "no"}]}));
    world.run(&["up", "--sandbox", "--yes"]).with(7);
    calm(&world);
    let gateways = world.boto3(
        "print(json.dumps([n['State'] for n in client('ec2').describe_nat_gateways()['NatGateways']]))",
    );
    assert_eq!(gateways, json!(["available"]));
}

/// A run that is at work while its lock table does not answer, or is gone: it hears nothing of its lease, and stops
/// before another run may take it.
fn loses_sight_of_its_lease(fault: &Value) {
    let world = world(&json!([]));
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world.stack(&STACK.replace("nat: single", "nat: per-zone"));
    // The second gateway takes longer than a lease, and every beat after the taking is lost.
    world.configure(&json!({"timeScale": 1, "faults": [fault]}));
    let ended = world.run(&["up", "--sandbox", "--yes"]).with(6);
    assert!(ended.err.contains("lease"), "{}", ended.err);
    assert!(ended.err.contains("the state is saved: run again to resume"), "{}", ended.err);
    calm(&world);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    let gateways = "print(json.dumps(len([n for n in client('ec2').describe_nat_gateways()['NatGateways'] \
        if n['State'] == 'available'])))";
    assert_eq!(world.boto3(gateways), 2);
}

#[test]
fn a_lock_table_that_falls_silent_stops_the_run_before_the_lease_is_over() {
    loses_sight_of_its_lease(&json!({"on": "dynamodb:UpdateItem", "kind": "lost_request", "skip": 1}));
}

#[test]
fn a_lock_table_that_is_gone_stops_the_run() {
    loses_sight_of_its_lease(&json!({"on": "dynamodb:UpdateItem", "kind": "error", "skip": 1, "status": 400,
        "code": "ResourceNotFoundException", "message": "Requested resource not found"}));
}

#[test]
fn a_closed_stdout_does_not_stop_a_run() {
    let world = world(&json!([]));
    let mut run = world.start(&["up", "--sandbox", "--yes", "--json"]);
    drop(run.stdout.take());
    let ended = crate::common::Ended::of(&run.wait_with_output().unwrap()).with(0);
    assert!(!ended.err.contains("panicked"), "{}", ended.err);
    settled(&world);
}

#[test]
fn a_closed_terminal_stops_a_run_and_the_next_one_resumes() {
    let world = world(&json!([]));
    // A terminal of its own, which is closed as soon as the run is at work.
    let program = "import os, pty, sys, time\n\
        pid, fd = pty.fork()\n\
        if pid == 0:\n    os.execv(sys.argv[1], sys.argv[1:])\n\
        seen = b''\n\
        while b'pending' not in seen:\n    seen += os.read(fd, 65536)\n\
        os.close(fd)\n\
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n";
    world.configure(&json!({"timeScale": 1}));
    let mut command = std::process::Command::new(crate::common::python());
    command.args(["-c", program, env!("CARGO_BIN_EXE_provisioner"), "up", "--sandbox", "--yes"]);
    let output = command.current_dir(world.path()).env("TERM", "xterm").output().unwrap();
    let code = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert_eq!(code, "5", "{}", String::from_utf8_lossy(&output.stderr));
    calm(&world);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    settled(&world);
}

/// The program under a shell that lets it write no byte into any file, as on a full disk.
fn on_a_full_disk(world: &Provider, args: &[&str]) -> crate::common::Ended {
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_provisioner")]);
    crate::common::Ended::of(&command.args(args).current_dir(world.path()).output().unwrap())
}

#[test]
fn a_full_disk_is_said_and_what_was_made_is_found_again() {
    let world = world(&json!([]));
    let first = on_a_full_disk(&world, &["up", "--sandbox", "--yes"]);
    assert_ne!(first.code, Some(0), "{}", first.err);
    assert!(first.err.contains("state") && !first.err.contains("panicked"), "{}", first.err);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    settled(&world);
    // The bucket goes away, too: neither it nor the folder takes the state.
    world.stack(&STACK.replace("zones: 2, nat: single", "zones: 2, nat: per-zone"));
    world.configure(
        &json!({"timeScale": 600, "faults": [{"on": "s3:PutObject", "kind": "lost_request", "skip": 3}]}),
    );
    let second = on_a_full_disk(&world, &["up", "--sandbox", "--yes"]).with(6);
    assert!(second.err.contains("neither to its bucket nor to a file"), "{}", second.err);
    calm(&world);
    world.stack(STACK);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    settled(&world);
}
