//! Records of applications whose addresses are others now.

use super::addresses::{APP_IMAGE, app_image, app_repository, secret_environment, secret_name};
use crate::{
    model::{Address, Desired as _, Snapshot},
    resources::{image, secret_environment as environment},
    stack::Stack,
};
use serde_json::Value;
use std::collections::BTreeSet;

/// Returns the addresses that records of applications have now, for those that have another name in the file than the
/// state, such as after `app` became a list: by their repositories, and by the Deployments' names.
pub fn moved_addresses(stack: &Stack, snapshot: &Snapshot) -> Vec<(Address, Address)> {
    let wanted: BTreeSet<Address> =
        stack.apps.iter().flat_map(|app| [app_image(app), secret_environment(app)]).collect();
    let free = |address: &Address| !wanted.contains(address);
    let mut moved = Vec::new();
    for app in &stack.apps {
        let picture = app_image(app);
        let secret = secret_environment(app);
        let repository = app_repository(stack, app);
        let name = secret_name(app);
        for (address, entry) in snapshot.resources.iter().filter(|(address, _)| free(address)) {
            let text = |field: &str| entry.spec.get(field).and_then(Value::as_str);
            let new = if entry.kind == image::Spec::KIND && address.is_within(APP_IMAGE) {
                (text("repository") == Some(&repository)).then_some(&picture)
            } else if entry.kind == environment::Spec::KIND {
                let same = text("name") == Some(&name) && text("namespace") == Some(&app.namespace);
                same.then_some(&secret)
            } else {
                None
            };
            let taken = |new: &Address| {
                snapshot.resources.contains_key(new) || moved.iter().any(|(_, other)| other == new)
            };
            if let Some(new) = new.filter(|new| !taken(new)) {
                moved.push((address.clone(), new.clone()));
            }
        }
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Entry, Owner, Stage};
    use serde_json::json;

    #[test]
    fn records_follow_an_application_that_gets_a_name() {
        let stack = |apps: &str| {
            let text = format!("name: shop\nregion: eu-central-1\n{apps}\n");
            crate::stack::load("stack.yaml", text.as_bytes(), &|_| None).unwrap()
        };
        let entry = |kind: &str, spec: Value| Entry {
            kind: kind.to_owned(),
            stage: Stage::Application,
            spec,
            live: Value::Null,
            dependencies: BTreeSet::new(),
            leaving: false,
            update: None,
        };
        let mut snapshot = Snapshot::new(&Owner::default(), "1", "r");
        for (address, entry) in [
            ("application/image", entry("image", json!({"repository": "shop/app"}))),
            (
                "application/secret-environment",
                entry(
                    "secret_environment",
                    json!({"name": "demo-application-secrets", "namespace": "demo-application"}),
                ),
            ),
            ("application/copy/x", entry("image", json!({"repository": "shop/x"}))),
        ] {
            snapshot.resources.insert(address.into(), entry);
        }
        let moved = |apps: &str| -> Vec<(String, String)> {
            let all = moved_addresses(&stack(apps), &snapshot);
            all.into_iter().map(|(old, new)| (old.to_string(), new.to_string())).collect()
        };
        assert!(moved("app: {}").is_empty());
        // Another repository and another release: nothing of the old application is kept.
        assert!(moved("apps: [{name: web}]").is_empty());
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            moved("apps: [{name: worker}, {name: web, repository: shop/app, release: demo-application}]"),
            [
                pair("application/image", "application/image/web"),
                pair("application/secret-environment", "application/secret-environment/web"),
            ]
        );
    }
}
