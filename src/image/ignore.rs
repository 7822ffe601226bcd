//! `.dockerignore`: which files of a folder belong to its build context.
//! Source of the rules: <https://docs.docker.com/build/concepts/context/#dockerignore-files>,
//! Go's `filepath.Match`, and `github.com/moby/patternmatcher`.

use crate::model::{Class, Fault};

/// The patterns of one `.dockerignore`, in its order.
#[derive(Clone, Debug, Default)]
pub struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug)]
struct Pattern {
    /// `!`: what it matches belongs to the context after all.
    keeps: bool,
    parts: Vec<Part>,
    /// The part before the first wildcard.
    literal: String,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Char(char),
    /// `?`: one character, not `/`.
    One,
    /// `*`: characters, not `/`.
    Some,
    /// `**` at the end: anything.
    All,
    /// `**/`: nothing, or folders.
    Folders,
    /// `[...]`: one character of these ranges, or not of these.
    Class {
        not: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Ignore {
    /// Reads the text of the file `name`.
    ///
    /// # Errors
    /// A pattern that is none, with its line.
    pub fn parse(name: &str, text: &str) -> Result<Self, Fault> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut patterns = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let at = || format!("{name}:{}", index.saturating_add(1));
            // A comment begins in the first column; what is indented is a pattern.
            let trimmed = line.trim();
            if line.starts_with('#') || trimmed.is_empty() {
                continue;
            }
            let (keeps, rest) = match trimmed.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, trimmed),
            };
            if rest.is_empty() {
                let text = format!("{}: `!` alone excepts nothing", at());
                return Err(Fault::new(Class::Refused, text).hint("write what it excepts behind it"));
            }
            let clean = clean(rest);
            if clean == "." {
                // Docker takes the root out of the list: it is the context itself.
                continue;
            }
            let parts = compile(&clean).ok_or_else(|| {
                Fault::new(Class::Refused, format!("{}: `{rest}` is no pattern", at()))
                    .hint("`[` needs its `]`, and `\\` a character behind it")
            })?;
            let literal = parts.iter().map_while(|part| match part {
                Part::Char(char) => Some(*char),
                _ => None,
            });
            patterns.push(Pattern { keeps, literal: literal.collect(), parts });
        }
        Ok(Ignore { patterns })
    }

    /// Whether `path` (relative, `/` between its parts) stays out of the context. The last pattern counts that matches
    /// it, or a folder that it is in.
    pub fn ignores(&self, path: &str) -> bool {
        let chars: Vec<char> = path.chars().collect();
        let last = self.patterns.iter().rev().find(|one| matches(&one.parts, &chars));
        last.is_some_and(|pattern| !pattern.keeps)
    }

    /// Whether anything below the folder `path`, itself ignored, can still belong to the context.
    pub fn may_keep_below(&self, path: &str) -> bool {
        let below = format!("{path}/");
        self.patterns.iter().filter(|pattern| pattern.keeps).any(|pattern| {
            let whole = pattern.parts.iter().all(|part| matches!(part, Part::Char(_)));
            let inside = pattern.literal.starts_with(&below);
            // With a wildcard behind the literal part the rest may go any way.
            if whole { inside } else { inside || below.starts_with(&pattern.literal) }
        })
    }
}

/// As Go's `filepath.Clean` and the reader of the file leave a pattern: no empty parts, no `.`, `..` taken back, no `/`
/// at its beginning or end.
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
                // `**` before a name and `**/` are the same.
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
                Part::Class { not, ranges }
            }
            char => Part::Char(char),
        });
    }
    Some(parts)
}

/// Whether the parts match the path, or a folder that it is in. Kept to a set of places in the pattern, so that no
/// pattern takes long.
fn matches(parts: &[Part], path: &[char]) -> bool {
    let mut open = vec![false; parts.len().saturating_add(1)];
    mark(parts, &mut open, 0);
    for char in path {
        if *char == '/' && open.last() == Some(&true) {
            return true;
        }
        let mut next = vec![false; open.len()];
        for (at, part) in parts.iter().enumerate().filter(|(at, _)| open.get(*at) == Some(&true)) {
            let then = at.saturating_add(1);
            match part {
                Part::Char(wanted) if wanted == char => mark(parts, &mut next, then),
                Part::One if *char != '/' => mark(parts, &mut next, then),
                Part::Class { not, ranges }
                    if *char != '/'
                        && ranges.iter().any(|(from, to)| (from..=to).contains(&char)) != *not =>
                {
                    mark(parts, &mut next, then);
                }
                Part::Some if *char != '/' => mark(parts, &mut next, at),
                Part::All => mark(parts, &mut next, at),
                // Still in a folder; past its `/` the name may begin.
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

/// Opens a place in the pattern, and those behind it that need no character.
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

    /// Text of the file, paths that stay in, paths that stay out.
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
        // The last that matches counts, whatever its kind.
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
    fn patterns_mean_what_they_mean_to_docker() {
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
    fn a_folder_is_passed_over_only_where_nothing_in_it_can_be_kept() {
        let below = |text: &str, path: &str| Ignore::parse("x", text).unwrap().may_keep_below(path);
        assert!(!below("*", "a"));
        assert!(!below("*\n!demo", "a"));
        assert!(!below("*\n!demo", "demo"), "the folder itself is kept, and not asked for");
        assert!(below("*\n!a/b", "a"));
        assert!(!below("*\n!a/b", "ab"));
        assert!(below("*\n!**/keep", "a"));
        assert!(below("*\n!a*/keep", "ab"));
        assert!(!below("*\n!a*/keep", "b"));
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_its_line() {
        for (text, line) in [("a\n[b", "x:2"), ("!", "x:1"), ("a\\", "x:1"), ("[a-]", "x:1")] {
            let fault = Ignore::parse("x", text).unwrap_err();
            assert!(fault.message.starts_with(line), "{text:?}: {}", fault.message);
        }
    }

    #[test]
    fn no_pattern_takes_long() {
        let ignore = Ignore::parse("x", &"a*".repeat(2000)).unwrap();
        assert!(!ignore.ignores(&"a".repeat(200)));
        let ignore = Ignore::parse("x", &format!("{}b", "**/".repeat(500))).unwrap();
        assert!(!ignore.ignores(&"a/".repeat(500)));
    }
}
