//! Whose a resource is, and what it holds: what others own is never changed or deleted, whatever name or tag it has; what a
//! person can undo is reported and left; data is lost only on request.

use crate::common::{Ended, Provider};
use serde_json::{Value, json};

const NETWORK: &str = "name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: none, flowLogs: false}\n";
const PARTS: &str = "name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: none}\n\
    repositories: [{name: team/app}]\nparameters: [{name: /sec/msg, value: hello}]\n";

fn sandbox(stack: &str) -> Provider {
    let world = Provider::new(stack);
    world.sandbox(600);
    world
}

fn up(stack: &str) -> Provider {
    let world = sandbox(stack);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world
}

/// The calls of a run that change something, without those on lease and state.
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
        let (service, action) = call.split_once(':').unwrap();
        !reads.iter().any(|read| action.starts_with(read)) && service != "dynamodb" && call != "s3:PutObject"
    });
    (calls.collect(), ended)
}

/// The error line for this address.
fn refusal(run: &Ended, address: &str) -> Value {
    let found = run.lines("error").into_iter().find(|line| line["address"] == address);
    found.unwrap_or_else(|| panic!("no refusal of {address}:\n{}\n{}", run.out, run.err))
}

/// Python that knows the stack's key.
const KEY: &str = "kms = client('kms')\n\
    key = kms.describe_key(KeyId='alias/provisioner/shop')['KeyMetadata']['KeyId']\n";

#[test]
fn a_disabled_or_scheduled_key_is_reported_and_nothing_happens_to_what_it_encrypts() {
    let world = up(&format!("{PARTS}cluster: {{}}\n"));
    for (state, remedy) in [
        ("disable_key(KeyId=key)", "enable-key"),
        ("schedule_key_deletion(KeyId=key)", "cancel-key-deletion"),
    ] {
        world.boto3(&format!("{KEY}kms.{state}\nprint('null')"));
        let plan = world.run(&["plan", "--sandbox", "--json"]).with(3);
        let said = refusal(&plan, "network/key");
        assert_eq!(said["class"], "refused");
        assert!(said["hint"].as_str().unwrap().contains(remedy), "{said}");
        assert_eq!(plan.lines("summary").len(), 1);
        assert!(
            plan.lines("change").iter().all(|line| line["action"] != "replace" && line["action"] != "delete")
        );
        let (calls, ended) = writes(&world, &["up", "--sandbox", "--yes"], 3);
        assert!(calls.is_empty() && ended.err.contains(remedy), "{calls:?}\n{}", ended.err);
        let doctor = world.run(&["doctor", "--sandbox"]).with(1);
        assert!(doctor.out.contains(remedy), "{}", doctor.out);
        let status = world.run(&["status", "--sandbox"]).with(0);
        assert!(status.out.contains(remedy), "{}", status.out);
    }
    world
        .boto3(&format!("{KEY}kms.cancel_key_deletion(KeyId=key)\nkms.enable_key(KeyId=key)\nprint('null')"));
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
}

/// `down` is the word to delete the key, and says first what that loses and how it is undone.
#[test]
fn a_deletion_tells_what_is_lost_with_a_stopped_key() {
    let world = sandbox(PARTS);
    for (state, words, remedy) in [
        ("disable_key(KeyId=key)", "it is disabled", "enable-key"),
        (
            "schedule_key_deletion(KeyId=key, PendingWindowInDays=9)",
            "scheduled already for",
            "cancel-key-deletion",
        ),
    ] {
        world.run(&["up", "--sandbox", "--yes"]).with(0);
        let key = world.boto3(&format!("{KEY}kms.{state}\nprint(json.dumps(key))"));
        let look = format!(
            "k = client('kms').describe_key(KeyId={key})['KeyMetadata']\n\
             print(json.dumps([k['KeyState'], str(k.get('DeletionDate'))]))"
        );
        let before = world.boto3(&look);
        let down = world.run(&["down", "--sandbox", "--yes"]).with(0);
        let line = down.err.lines().find(|line| line.contains("network/key")).unwrap();
        for text in [words, remedy, "such as snapshots and copies, cannot be read"] {
            assert!(line.contains(text), "no {text}: {line}");
        }
        let first = down.err.find("network/key").unwrap();
        assert!(first < down.err.find("proof: ").unwrap(), "{}", down.err);
        assert!(
            down.err.contains(&format!("cancel-key-deletion --key-id {}", key.as_str().unwrap())),
            "{}",
            down.err
        );
        let after = world.boto3(&look);
        assert_eq!(after[0], "PendingDeletion");
        // What another person scheduled keeps its date.
        assert!(before[0] != "PendingDeletion" || before == after, "{before} {after}");
    }
}

