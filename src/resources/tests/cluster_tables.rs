//! Tables of the kinds of EKS: cluster, nodes, add-ons and access.

use super::{Table, degraded, failed, row, rows, state, suspended, tag_row, unknown, updates_of, waiting};
use crate::resources::{
    addon::{self, Addon},
    cluster_terms,
    eks_cluster::EksCluster,
    node_group::NodeGroup,
    node_terms,
};
use serde_json::{Value, json};

pub(super) fn tables() -> Vec<Table> {
    vec![
        eks_cluster(),
        launch_template(),
        node_group(),
        fargate_profile(),
        addon_table(),
        access_entry(),
        pod_identity_association(),
    ]
}

fn eks_cluster() -> Table {
    Table {
        kind: "eks_cluster",
        want: json!({"name": "shop", "version": "1.34", "role": "arn:aws:iam::1:role/eks", "vpc": "vpc-1",
            "subnets": ["subnet-1", "subnet-2"], "endpointPublic": true, "publicCidrs": ["203.0.113.7/32"],
            "serviceCidr": "172.20.0.0/16", "logTypes": ["api", "audit"], "key": "arn:aws:kms:r:1:key/1",
            "upgradePolicy": "STANDARD", "deletionProtection": true, "zonalShift": false, "tier": "standard",
            "egress": "AWS_MANAGED", "autoMode": {"enabled": false, "nodePools": [], "nodeRole": null},
            "tags": {"Name": "shop"}}),
        live: json!({"name": "shop", "arn": "arn:aws:eks:r:1:cluster/shop", "version": "1.34",
            "role": "arn:aws:iam::1:role/eks", "subnets": ["subnet-2", "subnet-1"], "endpointPublic": true,
            "endpointPrivate": true, "publicCidrs": ["203.0.113.7/32"], "serviceCidr": "172.20.0.0/16",
            "logTypes": ["audit", "api"], "key": "arn:aws:kms:r:1:key/1", "authenticationMode": "API",
            "upgradePolicy": "STANDARD", "deletionProtection": true, "zonalShift": false, "tier": "standard",
            "egress": "AWS_MANAGED", "autoMode": {"enabled": false, "nodePools": [], "nodeRole": null},
            "status": "ACTIVE", "trouble": null,
            "endpoint": "https://shop.example", "certificateAuthority": "UEVN",
            "issuer": "https://oidc.example/id/1", "issuerHost": "oidc.example/id/1", "securityGroup": "sg-1",
            "vpc": "vpc-1", "platformVersion": "eks.1",
            "tags": {"Name": "shop"}}),
        diff: vec![
            row("want/name", "other", &["replace name"]),
            row("want/role", "arn:aws:iam::1:role/other", &["replace role"]),
            row("want/key", unknown("arn"), &["replace key"]),
            row("live/vpc", "vpc-2", &["replace vpc"]),
            row("want/serviceCidr", "10.100.0.0/16", &["replace serviceCidr"]),
            // EKS has chosen the block.
            row("want/serviceCidr", Value::Null, &[]),
            row("want/version", "1.35", &["update version"]),
            row("want/subnets", json!(["subnet-1"]), &["update subnets"]),
            row("live/endpointPrivate", false, &["update endpointPrivate"]),
            row("live/endpointPublic", false, &["update endpointPublic"]),
            row("live/publicCidrs", json!(["0.0.0.0/0"]), &["update publicCidrs"]),
            rows(
                [
                    ("want/endpointPublic", json!(false)),
                    ("live/endpointPublic", json!(false)),
                    ("live/publicCidrs", json!(["0.0.0.0/0"])),
                ],
                &[],
            ),
            row("live/logTypes", json!(["api"]), &["update logTypes"]),
            row("live/authenticationMode", "CONFIG_MAP", &["update authenticationMode"]),
            row("want/upgradePolicy", "EXTENDED", &["update upgradePolicy"]),
            row("live/deletionProtection", false, &["update deletionProtection"]),
            row("live/zonalShift", true, &["update zonalShift"]),
            row("want/tier", "tier-2xl", &["update tier"]),
            row("want/egress", "CUSTOMER_ROUTED", &["update egress"]),
            row("want/autoMode", auto_mode(&["system"]), &["update autoMode"]),
            row("live/autoMode", auto_mode(&[]), &["update autoMode"]),
            rows(
                [
                    ("want/autoMode", auto_mode(&["system", "general-purpose"])),
                    ("live/autoMode", auto_mode(&["general-purpose", "system"])),
                ],
                &[],
            ),
            // What the file does not name is left as it is.
            rows([("want/zonalShift", Value::Null), ("live/zonalShift", json!(true))], &[]),
            rows([("want/tier", Value::Null), ("live/tier", json!("tier-xl"))], &[]),
            rows([("want/egress", Value::Null), ("live/egress", json!("CUSTOMER_ROUTED"))], &[]),
            rows([("want/autoMode", Value::Null), ("live/autoMode", auto_mode(&["system"]))], &[]),
            row("live/arn", "x", &[]),
            row("live/endpoint", Value::Null, &[]),
            row("live/certificateAuthority", Value::Null, &[]),
            row("live/issuer", Value::Null, &[]),
            row("live/issuerHost", Value::Null, &[]),
            row("live/securityGroup", Value::Null, &[]),
            row("live/platformVersion", "eks.2", &[]),
            tag_row(),
        ],
        ready: vec![
            state("live/status", "CREATING", waiting("creating")),
            state("live/status", "DELETING", waiting("being deleted")),
            state("live/status", "FAILED", failed("failed")),
            (
                vec![("live/status", json!("UPDATING")), ("live/trouble", json!("IamRoleNotFound"))],
                waiting("updating: IamRoleNotFound"),
            ),
        ],
        refused: vec![
            (vec![("want/version", json!("1.36"))], "1.35"),
            (vec![("want/version", json!("1.32"))], "goes back by one minor version"),
            (vec![("live/egress", json!("CUSTOMER_ROUTED"))], "does not take that back"),
        ],
        deletion_note: Some("its deletion protection is turned off first"),
        updates: Some(|want, live| updates_of::<EksCluster, _>(want, live, cluster_terms::updates)),
        sent: vec![
            (
                // EKS takes one at a time, the version first.
                vec![("want/version", json!("1.35")), ("live/deletionProtection", json!(false))],
                &["Version(\"1.35\")", "DeletionProtection(true)"],
            ),
            (vec![("want/subnets", json!(["subnet-3"]))], &["Subnets([\"subnet-3\"])"]),
            (vec![("want/endpointPublic", json!(false))], &["Endpoint(false, "]),
            (vec![("live/logTypes", json!(["api", "scheduler"]))], &["Logs([\"api\", \"audit\"], "]),
            (vec![("live/authenticationMode", json!("CONFIG_MAP"))], &["Authentication"]),
            (
                // What cannot be taken back is sent last.
                vec![
                    ("want/egress", json!("CUSTOMER_ROUTED")),
                    ("want/tier", json!("tier-xl")),
                    ("want/zonalShift", json!(true)),
                    ("want/autoMode", auto_mode(&["system"])),
                ],
                &[
                    "AutoMode(AutoModeSpec { enabled: true, ",
                    "ZonalShift(true)",
                    "Tier(\"tier-xl\")",
                    "Egress(",
                ],
            ),
        ],
    }
}

