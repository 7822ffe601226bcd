//! Tables of the kinds of the network: VPC, subnets, gateways, routes, endpoints and flow logs.

use super::{Table, failed, row, rows, state, suspended, tag_row, unknown, updates_of, waiting};
use crate::resources::vpc_endpoint::{self, VpcEndpoint};
use serde_json::{Value, json};

pub(super) fn tables() -> Vec<Table> {
    let groups = [vpcs(), gateways(), routes(), endpoints()];
    groups.into_iter().flatten().collect()
}

fn vpcs() -> Vec<Table> {
    vec![
        Table {
            kind: "vpc",
            want: json!({"cidr": "10.0.0.0/16", "dnsSupport": true, "dnsHostnames": true,
                "tags": {"Name": "shop-vpc"}}),
            live: json!({"id": "vpc-1", "cidr": "10.0.0.0/16", "dnsSupport": true, "dnsHostnames": true,
                "state": "available", "tags": {"Name": "shop-vpc"}}),
            diff: vec![
                row("want/cidr", "10.1.0.0/16", &["replace cidr"]),
                row("live/dnsSupport", false, &["update dnsSupport"]),
                row("live/dnsHostnames", false, &["update dnsHostnames"]),
                row("live/id", "vpc-2", &[]),
                tag_row(),
                row("live/tags/extra", "x", &["update tags.extra"]),
                row("want/tags", json!({"Name": "shop-vpc", "team": "web"}), &["update tags.team"]),
            ],
            ready: vec![state("live/state", "pending", waiting("pending"))],
            ..Table::default()
        },
        Table {
            kind: "subnet",
            want: json!({"vpc": "vpc-1", "cidr": "10.0.0.0/20", "zone": "eu-central-1a",
                "tags": {"Name": "a"}}),
            live: json!({"id": "subnet-1", "vpc": "vpc-1", "cidr": "10.0.0.0/20", "zone": "eu-central-1a",
                "state": "available", "tags": {"Name": "a"}}),
            diff: vec![
                row("want/vpc", unknown("id"), &["replace vpc"]),
                row("want/cidr", "10.0.16.0/20", &["replace cidr"]),
                row("want/zone", "eu-central-1b", &["replace zone"]),
                row("live/id", "subnet-2", &[]),
                tag_row(),
            ],
            ready: vec![
                state("live/state", "pending", waiting("pending")),
                state("live/state", "failed", failed("failed")),
                state("live/state", "failed-insufficient-capacity", failed("failed-insufficient-capacity")),
            ],
            ..Table::default()
        },
        Table {
            kind: "subnet_tags",
            want: json!({"subnet": "subnet-1", "vpc": "vpc-1", "marker": "provisioner:role-tags/shop",
                "roles": {"kubernetes.io/role/elb": "1"}}),
            live: json!({"id": "subnet-1", "vpc": "vpc-1", "zone": "eu-central-1a", "cidr": "10.0.0.0/20",
                "marker": "provisioner:role-tags/shop", "set": ["kubernetes.io/role/elb"],
                "roles": {"kubernetes.io/role/elb": "1"}}),
            diff: vec![
                row("want/subnet", "subnet-2", &["replace subnet"]),
                row("live/id", "subnet-2", &["replace subnet"]),
                row("live/vpc", "vpc-2", &["replace vpc"]),
                row("live/roles", json!({}), &["update roles.kubernetes.io/role/elb"]),
                row("live/zone", "eu-central-1b", &[]),
                row("live/cidr", "10.0.16.0/20", &[]),
                row("live/marker", "provisioner:role-tags/other", &[]),
                row("live/set", json!([]), &[]),
                // The owner's value is as good to controllers; any other is not.
                row("live/roles", json!({"kubernetes.io/role/elb": ""}), &[]),
                row(
                    "live/roles",
                    json!({"kubernetes.io/role/elb": "true"}),
                    &["update roles.kubernetes.io/role/elb"],
                ),
                // What a stack set for another role is to be deleted.
                row(
                    "live/roles",
                    json!({"kubernetes.io/role/elb": "1", "kubernetes.io/role/internal-elb": "1"}),
                    &["update roles.kubernetes.io/role/internal-elb"],
                ),
            ],
            ready: vec![state(
                "live/unusable",
                json!({"kubernetes.io/role/elb": "true"}),
                suspended(
                    "subnet subnet-1 has the tag kubernetes.io/role/elb with the value \"true\"; load balancer \
                     controllers accept only \"1\" and \"\"",
                    "aws ec2 create-tags --resources subnet-1 --tags Key=kubernetes.io/role/elb,Value=1",
                ),
            )],
            ..Table::default()
        },
    ]
}

