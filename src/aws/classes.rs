//! Error codes whose meaning depends on the service or the call.

use crate::model::ErrorKind;

/// Returns the meaning of a code that depends on the service or the call, and `None` for all other codes. The
/// table and its sources are in `docs/ARCHITECTURE.md`, "Errors by class".
pub fn specific(service: &str, operation: &str, code: &str, message: &str) -> Option<ErrorKind> {
    if service == "eks" {
        return eks(operation, code, message);
    }
    let class = match (service, operation, code) {
        ("ec2", "AttachInternetGateway", "InvalidInternetGatewayID.NotFound" | "InvalidVpcID.NotFound") => {
            ErrorKind::Eventual
        }
        ("ec2", "CreateRoute" | "ReplaceRoute", code) if code.ends_with(".NotFound") => ErrorKind::Eventual,
        ("ec2", "CreateFlowLogs", "InvalidParameter") if message.contains("role") => ErrorKind::Eventual,
        ("ec2", operation, code) if code.ends_with(".NotFound") && !operation.starts_with("De") => {
            ErrorKind::Eventual
        }
        (
            "ec2",
            _,
            "Gateway.NotAttached"
            | "InvalidGroup.NotFound"
            | "NatGatewayNotFound"
            | "InvalidPermission.NotFound",
        ) => ErrorKind::Gone,
        (
            "ec2",
            _,
            "InvalidSubnet.Conflict" | "InvalidIPAddress.InUse" | "InvalidGroup.InUse" | "IncorrectState",
        ) => ErrorKind::Conflict,
        ("ec2", _, "Resource.AlreadyAssociated" | "RouteAlreadyExists" | "InvalidPermission.Duplicate") => {
            ErrorKind::Exists
        }
        ("ec2", _, "InvalidGroup.Duplicate" | "FlowLogAlreadyExists") => ErrorKind::Exists,
        ("ec2", _, "RouteTableLimitExceeded" | "RulesPerSecurityGroupLimitExceeded") => ErrorKind::Quota,
        ("ec2", "CreateVpcEndpoint", "InvalidParameter") if message.contains("private-dns") => {
            ErrorKind::Conflict
        }
        ("ec2", _, "InvalidLaunchTemplateName.AlreadyExistsException" | "InvalidKeyPair.Duplicate") => {
            ErrorKind::Exists
        }
        ("ec2", _, "InvalidLaunchTemplateName.NotFoundException") => ErrorKind::Gone,
        ("ecr", _, "RepositoryNotFoundException" | "LifecyclePolicyNotFoundException") => ErrorKind::Gone,
        ("ecr", _, "RepositoryAlreadyExistsException") => ErrorKind::Exists,
        ("ecr", _, "ImageAlreadyExistsException" | "LayerAlreadyExistsException") => ErrorKind::Exists,
        ("ecr", _, "ImageTagAlreadyExistsException") => ErrorKind::Refused,
        // The upload is not visible yet, or expired since it was checked: a retry uploads it again.
        (
            "ecr",
            _,
            "LayersNotFoundException" | "ReferencedImagesNotFoundException" | "UploadNotFoundException",
        ) => ErrorKind::Eventual,
        // The key was created a moment ago, or ECR's own grant on it was, which its uploads need.
        ("ecr", _, "KmsException") | ("ssm", "PutParameter", "InvalidKeyId") => ErrorKind::Eventual,
        ("ssm", _, "ParameterAlreadyExists") => ErrorKind::Exists,
        ("ssm", _, "InvalidResourceId") => ErrorKind::Gone,
        ("ssm", _, "TooManyUpdates") => ErrorKind::Conflict,
        // AWS keeps only the default of a quota that was never changed.
        ("servicequotas", _, "NoSuchResourceException") => ErrorKind::Gone,
        // Auto Scaling has no separate code for a group that does not exist.
        ("autoscaling", "DescribeScalingActivities", "ValidationError") => ErrorKind::Gone,
        // The role was created a moment ago; for a policy that does not exist, the message names the policy.
        (
            "iam",
            "AttachRolePolicy" | "PutRolePolicy" | "TagRole" | "UpdateAssumeRolePolicy",
            "NoSuchEntity",
        ) => {
            if message.contains("Policy") {
                ErrorKind::Invalid
            } else {
                ErrorKind::Eventual
            }
        }
        ("iam", _, "EntityAlreadyExists") => ErrorKind::Exists,
        ("iam", _, "DeleteConflict") => ErrorKind::Conflict,
        ("iam", _, "MalformedPolicyDocument") if message.contains("Invalid principal") => ErrorKind::Eventual,
        // KMS rejects a policy that names a new role until it has seen the role.
        ("kms", _, "MalformedPolicyDocumentException") if message.contains("invalid principals") => {
            ErrorKind::Eventual
        }
        ("kms", _, "AlreadyExistsException") => ErrorKind::Exists,
        ("kms", _, "KMSInvalidStateException") => ErrorKind::Conflict,
        ("s3", _, "BucketAlreadyOwnedByYou") => ErrorKind::Exists,
        ("s3", _, "BucketAlreadyExists") => ErrorKind::Refused,
        ("s3", _, "PreconditionFailed" | "ConditionalRequestConflict") => ErrorKind::Lost,
        ("s3", operation, "NoSuchBucket") if operation.starts_with("Put") && operation != "PutObject" => {
            ErrorKind::Eventual
        }
        ("s3", _, "NoSuchBucket" | "NoSuchKey" | "NoSuchVersion") => ErrorKind::Gone,
        ("dynamodb", _, "ConditionalCheckFailedException") => ErrorKind::Lost,
        // The backup calls report a missing table with a code of their own.
        ("dynamodb", _, "TableNotFoundException") => ErrorKind::Gone,
        ("dynamodb", "CreateTable", "ResourceInUseException") => ErrorKind::Exists,
        ("dynamodb", "DeleteTable", "ValidationException") if message.contains("DeletionProtection") => {
            ErrorKind::Refused
        }
        ("logs", "CreateLogGroup", "ResourceAlreadyExistsException") => ErrorKind::Exists,
        // CloudWatch Logs checks the key policy when a key is set; a new policy takes a moment to propagate.
        (
            "logs",
            "CreateLogGroup" | "AssociateKmsKey",
            "InvalidParameterException" | "AccessDeniedException",
        ) if message.to_ascii_lowercase().contains("kms") => ErrorKind::Eventual,
        _ => return None,
    };
    Some(class)
}

