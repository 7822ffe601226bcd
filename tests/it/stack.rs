//! Invalid stack files with the errors that they cause, and valid ones with what they mean.

use crate::common::thread_time;
use proptest::prelude::*;
use provisioner::stack::{self, Endpoints, Nat, Zones};
use std::time::Duration;

const HEAD: &str = "name: shop\nregion: eu-central-1\n";

fn load(text: &[u8]) -> Result<stack::Stack, stack::Diagnostics> {
    stack::load("stack.yaml", text, &|name| (name == "HIDDEN").then(|| "hunter2: [".to_owned()))
}

/// Each begins behind `name` and `region`, unless it brings its own.
const BAD: &[(&str, &str)] = &[
    ("unknown_field", "netwrok: {}\n"),
    ("unknown_nested_field", "network:\n  cidrs: 10.0.0.0/16\n"),
    ("wrong_case", "network:\n  flowlogs: true\n"),
    ("missing_name", "@region: eu-central-1\n"),
    ("empty_file", "@"),
    ("only_comments", "@# nothing here\n"),
    ("a_list_for_the_file", "@- name: shop\n"),
    ("tab", "network:\n\tcidr: 10.0.0.0/16\n"),
    ("duplicate_key", "network: {}\nnetwork: {nat: none}\n"),
    ("alias", "tags: &t {a: b}\nnetwork: *t\n"),
    ("merge_key", "tags:\n  <<: {a: b}\n"),
    ("two_documents", "---\nname: other\n"),
    ("unclosed_brace", "network: {nat: none\n"),
    ("section_without_value", "network:\n"),
    ("list_for_map", "network:\n  - cidr: 10.0.0.0/16\n"),
    ("text_for_bool", "protect: \"true\"\n"),
    ("yes_for_bool", "protect: yes\n"),
    ("number_for_text", "account: 123456789012\n"),
    ("short_account", "account: \"1234\"\n"),
    ("float_version", "cluster: {version: 1.30}\n"),
    ("bad_name", "@name: Shop\nregion: eu-central-1\n"),
    ("bad_region", "@name: shop\nregion: eu-centrall-1\n"),
    ("no_region", "@name: shop\nregion: Frankfurt\n"),
    ("aws_tag", "tags: {\"aws:team\": x, \"Provisioner:x\": y}\n"),
    ("number_tag", "tags: {year: 2026}\n"),
    ("host_bits", "network: {cidr: 10.0.1.0/16}\n"),
    ("no_cidr", "network: {cidr: 10.0.0.0}\n"),
    ("public_cidr", "network: {cidr: 8.8.0.0/16}\n"),
    ("large_cidr", "network: {cidr: 10.0.0.0/8}\n"),
    ("small_cidr", "network: {cidr: 10.0.0.0/24}\n"),
    ("no_zones", "network: {zones: 0}\n"),
    ("foreign_zone", "network: {zones: [eu-central-1a, us-east-1b, eu-central-1a]}\n"),
    ("one_zone_with_cluster", "network: {zones: 1}\ncluster: {}\n"),
    ("nat_slip", "network: {nat: perzone}\n"),
    ("endpoint_slip", "network: {endpoints: [s3, ecr-api]}\n"),
    ("endpoints_word", "network: {endpoints: all}\n"),
    (
        "bottlerocket_no_toml",
        "nodeGroups:\n  - name: a\n    bottlerocket: |\n      [settings.kernel]\n      lockdown = integrity\n",
    ),
    (
        "bottlerocket_of_others",
        "nodeGroups:\n  - name: a\n    ssh: {keyName: k}\n    bottlerocket: |\n      motd = \"hi\"\n      [settings.kubernetes]\n      cluster-name = \"x\"\n      [settings.kubernetes.node-labels]\n      a = \"b\"\n      [settings.host-containers.admin]\n      enabled = true\n",
    ),
    (
        "pod_identity_on_fargate",
        "fargateOnly: true\nserviceAccounts:\n  - {name: a, namespace: b, podIdentity: true}\n",
    ),
    (
        "fargate_name_of_eks",
        "fargateOnly: true\nfargateProfiles:\n  - {name: eks-a, selectors: [{namespace: b}]}\n",
    ),
    ("retention", "network: {flowLogs: {retentionDays: 100}}\n"),
    ("existing_and_made", "network:\n  nat: none\n  existing: {vpcId: vpc-1, privateSubnetIds: []}\n"),
    ("key_and_rotation", "encryption: {keyArn: nokey, rotationDays: 10}\n"),
    (
        "key_of_another_region",
        "state: {keyArn: 'arn:aws:kms:eu-west-1:123456789012:key/1'}\nencryption: {keyArn: 'arn:aws:kms:us-east-1:123456789012:key/2'}\n",
    ),
    ("world", "cluster: {endpoint: {publicCidrs: [0.0.0.0/0]}}\n"),
    ("world_in_halves", "cluster: {endpoint: {publicCidrs: [0.0.0.0/1, 128.0.0.0/1]}}\n"),
    ("world_v6_in_halves", "cluster: {endpoint: {publicCidrs: [\"::/1\", \"8000::/1\", myip]}}\n"),
    ("overlapping_services", "network: {cidr: 172.20.0.0/16}\ncluster: {serviceCidr: 172.20.0.0/20}\n"),
    ("min_over_max", "nodeGroups: [{name: a, min: 5, max: 2}, {name: a}]\n"),
    (
        "taints",
        "nodeGroups:\n  - name: a\n    taints:\n      - {key: -dedicated, value: my pool, effect: NoSchedule}\n      - {key: Example.com/a, effect: NoExecute}\n      - {key: b, effect: NoSchedule}\n      - {key: b, value: c, effect: NoSchedule}\n      - {key: b, effect: NoExecute}\n",
    ),
    ("labels", "nodeGroups: [{name: a, labels: {a b: c, kubernetes.io/d: e, f: -g}}]\n"),
    ("wrong_architecture", "nodeGroups: [{name: a, instanceTypes: [m7g.large, g4dn.xlarge]}]\n"),
    ("fargate_alone", "fargateProfiles: [{name: a, selectors: [{namespace: a}]}]\n"),
    ("unset_variable", "tags: {owner: \"${ABSENT}\"}\n"),
    ("variable_without_end", "tags: {owner: \"${ABSENT\"}\n"),
    ("credential_in_a_tag", "tags: {owner: \"${AWS_SESSION_TOKEN}\"}\n"),
    ("secret_stays_hidden", "network: {nat: \"${HIDDEN}\"}\n"),
    ("secret_of_wrong_type", "network: {zones: \"${HIDDEN}\", endpoints: \"${HIDDEN}\"}\n"),
    (
        "secret_in_invalid_values",
        "@name: \"${HIDDEN}\"\nregion: \"${HIDDEN}\"\ntags: {a: \"${HIDDEN}\"}\napp: {namespace: \"x-${HIDDEN}\", path: \"/${HIDDEN}\"}\n",
    ),
    ("disk_out_of_range", "nodeGroups: [{name: a, diskGiB: 4, desired: 9, max: 3}]\n"),
    ("escape_in_text", "network: {nat: \"\\e[31mred\"}\n"),
    (
        "long_line",
        "network: {endpoints: [s3, ec2, ecr.api, ecr.dkr, eks, logs, sts, ssm, kms, sqs, sns, elasticloadbalancing, autoscalling]}\n",
    ),
    ("two_values", "parameters: [{name: /a, value: b, secret: {env: C}}]\n"),
    ("path_above", "app: {path: ../other, port: 70000}\n"),
    (
        "app_pods",
        "app:\n  replicas: 4\n  maxReplicas: 3\n  command: []\n  health: {startup: health, live: /a b, ready: TCP}\n  resources: {cpu: 0.0001, memory: 128m, memoryLimit: 1GB}\n",
    ),
    ("app_memory_over_its_limit", "app: {resources: {memory: 512Mi}}\n"),
    ("app_health_slip", "app: {health: {readiness: /ready}}\n"),
    (
        "app_hosts",
        "app: {hosts: [shop.example.com, '*', Shop.example.com, 'a.*.com', 203.0.113.7, shop.example.com]}\n",
    ),
    ("app_hosts_on_nlb", "app: {ingress: nlb, hosts: [shop.example.com]}\n"),
    (
        "app_certificate_without_balancer",
        "app: {ingress: none, certificateArn: 'arn:aws:acm:eu-central-1:123456789012:certificate/1'}\n",
    ),
    (
        "app_certificate_of_another_region",
        "account: \"123456789012\"\napp: {certificateArn: 'arn:aws:acm:us-east-1:210987654321:certificate/1'}\n",
    ),
    (
        "app_certificate_of_another_partition",
        "app: {certificateArn: 'arn:aws-cn:acm:eu-central-1:123456789012:certificate/1'}\n",
    ),
    (
        "app_certificate_of_another_service",
        "app: {certificateArn: 'arn:aws:iam::123456789012:server-certificate/a'}\n",
    ),
    ("app_certificate_without_id", "app: {certificateArn: 'arn:aws:acm:eu-central-1:1234:certificate/'}\n"),
    (
        "app_secrets",
        "parameters: [{name: /shop/password, secret: {env: A}}]\napp:\n  env: {BOTH: x}\n  secrets: {1ST: /shop/password, BOTH: /shop/password, PORT: /shop/password, SLIP: /shop/pasword, OTHER: /else}\n",
    ),
    ("path_outside", "app: {path: ../other, namespace: Demo}\n"),
];

