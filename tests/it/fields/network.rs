//! The network that is made, its key, and what holds for the whole stack.

use super::case::{Group, case};

const BASE: &str = "
name: fields
region: eu-central-1
tags: {team: platform}
network:
  cidr: 10.0.0.0/16
  zones: 3
  nat: single
  endpoints: [s3, dynamodb]
  flowLogs: {retentionDays: 365}
encryption: {rotationDays: 365, deletionWindowDays: 30}
";

/// A key that is there already.
const KEY: &str = "
key = shared_key()
print(json.dumps({'KEY': key}))";

pub fn group() -> Group {
    Group { base: BASE, before: KEY, files: &[], environment: &[], cases: cases() }
}

fn cases() -> Vec<super::case::Case> {
    vec![
        case("network.cidr", "10.4.0.0/16")
            .plan_has(&[
                "replace network/vpc cidr=10.4.0.0/16",
                "replace network/subnet/private-eu-central-1a cidr=10.4.0.0/19",
            ])
            .aws_in(2, "vpc()['CidrBlock']", "10.4.0.0/16"),
        case("network.zones", "2")
            .plan(&[
                "delete network/subnet/private-eu-central-1c",
                "delete network/subnet/public-eu-central-1c",
                "delete network/association/private-eu-central-1c",
                "delete network/association/public-eu-central-1c",
                "delete network/route-table/private-eu-central-1c",
                "delete network/route/private-eu-central-1c",
                "update network/endpoint/s3 routeTables",
                "update network/endpoint/dynamodb routeTables",
            ])
            .aws("subnets()", "[a, a, b, b]"),
        case("network.zones", "[eu-central-1a, eu-central-1c]")
            .plan(&[
                "delete network/subnet/private-eu-central-1b",
                "delete network/subnet/public-eu-central-1b",
                "delete network/association/private-eu-central-1b",
                "delete network/association/public-eu-central-1b",
                "delete network/route-table/private-eu-central-1b",
                "delete network/route/private-eu-central-1b",
                "update network/endpoint/s3 routeTables",
                "update network/endpoint/dynamodb routeTables",
            ])
            .aws_in(2, "subnets()", "[a, a, c, c]"),
        case("network.nat", "per-zone")
            .plan(&[
                "create network/elastic-ip/eu-central-1b",
                "create network/elastic-ip/eu-central-1c",
                "create network/nat-gateway/eu-central-1b",
                "create network/nat-gateway/eu-central-1c",
                "update network/route/private-eu-central-1b nat",
                "update network/route/private-eu-central-1c nat",
            ])
            // The other zone has none: `zones` is 2 in this round.
            .aws("gateways()", "2"),
        case("network.nat", "none")
            .plan(&[
                "delete network/elastic-ip/eu-central-1a",
                "delete network/nat-gateway/eu-central-1a",
                "delete network/route/private-eu-central-1a",
                "delete network/route/private-eu-central-1b",
                "delete network/route/private-eu-central-1c",
            ])
            .aws_in(2, "gateways()", "0"),
        case("network.nat", "regional")
            .plan(&[
                "create network/nat-gateway/regional",
                "delete network/elastic-ip/eu-central-1a",
                "delete network/nat-gateway/eu-central-1a",
                "update network/route/private-eu-central-1a nat",
                "update network/route/private-eu-central-1b nat",
                "update network/route/private-eu-central-1c nat",
            ])
            .aws_in(3, "modes()", "[regional]"),
        case("network.endpoints", "[s3, sts]")
            .plan(&[
                "create network/endpoint/sts service=com.amazonaws.eu-central-1.sts",
                "create network/security-group/endpoints",
                "create network/security-group-rule/endpoints-https cidr=10.0.0.0/16",
                "delete network/endpoint/dynamodb",
            ])
            .aws("endpoints()", "[s3, sts]"),
        case("network.endpoints", "auto")
            .plan(&["delete network/endpoint/dynamodb"])
            // What nodes need where there is no NAT gateway.
            .aws_in(2, "endpoints()", "[ec2, ecr.api, ecr.dkr, eks, logs, s3, sts]"),
        case("network.flowLogs.retentionDays", "400")
            .plan(&["update network/flow-log-group retentionDays=400"])
            .aws("log_group('/provisioner/fields/vpc-flow-logs')['retentionInDays']", "400"),
        case("network.flowLogs", "false")
            .plan(&[
                "delete network/flow-log",
                "delete network/flow-log-group",
                "delete network/flow-log-role",
                // Nothing else of this stack is encrypted.
                "delete network/key",
            ])
            .aws_in(
                2,
                "[ec2.describe_flow_logs()['FlowLogs'], logs.describe_log_groups()['logGroups']]",
                "[[], []]",
            ),
        case("network.flowLogs", "true").plan(&[]),
        case("encryption.rotationDays", "180")
            .plan(&["update network/key rotationDays=180"])
            .aws("kms.get_key_rotation_status(KeyId=key())['RotationPeriodInDays']", "180"),
        case("encryption.deletionWindowDays", "14")
            .plan(&["update network/key deletionWindowDays=14"])
            .aws("key_tags()['provisioner:deletion-window-days']", "'14'")
            .stays(),
        case("encryption.keyArn", "${KEY}")
            .and("encryption.rotationDays", "")
            .and("encryption.deletionWindowDays", "")
            .plan(&["delete network/key", "update network/flow-log-group key=${KEY}"])
            .aws_in(3, "log_group('/provisioner/fields/vpc-flow-logs')['kmsKeyId']", "${KEY}"),
        case("tags.team", "blue")
            .plan_has(&[
                "update network/vpc tags.team=blue",
                "update network/subnet/public-eu-central-1b tags.team=blue",
                "update network/internet-gateway tags.team=blue",
                "update network/route-table/public tags.team=blue",
                "update network/default-security-group tags.team=blue",
                "update network/elastic-ip/eu-central-1a tags.team=blue",
                "update network/nat-gateway/eu-central-1a tags.team=blue",
                "update network/endpoint/s3 tags.team=blue",
                "update network/flow-log tags.team=blue",
                "update network/flow-log-group tags.team=blue",
                "update network/flow-log-role tags.team=blue",
                "update network/key tags.team=blue",
            ])
            .aws("untagged('blue')", "[]"),
        case("account", "'123456789012'").plan(&[]),
        case("account", "'999999999999'").refused("the credentials are for 123456789012"),
        case("permissionsBoundary", "arn:aws:iam::aws:policy/PowerUserAccess")
            .plan(&["update network/flow-log-role permissionsBoundary=arn:aws:iam::aws:policy/PowerUserAccess"])
            .aws(
                "iam.get_role(RoleName='fields-eu-central-1-flow-logs')['Role']['PermissionsBoundary']['PermissionsBoundaryArn']",
                "'arn:aws:iam::aws:policy/PowerUserAccess'",
            ),
        case("rolePath", "/platform/").plan(&["replace network/flow-log-role rolePath=/platform/", "replace network/flow-log role"]).aws("iam.get_role(RoleName='fields-eu-central-1-flow-logs')['Role']['Path']", "'/platform/'"),
        case("protect", "true").plan(&[]),
        case("protect", "true").and("network.flowLogs", "false").refused("network/key would be deleted"),
    ]
}
