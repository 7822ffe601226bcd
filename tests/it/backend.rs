//! The backend, and what comes before the first create: who creates the key, what `plan` and `doctor` see, when it is
//! deleted, and what is refused before anything is changed. The real binary on the sandbox; boto3 counts.

use crate::common::{Ended, Provider};
use serde_json::{Value, json};
use std::{
    fs,
    process::Child,
    time::{Duration, Instant},
};

const SCALE: u32 = 600;

/// A stack without a network: one parameter, one repository.
fn tiny(name: &str) -> String {
    format!(
        "name: {name}\nregion: eu-central-1\nparameters: [{{name: /{name}/motd, value: hello}}]\n\
         repositories: [{{name: {name}/web}}]\n"
    )
}

fn start(stack: &str) -> Provider {
    let world = Provider::new(stack);
    world.sandbox(SCALE);
    world
}

/// Another folder, on the sandbox of the first.
fn beside(first: &Provider, stack: &str) -> Provider {
    let world = Provider::new(stack);
    let folder = world.path().join("state/sandbox");
    fs::create_dir_all(&folder).unwrap();
    fs::copy(first.path().join("state/sandbox/endpoint.json"), folder.join("endpoint.json")).unwrap();
    world
}

const UP: &[&str] = &["up", "--sandbox", "--yes"];
const DOWN_BACKEND: &[&str] = &["down", "--sandbox", "--yes", "--backend"];

/// The state buckets, the lock tables, and the keys with the backend's tag that can be used.
fn backend(world: &Provider) -> Value {
    world.boto3(
        "kms = client('kms')
def tags(key): return [t['TagKey'] for t in kms.list_resource_tags(KeyId=key)['Tags']]
ids = [k['KeyId'] for k in kms.list_keys()['Keys']]
keys = [kms.describe_key(KeyId=i)['KeyMetadata'] for i in ids if 'provisioner:backend' in tags(i)]
print(json.dumps({
    'buckets': len(client('s3').list_buckets()['Buckets']), 'tables': len(client('dynamodb').list_tables()['TableNames']),
    'keys': len([k for k in keys if k['KeyState'] == 'Enabled']),
}))",
    )
}

fn whole() -> Value {
    json!({"buckets": 1, "tables": 1, "keys": 1})
}

fn none() -> Value {
    json!({"buckets": 0, "tables": 0, "keys": 0})
}

/// Deletes the bucket with all that is in it, as a person with the console can.
const DROP_BUCKET: &str = "s3 = client('s3')
bucket = s3.list_buckets()['Buckets'][0]['Name']
for v in s3.list_object_versions(Bucket=bucket)['Versions']:
    s3.delete_object(Bucket=bucket, Key=v['Key'], VersionId=v['VersionId'])
s3.delete_bucket(Bucket=bucket)
print('null')";

/// How many calls that write were sent since the log was emptied.
fn writes(world: &Provider) -> Vec<String> {
    let log = world.boto3("print(urllib.request.urlopen(e + '/_ext/log').read().decode())");
    let name =
        |call: &Value| format!("{}:{}", call["service"].as_str().unwrap(), call["action"].as_str().unwrap());
    let reads = ["Describe", "Get", "List", "Head", "Simulate"];
    let all = log.as_array().unwrap().iter().map(name);
    all.filter(|call| !reads.iter().any(|verb| call.contains(&format!(":{verb}")))).collect()
}

fn forget_log(world: &Provider) {
    world.boto3(
        "urllib.request.urlopen(urllib.request.Request(e + '/_ext/log', method='DELETE')); print('null')",
    );
}

// The deletion of the backend.

#[test]
fn what_the_backend_still_serves_is_asked_before_anything_is_changed() {
    let one = start(&tiny("one"));
    let two = beside(&one, &tiny("two"));
    one.run(UP).with(0);
    two.run(UP).with(0);
    forget_log(&one);
    let refused = one.run(DOWN_BACKEND).with(3);
    assert!(refused.err.contains("it holds the state of two"), "{}", refused.err);
    assert_eq!(writes(&one), Vec::<String>::new());

    // The other's state is lost; its resources still need the versions that the bucket keeps.
    one.boto3(
        "s3 = client('s3')\nbucket = s3.list_buckets()['Buckets'][0]['Name']\n\
         s3.delete_object(Bucket=bucket, Key='two/state.json')\nprint('null')",
    );
    let refused = one.run(DOWN_BACKEND).with(3);
    assert!(refused.err.contains("provisioner:stack=two"), "{}", refused.err);
    assert_eq!(backend(&one), json!({"buckets": 1, "tables": 1, "keys": 1}));

    two.run(&["state", "import", "--from-tags", "--sandbox", "--yes"]).with(0);
    two.run(&["down", "--sandbox", "--yes"]).with(0);
    one.run(DOWN_BACKEND).with(0);
    assert_eq!(backend(&one), none());
}

