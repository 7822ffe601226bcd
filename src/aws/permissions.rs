//! The IAM actions that no kind declares: those of what every run does, and those that AWS checks beside a call.
//!
//! Tests hold all lists against the calls in the source: what is called is listed, and what is listed is called.

/// What every run asks: who it is, what carries the stack's tags, its state and its lease. `tag:GetResources` and what
/// follows it is the proof at the end of `down`.
pub const EVERY_RUN: &[&str] = &[
    "sts:GetCallerIdentity",
    "s3:GetObject",
    "s3:GetObjectVersion",
    "s3:PutObject",
    "s3:ListBucket",
    "dynamodb:GetItem",
    "dynamodb:UpdateItem",
    "tag:GetResources",
    "kms:DescribeKey",
    "ec2:DescribeInstances",
    "ec2:DescribeVolumes",
];

/// What S3 and DynamoDB ask the state's key for on the caller's behalf.
/// Sources: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html>,
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html>
pub const STATE_KEY: &[&str] = &["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:DescribeKey"];

/// What a stack with a network of its own asks beside that.
pub const NETWORK: &[&str] = &["ec2:DescribeAvailabilityZones"];

/// What a stack with a cluster asks beside that: versions, releases, and the role behind the caller's session.
pub const CLUSTER: &[&str] = &[
    "autoscaling:DescribeAutoScalingGroups",
    "eks:DescribeClusterVersions",
    "eks:DescribeAddonVersions",
    "eks:DescribeAddonConfiguration",
    "iam:GetRole",
    "ssm:GetParameters",
];

/// Actions that kinds declare though they call nothing of that name: AWS checks them beside a call of another name.
/// Source: <https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html>
pub const CHECKED_BESIDE: &[&str] = &[
    "iam:PassRole",
    "iam:GetRole",
    "iam:ListAttachedRolePolicies",
    "iam:CreateServiceLinkedRole",
    "iam:TagRole",
    "iam:TagOpenIDConnectProvider",
    "ec2:CreateTags",
    "ec2:RunInstances",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeLaunchTemplateVersions",
    "ecr:TagResource",
    "eks:TagResource",
    "logs:TagResource",
    "dynamodb:TagResource",
    "kms:CreateGrant",
    "kms:RetireGrant",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:Decrypt",
    "kms:GenerateDataKey",
    "kms:TagResource",
];

/// What `doctor` asks beside what the stack's policy allows. It says what it may not ask, and goes on.
pub const DOCTOR: &[&str] = &[
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeInstanceTypeOfferings",
    "eks:ListClusters",
    "iam:SimulatePrincipalPolicy",
    "servicequotas:GetServiceQuota",
    "servicequotas:GetAWSDefaultServiceQuota",
];
