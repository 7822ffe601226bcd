//! Fargate profiles, and a cluster without nodes.

use super::case::{Case, Group, case};

const BASE: &str = "
name: fields
region: eu-central-1
network: {zones: 2, flowLogs: false}
fargateOnly: true
fargateProfiles:
  - name: apps
    selectors: [{namespace: demo, labels: {tier: web}}]
  - name: jobs
    selectors: [{namespace: jobs}]
";

pub fn group() -> Group {
    Group { base: BASE, before: "", files: &[], environment: &[], cases: cases() }
}

fn cases() -> Vec<Case> {
    let selectors = "replace cluster/fargate-profile/apps selectors";
    vec![
        case("fargateProfiles[1].name", "batch")
            .plan(&["create cluster/fargate-profile/batch", "delete cluster/fargate-profile/jobs"])
            .aws("profiles()", "[apps, batch, kube-system]"),
        case("fargateProfiles[0].selectors[0].namespace", "shop")
            .plan(&[selectors])
            .aws("profile('apps')['selectors'][0]['namespace']", "shop"),
        case("fargateProfiles[0].selectors[0].labels.tier", "api")
            .plan(&["replace cluster/fargate-profile/apps selectors=[{namespace: demo, labels: {tier: api}}]"])
            .aws("profile('apps')['selectors'][0]['labels']", "{tier: api}"),
        case("fargateProfiles[0].selectors[1]", "{namespace: more}")
            .plan(&[selectors])
            .aws("len(profile('apps')['selectors'])", "2"),
        case("fargateOnly", "false")
            .and("nodeGroups", "[{name: general, desired: 2}]")
            .plan(&[
                "create cluster/addon/eks-node-monitoring-agent",
                "create cluster/node-group/general",
                "create cluster/launch-template/general",
                "create cluster/node-role",
                "delete cluster/fargate-profile/kube-system",
                "update cluster/addon/coredns configuration.computeType=null",
            ])
            .aws_in(2, "profiles()", "[apps, jobs]")
            .aws_in(2, "json.loads(addon('coredns').get('configurationValues') or '{}')", "{}")
            .aws_in(2, "group('general')['status']", "ACTIVE"),
        case("fargateOnly", "false").refused("without a node group CoreDNS has no place to run"),
        case("app", "{ingress: none}").plan_has(&[
            "create cluster/fargate-profile/demo-application selectors=[{namespace: demo-application, labels: {}}]",
        ]),
    ]
}
