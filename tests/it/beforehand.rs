//! What can be known before the first create is said before it, by `plan`, `up` and `doctor`, and nothing is called that
//! writes: given keys, keys that cannot be used, zones of endpoints, places for pods.

use crate::common::{Ended, Provider};
use serde_json::{Value, json};

fn start(stack: &str) -> Provider {
    let world = Provider::new(stack);
    world.sandbox(600);
    world
}

const PLAN: &[&str] = &["plan", "--sandbox"];
const UP: &[&str] = &["up", "--sandbox", "--yes"];
const DOWN: &[&str] = &["down", "--sandbox", "--yes"];

/// How a run ended, and its calls that write: all but those on the lease.
fn writes(world: &Provider, args: &[&str], code: i32) -> (Vec<String>, Ended) {
    world.boto3(
        "urllib.request.urlopen(urllib.request.Request(e + '/_ext/log', method='DELETE')); print('null')",
    );
    let ended = world.run(args).with(code);
    let log = world.boto3("print(urllib.request.urlopen(e + '/_ext/log').read().decode())");
    let name =
        |call: &Value| format!("{}:{}", call["service"].as_str().unwrap(), call["action"].as_str().unwrap());
    let reads = ["Describe", "Get", "List", "Head", "Batch", "Simulate", "Assume"];
    let calls = log.as_array().unwrap().iter().map(name).filter(|call| {
        let action = call.split_once(':').unwrap().1;
        !reads.iter().any(|read| action.starts_with(read)) && call != "dynamodb:UpdateItem"
    });
    (calls.collect(), ended)
}

/// `plan` and `up` refuse with these words, `doctor` fails with them, and nothing is written.
fn refused(world: &Provider, words: &[&str]) {
    for args in [PLAN, UP] {
        let (calls, ended) = writes(world, args, 3);
        assert_eq!(calls, Vec::<String>::new(), "{args:?}");
        for word in words {
            assert!(ended.err.contains(word), "{args:?}: {word}:\n{}", ended.err);
        }
    }
    let (calls, doctor) = writes(world, &["doctor", "--sandbox"], 1);
    assert_eq!(calls, Vec::<String>::new());
    for word in words {
        assert!(doctor.out.contains(word), "doctor: {word}:\n{}\n{}", doctor.out, doctor.err);
    }
}

// Keys that the file gives.

const LOGGED: &str = "name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: none, endpoints: [s3]}\n";

fn with_key(world: &Provider, stack: &str, arn: &str) {
    world.stack(&format!("{stack}encryption: {{keyArn: '{arn}'}}\n"));
}

#[test]
fn a_given_key_that_cannot_encrypt_is_refused_with_its_state_and_the_way_back() {
    let world = start(LOGGED);
    with_key(
        &world,
        LOGGED,
        "arn:aws:kms:eu-central-1:123456789012:key/00000000-1111-2222-3333-444444444444",
    );
    refused(&world, &["does not exist"]);
    let made = |python: &str| {
        let arn = world.boto3(&format!("kms = client('kms')\n{python}\nprint(json.dumps(key['Arn']))"));
        arn.as_str().unwrap().to_owned()
    };
    for (python, words) in [
        (
            "key = kms.create_key(KeySpec='RSA_2048', KeyUsage='ENCRYPT_DECRYPT')['KeyMetadata']",
            &["SYMMETRIC_DEFAULT", "RSA_2048"][..],
        ),
        (
            "key = kms.create_key()['KeyMetadata']\nkms.disable_key(KeyId=key['KeyId'])",
            &["is disabled", "aws kms enable-key"],
        ),
        (
            "key = kms.create_key()['KeyMetadata']\nkms.schedule_key_deletion(KeyId=key['KeyId'])",
            &["deletion is scheduled", "aws kms cancel-key-deletion"],
        ),
    ] {
        with_key(&world, LOGGED, &made(python));
        refused(&world, words);
    }
    // It is said of the file alone.
    with_key(&world, LOGGED, "arn:aws:kms:eu-west-1:123456789012:key/00000000-1111-2222-3333-444444444444");
    let (calls, ended) = writes(&world, PLAN, 3);
    assert!(ended.err.contains("must be a key in the stack's region eu-central-1"), "{}", ended.err);
    assert!(ended.err.contains("encryption.keyArn") && calls.is_empty(), "{}\n{calls:?}", ended.err);
}

