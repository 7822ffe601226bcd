//! How many calls to AWS a run makes. The limits are what a run needs today, with a margin for polls: a change that makes more
//! calls names them here.

use crate::common::Provider;
use std::collections::BTreeMap;

const STACK: &str = "name: shop\nregion: eu-central-1\ntags: {team: one}\nnetwork: {zones: 3, nat: single}\n\
    nodeGroups: [{name: main, instanceTypes: [t3.large]}]\nrepositories: [{name: shop/web}]\n\
    fargateProfiles: [{name: jobs, selectors: [{namespace: jobs}]}]\n\
    controllers: {loadBalancerController: true}\n";

/// The writes of the state. Their number is that of the moments at which something changed.
const JOURNAL: &str = "s3:PutObject";

/// Runs the command, and compares its calls without the writes of the state with the limit.
fn limited(world: &Provider, args: &[&str], limit: usize) -> BTreeMap<String, usize> {
    let mut calls: BTreeMap<String, usize> = BTreeMap::new();
    for call in world.calls(args) {
        *calls.entry(call).or_default() += 1;
    }
    let all: usize = calls.iter().filter(|(call, _)| *call != JOURNAL).map(|(_, count)| count).sum();
    let mut table: Vec<_> = calls.iter().collect();
    table.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let table: Vec<String> = table.iter().map(|(call, count)| format!("{count:4} {call}")).collect();
    println!("{}: {all} calls, at most {limit}", args.join(" "));
    assert!(all <= limit, "{}: {all} calls instead of at most {limit}\n{}", args.join(" "), table.join("\n"));
    calls
}

#[test]
fn a_run_makes_no_more_calls_than_it_needs() {
    let world = Provider::new(STACK);
    world.sandbox(20_000);
    let up = ["up", "--sandbox", "--yes"];
    let created = limited(&world, &up, 380);
    assert_eq!(created["eks:CreateCluster"], 1);
    // One look for each kind, and for each thing whose service answers for one at a time.
    let plan = limited(&world, &["plan", "--sandbox", "--detailed-exitcode"], 64);
    let more: Vec<_> =
        plan.iter().filter(|(call, count)| **count > 4 && *call != "eks:DescribeAddon").collect();
    assert!(more.is_empty(), "asked more than four times: {more:?}");
    limited(&world, &up, 68);
    world.stack(&STACK.replace("team: one", "team: two"));
    let tagged = limited(&world, &up, 220);
    assert!(tagged["ec2:CreateTags"] <= 14, "the same tags go together: {tagged:?}");
    limited(&world, &["down", "--sandbox", "--yes"], 330);
}
