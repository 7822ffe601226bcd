//! Wording rules: the phrases that messages, comments and documentation must not contain, and what to write instead.
//!
//! It reads the string literals, comments and function names of the Rust in `src/` and `tests/`, the strings, comments
//! and function names of the Python of the sandbox, the demo application and the tests, the strings and comments of the
//! TOML files, the comments of the YAML files and of `.ci/run`, and the Markdown of the repository. A fenced block
//! marked `aws` quotes AWS and is skipped. Rust is parsed with `proc_macro2`, so that a `//` inside a string is not
//! taken for a comment. The test does not link the library. This file is not read: it quotes what it forbids.

use std::fmt;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};

/// A forbidden phrase, in lower case, and what to write instead.
struct Phrase {
    any_of: &'static [&'static str],
    /// A word that must follow in the same sentence for the phrase to be forbidden.
    followed_by: Option<&'static str>,
    instead: &'static str,
}

const fn phrase(any_of: &'static [&'static str], instead: &'static str) -> Phrase {
    Phrase { any_of, followed_by: None, instead }
}

const FORBIDDEN: &[Phrase] = &[
    phrase(&["this is no", "it is no", "` is no "], "say what is wrong: invalid stack name `My Stack`"),
    Phrase {
        any_of: &["there is no"],
        followed_by: Some("with"),
        instead: "say: no subnet with this tag exists, or: not found",
    },
    phrase(&["mend", "mends", "mended", "mending"], "say: fix, correct, repair, update"),
    phrase(&["anew"], "say: again, or name the action: create again, replace"),
    phrase(&["somebody", "whoever"], "name who: the caller, another run, outside provisioner"),
    phrase(&["nobody"], "name who or what: no run, no caller, unused, unknown"),
    phrase(&["goes on", "go on"], "say: continues, resumes"),
    phrase(&["stands on", "stand on"], "say: depends on"),
    phrase(&["in the place of"], "say: instead of"),
    phrase(&["by itself"], "say: automatically, or: only"),
    phrase(&["to do:"], "label it `hint:`"),
];

/// A paragraph of one file: its lines with their numbers. A phrase may span several lines.
#[derive(Debug, Default, PartialEq, Eq)]
struct Paragraph(Vec<(usize, String)>);

#[derive(Debug, PartialEq, Eq)]
struct Breach {
    file: String,
    line: usize,
    what: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

/// Collects paragraphs; consecutive lines belong together until something ends the paragraph.
#[derive(Default)]
struct Paragraphs {
    done: Vec<Paragraph>,
    open: Paragraph,
}

impl Paragraphs {
    fn line(&mut self, number: usize, text: &str) {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        match text.is_empty() {
            true => self.end(),
            false => self.open.0.push((number, text)),
        }
    }

    fn end(&mut self) {
        let open = std::mem::take(&mut self.open);
        if !open.0.is_empty() {
            self.done.push(open);
        }
    }

    fn single(&mut self, number: usize, text: &str) {
        self.end();
        self.line(number, text);
        self.end();
    }

    /// A line of a comment: continues the paragraph only if it directly follows a line that is a comment only.
    fn comment(&mut self, number: usize, text: &str, whole_line: bool) {
        let follows = self.open.0.last().is_some_and(|(last, _)| last.saturating_add(1) == number);
        if !follows || !whole_line {
            self.end();
        }
        self.line(number, text);
        if !whole_line {
            self.end();
        }
    }

