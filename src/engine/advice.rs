//! What to do about what AWS says is wrong, by its codes.

/// Codes of EKS's and Auto Scaling's troubles that no waiting mends, and those of Kubernetes.
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

/// What each code asks for. Source: the messages of
/// <https://docs.aws.amazon.com/eks/latest/userguide/troubleshooting.html> and the enums of the EKS API.
const ADVICE: &[(&str, &str)] = &[
    (
        "OOMKilled",
        "the container needs more memory than its limit: raise `resources.limits.memory`, or let it need less, then run again",
    ),
    (
        "CrashLoopBackOff",
        "the container ends soon after its start: its last lines say why; mend the application or its settings, then run again",
    ),
    (
        "CreateContainerConfigError",
        "a ConfigMap, a Secret, or a key in it is missing: add it to the manifests, then run again",
    ),
    (
        "FailedMount",
        "a ConfigMap or a Secret that a volume is made of is missing: add it to the manifests, or make it, then run again",
    ),
    ("serviceaccount \"", "the pods' ServiceAccount is missing: add it to the manifests, then run again"),
    (
        "ImagePullBackOff",
        "the nodes cannot pull the image: check its name, and that they reach its registry (NAT or endpoints)",
    ),
    ("InvalidImageName", "mend the image's name in the manifest, then run again"),
    ("exceeded quota", "the namespace's ResourceQuota is used up: raise it, or ask for less, then run again"),
    (
        "PodSecurity",
        "the namespace takes restricted pods only: see the security contexts in manifests/app/deployment.yaml, then run again",
    ),
    (
        "failed calling webhook",
        "a webhook of the cluster does not answer: `kubectl get pods -A` shows its pods; mend or remove it, then run again",
    ),
    (
        "Unschedulable",
        "no node has room for the pods, or none fits their rules: more or larger nodes (`nodeGroups`), or fewer or smaller pods",
    ),
    (
        "ProgressDeadlineExceeded",
        "the new pods did not become available in time: their probes and events say why; mend it, then run again",
    ),
    (
        "NodeCreationFailure",
        "the nodes did not join: check that the private subnets reach the API server, EC2, ECR and STS (NAT or endpoints; `provisioner doctor`), and that the node role's policies are attached; then run again",
    ),
    (
        "InsufficientFreeAddresses",
        "the subnets have too few free addresses: remove what is not needed in them, or use a larger network",
    ),
    (
        "VcpuLimitExceeded",
        "the account's quota of vCPUs is used up: ask for a higher one in the Service Quotas console, or take smaller or fewer instances",
    ),
    (
        "InstanceLimitExceeded",
        "the account's quota of instances is used up: ask for a higher one in the Service Quotas console, or take smaller or fewer instances",
    ),
    (
        "vCPU capacity",
        "the account's quota of vCPUs is used up: ask for a higher one in the Service Quotas console, or take smaller or fewer instances",
    ),
    (
        "InsufficientInstanceCapacity",
        "AWS has no such instances free there now: name more instance types, or wait and run again",
    ),
    (
        "AsgInstanceLaunchFailures",
        "Auto Scaling could not start instances; its message above says why. Mend that, then run again",
    ),
    (
        "InsufficientNumberOfReplicas",
        "its pods are not running: the cluster needs nodes, or a Fargate profile, that take them; `kubectl get events -n kube-system` says what holds them up",
    ),
    (
        "ConfigurationConflict",
        "something else in the cluster changed what the add-on sets: remove that change, then run again",
    ),
    (
        "AdmissionRequestDenied",
        "an admission webhook in the cluster refuses the add-on: change or remove the webhook",
    ),
    (
        "UnsupportedAddonOperation",
        "this version of the add-on does not do that: `addons[].version` takes another one",
    ),
    (
        "ClusterUnreachable",
        "EKS does not reach the nodes or the API server: check security groups and admission webhooks",
    ),
    ("AccessDenied", "a role lacks a permission: compare the role's policies with the file, then run again"),
];

/// Whether waiting on this is of no use.
pub fn hopeless(reason: &str) -> bool {
    HOPELESS.iter().any(|code| reason.contains(code))
}

/// What to do about it, where the code says so.
pub fn advice(reason: &str) -> Option<&'static str> {
    ADVICE.iter().find(|(code, _)| reason.contains(code)).map(|(_, text)| *text)
}
