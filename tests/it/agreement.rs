//! What others see: the AWS CLI agrees with the file, and an unchanged plan asks little.

use crate::common::{Provider, example};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn up(stack: &str) -> Provider {
    let world = Provider::new(stack);
    world.sandbox(600);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world
}

/// A list in any order.
fn sorted(list: &Value) -> Vec<String> {
    let mut list: Vec<String> =
        list.as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect();
    list.sort();
    list
}

#[test]
fn the_aws_cli_shows_what_the_file_says() {
    let world = up(&example("no-internet.yaml"));
    let aws = |args: &[&str]| world.aws_in("us-east-1", args);

    let cluster = &aws(&["eks", "describe-cluster", "--name", "isolated"])["cluster"];
    assert_eq!((&cluster["status"], &cluster["version"]), (&json!("ACTIVE"), &json!("1.35")));
    let reach = &cluster["resourcesVpcConfig"];
    assert_eq!(sorted(&reach["publicAccessCidrs"]), ["198.51.100.0/24", "203.0.113.0/24"]);
    assert_eq!(
        (&reach["endpointPrivateAccess"], &reach["endpointPublicAccess"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(cluster["accessConfig"]["authenticationMode"], "API");
    assert_eq!(cluster["deletionProtection"], true);
    assert!(
        cluster["encryptionConfig"][0]["provider"]["keyArn"].as_str().unwrap().starts_with("arn:aws:kms:")
    );
    assert_eq!(cluster["logging"]["clusterLogging"][0]["enabled"], true);

    assert_eq!(
        aws(&["eks", "list-nodegroups", "--cluster-name", "isolated"])["nodegroups"],
        json!(["workers"])
    );
    let group = &aws(&[
        "eks",
        "describe-nodegroup",
        "--cluster-name",
        "isolated",
        "--nodegroup-name",
        "workers",
    ])["nodegroup"];
    assert_eq!(group["scalingConfig"], json!({"minSize": 2, "maxSize": 6, "desiredSize": 3}));
    assert_eq!(group["instanceTypes"], json!(["m6i.large", "m5.large"]));
    assert_eq!(group["amiType"], "BOTTLEROCKET_x86_64");
    let (template, version) = (&group["launchTemplate"]["id"], &group["launchTemplate"]["version"]);
    let template = aws(&[
        "ec2",
        "describe-launch-template-versions",
        "--launch-template-id",
        template.as_str().unwrap(),
        "--versions",
        version.as_str().unwrap(),
    ]);
    let data = &template["LaunchTemplateVersions"][0]["LaunchTemplateData"];
    assert_eq!(data["MetadataOptions"]["HttpTokens"], "required");
    assert_eq!(data["MetadataOptions"]["HttpPutResponseHopLimit"], 1);
    let disks = data["BlockDeviceMappings"].as_array().unwrap();
    assert!(disks.iter().all(|disk| disk["Ebs"]["Encrypted"] == true), "{disks:?}");
    assert!(disks.iter().any(|disk| disk["Ebs"]["VolumeSize"] == 40), "{disks:?}");

    let addon =
        &aws(&["eks", "describe-addon", "--cluster-name", "isolated", "--addon-name", "coredns"])["addon"];
    assert_eq!(addon["status"], "ACTIVE");
    let addons = aws(&["eks", "list-addons", "--cluster-name", "isolated"]);
    assert_eq!(
        sorted(&addons["addons"]),
        [
            "coredns",
            "eks-node-monitoring-agent",
            "eks-pod-identity-agent",
            "kube-proxy",
            "metrics-server",
            "vpc-cni"
        ]
    );
    let entries = aws(&["eks", "list-access-entries", "--cluster-name", "isolated"]);
    assert!(sorted(&entries["accessEntries"]).contains(&"arn:aws:iam::123456789012:user/sandbox".to_owned()));

    let role = &aws(&["iam", "get-role", "--role-name", "isolated-us-east-1-sa-web-web"])["Role"];
    let trust = role["AssumeRolePolicyDocument"].to_string();
    assert!(
        trust.contains("system:serviceaccount:web:web") && trust.contains("oidc.eks.us-east-1"),
        "{trust}"
    );
    let repositories = aws(&["ecr", "describe-repositories"]);
    let repositories = repositories["repositories"].as_array().unwrap();
    let repository = repositories.iter().find(|it| it["repositoryName"] == "isolated/web").unwrap();
    assert_eq!(repository["imageTagMutability"], "IMMUTABLE");
    assert_eq!(repository["imageScanningConfiguration"]["scanOnPush"], true);
    assert_eq!(repository["encryptionConfiguration"]["encryptionType"], "KMS");
    let parameter = aws(&["ssm", "get-parameter", "--name", "/isolated/message"]);
    assert_eq!(parameter["Parameter"]["Value"], "hello");
}

fn counted(calls: &[String]) -> BTreeMap<&str, usize> {
    calls.iter().fold(BTreeMap::new(), |mut counts, call| {
        *counts.entry(call.as_str()).or_default() += 1;
        counts
    })
}

/// The kinds that need to know the cluster.
const ASKING_KINDS: usize = 10;

#[test]
fn an_unchanged_plan_asks_little_and_no_more_for_more_of_a_kind() {
    let world = up(&example("no-internet.yaml"));
    let few = world.calls(&["plan", "--sandbox"]);
    let of_cluster = few.iter().filter(|call| *call == "eks:DescribeCluster").count();
    assert!(of_cluster <= ASKING_KINDS, "{of_cluster}");
    // Fourteen of them look at the backend.
    let others = few.len() - of_cluster;
    assert!(others <= 60, "{others} calls: {few:?}");

    // Six times as many of each; a few would still be asked for their tags one by one.
    let list = |line: &str| -> String { (0..5).map(|n| line.replace('#', &n.to_string())).collect() };
    let more = example("no-internet.yaml")
        .replace("parameters:\n", &format!("parameters:\n{}", list("  - {name: /isolated/p#, value: a}\n")))
        .replace(
            "serviceAccounts:\n",
            &format!("serviceAccounts:\n{}", list("  - {name: a#, namespace: web}\n")),
        )
        .replace("repositories:\n", &format!("repositories:\n{}", list("  - name: isolated/r#\n")));
    world.stack(&more);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let many = world.calls(&["plan", "--sandbox"]);
    let (few, many) = (counted(&few), counted(&many));
    for (call, count) in &many {
        let before = few.get(call).copied().unwrap_or_default();
        match *call {
            // ECR tells lifecycle policies of one repository at a time.
            "ecr:GetLifecyclePolicy" => assert_eq!(*count, before + 5),
            "resourcegroupstaggingapi:GetResources" => {
                assert!(*count <= 3, "one for each kind, one for strays: {count}");
            }
            // Kinds that are looked at together ask for it each, unless one has the answer already.
            "eks:DescribeCluster" => assert!(*count <= ASKING_KINDS, "{count}"),
            _ => assert!(*count <= before, "{call}: {before}, then {count}"),
        }
    }
}
