//! Reads `requirements.txt`, which must pin each package to a version and to the hashes of its files.

use super::{ImagePlatform, Refusal, markers::holds};

/// Returns the hashed requirements that apply to `python` on `platform`: `name==version` and hashes in a line,
/// sorted.
///
/// # Errors
/// Fails on a line that does not pin what is installed: without a version or hash, with a URL, or with a pip
/// option.
pub fn read(text: &str, python: &str, platform: ImagePlatform) -> Result<Vec<String>, Refusal> {
    let mut found = Vec::new();
    for (line, whole) in lines(text) {
        found.extend(requirement(line, &whole, python, platform)?);
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Returns the lines of a requirements file with their numbers: without comments and empty lines, continued lines joined.
pub fn lines(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines().enumerate().map(|(index, line)| (index.saturating_add(1), line));
    while let Some((line, first)) = lines.next() {
        let mut whole = without_comment(first).to_owned();
        while let Some(open) = whole.strip_suffix('\\') {
            whole = format!("{open} ");
            match lines.next() {
                Some((_, next)) => whole.push_str(without_comment(next)),
                None => break,
            }
        }
        let whole = whole.trim();
        if !whole.is_empty() {
            found.push((line, whole.to_owned()));
        }
    }
    found
}

/// A comment begins with `#` at the beginning of the line or after white space.
fn without_comment(line: &str) -> &str {
    let mut before = ' ';
    for (at, char) in line.char_indices() {
        if char == '#' && before.is_whitespace() {
            return line.get(..at).unwrap_or_default().trim_end();
        }
        before = char;
    }
    line.trim_end()
}

fn requirement(
    line: usize,
    whole: &str,
    python: &str,
    platform: ImagePlatform,
) -> Result<Option<String>, Refusal> {
    if whole.starts_with('-') {
        let what = format!("unsupported option `{}`", whole.split_whitespace().next().unwrap_or_default());
        return Err(Refusal::new(line, what)
            .hint("list all requirements in this file, and set the package index in pip's configuration"));
    }
    let (spec, hashes) = whole
        .split_once("--hash")
        .map_or((whole, ""), |(spec, _)| (spec, whole.get(spec.len()..).unwrap_or_default()));
    let (spec, marker) = spec.split_once(';').map_or((spec, None), |(spec, marker)| (spec, Some(marker)));
    let (spec, hashes) = (spec.trim(), hashes.split_whitespace().collect::<Vec<_>>());
    let sound = |hash: &&&str| {
        let hex = hash.strip_prefix("--hash=sha256:").unwrap_or_default();
        hex.len() == 64 && hex.chars().all(|char| char.is_ascii_hexdigit())
    };
    let hint = "write the file with `pip-compile --generate-hashes` or `uv pip compile --generate-hashes`";
    let pinned = spec.split_once("==").is_some_and(|(name, version)| {
        let plain = |text: &str, also: &str| {
            !text.trim().is_empty()
                && text.trim().chars().all(|char| char.is_ascii_alphanumeric() || also.contains(char))
        };
        plain(name, "-_.[], ") && plain(version, ".+!_-")
    });
    if !pinned {
        return Err(Refusal::new(line, format!("`{spec}` is not pinned to a version")).hint(hint));
    }
    if hashes.is_empty() || hashes.iter().filter(sound).count() != hashes.len() {
        return Err(Refusal::new(line, format!("`{spec}` is not pinned by SHA-256 hashes")).hint(hint));
    }
    let wanted = match marker.map(str::trim) {
        None => true,
        Some(marker) => holds(marker, python, platform)
            .ok_or_else(|| Refusal::new(line, format!("invalid environment marker `{marker}`")))?,
    };
    let spec: String = spec.chars().filter(|char| !char.is_whitespace()).collect();
    Ok(wanted.then(|| format!("{spec} {}", hashes.join(" "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "--hash=sha256:361ca0950cc7082f53fa69e9328409f40a62c61e57e0a47e1825a08078a58a53";
    const B: &str = "--hash=sha256:7969bb69912085b2285849c0dcac0b4b374fd180c13cf10a87f284ffcf347bbf";

    #[test]
    fn only_requirements_of_the_target_are_returned() {
        let text = format!(
            "# written by a tool\n\nuvicorn[standard]==0.30 \\\n    {A} \\\n    {B}\n    # via x\n\
             old==1.0 ; python_full_version < '3.11' \\\n    {A}\nb == 2.0.post1; os_name == 'posix' {A}\t# why\n"
        );
        let wanted = [format!("b==2.0.post1 {A}"), format!("uvicorn[standard]==0.30 {A} {B}")];
        assert_eq!(read(&text, "3.13", ImagePlatform::Amd64).unwrap(), wanted);
        assert_eq!(read(&text, "3.10", ImagePlatform::Amd64).unwrap().len(), 3);
        assert!(read("# nothing\n", "3.13", ImagePlatform::Amd64).unwrap().is_empty());
    }

    #[test]
    fn unpinned_requirements_are_reported_with_their_line() {
        let cases = [
            (format!("a>=1 {A}"), "not pinned to a version"),
            (format!("a==1.* {A}"), "not pinned to a version"),
            ("a==1".to_owned(), "not pinned by SHA-256"),
            ("a==1 --hash=md5:00".to_owned(), "not pinned by SHA-256"),
            (format!("a==1 {A} --hash=sha256:00"), "not pinned by SHA-256"),
            (format!("a @ https://example.com/a.whl {A}"), "not pinned to a version"),
            ("-r other.txt".to_owned(), "unsupported option `-r`"),
            ("--index-url https://example.com".to_owned(), "unsupported option `--index-url`"),
            (format!("a==1 ; weather == 'good' {A}"), "invalid environment marker `weather == 'good'`"),
        ];
        for (text, what) in cases {
            let refusal = read(&format!("\n{text}\n"), "3.13", ImagePlatform::Amd64).unwrap_err();
            assert!(refusal.line == 2 && refusal.what.contains(what), "{text}: {refusal:?}");
        }
    }
}
