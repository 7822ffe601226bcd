//! Stacks that share the subnets of an existing network, with the real binary on the sandbox: each has its role tags as
//! long as it exists, and when the last one is deleted, boto3 finds the subnets' tags as they were.

use crate::common::{Ended, Provider, until};
use serde_json::{Value, json};
use std::fs;

const ELB: &str = "kubernetes.io/role/elb";
const INTERNAL: &str = "kubernetes.io/role/internal-elb";

/// A network with a public subnet, whose owner has set its role tag to an empty value, a private one without tags, and
/// a private one with a name and its role tag.
const NETWORK: &str = "
ec2 = client('ec2')
vpc = ec2.create_vpc(CidrBlock='10.9.0.0/16')['Vpc']['VpcId']
subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock='10.9.%d.0/24' % n)['Subnet']['SubnetId'] for n in range(3)]
role = 'kubernetes.io/role/'
ec2.create_tags(Resources=subnets[:1], Tags=[{'Key': role + 'elb', 'Value': ''}])
ec2.create_tags(Resources=subnets[2:], Tags=[{'Key': role + 'internal-elb', 'Value': '1'}, {'Key': 'Name', 'Value': 'c'}])
print(json.dumps([vpc, *subnets]))";

/// A network, and stacks that use it.
struct Network {
    world: Provider,
    vpc: String,
    /// The public subnet, then the private ones.
    subnets: Vec<String>,
    before: Value,
}

impl Network {
    fn new(stacks: &[&str]) -> Self {
        let world = Provider::new("name: unused\nregion: eu-central-1\nnetwork: {nat: none}\n");
        world.sandbox(600);
        let made = world.boto3(NETWORK);
        let mut ids = made.as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned());
        let network =
            Network { world, vpc: ids.next().unwrap(), subnets: ids.collect(), before: Value::Null };
        for stack in stacks {
            network.file(stack, &network.subnets[1..], &network.subnets[..1]);
        }
        Network { before: network.tags(), ..network }
    }

    /// Writes the file of a stack with these subnets.
    fn file(&self, stack: &str, private: &[String], public: &[String]) {
        let text = format!(
            "name: {stack}\nregion: eu-central-1\nnetwork:\n  existing:\n    vpcId: {}\n    privateSubnetIds: {private:?}\n    \
             publicSubnetIds: {public:?}\n",
            self.vpc
        );
        fs::write(self.world.path().join(format!("{stack}.yaml")), text).unwrap();
    }

    /// The tags of each subnet, by its id.
    fn tags(&self) -> Value {
        self.world.boto3(&format!(
            "found = client('ec2').describe_subnets(Filters=[{{'Name': 'vpc-id', 'Values': ['{}']}}])['Subnets']\n\
             print(json.dumps({{s['SubnetId']: {{t['Key']: t['Value'] for t in s.get('Tags', [])}} for s in found}}))",
            self.vpc
        ))
    }

    /// Sets a tag of the `index`th subnet, or deletes it.
    fn tag(&self, index: usize, key: &str, value: Option<&str>) {
        let tag = match value {
            Some(value) => json!({"Key": key, "Value": value}),
            None => json!({"Key": key}),
        };
        let call = if value.is_some() { "create_tags" } else { "delete_tags" };
        let subnet = &self.subnets[index];
        self.world.boto3(&format!(
            "client('ec2').{call}(Resources=['{subnet}'], Tags=[json.loads(r'''{tag}''')])\nprint('null')"
        ));
    }

    fn arguments<'a>(verb: &'a str, file: &'a str) -> Vec<&'a str> {
        match verb {
            "plan" => vec![verb, "--sandbox", "--stack", file, "--json", "--detailed-exitcode"],
            _ => vec![verb, "--sandbox", "--stack", file, "--yes"],
        }
    }

    fn run(&self, verb: &str, stack: &str) -> Ended {
        self.world.run(&Network::arguments(verb, &format!("{stack}.yaml")))
    }

    /// Runs several commands at once, and returns how each ended.
    fn at_once(&self, commands: &[(&str, &str)]) {
        let start = |(verb, stack): &(&str, &str)| {
            self.world.start(&Network::arguments(verb, &format!("{stack}.yaml")))
        };
        let runs: Vec<_> = commands.iter().map(start).collect();
        for run in runs {
            Ended::of(&run.wait_with_output().unwrap()).with(0);
        }
    }

    /// The plan of this stack is empty, and the subnets have the role tags that it needs.
    #[track_caller]
    fn is_whole(&self, stack: &str) {
        let plan = self.run("plan", stack).with(0);
        assert_eq!(plan.lines("summary").len(), plan.out.lines().count(), "{stack}: {}", plan.out);
        let tags = self.tags();
        let has = |index: usize, key| tags[&self.subnets[index]].get(key).cloned();
        assert_eq!(has(0, ELB), Some(json!("")), "{stack}: {tags}");
        assert_eq!(
            (has(1, INTERNAL), has(2, INTERNAL)),
            (Some(json!("1")), Some(json!("1"))),
            "{stack}: {tags}"
        );
    }

    #[track_caller]
    fn is_as_before(&self) {
        assert_eq!(self.tags(), self.before);
    }

    /// Has the next call of this name held by the sandbox.
    fn hold(&self, call: &str, moment: &str) {
        let fault = json!({"on": call, "kind": moment, "skip": 0, "times": 1});
        self.world.configure(&json!({"timeScale": 600, "faults": [fault]}));
    }

    /// Kills a command while the sandbox holds one of its calls. False: it ended without such a call.
    fn kill_at(&self, verb: &str, stack: &str, call: &str, moment: &str) -> bool {
        self.hold(call, moment);
        let mut run = self.world.start(&Network::arguments(verb, &format!("{stack}.yaml")));
        let held = "print(json.dumps(json.loads(urllib.request.urlopen(e + '/_ext/status').read())['held'] is not None))";
        let mut reached = false;
        until("the call is held, or the command ends", || {
            reached = self.world.boto3(held) == json!(true);
            reached || run.try_wait().unwrap().is_some()
        });
        run.kill().unwrap();
        run.wait().unwrap();
        self.world.boto3(
            "urllib.request.urlopen(urllib.request.Request(e + '/_ext/release', b'null', method='POST'))\nprint('null')",
        );
        self.world.configure(&json!({"timeScale": 600}));
        reached
    }
}

