//! Tables of the kinds for images, parameters, logs and objects of the cluster.

use super::{Table, degraded, row, rows, state, tag_row, unknown, waiting};
use serde_json::{Value, json};

pub(super) fn tables() -> Vec<Table> {
    vec![
        ecr_repository(),
        image(),
        plain_parameter(),
        secret_parameter(),
        log_group(),
        manifest(),
        secret_environment(),
        webhook_certificate(),
    ]
}

fn ecr_repository() -> Table {
    Table {
        kind: "ecr_repository",
        want: json!({"name": "shop/web", "immutableTags": true, "scanOnPush": true,
            "key": "arn:aws:kms:r:1:key/1", "lifecycle": {"rules": []}, "tags": {"Name": "web"}}),
        live: json!({"name": "shop/web", "arn": "arn:aws:ecr:r:1:repository/shop/web", "uri": "r/shop/web",
            "immutableTags": true, "scanOnPush": true, "key": "arn:aws:kms:r:1:key/1",
            "lifecycle": {"rules": []},
            "tags": {"Name": "web"}}),
        diff: vec![
            row("want/name", "other", &["replace name"]),
            row("want/key", unknown("arn"), &["replace key"]),
            row("live/immutableTags", false, &["update immutableTags"]),
            row("live/scanOnPush", false, &["update scanOnPush"]),
            row("live/lifecycle", Value::Null, &["update lifecycle"]),
            row("live/arn", "x", &[]),
            row("live/uri", "x", &[]),
            tag_row(),
        ],
        deletion_note: Some("with the images in it"),
        ..Table::default()
    }
}

fn image() -> Table {
    let other_content = || vec![("want/content", json!("b"))];
    Table {
        kind: "image",
        want: json!({"repository": "shop/web", "registry": "r/shop/web", "content": "a", "tags": ["2", "1"],
            "immutableTags": true, "path": "app", "builder": "python", "platforms": ["linux/amd64"]}),
        live: json!({"repository": "shop/web", "registry": "r/shop/web", "digest": "sha256:a",
            "uri": "r/shop/web@sha256:a", "content": "a", "tags": ["1", "2"], "taken": []}),
        diff: vec![
            row("want/repository", "shop/other", &["update repository"]),
            row("want/registry", unknown("uri"), &["update registry"]),
            rows(
                [("want/content", json!("b")), ("live/tags", json!([])), ("want/tags", json!([]))],
                &["update content"],
            ),
            row("live/tags", json!(["1"]), &["update tags"]),
            // Tags that may move can be taken from another image.
            rows(
                [
                    ("want/immutableTags", json!(false)),
                    ("live/tags", json!(["1"])),
                    ("live/taken", json!(["2"])),
                ],
                &["update tags"],
            ),
            row("want/path", "web", &[]),
            row("want/builder", "dockerfile", &[]),
            row("want/platforms", json!(["linux/arm64"]), &[]),
            row("live/digest", "sha256:b", &[]),
            row("live/uri", "x", &[]),
        ],
        refused: vec![
            (other_content(), "tag 1, 2 belongs to another image"),
            (
                vec![("live/tags", json!(["1"])), ("live/taken", json!(["2"]))],
                "repository shop/web has immutable tags",
            ),
        ],
        ..Table::default()
    }
}

fn plain_parameter() -> Table {
    Table {
        kind: "ssm_parameter",
        want: json!({"name": "/shop/message", "content": {"plain": "hello"}, "key": null,
            "tags": {"Name": "m"}}),
        live: json!({"name": "/shop/message", "arn": "arn:aws:ssm:r:1:parameter/shop/message", "secret": false,
            "value": "hello", "sameSecret": null, "key": null, "version": 3, "modified": "2030-01-01T00:00:00Z",
            "tags": {"Name": "m"}}),
        diff: vec![
            row("want/name", "/shop/other", &["replace name"]),
            row("want/content", json!({"plain": "bye"}), &["update value"]),
            row("want/content", json!({"secretSource": {"env": "PASSWORD"}}), &["update secret"]),
            row("live/secret", true, &["update secret"]),
            row("live/value", Value::Null, &["update value"]),
            row("live/sameSecret", false, &[]),
            row("live/key", "arn:aws:kms:r:1:key/1", &[]),
            row("live/arn", "x", &[]),
            row("live/version", 4, &[]),
            row("live/modified", "x", &[]),
            tag_row(),
        ],
        ..Table::default()
    }
}

