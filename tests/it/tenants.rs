//! What others put into the stack's own cluster: `plan` and `up` leave it, and a deletion or replacement of the cluster names
//! it before anything is changed.

use crate::common::Provider;
use serde_json::{Value, json};

const STACK: &str = "name: shop\nregion: eu-central-1\nnetwork: {zones: 2, flowLogs: false}\ncluster: {deletionProtection: false}\nnodeGroups: [{name: default}]\n";

/// Python that creates an access entry, an add-on, a Pod Identity association, a node group and a Fargate profile by hand.
const BY_HAND: &str = "eks, iam, ec2 = client('eks'), client('iam'), client('ec2')\n\
    def role(name, *services):\n    \
    trust = {'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Principal': {'Service': list(services)}, 'Action': ['sts:AssumeRole', 'sts:TagSession']}]}\n    \
    return iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))['Role']['Arn']\n\
    def attach(name, *policies):\n    \
    for policy in policies: iam.attach_role_policy(RoleName=name, PolicyArn='arn:aws:iam::aws:policy/' + policy)\n\
    group = eks.describe_nodegroup(clusterName='shop', nodegroupName='default')['nodegroup']\n\
    eks.create_access_entry(clusterName='shop', principalArn=role('auditor', 'ec2.amazonaws.com'))\n\
    eks.create_addon(clusterName='shop', addonName='aws-ebs-csi-driver')\n\
    eks.create_pod_identity_association(clusterName='shop', namespace='team', serviceAccount='web', roleArn=role('team-web', 'pods.eks.amazonaws.com'))\n\
    node = role('team-node', 'ec2.amazonaws.com')\n\
    attach('team-node', 'AmazonEKSWorkerNodePolicy', 'AmazonEC2ContainerRegistryReadOnly', 'AmazonEKS_CNI_Policy')\n\
    eks.create_nodegroup(clusterName='shop', nodegroupName='team', nodeRole=group['nodeRole'], subnets=group['subnets'],\n  \
    amiType='BOTTLEROCKET_x86_64', scalingConfig={'minSize': 1, 'maxSize': 1, 'desiredSize': 1})\n\
    pods = role('team-pods', 'eks-fargate-pods.amazonaws.com')\n\
    attach('team-pods', 'AmazonEKSFargatePodExecutionRolePolicy')\n\
    eks.create_fargate_profile(clusterName='shop', fargateProfileName='team', podExecutionRoleArn=pods, subnets=group['subnets'],\n  \
    selectors=[{'namespace': 'team'}])\n\
    eks.get_waiter('nodegroup_active').wait(clusterName='shop', nodegroupName='team', WaiterConfig={'Delay': 1})\n\
    eks.get_waiter('fargate_profile_active').wait(clusterName='shop', fargateProfileName='team', WaiterConfig={'Delay': 1})\n";

/// Python that prints what is there of it.
const LOOK: &str = "eks = client('eks')\n\
    of = lambda call, key, **more: getattr(eks, call)(clusterName='shop', **more)[key]\n\
    associations = of('list_pod_identity_associations', 'associations')\n\
    print(json.dumps([[p for p in of('list_access_entries', 'accessEntries') if 'auditor' in p],\n  \
    str(of('describe_addon', 'addon', addonName='aws-ebs-csi-driver')['createdAt']), [a['associationId'] for a in associations],\n  \
    str(of('describe_nodegroup', 'nodegroup', nodegroupName='team')['createdAt']),\n  \
    str(of('describe_fargate_profile', 'fargateProfile', fargateProfileName='team')['createdAt'])]))";

/// The calls of a run that delete or create anything, without those on lease and state.
fn writes(world: &Provider, args: &[&str], code: i32) -> Vec<String> {
    let calls = world.calls_of(args, code).into_iter();
    let changes = |call: &String| {
        let (service, action) = call.split_once(':').unwrap();
        let writes = ["Delete", "Create", "Update", "Associate", "Disassociate", "Tag", "Untag"];
        service != "dynamodb" && writes.iter().any(|write| action.starts_with(write))
    };
    calls.filter(changes).collect()
}

