//! Versions of add-ons: the file's, or EKS's default, which is then pinned. Checks their configuration, too.

use super::super::{OperationError, Workspace};
use crate::{
    aws::{AddonVersion, addon_schema, addon_versions},
    graph::{AddonSettings, addons},
    model::{Address, CallError, Snapshot, is_newer},
    stack::nearest,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The key of the pins in the state's outputs.
pub(super) const PINS: &str = "addons";

/// The version that was chosen for an add-on, and what it was chosen for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AddonPin {
    pub(super) version: String,
    pub(super) minor: String,
    /// Whether the file names the version.
    pub(super) named: bool,
}

type Offered = BTreeMap<String, Vec<AddonVersion>>;

pub(super) async fn addon_pins(
    workspace: &Workspace,
    snapshot: &mut Snapshot,
    minor: &str,
) -> Result<BTreeMap<String, String>, OperationError> {
    let wanted = addons(&workspace.stack);
    let recorded = snapshot.outputs.get(PINS).cloned().unwrap_or_default();
    let mut recorded: BTreeMap<String, AddonPin> = serde_json::from_value(recorded).unwrap_or_default();
    for (name, pin) in recorded.iter_mut().filter(|(_, pin)| !pin.named) {
        // A version that was newer than the pin when the state was written was kept.
        let running = running_version(snapshot, name).filter(|running| is_newer(running, &pin.version));
        pin.version = running.unwrap_or_else(|| pin.version.clone());
    }
    let mut offered: Option<Offered> = None;
    let mut pins = BTreeMap::new();
    for (name, wish) in &wanted {
        let pin = match recorded.get(name) {
            Some(pin) if stands(pin, wish, minor) => pin.clone(),
            pin => {
                if offered.is_none() {
                    offered = Some(addon_versions(&workspace.target.clients, minor).await?);
                }
                let offered = offered.get_or_insert_default();
                AddonPin {
                    version: choose(workspace, name, wish, minor, offered, pin)?,
                    minor: minor.to_owned(),
                    named: wish.version.is_some(),
                }
            }
        };
        check_configuration(workspace, snapshot, name, wish, &pin.version).await?;
        pins.insert(name.clone(), pin);
    }
    let versions = pins.iter().map(|(name, pin)| (name.clone(), pin.version.clone())).collect();
    snapshot.outputs.insert(PINS.to_owned(), json!(pins));
    Ok(versions)
}

/// Returns the version of the add-on `name` for the Kubernetes minor.
fn choose(
    workspace: &Workspace,
    name: &str,
    wish: &AddonSettings,
    minor: &str,
    offered: &Offered,
    pin: Option<&AddonPin>,
) -> Result<String, OperationError> {
    let path = |field: &str| match wish.index {
        Some(index) => format!("cluster.addons[{index}].{field}"),
        None => "cluster.version".to_owned(),
    };
    let Some(versions) = offered.get(name).filter(|versions| !versions.is_empty()) else {
        let message =
            format!("EKS has no add-on `{name}` for Kubernetes {minor} in {}", workspace.stack.region);
        let near = nearest(name, offered.keys().map(String::as_str));
        let help = near.map(|near| format!("did you mean `{near}`?"));
        return Err(workspace.stack.diagnostic(&path("name"), message, help).into());
    };
    if let Some(asked) = &wish.version {
        if versions.iter().any(|version| version.version == *asked) {
            return Ok(asked.clone());
        }
        let some: Vec<&str> = versions.iter().take(6).map(|version| version.version.as_str()).collect();
        let message = format!("{name} {asked} does not support Kubernetes {minor}");
        let help = Some(format!("choose one such as {}", some.join(", ")));
        return Err(workspace.stack.diagnostic(&path("version"), message, help).into());
    }
    let place = |wanted: &str| versions.iter().position(|version| version.version == wanted);
    let default = versions.iter().position(|version| version.default).unwrap_or_default();
    // EKS lists the newest first. A running version that fits is not downgraded to an older default.
    let kept = pin.filter(|pin| !pin.named).and_then(|pin| place(&pin.version));
    let index = kept.map_or(default, |kept| kept.min(default));
    let version = versions.get(index).ok_or_else(|| CallError::bug("the list of versions has shrunk"))?;
    Ok(version.version.clone())
}

/// Checks a configuration against the add-on's schema, unless it is recorded for the same version.
async fn check_configuration(
    workspace: &Workspace,
    snapshot: &Snapshot,
    name: &str,
    wish: &AddonSettings,
    version: &str,
) -> Result<(), OperationError> {
    let Some(index) = wish.index.filter(|_| !wish.configuration.is_empty()) else { return Ok(()) };
    let configuration = Value::Object(wish.configuration.clone());
    let entry = snapshot.resources.get(&Address::new(format!("cluster/addon/{name}")));
    let same = |entry: &crate::model::Entry| {
        entry.spec.get("configuration") == Some(&configuration)
            && entry.spec.get("version").and_then(Value::as_str) == Some(version)
    };
    if entry.is_some_and(same) {
        return Ok(());
    }
    let schema = addon_schema(&workspace.target.clients, name, version).await?;
    let validator = jsonschema::validator_for(&schema)
        .map_err(|error| CallError::bug(format!("invalid schema of {name} {version}: {error}")))?;
    let problem = validator.iter_errors(&configuration).next();
    let Some(problem) = problem else { return Ok(()) };
    let inner: String = problem
        .instance_path()
        .as_str()
        .split('/')
        .skip(1)
        .map(|part| match part.parse::<usize>() {
            Ok(number) => format!("[{number}]"),
            Err(_) => format!(".{part}"),
        })
        .collect();
    let path = format!("cluster.addons[{index}].configuration{inner}");
    let message = format!("invalid configuration for {name} {version}: {problem}");
    let help =
        format!("`aws eks describe-addon-configuration --addon-name {name} --addon-version {version}`");
    Err(workspace.stack.diagnostic(&path, message, Some(format!("show its schema with {help}"))).into())
}

/// Returns the version that the state recorded as running.
fn running_version(snapshot: &Snapshot, name: &str) -> Option<String> {
    let entry = snapshot.resources.get(&Address::new(format!("cluster/addon/{name}")))?;
    entry.live.get("version")?.as_str().map(str::to_owned)
}

/// Returns whether an earlier choice is still valid.
fn stands(pin: &AddonPin, wish: &AddonSettings, minor: &str) -> bool {
    pin.minor == minor
        && match &wish.version {
            Some(version) => pin.version == *version,
            None => !pin.named,
        }
}
