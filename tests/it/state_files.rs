//! States as programs of this and of earlier versions wrote them, read for ever; and states that no
//! run may act on, which the real binary refuses and leaves as they are.

use crate::common::Provider;
use provisioner::model::{Address, Intent, Owner, Phase, Snapshot, SnapshotError, Stage};
use serde_json::{Value, json};

/// One file a form that was ever written. They are never changed; a new form adds one.
macro_rules! golden {
    ($name:literal) => {
        include_bytes!(concat!("../state_files/", $name, ".json")).as_slice()
    };
}

const ACCOUNT: &str = "123456789012";
const LINEAGE: &str = "ddff35fe-5c84-4a54-b504-c937f3f64921";

/// The state of a file, which says what the bytes say, no less and no more.
#[track_caller]
fn read(bytes: &[u8]) -> Snapshot {
    let mut snapshot = Snapshot::decode(bytes).unwrap();
    let again = snapshot.encode().unwrap();
    assert_eq!(String::from_utf8(again).unwrap(), String::from_utf8(bytes.to_vec()).unwrap());
    snapshot.belongs_to("shop", ACCOUNT, "eu-central-1").unwrap();
    assert_eq!(snapshot.owner(), Owner { stack: "shop".into(), lineage: LINEAGE.into() });
    snapshot
}

#[test]
fn a_fresh_state() {
    let state = read(golden!("fresh"));
    assert_eq!((state.schema, state.version, state.epoch, state.phase), (1, 1, 1, Phase::Live));
    assert_eq!((state.previous.as_str(), state.resources.len(), state.intents.len()), ("", 0, 0));
    assert_eq!(state.outputs["zones"], json!(["eu-central-1a", "eu-central-1b"]));
}

#[test]
fn a_state_in_which_one_node_group_replaces_another() {
    let state = read(golden!("retired"));
    assert_eq!((state.schema, state.resources.len()), (2, 2));
    let (new, old) =
        (Address::from("cluster/node-group/main"), Address::from("cluster/node-group/main#main"));
    assert_eq!((state.is_retired(&new), state.is_retired(&old)), (false, true));
    assert_eq!(state.resources[&new].live["name"], "main-0a1b2");
    assert!(state.resources[&old].leaving);
}

#[test]
fn a_state_in_the_midst_of_things() {
    let state = read(golden!("interrupted"));
    assert_eq!((state.version, state.epoch), (22, 3));
    assert_eq!(state.previous, "ff6a9f31035fe12f33ed9a2ba8172fded54147fdd91b636b108c0d7ff2e9f7f2");
    assert_eq!((state.resources.len(), state.intents.len()), (18, 2));
    assert_eq!(state.outputs["duration/nat_gateway"], 104);

    let subnet = &state.resources["network/subnet/private-eu-central-1a"];
    assert_eq!((subnet.kind.as_str(), subnet.stage, subnet.leaving), ("subnet", Stage::Network, false));
    assert_eq!(subnet.dependencies.iter().map(Address::as_str).collect::<Vec<_>>(), ["network/vpc"]);
    assert_eq!(subnet.spec["vpc"], state.resources["network/vpc"].live["id"]);
    assert_eq!(state.resources["network/vpc"].spec["tags"]["owner"], "Größe \"42\" \u{2028} \u{1f600}");
    assert!(state.resources["network/endpoint/s3"].leaving);

    let [made, open] = ["eu-central-1a", "eu-central-1b"]
        .map(|zone| &state.intents[format!("network/nat-gateway/{zone}").as_str()]);
    assert_eq!((made.made, open.made, open.signed_at), (true, false, 1_795_252_014));
    assert_eq!((open.kind.as_str(), open.dependencies.len()), ("nat_gateway", 4));
    // The token is made as it was when the call went out: else it could not be repeated.
    let address = "network/nat-gateway/eu-central-1b".into();
    assert_eq!(open.token, Intent::token(LINEAGE, &address, &open.nonce));
    assert_eq!(
        (open.process.host.as_str(), open.process.pid, open.process.started),
        ("laptop", 4711, 52_500)
    );
    assert_eq!(open.request["allocation"], "eipalloc-50cc6e2310e9f6416");
}

#[test]
fn a_state_that_says_who_wrote_it_and_when() {
    let writer = read(golden!("writer")).writer;
    assert_eq!(writer.by, "ada@laptop: provisioner up --yes");
    assert_eq!(writer.at, "2026-11-21T09:06:54Z");
    assert_eq!(writer.tool, "provisioner 0.1.0");
}

#[test]
fn a_state_from_before_it_said_so() {
    let state = read(golden!("before_by_and_at"));
    assert_eq!((state.writer.by.as_str(), state.writer.at.as_str()), ("", ""));
    assert_eq!((state.version, state.epoch, state.phase), (7, 400, Phase::Destroying));
}

#[test]
fn a_state_with_an_update_that_aws_carries_out() {
    let state = read(golden!("updating"));
    assert_eq!(state.schema, 2);
    let entry = &state.resources["network/endpoint/s3"];
    assert_eq!(entry.update.as_deref(), Some("7a9bd0d6-2f4e-3c55-9a3e-0f1d6c8b2e11"));
}

