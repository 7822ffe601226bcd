//! What is taken away comes last, and what a run says is what it sent: the real binary on the sandbox, with boto3 beside it.

use crate::common::{Ended, Provider, until};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

const STACK: &str = "name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: none, flowLogs: false}\ncluster: {}\n\
    nodeGroups: [{name: general, instanceTypes: [t3.large]}]\n\
    fargateProfiles: [{name: jobs, selectors: [{namespace: jobs}]}]\n";

fn world(stack: &str, scale: u32) -> Provider {
    let world = Provider::new(stack);
    world.sandbox(scale);
    world
}

fn up(world: &Provider) -> Ended {
    world.run(&["up", "--sandbox", "--yes"])
}

/// Nothing is left to do.
fn settled(world: &Provider) {
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
}

/// The names of node groups and Fargate profiles.
fn workers(world: &Provider) -> Value {
    world.boto3(
        "eks = client('eks')\nprint(json.dumps([eks.list_nodegroups(clusterName='shop')['nodegroups'], \
         eks.list_fargate_profiles(clusterName='shop')['fargateProfileNames']]))",
    )
}

fn forget_calls(world: &Provider) {
    world.boto3(
        "urllib.request.urlopen(urllib.request.Request(e + '/_ext/log', method='DELETE'))\nprint('null')",
    );
}

/// The calls that change something, by name, with how they were answered.
fn writes(world: &Provider) -> Vec<(String, u64)> {
    let log = world.boto3("print(urllib.request.urlopen(e + '/_ext/log').read().decode())");
    let calls = log.as_array().unwrap().iter();
    let all =
        calls.map(|call| (call["action"].as_str().unwrap().to_owned(), call["status"].as_u64().unwrap()));
    let own = ["PutObject", "UpdateItem"];
    all.filter(|(name, _)| {
        ["Create", "Delete", "Update", "Put", "Register"].iter().any(|start| name.starts_with(start))
            && !own.contains(&name.as_str())
    })
    .collect()
}

/// Looks at the node groups and profiles again and again, beside a run.
struct Watch {
    stop: PathBuf,
    process: Child,
}

impl Watch {
    fn start(world: &Provider, folder: &Path) -> Self {
        let stop = folder.join("stop");
        let _ = fs::remove_file(&stop);
        let code = "
import boto3, json, os, sys, time
eks = boto3.client('eks', endpoint_url=sys.argv[1], region_name='eu-central-1', aws_access_key_id='x', aws_secret_access_key='x')
seen = [set(), set()]
while not os.path.exists(sys.argv[2]):
    seen[0].add(tuple(eks.list_nodegroups(clusterName='shop')['nodegroups']))
    seen[1].add(tuple(eks.list_fargate_profiles(clusterName='shop')['fargateProfileNames']))
    time.sleep(0.02)
print(json.dumps([sorted(map(list, names)) for names in seen]))";
        let mut command = Command::new(crate::common::python());
        command.args(["-c", code, &world.endpoint()]).arg(&stop).stdout(Stdio::piped());
        Watch { stop, process: command.spawn().unwrap() }
    }