/// Returns the meaning of an EKS error. EKS has few codes, so the message decides the rest.
fn eks(operation: &str, code: &str, message: &str) -> Option<ErrorKind> {
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let class = match code {
        "ResourceInUseException"
            if operation.starts_with("Create") && says(&["already exists", "already in use"]) =>
        {
            ErrorKind::Exists
        }
        "ResourceInUseException" => ErrorKind::Conflict,
        // What was created in IAM or KMS a moment ago is not visible to EKS yet.
        "InvalidParameterException" | "InvalidRequestException"
            if (operation.starts_with("Create")
                || operation == "UpdateAddon"
                || operation == "UpdatePodIdentityAssociation")
                && says(&[
                    "ole with name",
                    "ole with arn",
                    "ole could not be assumed",
                    "Error in role params",
                    "provided role",
                    "IAM role's policy must include",
                    "PodExecutionRole",
                    "ole provided",
                    "nodeRole",
                    "Trust policy",
                    "invalid principal",
                    "KMS key",
                ]) =>
        {
            ErrorKind::Eventual
        }
        "InvalidParameterException"
            if operation.starts_with("Update") && says(&["already at the desired", "No changes needed"]) =>
        {
            ErrorKind::Eventual
        }
        "InvalidRequestException" if says(&["not in ACTIVE", "deletion protection", "Launch template"]) => {
            ErrorKind::Conflict
        }
        "ClientException" if says(&["No cluster found"]) => ErrorKind::Gone,
        _ => return None,
    };
    Some(class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eks_errors_are_classified_by_message() {
        let cases: &[(&str, &str, &str, Option<ErrorKind>)] = &[
            (
                "CreateCluster",
                "ResourceInUseException",
                "Cluster already exists with name: x",
                Some(ErrorKind::Exists),
            ),
            (
                "CreateFargateProfile",
                "ResourceInUseException",
                "Cannot create Fargate Profile b because cluster x currently has Fargate profile a in status CREATING",
                Some(ErrorKind::Conflict),
            ),
            (
                "CreateAccessEntry",
                "ResourceInUseException",
                "The specified access entry resource is already in use on this cluster.",
                Some(ErrorKind::Exists),
            ),
            (
                "CreateCluster",
                "InvalidParameterException",
                "Role with arn: arn:aws:iam::1:role/x, could not be assumed because it does not exist or the trusted entity is not correct",
                Some(ErrorKind::Eventual),
            ),
            (
                "CreateCluster",
                "InvalidParameterException",
                "The provided role doesn't have the Amazon EKS Managed Policies associated with it.",
                Some(ErrorKind::Eventual),
            ),
            (
                "CreateFargateProfile",
                "InvalidParameterException",
                "Misconfigured PodExecutionRole Trust Policy; Please add the eks-fargate-pods.amazonaws.com Service Principal",
                Some(ErrorKind::Eventual),
            ),
            (
                "CreateCluster",
                "InvalidParameterException",
                "Subnets specified must be in at least two different AZs",
                None,
            ),
            (
                "UpdateClusterConfig",
                "InvalidParameterException",
                "No changes needed for the logging config provided",
                Some(ErrorKind::Eventual),
            ),
            (
                "DeleteCluster",
                "ResourceInUseException",
                "Cluster has nodegroups attached",
                Some(ErrorKind::Conflict),
            ),
            ("DeleteCluster", "ClientException", "No cluster found for name: x.", Some(ErrorKind::Gone)),
        ];
        for (operation, code, message, class) in cases {
            assert_eq!(specific("eks", operation, code, message), *class, "{operation}: {message}");
        }
    }
}