#[test]
fn the_disabled_key_of_the_backend_is_reported_by_plan_doctor_and_up() {
    let world = up(NETWORK);
    world.boto3(
        "kms = client('kms')\nalias = [a for a in kms.list_aliases()['Aliases'] if 'provisioner-' in a['AliasName']][0]\n\
         kms.disable_key(KeyId=alias['TargetKeyId'])\nprint('null')",
    );
    for args in [&["plan", "--sandbox"][..], &["up", "--sandbox", "--yes"]] {
        let (calls, ended) = writes(&world, args, 3);
        assert!(calls.is_empty(), "{calls:?}");
        assert!(ended.err.contains("backend/key") && ended.err.contains("enable-key"), "{}", ended.err);
    }
    let doctor = world.run(&["doctor", "--sandbox"]).with(1);
    assert!(doctor.out.contains("backend/key") && doctor.out.contains("enable-key"), "{}", doctor.out);
    let plan = doctor.out.lines().find(|line| line.contains(" plan ")).unwrap();
    assert!(plan.starts_with("unknown") && plan.contains("not checked: the backend check failed"), "{plan}");
}

#[test]
fn a_key_of_others_behind_the_alias_is_neither_changed_nor_deleted() {
    let world = sandbox(PARTS);
    let look = "k = kms.describe_key(KeyId='alias/provisioner/shop')['KeyMetadata']\n\
        p = kms.get_key_policy(KeyId=k['KeyId'], PolicyName='default')['Policy']\n\
        print(json.dumps([k['KeyId'], k['KeyState'], k['Description'], p, kms.list_resource_tags(KeyId=k['KeyId'])['Tags']]))";
    let before = world.boto3(&format!(
        "kms = client('kms')\n\
         key = kms.create_key(Description='payroll', Tags=[{{'TagKey': 'owner', 'TagValue': 'payroll'}}])['KeyMetadata']['KeyId']\n\
         kms.create_alias(AliasName='alias/provisioner/shop', TargetKeyId=key)\n{look}"
    ));
    let plan = world.run(&["plan", "--sandbox", "--json"]).with(3);
    let said = refusal(&plan, "network/key");
    assert!(said["hint"].as_str().unwrap().contains("state import network/key"), "{said}");
    world.run(&["up", "--sandbox", "--yes"]).with(3);
    world.run(&["down", "--sandbox", "--yes"]).with(0);
    assert_eq!(world.boto3(&format!("kms = client('kms')\n{look}")), before);
}

/// Python that deletes a repository, a parameter and a role of the stack and creates others of the same names.
const REBORN: &str = "ecr, ssm, iam = client('ecr'), client('ssm'), client('iam')\n\
    ecr.delete_repository(repositoryName='team/app', force=True)\n\
    others = [{'Key': 'provisioner:stack', 'Value': 'other'}, {'Key': 'provisioner:lineage', 'Value': 'l-2'}]\n\
    ecr.create_repository(repositoryName='team/app', tags=others)\n\
    ssm.delete_parameter(Name='/sec/msg')\n\
    ssm.put_parameter(Name='/sec/msg', Value='theirs', Type='String', Tags=others)\n\
    role = [r['RoleName'] for r in iam.list_roles()['Roles'] if 'flow' in r['RoleName']][0]\n\
    for p in iam.list_role_policies(RoleName=role)['PolicyNames']: iam.delete_role_policy(RoleName=role, PolicyName=p)\n\
    iam.delete_role(RoleName=role)\n\
    trust = json.dumps({'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Principal': {'AWS': '*'}, 'Action': 'sts:AssumeRole'}]})\n\
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust)\n";

/// Python that prints what is there of them.
const REBORN_LEFT: &str = "ecr, ssm, iam = client('ecr'), client('ssm'), client('iam')\n\
    roles = [r['RoleName'] for r in iam.list_roles()['Roles'] if 'flow' in r['RoleName']]\n\
    print(json.dumps([[r['repositoryName'] for r in ecr.describe_repositories()['repositories']],\n  \
    [p['Value'] for p in ssm.get_parameters(Names=['/sec/msg'])['Parameters']], len(roles),\n  \
    iam.get_role(RoleName=roles[0])['Role'].get('Tags', [])]))";

