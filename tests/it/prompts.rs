//! Commands that need a word: refused without a terminal, with the flag that says it; asked at one.

use crate::common::{Ended, Provider};
use serde_json::{Value, json};
use std::{io::Write as _, process::Stdio};

const STACK: &str = "name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: none, endpoints: []}\n";

/// The same without what holds data.
fn without_log_events() -> String {
    STACK.replace("nat: none", "nat: none, flowLogs: false")
}

fn up() -> Provider {
    let world = Provider::new(STACK);
    world.sandbox(600);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world
}

/// Where the answers come from if no person is there.
#[derive(Clone, Copy, Debug)]
enum Input {
    Null,
    Closed,
    Pipe(&'static str),
}

fn run(world: &Provider, args: &[&str], input: Input) -> Ended {
    let args = [args, &["--sandbox"]].concat();
    let mut command = world.command(&args);
    match input {
        Input::Null => Ended::of(&command.output().unwrap()),
        Input::Closed => {
            let mut shell = std::process::Command::new("sh");
            shell.args(["-c", "exec \"$0\" \"$@\" <&-", env!("CARGO_BIN_EXE_provisioner")]).args(&args);
            Ended::of(&shell.current_dir(world.path()).output().unwrap())
        }
        Input::Pipe(text) => {
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            // It may have ended before it read anything.
            let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
            Ended::of(&child.wait_with_output().unwrap())
        }
    }
}

/// The calls since the log was emptied that change anything.
fn writes(world: &Provider) -> Value {
    let reads = ["Describe", "Get", "List", "Head", "Batch", "Assume"];
    world.boto3(&format!(
        "calls = json.loads(urllib.request.urlopen(e + '/_ext/log').read())\n\
         own = ('s3:PutObject', 'dynamodb:UpdateItem', 'dynamodb:PutItem')\n\
         names = [c['service'] + ':' + c['action'] for c in calls if not c['action'].startswith(tuple({reads:?}))]\n\
         urllib.request.urlopen(urllib.request.Request(e + '/_ext/log', method='DELETE'))\n\
         print(json.dumps([name for name in names if name not in own]))"
    ))
}

#[test]
fn every_command_that_asks_is_refused_without_a_terminal_and_names_the_flag() {
    let world = up();
    let pulled = world.run(&["state", "pull", "--sandbox"]).with(0);
    std::fs::write(world.path().join("pulled.json"), pulled.out).unwrap();
    world.run(&["plan", "--out", "saved", "--sandbox"]).with(0);
    writes(&world);
    let commands: &[&[&str]] = &[
        &["up"],
        &["up", "saved"],
        &["up", "--replace", "network/vpc"],
        &["deploy"],
        &["down"],
        &["down", "app"],
        &["down", "--backend"],
        &["down", "--target", "network/vpc"],
        &["state", "push", "pulled.json"],
        &["state", "rollback", "1"],
        &["state", "forget", "network/vpc"],
        &["state", "import", "network/vpc", "vpc-1"],
        &["state", "import", "--from-tags", "--force"],
    ];
    for args in commands {
        for input in [Input::Null, Input::Closed, Input::Pipe("y\ny\ny\n")] {
            let ended = run(&world, args, input);
            let said = format!("{args:?} {input:?}: {}", ended.err);
            assert_eq!(ended.code, Some(3), "{said}");
            assert!(ended.err.contains("no terminal is attached") && ended.err.contains("`--yes`"), "{said}");
        }
    }
    assert_eq!(writes(&world), json!([]));
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
}

/// `--yes` says the word for a command as a whole, and a pipe says none of the others.
#[test]
fn what_needs_a_word_of_its_own_is_refused_with_the_flag_for_it() {
    let world = up();
    world.stack(&without_log_events());
    writes(&world);
    for input in [Input::Null, Input::Closed, Input::Pipe("network/flow-log-group\ny\ny\n")] {
        let ended = run(&world, &["up", "--yes"], input).with(3);
        assert!(ended.err.contains("`--replace network/flow-log-group`"), "{input:?}: {}", ended.err);
    }
    world.stack(&STACK.replace("name: shop", "name: web"));
    for input in [Input::Null, Input::Closed, Input::Pipe("y\ny\n")] {
        let ended = run(&world, &["up", "--yes"], input).with(3);
        assert!(ended.err.contains("`provisioner down` with the old values"), "{input:?}: {}", ended.err);
    }
    assert_eq!(writes(&world), json!([]));
}

/// Runs it at a terminal, where each text is answered when it appears. Returns the exit code and what was on the screen.
fn at_terminal(world: &Provider, args: &[&str], answers: &[(&str, &str)]) -> (Value, String) {
    let command = [&[env!("CARGO_BIN_EXE_provisioner")], args, &["--sandbox"]].concat();
    let (folder, answers) = (world.path().display().to_string(), json!(answers));
    let ended = world.boto3(&format!(
        "import os, pty\n\
         answers = json.loads(r'''{answers}''')\n\
         pid, screen = pty.fork()\n\
         if pid == 0:\n    os.chdir({folder:?})\n    os.execv({program:?}, {command:?})\n\
         text, read = b'', 0\n\
         while True:\n    \
         try: text += os.read(screen, 65536)\n    \
         except OSError: break\n    \
         while answers and answers[0][0].encode() in text[read:]:\n        \
         read += text[read:].index(answers[0][0].encode()) + len(answers[0][0])\n        \
         os.write(screen, answers.pop(0)[1].encode() + b'\\n')\n\
         code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])\n\
         print(json.dumps([code, text.decode(errors='replace'), answers]))",
        program = env!("CARGO_BIN_EXE_provisioner"),
    ));
    let screen = ended[1].as_str().unwrap().to_owned();
    assert_eq!(ended[2], json!([]), "not asked:\n{screen}");
    (ended[0].clone(), screen)
}

#[test]
fn a_loss_of_data_is_approved_by_its_address_typed_at_a_terminal() {
    let world = up();
    world.stack(&without_log_events());
    writes(&world);
    let events = "deleting network/flow-log-group loses its log events. Type the address to confirm:";
    let key = "deleting network/key loses whatever is encrypted with it. Type the address to confirm:";
    for wrong in ["", "y", "network/flow-log", "network/key"] {
        let (code, screen) = at_terminal(&world, &["up"], &[(events, wrong), (key, "network/key")]);
        assert_eq!((code, writes(&world)), (json!(3), json!([])), "{wrong:?}:\n{screen}");
    }
    let answers = [(events, "network/flow-log-group"), (key, "network/key"), ("Continue?", "y")];
    let (code, screen) = at_terminal(&world, &["up"], &answers);
    assert_eq!(code, json!(0), "{screen}");
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
}

#[test]
fn strays_are_deleted_only_after_a_word_of_their_own() {
    let world = Provider::new(&without_log_events());
    world.sandbox(600);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world.boto3(
        "ec2 = client('ec2')\n\
         own = ec2.describe_vpcs(Filters=[{'Name': 'tag:provisioner:stack', 'Values': ['shop']}])['Vpcs'][0]\n\
         tags = [{**t, 'Value': 'network/other-vpc'} if t['Key'] == 'provisioner:resource' else t for t in own['Tags']]\n\
         ec2.create_vpc(CidrBlock='10.9.0.0/16', TagSpecifications=[{'ResourceType': 'vpc', 'Tags': tags}])\nprint('null')",
    );
    let theirs = || {
        world.boto3("print(len([v for v in client('ec2').describe_vpcs()['Vpcs'] if v['CidrBlock'] == '10.9.0.0/16']))")
    };
    let (whole, strays) = ("Delete all of this from", "Delete them, too?");
    let (code, screen) = at_terminal(&world, &["down"], &[(whole, "n")]);
    assert_eq!((code, theirs()), (json!(1), json!(1)), "{screen}");
    let (code, screen) = at_terminal(&world, &["down"], &[(whole, "y"), (strays, "n")]);
    assert_eq!((code, theirs()), (json!(6), json!(1)), "{screen}");
    let (code, screen) = at_terminal(&world, &["down"], &[(strays, "y")]);
    assert_eq!((code, theirs()), (json!(0), json!(0)), "{screen}");
}

#[test]
fn init_asks_for_what_the_options_leave_open_and_asks_again_after_a_wrong_answer() {
    let world = Provider::new("");
    world.sandbox(600);
    let path = world.path().join("stack.yaml");
    std::fs::remove_file(&path).unwrap();
    let (kind, name, region) = ("Kind of stack [service]:", "Name of the stack", "AWS region");
    let answers = [
        (kind, "nat"),
        (kind, "network"),
        (name, "My Shop"),
        (name, "shop"),
        (region, "eu-west-1"),
        ("Write", "y"),
    ];
    let (code, screen) = at_terminal(&world, &["init"], &answers);
    assert_eq!(code, json!(0), "{screen}");
    assert!(
        screen.contains("unknown kind of stack \"nat\"") && screen.contains("invalid stack name"),
        "{screen}"
    );
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("\nname: shop ") && text.contains("\nregion: eu-west-1\n"), "{text}");
    assert!(text.contains("a network") && !text.contains("cluster:"), "{text}");
    assert!(world.path().join(".provisioner-schema.json").exists());
    std::fs::remove_file(&path).unwrap();
    let wrong = [(name, "A"), (name, "B"), (name, "C")];
    let (code, screen) = at_terminal(&world, &["init", "--kind", "network"], &wrong);
    assert_eq!((code, path.exists()), (json!(3), false), "{screen}");
}