fn secret_parameter() -> Table {
    Table {
        kind: "ssm_parameter",
        want: json!({"name": "/shop/password", "content": {"secretSource": {"env": "PASSWORD"}},
            "key": "arn:aws:kms:r:1:key/1", "tags": {"Name": "p"}}),
        live: json!({"name": "/shop/password", "arn": "arn:aws:ssm:r:1:parameter/shop/password", "secret": true,
            "value": null, "sameSecret": true, "key": "arn:aws:kms:r:1:key/1", "version": 3,
            "modified": "2030-01-01T00:00:00Z", "tags": {"Name": "p"}}),
        diff: vec![
            row("live/sameSecret", false, &["update value"]),
            // The source cannot be read on this machine.
            row("live/sameSecret", Value::Null, &[]),
            row("live/value", "x", &[]),
            row("want/content", json!({"plain": "hello"}), &["update secret", "update value"]),
            row("live/secret", false, &["update secret"]),
            row("want/key", "arn:aws:kms:r:1:key/2", &["update key"]),
            row("live/name", "x", &["replace name"]),
            row("live/arn", "x", &[]),
            row("live/version", 4, &[]),
            row("live/modified", "x", &[]),
            tag_row(),
        ],
        ..Table::default()
    }
}

fn log_group() -> Table {
    Table {
        kind: "log_group",
        want: json!({"name": "/provisioner/shop/flow", "retentionDays": 365, "key": "arn:aws:kms:r:1:key/1",
            "tags": {"Name": "flow"}}),
        live: json!({"name": "/provisioner/shop/flow",
            "arn": "arn:aws:logs:r:1:log-group:/provisioner/shop/flow", "retentionDays": 365,
            "key": "arn:aws:kms:r:1:key/1", "tags": {"Name": "flow"}}),
        diff: vec![
            row("want/name", "other", &["replace name"]),
            row("live/retentionDays", Value::Null, &["update retentionDays"]),
            row("live/key", Value::Null, &["update key"]),
            row("live/arn", "x", &[]),
            tag_row(),
        ],
        ..Table::default()
    }
}

fn manifest() -> Table {
    let pending = json!([{"path": "spec.replicas", "old": 1, "new": 2, "forcesReplace": false}]);
    let deferred = |old: u32| json!([{"pointer": "/spec/replicas", "path": "spec.replicas", "old": old}]);
    Table {
        kind: "manifest",
        want: json!({"cluster": "shop", "object": {"spec": {"replicas": 2}}, "part": "app", "scaled": false,
            "grows": true}),
        live: json!({"cluster": "shop", "apiVersion": "apps/v1", "kind": "Deployment", "namespace": "demo",
            "name": "web", "id": "uid-1", "tags": {}, "pending": [], "later": [], "conflict": null,
            "waiting": null, "trouble": null}),
        diff: vec![
            row("live/pending", pending, &["update spec.replicas"]),
            row("live/later", deferred(1), &["update spec.replicas"]),
            row("live/later", deferred(2), &[]),
            rows(
                [("live/later", deferred(2)), ("want/object", json!({"spec": {"replicas": 3}}))],
                &["update spec.replicas"],
            ),
            // What differs is in `pending`: the API server compares.
            row("want/object", json!({"spec": {"replicas": 3}}), &[]),
            // A conflict is reported apart from the changes.
            row("live/conflict", "conflict with helm", &[]),
            row("live/unseen", "no access", &["update object"]),
            row("want/cluster", "other", &[]),
            row("want/part", "other", &[]),
            row("want/scaled", true, &[]),
            row("want/grows", false, &[]),
            row("live/apiVersion", "v1", &[]),
            row("live/kind", "Service", &[]),
            row("live/namespace", Value::Null, &[]),
            row("live/name", "other", &[]),
            row("live/id", "uid-2", &[]),
            row("live/tags", json!({"provisioner:stack": "other"}), &[]),
        ],
        ready: vec![
            state("live/waiting", "1 of 2 pods are ready", waiting("1 of 2 pods are ready")),
            state("live/trouble", "CrashLoopBackOff", degraded("CrashLoopBackOff")),
            (
                vec![("live/trouble", json!("CrashLoopBackOff")), ("live/waiting", json!("1 of 2"))],
                degraded("CrashLoopBackOff"),
            ),
        ],
        ..Table::default()
    }
}