#[test]
fn what_others_created_again_under_a_recorded_name_is_refused_by_up_and_left_by_down() {
    let world = up(PARTS);
    world.boto3(&format!("{REBORN}print('null')"));
    let left = json!([["team/app"], ["theirs"], 1, []]);
    let (calls, ended) = writes(&world, &["up", "--sandbox", "--yes"], 3);
    assert!(calls.is_empty(), "{calls:?}");
    for address in ["cluster/repository/team/app", "cluster/parameter/sec/msg", "network/flow-log-role"] {
        assert!(ended.err.contains(&format!("{address}: ")), "{address}:\n{}", ended.err);
    }
    assert_eq!(world.boto3(REBORN_LEFT), left);
    // Their records are dropped, each by name; the rest of the stack is deleted.
    let down = world.run(&["down", "--sandbox", "--yes", "--timeout", "600s"]);
    assert_eq!(world.boto3(REBORN_LEFT), left, "{}", down.err);
    for address in ["cluster/repository/team/app", "cluster/parameter/sec/msg", "network/flow-log-role"] {
        assert!(down.err.contains(&format!("{address}: ")), "{address}:\n{}", down.err);
    }
    assert!(down.err.contains("its record is dropped"), "{}", down.err);
    let vpcs = world.boto3("print(json.dumps(len(client('ec2').describe_vpcs(Filters=[{'Name': 'is-default', 'Values': ['false']}])['Vpcs'])))");
    assert_eq!(vpcs, 0, "{}", down.err);
}

/// Python that tags things of others as the stack's.
const SPOOF: &str = "ec2, ecr, ssm, logs, kms = client('ec2'), client('ecr'), client('ssm'), client('logs'), client('kms')\n\
    ours = ec2.describe_vpcs(Filters=[{'Name': 'tag:provisioner:stack', 'Values': ['shop']}])['Vpcs'][0]\n\
    lineage = [t['Value'] for t in ours['Tags'] if t['Key'] == 'provisioner:lineage'][0]\n\
    def tags(at): return {'provisioner:stack': 'shop', 'provisioner:lineage': lineage, 'provisioner:resource': at}\n\
    def listed(at): return [{'Key': k, 'Value': v} for k, v in tags(at).items()]\n\
    vpc = ec2.create_vpc(CidrBlock='10.9.0.0/16')['Vpc']['VpcId']\n\
    group = ec2.create_security_group(GroupName='prod', Description='prod', VpcId=vpc)['GroupId']\n\
    ec2.create_tags(Resources=[vpc], Tags=listed('network/prod-vpc'))\n\
    ec2.create_tags(Resources=[group], Tags=listed('network/prod-group'))\n\
    ecr.create_repository(repositoryName='prod', tags=listed('cluster/repository/prod'))\n\
    ssm.put_parameter(Name='/prod', Value='x', Type='String', Tags=listed('cluster/parameter/prod'))\n\
    logs.create_log_group(logGroupName='/prod', tags=tags('network/prod-logs'))\n\
    kms.create_key(Description='prod', Tags=[{'TagKey': k, 'TagValue': v} for k, v in tags('network/prod-key').items()])\n";

const SPOOFED_LEFT: &str = "ec2, ecr, ssm, logs, kms = client('ec2'), client('ecr'), client('ssm'), client('logs'), client('kms')\n\
    keys = [kms.describe_key(KeyId=k['KeyId'])['KeyMetadata'] for k in kms.list_keys()['Keys']]\n\
    print(json.dumps([len([v for v in ec2.describe_vpcs()['Vpcs'] if v['CidrBlock'] == '10.9.0.0/16']),\n  \
    len([g for g in ec2.describe_security_groups()['SecurityGroups'] if g['GroupName'] == 'prod']),\n  \
    len([r for r in ecr.describe_repositories()['repositories'] if r['repositoryName'] == 'prod']),\n  \
    len(ssm.get_parameters(Names=['/prod'])['Parameters']),\n  \
    len([g for g in logs.describe_log_groups()['logGroups'] if g['logGroupName'] == '/prod']),\n  \
    [k['KeyState'] for k in keys if k['Description'] == 'prod']]))";

