//! Tables of the kinds of the backend: the state bucket and the lock table.

use super::{Table, handler, row, state, suspended, tag_row, waiting};
use serde_json::{Value, json};

pub(super) fn tables() -> Vec<Table> {
    vec![state_bucket(), lock_table()]
}

fn state_bucket() -> Table {
    let want = json!({"name": "provisioner-1-r", "region": "eu-central-1", "key": "arn:aws:kms:r:1:key/1",
        "tags": {"Name": "state"}});
    let mut live = json!({"name": "provisioner-1-r", "versioned": true, "kept": {"days": 90, "versions": 100}, "key": "arn:aws:kms:r:1:key/1",
        "private": true, "ownerEnforced": true, "policy": null, "tags": {"Name": "state"}});
    // The kind derives the policy from the name and the region.
    let changes = (handler("state_bucket").unwrap().kind.diff)(&want, &live).unwrap();
    live["policy"] = changes.0.into_iter().find(|change| change.path == "policy").unwrap().new;
    Table {
        kind: "state_bucket",
        want,
        live,
        diff: vec![
            row("live/name", "other", &["replace name"]),
            // In another partition the ARNs of the policy differ.
            row("want/region", "cn-north-1", &["update policy"]),
            row("live/key", Value::Null, &["update key"]),
            row("live/versioned", false, &["update versioned"]),
            row("live/kept", Value::Null, &["update kept"]),
            row("live/kept/days", 30, &["update kept.days"]),
            row("live/kept/versions", 5, &["update kept.versions"]),
            row("live/kept/versions", Value::Null, &[]),
            row("live/private", false, &["update private"]),
            row("live/ownerEnforced", false, &["update ownerEnforced"]),
            row("live/policy", Value::Null, &["update policy"]),
            tag_row(),
        ],
        ..Table::default()
    }
}

fn lock_table() -> Table {
    Table {
        kind: "lock_table",
        want: json!({"name": "provisioner-lock", "key": "arn:aws:kms:r:1:key/1", "tags": {"Name": "lock"}}),
        live: json!({"name": "provisioner-lock", "arn": "arn:aws:dynamodb:r:1:table/provisioner-lock",
            "status": "ACTIVE", "key": "arn:aws:kms:r:1:key/1", "recoverable": true, "protected": true,
            "onDemand": true, "tags": {"Name": "lock"}}),
        diff: vec![
            row("want/name", "other", &["replace name"]),
            row("live/key", Value::Null, &["update key"]),
            row("live/recoverable", false, &["update recoverable"]),
            row("live/protected", false, &["update protected"]),
            row("live/onDemand", false, &["update onDemand"]),
            row("live/arn", "x", &[]),
            tag_row(),
        ],
        ready: vec![
            state("live/status", "CREATING", waiting("CREATING")),
            state("live/status", "UPDATING", waiting("UPDATING")),
            state(
                "live/status",
                "INACCESSIBLE_ENCRYPTION_CREDENTIALS",
                suspended(
                    "the key that encrypts the table cannot be used",
                    "aws kms enable-key --key-id arn:aws:kms:r:1:key/1",
                ),
            ),
        ],
        ..Table::default()
    }
}