/// The error of a file that is refused within a second of a processor.
fn refused(name: &str, bytes: &[u8]) -> String {
    let began = thread_time();
    let error = load(bytes).expect_err(name).to_string();
    let took = thread_time().saturating_sub(began);
    assert!(took < Duration::from_secs(1), "{name} took {took:?} of a processor");
    error
}

#[test]
fn each_bad_file_gets_an_error_that_helps() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../stack_files/snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for (name, text) in BAD {
            let text = text.strip_prefix('@').map_or_else(|| format!("{HEAD}{text}"), str::to_owned);
            let error = refused(name, text.as_bytes());
            assert!(!error.contains("hunter2"), "{name} shows a variable's value");
            assert!(!error.contains('\x1b'), "{name} steers the terminal");
            insta::assert_snapshot!(*name, error);
        }
    });
}

#[test]
fn files_made_to_hurt_are_refused_in_time() {
    let bomb = {
        let mut text = format!("{HEAD}a: &a [x,x,x,x,x,x,x,x,x]\n");
        for (last, next) in ('a'..'i').zip('b'..='i') {
            text.push_str(&format!("{next}: &{next} [{}]\n", vec![format!("*{last}"); 9].join(",")));
        }
        text.into_bytes()
    };
    let deep = format!("{HEAD}tags: {}x{}\n", "[".repeat(10_000), "]".repeat(10_000)).into_bytes();
    let deep_blocks = (0..10_000)
        .fold(HEAD.to_owned(), |text, n| format!("{text}{}k:\n", " ".repeat(n % 900)))
        .into_bytes();
    let big = [HEAD.as_bytes(), "# ".repeat(5 << 20).as_bytes()].concat();
    let wide = format!("{HEAD}tags:\n{}", (0..30_000).map(|n| format!("  k{n}: v\n")).collect::<String>())
        .into_bytes();
    let not_text = [HEAD.as_bytes(), b"tags: {a: \xff\xfe}\n"].concat();
    let zeros = vec![0_u8; 1000];
    for (name, bytes) in [
        ("bomb", bomb),
        ("deep", deep),
        ("blocks", deep_blocks),
        ("big", big),
        ("wide", wide),
        ("latin", not_text),
        ("zeros", zeros),
    ] {
        let error = refused(name, &bytes);
        assert!(error.len() < 2000, "{name}: {error}");
    }
}