#[test]
fn tags_alone_get_nothing_deleted_or_adopted() {
    let world = up(NETWORK);
    world.boto3(&format!("{SPOOF}print('null')"));
    let all = json!([1, 1, 1, 1, 1, ["Enabled"]]);
    let plan = world.run(&["plan", "--sandbox", "--json", "--detailed-exitcode"]).with(0);
    assert!(plan.lines("stray").len() >= 4 && plan.lines("change").is_empty(), "{}", plan.out);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    assert_eq!(world.boto3(SPOOFED_LEFT), all);
    let status = world.run(&["status", "--sandbox"]).with(0);
    assert!(status.out.contains("stray: network/prod-vpc"), "{}", status.out);
    let down = world.run(&["down", "--sandbox", "--yes"]).with(6);
    assert!(down.err.contains("state import 'network/prod-vpc' vpc-"), "{}", down.err);
    assert_eq!(world.boto3(SPOOFED_LEFT), all, "{}", down.err);
}

#[test]
fn a_new_stack_adopts_nothing_that_was_planted() {
    let world = sandbox(NETWORK);
    let look = "ec2, kms = client('ec2'), client('kms')\n\
        v = [v for v in ec2.describe_vpcs()['Vpcs'] if any(t['Key'] == 'provisioner:stack' for t in v.get('Tags', []))]\n\
        a = [a for a in kms.list_aliases()['Aliases'] if a['AliasName'].startswith('alias/provisioner/')]\n\
        print(json.dumps([[sorted(t['Key'] for t in x['Tags']) for x in v], a]))";
    world.boto3(
        "ec2, kms = client('ec2'), client('kms')\n\
         vpc = [{'Key': 'provisioner:stack', 'Value': 'shop'}, {'Key': 'provisioner:resource', 'Value': 'network/vpc'}]\n\
         ec2.create_vpc(CidrBlock='10.0.0.0/16', TagSpecifications=[{'ResourceType': 'vpc', 'Tags': vpc}])\n\
         key = [{'TagKey': 'provisioner:stack', 'TagValue': 'shop'}, {'TagKey': 'provisioner:resource', 'TagValue': 'network/key'}]\n\
         key = kms.create_key(Tags=key)['KeyMetadata']['KeyId']\n\
         kms.create_grant(KeyId=key, GranteePrincipal='arn:aws:iam::999999999999:root', Operations=['Decrypt'])\nprint('null')",
    );
    let before = world.boto3(look);
    let (calls, ended) = writes(&world, &["up", "--sandbox", "--yes"], 3);
    assert!(calls.is_empty(), "{calls:?}\n{}", ended.err);
    assert!(ended.err.contains("network/vpc: "), "{}", ended.err);
    assert_eq!(world.boto3(look), before);
}

/// Python that changes the state by `change` and seals it as the program does.
fn forge(change: &str) -> String {
    format!(
        "import hashlib\ns3 = client('s3')\nbucket = s3.list_buckets()['Buckets'][0]['Name']\n\
         o = s3.get_object(Bucket=bucket, Key='shop/state.json')\nstate = json.loads(o['Body'].read())\n{change}\n\
         def text(): return json.dumps(state, indent=2, ensure_ascii=False)\n\
         state['digest'] = ''\nstate['digest'] = hashlib.sha256(text().encode()).hexdigest()\n\
         s3.put_object(Bucket=bucket, Key='shop/state.json', Body=text().encode(), IfMatch=o['ETag'])\n"
    )
}