/// Auto Mode, enabled with these pools.
fn auto_mode(pools: &[&str]) -> Value {
    json!({"enabled": true, "nodePools": pools, "nodeRole": "arn:aws:iam::1:role/auto"})
}

fn launch_template() -> Table {
    Table {
        kind: "launch_template",
        want: json!({"name": "shop-general", "userData": "[settings]", "diskGiB": 20,
            "key": "arn:aws:kms:r:1:key/1", "keyPair": "shop-general", "instanceTags": {"team": "web"},
            "tags": {"Name": "general"}}),
        live: json!({"id": "lt-1", "name": "shop-general", "version": "2", "defaultVersion": "2",
            "userData": "[settings]", "diskGiB": 20, "key": "arn:aws:kms:r:1:key/1", "keyPair": "shop-general",
            "metadataGuarded": true, "instanceTags": {"team": "web"}, "tags": {"Name": "general"}}),
        diff: vec![
            row("want/name", "other", &["replace name"]),
            row("want/userData", Value::Null, &["update userData"]),
            row("want/userData", "[settings.kernel]\nlockdown = \"none\"", &["update userData"]),
            row("live/userData", "# the same\n\n[ settings ]", &[]),
            row("want/diskGiB", 40, &["update diskGiB"]),
            row("live/key", Value::Null, &["update key"]),
            row("want/keyPair", unknown("name"), &["update keyPair"]),
            row("live/metadataGuarded", false, &["update metadataGuarded"]),
            row("live/instanceTags", json!({}), &["update instanceTags.team"]),
            row("live/version", "3", &["update defaultVersion"]),
            row("live/defaultVersion", "1", &["update defaultVersion"]),
            row("live/id", "lt-2", &[]),
            tag_row(),
        ],
        ..Table::default()
    }
}

