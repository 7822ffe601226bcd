//! What error codes mean in one service, or in one call, only.

use crate::model::Class;

/// What a code means in one service or call only. Source of the table: `docs/ARCHITECTURE.md`, "Errors by class".
pub fn specific(service: &str, operation: &str, code: &str, message: &str) -> Option<Class> {
    if service == "eks" {
        return eks(operation, code, message);
    }
    let class = match (service, operation, code) {
        ("ec2", "AttachInternetGateway", "InvalidInternetGatewayID.NotFound" | "InvalidVpcID.NotFound") => {
            Class::Eventual
        }
        ("ec2", "CreateRoute" | "ReplaceRoute", code) if code.ends_with(".NotFound") => Class::Eventual,
        ("ec2", "CreateFlowLogs", "InvalidParameter") if message.contains("role") => Class::Eventual,
        ("ec2", operation, code) if code.ends_with(".NotFound") && !operation.starts_with("De") => {
            Class::Eventual
        }
        (
            "ec2",
            _,
            "Gateway.NotAttached"
            | "InvalidGroup.NotFound"
            | "NatGatewayNotFound"
            | "InvalidPermission.NotFound",
        ) => Class::Gone,
        (
            "ec2",
            _,
            "InvalidSubnet.Conflict" | "InvalidIPAddress.InUse" | "InvalidGroup.InUse" | "IncorrectState",
        ) => Class::Conflict,
        ("ec2", _, "Resource.AlreadyAssociated" | "RouteAlreadyExists" | "InvalidPermission.Duplicate") => {
            Class::Exists
        }
        ("ec2", _, "InvalidGroup.Duplicate" | "FlowLogAlreadyExists") => Class::Exists,
        ("ec2", _, "RouteTableLimitExceeded" | "RulesPerSecurityGroupLimitExceeded") => Class::Quota,
        ("ec2", "CreateVpcEndpoint", "InvalidParameter") if message.contains("private-dns") => {
            Class::Conflict
        }
        ("ec2", _, "InvalidLaunchTemplateName.AlreadyExistsException" | "InvalidKeyPair.Duplicate") => {
            Class::Exists
        }
        ("ec2", _, "InvalidLaunchTemplateName.NotFoundException") => Class::Gone,
        ("ecr", _, "RepositoryNotFoundException" | "LifecyclePolicyNotFoundException") => Class::Gone,
        ("ecr", _, "RepositoryAlreadyExistsException") => Class::Exists,
        ("ecr", _, "ImageAlreadyExistsException" | "LayerAlreadyExistsException") => Class::Exists,
        ("ecr", _, "ImageTagAlreadyExistsException") => Class::Refused,
        // What was uploaded a moment ago, or is gone since it was asked after: another try sends it again.
        (
            "ecr",
            _,
            "LayersNotFoundException" | "ReferencedImagesNotFoundException" | "UploadNotFoundException",
        ) => Class::Eventual,
        // A key made a moment ago.
        // So with the grants that ECR makes for itself, which its uploads need.
        ("ecr", _, "KmsException") | ("ssm", "PutParameter", "InvalidKeyId") => Class::Eventual,
        ("ssm", _, "ParameterAlreadyExists") => Class::Exists,
        ("ssm", _, "InvalidResourceId") => Class::Gone,
        ("ssm", _, "TooManyUpdates") => Class::Conflict,
        // Auto Scaling has no code of its own for a group that is gone.
        ("autoscaling", "DescribeScalingActivities", "ValidationError") => Class::Gone,
        // A role made a moment ago; a policy that is not there is said in other words.
        (
            "iam",
            "AttachRolePolicy" | "PutRolePolicy" | "TagRole" | "UpdateAssumeRolePolicy",
            "NoSuchEntity",
        ) => {
            if message.contains("Policy") {
                Class::Invalid
            } else {
                Class::Eventual
            }
        }
        ("iam", _, "EntityAlreadyExists") => Class::Exists,
        ("iam", _, "DeleteConflict") => Class::Conflict,
        ("iam", _, "MalformedPolicyDocument") if message.contains("Invalid principal") => Class::Eventual,
        // A policy that names a role made a moment ago is refused until KMS has seen the role.
        ("kms", _, "MalformedPolicyDocumentException") if message.contains("invalid principals") => {
            Class::Eventual
        }
        ("kms", _, "AlreadyExistsException") => Class::Exists,
        ("kms", _, "KMSInvalidStateException") => Class::Conflict,
        ("s3", _, "BucketAlreadyOwnedByYou") => Class::Exists,
        ("s3", _, "BucketAlreadyExists") => Class::Refused,
        ("s3", _, "PreconditionFailed" | "ConditionalRequestConflict") => Class::Lost,
        ("s3", operation, "NoSuchBucket") if operation.starts_with("Put") && operation != "PutObject" => {
            Class::Eventual
        }
        ("s3", _, "NoSuchBucket" | "NoSuchKey" | "NoSuchVersion") => Class::Gone,
        ("dynamodb", _, "ConditionalCheckFailedException") => Class::Lost,
        // Backups are asked by another name of the same refusal.
        ("dynamodb", _, "TableNotFoundException") => Class::Gone,
        ("dynamodb", "CreateTable", "ResourceInUseException") => Class::Exists,
        ("dynamodb", "DeleteTable", "ValidationException") if message.contains("DeletionProtection") => {
            Class::Refused
        }
        ("logs", "CreateLogGroup", "ResourceAlreadyExistsException") => Class::Exists,
        // CloudWatch Logs checks the key policy when it takes a key; a new policy takes a moment to arrive.
        (
            "logs",
            "CreateLogGroup" | "AssociateKmsKey",
            "InvalidParameterException" | "AccessDeniedException",
        ) if message.to_ascii_lowercase().contains("kms") => Class::Eventual,
        _ => return None,
    };
    Some(class)
}

