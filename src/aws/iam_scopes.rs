//! The scopes of IAM actions that several kinds, or every run, declare.

use crate::model::{IamCondition, IamScope};

/// Only in the stack's region.
const IN_REGION: IamCondition = ("StringEquals", "aws:RequestedRegion", &["{region}"]);

/// Only resources with the owner's tag.
const OWN: IamCondition = ("StringEquals", "aws:ResourceTag/{ownerTag}", &["{owner}"]);

/// Services that the stack's roles are passed to.
const PASS_ROLE_SERVICES: &[&str] = &[
    "eks.amazonaws.com",
    "eks-fargate-pods.amazonaws.com",
    "pods.eks.amazonaws.com",
    "ec2.amazonaws.com",
    "vpc-flow-logs.amazonaws.com",
];

/// Services whose service-linked role AWS creates with the first cluster, node group or Spot Instance of an
/// account.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/using-service-linked-roles.html>
const SERVICE_LINKED_ROLES: &[&str] = &[
    "eks.amazonaws.com",
    "eks-nodegroup.amazonaws.com",
    "eks-fargate.amazonaws.com",
    "autoscaling.amazonaws.com",
    "spot.amazonaws.com",
];

const KEYS: &str = "arn:{partition}:kms:{region}:{account}:key/*";
const BUCKET: &str = "arn:{partition}:s3:::{bucket}";

impl IamScope {
    /// Actions that AWS restricts by neither resource nor region.
    pub const ANYWHERE: IamScope = IamScope { sid: "Region", resources: &["*"], conditions: &[] };

    /// Queries by tag, which accept no resource.
    pub const TAG_QUERY: IamScope = IamScope { sid: "TagQuery", conditions: &[IN_REGION], ..Self::ANYWHERE };

    /// Describe calls of EC2, which accept no resource.
    pub const EC2_READ: IamScope = IamScope { sid: "Ec2Read", ..Self::ANYWHERE };
    /// Calls of EC2 that create resources or change them.
    pub const EC2_WRITE: IamScope = IamScope { sid: "Ec2Write", conditions: &[IN_REGION], ..Self::ANYWHERE };
    /// Calls of EC2 that delete: only resources with the stack's tag.
    pub const EC2_OWN: IamScope = IamScope { sid: "Ec2Own", conditions: &[IN_REGION, OWN], ..Self::ANYWHERE };

    /// Network interfaces that the VPC CNI of the stack's cluster created.
    /// Source: <https://github.com/aws/amazon-vpc-cni-k8s#cluster_name>
    pub const CNI_INTERFACES: IamScope = IamScope {
        sid: "CniInterfaces",
        resources: &["arn:{partition}:ec2:{region}:{account}:network-interface/*"],
        conditions: &[("StringEquals", "aws:ResourceTag/cluster.k8s.amazonaws.com/name", &["{cluster}"])],
    };
    /// Security groups that the AWS Load Balancer Controller of the stack's cluster created.
    /// Source: <https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/deploy/security_groups/>
    pub const CONTROLLER_GROUPS: IamScope = IamScope {
        sid: "ControllerGroups",
        resources: &["arn:{partition}:ec2:{region}:{account}:security-group/*"],
        conditions: &[("StringEquals", "aws:ResourceTag/elbv2.k8s.aws/cluster", &["{cluster}"])],
    };
    /// Security groups that EKS created for the stack's cluster, or the controller of its Classic Load Balancers.
    /// Source: <https://docs.aws.amazon.com/eks/latest/userguide/eks-using-tags.html>
    pub const CLUSTER_GROUPS: IamScope = IamScope {
        sid: "ClusterGroups",
        resources: &["arn:{partition}:ec2:{region}:{account}:security-group/*"],
        conditions: &[("StringEquals", "aws:ResourceTag/kubernetes.io/cluster/{cluster}", &["owned"])],
    };
    /// What GuardDuty creates in a VPC that it monitors.
    pub const GUARDDUTY: IamScope = IamScope {
        sid: "GuardDuty",
        conditions: &[IN_REGION, ("StringEquals", "aws:ResourceTag/GuardDutyManaged", &["true"])],
        ..Self::ANYWHERE
    };

    /// The cluster and everything that EKS keeps in it.
    pub const EKS: IamScope = IamScope {
        sid: "Eks",
        resources: &[
            "arn:{partition}:eks:{region}:{account}:cluster/{cluster}",
            "arn:{partition}:eks:{region}:{account}:*/{cluster}/*",
        ],
        conditions: &[],
    };
    /// Calls of EKS that accept no resource.
    pub const EKS_REGION: IamScope =
        IamScope { sid: "EksRegion", conditions: &[IN_REGION], ..Self::ANYWHERE };

