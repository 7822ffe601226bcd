//! Managed node groups.

use super::case::{Case, Group, case};

const BASE: &str = "
name: fields
region: eu-central-1
network: {zones: 2, flowLogs: false}
cluster: {}
nodeGroups:
  - name: general
    arch: x86_64
    instanceTypes: [m6i.large]
    capacity: on-demand
    min: 1
    max: 4
    desired: 2
    diskGiB: 20
    labels: {pool: general}
    taints: [{key: dedicated, value: general, effect: NoSchedule}]
    maxUnavailable: 1
    updateStrategy: default
    repair: true
    ssh: {publicKey: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4n0dmVtbhb9CHbkG9iFk7nUoMXdl0ZBQhZ0Y1cQk0k ops}
    bottlerocket: |
      [settings.kernel]
      lockdown = \"integrity\"
  - {name: other, min: 1, max: 1}
serviceAccounts: [{name: podded, namespace: demo}, {name: chained, namespace: demo, podIdentity: true}]
";

/// A key pair that is there already.
const BEFORE: &str = "
pair = client('ec2').create_key_pair(KeyName='existing', KeyType='ed25519')
print('{}')";

pub fn group() -> Group {
    let mut cases = instances();
    cases.extend(scaling());
    cases.extend(shells());
    // Here, since EKS Pod Identity needs nodes.
    cases.push(identity());
    cases.push(target_role());
    Group { base: BASE, before: BEFORE, files: &[], environment: &[], cases }
}

/// The template that a group's instances are made after is another.
const TEMPLATE: &str = "update cluster/node-group/general templateVersion";

fn target_role() -> Case {
    case("serviceAccounts[1].targetRoleArn", "arn:aws:iam::210987654321:role/shop")
        .plan(&[
            "update cluster/pod-identity/demo/chained targetRole=arn:aws:iam::210987654321:role/shop",
            "update cluster/service-account/demo/chained inline",
        ])
        .aws("association('chained')['targetRoleArn']", "arn:aws:iam::210987654321:role/shop")
}

fn identity() -> Case {
    case("serviceAccounts[0].podIdentity", "true")
            .plan(&["create cluster/pod-identity/demo/podded", "update cluster/service-account/demo/podded trust"])
            .aws(
                "sorted(a['serviceAccount'] for a in eks.list_pod_identity_associations(clusterName='fields')['associations'])",
                "[chained, podded]",
            )
            .aws(
                "trust('sa-demo-podded')['Principal']",
                "{Service: pods.eks.amazonaws.com}",
            )
}

fn instances() -> Vec<Case> {
    vec![
        case("nodeGroups[1].name", "another")
            .plan(&[
                "create cluster/node-group/another",
                "create cluster/launch-template/another",
                "delete cluster/node-group/other",
                "delete cluster/launch-template/other",
            ])
            .aws_in(
                2,
                "sorted(map(first_name, eks.list_nodegroups(clusterName='fields')['nodegroups']))",
                "[another, general]",
            ),
        case("nodeGroups[1].arch", "arm64")
            .plan(&[
                "replace cluster/node-group/other amiType=BOTTLEROCKET_ARM_64",
                "replace cluster/node-group/other instanceTypes=[t4g.large]",
            ])
            .aws(
                "[group('other')[n] for n in ('amiType', 'instanceTypes')]",
                "[BOTTLEROCKET_ARM_64, [t4g.large]]",
            ),
        case("nodeGroups[0].arch", "arm64").refused("must be an arm64 instance type"),
        case("nodeGroups[0].instanceTypes", "[m6i.xlarge, m5.xlarge]")
            .plan(&["replace cluster/node-group/general instanceTypes=[m6i.xlarge, m5.xlarge]"])
            .aws("group('general')['instanceTypes']", "[m6i.xlarge, m5.xlarge]"),
        case("nodeGroups[0].capacity", "spot")
            .plan(&["replace cluster/node-group/general capacity=SPOT"])
            .aws("group('general')['capacityType']", "SPOT"),
        case("nodeGroups[0].diskGiB", "40")
            .plan(&["update cluster/launch-template/general diskGiB=40", TEMPLATE])
            .aws("disk('general')['VolumeSize']", "40"),
        case("nodeGroups[0].bottlerocket", "\"[settings.kernel]\\nlockdown = \\\"confidentiality\\\"\\n\"")
            .plan(&["update cluster/launch-template/general userData", TEMPLATE])
            .aws("'lockdown = \"confidentiality\"' in user_data('general')", "true"),
    ]
}