#[test]
fn a_stack_with_another_backend_is_no_obstacle() {
    let one = start(&tiny("one"));
    let two = beside(&one, &format!("{}state: {{bucket: another-bucket, table: another}}\n", tiny("two")));
    one.run(UP).with(0);
    two.run(UP).with(0);
    one.run(DOWN_BACKEND).with(0);
    assert_eq!(backend(&one), whole());
    two.run(DOWN_BACKEND).with(0);
    assert_eq!(backend(&one), none());
}

#[test]
fn a_bucket_deleted_by_hand_costs_neither_table_nor_key_and_the_way_back_is_named() {
    let world = start(&tiny("shop"));
    world.run(UP).with(0);
    world.boto3(DROP_BUCKET);
    let way_back = |text: &str| {
        assert!(text.contains("not found, but") && text.contains("provisioner:stack=shop"), "{text}");
        assert!(text.contains("state import --from-tags"), "{text}");
    };
    let status = world.run(&["status", "--sandbox"]).with(0);
    way_back(&status.err);
    assert!(!status.out.contains("does not exist yet"), "{}", status.out);
    way_back(&world.run(&["plan", "--sandbox"]).with(3).err);
    way_back(&world.run(UP).with(3).err);
    let refused = world.run(DOWN_BACKEND).with(3);
    way_back(&refused.err);
    assert!(!refused.err.contains("deleted in"), "{}", refused.err);
    assert_eq!(backend(&world), json!({"buckets": 0, "tables": 1, "keys": 1}));

    world.run(&["state", "import", "--from-tags", "--sandbox", "--yes"]).with(0);
    assert_eq!(backend(&world), whole());
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    world.run(DOWN_BACKEND).with(0);
    assert_eq!(backend(&world), none());
}

#[test]
fn a_bucket_that_another_endpoint_hides_costs_neither_table_nor_key() {
    let world = start(&tiny("shop"));
    let elsewhere = start(&tiny("other"));
    let (here, there) = (world.endpoint(), elsewhere.endpoint());
    let run = |args: &[&str], s3: &str| {
        let mut command = world.command(args);
        command.env("AWS_ACCESS_KEY_ID", "x").env("AWS_SECRET_ACCESS_KEY", "x");
        command.env("AWS_ENDPOINT_URL", &here).env("AWS_ENDPOINT_URL_S3", s3);
        Ended::of(&command.output().unwrap())
    };
    run(&["up", "--yes"], &here).with(0);
    let refused = run(&["down", "--yes", "--backend"], &there).with(3);
    assert!(refused.err.contains("AWS_ENDPOINT_URL_S3"), "{}", refused.err);
    assert!(!refused.err.contains("deleted in"), "{}", refused.err);
    assert_eq!(backend(&world), whole());
    run(&["down", "--yes", "--backend"], &here).with(0);
    assert_eq!(backend(&world), none());
}

#[test]
fn a_key_is_kept_if_its_bucket_was_not_seen() {
    let world = start(&tiny("shop"));
    world.run(UP).with(0);
    world.run(&["down", "--sandbox", "--yes"]).with(0);
    world.boto3(DROP_BUCKET);
    // Another machine: no record tells that the bucket was deleted by this program.
    let other = beside(&world, &tiny("shop"));
    let down = other.run(DOWN_BACKEND).with(0);
    assert!(
        down.err.contains("was not deleted") && down.err.contains("schedule-key-deletion"),
        "{}",
        down.err
    );
    assert!(!down.err.contains("backend/bucket: deleted"), "{}", down.err);
    assert_eq!(backend(&world), json!({"buckets": 0, "tables": 0, "keys": 1}));
}

// One backend, one key.

/// The first runs of six stacks in six folders.
fn six(first: &Provider) -> Vec<Provider> {
    (0..6).map(|n| beside(first, &tiny(&format!("s{n}")))).collect()
}