fn gateways() -> Vec<Table> {
    vec![
        Table {
            kind: "internet_gateway",
            want: json!({"vpc": "vpc-1", "tags": {"Name": "igw"}}),
            live: json!({"id": "igw-1", "vpc": "vpc-1", "tags": {"Name": "igw"}}),
            diff: vec![
                row("want/vpc", "vpc-2", &["replace vpc"]),
                // A gateway that is not attached can be attached.
                row("live/vpc", Value::Null, &["update vpc"]),
                row("live/id", "igw-2", &[]),
                tag_row(),
            ],
            ..Table::default()
        },
        Table {
            kind: "elastic_ip",
            want: json!({"tags": {"Name": "nat"}}),
            live: json!({"id": "eipalloc-1", "address": "203.0.113.7", "tags": {"Name": "nat"}}),
            diff: vec![row("live/id", "eipalloc-2", &[]), row("live/address", "203.0.113.8", &[]), tag_row()],
            deletion_note: Some("requests to the internet no longer come from 203.0.113.7"),
            ..Table::default()
        },
        Table {
            kind: "nat_gateway",
            want: json!({"subnet": "subnet-1", "allocation": "eipalloc-1", "tags": {"Name": "nat"}}),
            live: json!({"id": "nat-1", "subnet": "subnet-1", "allocation": "eipalloc-1", "state": "available",
                "failure": null, "tags": {"Name": "nat"}}),
            diff: vec![
                row("want/subnet", "subnet-2", &["replace subnet"]),
                row("want/allocation", "eipalloc-2", &["replace allocation"]),
                // A gateway that is being deleted has no address any more.
                row("live/allocation", "", &[]),
                rows(
                    [
                        ("want/vpc", json!("vpc-1")),
                        ("want/subnet", Value::Null),
                        ("want/allocation", Value::Null),
                        ("live/vpc", json!("vpc-1")),
                        ("live/subnet", Value::Null),
                        ("live/allocation", Value::Null),
                    ],
                    &[],
                ),
                row("live/id", "nat-2", &[]),
                row("live/state", "pending", &[]),
                tag_row(),
            ],
            ready: vec![
                state("live/state", "pending", waiting("pending")),
                state("live/state", "deleting", waiting("being deleted")),
                state("live/state", "failed", failed("no reason given")),
                (
                    vec![("live/state", json!("failed")), ("live/failure", json!("Gateway.NotAttached"))],
                    failed("Gateway.NotAttached"),
                ),
            ],
            ..Table::default()
        },
    ]
}

fn routes() -> Vec<Table> {
    vec![
        Table {
            kind: "route_table",
            want: json!({"vpc": "vpc-1", "tags": {"Name": "public"}}),
            live: json!({"id": "rtb-1", "vpc": "vpc-1", "tags": {"Name": "public"}}),
            diff: vec![row("want/vpc", "vpc-2", &["replace vpc"]), row("live/id", "rtb-2", &[]), tag_row()],
            ..Table::default()
        },
        Table {
            kind: "route_table_association",
            want: json!({"subnet": "subnet-1", "table": "rtb-1"}),
            live: json!({"id": "rtbassoc-1", "subnet": "subnet-1", "table": "rtb-1"}),
            diff: vec![
                row("want/subnet", "subnet-2", &["replace subnet"]),
                row("want/table", "rtb-2", &["update table"]),
                row("want/table", unknown("id"), &["update table"]),
                row("live/id", "rtbassoc-2", &[]),
            ],
            ..Table::default()
        },
        Table {
            kind: "route",
            want: json!({"table": "rtb-1", "destination": "0.0.0.0/0", "gateway": "igw-1", "nat": null}),
            live: json!({"table": "rtb-1", "destination": "0.0.0.0/0", "gateway": "igw-1", "nat": null}),
            diff: vec![
                row("want/table", "rtb-2", &["replace table"]),
                row("want/destination", "10.0.0.0/8", &["replace destination"]),
                row("want/gateway", "igw-2", &["update gateway"]),
                row("live/nat", "nat-1", &["update nat"]),
                rows(
                    [("want/gateway", Value::Null), ("want/nat", json!("nat-1"))],
                    &["update gateway", "update nat"],
                ),
            ],
            ..Table::default()
        },
    ]
}

