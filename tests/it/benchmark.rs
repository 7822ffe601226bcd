//! How near `up` comes to AWS itself: its time against the longest chain of AWS's own durations, on the sandbox, whose
//! durations have the ratios of the real ones. `cargo test --test it benchmark:: -- --ignored --nocapture`

use crate::common::{Provider, example};
use serde_json::Value;
use std::{collections::BTreeMap, time::Instant};

/// How much faster than AWS; slower would only measure the same for longer.
const SCALE: f64 = 10.0;

/// What `up` may take, as a multiple of the chain.
const MAX_RATIO: f64 = 1.10;

/// The sandbox's own numbers, in AWS seconds, and the state with its dependencies.
const FACTS: &str = "
sys.path.insert(0, 'SANDBOX')
from provisioner_sandbox.services import dynamodb
from provisioner_sandbox.services.ec2 import state as ec2
from provisioner_sandbox.services.eks import addons, clusters, fargate, nodegroups
s3 = client('s3')
bucket = s3.list_buckets()['Buckets'][0]['Name']
print(json.dumps({
    'state': json.loads(s3.get_object(Bucket=bucket, Key='eks_python_demo/state.json')['Body'].read()),
    'table': dynamodb.CREATING,
    'seconds': {'eks_cluster': clusters.CREATE, 'node_group': nodegroups.CREATE, 'fargate_profile': fargate.CREATE,
        'addon': addons.CREATE, 'nat_gateway': ec2.NAT_PENDING, 'vpc': ec2.VPC_PENDING},
    'daemon': addons.CREATE_DAEMON}))";

/// Add-ons that run on nodes alone, and so are there before any.
const DAEMONS: [&str; 4] = ["vpc-cni", "kube-proxy", "eks-node-monitoring-agent", "eks-pod-identity-agent"];

/// The time until `address` is there, if nothing but AWS takes any.
fn until(address: &str, facts: &Value, known: &mut BTreeMap<String, f64>) -> f64 {
    if let Some(time) = known.get(address) {
        return *time;
    }
    let Some(entry) = facts["state"]["resources"].get(address) else { return 0.0 };
    let kind = entry["kind"].as_str().unwrap();
    let own = match address.strip_prefix("cluster/addon/") {
        Some(name) if DAEMONS.contains(&name) => facts["daemon"].as_f64(),
        _ => facts["seconds"][kind].as_f64(),
    };
    let before = entry["dependencies"].as_array().unwrap().iter();
    let before = before.map(|needed| until(needed.as_str().unwrap(), facts, known)).fold(0.0, f64::max);
    let time = before + own.unwrap_or_default();
    known.insert(address.to_owned(), time);
    time
}

#[test]
#[ignore = "a benchmark; takes more than a minute"]
fn up_takes_little_longer_than_aws() {
    let world = Provider::new(&example("fargate-and-nodes.yaml"));
    world.sandbox(SCALE);
    let began = Instant::now();
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let took = began.elapsed().as_secs_f64() * SCALE;
    let sandbox = concat!(env!("CARGO_MANIFEST_DIR"), "/sandbox");
    let facts = world.boto3(&FACTS.replace("SANDBOX", sandbox));
    let mut known = BTreeMap::new();
    let resources: Vec<String> = facts["state"]["resources"].as_object().unwrap().keys().cloned().collect();
    let longest = resources.iter().map(|address| until(address, &facts, &mut known)).fold(0.0, f64::max);
    // Nothing begins before the lease can be taken.
    let chain = longest + facts["table"].as_f64().unwrap();
    println!("up of {} resources: {took:.0} s at AWS's pace", resources.len());
    println!("longest chain of AWS's durations: {chain:.0} s");
    println!("ratio: {:.3} (at most {MAX_RATIO})", took / chain);
    assert!(took <= MAX_RATIO * chain, "{took:.0} s for a chain of {chain:.0} s");
}