#[test]
fn six_first_runs_at_once_create_one_bucket_one_table_and_one_key() {
    let world = start(&tiny("none"));
    let folders = six(&world);
    let runs: Vec<Child> = folders.iter().map(|folder| folder.start(UP)).collect();
    for run in runs {
        Ended::of(&run.wait_with_output().unwrap()).with(0);
    }
    assert_eq!(backend(&world), whole());
    for folder in &folders {
        folder.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    }
}

#[test]
fn six_first_runs_killed_at_random_end_with_one_of_each_and_leave_nothing() {
    let world = start(&tiny("none"));
    let folders = six(&world);
    // A fixed sequence, so that a failure comes again.
    let mut dice = 4711_u32;
    let mut roll = |sides: u32| {
        dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (dice >> 16) % sides
    };
    for round in 0..4 {
        if round > 0 {
            world.boto3(
                "urllib.request.urlopen(urllib.request.Request(e + '/_ext/reset', b'', method='POST')); print('null')",
            );
            world.configure(&json!({"timeScale": SCALE}));
            for folder in &folders {
                for entry in fs::read_dir(folder.path().join("state/sandbox")).unwrap() {
                    let path = entry.unwrap().path();
                    let name = path.file_name().unwrap().to_string_lossy().into_owned();
                    if name.starts_with("backend-") || name.starts_with("stack-") {
                        fs::remove_file(path).unwrap();
                    }
                }
            }
        }
        let mut runs: Vec<Child> = folders.iter().map(|folder| folder.start(UP)).collect();
        for _ in 0..5 {
            std::thread::sleep(Duration::from_millis(u64::from(40 + roll(160))));
            let victim = usize::try_from(roll(6)).unwrap();
            runs[victim].kill().unwrap();
        }
        for run in runs {
            let ended = Ended::of(&run.wait_with_output().unwrap());
            assert!(matches!(ended.code, Some(0) | None), "{:?}: {}", ended.code, ended.err);
        }
        let again: Vec<Child> = folders.iter().map(|folder| folder.start(UP)).collect();
        for run in again {
            Ended::of(&run.wait_with_output().unwrap()).with(0);
        }
        assert_eq!(backend(&world), whole(), "round {round}");
    }
    for folder in &folders {
        folder.run(&["down", "--sandbox", "--yes"]).with(0);
    }
    let started = Instant::now();
    folders[3].run(DOWN_BACKEND).with(0);
    assert!(started.elapsed() < Duration::from_mins(5), "{:?}", started.elapsed());
    assert_eq!(backend(&world), none());
}

#[test]
fn a_key_of_an_older_race_is_named_and_nothing_waits_for_it() {
    let world = start(&tiny("shop"));
    world.run(UP).with(0);
    let twin = world.boto3(
        "bucket = client('s3').list_buckets()['Buckets'][0]['Name']
tags = [{'TagKey': 'provisioner:backend', 'TagValue': bucket}, {'TagKey': 'provisioner:resource', 'TagValue': 'backend/key'}]
print(json.dumps(client('kms').create_key(Tags=tags)['KeyMetadata']['KeyId']))",
    );
    let twin = twin.as_str().unwrap();
    let doctor = world.run(&["doctor", "--sandbox"]).with(0);
    assert!(doctor.out.contains(twin), "{}", doctor.out);
    // A machine without a record takes the key of the bucket.
    let other = beside(&world, &tiny("other"));
    other.run(UP).with(0);
    let key = "s3 = client('s3')\nbucket = s3.list_buckets()['Buckets'][0]['Name']\n\
        rule = s3.get_bucket_encryption(Bucket=bucket)['ServerSideEncryptionConfiguration']['Rules'][0]\n\
        print(json.dumps(rule['ApplyServerSideEncryptionByDefault']['KMSMasterKeyID']))";
    assert!(!world.boto3(key).as_str().unwrap().contains(twin));
    other.run(&["down", "--sandbox", "--yes"]).with(0);
    let started = Instant::now();
    let down = world.run(DOWN_BACKEND).with(0);
    assert!(started.elapsed() < Duration::from_mins(5), "{:?}", started.elapsed());
    assert!(down.err.contains(twin), "{}", down.err);
    assert_eq!(backend(&world), json!({"buckets": 0, "tables": 0, "keys": 1}));
}