/// Every order of two stacks that are created and deleted.
fn orders() -> Vec<Vec<(&'static str, &'static str)>> {
    fn extend(order: &[(&'static str, &'static str)], all: &mut Vec<Vec<(&'static str, &'static str)>>) {
        if order.len() == 4 {
            all.push(order.to_vec());
        }
        for stack in ["one", "two"] {
            let next = match order.iter().filter(|(_, of)| *of == stack).count() {
                0 => ("up", stack),
                1 => ("down", stack),
                _ => continue,
            };
            extend(&[order, &[next]].concat(), all);
        }
    }
    let mut all = Vec::new();
    extend(&[], &mut all);
    all
}

#[test]
fn stacks_that_come_and_go_in_any_order_have_their_role_tags_and_leave_the_owners() {
    let network = Network::new(&["one", "two"]);
    assert_eq!(orders().len(), 6);
    for order in orders() {
        println!("{order:?}");
        let mut there = Vec::new();
        for (verb, stack) in order {
            network.run(verb, stack).with(0);
            match verb {
                "up" => there.push(stack),
                _ => there.retain(|it| *it != stack),
            }
            there.iter().for_each(|stack| network.is_whole(stack));
        }
        network.is_as_before();
    }
}

#[test]
fn stacks_that_come_and_go_at_once_end_with_what_was_there_before() {
    let network = Network::new(&["one", "two", "three"]);
    // The backend, which the first stack creates.
    network.run("up", "three").with(0);
    network.run("down", "three").with(0);
    for _ in 0..3 {
        network.at_once(&[("up", "one"), ("up", "two")]);
        ["one", "two"].iter().for_each(|stack| network.is_whole(stack));
        // What a deletion took from a stack that came at the same moment, the next run of that stack sets again.
        network.at_once(&[("down", "one"), ("down", "two"), ("up", "three")]);
        network.run("up", "three").with(0);
        network.is_whole("three");
        network.run("down", "three").with(0);
        network.is_as_before();
    }
}