#[test]
fn a_tombstone() {
    let state = read(golden!("tombstone"));
    assert_eq!((state.version, state.phase), (50, Phase::Destroyed));
    assert!(state.resources.is_empty() && state.intents.is_empty());
}

#[test]
fn a_state_that_remembers_creates_without_an_answer() {
    let state = read(golden!("abandoned"));
    assert_eq!((state.schema, state.version, state.resources.len()), (2, 9, 0));
    assert_eq!(state.abandoned["6b1a0f0e-58a5-4a57-8f61-1f7f7a1d2c90"].as_str(), "network/vpc");
    // Without them the document has the older form, which older programs read.
    let mut older = state.clone();
    older.abandoned.clear();
    assert!(String::from_utf8(older.encode().unwrap()).unwrap().contains("\"schema\": 1"));
}

/// The file, changed as by a program that knows how to seal it.
fn sealed(bytes: &[u8], change: impl FnOnce(&mut Snapshot)) -> Vec<u8> {
    let mut snapshot = Snapshot::decode(bytes).unwrap();
    change(&mut snapshot);
    snapshot.encode().unwrap()
}

/// The file, changed as by an editor.
fn edited(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = std::str::from_utf8(bytes).unwrap();
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1).into_bytes()
}

const RESTORE: &str = "nothing was changed; list older versions with `provisioner state history`, restore one with `provisioner state rollback`";
const CHECK: &str = "check the account, the region and the stack's name";

/// Name, object, reason, and what to do.
fn untrusted() -> Vec<(&'static str, Vec<u8>, &'static str, &'static str)> {
    let state = golden!("interrupted");
    let newer =
        edited(&edited(state, "\"schema\": 1", "\"schema\": 9"), "provisioner 0.1.0", "provisioner 9.0.0");
    vec![
        ("truncated", state[..state.len() / 2].to_vec(), "the state cannot be read: EOF", RESTORE),
        (
            "without its last byte",
            state[..state.len() - 1].to_vec(),
            "the state cannot be read: EOF",
            RESTORE,
        ),
        ("emptied", Vec::new(), "the state is empty where there was one", RESTORE),
        ("blank", b"\n \n".to_vec(), "the state is empty where there was one", RESTORE),
        (
            "edited",
            edited(state, "\"cidr\": \"10.0.0.0/16\"", "\"cidr\": \"10.1.0.0/16\""),
            "it was edited by hand or damaged",
            RESTORE,
        ),
        (
            "with a field too many",
            edited(state, "\"schema\": 1,", "\"schema\": 1, \"note\": \"mine\","),
            "the state cannot be read: unknown field `note`",
            RESTORE,
        ),
        ("an error page", b"<html>502 Bad Gateway</html>".to_vec(), "the state cannot be read: ", RESTORE),
        (
            "newer",
            newer,
            "the state has schema 9, written by a newer provisioner (provisioner 9.0.0); this one reads up to 2",
            "upgrade provisioner to that version or a newer one",
        ),
        (
            "another account's",
            sealed(state, |state| state.account = "999999999999".into()),
            "the state belongs to stack shop in account 999999999999, region eu-central-1",
            CHECK,
        ),
        (
            "another region's",
            sealed(state, |state| state.region = "us-east-1".into()),
            "the state belongs to stack shop in account 123456789012, region us-east-1",
            CHECK,
        ),
        (
            "another stack's",
            sealed(state, |state| state.stack = "shop-2".into()),
            "the state belongs to stack shop-2 in account 123456789012, region eu-central-1",
            CHECK,
        ),
    ]
}

#[test]
fn each_is_refused_for_its_own_reason() {
    for (name, bytes, reason, _) in untrusted() {
        let error = match Snapshot::decode(&bytes) {
            Ok(state) => state.belongs_to("shop", ACCOUNT, "eu-central-1").unwrap_err(),
            Err(error) => error,
        };
        assert!(error.to_string().contains(reason), "{name}: {error}");
    }
    // What reads as a newer one is called so, whatever else is wrong with it.
    let odd = br#"{"schema": 9, "stack": {}, "digest": null, "writer": {"tool": "p 2", "who": []}}"#;
    assert_eq!(Snapshot::decode(odd), Err(SnapshotError::Newer(9, "p 2".into())));
}

const STACK: &str =
    "name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: none, endpoints: [s3], flowLogs: false}\n";

/// Calls that change something, the sandbox's log being `log`.
fn writes(log: &Value) -> Vec<String> {
    let reads = ["Get", "Describe", "List", "Head", "Simulate", "BatchGet"];
    let calls = log.as_array().unwrap().iter();
    let calls =
        calls.filter(|call| !reads.iter().any(|read| call["action"].as_str().unwrap().starts_with(read)));
    calls
        .map(|call| format!("{}:{}", call["service"].as_str().unwrap(), call["action"].as_str().unwrap()))
        .collect()
}

