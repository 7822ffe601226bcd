//! Evaluates `.dockerignore`: which files of a folder belong to its build context.
//! Source of the rules: <https://docs.docker.com/build/concepts/context/#dockerignore-files>,
//! Go's `filepath.Match`, and `github.com/moby/patternmatcher`.

use crate::model::{CallError, ErrorKind};

/// The patterns of a `.dockerignore` file, in the order of their lines.
#[derive(Clone, Debug, Default)]
pub struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug)]
struct Pattern {
    /// Whether the pattern begins with `!`: what it matches stays in the context.
    keeps: bool,
    parts: Vec<Part>,
    /// The characters before the first wildcard.
    literal: String,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Char(char),
    /// `?`: one character except `/`.
    One,
    /// `*`: any number of characters except `/`.
    Some,
    /// `**` at the end: any number of characters.
    All,
    /// `**/`: any number of folders.
    Folders,
    /// `[...]`: one character in the ranges or, with `not`, outside them; never `/`.
    ErrorKind {
        not: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Ignore {
    /// Parses the text of the file `name`.
    ///
    /// # Errors
    /// Fails on an invalid pattern. The message names its line.
    pub fn parse(name: &str, text: &str) -> Result<Self, CallError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut patterns = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let at = || format!("{name}:{}", index.saturating_add(1));
            // A comment begins in the first column; an indented `#` begins a pattern.
            let trimmed = line.trim();
            if line.starts_with('#') || trimmed.is_empty() {
                continue;
            }
            let (keeps, rest) = match trimmed.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, trimmed),
            };
            if rest.is_empty() {
                let text = format!("{}: `!` without a pattern", at());
                return Err(
                    CallError::new(ErrorKind::Refused, text).hint("write the pattern to keep after `!`")
                );
            }
            let clean = clean(rest);
            if clean == "." {
                // Docker drops this pattern: it names the context itself.
                continue;
            }
            let parts = compile(&clean).ok_or_else(|| {
                CallError::new(ErrorKind::Refused, format!("{}: invalid pattern `{rest}`", at()))
                    .hint("close `[` with `]`, and write a character after `\\`")
            })?;
            let literal = parts.iter().map_while(|part| match part {
                Part::Char(char) => Some(*char),
                _ => None,
            });
            patterns.push(Pattern { keeps, literal: literal.collect(), parts });
        }
        Ok(Ignore { patterns })
    }

    /// Returns whether `path` (relative, `/`-separated) stays out of the context. The last pattern that
    /// matches the path or a folder above it decides.
    pub fn ignores(&self, path: &str) -> bool {
        let chars: Vec<char> = path.chars().collect();
        let last = self.patterns.iter().rev().find(|one| matches(&one.parts, &chars));
        last.is_some_and(|pattern| !pattern.keeps)
    }

    /// Returns whether a `!` line names this very path, and no later line excludes it. `!app` does not name `app/key`.
    pub fn names(&self, path: &str) -> bool {
        let chars: Vec<char> = path.chars().collect();
        let last = self.patterns.iter().rev().find(|one| matches(&one.parts, &chars));
        last.is_some_and(|one| one.keeps && !one.literal.is_empty() && reaches(&one.parts, &chars, false))
    }

    /// Returns whether anything below the ignored folder `path` can still belong to the context.
    pub fn may_keep_below(&self, path: &str) -> bool {
        let below = format!("{path}/");
        self.patterns.iter().filter(|pattern| pattern.keeps).any(|pattern| {
            let whole = pattern.parts.iter().all(|part| matches!(part, Part::Char(_)));
            let inside = pattern.literal.starts_with(&below);
            // With a wildcard after the literal part, the rest can match any folder.
            if whole { inside } else { inside || below.starts_with(&pattern.literal) }
        })
    }
}

/// Normalizes a pattern as Go's `filepath.Clean` and Docker's reader of the file do: no empty parts, no `.`,
/// `..` resolved, no `/` at its beginning or end.
fn clean(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match (part, parts.last()) {
            ("..", Some(last)) if *last != ".." => drop(parts.pop()),
            ("..", None) if pattern.starts_with('/') => {}
            _ => parts.push(part),
        }
    }
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}

