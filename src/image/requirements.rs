//! `requirements.txt`: what is to be installed, to the byte.

use super::{Platform, Refusal, markers::holds};

/// What an image's Python takes of a requirements file: one line each, `name==version` and its hashes, sorted.
///
/// # Errors
/// A line that leaves open what is installed: without a version or a hash, from another place, or in another file.
pub fn read(text: &str, python: &str, platform: Platform) -> Result<Vec<String>, Refusal> {
    let mut found = Vec::new();
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
            found.extend(requirement(line, whole, python, platform)?);
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

fn without_comment(line: &str) -> &str {
    let line = if line.trim_start().starts_with('#') { "" } else { line };
    line.split_once(" #").map_or(line, |(before, _)| before).trim_end()
}

fn requirement(
    line: usize,
    whole: &str,
    python: &str,
    platform: Platform,
) -> Result<Option<String>, Refusal> {
    if whole.starts_with('-') {
        let what = format!("`{}` is not followed", whole.split_whitespace().next().unwrap_or_default());
        return Err(Refusal::new(line, what)
            .hint("write all requirements into this file; pip's own settings name its index"));
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
    let hint = "`pip-compile --generate-hashes` or `uv pip compile --generate-hashes` writes such a file";
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
            .ok_or_else(|| Refusal::new(line, format!("`{marker}` is no marker")))?,
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
    fn what_fits_the_target_is_taken() {
        let text = format!(
            "# made by a tool\n\nuvicorn[standard]==0.30 \\\n    {A} \\\n    {B}\n    # via x\n\
             old==1.0 ; python_full_version < '3.11' \\\n    {A}\nb == 2.0.post1; os_name == 'posix' {A} # why\n"
        );
        let wanted = [format!("b==2.0.post1 {A}"), format!("uvicorn[standard]==0.30 {A} {B}")];
        assert_eq!(read(&text, "3.13", Platform::Amd64).unwrap(), wanted);
        assert_eq!(read(&text, "3.10", Platform::Amd64).unwrap().len(), 3);
        assert!(read("# nothing\n", "3.13", Platform::Amd64).unwrap().is_empty());
    }

    #[test]
    fn what_is_open_is_refused_with_its_line() {
        let cases = [
            (format!("a>=1 {A}"), "not pinned to a version"),
            (format!("a==1.* {A}"), "not pinned to a version"),
            ("a==1".to_owned(), "not pinned by SHA-256"),
            ("a==1 --hash=md5:00".to_owned(), "not pinned by SHA-256"),
            (format!("a==1 {A} --hash=sha256:00"), "not pinned by SHA-256"),
            (format!("a @ https://example.com/a.whl {A}"), "not pinned to a version"),
            ("-r other.txt".to_owned(), "`-r` is not followed"),
            ("--index-url https://example.com".to_owned(), "`--index-url` is not followed"),
            (format!("a==1 ; weather == 'good' {A}"), "is no marker"),
        ];
        for (text, what) in cases {
            let refusal = read(&format!("\n{text}\n"), "3.13", Platform::Amd64).unwrap_err();
            assert!(refusal.line == 2 && refusal.what.contains(what), "{text}: {refusal:?}");
        }
    }
}