const OBJECT: &str = "
s3, place = client('s3'), {'Bucket': 'provisioner-123456789012-eu-central-1', 'Key': 'shop/state.json'}
def put(body):
    'As anybody who is allowed to write at all has to: over the version that is there.'
    there = [o for o in s3.list_objects_v2(Bucket=place['Bucket']).get('Contents', []) if o['Key'] == place['Key']]
    s3.put_object(**place, Body=body, **({'IfMatch': there[0]['ETag']} if there else {'IfNoneMatch': '*'}))
def seen():
    versions = s3.list_object_versions(Bucket=place['Bucket'], Prefix=place['Key'])
    body = s3.get_object(**place)
    return {'etag': body['ETag'], 'body': body['Body'].read().hex(), 'versions': len(versions['Versions']),
        'markers': len(versions.get('DeleteMarkers', []))}
def log():
    return json.loads(urllib.request.urlopen(e + '/_ext/log').read())
def forget():
    urllib.request.urlopen(urllib.request.Request(e + '/_ext/log', method='DELETE'))
def lease():
    return client('dynamodb').get_item(TableName='provisioner-lock', Key={'stack': {'S': 'shop'}},
        ConsistentRead=True).get('Item', {})
";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_state_that_cannot_be_trusted_is_refused_and_touched_by_nothing() {
    let world = Provider::new(STACK);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    for (name, bytes, reason, hint) in untrusted() {
        let before = world.boto3(&format!(
            "{OBJECT}\nput(bytes.fromhex('{}'))\nbefore = seen()\nforget()\nprint(json.dumps(before))",
            hex(&bytes)
        ));
        for command in
            [&["plan", "--sandbox"][..], &["up", "--sandbox", "--yes"], &["down", "--sandbox", "--yes"]]
        {
            let ended = world.run(command).with(3);
            for part in ["s3://provisioner-123456789012-eu-central-1/shop/state.json: ", reason, hint] {
                assert!(ended.err.contains(part), "{name}, {command:?}: no `{part}` in\n{}", ended.err);
            }
        }
        let after = world.boto3(&format!("{OBJECT}\nprint(json.dumps([seen(), log(), lease()]))"));
        assert_eq!(after[0], before, "{name}");
        assert_eq!(after[0]["body"], hex(&bytes), "{name}");
        // Taken and given back, by `up` and by `down`.
        assert_eq!(writes(&after[1]), ["dynamodb:UpdateItem"; 4], "{name}");
        assert_eq!(after[2]["owner"], Value::Null, "{name}: the lease is still held");
    }
    // Machines are told the same.
    let plan = world.run(&["plan", "--sandbox", "--json"]).with(3);
    let error = &plan.lines("error")[0];
    assert_eq!((&error["class"], &error["hint"]), (&json!("refused"), &json!(CHECK)));
}

#[test]
fn an_old_state_is_gone_on_from_though_the_lock_table_is_new() {
    let old = golden!("before_by_and_at");
    let world = Provider::new(STACK);
    // A backend with a state of fence 400, and a table that knows none.
    world.run(&["up", "--sandbox", "--yes", "--target", "network/vpc"]).with(0);
    world.run(&["down", "--sandbox", "--yes"]).with(0);
    world.boto3(&format!(
        "{OBJECT}\nput(bytes.fromhex('{}'))\nclient('dynamodb').delete_item(TableName='provisioner-lock', \
            Key={{'stack': {{'S': 'shop'}}}})\nforget()\nprint('null')",
        hex(old)
    ));
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let after = world.boto3(&format!("{OBJECT}\nprint(json.dumps([seen(), log(), lease()]))"));
    let table = writes(&after[1]).iter().filter(|call| *call == "dynamodb:UpdateItem").count();
    assert!(table <= 6, "{table} calls to find a fence");
    assert_eq!(after[2]["fence"]["N"], "401");
    let body = after[0]["body"].as_str().unwrap();
    let bytes: Vec<u8> =
        (0..body.len()).step_by(2).map(|at| u8::from_str_radix(&body[at..at + 2], 16).unwrap()).collect();
    let state = Snapshot::decode(&bytes).unwrap();
    assert_eq!((state.lineage.as_str(), state.epoch), (LINEAGE, 401));
    assert!(state.version > 8 && state.resources.len() > 5, "{} {}", state.version, state.resources.len());
    let chained = world.boto3(&format!(
        "{OBJECT}
import hashlib
versions = s3.list_object_versions(Bucket=place['Bucket'], Prefix=place['Key'])['Versions']
bodies = [s3.get_object(**place, VersionId=v['VersionId'])['Body'].read() for v in versions]
hashes = {{hashlib.sha256(body).hexdigest(): json.loads(body)['version'] for body in bodies}}
print(json.dumps([hashes.get(json.loads(body)['previous']) for body in bodies if json.loads(body)['epoch'] == 401]))"
    ));
    let mut chained: Vec<u64> = chained.as_array().unwrap().iter().map(|v| v.as_u64().unwrap()).collect();
    chained.sort_unstable();
    assert_eq!(
        chained,
        (7..state.version).collect::<Vec<_>>(),
        "each names the one before, and the first the old one"
    );
}