#[test]
fn a_run_that_is_killed_at_its_calls_and_run_again_counts_the_stacks_right() {
    let network = Network::new(&["one", "two"]);
    network.run("up", "two").with(0);
    let mut reached = 0;
    let calls = [("up", "ec2:CreateTags"), ("down", "ec2:CreateTags"), ("down", "ec2:DeleteTags")];
    for (verb, call) in calls {
        for moment in ["hold_request", "hold_response"] {
            if verb == "down" {
                network.run("up", "one").with(0);
            }
            reached += usize::from(network.kill_at(verb, "one", call, moment));
            network.run(verb, "one").with(0);
            network.is_whole("two");
            if verb == "up" {
                network.is_whole("one");
                network.run("down", "one").with(0);
                network.is_whole("two");
            }
        }
    }
    assert_eq!(reached, 6, "every call was held once");
    // Killed after its marker says that it leaves; the other is deleted first, then it comes back, or goes.
    for last in ["up", "down"] {
        network.run("up", "one").with(0);
        assert!(network.kill_at("down", "one", "ec2:DeleteTags", "hold_request"));
        if last == "up" {
            network.run("up", "one").with(0);
            network.run("down", "two").with(0);
            network.is_whole("one");
            network.run("up", "two").with(0);
            network.run("down", "one").with(0);
            network.is_whole("two");
        } else {
            network.run("down", "two").with(0);
            network.run("down", "one").with(0);
        }
    }
    network.is_as_before();
}

#[test]
fn a_value_that_controllers_do_not_accept_is_refused_and_never_changed() {
    let network = Network::new(&["one"]);
    network.tag(0, ELB, Some("true"));
    for verb in ["plan", "up"] {
        let refused = network.run(verb, "one").with(3);
        for text in ["publicSubnetIds", &network.subnets[0], ELB, "true", "aws ec2 create-tags"] {
            let said = format!("{}{}", refused.out, refused.err);
            assert!(said.contains(text), "{text}: {said}");
        }
    }
    assert_eq!(network.world.boto3("print(json.dumps(len(client('s3').list_buckets()['Buckets'])))"), 0);
    let with_value = network.tags();
    network.tag(0, ELB, Some(""));
    network.run("up", "one").with(0);
    // The owner changes the value later.
    network.tag(0, ELB, Some("true"));
    let refused = network.run("plan", "one").with(3);
    assert_eq!(refused.lines("error").len(), 1, "{}", refused.out);
    assert!(refused.out.contains(&network.subnets[0]) && refused.out.contains("true"), "{}", refused.out);
    network.run("up", "one").with(3);
    network.run("down", "one").with(0);
    assert_eq!(network.tags(), with_value);
}

#[test]
fn what_the_stack_set_is_set_again_and_what_the_owner_changed_is_left() {
    let network = Network::new(&["one"]);
    network.run("up", "one").with(0);
    for value in [None, Some("true")] {
        network.tag(1, INTERNAL, value);
        let plan = network.run("plan", "one").with(2);
        let changes = plan.lines("change");
        assert_eq!((changes.len(), &changes[0]["origin"]), (1, &json!("drift")), "{}", plan.out);
        network.run("up", "one").with(0);
        network.is_whole("one");
    }
    // What the owner deletes, the stack sets, and deletes in the end.
    network.tag(2, INTERNAL, None);
    network.run("up", "one").with(0);
    network.is_whole("one");
    // An accepted value is no drift, and no longer the stack's.
    network.tag(1, INTERNAL, Some(""));
    assert_eq!(network.run("plan", "one").with(0).lines("change"), [json!(null); 0]);
    network.run("down", "one").with(0);
    let tags = network.tags();
    assert_eq!(tags[&network.subnets[1]], json!({INTERNAL: ""}));
    assert_eq!(tags[&network.subnets[2]], json!({"Name": "c"}));
}

#[test]
fn a_marker_that_the_program_did_not_write_keeps_role_tags_and_proves_nothing() {
    let network = Network::new(&["one"]);
    let other = "provisioner:role-tags/other";
    for value in
        ["", ELB, INTERNAL, "kubernetes.io/role/internal-elb sum:0123456789abcdef", "Name", "\u{fc}\u{1f600}"]
    {
        // It claims the owner's tags, and is removed before the stack leaves.
        for index in 0..3 {
            network.tag(index, other, Some(value));
        }
        network.run("up", "one").with(0);
        network.is_whole("one");
        for index in 0..3 {
            network.tag(index, other, None);
        }
        network.run("down", "one").with(0);
        network.is_as_before();
    }
    // As long as it is there, nothing is deleted, and that is said.
    network.tag(1, other, Some("?"));
    network.run("up", "one").with(0);
    let down = network.run("down", "one").with(0);
    assert!(down.err.contains(other) && down.err.contains(&network.subnets[1]), "{}", down.err);
    assert_eq!(network.tags()[&network.subnets[1]], json!({INTERNAL: "1", other: "?"}));
    // A marker of the stack's own that was edited, or copied from another subnet, makes it delete nothing of the owner's.
    network.tag(1, other, None);
    network.tag(1, INTERNAL, None);
    network.run("up", "one").with(0);
    let marker = "provisioner:role-tags/one";
    let copied = network.tags()[&network.subnets[1]][marker].as_str().unwrap().to_owned();
    network.tag(2, marker, Some(&copied));
    network.tag(0, marker, Some(ELB));
    network.run("down", "one").with(0);
    network.is_as_before();
}

