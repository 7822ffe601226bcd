//! Which stack it is, where it is, and where its state is kept.

use super::case::{Case, Group, case};

const BASE: &str = "
name: fields
region: eu-central-1
roleArn: arn:aws:iam::123456789012:role/platform
state: {bucket: fields-state, table: fields-lock}
network: {zones: 2, nat: none, endpoints: [s3], flowLogs: {retentionDays: 365}}
";

/// What the file can extend: with the same values, it changes nothing. `tests/it/extends.rs` has one that does.
const FILES: &[(&str, &str)] = &[("common.yaml", "name: fields\nregion: eu-west-1\n")];

/// A key that is there already.
const BEFORE: &str = "
trust = {'Effect': 'Allow', 'Principal': {'AWS': 'arn:aws:iam::123456789012:root'}, 'Action': 'sts:AssumeRole'}
document = {'Version': '2012-10-17', 'Statement': [trust]}
for name in ('platform', 'other'):
    client('iam').create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(document))
key = client('kms').create_key()['KeyMetadata']['Arn']
print(json.dumps({'KEY': key}))";

pub fn group() -> Group {
    Group { base: BASE, before: BEFORE, files: FILES, environment: &[], cases: cases() }
}

fn cases() -> Vec<Case> {
    vec![
        // A table of its own: the other one may be other stacks'.
        case("state.table", "another-lock")
            .plan(&["create backend/table name=another-lock"])
            .aws("table('another-lock')['TableStatus']", "ACTIVE"),
        // The key that was made stays: what is in the bucket is encrypted with it.
        case("state.keyArn", "${KEY}")
            .plan(&["update backend/bucket key=${KEY}", "update backend/table key=${KEY}"])
            .aws("bucket_key('fields-state')", "${KEY}")
            .aws("table('another-lock')['SSEDescription']['KMSMasterKeyArn']", "${KEY}"),
        // The state is not in that bucket, and the stack is there.
        case("state.bucket", "other-state").refused("state bucket s3://other-state not found"),
        case("state.bucket", "other-state")
            .and("state.table", "other-lock")
            .and("name", "other")
            .plan_has(&[
                "create backend/bucket name=other-state",
                "create backend/table name=other-lock",
                "create network/vpc",
            ])
            .aws_in(2, "bucket_key('other-state').split(':')[2]", "kms")
            .aws_in(2, "'other/state.json' in [o['Key'] for o in s3.list_objects_v2(Bucket='other-state')['Contents']]", "true"),
        case("name", "other")
            .plan_has(&[
                "create network/vpc cidr=10.0.0.0/16",
                "create network/flow-log-group name=/provisioner/other/vpc-flow-logs",
                "create network/key alias=alias/provisioner/other",
            ])
            .aws_in(2, "stacks('eu-central-1')", "[fields, other]"),
        case("extends", "common.yaml").plan(&[]),
        // Who calls changes nothing of the stack: `tests/it/assumed_role.rs`.
        case("roleArn", "arn:aws:iam::123456789012:role/other").plan(&[]),
        case("externalId", "shop-4711").plan(&[]),
        case("region", "eu-west-1")
            .and("state", "")
            .plan_has(&[
                "create backend/bucket name=provisioner-123456789012-eu-west-1",
                "create backend/table name=provisioner-lock",
                "create network/subnet/private-eu-west-1a zone=eu-west-1a",
                "create network/endpoint/s3 service=com.amazonaws.eu-west-1.s3",
            ])
            .aws_in(3, "stacks('eu-west-1')", "[fields]"),
    ]
}