    fn finish(mut self) -> Vec<Paragraph> {
        self.end();
        self.done
    }
}

/// The forbidden phrases of one paragraph.
fn check(file: &str, paragraph: &Paragraph) -> Vec<Breach> {
    let mut text = String::new();
    let mut starts = vec![];
    for (number, line) in &paragraph.0 {
        starts.push((text.len(), *number));
        text.push_str(&line.to_lowercase());
        text.push(' ');
    }
    let line_of = |at: usize| {
        let before = starts.iter().take_while(|(start, _)| *start <= at);
        before.last().map_or(0, |(_, number)| *number)
    };
    let mut found = vec![];
    for rule in FORBIDDEN {
        for words in rule.any_of {
            for at in occurrences(&text, words) {
                let rest = sentence(text.get(at..).unwrap_or_default());
                if rule.followed_by.is_none_or(|word| !occurrences(rest, word).is_empty()) {
                    let then = rule.followed_by.map(|word| format!(" ... {word}")).unwrap_or_default();
                    let what = format!("\"{words}{then}\": {}", rule.instead);
                    found.push(Breach { file: file.to_owned(), line: line_of(at), what });
                }
            }
        }
    }
    found.sort_by_key(|breach| breach.line);
    found
}

/// The text up to the end of its sentence, or of its table cell.
fn sentence(text: &str) -> &str {
    let ends = |(at, c): (usize, char)| {
        let next = text.get(at..).unwrap_or_default().chars().nth(1);
        (c == '|' || (".;!?".contains(c) && next.is_none_or(char::is_whitespace))).then_some(at)
    };
    let end = text.char_indices().find_map(ends).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// Where `words` occur as whole words.
fn occurrences(text: &str, words: &str) -> Vec<usize> {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    let joined =
        |a: Option<char>, b: Option<char>| a.zip(b).is_some_and(|(a, b)| part_of_word(a) && part_of_word(b));
    let whole = |at: &usize| {
        let before = text.get(..*at).unwrap_or_default().chars().next_back();
        let after = text.get(at.saturating_add(words.len())..).unwrap_or_default().chars().next();
        !joined(before, words.chars().next()) && !joined(words.chars().next_back(), after)
    };
    text.match_indices(words).map(|(at, _)| at).filter(whole).collect()
}

/// The string literals, comments and function names of Rust source, doc comments included.
fn rust(source: &str) -> Result<Vec<Paragraph>, String> {
    let stream: TokenStream = source.parse().map_err(|error| format!("not valid Rust: {error}"))?;
    let mut all = Paragraphs::default();
    let mut masked = source.as_bytes().to_vec();
    functions(stream.clone(), &mut |name| {
        all.single(name.span().start().line, &name.to_string().replace('_', " "));
    });
    literals(stream, &mut |literal| {
        let span = literal.span();
        let range = span.byte_range();
        let text = source.get(range.clone()).unwrap_or_default();
        if text.starts_with('/') {
            return; // a doc comment, which is read with the comments
        }
        for (number, line) in (span.start().line..).zip(unescaped(text).lines()) {
            all.line(number, line.trim_end_matches('\\'));
        }
        all.end();
        for byte in masked.get_mut(range).into_iter().flatten().filter(|byte| **byte != b'\n') {
            *byte = b' ';
        }
    });
    let masked = String::from_utf8(masked).map_err(|error| error.to_string())?;
    let mut block = false;
    for (number, (line, code)) in (1..).zip(source.lines().zip(masked.lines())) {
        if block {
            block = !code.contains("*/");
            all.line(number, code);
        } else if let Some(at) = code.find("//") {
            let text = line.get(at..).unwrap_or_default().trim_start_matches(['/', '!']);
            all.comment(number, text, code.trim_start().starts_with("//"));
        } else if let Some((_, text)) = code.split_once("/*") {
            block = !text.contains("*/");
            all.single(number, text);
        }
    }
    Ok(all.finish())
}

fn literals(stream: TokenStream, use_one: &mut dyn FnMut(&proc_macro2::Literal)) {
    for token in stream {
        match token {
            TokenTree::Literal(literal) => use_one(&literal),
            TokenTree::Group(group) => literals(group.stream(), use_one),
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
    }
}

/// Calls `use_one` with the name of each function.
fn functions(stream: TokenStream, use_one: &mut dyn FnMut(&proc_macro2::Ident)) {
    let mut named = false;
    for token in stream {
        match token {
            TokenTree::Ident(name) if named => {
                named = false;
                use_one(&name);
            }
            TokenTree::Ident(word) => named = word == "fn",
            TokenTree::Group(group) => functions(group.stream(), use_one),
            TokenTree::Literal(_) | TokenTree::Punct(_) => named = false,
        }
    }
}

/// A literal with its escapes resolved as far as words matter: an escaped line break separates words.
fn unescaped(literal: &str) -> String {
    literal.replace("\\n", "  ").replace("\\t", "  ").replace("\\\"", "\"").replace("\\'", "'")
}

/// The strings, comments and function names of Python source; the strings and comments of TOML.
fn python(source: &str) -> Vec<Paragraph> {
    let mut all = Paragraphs::default();
    for (number, line) in (1..).zip(source.lines()) {
        let line = line.trim_start();
        if let Some(rest) = line.strip_prefix("def ").or_else(|| line.strip_prefix("async def ")) {
            let name = rest.split('(').next().unwrap_or_default();
            all.single(number, &name.replace('_', " "));
        }
    }
    // The quotes that end the string that is open.
    let mut open: Option<&str> = None;
    for (number, line) in (1..).zip(source.lines()) {
        let mut rest = line;
        let mut text = String::new();
        loop {
            if let Some(quotes) = open {
                let Some(end) = unescaped_end(rest, quotes) else {
                    text.push_str(rest);
                    break;
                };
                text.push_str(rest.get(..end).unwrap_or_default());
                all.line(number, &unescaped(&text));
                all.end();
                text.clear();
                rest = rest.get(end.saturating_add(quotes.len())..).unwrap_or_default();
                open = None;
            } else {
                let Some(at) = rest.find(['#', '"', '\'']) else { break };
                let found = rest.get(at..).unwrap_or_default();
                if let Some(comment) = found.strip_prefix('#') {
                    all.comment(number, comment, line.trim_start().starts_with('#'));
                    text.clear();
                    break;
                }
                let quotes =
                    ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quotes| found.starts_with(quotes));
                open = quotes;
                all.end();
                rest = found.get(quotes.map_or(1, str::len)..).unwrap_or_default();
            }
        }
        if open.is_some_and(|quotes| quotes.len() == 3) {
            all.line(number, &unescaped(&text));
        } else if open.is_some() {
            open = None; // a string that continues after a backslash
        }
    }
    all.finish()
}

/// Where `quotes` end the string at whose inside `text` begins.
fn unescaped_end(text: &str, quotes: &str) -> Option<usize> {
    let escaped = |at: usize| {
        let before = text.get(..at).unwrap_or_default();
        before.chars().rev().take_while(|c| *c == '\\').count() % 2 == 1
    };
    text.match_indices(quotes).map(|(at, _)| at).find(|at| !escaped(*at))
}

/// The comments of YAML or of a shell script.
fn comments(source: &str) -> Vec<Paragraph> {
    let mut all = Paragraphs::default();
    for (number, line) in (1..).zip(source.lines()) {
        let whole = line.trim_start().strip_prefix('#');
        if let Some(text) = whole.or_else(|| line.split_once(" #").map(|(_, text)| text)) {
            all.comment(number, text, whole.is_some());
        }
    }
    all.finish()
}

/// The paragraphs, list items, table rows and code lines of Markdown. Blocks marked `aws` are left out.
fn markdown(source: &str) -> Vec<Paragraph> {
    let mut all = Paragraphs::default();
    let mut fence: Option<&str> = None;
    for (number, line) in (1..).zip(source.lines()) {
        let text = line.trim_start();
        match (text.strip_prefix("```"), fence) {
            (Some(_), Some(_)) => fence = None,
            (Some(language), None) => {
                all.end();
                fence = Some(language.trim());
            }
            (None, Some("aws")) => {}
            (None, Some(_)) => all.single(number, text),
            (None, None) => {
                let ordered = text.trim_start_matches(|c: char| c.is_ascii_digit());
                let item = text.starts_with("- ") || (ordered != text && ordered.starts_with(". "));
                if item || text.starts_with(['#', '|']) {
                    all.end();
                }
                all.line(number, text);
            }
        }
    }
    all.finish()
}

/// The breaches of one file, by the suffix of its path.
fn breaches(file: &str, source: &str) -> Vec<Breach> {
    let paragraphs = match file.rsplit('.').next() {
        Some("rs") => rust(source),
        Some("py" | "toml") => Ok(python(source)),
        Some("yaml" | "yml" | "sh" | "ci/run") => Ok(comments(source)),
        _ => Ok(markdown(source)),
    };
    match paragraphs {
        Ok(list) => list.iter().flat_map(|paragraph| check(file, paragraph)).collect(),
        Err(what) => vec![Breach { file: file.to_owned(), line: 1, what }],
    }
}

/// What is read: a file, or a folder with the suffixes that count in it.
const READ: &[(&str, &[&str])] = &[
    ("src", &["rs"]),
    ("README.md", &["md"]),
    ("stack.yaml", &["yaml"]),
    ("docs", &["md", "yaml", "py"]),
    (".github", &["md", "yaml", "yml"]),
    ("manifests", &["md", "yaml"]),
    ("state/README.md", &["md"]),
    ("app", &["md", "py"]),
    ("sandbox/README.md", &["md"]),
    ("sandbox/provisioner_sandbox", &["py"]),
    ("sandbox/tools", &["py"]),
    ("sandbox/tests", &["py"]),
    (".github/packaging", &["py", "sh"]),
    ("tests", &["rs", "py", "md"]),
    ("Cargo.toml", &["toml"]),
    ("clippy.toml", &["toml"]),
    ("deny.toml", &["toml"]),
    (".cargo", &["toml"]),
    (".ci", &["run"]),
];

/// The files that are not read.
const UNREAD: &[&str] = &["tests/style.rs"];

/// Folders below these that other programs write.
const GENERATED: &[&str] =
    &["venv", "__pycache__", "node_modules", ".venv", ".pytest_cache", ".ruff_cache", ".mypy_cache"];

/// All files of `READ`, with their paths from the repository's root and their texts.
fn read(root: &Path, path: &str, suffixes: &[&str], all: &mut Vec<(String, String)>) -> std::io::Result<()> {
    let full = root.join(path);
    if full.is_dir() {
        let mut entries = std::fs::read_dir(full)?.collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for name in entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()) {
            if !GENERATED.contains(&name.as_str()) {
                read(root, &format!("{path}/{name}"), suffixes, all)?;
            }
        }
    } else if suffixes
        .iter()
        .any(|suffix| path.ends_with(&format!(".{suffix}")) || path.ends_with(&format!("/{suffix}")))
        && !UNREAD.contains(&path)
    {
        all.push((path.to_owned(), std::fs::read_to_string(full)?));
    }
    Ok(())
}

#[test]
fn every_text_keeps_to_the_plain_english_of_the_field() {
    let mut files = vec![];
    for (path, suffixes) in READ {
        let before = files.len();
        read(Path::new(env!("CARGO_MANIFEST_DIR")), path, suffixes, &mut files).unwrap();
        assert!(files.len() > before, "{path}: no file was read");
    }
    let found: Vec<String> =
        files.iter().flat_map(|(path, text)| breaches(path, text)).map(|breach| breach.to_string()).collect();
    assert!(found.is_empty(), "{} forbidden phrase(s)\n\n{}\n", found.len(), found.join("\n"));
}

/// The checks of the checker: every rule can fail, at the right line, and accepts correct text.
mod the_checker {
    use super::*;

