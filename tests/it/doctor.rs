//! `doctor`: what would stop an `up` is found before anything is made, and nothing is made.

use crate::common::{Provider, example};
use serde_json::{Value, json};

/// The checks of one name: state, message and hint.
fn checks(world: &Provider, name: &str, code: i32) -> Vec<(String, String, String)> {
    let said = world.run(&["doctor", "--sandbox", "--json"]).with(code);
    let text = |line: &Value, field: &str| line[field].as_str().unwrap_or_default().to_owned();
    let lines = said.lines("check").into_iter().filter(|line| line["name"] == name);
    lines.map(|line| (text(&line, "state"), text(&line, "message"), text(&line, "hint"))).collect()
}

#[test]
fn a_stack_that_can_be_made_passes() {
    let world = Provider::new(&example("arm64-spot.yaml"));
    world.sandbox(60);
    let said = world.run(&["doctor", "--sandbox", "--json"]).with(0);
    let states: Vec<_> = said.lines("check").iter().map(|line| line["state"].clone()).collect();
    assert!(states.len() >= 8 && states.iter().all(|state| state == "ok"), "{}", said.out);
    let made = "print(json.dumps([client('eks', 'eu-north-1').list_clusters()['clusters'], \
        [b['Name'] for b in client('s3').list_buckets()['Buckets']]]))";
    assert_eq!(world.boto3(made), json!([[], []]));
}

#[test]
fn quotas_say_what_is_short_and_how_to_ask_for_more() {
    let world = Provider::new(&example("arm64-spot.yaml"));
    world.sandbox(60);
    world.configure(&json!({"quotas": {"L-0263D0A3": 2, "L-1216C47A": 3}}));
    let short: Vec<_> =
        checks(&world, "quotas", 1).into_iter().filter(|(state, ..)| state == "failed").collect();
    let [(_, addresses, ask), (_, cpus, _)] = &short[..] else { panic!("{short:?}") };
    assert!(addresses.contains("elastic IPs") && addresses.contains("3 more"), "{addresses}");
    assert!(ask.contains("request-service-quota-increase") && ask.contains("L-0263D0A3"), "{ask}");
    // Two t4g.large.
    assert!(cpus.contains("on-demand vCPUs in use, 4 more"), "{cpus}");
}

#[test]
fn an_instance_type_that_the_region_does_not_offer_is_named() {
    let world = Provider::new(&example("arm64-spot.yaml").replace("[t4g.large]", "[t4g.large, m99g.large]"));
    world.sandbox(60);
    let found = checks(&world, "instance types", 1);
    let (state, text, _) = &found[0];
    assert_eq!(state, "failed");
    assert!(text.contains("m99g.large (group base) is not offered in eu-north-1"), "{text}");
}

#[test]
fn a_right_that_is_missing_has_its_name() {
    let world = Provider::new("name: shop\nregion: eu-central-1\nnetwork: {nat: none}\n");
    world.sandbox(60);
    let printed = |args: &[&str]| -> Value { serde_json::from_str(&world.run(args).with(0).out).unwrap() };
    let policy = printed(&["policy", "--sandbox"]);
    let bootstrap = printed(&["policy", "--sandbox", "--bootstrap"]);
    let ask = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*", "Action":
        ["iam:SimulatePrincipalPolicy", "servicequotas:*", "eks:ListClusters", "ec2:DescribeInstanceType*"]}]});
    world.configure(&json!({"callerPolicy": [policy, bootstrap, ask]}));
    let allowed = checks(&world, "permissions", 0);
    assert_eq!(allowed[0].0, "ok", "{allowed:?}");

    let mut less = policy;
    for statement in less["Statement"].as_array_mut().unwrap() {
        statement["Action"].as_array_mut().unwrap().retain(|action| action != "ec2:CreateVpc");
    }
    world.configure(&json!({"callerPolicy": [less, bootstrap, ask]}));
    let (state, text, hint) = checks(&world, "permissions", 1).remove(0);
    assert_eq!(state, "failed");
    assert!(text.contains("ec2:CreateVpc") && !text.contains("ec2:CreateSubnet"), "{text}");
    assert!(hint.contains("provisioner policy"), "{hint}");

    // Who may not ask is told so, and nothing else is held against him.
    world.configure(&json!({"callerPolicy": [less, bootstrap]}));
    let (state, text, _) = checks(&world, "permissions", 0).remove(0);
    assert_eq!(state, "unknown", "{text}");
    assert!(text.contains("iam:SimulatePrincipalPolicy"), "{text}");
}

#[test]
fn a_private_api_server_is_told_before_it_is_made() {
    let world = Provider::new(
        "name: shop\nregion: eu-central-1\nnetwork: {cidr: 10.254.0.0/16}\ncluster: {endpoint: {public: false}}\n",
    );
    world.sandbox(60);
    let (state, text, hint) = checks(&world, "API server", 0).remove(0);
    assert_eq!(state, "warning");
    assert!(text.contains("private") && hint.contains("VPN"), "{text} {hint}");
    // A plan says it where something is to be deployed.
    let warning = "nothing can be deployed from here";
    assert!(!world.run(&["plan", "--sandbox"]).with(0).err.contains(warning));
    world.stack(
        "name: shop\nregion: eu-central-1\nnetwork: {cidr: 10.254.0.0/16}\ncluster: {endpoint: {public: false}}\n\
         controllers: {clusterAutoscaler: true}\n",
    );
    let plan = world.run(&["plan", "--sandbox"]).with(0);
    assert!(plan.err.contains(warning) && plan.err.contains("VPN"), "{}", plan.err);
}
