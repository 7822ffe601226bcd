//! Versions of add-ons: the file's, or EKS's default, pinned from then on; and whether their configuration is one.

use super::{Failure, Session};
use crate::{
    aws::{AddonVersion, addon_schema, addon_versions},
    graph::{Wanted, addons},
    model::{Address, Fault, Snapshot},
    stack::nearest,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The state's name for the pins.
pub(super) const PINS: &str = "addons";

/// The version that was chosen for an add-on, and under which circumstances.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pin {
    pub(super) version: String,
    pub(super) minor: String,
    /// Whether the file names it.
    pub(super) named: bool,
}

type Offered = BTreeMap<String, Vec<AddonVersion>>;

impl Session {
    pub(super) async fn addons(
        &self,
        snapshot: &mut Snapshot,
        minor: &str,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let wanted = addons(&self.stack);
        let recorded = snapshot.outputs.get(PINS).cloned().unwrap_or_default();
        let recorded: BTreeMap<String, Pin> = serde_json::from_value(recorded).unwrap_or_default();
        let mut offered: Option<Offered> = None;
        let mut pins = BTreeMap::new();
        for (name, wish) in &wanted {
            let pin = match recorded.get(name) {
                Some(pin) if stands(pin, wish, minor) => pin.clone(),
                pin => {
                    if offered.is_none() {
                        offered = Some(addon_versions(&self.target.clients, minor).await?);
                    }
                    let offered = offered.get_or_insert_default();
                    Pin {
                        version: self.choose(name, wish, minor, offered, pin)?,
                        minor: minor.to_owned(),
                        named: wish.version.is_some(),
                    }
                }
            };
            self.check_configuration(snapshot, name, wish, &pin.version).await?;
            pins.insert(name.clone(), pin);
        }
        let versions = pins.iter().map(|(name, pin)| (name.clone(), pin.version.clone())).collect();
        snapshot.outputs.insert(PINS.to_owned(), json!(pins));
        Ok(versions)
    }

    /// A version of the add-on `name` for `minor`.
    fn choose(
        &self,
        name: &str,
        wish: &Wanted,
        minor: &str,
        offered: &Offered,
        pin: Option<&Pin>,
    ) -> Result<String, Failure> {
        let path = |field: &str| match wish.index {
            Some(index) => format!("cluster.addons[{index}].{field}"),
            None => "cluster.version".to_owned(),
        };
        let Some(versions) = offered.get(name).filter(|versions| !versions.is_empty()) else {
            let message =
                format!("EKS has no add-on `{name}` for Kubernetes {minor} in {}", self.stack.region);
            let near = nearest(name, offered.keys().map(String::as_str));
            let help = near.map(|near| format!("did you mean `{near}`?"));
            return Err(self.stack.diagnostic(&path("name"), message, help).into());
        };
        if let Some(asked) = &wish.version {
            if versions.iter().any(|version| version.version == *asked) {
                return Ok(asked.clone());
            }
            let some: Vec<&str> = versions.iter().take(6).map(|version| version.version.as_str()).collect();
            let message = format!("{name} {asked} is not for Kubernetes {minor}");
            let help = Some(format!("these are: {}", some.join(", ")));
            return Err(self.stack.diagnostic(&path("version"), message, help).into());
        }
        let place = |wanted: &str| versions.iter().position(|version| version.version == wanted);
        let default = versions.iter().position(|version| version.default).unwrap_or_default();
        // EKS lists the newest first. What runs and fits is not taken back to an older default.
        let kept = pin.filter(|pin| !pin.named).and_then(|pin| place(&pin.version));
        let index = kept.map_or(default, |kept| kept.min(default));
        let version = versions.get(index).ok_or_else(|| Fault::bug("a list of versions that shrank"))?;
        Ok(version.version.clone())
    }

    /// Checks a configuration that is new, or new for its version, against the add-on's own schema.
    async fn check_configuration(
        &self,
        snapshot: &Snapshot,
        name: &str,
        wish: &Wanted,
        version: &str,
    ) -> Result<(), Failure> {
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
        let schema = addon_schema(&self.target.clients, name, version).await?;
        let validator = jsonschema::validator_for(&schema)
            .map_err(|error| Fault::bug(format!("the schema of {name} {version} is none: {error}")))?;
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
        let message = format!("{name} {version} takes no such configuration: {problem}");
        let help =
            format!("`aws eks describe-addon-configuration --addon-name {name} --addon-version {version}`");
        Err(self.stack.diagnostic(&path, message, Some(format!("{help} shows what it takes"))).into())
    }
}

/// Whether an earlier choice still holds.
fn stands(pin: &Pin, wish: &Wanted, minor: &str) -> bool {
    pin.minor == minor
        && match &wish.version {
            Some(version) => pin.version == *version,
            None => !pin.named,
        }
}