#[test]
fn every_field_of_the_reference_file_is_read() {
    let stack =
        load(include_bytes!("../stack_files/good/full.yaml")).unwrap_or_else(|error| panic!("{error}"));
    let network = stack.network.as_ref().unwrap();
    assert_eq!((network.nat, network.flow_logs.settings().unwrap().retention_days), (Nat::PerZone, 400));
    assert_eq!((stack.encryption.rotation_days, stack.encryption.deletion_window_days), (180, 14));
    let group = &stack.node_groups[0];
    assert_eq!((group.desired, group.disk_gib, group.labels["pool"].as_str()), (Some(3), 40, "general"));
    assert_eq!(stack.apps[0].env["DEMO_API_RESPONSE"], "Welcome to ReaQta API");
    assert_eq!(stack.cluster.as_ref().unwrap().addons.len(), 2);
    let app = &stack.apps[0];
    assert_eq!((app.max_replicas(), app.secrets["DB_PASSWORD"].as_str()), (9, "/shop/password"));
}

#[test]
fn what_the_file_does_not_say_takes_its_default() {
    let alone = load(format!("{HEAD}network: {{}}\n").as_bytes()).unwrap();
    let network = alone.network.unwrap();
    assert_eq!(
        (network.cidr.to_string().as_str(), network.zones, network.nat),
        ("10.0.0.0/16", Zones::Count(3), Nat::Single)
    );
    assert_eq!((network.endpoints, alone.cluster), (Endpoints::Auto, None));
    assert!(load(HEAD.as_bytes()).unwrap().is_empty());
    let whole = load(format!("{HEAD}cluster: {{}}\napp: {{}}\n").as_bytes()).unwrap();
    assert!(whole.network.is_some() && whole.cluster.is_some());
    assert_eq!(whole.node_groups.iter().map(|group| group.name.as_str()).collect::<Vec<_>>(), ["default"]);
    let none = load(format!("{HEAD}nodeGroups: []\n").as_bytes()).unwrap();
    assert!(none.node_groups.is_empty() && none.cluster.is_some());
}