/// The statements that the hints name, as a policy for the key together with the default one.
fn advised(errors: &[Value]) -> Vec<Value> {
    let hints = errors.iter().filter_map(|line| line["hint"].as_str());
    let statements = hints.filter_map(|hint| Some(hint.split_once("--policy FILE`: ")?.1));
    statements.flat_map(|text| serde_json::from_str::<Vec<Value>>(&format!("[{text}]")).unwrap()).collect()
}

#[test]
fn what_the_policy_of_a_given_key_lacks_is_refused_with_the_statement_that_is_missing() {
    let file = format!("{LOGGED}nodeGroups: [{{name: main, min: 1, max: 1}}]\n")
        .replace("nat: none, endpoints: [s3]", "nat: single");
    let world = start(&file);
    let key = world.boto3("print(json.dumps(client('kms').create_key()['KeyMetadata']['Arn']))");
    let arn = key.as_str().unwrap();
    with_key(&world, &file, arn);
    refused(&world, &["logs.eu-central-1.amazonaws.com", "AWSServiceRoleForAutoScaling", "kms:CreateGrant"]);
    let plan = world.run(&["plan", "--sandbox", "--json"]).with(3);
    let errors = plan.lines("error");
    let mut addresses: Vec<&str> = errors.iter().filter_map(|line| line["address"].as_str()).collect();
    addresses.sort_unstable();
    assert_eq!(addresses, ["cluster/launch-template/main", "network/flow-log-group"]);

    // Who may not read the policy is told so, and not refused.
    let all = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "kms:GetKeyPolicy", "Resource": arn},
    ]});
    world.configure(&json!({"timeScale": 600, "callerPolicy": [all]}));
    let unread = world.run(PLAN).with(0);
    assert!(
        unread.err.contains("not checked before the run") && unread.err.contains("kms:GetKeyPolicy"),
        "{}",
        unread.err
    );
    world.configure(&json!({"timeScale": 600}));

    // With a grant for Auto Scaling only the statement for CloudWatch Logs is missing.
    world.boto3(&format!(
        "role = 'arn:aws:iam::123456789012:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling'
client('kms').create_grant(KeyId='{arn}', GranteePrincipal=role, Operations=['Encrypt', 'Decrypt', 'DescribeKey',
    'ReEncryptFrom', 'ReEncryptTo', 'GenerateDataKey', 'GenerateDataKeyWithoutPlaintext', 'CreateGrant'])
print('null')"
    ));
    let plan = world.run(&["plan", "--sandbox", "--json"]).with(3);
    let left = plan.lines("error");
    assert!(left.iter().all(|line| line["address"] != "cluster/launch-template/main"), "{left:?}");
    assert!(left.iter().any(|line| line["address"] == "network/flow-log-group"), "{left:?}");

    // What the hints say is enough.
    let policy = json!({"Version": "2012-10-17", "Statement": advised(&errors)});
    assert_eq!(policy["Statement"].as_array().unwrap().len(), 3, "{policy}");
    world.boto3(&format!(
        "kms = client('kms')
for grant in kms.list_grants(KeyId='{arn}')['Grants']:
    kms.revoke_grant(KeyId='{arn}', GrantId=grant['GrantId'])
policy = json.loads(kms.get_key_policy(KeyId='{arn}', PolicyName='default')['Policy'])
policy['Statement'] += json.loads({:?})
kms.put_key_policy(KeyId='{arn}', PolicyName='default', Policy=json.dumps(policy))
print('null')",
        policy["Statement"].to_string()
    ));
    world.run(UP).with(0);
    let active = world.boto3(
        "print(json.dumps(client('eks').describe_nodegroup(clusterName='shop', nodegroupName='main')['nodegroup']['status']))",
    );
    assert_eq!(active, "ACTIVE");
    // An unchanged plan reads neither the policy nor the grants.
    let calls = world.calls(PLAN);
    assert!(!calls.iter().any(|call| call == "kms:ListGrants"), "{calls:?}");
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
}