fn compile(pattern: &str) -> Option<Vec<Part>> {
    let mut chars = pattern.chars().peekable();
    let mut parts = Vec::new();
    while let Some(char) = chars.next() {
        parts.push(match char {
            '*' if chars.next_if_eq(&'*').is_some() => {
                // `**` before a name means the same as `**/`.
                let _ = chars.next_if_eq(&'/');
                if chars.peek().is_none() { Part::All } else { Part::Folders }
            }
            '*' => Part::Some,
            '?' => Part::One,
            '\\' => Part::Char(chars.next()?),
            '[' => {
                let not = chars.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                loop {
                    let mut one = || match chars.next()? {
                        '\\' => chars.next(),
                        char => Some(char),
                    };
                    let first = one()?;
                    if first == ']' && !ranges.is_empty() {
                        break;
                    }
                    let ranged = chars.next_if_eq(&'-').is_some();
                    let mut one = || match chars.next()? {
                        '\\' => chars.next(),
                        ']' => None,
                        char => Some(char),
                    };
                    ranges.push((first, if ranged { one()? } else { first }));
                }
                Part::ErrorKind { not, ranges }
            }
            char => Part::Char(char),
        });
    }
    Some(parts)
}

/// Returns whether the parts match the path or a folder above it.
fn matches(parts: &[Part], path: &[char]) -> bool {
    reaches(parts, path, true)
}

/// Returns whether the parts match the path or, with `above`, a folder above it. It tracks the set of positions in
/// the pattern that are reachable, and so never backtracks.
fn reaches(parts: &[Part], path: &[char], above: bool) -> bool {
    let mut open = vec![false; parts.len().saturating_add(1)];
    mark(parts, &mut open, 0);
    for char in path {
        if above && *char == '/' && open.last() == Some(&true) {
            return true;
        }
        let mut next = vec![false; open.len()];
        for (at, part) in parts.iter().enumerate().filter(|(at, _)| open.get(*at) == Some(&true)) {
            let then = at.saturating_add(1);
            match part {
                Part::Char(wanted) if wanted == char => mark(parts, &mut next, then),
                Part::One if *char != '/' => mark(parts, &mut next, then),
                Part::ErrorKind { not, ranges }
                    if *char != '/'
                        && ranges.iter().any(|(from, to)| (from..=to).contains(&char)) != *not =>
                {
                    mark(parts, &mut next, then);
                }
                Part::Some if *char != '/' => mark(parts, &mut next, at),
                Part::All => mark(parts, &mut next, at),
                // The path may stay in the folder, or continue with the next part after a `/`.
                Part::Folders => {
                    stay(&mut next, at);
                    if *char == '/' {
                        mark(parts, &mut next, then);
                    }
                }
                _ => {}
            }
        }
        open = next;
    }
    open.last() == Some(&true)
}

fn stay(open: &mut [bool], at: usize) {
    if let Some(place) = open.get_mut(at) {
        *place = true;
    }
}

