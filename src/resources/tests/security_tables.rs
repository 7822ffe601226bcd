//! Tables of the kinds for keys, security groups and IAM.

use super::{Table, row, rows, state, suspended, tag_row, unknown, waiting};
use serde_json::{Value, json};

pub(super) fn tables() -> Vec<Table> {
    let groups = [groups(), keys(), identities()];
    groups.into_iter().flatten().collect()
}

fn groups() -> Vec<Table> {
    vec![
        Table {
            kind: "security_group",
            want: json!({"vpc": "vpc-1", "name": "shop-endpoints", "description": "endpoints",
                "tags": {"Name": "endpoints"}}),
            live: json!({"id": "sg-1", "vpc": "vpc-1", "name": "shop-endpoints", "description": "endpoints",
                "foreignRules": [], "tags": {"Name": "endpoints"}}),
            diff: vec![
                row("want/vpc", "vpc-2", &["replace vpc"]),
                row("want/name", "other", &["replace name"]),
                row("want/description", "other", &["replace description"]),
                row("live/foreignRules", json!(["sgr-1: egress all 0.0.0.0/0"]), &["update foreignRules"]),
                row("live/id", "sg-2", &[]),
                tag_row(),
            ],
            ..Table::default()
        },
        Table {
            kind: "security_group_rule",
            want: json!({"group": "sg-1", "egress": false, "protocol": "tcp", "fromPort": 443, "toPort": 443,
                "cidr": "10.0.0.0/16", "peerGroup": null, "description": "TLS", "tags": {"Name": "tls"}}),
            live: json!({"id": "sgr-1", "group": "sg-1", "egress": false, "protocol": "tcp", "fromPort": 443,
                "toPort": 443, "cidr": "10.0.0.0/16", "peerGroup": null, "description": "TLS",
                "tags": {"Name": "tls"}}),
            diff: vec![
                row("want/group", "sg-2", &["replace group"]),
                row("want/egress", true, &["replace egress"]),
                row("want/protocol", "udp", &["update protocol"]),
                row("want/fromPort", 80, &["update fromPort"]),
                row("want/toPort", 444, &["update toPort"]),
                rows(
                    [("want/cidr", Value::Null), ("want/peerGroup", json!("sg-3"))],
                    &["update cidr", "update peerGroup"],
                ),
                row("live/description", "", &["update description"]),
                row("live/id", "sgr-2", &[]),
                tag_row(),
            ],
            ..Table::default()
        },
        Table {
            kind: "default_security_group",
            want: json!({"vpc": "vpc-1", "tags": {"Name": "default"}}),
            live: json!({"id": "sg-9", "vpc": "vpc-1", "rules": [], "tags": {"Name": "default"}}),
            diff: vec![
                row("want/vpc", "vpc-2", &["replace vpc"]),
                row("live/rules", json!(["sgr-1: ingress all sg-9"]), &["update rules"]),
                row("live/id", "sg-8", &[]),
                tag_row(),
            ],
            ..Table::default()
        },
    ]
}

fn keys() -> Vec<Table> {
    let key_pair = |material: Value| Table {
        kind: "key_pair",
        want: json!({"name": "shop-general", "material": material, "tags": {"Name": "general"}}),
        live: json!({"id": "key-1", "name": "shop-general", "publicKey": "ssh-ed25519 AAAA",
            "tags": {"Name": "general"}}),
        ..Table::default()
    };
    vec![
        Table {
            kind: "kms_key",
            want: json!({"alias": "alias/shop", "description": "shop", "rotationDays": 365,
                "deletionWindowDays": 30, "policy": {"Statement": [{"Action": ["kms:*"]}]},
                "tags": {"Name": "key"}}),
            live: json!({"id": "11111111-2222-3333-4444-555555555555", "arn": "arn:aws:kms:r:1:key/1",
                "alias": "alias/shop", "aliasTaken": false, "description": "shop", "rotationDays": 365,
                "deletionWindowDays": 30, "policy": {"Statement": {"Action": "kms:*"}}, "state": "Enabled",
                "tags": {"Name": "key"}}),
            diff: vec![
                row("live/alias", Value::Null, &["update alias"]),
                row("want/description", "other", &["update description"]),
                row("live/rotationDays", Value::Null, &["update rotationDays"]),
                row("want/deletionWindowDays", 7, &["update deletionWindowDays"]),
                row("live/policy/Statement", json!({"Action": "*"}), &["update policy"]),
                row("live/id", "x", &[]),
                row("live/arn", "x", &[]),
                row("live/aliasTaken", true, &[]),
                tag_row(),
            ],
            ready: vec![
                state("live/state", "Creating", waiting("Creating")),
                state(
                    "live/state",
                    "Disabled",
                    suspended(
                        "the key is disabled: what it encrypts cannot be read or written",
                        "aws kms enable-key --key-id 11111111-2222-3333-4444-555555555555",
                    ),
                ),
            ],
            refused: vec![(vec![("live/aliasOf", json!("key-2"))], "key-2")],
            deletion_note: Some(
                "after 30 days; then what it encrypts and the stack does not delete, such as snapshots and copies, \
                 cannot be read",
            ),
            ..Table::default()
        },
        Table {
            diff: vec![
                row("want/name", "other", &["replace name"]),
                row("want/material", json!({"public": "ssh-ed25519 BBBB"}), &["replace publicKey"]),
                row("live/publicKey", "ssh-ed25519 BBBB", &["replace publicKey"]),
                row("live/id", "key-2", &[]),
                tag_row(),
            ],
            ..key_pair(json!({"public": "ssh-ed25519 AAAA ops@example"}))
        },
        Table {
            // The private key may be on another machine, so the imported key is not compared.
            diff: vec![
                row("live/publicKey", "ssh-ed25519 BBBB", &[]),
                row("want/material", json!({"private": "state/other.pem"}), &[]),
                row("live/name", "other", &["replace name"]),
                row("live/id", "key-2", &[]),
                tag_row(),
            ],
            ..key_pair(json!({"private": "state/shop-general.pem"}))
        },
    ]
}

