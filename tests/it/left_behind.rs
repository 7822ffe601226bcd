//! What a stack that was in use leaves when it is deleted: data is kept and named, what AWS creates late is deleted or
//! adopted, and what blocks a deletion during the run is named completely.

use crate::common::{Ended, Provider, kube::kubectl, until};
use serde_json::{Value, json};
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

const NETWORK: &str = "name: shop\nregion: eu-central-1\nnetwork: {nat: none, zones: 2}\n";
const CLUSTER: &str = "name: shop\nregion: eu-central-1\nnetwork: {zones: 2}\ncluster: {}\n";

/// `kubectl` for the cluster of a stack.
struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Kubectl {
    /// `None` if there is no kubectl.
    fn of(world: &Provider) -> Option<Self> {
        let (program, kubeconfig) = (kubectl()?, world.path().join("kubeconfig"));
        let write = world.command(&["kubeconfig", "--sandbox"]).env("KUBECONFIG", &kubeconfig).output();
        Ended::of(&write.unwrap()).with(0);
        Some(Kubectl { program, kubeconfig })
    }

    fn run(&self, args: &[&str]) -> Ended {
        let mut command = std::process::Command::new(&self.program);
        command.args(args).env("KUBECONFIG", &self.kubeconfig).stdin(std::process::Stdio::null());
        Ended::of(&command.output().unwrap()).with(0)
    }

    fn apply(&self, world: &Provider, text: &str) {
        let file = world.path().join("objects.yaml");
        std::fs::write(&file, text).unwrap();
        self.run(&["apply", "--filename", file.to_str().unwrap()]);
    }
}

fn claim(namespace: &str, name: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  \
         accessModes: [ReadWriteOnce]\n  storageClassName: now\n  resources: {{requests: {{storage: 3Gi}}}}\n"
    )
}

const STORAGE: &str = "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: now}\nprovisioner: ebs.csi.aws.com\n\
    reclaimPolicy: Delete\nvolumeBindingMode: Immediate\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: team}\n";

const VOLUMES: &str = "print(json.dumps(sorted(v['VolumeId'] for v in client('ec2').describe_volumes(Filters=\
    [{'Name': 'tag:ebs.csi.aws.com/cluster', 'Values': ['true']}])['Volumes'])))";

/// The driver deletes the volume of a claim that is deleted while the cluster exists. The application's Namespace contains
/// one, so it ends with the cluster.
#[test]
fn volumes_of_claims_are_kept_and_named() {
    if kubectl().is_none() {
        return;
    }
    let world = Provider::new(
        "name: shop\nregion: eu-central-1\nnetwork: {zones: 2}\ncluster:\n  addons: [{name: aws-ebs-csi-driver}]\n\
         nodeGroups: [{name: main}]\napp: {replicas: 1, ingress: none}\n",
    );
    world.sandbox(600);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let kubectl = Kubectl::of(&world).unwrap();
    kubectl.apply(
        &world,
        &format!("{STORAGE}{}{}", claim("team", "data"), claim("demo-application", "uploads")),
    );
    until("both claims have a volume", || world.boto3(VOLUMES).as_array().unwrap().len() == 2);
    let volumes = world.boto3(VOLUMES);

    let said = world.run(&["down", "--sandbox", "--yes"]).with(0);
    assert_eq!(world.boto3(VOLUMES), volumes);
    let told = "warning: 2 volumes of PersistentVolumeClaims are kept";
    assert!(said.err.contains(told), "{}", said.err);
    for text in ["claim team/data", "claim demo-application/uploads", "3 GiB", "aws ec2 delete-volume"] {
        assert!(said.err.contains(text), "{text}: {}", said.err);
    }
    assert!(said.err.contains("2 volumes are kept and cost until deleted"), "{}", said.err);
    assert!(said.err.contains("the tags of cluster shop find only data"), "{}", said.err);

    // They are still named when the stack is gone, and are no reason to run it again.
    let again = world.run(&["down", "--sandbox", "--yes", "--json"]).with(0);
    let proof = again.lines("proof").pop().unwrap();
    let named: Vec<&Value> = proof["volumes"].as_array().unwrap().iter().map(|it| &it["id"]).collect();
    assert_eq!((json!(named), &proof["left"]), (volumes, &json!([])));
}

