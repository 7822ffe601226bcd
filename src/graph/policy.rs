//! Policy documents.

use crate::model::partition;
use serde_json::{Value, json};

/// A document of these statements.
pub fn document(statements: Vec<Value>) -> Value {
    json!({"Version": "2012-10-17", "Statement": statements})
}

/// Lets the account's own policies decide on a key; without it nobody could.
pub fn key_admin(account: &str, region: &str) -> Value {
    let root = format!("arn:{}:iam::{account}:root", partition(region));
    json!({"Sid": "Account", "Effect": "Allow", "Principal": {"AWS": root}, "Action": "kms:*", "Resource": "*"})
}

/// Lets CloudWatch Logs use a key for the stack's log groups alone.
/// Source: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html>
pub fn key_for_logs(account: &str, region: &str, groups: &[String]) -> Value {
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let arns: Vec<String> = groups.iter().map(|group| log_group_arn(account, region, group)).collect();
    json!({
        "Sid": "Logs",
        "Effect": "Allow",
        "Principal": {"Service": format!("logs.{region}.{suffix}")},
        "Action": ["kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"],
        "Resource": "*",
        "Condition": {"ArnEquals": {"kms:EncryptionContext:aws:logs:arn": arns}},
    })
}

/// The ARN of a log group, without the `:*` that stands for its streams.
pub fn log_group_arn(account: &str, region: &str, name: &str) -> String {
    format!("arn:{}:logs:{region}:{account}:log-group:{name}", partition(region))
}

/// Who may assume the flow log's role: the service, for flow logs of this account and region.
/// Source: <https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html>
pub fn flow_log_trust(account: &str, region: &str) -> Value {
    document(vec![json!({
        "Effect": "Allow",
        "Principal": {"Service": "vpc-flow-logs.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {
            "StringEquals": {"aws:SourceAccount": account},
            "ArnLike": {"aws:SourceArn": format!("arn:{}:ec2:{region}:{account}:vpc-flow-log/*", partition(region))},
        },
    })])
}

/// What the flow log's role may do. It may not make a log group: the one that `down` removed would come back.
pub fn flow_log_writer(account: &str, region: &str, group: &str) -> Value {
    let arn = log_group_arn(account, region, group);
    document(vec![
        json!({
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"],
            "Resource": [arn, format!("{arn}:*")],
        }),
        json!({"Effect": "Allow", "Action": "logs:DescribeLogGroups", "Resource": "*"}),
    ])
}

/// Who may use an endpoint: the own account, and beside it what would otherwise break.
pub fn endpoint(service: &str, account: &str, region: &str) -> Value {
    let mut statements = vec![json!({
        "Sid": "OwnAccount",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "*",
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:PrincipalAccount": account}},
    })];
    match service {
        // ECR keeps image layers in a bucket of its own, read through presigned URLs.
        // Source: <https://docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html>
        "s3" => statements.push(json!({
            "Sid": "EcrLayers",
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": format!("arn:{}:s3:::prod-{region}-starport-layer-bucket/*", partition(region)),
        })),
        // IRSA's call is not signed, so it has no principal account.
        "sts" => statements.push(json!({
            "Sid": "WebIdentity",
            "Effect": "Allow",
            "Principal": "*",
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Resource": "*",
        })),
        _ => {}
    }
    document(statements)
}