fn secret_environment() -> Table {
    Table {
        kind: "secret_environment",
        want: json!({"cluster": "shop", "namespace": "demo", "name": "web-secrets",
            "variables": {"PASSWORD": "/shop/password"}, "versions": {"/shop/password": 3}, "tags": {}}),
        live: json!({"cluster": "shop", "namespace": "demo", "name": "web-secrets", "id": "uid-1",
            "variables": {"PASSWORD": "/shop/password"}, "versions": {"/shop/password": 3},
            "revision": "/shop/password:3 2030-01-01T00:00:00Z", "different": [], "tags": {}}),
        diff: vec![
            row("want/cluster", "other", &["replace cluster"]),
            row("want/namespace", "other", &["replace namespace"]),
            row("want/name", "other", &["replace name"]),
            row(
                "want/variables",
                json!({"TOKEN": "/shop/password"}),
                &["update variables.PASSWORD", "update variables.TOKEN"],
            ),
            row("live/versions", json!({"/shop/password": 2}), &["update versions./shop/password"]),
            row("want/versions", json!({"/shop/password": unknown("version")}), &["update versions"]),
            row("live/different", json!(["PASSWORD"]), &["update values.PASSWORD"]),
            row("live/different", json!(["GONE"]), &[]),
            row("live/unseen", "no access", &["update object"]),
            row("live/id", "uid-2", &[]),
            row("live/revision", "x", &[]),
            row("want/tags", json!({"team": "web"}), &[]),
        ],
        ready: vec![state("live/unseen", "no access", waiting("no access"))],
        ..Table::default()
    }
}

fn webhook_certificate() -> Table {
    Table {
        kind: "webhook_certificate",
        want: json!({"cluster": "shop", "namespace": "kube-system", "name": "tls",
            "dnsNames": ["b.svc", "a.svc"], "tags": {}}),
        live: json!({"cluster": "shop", "namespace": "kube-system", "name": "tls", "id": "uid-1",
            "dnsNames": ["a.svc", "b.svc"], "ca": "UEVN", "until": "2030-01-01T00:00:00Z", "fresh": true,
            "tags": {}}),
        diff: vec![
            row("want/cluster", "other", &["replace cluster"]),
            row("want/namespace", "other", &["replace namespace"]),
            row("want/name", "other", &["replace name"]),
            row("want/dnsNames", json!(["a.svc"]), &["update dnsNames"]),
            row("live/fresh", false, &["update fresh"]),
            row("live/unseen", "no access", &["update object"]),
            row("live/id", "uid-2", &[]),
            row("live/ca", "x", &[]),
            row("live/until", "2026-01-01T00:00:00Z", &[]),
            row("want/tags", json!({"team": "web"}), &[]),
        ],
        ready: vec![state("live/unseen", "no access", waiting("no access"))],
        ..Table::default()
    }
}