#[test]
fn a_forged_state_acts_on_nothing_that_is_not_the_stacks() {
    let world = up(NETWORK);
    let entries = "ec2, ecr, iam = client('ec2'), client('ecr'), client('iam')\n\
        vpc = ec2.create_vpc(CidrBlock='10.8.0.0/16')['Vpc']['VpcId']\n\
        repo = ecr.create_repository(repositoryName='prod/payments')['repository']\n\
        trust = json.dumps({'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Principal': {'Service': 'ec2.amazonaws.com'}, 'Action': 'sts:AssumeRole'}]})\n\
        role = iam.create_role(RoleName='prod-admin', AssumeRolePolicyDocument=trust)['Role']\n\
        def entry(kind, live, like):\n    \
        base = dict(like); base.update(live); base = json.loads(json.dumps(base, sort_keys=True))\n    \
        return {'kind': kind, 'stage': 'network', 'spec': None, 'live': base, 'dependencies': []}\n\
        own = state['resources']['network/vpc']['live']\n\
        state['resources']['network/forged-vpc'] = entry('vpc', {'id': vpc, 'cidr': '10.8.0.0/16', 'tags': {}}, own)\n\
        state['resources']['network/forged-role'] = entry('iam_role', {'name': 'prod-admin', 'arn': role['Arn'],\n  \
        'trust': {}, 'inline': {}, 'managed': [], 'tags': {}}, {})\n\
        state['resources']['network/forged-repository'] = entry('ecr_repository', {'name': 'prod/payments',\n  \
        'arn': repo['repositoryArn'], 'uri': repo['repositoryUri'], 'immutableTags': False, 'scanOnPush': False,\n  \
        'key': None, 'lifecycle': None, 'tags': {}}, {})\n\
        state['resources'] = dict(sorted(state['resources'].items()))";
    world.boto3(&format!("{}print('null')", forge(entries)));
    let look = "ec2, ecr, iam = client('ec2'), client('ecr'), client('iam')\n\
        v = [v for v in ec2.describe_vpcs()['Vpcs'] if v['CidrBlock'] == '10.8.0.0/16']\n\
        print(json.dumps([len(v), v[0].get('Tags', []), [r['repositoryName'] for r in ecr.describe_repositories()['repositories']],\n  \
        len([r for r in iam.list_roles()['Roles'] if r['RoleName'] == 'prod-admin'])]))";
    let all = json!([1, [], ["prod/payments"], 1]);
    let (calls, ended) = writes(&world, &["up", "--sandbox", "--yes"], 3);
    assert!(calls.is_empty(), "{calls:?}");
    assert!(ended.err.contains("network/forged-vpc: "), "{}", ended.err);
    for address in ["network/forged-role", "network/forged-repository"] {
        assert!(ended.err.contains(&format!("{address}: ")), "{address}:\n{}", ended.err);
    }
    assert_eq!(world.boto3(look), all);
    world.run(&["state", "forget", "network/forged-vpc", "--sandbox", "--yes"]).with(0);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    world.run(&["down", "--sandbox", "--yes"]).with(0);
    assert_eq!(world.boto3(look), all);
}

#[test]
fn hostile_numbers_in_a_state_are_refused() {
    let intent = "state['intents']['network/x'] = {'kind': 'vpc', 'stage': 'network', 'nonce': 'n', 'token': 't',\n  \
        'signedAt': -9223372036854775808, 'request': None, 'dependencies': [], 'owner': 'o',\n  \
        'process': {'host': '', 'bootId': '', 'pidNamespace': '', 'pid': 1, 'started': 1}}";
    let shares = "state['outputs']['zoneShares'] = {'eu-central-1a': 4000000000, 'eu-central-1b': 1}";
    let world = up(NETWORK);
    for (change, word) in
        [(intent, "signedAt"), ("state['epoch'] = 18446744073709551615", "epoch"), (shares, "zoneShares")]
    {
        let good = world.boto3(&format!("{}print(json.dumps(o['ETag']))", forge(change)));
        assert!(good.is_string());
        for command in ["plan", "up"] {
            let ended = world.run(&[command, "--sandbox", "--yes", "--timeout", "600s"]).with(3);
            assert!(ended.err.contains(word), "{command}: {}", ended.err);
        }
        world.boto3(
            "s3 = client('s3')\nbucket = s3.list_buckets()['Buckets'][0]['Name']\n\
             v = [v for v in s3.list_object_versions(Bucket=bucket, Prefix='shop/')['Versions']]\n\
             s3.delete_object(Bucket=bucket, Key='shop/state.json', VersionId=[x for x in v if x['IsLatest']][0]['VersionId'])\nprint('null')",
        );
        world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    }
}

#[test]
fn a_list_of_the_state_is_as_wide_as_a_person_can_read() {
    let world = up(NETWORK);
    let long = "state['resources']['network/vpc']['kind'] = 'x' * 20000";
    world.boto3(&format!("{}print('null')", forge(long)));
    let list = world.run(&["state", "list", "--sandbox"]).with(0);
    assert!(list.out.lines().all(|line| line.chars().count() < 700), "{}", list.out);
    assert!(list.out.contains("xxx...") && list.out.contains("network/vpc"), "{}", list.out);
}

