//! Versions as AWS writes them: `1.35`, `v1.20.4-eksbuild.2`, `1.54.0-2f6b08ec`.

/// Returns the numbers of a version in their order. Words are left out, and so is a part with letters, such as the
/// build of a Bottlerocket release, which has no order.
pub fn numbers(version: &str) -> Vec<u64> {
    let parts = version.trim_start_matches('v').split(['.', '-']);
    parts.filter_map(|part| part.parse().ok()).collect()
}

/// Whether `version` is newer than `other`.
pub fn is_newer(version: &str, other: &str) -> bool {
    numbers(version) > numbers(other)
}

/// Minor version of Kubernetes, such as the 35 of `1.35`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KubernetesMinor(pub u16);

impl KubernetesMinor {
    /// Returns the minor of a version such as `1.35`; `None` for any other text.
    pub fn parse(version: &str) -> Option<Self> {
        version.strip_prefix("1.")?.parse().ok().map(KubernetesMinor)
    }

    /// Returns the version after this one.
    #[must_use]
    pub fn next(self) -> Self {
        KubernetesMinor(self.0.saturating_add(1))
    }
}

impl std::fmt::Display for KubernetesMinor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "1.{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minors_are_compared_as_numbers() {
        let minor = KubernetesMinor::parse;
        assert!(minor("1.10") > minor("1.9"));
        assert_eq!(minor("1.9").map(|minor| minor.next().to_string()).as_deref(), Some("1.10"));
        assert_eq!([minor("1"), minor("2.1"), minor("1.35.2"), minor("v1.35")], [None; 4]);
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        let newer = [
            ("1.10", "1.9"),
            ("v1.21.1-eksbuild.3", "v1.20.5-eksbuild.1"),
            ("v1.20.5-eksbuild.10", "v1.20.5-eksbuild.9"),
            ("1.54.0-2f6b08ec", "1.53.0-5a1c93d7"),
            ("1.53.1-00000000", "1.53.0-ffffffff"),
        ];
        for (new, old) in newer {
            assert!(is_newer(new, old), "{new} {old}");
            assert!(!is_newer(old, new), "{old} {new}");
        }
        assert!(!is_newer("1.53.0-5a1c93d7", "1.53.0-2f6b08ec"), "builds of one release have no order");
        assert!(!is_newer("1.35", "1.35"));
    }
}