#[test]
fn what_others_put_into_the_cluster_is_left_and_named_before_it_ends_with_the_cluster() {
    let world = Provider::new(STACK);
    world.sandbox(600);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let before = world.boto3(&format!("{BY_HAND}{LOOK}"));
    let workers = ["node group `team`", "Fargate profile `team`"];
    let ending = [
        "add-on `aws-ebs-csi-driver`",
        "access entry `arn:aws:iam::123456789012:role/auditor`",
        "`team/web`",
    ];

    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    assert_eq!(writes(&world, &["up", "--sandbox", "--yes"], 0), Vec::<String>::new());
    assert_eq!(world.boto3(LOOK), before);

    // EKS refuses the deletion of the cluster as long as their nodes are in it.
    assert_eq!(writes(&world, &["down", "--sandbox", "--yes"], 3), Vec::<String>::new());
    let down = world.run(&["down", "--sandbox", "--yes", "--json"]).with(3);
    let said = down.lines("error").remove(0);
    assert_eq!((&said["address"], &said["class"]), (&json!("cluster/eks"), &json!("refused")));
    for worker in workers {
        assert!(said["message"].as_str().unwrap().contains(worker), "{worker}: {said}");
    }
    assert!(!said["message"].as_str().unwrap().contains("`default`"), "{said}");

    // The same for a replacement, which `up` would notice with its own nodes deleted.
    world.stack(&STACK.replace("cluster: {", "cluster: {serviceCidr: 172.21.0.0/16, "));
    for args in [
        &["plan", "--sandbox", "--replace", "cluster/eks"][..],
        &["up", "--sandbox", "--yes", "--replace", "cluster/eks"],
    ] {
        let refused = world.run(args).with(3);
        assert!(workers.iter().all(|worker| refused.err.contains(worker)), "{}", refused.err);
    }
    assert_eq!(world.boto3(LOOK), before);
    world.stack(STACK);

    // Without them, the rest ends with the cluster, which is said first.
    world.boto3(
        "eks = client('eks')\n\
         eks.delete_nodegroup(clusterName='shop', nodegroupName='team')\n\
         eks.delete_fargate_profile(clusterName='shop', fargateProfileName='team')\n\
         eks.get_waiter('nodegroup_deleted').wait(clusterName='shop', nodegroupName='team', WaiterConfig={'Delay': 1})\n\
         eks.get_waiter('fargate_profile_deleted').wait(clusterName='shop', fargateProfileName='team', WaiterConfig={'Delay': 1})\n\
         print('null')",
    );
    let down = world.run(&["down", "--sandbox", "--yes"]).with(0);
    let at = |text: &str| down.err.find(text).unwrap_or_else(|| panic!("no {text} in:\n{}", down.err));
    for tenant in ending {
        assert!(at(tenant) < at("Plan to delete"), "{tenant}:\n{}", down.err);
    }
    assert!(!down.err.contains("`vpc-cni`") && !down.err.contains("role/shop"), "{}", down.err);
    let roles = world.boto3(
        "print(json.dumps(sorted(r['RoleName'] for r in client('iam').list_roles()['Roles'] if 'service-role' not in r['Path'])))",
    );
    assert_eq!(roles, json!(["auditor", "team-node", "team-pods", "team-web"]));
}

#[test]
fn a_caller_who_may_not_list_the_rest_is_told_so() {
    let world = Provider::new(
        "name: shop\nregion: eu-central-1\nnetwork: {zones: 2, flowLogs: false}\nfargateOnly: true\n",
    );
    world.sandbox(600);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let fault = json!({"on": "eks:ListAddons", "kind": "error", "code": "AccessDeniedException", "status": 403, "message": "no"});
    world.configure(&json!({"faults": [fault], "timeScale": 600}));
    let down = world.run(&["down", "--sandbox", "--yes"]).with(0);
    assert!(down.err.contains("could not be looked at: what others put into cluster shop"), "{}", down.err);
    let clusters: Value = world.boto3("print(json.dumps(client('eks').list_clusters()['clusters']))");
    assert_eq!(clusters, json!([]));
}