#[test]
fn variables_become_values_and_never_structure() {
    let text = format!("{HEAD}network:\n  zones: ${{COUNT:-2}}\ntags:\n  a: \"$${{X}}\"\n");
    let stack = load(text.as_bytes());
    assert!(stack.unwrap_err().to_string().contains("invalid tag"), "the braces are literal");
    let stack = load(format!("{HEAD}network:\n  zones: ${{COUNT:-2}}\n").as_bytes()).unwrap();
    assert_eq!(stack.network.unwrap().zones, Zones::Count(2));
    let stack = load(format!("{HEAD}app:\n  env:\n    A: ${{HIDDEN}}\n").as_bytes()).unwrap();
    assert_eq!(stack.apps[0].env["A"], "hunter2: [");
}

#[test]
fn the_schema_describes_each_field_and_marks_the_neutral_ones() {
    fn walk(schema: &serde_json::Value, path: &str, bare: &mut Vec<String>, neutral: &mut Vec<String>) {
        if let Some(properties) = schema.get("properties").and_then(serde_json::Value::as_object) {
            assert_eq!(schema.get("additionalProperties"), Some(&false.into()), "{path} takes anything");
            for (name, field) in properties {
                let path = format!("{path}.{name}");
                let description = field.get("description").and_then(serde_json::Value::as_str);
                if description.is_none_or(|text| text.contains('\n')) {
                    bare.push(path.clone());
                }
                if field.get("x-plan-neutral") == Some(&true.into()) {
                    neutral.push(path);
                }
            }
        }
    }
    let schema = stack::schema();
    let (mut bare, mut neutral) = (Vec::new(), Vec::new());
    walk(&schema, "", &mut bare, &mut neutral);
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        walk(definition, name, &mut bare, &mut neutral);
    }
    neutral.sort();
    assert_eq!(bare, Vec::<String>::new());
    assert_eq!(
        neutral,
        [".account", ".extends", ".protect", "App.rollback", "Endpoint.allowWorld", "NodeGroup.forceUpdate"]
    );
}

/// An editor must not ask for a name in a file whose base has it.
#[test]
fn the_schema_requires_name_and_region_unless_the_file_extends_another() {
    let schema = jsonschema::validator_for(&stack::schema()).unwrap();
    let valid = |value: serde_json::Value| schema.is_valid(&value);
    assert!(valid(serde_json::json!({"name": "a", "region": "eu-central-1"})));
    assert!(valid(serde_json::json!({"extends": "base.yaml", "name": "a"})));
    assert!(!valid(serde_json::json!({"name": "a"})));
    assert!(!valid(serde_json::json!({})));
    assert!(!valid(serde_json::json!({"extends": "base.yaml", "nmae": "a"})));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "[a-z{}\\[\\]:,&*!|>'\"$# \\n-]{0,120}") {
        let _ = load(&bytes);
        let _ = load(format!("{HEAD}{text}").as_bytes());
    }
}
