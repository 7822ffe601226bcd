//! IAM policies of the controllers and of the application.

use super::iam_policies::document;
use crate::model::partition;
use serde_json::{Value, json};

/// Returns the policy of the cluster autoscaler: read access to Auto Scaling and instance types, and
/// permission to scale the groups of this cluster.
/// Source: <https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/cloudprovider/aws/README.md>
pub fn autoscaler(region: &str, account: &str, cluster: &str) -> Value {
    let groups = format!("arn:{}:autoscaling:{region}:{account}:autoScalingGroup:*", partition(region));
    document(vec![
        json!({
            "Effect": "Allow",
            "Action": [
                "autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeAutoScalingInstances",
                "autoscaling:DescribeLaunchConfigurations", "autoscaling:DescribeScalingActivities",
                "autoscaling:DescribeTags", "ec2:DescribeImages", "ec2:DescribeInstanceTypes",
                "ec2:DescribeLaunchTemplateVersions", "ec2:GetInstanceTypesFromInstanceRequirements",
            ],
            "Resource": "*",
        }),
        json!({
            "Effect": "Allow",
            "Action": "eks:DescribeNodegroup",
            "Resource": format!("arn:{}:eks:{region}:{account}:nodegroup/{cluster}/*", partition(region)),
        }),
        json!({
            "Effect": "Allow",
            "Action": ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"],
            "Resource": groups,
            "Condition": {"StringEquals": {format!("aws:ResourceTag/k8s.io/cluster-autoscaler/{cluster}"): "owned"}},
        }),
    ])
}

/// Returns the policy for reading one SSM parameter, plain or encrypted.
pub fn read_parameter(region: &str, account: &str, name: &str) -> Value {
    let arn = format!("arn:{}:ssm:{region}:{account}:parameter{name}", partition(region));
    document(vec![
        json!({"Effect": "Allow", "Action": ["ssm:GetParameter", "ssm:GetParameters"], "Resource": arn}),
        json!({
            "Effect": "Allow",
            "Action": "kms:Decrypt",
            "Resource": format!("arn:{}:kms:{region}:{account}:key/*", partition(region)),
            "Condition": {"StringEquals": {"kms:EncryptionContext:PARAMETER_ARN": arn}},
        }),
    ])
}