fn node_group() -> Table {
    Table {
        kind: "node_group",
        want: json!({"cluster": "shop", "name": "general", "role": "arn:aws:iam::1:role/node",
            "subnets": ["subnet-1", "subnet-2"], "amiType": "BOTTLEROCKET_x86_64",
            "instanceTypes": ["m6i.large", "m5.large"], "capacity": "SPOT", "min": 2, "max": 6, "desired": 3,
            "desiredFloats": false, "labels": {"pool": "general"},
            "taints": [{"key": "dedicated", "value": "web", "effect": "NO_SCHEDULE"}],
            "maxUnavailable": {"count": 1}, "updateStrategy": "DEFAULT", "repair": true, "template": "lt-1",
            "templateVersion": "2", "version": "1.34", "release": "1.54.0-abcdef12", "tags": {"Name": "general"}}),
        live: json!({"arn": "arn:aws:eks:r:1:nodegroup/shop/general/1", "cluster": "shop", "name": "general",
            "role": "arn:aws:iam::1:role/node", "subnets": ["subnet-2", "subnet-1"],
            "amiType": "BOTTLEROCKET_x86_64", "instanceTypes": ["m6i.large", "m5.large"], "capacity": "SPOT",
            "min": 2, "max": 6, "desired": 3, "labels": {"pool": "general"},
            "taints": [{"key": "dedicated", "value": "web", "effect": "NO_SCHEDULE"}],
            "maxUnavailable": {"count": 1}, "updateStrategy": "DEFAULT", "repair": true, "template": "lt-1",
            "templateVersion": "2", "version": "1.34", "release": "1.54.0-abcdef12", "status": "ACTIVE", "trouble": null, "scalingGroup": "eks-general",
            "tags": {"Name": "general"}}),
        diff: vec![
            row("want/cluster", "other", &["replace cluster"]),
            row("want/name", "other", &["replace name"]),
            row("want/role", unknown("arn"), &["replace role"]),
            row("want/subnets", json!(["subnet-1"]), &["replace subnets"]),
            row("want/amiType", "BOTTLEROCKET_ARM_64", &["replace amiType"]),
            // The first instance type is tried first.
            row("want/instanceTypes", json!(["m5.large", "m6i.large"]), &["replace instanceTypes"]),
            row("want/capacity", "ON_DEMAND", &["replace capacity"]),
            row("want/template", "lt-2", &["replace template"]),
            row("want/min", 1, &["update min"]),
            row("want/max", 7, &["update max"]),
            row("want/desired", 4, &["update desired"]),
            rows([("want/desiredFloats", json!(true)), ("live/desired", json!(5))], &[]),
            row("live/labels", json!({}), &["update labels.pool"]),
            row("live/taints", json!([]), &["update taints"]),
            row(
                "want/maxUnavailable",
                json!({"percent": 33}),
                &["update maxUnavailable.count", "update maxUnavailable.percent"],
            ),
            row("want/updateStrategy", "MINIMAL", &["update updateStrategy"]),
            row("live/repair", false, &["update repair"]),
            row("want/version", "1.35", &["update version"]),
            row("want/release", "1.55.0-abcdef12", &["update release"]),
            row("want/templateVersion", unknown("version"), &["update templateVersion"]),
            row("live/arn", "x", &[]),
            row("live/scalingGroup", Value::Null, &[]),
            tag_row(),
        ],
        ready: vec![
            state("live/status", "CREATING", waiting("creating")),
            state("live/status", "DELETING", waiting("being deleted")),
            state("live/status", "CREATE_FAILED", failed("create failed")),
            state(
                "live/suspended",
                json!(["Launch", "Terminate"]),
                suspended(
                    "its Auto Scaling group has suspended processes: Launch, Terminate",
                    "aws autoscaling resume-processes --auto-scaling-group-name eks-general --scaling-processes \
                     Launch Terminate",
                ),
            ),
            (
                vec![("live/status", json!("CREATING")), ("live/trouble", json!("VcpuLimitExceeded"))],
                degraded("creating: VcpuLimitExceeded"),
            ),
            (
                vec![("live/status", json!("DEGRADED")), ("live/trouble", json!("Ec2SubnetNotFound"))],
                degraded("degraded: Ec2SubnetNotFound"),
            ),
        ],
        updates: Some(|want, live| updates_of::<NodeGroup, _>(want, live, node_terms::updates)),
        sent: vec![
            (
                vec![("want/max", json!(7)), ("want/release", json!("1.55.0-abcdef12"))],
                &[
                    "Configuration { desired: Some(3), labels: None, taints: None, away: false, repair: None }",
                    "Nodes { image: Some((\"1.34\", \"1.55.0-abcdef12\")), template: false }",
                ],
            ),
            (vec![("want/templateVersion", json!("3"))], &["Nodes { image: None, template: true }"]),
            (
                vec![("want/updateStrategy", json!("MINIMAL")), ("live/repair", json!(false))],
                &[
                    "Configuration { desired: None, labels: None, taints: None, away: true, repair: Some(true) }",
                ],
            ),
            (vec![("live/labels", json!({}))], &["Configuration { desired: None, labels: Some("]),
            (
                // What floats stays within the bounds.
                vec![("want/desiredFloats", json!(true)), ("live/desired", json!(9))],
                &["Configuration { desired: Some(6), "],
            ),
        ],
        ..Table::default()
    }
}

