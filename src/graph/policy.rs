//! Policy documents.

use crate::model::partition;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

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

/// Lets Auto Scaling start nodes whose disks are encrypted with a key. The role may not be there yet in a new account,
/// so it is named by a condition: a principal that does not exist would make the policy invalid.
/// Source: <https://docs.aws.amazon.com/autoscaling/ec2/userguide/key-policy-requirements-EBS-encryption.html>
pub fn key_for_disks(account: &str, region: &str) -> Vec<Value> {
    let role = format!(
        "arn:{}:iam::{account}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling",
        partition(region)
    );
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

/// The ARN of one of AWS's managed policies.
pub fn managed(region: &str, name: &str) -> String {
    format!("arn:{}:iam::aws:policy/{name}", partition(region))
}

/// Who may assume a service's role: the service, on behalf of what `source` matches in this account.
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

/// Who may assume the cluster's role.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/cross-service-confused-deputy-prevention.html>
pub fn cluster_trust(account: &str, region: &str, cluster: &str) -> Value {
    let source = format!("arn:{}:eks:{region}:{account}:cluster/{cluster}", partition(region));
    service_trust("eks.amazonaws.com", account, &source)
}

/// Who may assume the role of pods on Fargate.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/pod-execution-role.html>
pub fn fargate_trust(account: &str, region: &str, cluster: &str) -> Value {
    let source = format!("arn:{}:eks:{region}:{account}:fargateprofile/{cluster}/*", partition(region));
    service_trust("eks-fargate-pods.amazonaws.com", account, &source)
}

/// Who may assume the nodes' role. EC2 says nothing of the source.
pub fn node_trust(region: &str) -> Value {
    let service = if region.starts_with("cn-") { "ec2.amazonaws.com.cn" } else { "ec2.amazonaws.com" };
    document(vec![json!({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"})])
}

/// Who may assume the role of a service account through the cluster's tokens. `${provider}` and `${issuer}` are
/// given by the cluster.
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

/// Who may assume the role of a service account through EKS Pod Identity, which tags its sessions.
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

/// A name that fits: what is too long ends in a digest of the whole.
pub fn within(length: usize, name: &str) -> String {
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