    /// The lines of a file at which something is wrong.
    fn lines(file: &str, source: &str) -> Vec<usize> {
        breaches(file, source).into_iter().map(|breach| breach.line).collect()
    }

    #[test]
    fn finds_every_forbidden_phrase() {
        for text in [
            "This is no name.",
            "and it is no name",
            "`x` is no block",
            "There is no VPC that comes with it.",
            "mend it",
            "It mends the cause",
            "it was mended",
            "mending it",
            "made anew",
            "Somebody else",
            "nobody's",
            "whoever asks",
            "it goes on",
            "go on? [y/N]",
            "what it stands on",
            "they stand on it",
            "in the place of another",
            "EKS does it by itself.",
            "To do: log in",
        ] {
            assert_eq!(lines("a.md", text), [1], "{text}");
        }
        for words in FORBIDDEN.iter().flat_map(|rule| rule.any_of) {
            assert_eq!(lines("a.md", &format!("one\n\n{} x with y", words.to_uppercase())), [3], "{words}");
        }
    }

    #[test]
    fn accepts_words_that_only_contain_one() {
        for text in [
            "It is now recommended to amend it.",
            "this is not a mendicant",
            "`what_belongs_to_somebody_else` and `nobody_knows`",
            "There is no subnet. It comes with a tag.",
            "There is no subnet without a tag",
            "| there is no tag | with it |",
            "cargo on-demand, logos on paper",
            "the list of todos: none",
        ] {
            assert_eq!(lines("a.md", text), [0; 0], "{text}");
        }
    }

