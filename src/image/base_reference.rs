//! What the reference of a base image tells of the image: the Python version, the C library, where packages go.

/// Facts of a base image, from its reference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BaseFacts {
    /// Python version, such as `3.13`, if the reference names one.
    pub python: Option<String>,
    /// Whether its Python lies below `/usr/local`, as in the official images of Python and those made from them.
    pub official: bool,
    /// Whether its C library is musl.
    pub musl: bool,
    /// Whether it has a shell.
    pub shell: bool,
}

impl BaseFacts {
    /// Reads a reference such as `docker.io/library/python:3.13-slim@sha256:...`.
    /// Source: <https://hub.docker.com/_/python>
    pub fn of(reference: &str) -> Self {
        let name = reference.split('@').next().unwrap_or_default();
        let (path, tag) = match name.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, tag),
            _ => (name, ""),
        };
        let image = path.rsplit('/').next().unwrap_or_default();
        // Images that are made from the official ones say so in their tags: `uv:python3.13-bookworm-slim`.
        let version =
            if image == "python" { Some(tag) } else { tag.split_once("python").map(|(_, rest)| rest) };
        let python = version.and_then(|version| {
            let digits: Vec<&str> = version.split(|char: char| !char.is_ascii_digit()).take(2).collect();
            Some(digits.join(".")).filter(|python| is_python(python))
        });
        let distroless = path.contains("distroless");
        BaseFacts {
            official: (image == "python" || version.is_some()) && !path.contains("chainguard") && !distroless,
            python,
            musl: tag.contains("alpine") || image == "alpine",
            shell: !distroless,
        }
    }
}

/// Returns whether a text is a supported Python version, such as `3.13`.
pub fn is_python(text: &str) -> bool {
    text.strip_prefix("3.").is_some_and(|minor| minor.parse::<u8>().is_ok_and(|minor| minor >= 8))
}

/// Returns whether a reference has a digest of SHA-256.
pub fn has_digest(reference: &str) -> bool {
    reference.rsplit_once("@sha256:").is_some_and(|(_, digest)| {
        digest.len() == 64 && digest.chars().all(|char| matches!(char, '0'..='9' | 'a'..='f'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_tell_the_python_and_the_library() {
        let cases = [
            ("python:3.12-slim", Some("3.12"), true, false),
            ("docker.io/library/python:3.13.1-slim@sha256:ab", Some("3.13"), true, false),
            ("python:3.12-alpine3.20", Some("3.12"), true, true),
            ("127.0.0.1:5000/tests/python:3.11", Some("3.11"), true, false),
            ("ghcr.io/astral-sh/uv:python3.12-bookworm-slim", Some("3.12"), true, false),
            ("python:3-slim", None, true, false),
            ("python", None, true, false),
            ("127.0.0.1:5000/python", None, true, false),
            ("debian:13", None, false, false),
            ("gcr.io/distroless/python3-debian12", None, false, false),
        ];
        for (reference, python, official, musl) in cases {
            let found = BaseFacts::of(reference);
            assert_eq!(
                (found.python.as_deref(), found.official, found.musl),
                (python, official, musl),
                "{reference}"
            );
        }
        assert!(!BaseFacts::of("gcr.io/distroless/python3-debian12:nonroot").shell);
    }
}