fn fargate_profile() -> Table {
    let selector = |tier: &str| json!({"namespace": "demo", "labels": {"tier": tier}});
    Table {
        kind: "fargate_profile",
        want: json!({"cluster": "shop", "name": "apps", "role": "arn:aws:iam::1:role/pods",
            "subnets": ["subnet-1", "subnet-2"], "selectors": [selector("web"), selector("api")],
            "tags": {"Name": "apps"}}),
        live: json!({"arn": "arn:aws:eks:r:1:fargateprofile/shop/apps/1", "cluster": "shop", "name": "apps",
            "role": "arn:aws:iam::1:role/pods", "subnets": ["subnet-2", "subnet-1"],
            "selectors": [selector("api"), selector("web")], "status": "ACTIVE", "trouble": null,
            "tags": {"Name": "apps"}}),
        diff: vec![
            row("want/cluster", "other", &["replace cluster"]),
            row("want/name", "other", &["replace name"]),
            row("want/role", "other", &["replace role"]),
            row("want/subnets", json!(["subnet-1"]), &["replace subnets"]),
            row("want/selectors", json!([selector("web")]), &["replace selectors"]),
            row("live/arn", "x", &[]),
            tag_row(),
        ],
        ready: vec![
            state("live/status", "CREATING", waiting("creating")),
            state("live/status", "DELETING", waiting("being deleted")),
            state("live/status", "CREATE_FAILED", failed("create failed")),
            state("live/trouble", "AccessDenied", degraded("active: AccessDenied")),
        ],
        deletion_note: Some("its pods are deleted; those that match another profile start again there"),
        ..Table::default()
    }
}