const GROUPS: &str = "print(json.dumps([(g['logGroupName'], g.get('retentionInDays'), 'kmsKeyId' in g) \
    for g in client('logs').describe_log_groups(logGroupNamePrefix='/aws/eks/')['logGroups']]))";

#[test]
fn a_log_group_that_comes_back_is_deleted() {
    let world = Provider::new(CLUSTER);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world.configure(&json!({"lateLogs": true}));
    world.run(&["down", "--sandbox", "--yes"]).with(0);
    let deletions = world.boto3(
        "log = json.loads(urllib.request.urlopen(e + '/_ext/log').read())
print(len([c for c in log if c['action'] == 'DeleteLogGroup' and '/aws/eks/shop/cluster' in c['resource']]))",
    );
    assert!(deletions.as_u64().unwrap() >= 2, "{deletions}");
    // The last events arrive two minutes after the end of the cluster, which are two seconds here.
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(world.boto3(GROUPS), json!([]));
}

#[test]
fn a_log_group_that_an_earlier_cluster_left_is_adopted_with_its_events() {
    let world = Provider::new(CLUSTER);
    world.sandbox(60);
    world.boto3(
        "logs = client('logs')\nname = '/aws/eks/shop/cluster'\nlogs.create_log_group(logGroupName=name)\n\
         logs.create_log_stream(logGroupName=name, logStreamName='s')\nimport time\n\
         logs.put_log_events(logGroupName=name, logStreamName='s', logEvents=[{'timestamp': int(time.time() * 1000), 'message': 'last'}])\n\
         print('null')",
    );
    let said = world.run(&["plan", "--sandbox", "--json"]).with(0);
    let change =
        said.lines("change").into_iter().find(|line| line["address"] == "cluster/log-group").unwrap();
    assert_eq!(change["action"], "adopt");
    let text = world.run(&["plan", "--sandbox"]).with(0);
    assert!(text.out.contains("what it contains is kept") || text.err.contains("what it contains is kept"));
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    assert_eq!(world.boto3(GROUPS), json!([["/aws/eks/shop/cluster", 365, true]]));
    let events = "print(json.dumps([e['message'] for e in client('logs').get_log_events(\
        logGroupName='/aws/eks/shop/cluster', logStreamName='s')['events']]))";
    assert_eq!(world.boto3(events), json!(["last"]));
    let said = world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    assert!(!said.out.contains("log-group"), "{}", said.out);
}

#[test]
fn a_log_group_that_another_caller_tagged_is_not_adopted() {
    let world = Provider::new(CLUSTER);
    world.sandbox(60);
    let made = |more: &str| {
        format!("client('logs').create_log_group(logGroupName='/aws/eks/shop/cluster'{more})\nprint('null')")
    };
    world.boto3(&made(", tags={'team': 'web'}"));
    let said = world.run(&["up", "--sandbox", "--yes"]).with(3);
    assert!(said.err.contains("was not created by provisioner"), "{}", said.err);
    assert_eq!(world.boto3(GROUPS), json!([["/aws/eks/shop/cluster", null, false]]));
}