fn scaling() -> Vec<Case> {
    let taints = "update cluster/node-group/general taints";
    vec![
        case("nodeGroups[0].min", "2")
            .plan(&["update cluster/node-group/general min=2"])
            .aws("group('general')['scalingConfig']['minSize']", "2"),
        case("nodeGroups[0].max", "6")
            .plan(&["update cluster/node-group/general max=6"])
            .aws("group('general')['scalingConfig']['maxSize']", "6"),
        case("nodeGroups[0].desired", "3")
            .plan(&["update cluster/node-group/general desired=3"])
            .aws("group('general')['scalingConfig']['desiredSize']", "3"),
        // It changes only how later updates are sent: `tests/it/updates.rs`.
        case("nodeGroups[0].forceUpdate", "true").plan(&[]),
        case("nodeGroups[0].labels.pool", "special")
            .plan(&["update cluster/node-group/general labels.pool=special"])
            .aws("group('general')['labels']", "{pool: special}"),
        case("nodeGroups[0].taints[0].key", "reserved")
            .plan(&["update cluster/node-group/general taints=[{key: reserved, value: general, effect: NO_SCHEDULE}]"])
            .aws_in(2, "group('general')['taints']", "[{key: reserved, value: general, effect: NO_SCHEDULE}]"),
        case("nodeGroups[0].taints[0].value", "blue")
            .plan(&[taints])
            .aws("group('general')['taints'][0]['value']", "blue"),
        case("nodeGroups[0].taints[0].effect", "NoExecute")
            .plan(&[taints])
            .aws("group('general')['taints'][0]['effect']", "NO_EXECUTE"),
        case("nodeGroups[0].taints[0].effect", "PreferNoSchedule")
            .plan(&["update cluster/node-group/general taints=[{key: dedicated, value: general, effect: PREFER_NO_SCHEDULE}]"]),
        case("nodeGroups[0].maxUnavailable", "2")
            .plan(&["update cluster/node-group/general maxUnavailable.count=2"])
            .aws("group('general')['updateConfig']['maxUnavailable']", "2"),
        case("nodeGroups[0].maxUnavailable", "33%")
            .plan(&[
                "update cluster/node-group/general maxUnavailable.count",
                "update cluster/node-group/general maxUnavailable.percent=33",
            ])
            .aws_in(2, "group('general')['updateConfig']['maxUnavailablePercentage']", "33"),
        case("nodeGroups[0].updateStrategy", "minimal")
            .plan(&["update cluster/node-group/general updateStrategy=MINIMAL"])
            .aws("group('general')['updateConfig']['updateStrategy']", "MINIMAL"),
        case("nodeGroups[0].prefixDelegation", "true")
            .plan(&[
                "update cluster/addon/vpc-cni configuration={env: {ENABLE_PREFIX_DELEGATION: 'true'}}",
                "update cluster/launch-template/general userData",
                TEMPLATE,
            ])
            .aws_in(2, "'max-pods = 110' in user_data('general')", "true")
            .aws_in(2, "json.loads(addon('vpc-cni')['configurationValues'])['env']", "{ENABLE_PREFIX_DELEGATION: 'true'}"),
        case("nodeGroups[0].repair", "false")
            .plan(&["update cluster/node-group/general repair=false"])
            .aws("group('general')['nodeRepairConfig']['enabled']", "false"),
    ]
}

fn shells() -> Vec<Case> {
    let admin = "'[settings.host-containers.admin]' in user_data('other')";
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFRXS4HYgrxKDTbjqkVoPmLCAeynmnB5kMsjtXpNHgKc ops";
    vec![
        case("nodeGroups[0].ssh.publicKey", key)
            .plan(&[
                // The name holds a digest of the key: AWS takes no other key under the same name.
                "replace cluster/key-pair/general name",
                "replace cluster/key-pair/general publicKey",
                "update cluster/launch-template/general keyPair",
                TEMPLATE,
            ])
            .aws("public_key('general')", "tXpNHgKc"),
        case("nodeGroups[0].ssh.keyName", "existing")
            .and("nodeGroups[0].ssh.publicKey", "")
            .plan(&[
                "delete cluster/key-pair/general",
                "update cluster/launch-template/general keyPair=existing",
                TEMPLATE,
            ])
            .aws_in(2, "template('general')['KeyName']", "existing"),
        case("nodeGroups[1].ssh", "{generate: true}")
            .plan(&[
                "create cluster/key-pair/other",
                "update cluster/launch-template/other keyPair",
                "update cluster/launch-template/other userData",
                "update cluster/node-group/other templateVersion",
            ])
            .aws("template('other').get('KeyName')", "fields-other")
            .aws(admin, "true"),
        case("nodeGroups[0].ssh.generate", "true")
            .refused("one of `publicKey`, `keyName` and `generate: true`"),
    ]
}