/// EKS has few codes, and says the rest in words.
fn eks(operation: &str, code: &str, message: &str) -> Option<Class> {
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let class = match code {
        "ResourceInUseException"
            if operation.starts_with("Create") && says(&["already exists", "already in use"]) =>
        {
            Class::Exists
        }
        "ResourceInUseException" => Class::Conflict,
        // IAM and KMS have not told EKS yet of what was made a moment ago.
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
            Class::Eventual
        }
        "InvalidParameterException"
            if operation.starts_with("Update") && says(&["already at the desired", "No changes needed"]) =>
        {
            Class::Eventual
        }
        "InvalidRequestException" if says(&["not in ACTIVE", "deletion protection", "Launch template"]) => {
            Class::Conflict
        }
        "ClientException" if says(&["No cluster found"]) => Class::Gone,
        _ => return None,
    };
    Some(class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eks_is_understood_by_its_words() {
        let cases: &[(&str, &str, &str, Option<Class>)] = &[
            (
                "CreateCluster",
                "ResourceInUseException",
                "Cluster already exists with name: x",
                Some(Class::Exists),
            ),
            (
                "CreateFargateProfile",
                "ResourceInUseException",
                "Cannot create Fargate Profile b because cluster x currently has Fargate profile a in status CREATING",
                Some(Class::Conflict),
            ),
            (
                "CreateAccessEntry",
                "ResourceInUseException",
                "The specified access entry resource is already in use on this cluster.",
                Some(Class::Exists),
            ),
            (
                "CreateCluster",
                "InvalidParameterException",
                "Role with arn: arn:aws:iam::1:role/x, could not be assumed because it does not exist or the trusted entity is not correct",
                Some(Class::Eventual),
            ),
            (
                "CreateCluster",
                "InvalidParameterException",
                "The provided role doesn't have the Amazon EKS Managed Policies associated with it.",
                Some(Class::Eventual),
            ),
            (
                "CreateFargateProfile",
                "InvalidParameterException",
                "Misconfigured PodExecutionRole Trust Policy; Please add the eks-fargate-pods.amazonaws.com Service Principal",
                Some(Class::Eventual),
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
                Some(Class::Eventual),
            ),
            (
                "DeleteCluster",
                "ResourceInUseException",
                "Cluster has nodegroups attached",
                Some(Class::Conflict),
            ),
            ("DeleteCluster", "ClientException", "No cluster found for name: x.", Some(Class::Gone)),
        ];
        for (operation, code, message, class) in cases {
            assert_eq!(specific("eks", operation, code, message), *class, "{operation}: {message}");
        }
    }
}