// What `plan` and `doctor` see of the backend.

#[test]
fn a_plan_shows_what_up_would_restore_in_the_backend_and_a_saved_one_holds_it() {
    let world = start(&tiny("shop"));
    world.run(UP).with(0);
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    let head =
        "s3, db = client('s3'), client('dynamodb')\nbucket = s3.list_buckets()['Buckets'][0]['Name']\n";
    let table = "db.update_table(TableName='provisioner-lock', DeletionProtectionEnabled=False)";
    let drift = [
        (
            "s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={'Status': 'Suspended'})"
                .to_owned(),
            "versioned",
        ),
        ("s3.delete_public_access_block(Bucket=bucket)".to_owned(), "private"),
        ("s3.delete_bucket_lifecycle(Bucket=bucket)".to_owned(), "kept"),
        ("s3.delete_bucket_policy(Bucket=bucket)".to_owned(), "policy"),
        ("s3.delete_bucket_encryption(Bucket=bucket)".to_owned(), "key"),
        (table.to_owned(), "protected"),
        (format!("{table}\ndb.delete_table(TableName='provisioner-lock')"), "backend/table"),
    ];
    for (code, word) in drift {
        world.boto3(&format!("{head}{code}\nprint('null')"));
        let plan = world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(2);
        assert!(plan.out.contains(word), "{word}: {}", plan.out);
        let doctor = world.run(&["doctor", "--sandbox", "--json"]).with(0);
        let checks = doctor.lines("check");
        let check = checks.iter().find(|line| line["name"] == "backend").unwrap();
        assert_eq!(check["state"], "warning", "{check}");
        assert!(check["message"].as_str().unwrap().contains(word), "{check}");
        world.run(UP).with(0);
        world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    }
    // A plan without a change of the backend is not applied to one that differs since.
    let saved = world.path().join("saved.plan").display().to_string();
    world.stack(&tiny("shop").replace("hello", "world"));
    world.run(&["plan", "--sandbox", "--out", &saved]).with(0);
    world.boto3(&format!("{head}s3.delete_public_access_block(Bucket=bucket)\nprint('null')"));
    let refused = world.run(&["up", "--sandbox", "--yes", &saved]).with(3);
    assert!(refused.err.contains("the backend changed since"), "{}", refused.err);
    world.run(&["plan", "--sandbox", "--out", &saved]).with(0);
    world.run(&["up", "--sandbox", "--yes", &saved]).with(0);
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
}

/// S3 replaces all rules at once; the bucket's other rules stay.
#[test]
fn old_versions_are_kept_by_a_rule_beside_those_of_others() {
    let world = start(&tiny("shop"));
    world.run(UP).with(0);
    let rules = || {
        world.boto3(
            "s3 = client('s3')\nbucket = s3.list_buckets()['Buckets'][0]['Name']\n\
             print(json.dumps(s3.get_bucket_lifecycle_configuration(Bucket=bucket)['Rules']))",
        )
    };
    let ours = json!({"ID": "provisioner-old-versions", "Status": "Enabled", "Filter": {"Prefix": ""},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 90, "NewerNoncurrentVersions": 100}});
    assert_eq!(rules(), json!([ours]));
    // Another's rule, and ours with fewer days.
    let theirs = json!({"ID": "uploads", "Status": "Enabled", "Filter": {"Prefix": "shop/"},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}});
    let mut fewer = ours.clone();
    fewer["NoncurrentVersionExpiration"]["NoncurrentDays"] = json!(1);
    world.boto3(&format!(
        "s3 = client('s3')\nbucket = s3.list_buckets()['Buckets'][0]['Name']\nrules = json.loads(r'''{}''')\n\
         s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={{'Rules': rules}})\n\
         print('null')",
        json!([fewer, theirs])
    ));
    let plan = world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(2);
    assert!(plan.out.contains("kept"), "{}", plan.out);
    world.run(UP).with(0);
    assert_eq!(rules(), json!([theirs, ours]));
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
}

// Reads that lag, and answers that say that it is done already.

#[test]
fn second_reads_that_lag_do_not_end_a_first_run() {
    for call in ["ec2:DescribeVpcAttribute", "ec2:DescribeInternetGateways", "ec2:DescribeVpcs"] {
        let world = start("name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: none}\n");
        world.configure(&json!({"timeScale": 60, "faults": [{"on": call, "kind": "stale", "seconds": 2}]}));
        world.run(UP).with(0);
        world.configure(&json!({"timeScale": SCALE}));
        world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    }
}