#[test]
fn the_marker_of_an_earlier_version_is_no_change_and_its_tags_are_deleted() {
    let network = Network::new(&["one"]);
    network.run("up", "one").with(0);
    let marker = "provisioner:role-tags/one";
    network.tag(0, marker, Some(""));
    network.tag(1, marker, Some(INTERNAL));
    network.tag(2, marker, Some(""));
    network.is_whole("one");
    network.run("up", "one").with(0);
    network.run("down", "one").with(0);
    network.is_as_before();
}

#[test]
fn a_subnet_that_changes_its_role_or_leaves_the_file_loses_only_what_no_other_stack_uses() {
    let network = Network::new(&["one", "two"]);
    let [a, b, c] = [0, 1, 2].map(|index| network.subnets[index].clone());
    network.run("up", "one").with(0);
    // The private subnet becomes public, and its owner's one too.
    network.file("one", std::slice::from_ref(&a), &[b.clone(), c.clone()]);
    network.run("up", "one").with(0);
    assert_eq!(network.run("plan", "one").with(0).lines("change"), [json!(null); 0]);
    let without_markers = |index: usize| {
        let mut tags = network.tags()[&network.subnets[index]].clone();
        tags.as_object_mut().unwrap().retain(|key, _| !key.starts_with("provisioner:"));
        tags
    };
    assert_eq!(without_markers(0), json!({ELB: "", INTERNAL: "1"}));
    assert_eq!(without_markers(1), json!({ELB: "1"}));
    assert_eq!(without_markers(2), json!({ELB: "1", INTERNAL: "1", "Name": "c"}));
    // Another stack uses the former role, then the new one, too.
    network.run("up", "two").with(0);
    network.is_whole("two");
    network.file("one", &[b, c], &[]);
    network.run("up", "one").with(0);
    network.is_whole("two");
    assert_eq!(without_markers(0), json!({ELB: ""}));
    assert_eq!(without_markers(1), json!({INTERNAL: "1"}));
    network.file("two", &[a], &[]);
    network.run("up", "two").with(0);
    assert_eq!(without_markers(1), json!({INTERNAL: "1"}));
    network.run("down", "one").with(0);
    assert_eq!(without_markers(1), json!({}));
    network.run("down", "two").with(0);
    network.is_as_before();
}

#[test]
fn a_marker_that_the_state_no_longer_knows_is_named() {
    let network = Network::new(&["one"]);
    network.run("up", "one").with(0);
    let state = network.world.run(&["state", "list", "--sandbox", "--stack", "one.yaml"]).with(0);
    let recorded = state.out.split_whitespace().filter(|word| word.contains("subnet-tags"));
    let forget = ["state", "forget", "--sandbox", "--stack", "one.yaml", "--yes"];
    let forget: Vec<&str> = forget.into_iter().chain(recorded).collect();
    network.world.run(&forget).with(0);
    let left = network.run("down", "one").with(1);
    for subnet in &network.subnets {
        assert!(left.err.contains(subnet), "{subnet}: {}", left.err);
    }
    assert!(left.err.contains("provisioner:role-tags/one"), "{}", left.err);
    assert!(left.err.contains("aws ec2 delete-tags --resources subnet-"), "{}", left.err);
    // What the hint says.
    for subnet in &network.subnets {
        let address = format!("network/subnet-tags/{subnet}");
        let import = ["state", "import", &address, subnet, "--sandbox", "--stack", "one.yaml", "--yes"];
        assert!(left.err.contains(&format!("`provisioner state import {address} {subnet}`")), "{}", left.err);
        network.world.run(&import).with(0);
    }
    network.run("down", "one").with(0);
    network.is_as_before();
}
