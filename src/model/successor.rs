//! Names of resources that are replaced by creation first: `NAME` at first, then `NAME-SUFFIX`, so that old and new exist
//! side by side.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Number of hexadecimal digits of a suffix.
const SUFFIX_DIGITS: usize = 5;

/// The start of `base` that leaves space for a suffix within `limit` characters.
fn head(base: &str, limit: usize) -> &str {
    let end = limit.saturating_sub(SUFFIX_DIGITS).saturating_sub(1);
    base.char_indices().nth(end).map_or(base, |(at, _)| base.get(..at).unwrap_or(base))
}

/// Returns whether `name` is `base` or one that [`next_name`] makes of it.
pub fn is_name_of(base: &str, name: &str, limit: usize) -> bool {
    let suffix = name.strip_prefix(head(base, limit)).and_then(|rest| rest.strip_prefix('-'));
    let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    name == base || suffix.is_some_and(|it| it.len() == SUFFIX_DIGITS && it.chars().all(is_digit))
}

/// Returns the name of what replaces the resource `old`, whose file name is `base`: the same for the same `old` and `spec`, so
/// that a run that was killed goes by the name that it began with. At most `limit` characters, and none that `taken` refuses.
pub fn next_name(base: &str, old: &str, spec: &Value, limit: usize, taken: &dyn Fn(&str) -> bool) -> String {
    let candidate = |attempt: u32| {
        let digest = Sha256::digest(format!("{old}|{attempt}|{spec}"));
        let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}-{}", head(base, limit), digits.get(..SUFFIX_DIGITS).unwrap_or(&digits))
    };
    let free = |name: &String| name != old && !taken(name);
    (0..u32::MAX).map(candidate).find(free).unwrap_or_else(|| candidate(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_successor_is_told_from_other_names_and_fits_the_limit() {
        let spec = json!({"instanceTypes": ["m5.large"]});
        let free = |_: &str| false;
        for base in ["general", &"x".repeat(63), "ends-"] {
            let first = next_name(base, base, &spec, 63, &free);
            assert!(first.len() <= 63 && first != base && is_name_of(base, &first, 63), "{first}");
            assert_eq!(first, next_name(base, base, &spec, 63, &free));
            let second = next_name(base, &first, &spec, 63, &free);
            assert!(second != first && is_name_of(base, &second, 63), "{second}");
            assert_ne!(first, next_name(base, base, &json!({}), 63, &free));
            assert_ne!(first, next_name(base, base, &spec, 63, &|name| name == first));
        }
        for other in [
            "general-1",
            "general-12345x",
            "general-ABCDE",
            "generals",
            "gener",
            "general-12g45",
            "main-12345",
        ] {
            assert!(!is_name_of("general", other, 63), "{other}");
        }
        assert!(is_name_of("general", "general", 63));
    }
}