#[test]
fn an_update_that_was_done_already_is_done() {
    let world = start("name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: single}\n");
    let done = |on: &str, code: &str| json!({"on": on, "kind": "error_after", "times": 1, "code": code, "status": 400, "message": "exists"});
    world.configure(&json!({"timeScale": SCALE, "faults": [
        done("kms:CreateAlias", "AlreadyExistsException"),
        done("ec2:AttachInternetGateway", "Resource.AlreadyAssociated"),
    ]}));
    world.run(UP).with(0);
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
}

// What is refused, and with which words.

/// The error line of an address, and the hint.
fn error(ended: &Ended, address: &str) -> (String, String) {
    let line = ended.lines("error").into_iter().find(|line| line["address"] == address);
    let line = line.unwrap_or_else(|| panic!("{}{}", ended.out, ended.err));
    (line["message"].as_str().unwrap().to_owned(), line["hint"].as_str().unwrap().to_owned())
}

#[test]
fn a_bucket_or_table_of_another_owner_leads_to_the_field_that_names_another() {
    let world = start(&tiny("shop"));
    let plan = ["plan", "--sandbox", "--json"];
    for (status, code) in [(403, 7), (301, 3)] {
        world.configure(&json!({"faults": [
            {"on": "s3:HeadBucket", "kind": "error", "code": "Refused", "status": status, "message": "no"}]}));
        let (message, hint) = error(&world.run(&plan).with(code), "backend/bucket");
        assert!(message.contains("s3://provisioner-123456789012-eu-central-1"), "{message}");
        assert!(hint.contains("`state.bucket`"), "{hint}");
    }
    world.configure(&json!({}));
    world.boto3(
        "where = {'LocationConstraint': 'eu-central-1'}
client('s3').create_bucket(Bucket='provisioner-123456789012-eu-central-1', CreateBucketConfiguration=where)
print('null')",
    );
    let (message, hint) = error(&world.run(&plan).with(3), "backend/bucket");
    assert!(message.contains("provisioner-123456789012-eu-central-1"), "{message}");
    assert!(hint.contains("`state.bucket`") && !hint.contains("rename the stack"), "{hint}");
    world.boto3(
        "client('s3').delete_bucket(Bucket='provisioner-123456789012-eu-central-1')
client('dynamodb').create_table(TableName='provisioner-lock', BillingMode='PAY_PER_REQUEST',
    AttributeDefinitions=[{'AttributeName': 'LockID', 'AttributeType': 'S'}],
    KeySchema=[{'AttributeName': 'LockID', 'KeyType': 'HASH'}])
print('null')",
    );
    let (_, hint) = error(&world.run(&plan).with(3), "backend/table");
    assert!(hint.contains("`state.table`"), "{hint}");
}

#[test]
fn a_clock_that_is_off_is_named() {
    let world = start(&tiny("shop"));
    for (on, code, message) in [
        ("ssm:*", "InvalidSignatureException", "Signature expired: 20261129T100000Z is now earlier than ..."),
        ("ecr:*", "RequestExpired", "Request has expired."),
    ] {
        world.configure(&json!({"timeScale": SCALE, "faults": [
            {"on": on, "kind": "error", "code": code, "status": 400, "message": message}]}));
        let failed = world.run(&["plan", "--sandbox"]).with(7);
        assert!(failed.err.contains("clock") && !failed.err.contains("log in"), "{}", failed.err);
    }
}

#[test]
fn a_throttled_first_read_is_waited_for() {
    let world = start("name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: none}\n");
    for on in ["sts:*", "ec2:DescribeAvailabilityZones", "s3:*"] {
        world.configure(
            &json!({"timeScale": SCALE, "faults": [{"on": on, "kind": "throttle", "seconds": 5}]}),
        );
        let plan = world.run(&["plan", "--sandbox"]).with(0);
        assert!(plan.out.contains("+ network/vpc"), "{}", plan.out);
    }
}

