//! States are read back as they were written, and refused by name if they cannot be trusted.

use super::{Address, Entry, Intent, Owner, Record, Snapshot, SnapshotError, Stage};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn sample() -> Snapshot {
    let owner = Owner { stack: "shop".into(), lineage: "l-1".into() };
    let mut snapshot = Snapshot::new(&owner, "123456789012", "eu-central-1");
    snapshot.apply(Record::Applied(
        "network/vpc".into(),
        Box::new(Entry {
            kind: "vpc".into(),
            stage: Stage::Network,
            spec: json!({"cidr": "10.0.0.0/16"}),
            live: json!({"id": "vpc-1"}),
            dependencies: BTreeSet::new(),
            leaving: false,
            update: None,
        }),
    ));
    snapshot
}

#[test]
fn what_is_written_is_read_back() {
    let mut snapshot = sample();
    let bytes = snapshot.encode().unwrap();
    assert_eq!(Snapshot::decode(&bytes).unwrap(), snapshot);
}

#[test]
fn the_schema_is_the_oldest_that_holds_the_document() {
    let mut snapshot = sample();
    let schema = |snapshot: &mut Snapshot| {
        let bytes = snapshot.encode().unwrap();
        assert_eq!(Snapshot::decode(&bytes).unwrap(), *snapshot);
        serde_json::from_slice::<Value>(&bytes).unwrap()["schema"].clone()
    };
    assert_eq!(schema(&mut snapshot), 1);
    snapshot.apply(Record::UpdateStarted("network/vpc".into(), "u-1".into()));
    snapshot.apply(Record::UpdateStarted("network/other".into(), "u-2".into()));
    assert_eq!(snapshot.resources[&Address::from("network/vpc")].update.as_deref(), Some("u-1"));
    assert_eq!(schema(&mut snapshot), 2);
    snapshot.apply(Record::UpdateEnded("network/vpc".into()));
    assert_eq!(schema(&mut snapshot), 1);
}

#[test]
fn a_state_that_cannot_be_trusted_is_refused_by_name() {
    let bytes = sample().encode().unwrap();
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert_eq!(Snapshot::decode(b"  \n"), Err(SnapshotError::Empty));
    assert!(matches!(Snapshot::decode(&bytes[..bytes.len() / 2]), Err(SnapshotError::Unreadable(_))));
    assert_eq!(Snapshot::decode(text.replace("vpc-1", "vpc-2").as_bytes()), Err(SnapshotError::Altered));
    let newer = text.replace("\"schema\": 1", "\"schema\": 9");
    assert_eq!(Snapshot::decode(newer.as_bytes()), Err(SnapshotError::Newer(9, String::new())));
    let snapshot = Snapshot::decode(&bytes).unwrap();
    assert!(snapshot.belongs_to("shop", "999999999999", "eu-central-1").is_err());
    assert!(snapshot.belongs_to("shop", "123456789012", "eu-central-1").is_ok());
}

#[test]
fn a_token_differs_by_stack_address_and_attempt() {
    let one = Intent::token("l", &"a".into(), "n");
    assert_eq!(one.len(), 64);
    for (lineage, address, nonce) in [("m", "a", "n"), ("l", "b", "n"), ("l", "a", "o")] {
        assert_ne!(one, Intent::token(lineage, &address.into(), nonce));
    }
}
