//! What was resolved once for an image, and is recorded so that it does not move: the digests of base images that are
//! named by a tag, and the versions and hashes of packages that the files leave open.

use super::{ImagePlatform, blob::digest};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The pins of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ImagePins {
    /// Base images by their references in the Dockerfile.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub bases: BTreeMap<String, BasePin>,
    /// Packages (`name==version --hash=...`) by the key of what they were resolved from.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub packages: BTreeMap<String, Vec<String>>,
}

/// The pin of a base image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BasePin {
    /// Digest of the manifest or index; `None` if the registry was unreachable, which only the sandbox accepts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Python version of the image, such as `3.13`, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub python: Option<String>,
}

/// Requirements that are resolved for one Python on one platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ResolveRequest {
    /// File of the requirements, for messages.
    #[serde(skip)]
    pub file: String,
    /// The requirements, one a line.
    pub text: String,
    /// The constraints, one a line.
    pub constraints: String,
    /// Options of pip that say where packages come from.
    pub options: Vec<String>,
    /// Whether dependencies are left out.
    pub no_deps: bool,
    /// Python version, such as `3.13`.
    pub python: String,
    /// Platform of the image.
    pub platform: ImagePlatform,
    /// Whether the C library is musl.
    pub musl: bool,
}

impl ResolveRequest {
    /// Returns the key of the pins: it differs for other requirements, other options, another Python or platform.
    pub fn key(&self) -> String {
        let text = serde_json::to_string(self).unwrap_or_default();
        digest(text.as_bytes()).trim_start_matches("sha256:").chars().take(32).collect()
    }
}

impl ImagePins {
    /// Returns whether nothing is pinned.
    pub fn is_empty(&self) -> bool {
        self.bases.is_empty() && self.packages.is_empty()
    }

    /// Adds the pins of another image of the stack.
    pub fn extend(&mut self, other: ImagePins) {
        self.bases.extend(other.bases);
        self.packages.extend(other.packages);
    }

    /// Returns what differs from `old` for a person: `fastapi 0.115.0 -> 0.116.1`, `python:3.12: sha256:ab -> sha256:cd`.
    pub fn moved_from(&self, old: &ImagePins) -> Vec<String> {
        let mut moved = Vec::new();
        for (reference, pin) in &self.bases {
            let before = old.bases.get(reference).and_then(|pin| pin.digest.as_deref());
            if let (Some(before), Some(now)) = (before, pin.digest.as_deref())
                && before != now
            {
                moved.push(format!("{reference}: {} -> {}", short(before), short(now)));
            }
        }
        let (before, now) = (old.versions(), self.versions());
        let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
        for name in names {
            match (before.get(name), now.get(name)) {
                (Some(before), Some(now)) if before != now => {
                    moved.push(format!("{name}: {before} -> {now}"));
                }
                (Some(before), None) => moved.push(format!("{name}: {before} is removed")),
                (None, Some(now)) if !before.is_empty() => moved.push(format!("{name}: {now} is added")),
                _ => {}
            }
        }
        moved
    }

    /// Returns the versions of all packages by their names.
    fn versions(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::<String, BTreeSet<String>>::new();
        for line in self.packages.values().flatten() {
            let spec = line.split_whitespace().next().unwrap_or_default();
            if let Some((name, version)) = spec.split_once("==") {
                all.entry(name.to_owned()).or_default().insert(version.to_owned());
            }
        }
        let joined = |versions: BTreeSet<String>| versions.into_iter().collect::<Vec<_>>().join(", ");
        all.into_iter().map(|(name, versions)| (name, joined(versions))).collect()
    }
}

/// Returns the beginning of a digest, for people.
fn short(digest: &str) -> String {
    digest.chars().take("sha256:".len().saturating_add(12)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pins(base: &str, lines: &[&str]) -> ImagePins {
        let pin = BasePin { digest: Some(format!("sha256:{base}")), python: None };
        ImagePins {
            bases: [("python:3.12".to_owned(), pin)].into(),
            packages: [("k".to_owned(), lines.iter().map(|line| (*line).to_owned()).collect())].into(),
        }
    }

    #[test]
    fn what_moves_is_told() {
        let old = pins("a", &["a==1 --hash=sha256:0", "b==1", "c==1"]);
        assert!(old.moved_from(&old).is_empty());
        let moved = pins("b", &["a==2", "b==1", "d==1"]).moved_from(&old);
        assert_eq!(
            moved,
            ["python:3.12: sha256:a -> sha256:b", "a: 1 -> 2", "c: 1 is removed", "d: 1 is added"]
        );
        assert!(old.moved_from(&ImagePins::default()).is_empty());
    }

    #[test]
    fn a_record_without_pins_is_empty() {
        assert_eq!(serde_json::to_string(&ImagePins::default()).unwrap(), "{}");
        let all = pins("a", &["a==1"]);
        let text = serde_json::to_string(&all).unwrap();
        assert_eq!(serde_json::from_str::<ImagePins>(&text).unwrap(), all);
    }
}