/// Returns the policy of the AWS Load Balancer Controller. It may change and delete only what it created for
/// this cluster. AWS WAF and AWS Shield are not supported.
/// Source: the actions that the controller's installation guide lists,
/// <https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/deploy/installation/>
pub fn load_balancers(region: &str, cluster: &str) -> Value {
    let partition = partition(region);
    let own = json!({"StringEquals": {"aws:ResourceTag/elbv2.k8s.aws/cluster": cluster}});
    let for_cluster = json!({"StringEquals": {"aws:RequestTag/elbv2.k8s.aws/cluster": cluster}});
    let group = format!("arn:{partition}:ec2:{region}:*:security-group/*");
    let balancer = |kind: &str| format!("arn:{partition}:elasticloadbalancing:{region}:*:{kind}");
    let targets = balancer("targetgroup/*/*");
    let balancers = vec![balancer("loadbalancer/net/*/*"), balancer("loadbalancer/app/*/*")];
    let below = [
        balancer("listener/net/*/*/*"),
        balancer("listener/app/*/*/*"),
        balancer("listener-rule/net/*/*/*"),
        balancer("listener-rule/app/*/*/*"),
    ];
    let created: Vec<&String> = balancers.iter().chain([&targets]).collect();
    let allow = |actions: Value, resource: Value, condition: Option<&Value>| {
        let mut statement = json!({"Effect": "Allow", "Action": actions, "Resource": resource});
        if let (Some(condition), Some(map)) = (condition, statement.as_object_mut()) {
            map.insert("Condition".to_owned(), condition.clone());
        }
        statement
    };
    document(vec![
        allow(
            json!("iam:CreateServiceLinkedRole"),
            json!("*"),
            Some(&json!({"StringEquals": {"iam:AWSServiceName": "elasticloadbalancing.amazonaws.com"}})),
        ),
        allow(
            json!([
                "ec2:DescribeAccountAttributes",
                "ec2:DescribeAddresses",
                "ec2:DescribeAvailabilityZones",
                "ec2:DescribeCoipPools",
                "ec2:DescribeInstances",
                "ec2:DescribeInternetGateways",
                "ec2:DescribeIpamPools",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeRouteTables",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeTags",
                "ec2:DescribeVpcPeeringConnections",
                "ec2:DescribeVpcs",
                "ec2:GetCoipPoolUsage",
                "ec2:GetSecurityGroupsForVpc",
                "elasticloadbalancing:DescribeCapacityReservation",
                "elasticloadbalancing:DescribeListenerAttributes",
                "elasticloadbalancing:DescribeListenerCertificates",
                "elasticloadbalancing:DescribeListeners",
                "elasticloadbalancing:DescribeLoadBalancerAttributes",
                "elasticloadbalancing:DescribeLoadBalancers",
                "elasticloadbalancing:DescribeRules",
                "elasticloadbalancing:DescribeSSLPolicies",
                "elasticloadbalancing:DescribeTags",
                "elasticloadbalancing:DescribeTargetGroupAttributes",
                "elasticloadbalancing:DescribeTargetGroups",
                "elasticloadbalancing:DescribeTargetHealth",
                "elasticloadbalancing:DescribeTrustStores",
                "acm:DescribeCertificate",
                "acm:ListCertificates",
            ]),
            json!("*"),
            None,
        ),
        // The controller manages rules of the nodes' security group, which EKS creates.
        allow(
            json!(["ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"]),
            json!(group),
            Some(
                &json!({"StringEquals": {format!("aws:ResourceTag/kubernetes.io/cluster/{cluster}"): "owned"}}),
            ),
        ),
        allow(
            json!([
                "ec2:AuthorizeSecurityGroupIngress",
                "ec2:RevokeSecurityGroupIngress",
                "ec2:DeleteSecurityGroup",
            ]),
            json!(group),
            Some(&own),
        ),
        allow(json!("ec2:CreateSecurityGroup"), json!(format!("arn:{partition}:ec2:{region}:*:vpc/*")), None),
        allow(json!("ec2:CreateSecurityGroup"), json!(group), Some(&for_cluster)),
        allow(
            json!("ec2:CreateTags"),
            json!(group),
            Some(&json!({"StringEquals": {
                "ec2:CreateAction": "CreateSecurityGroup", "aws:RequestTag/elbv2.k8s.aws/cluster": cluster,
            }})),
        ),
        allow(json!(["ec2:CreateTags", "ec2:DeleteTags"]), json!(group), Some(&own)),
        allow(
            json!([
                "elasticloadbalancing:CreateLoadBalancer",
                "elasticloadbalancing:CreateTargetGroup",
                "elasticloadbalancing:AddTags",
            ]),
            json!(created),
            Some(&for_cluster),
        ),
        allow(
            json!([
                "elasticloadbalancing:CreateListener",
                "elasticloadbalancing:DeleteListener",
                "elasticloadbalancing:CreateRule",
                "elasticloadbalancing:DeleteRule",
                "elasticloadbalancing:AddTags",
                "elasticloadbalancing:RemoveTags",
                "elasticloadbalancing:ModifyListener",
                "elasticloadbalancing:ModifyListenerAttributes",
                "elasticloadbalancing:AddListenerCertificates",
                "elasticloadbalancing:RemoveListenerCertificates",
                "elasticloadbalancing:ModifyRule",
                "elasticloadbalancing:SetRulePriorities",
            ]),
            json!(below.iter().chain(&balancers).collect::<Vec<_>>()),
            Some(&own),
        ),
        // Listeners and rules are tagged in the call that creates them.
        allow(json!("elasticloadbalancing:AddTags"), json!(below), Some(&for_cluster)),
        allow(
            json!([
                "elasticloadbalancing:AddTags",
                "elasticloadbalancing:RemoveTags",
                "elasticloadbalancing:ModifyLoadBalancerAttributes",
                "elasticloadbalancing:SetIpAddressType",
                "elasticloadbalancing:SetSecurityGroups",
                "elasticloadbalancing:SetSubnets",
                "elasticloadbalancing:DeleteLoadBalancer",
                "elasticloadbalancing:ModifyTargetGroup",
                "elasticloadbalancing:ModifyTargetGroupAttributes",
                "elasticloadbalancing:DeleteTargetGroup",
            ]),
            json!(created),
            Some(&own),
        ),
        allow(
            json!(["elasticloadbalancing:RegisterTargets", "elasticloadbalancing:DeregisterTargets"]),
            json!(targets),
            Some(&own),
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inline_policies_fit_a_role() {
        let name = "n".repeat(30);
        let all = [
            autoscaler("ap-southeast-2", "123456789012", &name),
            read_parameter("ap-southeast-2", "123456789012", "/a/b"),
            load_balancers("ap-southeast-2", &name),
        ];
        let size: usize = all.iter().map(|policy| policy.to_string().len()).sum();
        // IAM counts the inline policies of one role together.
        assert!(size < 10_240, "{size}");
    }
}