#[test]
fn a_cluster_of_another_tool_is_named_and_its_children_are_not_asked() {
    let world = sandbox("name: shop\nregion: eu-central-1\nnetwork: {zones: 2}\ncluster: {}\n");
    world.boto3(
        "ec2, eks = client('ec2'), client('eks')\nvpc = ec2.create_vpc(CidrBlock='10.7.0.0/16')['Vpc']['VpcId']\n\
         nets = [ec2.create_subnet(VpcId=vpc, CidrBlock=f'10.7.{n}.0/24', AvailabilityZone='eu-central-1' + 'ab'[n])['Subnet']['SubnetId'] for n in range(2)]\n\
         trust = json.dumps({'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Principal': {'Service': 'eks.amazonaws.com'}, 'Action': 'sts:AssumeRole'}]})\n\
         role = client('iam').create_role(RoleName='theirs', AssumeRolePolicyDocument=trust)['Role']['Arn']\n\
         client('iam').attach_role_policy(RoleName='theirs', PolicyArn='arn:aws:iam::aws:policy/AmazonEKSClusterPolicy')\n\
         eks.create_cluster(name='shop', roleArn=role, resourcesVpcConfig={'subnetIds': nets}, accessConfig={'authenticationMode': 'CONFIG_MAP'})\n\
         eks.get_waiter('cluster_active').wait(name='shop', WaiterConfig={'Delay': 1})\nprint('null')",
    );
    let plan = world.run(&["plan", "--sandbox", "--json"]).with(3);
    let said = refusal(&plan, "cluster/eks");
    assert!(said["message"].as_str().unwrap().contains("was not created by provisioner"), "{said}");
    assert!(!said["blocks"].as_array().unwrap().is_empty() && plan.lines("change").len() > 5, "{}", plan.out);
}

#[test]
fn data_is_lost_only_on_request() {
    let world = up(PARTS);
    world.stack(&PARTS.replace("nat: none", "nat: none, flowLogs: false"));
    let plan = world.run(&["plan", "--sandbox", "--json", "--detailed-exitcode"]).with(3);
    let change =
        plan.lines("change").into_iter().find(|it| it["address"] == "network/flow-log-group").unwrap();
    assert_eq!(change["loses"], "its log events");
    let option = "--replace network/flow-log-group";
    assert!(change["hint"].as_str().unwrap().contains(option), "{change}");
    let saved = ["plan", "--sandbox", "--out", "saved.json"];
    let text = world.run(&saved).with(3);
    assert!(text.out.starts_with("DESTROYS DATA: deletes network/flow-log-group"), "{}", text.out);
    assert!(text.out.lines().next().unwrap().contains(option) && text.err.contains(option), "{}", text.err);
    assert!(!world.path().join("saved.json").exists());
    let (calls, ended) = writes(&world, &["up", "--sandbox", "--yes"], 3);
    assert!(
        calls.is_empty() && ended.err.contains("--replace network/flow-log-group"),
        "{calls:?}\n{}",
        ended.err
    );
    // A saved plan holds the word that was given with it.
    let replace = ["--replace", "network/flow-log-group"];
    world.run(&[&saved[..], &replace, &["--detailed-exitcode"]].concat()).with(2);
    world.run(&["up", "saved.json", "--sandbox", "--yes"]).with(0);
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    world.run(&["down", "--sandbox", "--yes"]).with(0);
}

#[test]
fn one_resource_is_adopted_on_request() {
    let world = up(NETWORK);
    world.boto3("client('ecr').create_repository(repositoryName='team/app')\nprint('null')");
    world.stack(&format!("{NETWORK}parameters: [{{name: /sec/msg, value: hello}}]\n"));
    world.boto3("client('ssm').put_parameter(Name='/sec/msg', Value='theirs', Type='String')\nprint('null')");
    let plan = world.run(&["plan", "--sandbox", "--json"]).with(3);
    assert!(refusal(&plan, "cluster/parameter/sec/msg")["hint"].as_str().unwrap().contains("--take-over"));
    let import = ["state", "import", "cluster/parameter/sec/msg", "/sec/msg", "--sandbox", "--yes"];
    world.run(&import).with(3);
    let done = world.run(&[&import[..], &["--take-over"]].concat()).with(0);
    assert!(done.err.contains("1 adopted"), "{}", done.err);
    let said = done.err.find("from then on `down` deletes it").unwrap();
    assert!(said < done.err.find("1 adopted").unwrap(), "{}", done.err);
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    let value =
        world.boto3("print(json.dumps(client('ssm').get_parameter(Name='/sec/msg')['Parameter']['Value']))");
    assert_eq!(value, "hello");
    world.run(&["down", "--sandbox", "--yes"]).with(0);
}