#[test]
fn the_printed_policy_lets_a_given_key_be_checked() {
    let world = start(LOGGED);
    let key = world.boto3("print(json.dumps(client('kms').create_key()['KeyMetadata']['Arn']))");
    with_key(&world, LOGGED, key.as_str().unwrap());
    let printed = |args: &[&str]| -> Value { serde_json::from_str(&world.run(args).with(0).out).unwrap() };
    let documents = [printed(&["policy", "--sandbox"]), printed(&["policy", "--sandbox", "--bootstrap"])];
    world.configure(&json!({"timeScale": 600, "callerPolicy": documents}));
    let plan = world.run(PLAN).with(3);
    assert!(plan.err.contains("logs.eu-central-1.amazonaws.com"), "{}", plan.err);
    // Quotas are no part of the policy.
    let unchecked =
        plan.err.lines().filter(|line| line.starts_with("not checked") && !line.contains("Quota"));
    assert_eq!(unchecked.count(), 0, "{}", plan.err);
}

// Keys that cannot be used any more.

/// Python that does something to the key behind an alias.
fn to_key(alias: &str, what: &str) -> String {
    format!(
        "kms = client('kms')\n\
         key = [a for a in kms.list_aliases()['Aliases'] if {alias:?} in a['AliasName']][0]['TargetKeyId']\n\
         kms.{what}\nprint(json.dumps(key))"
    )
}

const STATES: [(&str, &str, &str); 2] = [
    ("disable_key(KeyId=key)", "is disabled", "aws kms enable-key --key-id"),
    ("schedule_key_deletion(KeyId=key)", "deletion is scheduled", "aws kms cancel-key-deletion --key-id"),
];

/// Each state of a key is refused by each of these commands.
fn unusable(world: &Provider, alias: &str, address: &str, commands: &[&[&str]]) {
    world.run(UP).with(0);
    world.configure(&json!({"timeScale": 600, "keyCache": 0}));
    for (change, state, remedy) in STATES {
        let key = world.boto3(&to_key(alias, change));
        let remedy = format!("{remedy} {}", key.as_str().unwrap());
        for args in commands {
            let (calls, ended) = writes(world, args, 3);
            assert_eq!(calls, Vec::<String>::new(), "{args:?}");
            for word in [address, state, &remedy] {
                assert!(ended.err.contains(word), "{args:?}: {word}:\n{}", ended.err);
            }
        }
        let doctor = world.run(&["doctor", "--sandbox"]).with(1);
        assert!(doctor.out.contains(state) && doctor.out.contains(&remedy), "{}", doctor.out);
    }
}

#[test]
fn an_unusable_key_of_the_backend_is_refused_with_its_state_and_the_way_back() {
    let world = start("name: shop\nregion: eu-central-1\nparameters: [{name: /shop/motd, value: hello}]\n");
    let alias = "provisioner-";
    unusable(&world, alias, "backend/key", &[PLAN, UP, DOWN, &["status", "--sandbox"]]);
    world.boto3(&to_key(alias, "cancel_key_deletion(KeyId=key)\nkms.enable_key(KeyId=key)"));
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    world.run(DOWN).with(0);
}