    #[test]
    fn says_what_to_write_instead() {
        let found = breaches("docs/a.md", "one\n\nCreated anew.");
        let text: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(text, ["docs/a.md:3: \"anew\": say: again, or name the action: create again, replace"]);
    }

    #[test]
    fn reads_strings_and_comments_of_rust() {
        for bad in [
            "fn f() {\n    g(\"anew\")\n}",
            "fn f() {\n    format!(\"{x} is anew\")\n}",
            "fn f() {\n    g(r#\"\"anew\" \"#)\n}",
            "fn f() {\n    // anew\n}",
            "\n/// anew\nfn f() {}",
            "//! A head.\n//! anew\n",
            "const A: u8 = 1;\nconst B: u8 = 1; // anew\n",
            "m! {\n    /// anew\n    x }",
            "/* one\n anew */",
            "const A: &str = \"one \\\n    anew\";",
            "const A: &str = \"one\\\n\\nanew\";",
            "fn f() {}\n/// It stands\n/// on it.\nfn g() {}",
            "mod m {\n    fn what_goes_on() {} }",
            "m! {\n    fn is_created_anew() {} }",
        ] {
            assert_eq!(lines("a.rs", bad), [2], "{bad}");
        }
        for good in [
            "fn f(nobody: u8) { mend(nobody) }",
            "const A: &str = \"http://x/\"; mod anew {}",
            "fn f() { g('\"', \"//\"); anew() }",
            "// it goes\n\n// on it",
            "// it goes\n//\n// on it",
            "fn f() {} // it goes\n// on it",
            "const A: [&str; 2] = [\"it goes\", \"on it\"];",
        ] {
            assert_eq!(lines("a.rs", good), [0; 0], "{good}");
        }
        assert_eq!(lines("a.rs", "fn f() {"), [1], "a file that cannot be parsed cannot be checked");
    }