fn identities() -> Vec<Table> {
    vec![
        Table {
            kind: "iam_role",
            want: json!({"name": "shop-r-web", "description": "web", "given": {},
                "trust": {"Statement": [{"Action": ["sts:AssumeRole"]}]},
                "inline": {"queue": {"Statement": [{"Action": ["sqs:SendMessage"]}]}},
                "managed": ["arn:aws:iam::aws:policy/B", "arn:aws:iam::aws:policy/A"],
                "tags": {"Name": "web"}}),
            live: json!({"name": "shop-r-web", "arn": "arn:aws:iam::1:role/shop-r-web",
                "trust": {"Statement": {"Action": "sts:AssumeRole"}},
                "inline": {"queue": {"Statement": {"Action": "sqs:SendMessage"}}},
                "managed": ["arn:aws:iam::aws:policy/A", "arn:aws:iam::aws:policy/B"],
                "tags": {"Name": "web"}}),
            diff: vec![
                row("want/name", "other", &["replace name"]),
                // IAM keeps the description of the creation.
                row("want/description", "other", &[]),
                row("live/trust/Statement", json!({"Action": "*"}), &["update trust"]),
                rows(
                    [
                        ("want/trust", json!({"Federated": "${issuer}"})),
                        ("want/given", json!({"issuer": "oidc.example"})),
                        ("live/trust", json!({"Federated": "oidc.example"})),
                    ],
                    &[],
                ),
                row("want/given", json!({"issuer": unknown("issuerHost")}), &["update trust"]),
                row("live/inline", json!({}), &["update inline"]),
                row("live/managed", json!(["arn:aws:iam::aws:policy/A"]), &["update managed"]),
                row("live/arn", "x", &[]),
                row("want/path", "/platform/", &["replace rolePath"]),
                row("want/boundary", "arn:aws:iam::1:policy/b", &["update permissionsBoundary"]),
                rows(
                    [
                        ("want/boundary", json!("arn:aws:iam::1:policy/b")),
                        ("live/boundary", json!("arn:aws:iam::1:policy/b")),
                    ],
                    &[],
                ),
                // An organisation may put one on a role of a stack that names none.
                row("live/boundary", "arn:aws:iam::1:policy/b", &[]),
                tag_row(),
            ],
            ..Table::default()
        },
        Table {
            kind: "oidc_provider",
            want: json!({"issuer": "https://oidc.example/id/1", "clients": ["sts.amazonaws.com", "other"],
                "tags": {"Name": "oidc"}}),
            live: json!({"arn": "arn:aws:iam::1:oidc-provider/oidc.example/id/1",
                "issuer": "https://oidc.example/id/1", "clients": ["other", "sts.amazonaws.com"],
                "tags": {"Name": "oidc"}}),
            diff: vec![
                row("want/issuer", unknown("issuer"), &["replace issuer"]),
                row("live/clients", json!(["other"]), &["update clients"]),
                row("live/arn", "x", &[]),
                tag_row(),
            ],
            ..Table::default()
        },
    ]
}