    /// All combinations that were seen, of groups and of profiles.
    fn end(self) -> Value {
        fs::write(&self.stop, "").unwrap();
        let output = self.process.wait_with_output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// Applies a change while the node groups and profiles are watched: there is a time with two, and none without.
fn without_a_gap(world: &Provider, stack: &str, kind: usize) {
    world.stack(stack);
    let folder = tempfile::tempdir().unwrap();
    forget_calls(world);
    let watch = Watch::start(world, folder.path());
    let run = up(world).with(0);
    let seen = watch.end();
    for names in [&seen[0], &seen[1]] {
        assert!(!names.as_array().unwrap().contains(&json!([])), "{seen}\n{}", run.err);
    }
    let both = seen[kind].as_array().unwrap().iter().any(|names| names.as_array().unwrap().len() == 2);
    assert!(both, "old and new were never there together: {seen}");
    settled(world);
}

#[test]
fn there_is_no_time_without_nodes() {
    let world = world(STACK, 100);
    up(&world).with(0);
    assert_eq!(workers(&world), json!([["general"], ["jobs"]]));

    // Another instance type: the new group is created under another name, and keeps it.
    let plan = STACK.replace("t3.large", "m5.large");
    world.stack(&plan);
    let shown = world.run(&["plan", "--sandbox"]).with(0);
    assert!(shown.out.contains("is created first, then general is deleted"), "{}", shown.out);
    without_a_gap(&world, &plan, 0);
    let names = workers(&world);
    let name = names[0][0].as_str().unwrap();
    assert!(name.starts_with("general-") && names[0].as_array().unwrap().len() == 1, "{names}");
    let order: Vec<String> = writes(&world).into_iter().map(|(call, _)| call).collect();
    assert_eq!(order, ["CreateNodegroup", "DeleteNodegroup"]);
    let list = world.run(&["state", "list", "--sandbox"]).with(0);
    assert!(list.out.contains(&format!("/{name}/")) && !list.out.contains("general#"), "{}", list.out);
    let status = world.run(&["status", "--sandbox"]).with(0);
    assert!(status.out.contains(&format!("{name}: ACTIVE")), "{}", status.out);

    // Back again: another name, and no way round over the first.
    without_a_gap(&world, STACK, 0);
    let back = workers(&world)[0][0].clone();
    assert!(back != json!(name) && back != json!("general"), "{back}");

    // A rename in the file, and one group for another.
    without_a_gap(&world, &STACK.replace("name: general", "name: main"), 0);
    assert_eq!(workers(&world)[0], json!(["main"]));
    let other = "[{name: spot, instanceTypes: [m5.large], capacity: spot}]";
    without_a_gap(&world, &STACK.replace("[{name: general, instanceTypes: [t3.large]}]", other), 0);
    assert_eq!(workers(&world)[0], json!(["spot"]));

    // Other pods for the profile.
    without_a_gap(&world, &STACK.replace("[{namespace: jobs}]", "[{namespace: jobs}, {namespace: more}]"), 1);
    assert!(workers(&world)[1][0].as_str().unwrap().starts_with("jobs-"));

    // Without its state the stack is found again, under the names that it has.
    let names = workers(&world);
    world.run(&["state", "import", "--from-tags", "--force", "--sandbox", "--yes"]).with(0);
    world.stack(&STACK.replace("[{namespace: jobs}]", "[{namespace: jobs}, {namespace: more}]"));
    settled(&world);
    let down = world.run(&["down", "--sandbox", "--yes"]).with(0);
    assert!(down.err.contains("deleted"), "{names}: {}", down.err);
}

#[test]
fn a_zone_more_leaves_the_cluster_in_its_zones() {
    let world = world(STACK, 300);
    up(&world).with(0);
    let subnets = "eks = client('eks')\nprint(json.dumps([\
         len(eks.describe_cluster(name='shop')['cluster']['resourcesVpcConfig']['subnetIds']), \
         [len(eks.describe_nodegroup(clusterName='shop', nodegroupName=n)['nodegroup']['subnets']) \
         for n in eks.list_nodegroups(clusterName='shop')['nodegroups']]]))";
    assert_eq!(world.boto3(subnets), json!([2, [2]]));
    without_a_gap(&world, &STACK.replace("zones: 2", "zones: 3"), 0);
    assert_eq!(world.boto3(subnets), json!([2, [3]]));
    // EKS keeps the cluster in its zones, so none of them can be left out.
    world.stack(&STACK.replace("zones: 2", "zones: [eu-central-1a, eu-central-1c]"));
    forget_calls(&world);
    let refused = up(&world).with(3);
    assert!(
        refused.err.contains("network.zones") && refused.err.contains("eu-central-1b missing"),
        "{}",
        refused.err
    );
    assert_eq!(writes(&world), []);
    without_a_gap(&world, STACK, 0);
    assert_eq!(world.boto3(subnets), json!([2, [2]]));
}

#[test]
fn what_cannot_be_created_leaves_what_serves() {
    let world = world(STACK, 600);
    up(&world).with(0);
    let fault = |on: &str, code: &str| {
        json!({"timeScale": 600, "faults": [
            {"on": on, "kind": "error", "code": code, "status": 400, "message": "not here"}]})
    };
    let none = json!({"timeScale": 600});
    let template = fault("ec2:CreateLaunchTemplateVersion", "UnauthorizedOperation");
    let group = fault("eks:CreateNodegroup", "AccessDeniedException");
    let quota = fault("eks:CreateNodegroup", "ResourceLimitExceededException");
    let profile = fault("eks:CreateFargateProfile", "AccessDeniedException");
    let other_type = STACK.replace("t3.large", "m5.large");
    // What can be checked beforehand is refused before anything is sent.
    world.stack(&STACK.replace("t3.large", "t3.larg"));
    forget_calls(&world);
    let run = up(&world).with(3);
    assert!(run.err.contains("cluster/node-group/general: t3.larg"), "{}", run.err);
    assert_eq!((workers(&world), writes(&world)), (json!([["general"], ["jobs"]]), vec![]));
    let cases = [
        (STACK.replace("instanceTypes: [t3.large]", "instanceTypes: [m5.large], diskGiB: 50"), &template, 7),
        (other_type.clone(), &group, 7),
        (other_type.clone(), &quota, 1),
        (STACK.replace("name: general", "name: main"), &group, 6),
        (STACK.replace("[{namespace: jobs}]", "[{namespace: other}]"), &profile, 7),
    ];
    for (stack, config, code) in cases {
        world.configure(config);
        world.stack(&stack);
        forget_calls(&world);
        let run = world.run(&["up", "--sandbox", "--yes", "--json"]).with(code);
        assert_eq!(workers(&world), json!([["general"], ["jobs"]]), "{stack}");
        let sent = writes(&world);
        assert!(!sent.iter().any(|(call, _)| call.starts_with("Delete")), "{sent:?}");
        let result = &run.lines("result")[0];
        // The template of a renamed group is created before the group is refused.
        let accepted = sent.iter().any(|(_, status)| *status < 300);
        assert_eq!(
            (&result["changed"], result["left"].as_u64() > Some(0)),
            (&json!(accepted), true),
            "{result}"
        );
        assert_eq!(accepted, code == 6);
    }
    world.configure(&none);
    world.stack(STACK);
    up(&world).with(0);
    assert_eq!(workers(&world), json!([["general"], ["jobs"]]));
    settled(&world);
}

#[test]
fn a_replacement_that_is_killed_anywhere_ends_with_one_group_and_never_had_none() {
    let world = world(STACK, 150);
    up(&world).with(0);
    let folder = tempfile::tempdir().unwrap();
    let watch = Watch::start(&world, folder.path());
    for (round, wait) in [500_u64, 800, 1100, 1500, 2000].into_iter().enumerate() {
        let kind = if round % 2 == 0 { "m5.large" } else { "t3.large" };
        world.stack(&STACK.replace("t3.large", kind));
        let mut run = world.start(&["up", "--sandbox", "--yes"]);
        std::thread::sleep(Duration::from_millis(wait));
        run.kill().unwrap();
        run.wait().unwrap();
        up(&world).with(0);
        settled(&world);
        let names = workers(&world);
        assert_eq!(names[0].as_array().unwrap().len(), 1, "{names}");
    }
    let seen = watch.end();
    assert!(!seen[0].as_array().unwrap().contains(&json!([])), "{seen}");
    world.run(&["down", "--sandbox", "--yes"]).with(0);
}

#[test]
fn a_failed_replacement_that_is_undone_in_the_file_keeps_the_old_group() {
    let world = world(STACK, 600);
    up(&world).with(0);
    let made = "eks = client('eks')\nprint(json.dumps(str(eks.describe_nodegroup(clusterName='shop', \
                nodegroupName='general')['nodegroup']['createdAt'])))";
    let before = world.boto3(made);
    world.stack(&STACK.replace("t3.large", "m5.large"));
    let plan = world.run(&["plan", "--sandbox", "--json"]).with(0);
    let changes = plan.lines("change");
    let change = changes.iter().find(|it| it["address"] == "cluster/node-group/general").unwrap();
    let (new, _) = change["note"].as_str().unwrap().split_once(" is created first").unwrap();
    let failed = json!([{"on": format!("nodegroup/{new}"), "status": "CREATE_FAILED", "code": "NodeCreationFailure",
        "message": "no nodes"}]);
    world.configure(&json!({"timeScale": 600, "health": failed}));
    up(&world).with(6);
    assert_eq!(workers(&world)[0].as_array().unwrap().len(), 2);
    world.stack(STACK);
    let plan = world.run(&["plan", "--sandbox", "--json"]).with(0);
    let changes = plan.lines("change");
    let of = |change: &Value| (change["action"].clone(), change["address"].as_str().unwrap().to_owned());
    let changes: Vec<_> = changes.iter().map(of).collect();
    assert!(
        matches!(changes.as_slice(), [(action, address)] if action == "delete"
        && address.starts_with("cluster/node-group/general#general-")),
        "{changes:?}"
    );
    up(&world).with(0);
    assert_eq!((workers(&world)[0].clone(), world.boto3(made)), (json!(["general"]), before));
    world.configure(&json!({"timeScale": 600}));
    settled(&world);
    // The caller has access as long as nodes are to be drained, although neither depends on the other.
    let down = world.run(&["down", "--sandbox", "--yes", "--json"]).with(0);
    let steps = down.lines("step");
    let at = |address: &str, state: &str| {
        let found = steps.iter().position(|it| it["address"] == address && it["state"] == state);
        found.unwrap_or_else(|| panic!("{address} {state}: {}", down.out))
    };
    assert!(at("cluster/access/caller", "started") > at("cluster/node-group/general", "done"));
}

#[test]
fn a_replacement_whose_second_half_fails_is_told() {
    let stack = "name: shop\nregion: eu-central-1\nnetwork: {zones: 1, nat: none, endpoints: [s3], flowLogs: false}\n";
    let world = world(stack, 600);
    up(&world).with(0);
    world.stack(&stack.replace("zones: 1,", "zones: 1, cidr: 10.9.0.0/16,"));
    world.configure(&json!({"timeScale": 600, "faults": [
        {"on": "ec2:CreateVpc", "kind": "error", "code": "VpcLimitExceeded", "status": 400, "message": "no more"}]}));
    forget_calls(&world);
    let run = world.run(&["up", "--sandbox", "--yes", "--json"]).with(6);
    let sent: Vec<String> = writes(&world).into_iter().map(|(call, _)| call).collect();
    assert!(sent.contains(&"DeleteVpc".to_owned()), "{sent:?}");
    let result = &run.lines("result")[0];
    assert!(result["notCreatedAgain"].as_array().unwrap().contains(&json!("network/vpc")), "{result}");
    assert_eq!(
        (&result["changed"], &result["exit"], &result["replace"]),
        (&json!(true), &json!(6), &json!(0))
    );
    let again = up(&world).with(1);
    assert!(again.err.contains("nothing changed"), "{}", again.err);
    world.configure(&json!({"timeScale": 600}));
    up(&world).with(0);
    settled(&world);
}

#[test]
fn a_deletion_that_is_cut_off_is_no_change_by_others_and_not_nothing() {
    let world = world(STACK, 60);
    up(&world).with(0);
    let without = STACK.replace("nodeGroups: [{name: general, instanceTypes: [t3.large]}]\n", "");
    world.stack(&without.replace("cluster: {}", "cluster: {}\nfargateOnly: true"));
    let run = world.start(&["up", "--sandbox", "--yes", "--json"]);
    let status = "eks = client('eks')\nprint(json.dumps(eks.describe_nodegroup(clusterName='shop', \
                  nodegroupName='general')['nodegroup']['status']))";
    until("the group is being deleted", || world.boto3(status) == "DELETING");
    interrupt(&run);
    let ended = Ended::of(&run.wait_with_output().unwrap()).with(5);
    let result = &ended.lines("result")[0];
    // The monitoring agent goes with the group, before it or after it.
    let unfinished = result["unfinished"].as_array().unwrap();
    assert!(unfinished.contains(&json!("cluster/node-group/general")), "{result}");
    assert_eq!(result["changed"], true, "{result}");
    until("the group is deleted", || workers(&world)[0] == json!([]));
    let plan = world.run(&["plan", "--sandbox", "--json"]).with(0);
    let mut changes = plan.lines("change").into_iter();
    let change = changes.find(|it| it["address"] == "cluster/node-group/general").unwrap();
    assert_eq!((&change["action"], &change["origin"]), (&json!("delete"), &json!("file")), "{change}");
    up(&world).with(0);
    settled(&world);

    // The end of its time and a signal, in the middle of everything: what was sent is not called nothing.
    // Both come long before the cluster is deleted, and after the first deletions also on a busy machine.
    world.configure(&json!({"timeScale": 3}));
    for (args, code) in [(&["--timeout", "45s"][..], 6), (&[][..], 5)] {
        forget_calls(&world);
        let down = world.start(&[&["down", "--sandbox", "--yes"], args].concat());
        until("a deletion was sent", || deleted(&world));
        if code == 5 {
            interrupt(&down);
        }
        let ended = Ended::of(&down.wait_with_output().unwrap()).with(code);
        assert!(!ended.err.contains("nothing changed"), "{}", ended.err);
        assert!(ended.err.contains("changes left"), "{}", ended.err);
    }
    world.configure(&json!({"timeScale": 600}));
    world.run(&["down", "--sandbox", "--yes"]).with(0);
}

/// Whether anything was deleted since the calls were forgotten.
fn deleted(world: &Provider) -> bool {
    writes(world).iter().any(|(call, status)| call.starts_with("Delete") && *status < 300)
}

fn interrupt(run: &Child) {
    let id = rustix::process::Pid::from_child(run);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
}

#[test]
fn what_others_depend_on_is_not_deleted() {
    let world = world(STACK, 600);
    up(&world).with(0);
    for (target, dependent) in [
        ("network", "cluster/eks"),
        ("network/key", "cluster/eks"),
        ("cluster/role", "cluster/eks"),
        ("cluster/node-group/general", "cluster/addon/coredns"),
    ] {
        forget_calls(&world);
        let refused = world.run(&["down", "--sandbox", "--yes", "--target", target]).with(3);
        assert!(refused.err.contains(dependent) && refused.err.contains(target), "{}", refused.err);
        assert_eq!(writes(&world), [], "{target}");
    }
    // What nothing depends on goes alone.
    world.run(&["down", "--sandbox", "--yes", "--target", "cluster/addon/metrics-server"]).with(0);
    up(&world).with(0);

    // A node group of others keeps EKS from deleting the cluster.
    let role = "role = client('iam').get_role(RoleName='shop-eu-central-1-nodes')['Role']['Arn']\n\
        subnets = eks.describe_cluster(name='shop')['cluster']['resourcesVpcConfig']['subnetIds']\n";
    world.boto3(&format!(
        "eks = client('eks')\n{role}eks.create_nodegroup(clusterName='shop', nodegroupName='others', nodeRole=role, subnets=subnets)\n\
         eks.get_waiter('nodegroup_active').wait(clusterName='shop', nodegroupName='others', WaiterConfig={{'Delay': 1}})\nprint('null')"
    ));
    forget_calls(&world);
    let refused = world.run(&["down", "--sandbox", "--yes"]).with(3);
    assert!(refused.err.contains("node group `others`"), "{}", refused.err);
    assert_eq!(writes(&world), []);
    world.boto3(
        "eks = client('eks')\neks.delete_nodegroup(clusterName='shop', nodegroupName='others')\n\
         eks.get_waiter('nodegroup_deleted').wait(clusterName='shop', nodegroupName='others', WaiterConfig={'Delay': 1})\nprint('null')",
    );

    // The backend of another stack is left alone, before anything is deleted.
    let other = "name: other\nregion: eu-central-1\nnetwork: {zones: 1, nat: none, endpoints: [s3], flowLogs: false}\n";
    fs::write(world.path().join("other.yaml"), other).unwrap();
    let run = |args: &[&str]| world.run(&[args, &["--stack", "other.yaml", "--sandbox"]].concat());
    let absent = run(&["status", "--json"]).with(0);
    assert_eq!(absent.lines("status")[0]["exists"], json!(false), "{}", absent.out);
    run(&["up", "--yes"]).with(0);
    forget_calls(&world);
    let refused = run(&["down", "--backend", "--yes"]).with(3);
    assert!(refused.err.contains("shop") && refused.err.contains("nothing was changed"), "{}", refused.err);
    assert_eq!(writes(&world), []);
    run(&["down", "--yes"]).with(0);
    world.run(&["down", "--backend", "--sandbox", "--yes"]).with(0);
}

#[test]
fn output_that_is_lost_is_an_error_and_a_closed_pipe_is_none() {
    let world =
        world("name: shop\nregion: eu-central-1\nnetwork: {zones: 1, nat: none, flowLogs: false}\n", 600);
    let into = |args: &[&str], stdout: Stdio| {
        Ended::of(&world.command(args).stdout(stdout).stderr(Stdio::piped()).output().unwrap())
    };
    let full = || Stdio::from(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let lost = |args: &[&str], code: i32| {
        let ended = into(args, full()).with(code);
        assert!(
            ended.err.contains("cannot write to stdout: No space left on device"),
            "{args:?}: {}",
            ended.err
        );
    };
    lost(&["plan", "--sandbox"], 1);
    lost(&["plan", "--sandbox", "--detailed-exitcode", "--json"], 1);
    lost(&["up", "--sandbox", "--yes", "--json"], 6);
    lost(&["up", "--sandbox", "--yes", "--json"], 1);
    lost(&["state", "pull", "--sandbox"], 1);
    lost(&["state", "list", "--sandbox"], 1);
    lost(&["policy"], 1);
    lost(&["schema"], 1);
    into(&["--help"], full()).with(1);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    into(&["schema"], Stdio::from(writer)).with(0);
}

#[test]
fn a_tag_that_no_image_can_have_is_refused_before_anything() {
    let world = Provider::new("name: shop\nregion: eu-central-1\nnetwork: {zones: 2}\napp: {}\n");
    for tag in ["bad tag!", "", "-a", &"x".repeat(129)] {
        let refused = world.run(&["deploy", "--sandbox", "--yes", &format!("--tag={tag}")]).with(3);
        assert!(refused.err.contains("--tag"), "{}", refused.err);
    }
}

/// A world with the demo application in its folder, whose pods run what was pushed.
fn application(stack: &str) -> Provider {
    let world = Provider::new(stack);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("app");
    let status = Command::new("cp").arg("-r").arg(source).arg(world.path()).status().unwrap();
    assert!(status.success());
    world.sandbox(120);
    world
}

#[test]
fn an_application_that_moves_and_crashes_keeps_the_old_one() {
    let stack = "name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: single, flowLogs: false}\n\
        cluster: {addons: [{name: metrics-server, enabled: false}]}\n\
        app: {replicas: 1, env: {DEMO_ROOT_RESPONSE: first}}\n";
    let world = application(stack);
    let url = up(&world).with(0).out.trim().to_owned();
    let answers = |url: &str| {
        let config = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(60))).build();
        let mut answer = ureq::Agent::new_with_config(config).get(url).call().ok()?;
        answer.body_mut().read_to_string().ok()
    };
    assert_eq!(answers(&url).as_deref(), Some("first"));
    world.stack(&stack.replace("app: {replicas: 1,", "app: {replicas: 1, namespace: moved,"));
    let module = world.path().join("app/demo/__init__.py");
    fs::rename(&module, module.with_extension("kept")).unwrap();
    fs::write(&module, "raise SystemExit('no such module')\n").unwrap();
    let failed = up(&world).with(6);
    assert!(failed.err.contains("CrashLoopBackOff"), "{}", failed.err);
    assert!(!failed.err.contains("demo-application/demo-application: deleted"), "{}", failed.err);
    assert_eq!(answers(&url).as_deref(), Some("first"), "the old application serves on");
    fs::rename(module.with_extension("kept"), &module).unwrap();
    let moved = up(&world).with(0).out.trim().to_owned();
    assert_eq!(answers(&moved).as_deref(), Some("first"));
    settled(&world);
    world.run(&["down", "--sandbox", "--yes"]).with(0);
}
