//! Hints for the error codes of AWS and Kubernetes, and the codes for which a retry is useless.

/// Codes of Kubernetes, EKS and Auto Scaling that do not resolve without a change by the user.
const HOPELESS: &[&str] = &[
    "BackoffLimitExceeded",
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "FailedCreate",
    "FailedMount",
    "ImagePullBackOff",
    "InvalidImageName",
    "ProgressDeadlineExceeded",
    "RunContainerError",
    "Unschedulable",
    "AccessDenied",
    "AdmissionRequestDenied",
    "AsgInstanceLaunchFailures",
    "ClusterUnreachable",
    "ConfigurationConflict",
    "Ec2LaunchTemplateInvalidConfiguration",
    "Ec2LaunchTemplateNotFound",
    "Ec2SubnetInvalidConfiguration",
    "Ec2SubnetNotFound",
    "IamInstanceProfileNotFound",
    "IamNodeRoleNotFound",
    "InstanceLimitExceeded",
    "InsufficientFreeAddresses",
    "K8sResourceNotFound",
    "NodeCreationFailure",
    "PodExecutionRoleAlreadyInUse",
    "UnsupportedAddonOperation",
    "VcpuLimitExceeded",
];

/// Hint for each code. Source: the messages of
/// <https://docs.aws.amazon.com/eks/latest/userguide/troubleshooting.html> and the enums of the EKS API.
const ADVICE: &[(&str, &str)] = &[
    (
        "OOMKilled",
        "raise `resources.limits.memory` of the container or reduce its memory use, then run again",
    ),
    (
        "CrashLoopBackOff",
        "read the last log lines of the container, which exits soon after its start; fix the application or its settings, then run again",
    ),
    (
        "CreateContainerConfigError",
        "add the missing ConfigMap or Secret, or the missing key in it, to the manifests, then run again",
    ),
    (
        "FailedMount",
        "add the missing ConfigMap or Secret of the volume to the manifests, or create it, then run again",
    ),
    ("serviceaccount \"", "add the missing ServiceAccount of the pods to the manifests, then run again"),
    (
        "ImagePullBackOff",
        "check the name of the image, and that the nodes reach its registry (NAT or VPC endpoints)",
    ),
    ("InvalidImageName", "correct the name of the image in the manifest, then run again"),
    ("exceeded quota", "raise the ResourceQuota of the namespace or reduce the requests, then run again"),
    (
        "PodSecurity",
        "set the security contexts that the namespace requires (example: `manifests/app/deployment.yaml`), then run again",
    ),
    (
        "failed calling webhook",
        "repair or remove the webhook, which does not answer (`kubectl get pods -A` shows its pods), then run again",
    ),
    (
        "Unschedulable",
        "add more or larger nodes (`nodeGroups`), reduce the pods or their requests, or relax their scheduling rules",
    ),
    (
        "ProgressDeadlineExceeded",
        "check the probes and events of the new pods, which did not become available in time; fix the cause, then run again",
    ),
    (
        "NodeCreationFailure",
        "check that the private subnets reach the API server, EC2, ECR and STS (NAT or VPC endpoints; see `provisioner doctor`), and that the policies of the node role are attached; then run again",
    ),
    (
        "InsufficientFreeAddresses",
        "delete unused resources in the subnets, which have too few free addresses, or use larger subnets",
    ),
    (
        "VcpuLimitExceeded",
        "request a higher quota of vCPUs in the Service Quotas console, or use smaller or fewer instances",
    ),
    (
        "InstanceLimitExceeded",
        "request a higher quota of instances in the Service Quotas console, or use smaller or fewer instances",
    ),
    (
        "vCPU capacity",
        "request a higher quota of vCPUs in the Service Quotas console, or use smaller or fewer instances",
    ),
    (
        "InsufficientInstanceCapacity",
        "list more instance types, or run again later: AWS has no capacity for these types in this zone now",
    ),
    ("AsgInstanceLaunchFailures", "fix the cause in the message of Auto Scaling above, then run again"),
    (
        "InsufficientNumberOfReplicas",
        "add nodes or a Fargate profile on which the pods of the add-on can run; `kubectl get events -n kube-system` shows why they do not",
    ),
    (
        "ConfigurationConflict",
        "revert the change that another program made to the add-on's settings in the cluster, then run again",
    ),
    (
        "AdmissionRequestDenied",
        "change or remove the admission webhook in the cluster that rejects the add-on",
    ),
    ("UnsupportedAddonOperation", "set another version of the add-on in `addons[].version`"),
    (
        "ClusterUnreachable",
        "check the security groups and admission webhooks: EKS does not reach the nodes or the API server",
    ),
    (
        "PodEvictionFailure",
        "a PodDisruptionBudget does not let pods leave their node: `kubectl get pdb -A` shows those that allow no disruption. Let it allow one (more replicas, a lower `minAvailable`), or set `nodeGroups[].forceUpdate: true`, which ends the pods anyway; then run `provisioner up` again",
    ),
    (
        "Ec2SecurityGroupDeletionFailure",
        "something uses a security group that EKS created: remove the interfaces with it and the rules of other groups that name it, then run the same command again",
    ),
    ("AccessDenied", "a role lacks a permission: compare the role's policies with the file, then run again"),
];

/// Returns whether the reason contains a code that does not resolve by waiting.
pub fn hopeless(reason: &str) -> bool {
    HOPELESS.iter().any(|code| reason.contains(code))
}

/// Returns the hint for the first known code in the reason.
pub fn advice(reason: &str) -> Option<&'static str> {
    ADVICE.iter().find(|(code, _)| reason.contains(code)).map(|(_, text)| *text)
}