#[test]
fn an_unusable_key_of_a_secret_parameter_is_refused_with_its_state_and_the_way_back() {
    let file = "name: shop\nregion: eu-central-1\nparameters: [{name: /shop/token, secret: {file: token}}]\n";
    let world = start(file);
    std::fs::write(world.path().join("token"), "correct horse").unwrap();
    let alias = "alias/provisioner/shop";
    unusable(&world, alias, "network/key", &[PLAN, UP]);
    world.boto3(&to_key(alias, "cancel_key_deletion(KeyId=key)\nkms.enable_key(KeyId=key)"));
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    // To delete the parameter, its value need not be read.
    world.boto3(&to_key(alias, "disable_key(KeyId=key)"));
    world.run(DOWN).with(0);
    let left = "print(json.dumps(client('ssm').describe_parameters()['Parameters']))";
    assert_eq!(world.boto3(left), json!([]));
}

// Zones of interface endpoints.

const CLOSED: &str = "name: shop\nregion: eu-central-1\nnetwork: {zones: 3, nat: none, flowLogs: false, endpoints: [s3, sts, eks-auth]}\n";

/// How many subnets each interface endpoint has.
fn subnets(world: &Provider) -> Value {
    world.boto3(
        "found = client('ec2').describe_vpc_endpoints()['VpcEndpoints']
print(json.dumps({e['ServiceName'].split('.')[-1]: len(e['SubnetIds']) for e in found if e['VpcEndpointType'] == 'Interface'}))",
    )
}

#[test]
fn an_interface_endpoint_is_only_in_zones_with_the_service() {
    let service = "com.amazonaws.eu-central-1.eks-auth";
    let zones = |zones: &[&str]| json!({"timeScale": 600, "endpointZones": {service: zones}});
    let world = start(CLOSED);
    world.configure(&zones(&[]));
    refused(&world, &[service, "any zone of the stack"]);
    world.stack(&CLOSED.replace("eks-auth", "no-such-service"));
    refused(&world, &["network.endpoints[2]", "AWS offers no interface endpoint for `no-such-service`"]);

    world.stack(CLOSED);
    world.configure(&zones(&["eu-central-1a", "eu-central-1b"]));
    let plan = world.run(&["plan", "--sandbox", "--json"]).with(0);
    let changes = plan.lines("change");
    let planned = |address: &str| {
        let change = changes.iter().find(|line| line["address"] == address).unwrap();
        let fields = change["fields"].as_array().unwrap();
        fields.iter().find(|field| field["path"] == "subnets").unwrap()["new"].as_array().unwrap().len()
    };
    assert_eq!((planned("network/endpoint/sts"), planned("network/endpoint/eks-auth")), (3, 2));
    assert!(plan.err.contains("eu-central-1c") || plan.out.contains("eu-central-1c"), "{}", plan.err);
    world.run(UP).with(0);
    assert_eq!(subnets(&world), json!({"sts": 3, "eks-auth": 2}));

    // A zone that AWS adds changes nothing, and is not asked for.
    world.configure(&json!({"timeScale": 600}));
    let calls = world.calls(&["plan", "--sandbox", "--detailed-exitcode"]);
    assert!(!calls.iter().any(|call| call.ends_with("DescribeVpcEndpointServices")), "{calls:?}");
    let saved = world.boto3(
        "s3 = client('s3')\nbucket = s3.list_buckets()['Buckets'][0]['Name']\n\
         s3.delete_object(Bucket=bucket, Key='shop/state.json')\nprint('null')",
    );
    assert_eq!(saved, Value::Null);
    world.run(&["state", "import", "--from-tags", "--sandbox", "--yes"]).with(0);
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    assert_eq!(subnets(&world), json!({"sts": 3, "eks-auth": 2}));

    // An endpoint that is new is in every zone that has its service now.
    world.stack(&CLOSED.replace("eks-auth]", "eks-auth, ec2]"));
    world.run(UP).with(0);
    assert_eq!(subnets(&world), json!({"sts": 3, "eks-auth": 2, "ec2": 3}));
}