/// Marks a position in the pattern as reachable, and those after it that need no character.
fn mark(parts: &[Part], open: &mut [bool], from: usize) {
    for at in from..open.len() {
        if open.get(at) == Some(&true) {
            return;
        }
        stay(open, at);
        if !matches!(parts.get(at), Some(Part::Some | Part::All | Part::Folders)) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_line_for_the_path_names_it() {
        let ignore = Ignore::parse("x", "*\n!app\n!certs/*.pem\n!id_rsa\nid_rsa\n!.git\n").unwrap();
        for (path, named) in [
            ("app/key.pem", false),
            ("certs/key.pem", true),
            ("id_rsa", false),
            (".git", true),
            (".git/config", false),
        ] {
            assert_eq!(ignore.names(path), named, "{path}");
        }
        assert!(!Ignore::parse("x", "!**\n").unwrap().names("key.pem"));
    }

    /// Text of the file, paths that belong to the context, paths that do not.
    const CASES: &[(&str, &[&str], &[&str])] = &[
        ("", &["a", "a/b", ".git/config"], &[]),
        ("# all\n\n  \n", &["# all", "a"], &[]),
        (" # indented", &["a"], &["# indented"]),
        ("a", &["b/a", "ab"], &["a", "a/b", "a/b/c"]),
        ("/a", &["b/a"], &["a", "a/b"]),
        ("a/", &["b/a", "ab"], &["a", "a/b"]),
        ("./a//b/../c/", &["a", "a/b"], &["a/c", "a/c/d"]),
        ("/../a", &["b"], &["a"]),
        ("../a", &["a"], &[]),
        (".", &["a"], &[]),
        ("*", &[], &["a", "a/b", ".hidden"]),
        ("*.py", &["a/b.py", "a.pyc"], &["a.py", "a.py/b"]),
        ("*/*.py", &["b.py", "a/c/b.py"], &["a/b.py"]),
        ("*/temp*", &["temp", "a/b/temp"], &["a/temporary.txt", "a/temp"]),
        ("*/*/temp*", &["a/temp"], &["a/b/temporary.txt"]),
        ("temp?", &["temp", "temp/a"], &["tempa", "tempb/x"]),
        ("**/*.go", &["a.god"], &["a.go", "b/a.go", "c/b/a.go"]),
        ("**/a", &["ba"], &["a", "b/a", "c/b/a/d"]),
        ("**a", &["ba"], &["a", "b/a"]),
        ("a/**", &["a", "b/a"], &["a/b", "a/b/c"]),
        ("a/**/b", &["a/c", "b", "a/cb"], &["a/b", "a/c/b", "a/c/d/b/e"]),
        ("**", &[], &["a", "a/b"]),
        ("**/__pycache__", &["a/pycache"], &["__pycache__/x", "a/b/__pycache__/c"]),
        ("**/*.py[cod]", &["a/b.py"], &["a.pyc", "b/a.pyo"]),
        ("[a-c]x", &["dx", "a-x"], &["ax", "cx"]),
        ("[^a-c]x", &["ax", "/x"], &["dx"]),
        ("[]]x", &["ax"], &["]x"]),
        ("\\*", &["a"], &["*"]),
        ("a\\?", &["ab"], &["a?"]),
        ("a.b$(c)+|{}", &["axb$(c)+|{}"], &["a.b$(c)+|{}"]),
        // The last pattern that matches decides, with `!` or without.
        ("*.md\n!README.md", &["README.md"], &["a.md"]),
        ("!README.md\n*.md", &[], &["README.md", "a.md"]),
        ("*.md\n!README*.md\nREADME-secret.md", &["README.md"], &["README-secret.md", "a.md"]),
        (
            "*\n!demo\n!requirements.txt\n**/__pycache__",
            &["demo/a.py", "requirements.txt"],
            &[".env", "demo/__pycache__/a"],
        ),
        ("*\n!**/keep", &["keep", "a/keep", "a/b/keep/c"], &["a/b", "kee"]),
        ("a\n!a/b", &["a/b", "a/b/c"], &["a", "a/c"]),
        ("a\n! a/b", &["a/b"], &["a/c"]),
        ("\u{feff}a", &["b"], &["a"]),
        ("ä*", &["a"], &["äb"]),
        ("a\r\nb\r\n", &["c"], &["a", "b"]),
    ];

    #[test]
    fn patterns_match_as_in_docker() {
        for (text, stay, go) in CASES {
            let ignore = Ignore::parse("x", text).unwrap();
            for path in *stay {
                assert!(!ignore.ignores(path), "{text:?} ignores {path}");
            }
            for path in *go {
                assert!(ignore.ignores(path), "{text:?} does not ignore {path}");
            }
        }
    }

    #[test]
    fn a_folder_is_skipped_only_if_nothing_below_it_can_be_kept() {
        let below = |text: &str, path: &str| Ignore::parse("x", text).unwrap().may_keep_below(path);
        assert!(!below("*", "a"));
        assert!(!below("*\n!demo", "a"));
        assert!(!below("*\n!demo", "demo"), "the folder is kept, so it is not an ignored one");
        assert!(below("*\n!a/b", "a"));
        assert!(!below("*\n!a/b", "ab"));
        assert!(below("*\n!**/keep", "a"));
        assert!(below("*\n!a*/keep", "ab"));
        assert!(!below("*\n!a*/keep", "b"));
    }

    #[test]
    fn invalid_patterns_are_reported_with_their_line() {
        for (text, line) in [("a\n[b", "x:2"), ("!", "x:1"), ("a\\", "x:1"), ("[a-]", "x:1")] {
            let error = Ignore::parse("x", text).unwrap_err();
            assert!(error.message.starts_with(line), "{text:?}: {}", error.message);
        }
    }

    #[test]
    fn matching_does_not_backtrack() {
        let ignore = Ignore::parse("x", &"a*".repeat(2000)).unwrap();
        assert!(!ignore.ignores(&"a".repeat(200)));
        let ignore = Ignore::parse("x", &format!("{}b", "**/".repeat(500))).unwrap();
        assert!(!ignore.ignores(&"a/".repeat(500)));
    }
}