#[test]
fn a_file_that_moved_to_another_region_needs_a_person() {
    let world = start(&tiny("shop"));
    world.run(UP).with(0);
    let moved = tiny("shop").replace("eu-central-1", "eu-west-1");
    world.stack(&moved);
    let warning = "described stack `shop` in eu-central-1 before";
    assert!(world.run(&["plan", "--sandbox"]).with(0).err.contains(warning));
    assert!(world.run(&["doctor", "--sandbox"]).with(0).out.contains(warning));
    forget_log(&world);
    let refused = world.run(UP).with(3);
    assert!(refused.err.contains(warning) && refused.err.contains("delete the record"), "{}", refused.err);
    assert_eq!(writes(&world), Vec::<String>::new());
    world.stack(&tiny("store"));
    assert!(world.run(UP).with(3).err.contains(warning));
    // Both are wanted: the record says so no longer, and both can be worked on.
    fs::remove_file(world.path().join("state/sandbox/stack-shop-eu-central-1-123456789012.json")).unwrap();
    world.run(UP).with(0);
    world.stack(&tiny("shop"));
    world.run(UP).with(0);
    world.run(&["down", "--sandbox", "--yes"]).with(0);
    world.stack(&tiny("store"));
    world.run(&["down", "--sandbox", "--yes"]).with(0);
    // Nothing is left of either: the file may describe another.
    world.stack(&moved);
    world.run(UP).with(0);
}

#[test]
fn a_copy_of_a_state_goes_when_a_later_write_succeeds() {
    let world = start("name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: none}\n");
    world.configure(&json!({"timeScale": SCALE, "faults": [
        {"on": "s3:PutObject", "kind": "lost_request", "match": "shop/state.json", "skip": 4}]}));
    world.run(UP).with(6);
    let copies = || {
        let files = fs::read_dir(world.path().join("state/sandbox")).unwrap();
        files
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("unsaved-"))
            .count()
    };
    assert_eq!(copies(), 1);
    world.configure(&json!({"timeScale": SCALE}));
    world.run(UP).with(0);
    assert_eq!(copies(), 0);
}

// What `up` cannot finish it does not begin.

#[test]
fn an_instance_type_that_does_not_exist_is_refused_before_anything_is_created_or_replaced() {
    let stack = |kind: &str| {
        format!(
            "name: shop\nregion: eu-central-1\nnetwork: {{zones: 2}}\n\
             nodeGroups: [{{name: main, instanceTypes: [{kind}]}}]\n"
        )
    };
    let world = start(&stack("t3.larg"));
    let plan = world.run(&["plan", "--sandbox", "--json"]).with(3);
    let (message, _) = error(&plan, "cluster/node-group/main");
    assert!(message.contains("t3.larg"), "{message}");
    assert!(!plan.lines("change").is_empty() && plan.lines("summary").len() == 1, "{}", plan.out);
    let refused = world.run(UP).with(3);
    assert!(refused.err.contains("t3.larg (group main) is not offered"), "{}", refused.err);
    assert_eq!(writes(&world), Vec::<String>::new());
    assert_eq!(backend(&world), none());

    world.stack(&stack("t3.large"));
    world.run(UP).with(0);
    world.stack(&stack("m99.large"));
    world.run(UP).with(3);
    let groups = "print(json.dumps(client('eks').list_nodegroups(clusterName='shop')['nodegroups']))";
    assert_eq!(world.boto3(groups), json!(["main"]));
    // What the plan leaves alone is not checked.
    world.run(&["up", "--sandbox", "--yes", "--target", "network"]).with(0);
}

#[test]
fn a_quota_that_the_plan_exceeds_is_refused_and_one_that_cannot_be_read_is_a_notice() {
    let world = start("name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: per-zone}\n");
    world.configure(&json!({"timeScale": SCALE, "quotas": {"L-0263D0A3": 1, "L-F678F1CE": 1}}));
    let refused = world.run(&["up", "--sandbox", "--yes", "--json"]).with(3);
    let (message, hint) = error(&refused, "network/vpc");
    assert!(message.contains("VPCs") && hint.contains("L-F678F1CE"), "{message} {hint}");
    assert!(refused.out.contains("elastic IPs"), "{}", refused.out);
    assert_eq!(writes(&world), Vec::<String>::new());
    world.configure(&json!({"timeScale": SCALE, "faults": [
        {"on": "service-quotas:*", "kind": "error", "code": "AccessDeniedException", "status": 400, "message": "no"}]}));
    let up = world.run(UP).with(0);
    assert!(up.err.contains("not checked before the run: VPCs"), "{}", up.err);
}