    #[test]
    fn reads_strings_and_comments_of_python() {
        for bad in [
            "x = 1\ny = 'anew'",
            "x = 1\nraise E(f\"it's {x} anew\")",
            "def f():\n    \"\"\"Made anew.\"\"\"",
            "'''One\nanew\n'''",
            "x = 1\ny = 2  # anew",
            "x = 'a\\'b'\n# anew",
            "x = '#'\ny = \"# anew\"",
            "class C:\n    def test_it_is_made_anew(self): pass",
        ] {
            assert_eq!(lines("a.py", bad), [2], "{bad}");
        }
        for good in ["anew = nobody", "x = '\\'' + anew", "\"\"\"One\"\"\"\nanew = 1"] {
            assert_eq!(lines("a.py", good), [0; 0], "{good}");
        }
    }

    #[test]
    fn reads_comments_of_yaml() {
        assert_eq!(lines("a.yaml", "a: anew\n# anew\nb: 1 # nobody\n"), [2, 3]);
        assert_eq!(lines(".ci/run", "anew\n# anew\nb # nobody\n"), [2, 3]);
    }

    #[test]
    fn reads_strings_and_comments_of_toml() {
        assert_eq!(lines("a.toml", "anew = 1\n# anew\na = \"anew\" # b\n"), [2, 3]);
    }

    #[test]
    fn reads_markdown_but_not_what_aws_says() {
        assert_eq!(
            lines("a.md", "One goes\non.\n\n- goes\n- on\n\n```console\nnobody\n```\nanew"),
            [1, 8, 10]
        );
        assert_eq!(lines("a.md", "```aws\nThis is no name\n```\nanew"), [4]);
    }
}
