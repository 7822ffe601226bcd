//! The IAM actions that no kind declares: those that every run calls, and those that AWS checks in addition to
//! a call, each with its scope.
//!
//! Tests compare all lists with the calls in the source: every call is listed, and every listed action is
//! called.

use crate::model::{IamGrant, IamScope};

/// The actions of every run: its identity, its state, its lease and the resources with the stack's tags.
/// `tag:GetResources` and the reads of EC2 are the final check of `down`.
pub const EVERY_RUN: &[IamGrant] = &[
    (IamScope::ANYWHERE, &["sts:GetCallerIdentity"]),
    (IamScope::TAG_QUERY, &["tag:GetResources"]),
    (IamScope::STATE, &["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"]),
    (IamScope::STATE_BUCKET, &["s3:ListBucket"]),
    (IamScope::LOCK_TABLE, &["dynamodb:GetItem", "dynamodb:UpdateItem"]),
    (IamScope::KEY_READ, &["kms:DescribeKey"]),
    (
        IamScope::EC2_READ,
        &[
            "ec2:DescribeInstances",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:DescribeVolumes",
        ],
    ),
];

/// The actions on the state's KMS key that S3 and DynamoDB use on the caller's behalf.
/// Sources: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html>,
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html>
pub const STATE_KEY: &[IamGrant] = &[
    (IamScope::GIVEN_STATE_KEY, &["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:DescribeKey"]),
    (IamScope::OWN_STATE_KEY, &["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:DescribeKey"]),
];

/// The actions on the object in which the first runs agree on who creates the state's key. Only the policy that creates
/// the backend has them.
pub const ELECTION: &[IamGrant] = &[(IamScope::BACKEND_RECORD, &["s3:GetObject", "s3:PutObject"])];

/// The additional actions of a stack with its own network.
pub const NETWORK: &[IamGrant] =
    &[(IamScope::EC2_READ, &["ec2:DescribeAvailabilityZones", "ec2:DescribeVpcEndpointServices"])];

/// The additional actions of a stack whose file gives a key: its policy, and its grants if the policy does not allow what
/// is encrypted.
pub const GIVEN_KEY: &[IamGrant] =
    &[(IamScope::KEY_READ, &["kms:GetKeyPolicy"]), (IamScope::GIVEN_KEY, &["kms:ListGrants"])];

/// The additional actions of a stack with images that exist already.
pub const GIVEN_IMAGES: &[IamGrant] =
    &[(IamScope::GIVEN_IMAGES, &["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"])];

/// The actions with which `down` looks for what would block it, in the network and of the stack's roles, and deletes the
/// endpoints of GuardDuty.
pub const BEFORE_DELETION: &[IamGrant] = &[
    (
        IamScope::EC2_READ,
        &[
            "ec2:DescribeEgressOnlyInternetGateways",
            "ec2:DescribeNetworkAcls",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeTransitGatewayVpcAttachments",
            "ec2:DescribeVpcEndpoints",
            "ec2:DescribeVpcPeeringConnections",
            "ec2:DescribeVpnGateways",
        ],
    ),
    (IamScope::ROLES, &["iam:ListInstanceProfilesForRole"]),
    (IamScope::GUARDDUTY, &["ec2:DeleteVpcEndpoints"]),
];

/// What is done with a group that a cluster left, and with rules that name it.
const SWEPT_GROUPS: &[&str] =
    &["ec2:DeleteSecurityGroup", "ec2:RevokeSecurityGroupEgress", "ec2:RevokeSecurityGroupIngress"];

/// The additional actions of a stack with a cluster: versions, releases, what EKS deletes no cluster with, the role behind
/// the caller's session, the look at IAM after a deletion, and the groups that a cluster leaves.
pub const CLUSTER: &[IamGrant] = &[
    (IamScope::ANYWHERE, &["autoscaling:DescribeAutoScalingGroups"]),
    (
        IamScope::EKS_REGION,
        &["eks:DescribeClusterVersions", "eks:DescribeAddonVersions", "eks:DescribeAddonConfiguration"],
    ),
    (
        IamScope::EKS,
        &[
            "eks:ListAccessEntries",
            "eks:ListAddons",
            "eks:ListFargateProfiles",
            "eks:ListNodegroups",
            "eks:ListPodIdentityAssociations",
        ],
    ),
    (IamScope::READ_ROLES, &["iam:GetRole"]),
    (IamScope::ANYWHERE, &["iam:GetAccountAuthorizationDetails", "iam:ListOpenIDConnectProviders"]),
    (IamScope::ISSUERS, &["iam:GetOpenIDConnectProvider"]),
    (IamScope::BOTTLEROCKET, &["ssm:GetParameters"]),
    (IamScope::EC2_READ, &["ec2:DescribeSecurityGroupRules"]),
    (IamScope::CONTROLLER_GROUPS, SWEPT_GROUPS),
    (IamScope::CLUSTER_GROUPS, SWEPT_GROUPS),
];

/// The actions that kinds declare without calling them: AWS checks them in addition to a call with another
/// name.
/// Source:
/// <https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html>
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

/// The actions of `doctor` outside the stack's policy. If one is denied, `doctor` reports it and continues.
pub const DOCTOR: &[&str] = &[
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeInstanceTypeOfferings",
    "eks:ListClusters",
    "iam:SimulatePrincipalPolicy",
    "servicequotas:GetServiceQuota",
    "servicequotas:GetAWSDefaultServiceQuota",
];