#[test]
fn without_the_right_to_ask_for_zones_a_notice_says_so() {
    let world = start(CLOSED);
    let all = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "ec2:DescribeVpcEndpointServices", "Resource": "*"},
    ]});
    world.configure(&json!({"timeScale": 600, "callerPolicy": [all]}));
    let plan = world.run(PLAN).with(0);
    assert!(
        plan.err.contains("not checked") && plan.err.contains("DescribeVpcEndpointServices"),
        "{}",
        plan.err
    );
}

// Places for pods.

const TAINTED: &str = "name: shop\nregion: eu-central-1\n\
    nodeGroups: [{name: batch, taints: [{key: dedicated, value: batch, effect: NoSchedule}]}]\n";

#[test]
fn a_new_cluster_without_a_place_for_coredns_is_refused() {
    let world = start(TAINTED);
    refused(&world, &["coredns", "batch: dedicated=batch:NoSchedule", "nodeGroups[0].taints"]);
    let tolerant = "cluster: {addons: [{name: coredns, configuration: {tolerations: [{key: dedicated, operator: Exists}]}}]}\n";
    world.stack(&format!("{TAINTED}{tolerant}"));
    let plan = world.run(PLAN).with(0);
    assert!(!plan.err.contains("`coredns`") && plan.err.contains("`metrics-server` may"), "{}", plan.err);
    let doctor = world.run(&["doctor", "--sandbox"]).with(0);
    assert!(doctor.out.contains("`metrics-server` may"), "{}", doctor.out);
    // The controller's own manifest tolerates no such taint.
    world.stack(&format!("{TAINTED}{tolerant}controllers: {{clusterAutoscaler: true}}\n"));
    refused(&world, &["Deployment cluster-autoscaler"]);
}

#[test]
fn a_cluster_that_exists_may_have_other_nodes() {
    let world = start(&TAINTED.replace("NoSchedule", "PreferNoSchedule"));
    world.run(UP).with(0);
    world.stack(TAINTED);
    let plan = world.run(PLAN).with(0);
    assert!(plan.err.contains("the add-on `coredns` has no node to run on"), "{}", plan.err);
}

// Objects that the cluster would not accept.

const WIDGET: &str = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: one, namespace: default}\n";

const WIDGETS: &str = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n\
    metadata: {name: widgets.example.com}\nspec:\n  group: example.com\n  scope: Namespaced\n  \
    names: {plural: widgets, singular: widget, kind: Widget, listKind: WidgetList}\n  \
    versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]\n";

#[test]
fn new_objects_that_the_api_server_refuses_are_named() {
    let stack = "name: shop\nregion: eu-central-1\nnetwork: {zones: 2}\ncluster: {}\nnodeGroups: [{name: main}]\n\
        parameters: [{name: /shop/motd, value: hello}]\napp: {ingress: none, manifests: own, replicas: 0}\n";
    let world = start(stack);
    let manifests = |texts: &[&str]| {
        let folder = world.path().join("own");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("all.yaml"), texts.join("---\n")).unwrap();
    };
    let settings = |name: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: default}}\ndata: {{a: b}}\n"
        )
    };
    manifests(&[&settings("first")]);
    world.run(UP).with(0);
    world.stack(&stack.replace("value: hello", "value: goodbye"));
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: far, namespace: default}\n\
        spec: {ports: [{port: 99999}]}\n";
    let slip = settings("slip").replace("\ndata:", "\ndataa:");
    manifests(&[&settings("first"), &settings("second"), service, &slip, WIDGET]);
    refused(
        &world,
        &["service/default/far", "99999", "configmap/default/slip", "dataa", "widget/default/one", "Widget"],
    );
    assert!(!world.run(PLAN).with(3).err.contains("second"), "it is a valid object");
    // The kind comes with the same plan, and so does a namespace.
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: team}\n";
    let inside = settings("inside").replace("namespace: default", "namespace: team");
    manifests(&[&settings("first"), &settings("second"), WIDGETS, WIDGET, namespace, &inside]);
    world.run(UP).with(0);
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
}