    /// Public parameters with the releases of Bottlerocket.
    pub const BOTTLEROCKET: IamScope = IamScope {
        sid: "Bottlerocket",
        resources: &["arn:{partition}:ssm:{region}::parameter/aws/service/bottlerocket/*"],
        conditions: &[],
    };

    /// The stack's parameters.
    pub const PARAMETERS: IamScope = IamScope {
        sid: "Parameters",
        resources: &["arn:{partition}:ssm:{region}:{account}:parameter/{ssm_parameter.name}"],
        conditions: &[],
    };

    /// Issuers of EKS, whose names are random.
    pub const ISSUERS: IamScope = IamScope {
        sid: "Issuer",
        resources: &["arn:{partition}:iam::{account}:oidc-provider/oidc.eks.{region}.*"],
        conditions: &[],
    };

    /// Any role: clusters and node groups name roles that may be outside the stack.
    pub const READ_ROLES: IamScope =
        IamScope { sid: "ReadRoles", resources: &["arn:{partition}:iam::{account}:role/*"], conditions: &[] };
    /// The stack's roles.
    pub const ROLES: IamScope = IamScope {
        sid: "Roles",
        resources: &["arn:{partition}:iam::{account}:role{rolePath}{iam_role.name}"],
        conditions: &[],
    };
    /// The stack's roles, as they are passed to AWS services.
    pub const PASS_ROLES: IamScope = IamScope {
        sid: "PassRoles",
        conditions: &[("StringEquals", "iam:PassedToService", PASS_ROLE_SERVICES)],
        ..Self::ROLES
    };
    /// The roles of AWS services that the stack's resources need.
    pub const SERVICE_ROLES: IamScope = IamScope {
        sid: "OwnRoles",
        resources: &["arn:{partition}:iam::{account}:role/aws-service-role/*"],
        conditions: &[("StringEquals", "iam:AWSServiceName", SERVICE_LINKED_ROLES)],
    };

    /// Keys with the owner's tag.
    pub const KEY: IamScope = IamScope { sid: "Key", resources: &[KEYS], conditions: &[OWN] };
    /// Any key, for calls that only read: a key may have been created outside provisioner.
    pub const KEY_READ: IamScope =
        IamScope { sid: "KeyRead", resources: &[KEYS, "{givenKey}"], conditions: &[] };
    /// Keys with the owner's tag, for grants to AWS services on behalf of the caller.
    pub const KEY_GRANTS: IamScope = IamScope {
        sid: "KeyGrants",
        resources: &[KEYS],
        conditions: &[OWN, ("Bool", "kms:GrantIsForAWSResource", &["true"])],
    };
    /// The key that the stack file names, which does not have the stack's tag.
    pub const GIVEN_KEY: IamScope = IamScope { sid: "GivenKey", resources: &["{givenKey}"], conditions: &[] };

    /// The repositories of ECR that the stack file takes images from.
    pub const GIVEN_IMAGES: IamScope =
        IamScope { sid: "GivenImages", resources: &["{givenImages}"], conditions: &[] };

    /// The state and its versions.
    pub const STATE: IamScope =
        IamScope { sid: "State", resources: &["arn:{partition}:s3:::{bucket}/{stack}/*"], conditions: &[] };
    /// The bucket of the state.
    pub const STATE_BUCKET: IamScope = IamScope { sid: "StateBucket", resources: &[BUCKET], conditions: &[] };
    /// The table of the locks.
    pub const LOCK_TABLE: IamScope = IamScope {
        sid: "LockTable",
        resources: &["arn:{partition}:dynamodb:{region}:{account}:table/{table}"],
        conditions: &[],
    };
    /// The key of the state that the stack file names.
    pub const GIVEN_STATE_KEY: IamScope =
        IamScope { sid: "StateKey", resources: &["{givenStateKey}"], conditions: &[] };
    /// The key of the state that was created with the bucket.
    pub const OWN_STATE_KEY: IamScope = IamScope {
        sid: "OwnStateKey",
        resources: &["{ownStateKey}"],
        conditions: &[("StringEquals", "aws:ResourceTag/{backendTag}", &["{bucket}"])],
    };
    /// The backend's own record in the bucket.
    pub const BACKEND_RECORD: IamScope = IamScope {
        sid: "BackendRecord",
        resources: &["arn:{partition}:s3:::{bucket}/{record}"],
        conditions: &[],
    };
}