fn endpoints() -> Vec<Table> {
    vec![
        Table {
            kind: "vpc_endpoint",
            want: json!({"vpc": "vpc-1", "service": "com.amazonaws.eu-central-1.sts", "type": "Interface",
                "subnets": ["subnet-1", "subnet-2"], "groups": ["sg-1"], "routeTables": [], "privateDns": true,
                "policy": {"Statement": [{"Action": ["sts:*"]}]}, "tags": {"Name": "sts"}}),
            live: json!({"id": "vpce-1", "vpc": "vpc-1", "service": "com.amazonaws.eu-central-1.sts",
                "type": "Interface", "subnets": ["subnet-2", "subnet-1"], "groups": ["sg-1"], "routeTables": [],
                "privateDns": true, "policy": {"Statement": {"Action": "sts:*"}}, "state": "available",
                "failure": null, "tags": {"Name": "sts"}}),
            diff: vec![
                row("want/vpc", "vpc-2", &["replace vpc"]),
                row("want/service", "com.amazonaws.eu-central-1.logs", &["replace service"]),
                row("want/type", "Gateway", &["replace type"]),
                row("live/subnets", json!(["subnet-1"]), &["update subnets"]),
                row("live/groups", json!(["sg-2"]), &["update groups"]),
                row("live/routeTables", json!(["rtb-1"]), &["update routeTables"]),
                row("live/privateDns", false, &["update privateDns"]),
                row("live/policy/Statement", json!({"Action": "*"}), &["update policy"]),
                row("live/id", "vpce-2", &[]),
                tag_row(),
            ],
            ready: vec![
                state("live/state", "pending", waiting("pending")),
                state("live/state", "deleting", waiting("being deleted")),
                state("live/state", "expired", failed("expired")),
                (
                    vec![("live/state", json!("failed")), ("live/failure", json!("no free address"))],
                    failed("no free address"),
                ),
            ],
            updates: Some(|want, live| {
                let update = |want: &_, live: &_| Ok(Vec::from_iter(vpc_endpoint::update(want, live)?));
                updates_of::<VpcEndpoint, _>(want, live, update)
            }),
            sent: vec![
                (
                    vec![("want/subnets", json!(["subnet-1", "subnet-3"]))],
                    &[
                        "Update { lists: [ListUpdate { added: Some([\"subnet-3\"]), removed: Some([\"subnet-2\"]) }, ",
                    ],
                ),
                // A gateway endpoint has no private name.
                (
                    vec![
                        ("want/type", json!("Gateway")),
                        ("live/type", json!("Gateway")),
                        ("live/privateDns", json!(false)),
                    ],
                    &[],
                ),
            ],
            ..Table::default()
        },
        Table {
            kind: "flow_log",
            want: json!({"vpc": "vpc-1", "group": "/provisioner/shop/flow", "role": "arn:aws:iam::1:role/flow",
                "tags": {"Name": "flow"}}),
            live: json!({"id": "fl-1", "vpc": "vpc-1", "group": "/provisioner/shop/flow",
                "role": "arn:aws:iam::1:role/flow", "tags": {"Name": "flow"}}),
            diff: vec![
                row("want/vpc", "vpc-2", &["replace vpc"]),
                row("want/group", "/provisioner/shop/other", &["replace group"]),
                row("want/role", unknown("arn"), &["replace role"]),
                row("live/id", "fl-2", &[]),
                tag_row(),
            ],
            ..Table::default()
        },
    ]
}
