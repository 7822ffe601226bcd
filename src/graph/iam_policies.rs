//! IAM policy documents, and statements of KMS key policies and endpoint policies.

use crate::model::partition;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Returns a policy document with these statements.
pub fn document(statements: Vec<Value>) -> Value {
    json!({"Version": "2012-10-17", "Statement": statements})
}

/// Returns the statement that lets the IAM policies of the account decide on access to a key. Without it, no
/// principal could manage the key.
pub fn key_admin(account: &str, region: &str) -> Value {
    let root = format!("arn:{}:iam::{account}:root", partition(region));
    json!({"Sid": "Account", "Effect": "Allow", "Principal": {"AWS": root}, "Action": "kms:*", "Resource": "*"})
}

/// Returns the principal by which CloudWatch Logs uses a key in a region.
pub fn logs_service(region: &str) -> String {
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("logs.{region}.{suffix}")
}

/// Returns the statement that lets CloudWatch Logs use a key, only for these log groups.
/// Source: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html>
pub fn key_for_logs(account: &str, region: &str, groups: &[String]) -> Value {
    let arns: Vec<String> = groups.iter().map(|group| log_group_arn(account, region, group)).collect();
    json!({
        "Sid": "Logs",
        "Effect": "Allow",
        "Principal": {"Service": logs_service(region)},
        "Action": ["kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"],
        "Resource": "*",
        "Condition": {"ArnEquals": {"kms:EncryptionContext:aws:logs:arn": arns}},
    })
}

/// Returns the ARN of a log group, without the trailing `:*` for its streams.
pub fn log_group_arn(account: &str, region: &str, name: &str) -> String {
    format!("arn:{}:logs:{region}:{account}:log-group:{name}", partition(region))
}

/// Returns the ARN of the role with which EC2 Auto Scaling starts nodes.
pub fn autoscaling_role(account: &str, region: &str) -> String {
    format!(
        "arn:{}:iam::{account}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling",
        partition(region)
    )
}

/// Returns the statements that let EC2 Auto Scaling launch nodes whose disks are encrypted with a key. A
/// condition names the service-linked role, because it may not exist yet in a new account, and a principal
/// that does not exist would make the policy invalid.
/// Source: <https://docs.aws.amazon.com/autoscaling/ec2/userguide/key-policy-requirements-EBS-encryption.html>
pub fn key_for_disks(account: &str, region: &str) -> Vec<Value> {
    let role = autoscaling_role(account, region);
    let who = json!({"kms:CallerAccount": account, "aws:PrincipalArn": role});
    vec![
        json!({
            "Sid": "NodeDisks",
            "Effect": "Allow",
            "Principal": {"AWS": "*"},
            "Action": ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"],
            "Resource": "*",
            "Condition": {"StringEquals": who},
        }),
        json!({
            "Sid": "NodeDiskGrants",
            "Effect": "Allow",
            "Principal": {"AWS": "*"},
            "Action": "kms:CreateGrant",
            "Resource": "*",
            "Condition": {"StringEquals": who, "Bool": {"kms:GrantIsForAWSResource": "true"}},
        }),
    ]
}

/// Returns the ARN of an AWS managed policy.
pub fn managed(region: &str, name: &str) -> String {
    format!("arn:{}:iam::aws:policy/{name}", partition(region))
}

/// Returns the trust policy of a service role: the service may assume it on behalf of resources of this
/// account that match `source`.
fn service_trust(service: &str, account: &str, source: &str) -> Value {
    document(vec![json!({
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
        "Condition": {
            "StringEquals": {"aws:SourceAccount": account},
            "ArnLike": {"aws:SourceArn": source},
        },
    })])
}

/// Returns the trust policy of the cluster role. Auto Mode tags its sessions.
/// Sources: <https://docs.aws.amazon.com/eks/latest/userguide/cross-service-confused-deputy-prevention.html>,
/// <https://docs.aws.amazon.com/eks/latest/userguide/auto-cluster-iam-role.html>
pub fn cluster_trust(account: &str, region: &str, cluster: &str, auto_mode: bool) -> Value {
    let source = format!("arn:{}:eks:{region}:{account}:cluster/{cluster}", partition(region));
    let mut policy = service_trust("eks.amazonaws.com", account, &source);
    if let (true, Some(action)) = (auto_mode, policy.pointer_mut("/Statement/0/Action")) {
        *action = json!(["sts:AssumeRole", "sts:TagSession"]);
    }
    policy
}

/// Returns the trust policy of the Fargate pod execution role.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/pod-execution-role.html>
pub fn fargate_trust(account: &str, region: &str, cluster: &str) -> Value {
    let source = format!("arn:{}:eks:{region}:{account}:fargateprofile/{cluster}/*", partition(region));
    service_trust("eks-fargate-pods.amazonaws.com", account, &source)
}

/// Returns the trust policy of the node role. It has no source condition, because EC2 does not send the
/// source.
pub fn node_trust(region: &str) -> Value {
    let service = if region.starts_with("cn-") { "ec2.amazonaws.com.cn" } else { "ec2.amazonaws.com" };
    document(vec![json!({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"})])
}

/// Returns the trust policy of a service account's role for IRSA. `${provider}` and `${issuer}` are resolved
/// when the cluster exists.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html>
pub fn web_identity_trust(namespace: &str, account: &str) -> Value {
    document(vec![json!({
        "Effect": "Allow",
        "Principal": {"Federated": "${provider}"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {
            "${issuer}:aud": "sts.amazonaws.com",
            "${issuer}:sub": format!("system:serviceaccount:{namespace}:{account}"),
        }},
    })])
}

/// Returns the trust policy of a service account's role for EKS Pod Identity, which tags its sessions.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/pod-id-role.html>
pub fn pod_identity_trust(account: &str, cluster: &str, namespace: &str, name: &str) -> Value {
    document(vec![json!({
        "Effect": "Allow",
        "Principal": {"Service": "pods.eks.amazonaws.com"},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
        "Condition": {"StringEquals": {
            "aws:SourceAccount": account,
            "aws:RequestTag/eks-cluster-arn": cluster,
            "aws:RequestTag/kubernetes-namespace": namespace,
            "aws:RequestTag/kubernetes-service-account": name,
        }},
    })])
}

/// Returns a name of at most `length` characters. A longer name is cut and ends in a digest of the whole
/// name.
pub fn shortened(length: usize, name: &str) -> String {
    if name.chars().count() <= length {
        return name.to_owned();
    }
    let digest: String = Sha256::digest(name).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let head: String = name.chars().take(length.saturating_sub(9)).collect();
    format!("{head}-{digest}")
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

/// Returns the policy of the flow log's role. It may not create log groups, or the flow log would recreate
/// the log group that `down` deleted.
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

/// Returns the policy of a VPC endpoint: principals of this account, and the calls that AWS sends without
/// one.
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
        // ECR stores image layers in an AWS bucket, and clients read them through presigned URLs.
        // Source: <https://docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html>
        "s3" => statements.push(json!({
            "Sid": "EcrLayers",
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": format!("arn:{}:s3:::prod-{region}-starport-layer-bucket/*", partition(region)),
        })),
        // The call of IRSA is not signed, so it has no principal account.
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