/// What the look before the deletion does not find: here it is denied, and allowed later.
#[test]
fn what_appears_during_the_run_is_named_and_ends_it_soon() {
    let world = Provider::new(NETWORK);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let foreign = world.boto3(
        "ec2, iam = client('ec2'), client('iam')
own = [{'Name': 'tag:provisioner:stack', 'Values': ['shop']}]
subnet = ec2.describe_subnets(Filters=own)['Subnets'][0]['SubnetId']
image = ec2.describe_images(Owners=['amazon'])['Images'][0]['ImageId']
bastion = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, SubnetId=subnet, TagSpecifications=[
    {'ResourceType': 'instance', 'Tags': [{'Key': 'Name', 'Value': 'bastion'}]}])['Instances'][0]['InstanceId']
role = [it['RoleName'] for it in iam.list_roles()['Roles'] if it['RoleName'].startswith('shop')][0]
iam.create_instance_profile(InstanceProfileName='team')
iam.add_role_to_instance_profile(InstanceProfileName='team', RoleName=role)
print(json.dumps([bastion, role]))",
    );
    let denied = |on: &str| json!({"on": on, "kind": "error", "code": "AccessDenied", "status": 403, "message": "no", "times": 1});
    world.configure(&json!({"faults": [
        denied("ec2:DescribeNetworkInterfaces"), denied("iam:ListInstanceProfilesForRole"),
    ]}));
    let began = Instant::now();
    let said = world.run(&["down", "--sandbox", "--yes"]).with(6);
    assert!(began.elapsed() < Duration::from_mins(8), "{:?}", began.elapsed());
    let (bastion, role) = (foreign[0].as_str().unwrap(), foreign[1].as_str().unwrap());
    let last = said.err.rsplit("error:").collect::<Vec<_>>().join("error:");
    for text in [
        format!("blocked by instance {bastion} \"bastion\" (network interface eni-"),
        format!("terminate-instances --instance-ids {bastion}"),
        format!("blocked by instance profile team (contains role {role})"),
        format!("remove-role-from-instance-profile --instance-profile-name team --role-name {role}"),
    ] {
        assert!(last.contains(&text), "{text}: {}", said.err);
    }
    world.boto3(&format!(
        "iam = client('iam'); iam.remove_role_from_instance_profile(InstanceProfileName='team', RoleName='{role}')
client('ec2').terminate_instances(InstanceIds=['{bastion}'])
print('null')"
    ));
    // The instance is about to end: that is waited for.
    world.run(&["down", "--sandbox", "--yes"]).with(0);
}

#[test]
fn a_role_that_is_left_is_named() {
    let world = Provider::new(NETWORK);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    world.boto3(
        "iam = client('iam')
for region in ['eu-central-1', 'us-east-1']:
    iam.create_role(RoleName=f'shop-{region}-left', AssumeRolePolicyDocument=json.dumps({'Version': '2012-10-17', 'Statement': [
        {'Effect': 'Allow', 'Principal': {'Service': 'ec2.amazonaws.com'}, 'Action': 'sts:AssumeRole'}]}),
        Tags=[{'Key': 'provisioner:stack', 'Value': 'shop'}])
print('null')",
    );
    let said = world.run(&["down", "--sandbox", "--yes"]).with(6);
    assert!(said.err.contains(":role/shop-eu-central-1-left"), "{}", said.err);
    assert!(!said.err.contains(":role/shop-us-east-1-left"), "{}", said.err);
}

/// `down app` leaves the cluster, and in it what others have in the application's Namespace.
#[test]
fn a_namespace_that_others_use_is_kept() {
    if kubectl().is_none() {
        return;
    }
    let world = Provider::new(
        "name: shop\nregion: eu-central-1\nnetwork: {zones: 2}\ncluster: {}\nnodeGroups: [{name: main}]\n\
         app: {replicas: 1, ingress: none}\n",
    );
    world.sandbox(600);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let kubectl = Kubectl::of(&world).unwrap();
    let settings =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: of-a-team, namespace: demo-application}\n";
    kubectl.apply(&world, settings);
    let names = || kubectl.run(&["get", "namespaces,deployments,configmaps", "-A", "--output", "name"]).out;

    let said = world.run(&["down", "app", "--sandbox", "--yes"]).with(6);
    assert!(said.err.contains("objects of others ConfigMap of-a-team"), "{}", said.err);
    assert!(said.err.contains("--replace application/namespace/demo-application"), "{}", said.err);
    let left = names();
    assert!(left.contains("namespace/demo-application") && left.contains("configmap/of-a-team"), "{left}");
    assert!(!left.contains("deployment.apps/demo-application"), "{left}");

    let replace =
        ["down", "app", "--sandbox", "--yes", "--replace", "application/namespace/demo-application"];
    world.run(&replace).with(0);
    assert!(!names().contains("namespace/demo-application"));

    // With the cluster, it ends, and is named.
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    kubectl.apply(&world, settings);
    let said = world.run(&["down", "--sandbox", "--yes"]).with(0);
    let told = "Namespace demo-application contains objects of others, which are deleted with the cluster: ConfigMap of-a-team";
    assert!(said.err.contains(told), "{}", said.err);
}