fn addon_table() -> Table {
    Table {
        kind: "addon",
        want: json!({"cluster": "shop", "name": "coredns", "version": "v1.12.1-eksbuild.2",
            "configuration": {"replicaCount": 2}, "role": null, "tags": {"Name": "coredns"}}),
        live: json!({"arn": "arn:aws:eks:r:1:addon/shop/coredns/1", "cluster": "shop", "name": "coredns",
            "version": "v1.12.1-eksbuild.2", "configuration": {"replicaCount": 2}, "role": null,
            "status": "ACTIVE", "trouble": null, "tags": {"Name": "coredns"}}),
        diff: vec![
            row("want/cluster", "other", &["replace cluster"]),
            row("want/name", "other", &["replace name"]),
            row("want/version", "v1.12.2-eksbuild.1", &["update version"]),
            row("want/configuration", json!({"replicaCount": 3}), &["update configuration.replicaCount"]),
            row("want/role", unknown("arn"), &["update role"]),
            row("live/arn", "x", &[]),
            tag_row(),
        ],
        ready: vec![
            state("live/status", "CREATING", waiting("creating")),
            state("live/status", "DELETING", waiting("being deleted")),
            state("live/status", "CREATE_FAILED", failed("create failed")),
            (
                vec![
                    ("live/status", json!("DEGRADED")),
                    ("live/trouble", json!("InsufficientNumberOfReplicas")),
                ],
                degraded("degraded: InsufficientNumberOfReplicas"),
            ),
        ],
        updates: Some(|want, live| {
            updates_of::<Addon, _>(want, live, |want, live| Ok(Vec::from_iter(addon::update(want, live)?)))
        }),
        sent: vec![
            (
                vec![("want/version", json!("v2"))],
                &[
                    "Update { version: \"v2\", configuration: Some(\"{\\\"replicaCount\\\":2}\"), role: None }",
                ],
            ),
            (
                // Only an empty configuration that is sent removes one.
                vec![("want/configuration", json!({}))],
                &["Update { version: \"v1.12.1-eksbuild.2\", configuration: Some(\"{}\"), role: None }"],
            ),
        ],
        ..Table::default()
    }
}

fn access_entry() -> Table {
    let policy = |name: &str, namespaces: Value| json!({"arn": name, "namespaces": namespaces});
    Table {
        kind: "access_entry",
        want: json!({"cluster": "shop", "principal": "arn:aws:iam::1:role/dev", "groups": ["b", "a"],
            "policies": [policy("view", json!(["y", "x"])), policy("edit", json!([]))],
            "tags": {"Name": "dev"}}),
        live: json!({"arn": "arn:aws:eks:r:1:access-entry/shop/role/1/dev/1", "cluster": "shop",
            "principal": "arn:aws:iam::1:role/dev", "groups": ["a", "b"],
            "policies": [policy("edit", json!([])), policy("view", json!(["x", "y"]))],
            "tags": {"Name": "dev"}}),
        diff: vec![
            row("want/cluster", "other", &["replace cluster"]),
            row("want/principal", unknown("arn"), &["replace principal"]),
            row("live/groups", json!(["a"]), &["update groups"]),
            row("live/policies", json!([policy("edit", json!([]))]), &["update policies"]),
            row(
                "live/policies",
                json!([policy("edit", json!([])), policy("view", json!(["x"]))]),
                &["update policies"],
            ),
            row("live/arn", "x", &[]),
            tag_row(),
        ],
        ..Table::default()
    }
}

fn pod_identity_association() -> Table {
    Table {
        kind: "pod_identity_association",
        want: json!({"cluster": "shop", "namespace": "demo", "serviceAccount": "web",
            "role": "arn:aws:iam::1:role/web", "tags": {"Name": "web"}}),
        live: json!({"id": "a-1", "arn": "arn:aws:eks:r:1:podidentityassociation/shop/a-1", "cluster": "shop",
            "namespace": "demo", "serviceAccount": "web", "role": "arn:aws:iam::1:role/web",
            "tags": {"Name": "web"}}),
        diff: vec![
            row("want/cluster", "other", &["replace cluster"]),
            row("want/namespace", "other", &["replace namespace"]),
            row("want/serviceAccount", "other", &["replace serviceAccount"]),
            row("want/role", "arn:aws:iam::1:role/other", &["update role"]),
            row("live/id", "a-2", &[]),
            row("live/arn", "x", &[]),
            tag_row(),
        ],
        ..Table::default()
    }
}
