//! The house rules: which room may use which, and which may act. The source is parsed with `syn`, so that
//! renamed imports, nested groups, `super::super` and paths inside macros are found. The rules follow the map
//! in `docs/ARCHITECTURE.md`: change both together.
//!
//! Rules about names do not apply to `#[cfg(test)]` modules; the limit of lines does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use proc_macro2::{Delimiter, Punct, Spacing, Span, TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// Each room and the rooms that it may name. Its own is always allowed; `*` is every room.
const ROOMS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("stack", &["model"]),
    ("graph", &["model", "stack"]), // and the resources' Spec types: `spec_only`
    ("plan", &["model"]),
    ("aws", &["model", "os"]),
    ("os", &[]),
    ("store", &["model", "aws", "os"]),
    ("kube", &["model", "aws"]),
    ("image", &["model", "aws", "os"]),
    ("resources", &["model", "aws", "kube", "image"]),
    ("engine", &["model", "plan", "resources", "aws", "store"]),
    (
        "operations",
        &["model", "stack", "graph", "plan", "os", "aws", "store", "kube", "image", "resources", "engine"],
    ),
    ("ui", &["model"]),
    ("sandbox", &["model", "os"]),
    // Besides what it calls and prints with: `plan` writes a plan as text and JSON, `stack` reads `--set` and has the schema
    // that `schema` prints, `sandbox` is what `sandbox` and `--sandbox` start, `os` knows the folder for cached files.
    ("cli", &["operations", "ui", "model", "os", "plan", "stack", "sandbox"]),
];

/// The rooms that decide and never act.
const PURE: &[&str] = &["model", "stack", "graph", "plan"];

/// Crates that act, pull at the network, or roll dice. `aws` stands for `aws` and every `aws_*`.
const ACTING_CRATES: &[&str] = &["tokio", "aws", "kube", "hyper", "reqwest", "rand", "getrandom", "fastrand"];

/// Items that act although their crate is harmless.
const ACTING_ITEMS: &[&[&str]] = &[
    &["std", "fs"],
    &["std", "env"],
    &["std", "net"],
    &["std", "process"],
    &["std", "time", "SystemTime"],
    &["std", "time", "Instant"],
    &["time", "OffsetDateTime", "now_utc"],
    &["time", "OffsetDateTime", "now_local"],
    &["time", "UtcDateTime", "now"],
    &["uuid", "Uuid", "new_v4"],
    &["uuid", "Uuid", "now_v1"],
    &["uuid", "Uuid", "now_v6"],
    &["uuid", "Uuid", "now_v7"],
];

const SLEEPS: &[&[&str]] =
    &[&["tokio", "time", "sleep"], &["tokio", "time", "sleep_until"], &["std", "thread", "sleep"]];
const MAY_SLEEP: &[&str] = &["engine", "store", "sandbox", "cli::status"];

const EXITS: &[&[&str]] = &[&["std", "process", "exit"], &["std", "process", "abort"]];
const MAY_EXIT: &[&str] = &["main"];

/// What writes to a terminal; `main` of the command line lets clap print its own help.
const WRITES: &[&[&str]] = &[&["std", "io", "stdout"], &["std", "io", "stderr"]];

const STARTS: &[&[&str]] = &[&["std", "process", "Command", "new"], &["tokio", "process", "Command", "new"]];
/// `main` starts none, and may name `std::process::*` for its exit.
const MAY_START: &[&str] = &["os", "main"];

const PRINTS: &[&str] = &["print", "println", "eprint", "eprintln", "dbg"];
const MAY_PRINT: &[&str] = &["ui"];

/// Files in `src/resources/` that hold no kind of their own.
const RESOURCE_HELPERS: &[&str] = &[
    "cluster_forms.rs",
    "cluster_secret.rs",
    "cluster_terms.rs",
    "handler.rs",
    "lookups.rs",
    "manifest_compare.rs",
    "node_group_drain.rs",
    "node_group_forms.rs",
    "node_terms.rs",
    "prelude.rs",
    "role_tags.rs",
];

const MAX_LINES: usize = 400;
const MAX_MAIN_LINES: usize = 40;
/// Files that may be longer for now, each with the issue that will divide it. An entry that is no
/// longer needed fails too.
const LONG_FILES: &[&str] = &[];

/// Circles of files that are left to be divided: an entry covers every circle of its files, or of files below its
/// folders. A file is in a circle if it names a file that names it, directly or through others. An entry that covers
/// none fails too.
const CIRCLES: &[&[&str]] = &[];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rule {
    Parse,
    Room,
    Arrow,
    Pure,
    Sleep,
    Exit,
    Start,
    Print,
    Iam,
    Registry,
    Length,
    FileName,
    TypeName,
    Circle,
}

impl Rule {
    /// Returns the reason of the rule, for the report of a breach.
    fn why(self) -> &'static str {
        match self {
            Self::Parse => "a file that cannot be read cannot be checked",
            Self::Room => {
                "every file belongs to a room of the map in tests/house.rs; lib.rs holds only the module list"
            }
            Self::Arrow => {
                "a room uses only the rooms that the map lists for it, so that each can be read and tested alone"
            }
            Self::Pure => {
                "model, stack, graph and plan decide and never act: pass them what they need as a value"
            }
            Self::Sleep => "only the engine waits: there, waits are paced, reported and interruptible",
            Self::Exit => {
                "only main exits: an exit elsewhere would skip saving the state and releasing the lock"
            }
            Self::Start => {
                "only os starts programs: with named variables, in a folder of ours, Python in isolated mode"
            }
            Self::Print => {
                "only ui prints, so that --json stays clean and nothing from outside steers the terminal: send an Event or return the text"
            }
            Self::Iam => {
                "a kind's IAM names every call that it makes: `provisioner policy` grants nothing else"
            }
            Self::Registry => "a kind that is not in resources::REGISTRY is never observed and never deleted",
            Self::Length => "divide the file by its subjects",
            Self::FileName => {
                "a file is opened by its name: two files of one name are mistaken for each other"
            }
            Self::TypeName => {
                "a public type is read far from its module: outside resources, one name means one type"
            }
            Self::Circle => {
                "files that name each other can only be read together: move what both need to a file of its own"
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Breach {
    file: String,
    line: usize,
    rule: Rule,
    what: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "src/{}:{}: {}\n    {}", self.file, self.line, self.what, self.rule.why())
    }
}

/// One file: its path below `src/`, with `/`, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// `resources/vpc.rs` and `resources/vpc/mod.rs` are both `resources::vpc`.
    fn module(&self) -> Vec<String> {
        let mut parts: Vec<String> = self.path.trim_end_matches(".rs").split('/').map(String::from).collect();
        if parts.last().is_some_and(|last| last == "mod") {
            parts.pop();
        }
        parts
    }

    fn lines(&self) -> usize {
        self.text.lines().count()
    }
}

/// A path that a file names.
struct Mention {
    path: Vec<String>,
    line: usize,
    form: Form,
}

/// What one file names, and what it calls the things it names.
#[derive(Default)]
struct Names {
    module: Vec<String>,
    mentions: Vec<Mention>,
    aliases: BTreeMap<String, BTreeSet<Vec<String>>>,
    /// Modules declared `#[cfg(test)] mod x;`: their files are tests too.
    test_modules: Vec<Vec<String>>,
}

/// How a path was met.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Import,
    Path { absolute: bool },
    Macro,
}

impl Names {
    fn of(module: &[String], file: &syn::File) -> Self {
        // main.rs and lib.rs are the root itself
        let root = module.len() == 1 && module.first().is_some_and(|m| m == "main" || m == "lib");
        let mut names = Self { module: if root { vec![] } else { module.to_vec() }, ..Self::default() };
        if !file.attrs.iter().any(only_in_tests) {
            names.visit_file(file);
        }
        names
    }

    /// What the file `module` re-exports.
    fn exported(module: &[String], file: &syn::File) -> Exports {
        let declared = file.items.iter().filter_map(|item| match item {
            syn::Item::Mod(item) => Some(item.ident.to_string()),
            _ => None,
        });
        let mut names = Self { module: module.to_vec(), ..Self::default() };
        for child in declared {
            let path = in_crate(module.iter().cloned().chain([child.clone()]).collect());
            names.aliases.entry(child).or_default().insert(path);
        }
        let mut exports = Exports::default();
        for item in &file.items {
            if let syn::Item::Use(item) = item
                && !matches!(item.vis, syn::Visibility::Inherited)
            {
                let mut inner = Self { module: module.to_vec(), ..Self::default() };
                inner.visit_item_use(item);
                exports.lines.extend(inner.mentions.iter().map(|mention| mention.line));
                for (name, targets) in inner.aliases {
                    let mut found = BTreeSet::new();
                    targets.into_iter().for_each(|target| names.expand(target, 4, &mut found));
                    exports.targets.extend(found.into_iter().next().map(|target| (name, target)));
                }
            }
        }
        exports
    }

    /// `self`, `super` and `crate` made absolute; a crate's own name stays as it is.
    fn absolute(&self, path: &[String]) -> Vec<String> {
        let mut base: Option<Vec<String>> = None;
        let mut rest = path;
        while let Some((first, tail)) = rest.split_first() {
            base = match (first.as_str(), base) {
                ("crate", None) => Some(vec![]),
                ("self", base) => Some(base.unwrap_or_else(|| self.module.clone())),
                ("super", base) => {
                    let mut up = base.unwrap_or_else(|| self.module.clone());
                    up.pop();
                    Some(up)
                }
                (_, base) => {
                    let mut whole = base.map(in_crate).unwrap_or_default();
                    whole.extend(rest.iter().cloned());
                    return whole;
                }
            };
            rest = tail;
        }
        base.map(in_crate).unwrap_or_default()
    }

    fn note(&mut self, path: &[String], span: Span, form: Form) {
        // `use a::b::{self}` names a::b
        let path = match path {
            [head @ .., last] if last == "self" && !head.is_empty() => head,
            all => all,
        };
        // `pub(crate)`, `pub(super)`; any other word alone may be a variable, or was imported: see `resolved`
        let restriction =
            path.len() < 2 && path.iter().any(|p| ["crate", "self", "super"].contains(&p.as_str()));
        if !restriction || form == Form::Import {
            let path = self.absolute(path);
            self.mentions.push(Mention { path, line: span.start().line, form });
        }
    }

    fn alias(&mut self, name: &str, path: &[String]) {
        let target = self.absolute(path);
        // `use tokio;` teaches nothing
        if target.first().is_some_and(|first| first != name || target.len() > 1) {
            self.aliases.entry(name.to_owned()).or_default().insert(target);
        }
    }

    fn tree(&mut self, tree: &syn::UseTree, path: &mut Vec<String>) {
        match tree {
            syn::UseTree::Path(p) => {
                path.push(p.ident.to_string());
                self.tree(&p.tree, path);
                path.pop();
            }
            syn::UseTree::Group(g) => g.items.iter().for_each(|t| self.tree(t, path)),
            syn::UseTree::Name(n) => self.leaf(path, &n.ident, None),
            syn::UseTree::Rename(n) => self.leaf(path, &n.ident, Some(&n.rename)),
            syn::UseTree::Glob(g) => {
                path.push("*".to_owned());
                self.note(path, g.star_token.span, Form::Import);
                path.pop();
            }
        }
    }

    fn leaf(&mut self, path: &mut Vec<String>, ident: &syn::Ident, rename: Option<&syn::Ident>) {
        let own_name = if ident == "self" { path.last().cloned() } else { Some(ident.to_string()) };
        path.push(ident.to_string());
        self.note(path, ident.span(), Form::Import);
        path.pop();
        // `{self}` stands for what it is in
        let target = path.iter().cloned().chain((ident != "self").then(|| ident.to_string()));
        let target: Vec<_> = target.collect();
        if let Some(name) = rename.map(ToString::to_string).or(own_name) {
            self.alias(&name, &target);
        }
    }

    /// Finds the paths in a macro by their shape: its tokens are parsed only after its expansion.
    fn tokens(&mut self, stream: TokenStream, prefix: &[String]) {
        let mut run = Run::start(prefix);
        let mut tokens = stream.into_iter().peekable();
        while let Some(token) = tokens.next() {
            match token {
                // A field or a method, unless the dot is the second of a range's.
                TokenTree::Punct(p) if p.as_char() == '.' => {
                    self.end(&mut run, prefix, false);
                    let range =
                        tokens.next_if(|next| matches!(next, TokenTree::Punct(p) if p.as_char() == '.'));
                    if range.is_none() {
                        tokens.next_if(|next| matches!(next, TokenTree::Ident(_)));
                    }
                }
                TokenTree::Ident(ident) => {
                    if !run.joined {
                        self.end(&mut run, prefix, false);
                        run.path.clear();
                    }
                    run.path.push(ident.to_string());
                    run.span = Some(ident.span());
                    run.joined = false;
                }
                TokenTree::Punct(p) if double_colon(&p) && tokens.next_if(is_colon).is_some() => {
                    run.absolute |= run.path.is_empty();
                    run.joined = true;
                }
                TokenTree::Punct(p) if p.as_char() == '*' && run.joined && !run.path.is_empty() => {
                    run.path.push("*".to_owned());
                    run.span = Some(p.span());
                    self.end(&mut run, prefix, false);
                }
                TokenTree::Punct(p) if p.as_char() == '!' => {
                    let called = matches!(tokens.peek(), Some(TokenTree::Group(_)));
                    self.end(&mut run, prefix, called);
                }
                TokenTree::Group(g) if g.delimiter() == Delimiter::Brace && run.joined => {
                    let inner = std::mem::take(&mut run.path);
                    self.tokens(g.stream(), &inner);
                    run = Run::start(prefix);
                }
                TokenTree::Group(g) => {
                    self.end(&mut run, prefix, false);
                    self.tokens(g.stream(), &[]);
                }
                TokenTree::Literal(text) => {
                    self.end(&mut run, prefix, false);
                    self.string(&text);
                }
                TokenTree::Punct(_) => self.end(&mut run, prefix, false),
            }
        }
        self.end(&mut run, prefix, false);
    }

    fn end(&mut self, run: &mut Run, prefix: &[String], bang: bool) {
        let run = std::mem::replace(run, Run::start(prefix));
        let form = if bang { Form::Macro } else { Form::Path { absolute: run.absolute } };
        if let Some(span) = run.span {
            self.note(&run.path, span, form);
        }
    }

    /// `#[serde(with = "crate::x")]`: a path in a string.
    fn string(&mut self, literal: &proc_macro2::Literal) {
        let text = literal.to_string();
        let path = text.trim_matches('"').split("::").map(String::from).collect::<Vec<_>>();
        let word = |s: &String| !s.is_empty() && s.chars().all(|c| c.is_alphanumeric() || c == '_');
        if text.starts_with('"') && path.len() > 1 && path.iter().all(word) {
            self.note(&path, literal.span(), Form::Path { absolute: false });
        }
    }

    /// Each mention in full: with what it was imported as put back.
    fn resolved(&self) -> Vec<Mention> {
        let mut all = vec![];
        for mention in &self.mentions {
            let known = mention.path.first().is_some_and(|first| self.aliases.contains_key(first));
            let mut found = BTreeSet::new();
            match mention.form {
                Form::Path { .. } if mention.path.len() < 2 && !known => {}
                Form::Path { absolute: true } => _ = found.insert(mention.path.clone()),
                _ => self.expand(mention.path.clone(), 4, &mut found),
            }
            all.extend(found.into_iter().map(|path| Mention { path, ..*mention }));
        }
        all
    }

    fn expand(&self, path: Vec<String>, depth: usize, found: &mut BTreeSet<Vec<String>>) {
        let Some((first, rest)) = path.split_first() else { return };
        match self.aliases.get(first) {
            Some(targets) if depth > 0 => {
                for target in targets {
                    let whole = target.iter().chain(rest).cloned().collect();
                    // `use tokio::{self, time}; use time::X`: a name that stands for itself is at its end
                    let depth = if target.first() == Some(first) { 0 } else { depth - 1 };
                    self.expand(whole, depth, found);
                }
            }
            _ => {
                found.insert(path);
            }
        }
    }
}

/// A path in a token stream, as far as it was read.
struct Run {
    path: Vec<String>,
    span: Option<Span>,
    /// A `::` came last, or the path continues the prefix of a `use` group.
    joined: bool,
    absolute: bool,
}

impl Run {
    fn start(prefix: &[String]) -> Self {
        Self { path: prefix.to_vec(), span: None, joined: !prefix.is_empty(), absolute: false }
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let name = item.ident.to_string();
        let mut inner = self.module.clone();
        inner.push(name.clone());
        if item.attrs.iter().any(only_in_tests) {
            self.test_modules.push(inner);
            return;
        }
        self.aliases.entry(name).or_default().insert(in_crate(inner.clone()));
        let outer = std::mem::replace(&mut self.module, inner);
        visit::visit_item_mod(self, item);
        self.module = outer;
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&item.tree, &mut vec![]);
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        let rename = item.rename.as_ref().map(|(_, name)| name);
        self.leaf(&mut vec![], &item.ident, rename);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<_> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        if let Some(first) = path.segments.first() {
            self.note(&segments, first.ident.span(), Form::Path { absolute: path.leading_colon.is_some() });
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let segments: Vec<_> = call.path.segments.iter().map(|s| s.ident.to_string()).collect();
        if let Some(first) = call.path.segments.first() {
            self.note(&segments, first.ident.span(), Form::Macro);
        }
        self.tokens(call.tokens.clone(), &[]);
    }

    fn visit_token_stream(&mut self, stream: &'ast TokenStream) {
        self.tokens(stream.clone(), &[]);
    }
}

fn double_colon(first: &Punct) -> bool {
    first.as_char() == ':' && first.spacing() == Spacing::Joint
}

fn is_colon(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(p) if p.as_char() == ':')
}

fn in_crate(mut path: Vec<String>) -> Vec<String> {
    path.insert(0, "crate".to_owned());
    path
}

/// `#[cfg(test)]`, `#[cfg(all(test, ...))]`; not `any(test, ...)` and not `not(test)`.
fn only_in_tests(attr: &syn::Attribute) -> bool {
    fn implies_test(meta: &syn::Meta) -> bool {
        let syn::Meta::List(list) = meta else { return meta.path().is_ident("test") };
        let parts =
            list.parse_args_with(syn::punctuated::Punctuated::<syn::Meta, syn::Token![,]>::parse_terminated);
        list.path.is_ident("all") && parts.is_ok_and(|parts| parts.iter().any(implies_test))
    }
    attr.path().is_ident("cfg") && attr.parse_args::<syn::Meta>().is_ok_and(|meta| implies_test(&meta))
}

/// Does the path reach `item`? A glob reaches everything below it.
fn reaches(path: &[String], item: &[&str]) -> bool {
    match path {
        [head @ .., star] if star == "*" => !head.is_empty() && head.iter().zip(item).all(|(a, b)| a == b),
        _ => path.len() >= item.len() && path.iter().zip(item).all(|(a, b)| a == b),
    }
}

fn from_crate(path: &[String], krate: &str) -> bool {
    path.first().is_some_and(|first| {
        first == krate || first.strip_prefix(krate).is_some_and(|rest| rest.starts_with('_'))
    })
}

/// `crate::resources::vpc`, `...::vpc::Spec`, `...::vpc::VpcSpec::default`, `...::vpc::ID`; nothing that acts.
fn spec_only(path: &[String], modules: &BTreeSet<Vec<String>>) -> bool {
    let below_crate = path.get(1..).unwrap_or_default();
    match below_crate.iter().find(|name| !name.starts_with(char::is_lowercase)) {
        // A field that other resources refer to is a constant beside the live form.
        Some(first_item) => {
            let constant = first_item.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_');
            first_item.ends_with("Spec") || constant && below_crate.get(2) == Some(first_item)
        }
        None => modules.contains(below_crate),
    }
}

/// Is the module in one of these rooms (or `cli::status`: in that part of one)?
fn lives_in(module: &[String], rooms: &[&str]) -> bool {
    rooms.iter().any(|room| {
        let parts: Vec<_> = room.split("::").collect();
        module.len() >= parts.len() && module.iter().zip(&parts).all(|(a, b)| a == b)
    })
}

/// Returns all breaches of the files of `src/`.
fn check(tree: &[Source], known_circles: &[&[&str]]) -> Vec<Breach> {
    let mut breaches = vec![];
    let mut parsed = vec![];
    for source in tree {
        let too_long = if source.path == "main.rs" { MAX_MAIN_LINES } else { MAX_LINES };
        let excused = LONG_FILES.contains(&source.path.as_str());
        if (source.lines() > too_long) != excused {
            let what = if excused {
                "is short enough: remove it from LONG_FILES".to_owned()
            } else {
                format!("has {} lines, at most {too_long} are allowed", source.lines())
            };
            breaches.push(breach(source, too_long, Rule::Length, what));
        }
        match syn::parse_file(&source.text) {
            Ok(file) => parsed.push((source, Names::of(&source.module(), &file), file)),
            Err(e) => breaches.push(breach(source, e.span().start().line, Rule::Parse, e.to_string())),
        }
    }
    let modules: BTreeSet<_> = tree.iter().map(Source::module).collect();
    let tests: Vec<_> = parsed.iter().flat_map(|(_, names, _)| names.test_modules.clone()).collect();
    let registered = registered(&parsed);
    for (source, names, file) in &parsed {
        let module = source.module();
        if tests.iter().any(|test| module.starts_with(test)) {
            continue;
        }
        breaches.extend(names_breached(source, &names.resolved(), &modules));
        breaches.extend(kind_breached(source, file, registered.as_deref()));
    }
    breaches.extend(ledger_breached(&parsed));
    breaches.extend(file_names_breached(tree));
    breaches.extend(type_names_breached(&parsed, &tests));
    breaches.extend(circles_breached(&parsed, &tests, known_circles));
    breaches.sort();
    // one line for each thing, at its first place
    let mut seen = BTreeSet::new();
    breaches.retain(|b| seen.insert((b.file.clone(), b.rule, b.what.clone())));
    breaches
}

fn breach(source: &Source, line: usize, rule: Rule, what: String) -> Breach {
    Breach { file: source.path.clone(), line, rule, what }
}

/// File names that may occur in several folders: the roots of modules.
const MODULE_ROOTS: &[&str] = &["mod.rs", "tests.rs"];

/// Reports each file whose name another file of the tree has, except for module roots.
fn file_names_breached(tree: &[Source]) -> Vec<Breach> {
    let mut first: BTreeMap<&str, &Source> = BTreeMap::new();
    let mut out = vec![];
    for source in tree {
        let name = source.path.rsplit('/').next().unwrap_or_default();
        if MODULE_ROOTS.contains(&name) {
            continue;
        }
        match first.get(name) {
            Some(other) => {
                out.push(breach(source, 1, Rule::FileName, format!("has the name of src/{}", other.path)));
            }
            None => _ = first.insert(name, source),
        }
    }
    out
}

/// Reports each public type outside `resources` and outside tests whose name another such type has.
fn type_names_breached(parsed: &[(&Source, Names, syn::File)], tests: &[Vec<String>]) -> Vec<Breach> {
    let mut first: BTreeMap<String, &Source> = BTreeMap::new();
    let mut out = vec![];
    for (source, _, file) in parsed {
        let module = source.module();
        if lives_in(&module, &["resources"]) || tests.iter().any(|test| module.starts_with(test)) {
            continue;
        }
        let mut types = PublicTypes::default();
        types.visit_file(file);
        for (name, line) in types.found {
            match first.get(&name) {
                Some(other) => {
                    let what = format!("declares {name}, which src/{} declares too", other.path);
                    out.push(breach(source, line, Rule::TypeName, what));
                }
                None => _ = first.insert(name, *source),
            }
        }
    }
    out
}

/// Reports each circle of files that `known` does not cover, and each entry of `known` that covers none.
fn circles_breached(
    parsed: &[(&Source, Names, syn::File)],
    tests: &[Vec<String>],
    known: &[&[&str]],
) -> Vec<Breach> {
    let imports = imports(parsed, tests);
    let found = circles(&imports);
    let covers = |entry: &[&str], circle: &[&str]| {
        circle
            .iter()
            .all(|file| entry.iter().any(|one| one == file || (one.ends_with('/') && file.starts_with(one))))
    };
    let mut out = vec![];
    for circle in found.iter().filter(|circle| !known.iter().any(|entry| covers(entry, circle))) {
        let names = |file: &&str| {
            let inside = imports.get(file).into_iter().flatten().filter(|other| circle.contains(other));
            format!("{file} names {}", inside.copied().collect::<Vec<_>>().join(", "))
        };
        let what = format!("circle of files: {}", circle.iter().map(names).collect::<Vec<_>>().join("; "));
        let first = parsed.iter().find(|(source, ..)| circle.first() == Some(&source.path.as_str()));
        out.extend(first.map(|(source, ..)| breach(source, 1, Rule::Circle, what)));
    }
    for entry in known.iter().filter(|entry| !found.iter().any(|circle| covers(entry, circle))) {
        let file = "../tests/house.rs".to_owned();
        let what = format!("CIRCLES covers no circle with {}: take it off", entry.join(", "));
        out.push(Breach { file, line: 1, rule: Rule::Circle, what });
    }
    out
}

/// For each file, the files that it names. A name that a module re-exports stands for the file that declares it; the
/// re-export itself counts for nothing.
fn imports<'a>(
    parsed: &'a [(&Source, Names, syn::File)],
    tests: &[Vec<String>],
) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let (mut files, mut exports) = (BTreeMap::new(), BTreeMap::new());
    for (source, names, file) in parsed {
        let module = source.module();
        if !tests.iter().any(|test| module.starts_with(test))
            && !["main.rs", "lib.rs"].contains(&&*source.path)
        {
            exports.insert(module.clone(), Names::exported(&names.module, file));
            files.insert(module, source.path.as_str());
        }
    }
    let mut all = BTreeMap::new();
    for (source, names, _) in parsed.iter().filter(|(source, ..)| files.contains_key(&source.module())) {
        let own = exports.get(&source.module());
        let exported = |mention: &Mention| own.is_some_and(|own| own.lines.contains(&mention.line));
        let named = names.resolved().into_iter().filter(|mention| !exported(mention));
        let named = named.filter_map(|mention| declared_in(&mention.path, &exports, 8));
        let named = named.filter_map(|module| files.get(&module).copied());
        all.insert(source.path.as_str(), named.filter(|file| *file != source.path).collect());
    }
    all
}

/// The module that declares what `path` names, past `depth` re-exports at most.
fn declared_in(
    path: &[String],
    exports: &BTreeMap<Vec<String>, Exports>,
    depth: usize,
) -> Option<Vec<String>> {
    let below = path.strip_prefix(&["crate".to_owned()])?;
    let (module, rest) = (1..=below.len())
        .rev()
        .map(|at| below.split_at(at))
        .find(|(module, _)| exports.contains_key(*module))?;
    let target = rest.first().and_then(|name| exports.get(module)?.targets.get(name));
    match target {
        Some(target) if depth > 0 => {
            let whole: Vec<_> = target.iter().chain(rest.get(1..).unwrap_or_default()).cloned().collect();
            declared_in(&whole, exports, depth.saturating_sub(1))
        }
        _ => Some(module.to_vec()),
    }
}

/// The groups of files that reach each other, sorted.
fn circles<'a>(imports: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Vec<Vec<&'a str>> {
    let reached = |from: &'a str| {
        let (mut seen, mut left) = (BTreeSet::new(), vec![from]);
        while let Some(file) = left.pop() {
            left.extend(imports.get(file).into_iter().flatten().filter(|next| seen.insert(**next)));
        }
        seen
    };
    let all: BTreeMap<&str, BTreeSet<&str>> = imports.keys().map(|file| (*file, reached(file))).collect();
    let circle = |file: &&'a str| -> Vec<&'a str> {
        let mutual = |other: &&'a str| all.get(other).is_some_and(|reached| reached.contains(file));
        all.get(file).into_iter().flatten().copied().filter(mutual).collect()
    };
    let found: BTreeSet<_> = imports.keys().map(circle).filter(|circle| !circle.is_empty()).collect();
    found.into_iter().collect()
}

/// What a module exports from other modules: the full path of each name, and the lines that do.
#[derive(Default)]
struct Exports {
    targets: BTreeMap<String, Vec<String>>,
    lines: BTreeSet<usize>,
}

/// The `pub` types of a file and the lines of their names.
#[derive(Default)]
struct PublicTypes {
    found: Vec<(String, usize)>,
}

impl<'ast> Visit<'ast> for PublicTypes {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !item.attrs.iter().any(only_in_tests) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item(&mut self, item: &'ast syn::Item) {
        let named = match item {
            syn::Item::Struct(item) => Some((&item.vis, &item.ident)),
            syn::Item::Enum(item) => Some((&item.vis, &item.ident)),
            syn::Item::Union(item) => Some((&item.vis, &item.ident)),
            syn::Item::Trait(item) => Some((&item.vis, &item.ident)),
            syn::Item::Type(item) => Some((&item.vis, &item.ident)),
            _ => None,
        };
        if let Some((syn::Visibility::Public(_), ident)) = named {
            self.found.push((ident.to_string(), ident.span().start().line));
        }
        visit::visit_item(self, item);
    }
}

fn names_breached(source: &Source, mentions: &[Mention], modules: &BTreeSet<Vec<String>>) -> Vec<Breach> {
    let module = source.module();
    let room = module.first().map_or("", String::as_str);
    let may = ROOMS.iter().find(|(name, _)| *name == room).map(|(_, may)| *may);
    let mut out = vec![];
    if may.is_none() && !["main", "lib"].contains(&room) {
        out.push(breach(source, 1, Rule::Room, format!("{room} is not a room of the map")));
    }
    for Mention { path, line, form } in mentions {
        let mut broken = |rule, what| out.push(breach(source, *line, rule, what));
        let written = path.join("::");
        if let (Some(may), Some("crate")) = (may, path.first().map(String::as_str)) {
            let to = path.get(1).map_or("", String::as_str);
            let known = ROOMS.iter().any(|(name, _)| *name == to);
            let specs = room == "graph" && to == "resources";
            if !known {
                broken(Rule::Room, format!("{room} names {written}, which is in no room"));
            } else if specs && !spec_only(path, modules) {
                broken(Rule::Arrow, format!("graph may know the resources' Spec types, not {written}"));
            } else if to != room && !specs && !may.contains(&to) && !may.contains(&"*") {
                broken(Rule::Arrow, format!("{room} may not know {to}"));
            }
        }
        if PURE.contains(&room) {
            let own_macro = *form == Form::Macro && path.len() < 2;
            if let Some(name) = ACTING_CRATES.iter().find(|name| !own_macro && from_crate(path, name)) {
                broken(Rule::Pure, format!("{room} may not use {name}"));
            }
            for item in ACTING_ITEMS.iter().filter(|item| reaches(path, item)) {
                broken(Rule::Pure, format!("{room} may not use {}", item.join("::")));
            }
        }
        let acts = [
            (SLEEPS, MAY_SLEEP, Rule::Sleep),
            (EXITS, MAY_EXIT, Rule::Exit),
            (STARTS, MAY_START, Rule::Start),
            (WRITES, MAY_PRINT, Rule::Print),
        ];
        for (items, rooms, rule) in acts {
            for item in items.iter().filter(|item| reaches(path, item) && !lives_in(&module, rooms)) {
                broken(rule, format!("{} may not call {}", module.join("::"), item.join("::")));
            }
        }
        let prints = path.last().filter(|last| *form == Form::Macro && PRINTS.contains(&last.as_str()));
        if let Some(name) = prints.filter(|_| !lives_in(&module, MAY_PRINT)) {
            broken(Rule::Print, format!("{} may not print ({name}!)", module.join("::")));
        }
    }
    out
}

/// Every path in the value of `REGISTRY`, in full; nothing where there is none yet.
fn registered(parsed: &[(&Source, Names, syn::File)]) -> Option<Vec<Vec<String>>> {
    let (source, names, file) = parsed.iter().find(|(source, ..)| source.path == "resources/mod.rs")?;
    let value = file.items.iter().find_map(|item| match item {
        syn::Item::Const(item) if item.ident == "REGISTRY" => Some(&item.expr),
        _ => None,
    })?;
    let mut inside = Names { module: source.module(), aliases: names.aliases.clone(), ..Names::default() };
    inside.visit_expr(value);
    Some(inside.resolved().into_iter().map(|mention| mention.path).collect())
}

fn kind_breached(source: &Source, file: &syn::File, registered: Option<&[Vec<String>]>) -> Vec<Breach> {
    let name = source.path.strip_prefix("resources/");
    let kind =
        name.filter(|name| name.rsplit('/').next() != Some("mod.rs") && !RESOURCE_HELPERS.contains(name));
    if kind.is_none() {
        return vec![];
    }
    let mut out = vec![];
    let mut calls = Calls::default();
    calls.visit_file(file);
    for (action, line) in calls.made {
        if !calls.declared.contains(&action) {
            out.push(breach(source, line, Rule::Iam, format!("calls {action}, which its IAM does not name")));
        }
    }
    let module = in_crate(source.module());
    if !registered.unwrap_or_default().iter().any(|path| path.starts_with(&module)) {
        let what = match registered {
            Some(_) => format!("{} is not in REGISTRY", module.join("::")),
            None => "resources/mod.rs has no `const REGISTRY`".to_owned(),
        };
        out.push(breach(source, 1, Rule::Registry, what));
    }
    out
}

/// Where the actions stand that no kind declares.
const LEDGER: &str = "aws/permissions.rs";
/// The list in it of what is declared and never called by its name.
const BESIDE: &str = "CHECKED_BESIDE";

/// What is called anywhere is declared by a kind or in the ledger, and what is declared is called.
fn ledger_breached(parsed: &[(&Source, Names, syn::File)]) -> Vec<Breach> {
    let Some((ledger, _, file)) = parsed.iter().find(|(source, ..)| source.path == LEDGER) else {
        return vec![];
    };
    let mut lists: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for item in &file.items {
        if let syn::Item::Const(item) = item {
            lists.insert(item.ident.to_string(), strings(&item.expr));
        }
    }
    let beside: BTreeSet<String> = lists.remove(BESIDE).unwrap_or_default().into_iter().collect();
    let mut declared: BTreeSet<String> = lists.into_values().flatten().collect();
    let (mut made, mut by_kinds) = (BTreeSet::new(), BTreeMap::new());
    let mut out = vec![];
    // The model has no client; a field of its types may be named as one.
    let all: Vec<_> = parsed
        .iter()
        .filter(|(source, ..)| !source.path.starts_with("model/"))
        .map(|(source, _, file)| {
            let mut calls = Calls::default();
            calls.visit_file(file);
            (*source, calls)
        })
        .collect();
    for (source, calls) in &all {
        made.extend(calls.made.iter().map(|(action, _)| action.clone()));
        by_kinds.extend(calls.declared.iter().map(|action| (action.clone(), *source)));
    }
    declared.extend(by_kinds.keys().cloned());
    // Files of kinds are compared with what the kind itself declares.
    let of_kind = |source: &Source| {
        source.path.strip_prefix("resources/").is_some_and(|name| !RESOURCE_HELPERS.contains(&name))
    };
    for (source, calls) in all.iter().filter(|(source, _)| !of_kind(source)) {
        for (action, line) in calls.made.iter().filter(|(action, _)| !declared.contains(action)) {
            out.push(breach(
                source,
                *line,
                Rule::Iam,
                format!("calls {action}, which {LEDGER} does not name"),
            ));
        }
    }
    let named =
        |action: &String| NAMED_OTHERWISE.iter().any(|service| action.starts_with(&format!("{service}:")));
    for action in declared
        .iter()
        .filter(|action| !named(action) && !made.contains(*action) && !beside.contains(*action))
    {
        let at = by_kinds.get(action).copied().unwrap_or(ledger);
        out.push(breach(at, 1, Rule::Iam, format!("declares {action}, which nothing calls")));
    }
    for action in beside.iter().filter(|action| !declared.contains(*action)) {
        out.push(breach(ledger, 1, Rule::Iam, format!("{BESIDE} names {action}, which no kind declares")));
    }
    out
}

/// The calls that a kind makes, and those that it declares: `ec2:describevpcs`, since the name of a method has lost its capitals.
#[derive(Default)]
struct Calls {
    made: Vec<(String, usize)>,
    declared: BTreeSet<String>,
}

/// The clients in `aws::Clients`, and their services as IAM names them.
const CLIENTS: [(&str, &str); 13] = [
    ("autoscaling", "autoscaling"),
    ("dynamodb", "dynamodb"),
    ("ec2", "ec2"),
    ("ecr", "ecr"),
    ("eks", "eks"),
    ("iam", "iam"),
    ("kms", "kms"),
    ("logs", "logs"),
    ("quotas", "servicequotas"),
    ("s3", "s3"),
    ("ssm", "ssm"),
    ("sts", "sts"),
    ("tagging", "tag"),
];

/// Clients that functions keep in local variables.
const LOCAL_CLIENTS: [&str; 3] = ["dynamodb", "ec2", "s3"];

/// Methods of a client that call nothing.
const NO_OPERATIONS: [&str; 2] = ["clone", "config"];

/// Services whose operations and IAM actions have different names.
const NAMED_OTHERWISE: [&str; 2] = ["s3", "tag"];

impl<'ast> Visit<'ast> for Calls {
    /// Each operation is a method of a client: `cx.ec2.describe_vpcs()`.
    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let client = match &*call.receiver {
            syn::Expr::Field(syn::ExprField { member: syn::Member::Named(name), .. }) => Some(name),
            // Other local variables have names of services, too.
            syn::Expr::Path(path) => {
                path.path.get_ident().filter(|name| LOCAL_CLIENTS.iter().any(|it| name == it))
            }
            _ => None,
        };
        let service = client.and_then(|client| CLIENTS.iter().find(|(name, _)| client == name));
        if let Some((_, service)) = service.filter(|(_, service)| !NAMED_OTHERWISE.contains(service))
            && !NO_OPERATIONS.iter().any(|name| call.method == name)
        {
            let operation = call.method.to_string().replace('_', "");
            self.made.push((format!("{service}:{operation}"), call.method.span().start().line));
        }
        syn::visit::visit_expr_method_call(self, call);
    }

    /// What `try_join!` and its like are given is expressions.
    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        let list = syn::punctuated::Punctuated::<syn::Expr, syn::Token![,]>::parse_terminated;
        let mut inner = Calls::default();
        item.parse_body_with(list).into_iter().flatten().for_each(|argument| inner.visit_expr(&argument));
        self.made.extend(inner.made);
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        if item.ident == "INFO"
            && let syn::Expr::Struct(info) = &item.expr
        {
            let iam =
                |field: &&syn::FieldValue| matches!(&field.member, syn::Member::Named(name) if name == "iam");
            self.declared.extend(info.fields.iter().filter(iam).flat_map(|field| strings(&field.expr)));
        }
    }
}

/// The actions in an array, or in the arrays of tuples, as [`Calls`] has them.
fn strings(value: &syn::Expr) -> Vec<String> {
    match value {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => vec![text.value().to_lowercase()],
        syn::Expr::Reference(to) => strings(&to.expr),
        syn::Expr::Array(array) => array.elems.iter().flat_map(strings).collect(),
        syn::Expr::Tuple(tuple) => tuple.elems.iter().flat_map(strings).collect(),
        _ => vec![],
    }
}

/// All `.rs` files below `dir`, by name.
fn read(dir: &Path, under: &str, tree: &mut Vec<Source>) -> std::io::Result<()> {
    let mut entries = std::fs::read_dir(dir)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            read(&entry.path(), &format!("{under}{name}/"), tree)?;
        } else if entry.path().extension().is_some_and(|suffix| suffix == "rs") {
            tree.push(Source {
                path: format!("{under}{name}"),
                text: std::fs::read_to_string(entry.path())?,
            });
        }
    }
    Ok(())
}

/// All Python modules below `dir` by their full names, with their texts. A package is its `__init__.py`.
fn python_modules(dir: &Path, name: &str, all: &mut BTreeMap<String, String>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let module = if stem == "__init__" { name.to_owned() } else { format!("{name}.{stem}") };
        if path.is_dir() {
            python_modules(&path, &module, all)?;
        } else if path.extension().is_some_and(|suffix| suffix == "py") {
            all.insert(module, std::fs::read_to_string(path)?);
        }
    }
    Ok(())
}

/// For each Python module, the modules that it imports: at its head, in a function or for its types alone. An import
/// from another package runs that package's `__init__.py`, too.
fn python_imports(modules: &BTreeMap<String, String>) -> BTreeMap<&str, BTreeSet<&str>> {
    let known = |name: &str| modules.get_key_value(name).map(|(name, _)| name.as_str());
    let mut all = BTreeMap::new();
    for (module, text) in modules {
        let mut found = BTreeSet::new();
        let mut rest = text.as_str();
        while let Some((line, after)) = rest.split_once('\n') {
            rest = after;
            let Some((from, names)) =
                line.trim_start().strip_prefix("from ").and_then(|it| it.split_once(" import "))
            else {
                continue;
            };
            let mut names = names.to_owned();
            if names.trim_start().starts_with('(') && !names.contains(')') {
                let (more, after) = rest.split_once(')').unwrap_or((rest, ""));
                names = format!("{names}\n{more}");
                rest = after;
            }
            for name in names.lines().flat_map(|line| line.split('#').next().unwrap_or_default().split(',')) {
                let name = name.trim_matches(|c: char| c.is_whitespace() || "()".contains(c));
                let name = name.split(' ').next().unwrap_or_default();
                found.extend(known(&format!("{from}.{name}")).or_else(|| known(from)));
            }
        }
        let packages: Vec<&str> = found
            .iter()
            .flat_map(|target| target.match_indices('.').filter_map(|(at, _)| target.get(..at)))
            .filter(|package| !format!("{module}.").starts_with(&format!("{package}.")))
            .filter_map(known)
            .collect();
        found.extend(packages);
        found.remove(module.as_str());
        all.insert(module.as_str(), found);
    }
    all
}

#[test]
fn the_sandbox_has_no_circle_of_files() {
    let mut modules = BTreeMap::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sandbox/provisioner_sandbox");
    python_modules(&folder, "provisioner_sandbox", &mut modules).unwrap();
    assert!(modules.len() > 100, "only {} modules were read", modules.len());
    let found = circles(&python_imports(&modules));
    assert!(found.is_empty(), "{}: {found:#?}", Rule::Circle.why());
}

#[test]
fn no_file_of_the_sandbox_is_too_long() {
    let sandbox = Path::new(env!("CARGO_MANIFEST_DIR")).join("sandbox");
    let mut modules = BTreeMap::new();
    for folder in ["provisioner_sandbox", "tests", "tools"] {
        python_modules(&sandbox.join(folder), folder, &mut modules).unwrap();
    }
    assert!(modules.contains_key("tests.conftest"), "the sandbox's tests were not read");
    let too_long: Vec<_> = modules
        .iter()
        .map(|(name, text)| (name, text.lines().count()))
        .filter(|(_, lines)| *lines > MAX_LINES)
        .collect();
    assert!(too_long.is_empty(), "more than {MAX_LINES} lines: {too_long:?}");
}

#[test]
fn the_source_keeps_the_house_rules() {
    let mut tree = vec![];
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut tree).unwrap();
    assert!(tree.iter().any(|source| source.path == "lib.rs"), "src/lib.rs is missing: nothing was checked");
    let breaches = check(&tree, CIRCLES);
    let text: Vec<_> = breaches.iter().map(ToString::to_string).collect();
    assert!(breaches.is_empty(), "{} house rule(s) broken\n\n{}\n", breaches.len(), text.join("\n\n"));
}

/// The checks of the checker: every rule can fail, and accepts correct code.
mod the_checker {
    use super::*;

    /// The breaches of a tree of these files.
    fn house(files: &[(&str, &str)]) -> Vec<(String, usize, Rule)> {
        let tree: Vec<_> =
            files.iter().map(|(path, text)| Source { path: (*path).into(), text: (*text).into() }).collect();
        check(&tree, &[]).into_iter().map(|b| (b.file, b.line, b.rule)).collect()
    }

    /// One file breaks exactly one rule, on that line.
    #[track_caller]
    fn breaks(path: &str, text: &str, line: usize, rule: Rule) {
        assert_eq!(house(&[(path, text)]), [(path.to_owned(), line, rule)], "{path}: {text}");
    }

    #[track_caller]
    fn passes(path: &str, text: &str) {
        assert_eq!(house(&[(path, text)]), [], "{path}: {text}");
    }

    #[test]
    fn follows_every_way_to_write_an_import() {
        for import in [
            "use crate::aws;",
            "use crate::{model::Address, aws::{self, Clients}};",
            "use crate::aws as cloud;",
            "use crate::aws::*;",
            "use super::super::aws::Clients;",
            "use self::super::super::aws::Clients as C;",
            "pub use crate::{aws::Clients};",
            "fn f() { use crate::aws::Clients; }",
            "mod inner { use super::super::super::aws::Clients; }",
        ] {
            breaks("plan/order.rs", import, 1, Rule::Arrow);
        }
        breaks("plan/mod.rs", "use super::aws;", 1, Rule::Arrow);
        breaks("plan.rs", "\nuse super::aws;", 2, Rule::Arrow);
    }

    #[test]
    fn follows_paths_in_code_types_and_attributes() {
        for code in [
            "fn f() { crate::aws::connect() }",
            "fn f(c: &crate::aws::Clients) {}",
            "fn f() -> Vec<Option<super::super::aws::Clients>> { vec![] }",
            "impl crate::aws::Guard for X {}",
            "impl X for <crate::aws::Y as Z>::T {}",
            "pub(in crate::aws) fn f() {}",
            "#[serde(with = \"crate::aws::arn\")] struct S;",
            "#[derive(crate::aws::Tagged)] struct S;",
        ] {
            breaks("plan/order.rs", code, 1, Rule::Arrow);
        }
    }

    #[test]
    fn looks_into_macros() {
        for code in [
            "fn f() {\n    let _ = format!(\"{}\", crate::aws::region());\n}",
            "fn f() {\n    select! { x = super::super::aws::wait() => {}, }\n}",
            "fn f() {\n    outer!(inner!([ { crate :: aws :: x } ]))\n}",
            "thread_local! {\n    static A: Cell<crate::aws::X> = x;\n}",
            "macro_rules! m { () => {\n    $crate::aws::x()\n} }",
            "m! {\n    use crate::{model::{self, X}, aws::{Clients, Guard}};\n}",
            "m! {\n    use crate::aws::*; }",
            "fn f() {\n    crate::aws::tagged!()\n}",
        ] {
            breaks("plan/order.rs", code, 2, Rule::Arrow);
        }
        breaks("plan/order.rs", "use tokio as t;", 1, Rule::Pure);
        breaks("plan/a.rs", "fn f() { vec![std::fs::read(p)] }", 1, Rule::Pure);
        breaks("plan/a.rs", "fn f() { vec![::std::fs::read(p)] }", 1, Rule::Pure);
        breaks("aws/a.rs", "fn f() { x!({ std::println!(\"x\") }) }", 1, Rule::Print);
        passes(
            "plan/a.rs",
            "fn f() { x!(a != b, c: crate::model::X, d::<crate::plan::Y>(), \"std::fs is a name\") }",
        );
        passes("plan/a.rs", "m! { pub(crate) struct S { fs: u8 } }");
        passes("plan/a.rs", "use std as fs; fn f() { x!(self.fs, a.fs()) }");
        breaks("plan/a.rs", "use std::fs as f; fn f() { x!(0..f::read(p)) }", 1, Rule::Pure);
    }

    #[test]
    fn follows_names_to_what_they_were_imported_as() {
        breaks("plan/a.rs", "use std as s;\nfn f() { s::fs::read(p) }", 2, Rule::Pure);
        breaks(
            "plan/a.rs",
            "use std::{self as s};\nuse s::time as t;\nfn f() { t::Instant::now() }",
            3,
            Rule::Pure,
        );
        breaks("ui/a.rs", "use tokio::time;\nasync fn f() { time::sleep(d).await }", 2, Rule::Sleep);
        breaks(
            "resources/mod.rs",
            "use crate::kube;\nuse ::kube::Client;\nuse tokio::time::{self, sleep};",
            3,
            Rule::Sleep,
        );
        breaks("plan/a.rs", "fn f() { Uuid::new_v4() }\nuse uuid::Uuid;", 1, Rule::Pure);
        // a child module is not the crate of the same name
        passes("plan/mod.rs", "mod kube; use kube::Order; fn f() { kube::x() }");
    }

    #[test]
    fn knows_the_map() {
        let all = ROOMS.iter().map(|(room, _)| *room);
        for (room, may) in ROOMS {
            for to in all.clone() {
                let path = format!("{room}/a.rs");
                let head = "";
                let text = format!("{head}use crate::{to}::x;");
                let registry = ("resources/mod.rs", "const REGISTRY: &[H] = &[H::of::<a::A>()]; mod a;");
                let mut found = house(&[registry, (&path, &text)]);
                found.retain(|breach| breach.2 != Rule::Circle);
                let allowed = to == *room || may.contains(&to) || may.contains(&"*");
                assert_eq!(found.is_empty(), allowed, "{room} -> {to}: {found:?}");
            }
        }
        passes("main.rs", "use provisioner::cli; fn main() { std::process::exit(cli::main()) }");
        passes("lib.rs", "//! The map.\npub mod model;\npub mod aws;");
    }

    #[test]
    fn has_no_room_for_strays() {
        breaks("util.rs", "fn f() {}", 1, Rule::Room);
        breaks("helpers/strings.rs", "", 1, Rule::Room);
        breaks("plan/a.rs", "use crate::Everything;", 1, Rule::Room);
        breaks("plan/a.rs", "use crate::*;", 1, Rule::Room);
        breaks("plan/a.rs", "use crate as all;", 1, Rule::Room);
        breaks("plan/mod.rs", "use super::*;", 1, Rule::Room);
    }

    #[test]
    fn lets_the_graph_see_specs_alone() {
        let vpc = ("resources/vpc.rs", "pub struct Vpc;");
        let list = ("resources/mod.rs", "mod vpc; const REGISTRY: &[H] = &[H::of::<vpc::Vpc>()];");
        let graph = |text| house(&[vpc, list, ("graph/network.rs", text)]);
        for fine in [
            "use crate::resources::vpc::{self, Spec};",
            "use crate::resources::vpc::VpcSpec;",
            "use crate::resources::{vpc, vpc::Spec as V};",
            "fn f() -> crate::resources::vpc::Spec { crate::resources::vpc::Spec::default() }",
            "use crate::resources::vpc; fn f() { vpc::Spec { cidr } }",
            "use crate::resources::vpc; fn f() { vpc::ID.of(&address) }",
        ] {
            assert_eq!(graph(fine), [], "{fine}");
        }
        for bad in [
            "use crate::resources::vpc::Vpc;",
            "use crate::resources::vpc::*;",
            "use crate::resources::*;",
            "use crate::resources::{vpc::{Spec, Live}};",
            "use crate::resources::vpc::create;",
            "use crate::resources::vpc; fn f() { vpc::Vpc::create() }",
            "use crate::resources::vpc as v; fn f() { v::create() }",
            "use crate::resources::REGISTRY;",
        ] {
            assert_eq!(graph(bad), [("graph/network.rs".to_owned(), 1, Rule::Arrow)], "{bad}");
        }
    }

    #[test]
    fn keeps_the_pure_rooms_pure() {
        for room in PURE {
            for bad in [
                "use tokio::sync::mpsc;",
                "use aws_sdk_ec2::types::Tag;",
                "use kube_client::Client;",
                "use hyper_util::rt::X;",
                "use std::fs;",
                "use std::{collections::BTreeMap, env};",
                "use std::net::{Ipv4Addr, TcpStream};",
                "fn f() { std::process::id() }",
                "use std::time::{Duration, SystemTime};",
                "fn f() { std::time::Instant::now() }",
                "use time::OffsetDateTime; fn f() { OffsetDateTime::now_utc() }",
                "use rand::random;",
                "#[tokio::main] fn f() {}",
                "extern crate tokio;",
            ] {
                breaks(&format!("{room}/a.rs"), bad, 1, Rule::Pure);
            }
            passes(
                &format!("{room}/a.rs"),
                "use std::time::Duration; use uuid::Uuid; fn f(kube: u8) { kube }",
            );
            breaks(&format!("{room}/a.rs"), "fn f() { println!() }", 1, Rule::Print);
            assert_eq!(house(&[(&format!("{room}/a.rs"), "use std::time::*;")]).len(), 2);
        }
        passes("aws/a.rs", "use std::{fs, env}; use tokio::sync::mpsc; use aws_sdk_ec2::Client;");
    }

    #[test]
    fn says_who_may_sleep_exit_start_programs_and_print() {
        let sleep = "async fn f() { tokio::time::sleep(d).await }";
        for bad in ["aws/a.rs", "kube/a.rs", "ui/a.rs", "cli/up.rs", "main.rs"] {
            breaks(bad, sleep, 1, Rule::Sleep);
        }
        for fine in
            ["engine/wait.rs", "store/lease.rs", "sandbox/mod.rs", "cli/status.rs", "cli/status/watch.rs"]
        {
            passes(fine, sleep);
        }
        for exit in [
            "fn f() { std::process::exit(1) }",
            "use std::process::exit;",
            "use std::process; fn f() { process::exit(1) }",
            "use std::process::*; fn f() { abort() }",
        ] {
            // A glob may stand for what starts programs as well.
            let broken = house(&[("cli/up.rs", exit)]);
            assert!(broken.iter().all(|b| matches!(b.2, Rule::Exit | Rule::Start)), "{exit}");
            assert!(broken.iter().any(|b| b.2 == Rule::Exit), "{exit}");
            passes("main.rs", exit);
        }
        for start in [
            "fn f() { std::process::Command::new(\"ls\"); }",
            "use tokio::process::Command; fn f() { Command::new(\"ls\"); }",
            "use std::process; fn f() { process::Command::new(\"ls\"); }",
        ] {
            breaks("image/pip.rs", start, 1, Rule::Start);
            passes("os/programs.rs", start);
        }
        passes(
            "image/pip.rs",
            "use std::process::Command; fn f(mut command: Command) { command.arg(\"-I\"); }",
        );
        for name in PRINTS {
            let print = format!("fn f() {{ {name}!(\"x\") }}");
            breaks("engine/run.rs", &print, 1, Rule::Print);
            breaks("main.rs", &print, 1, Rule::Print);
            breaks("cli/url.rs", &print, 1, Rule::Print);
            passes("ui/text.rs", &print);
        }
        breaks("cli/url.rs", "fn f() { writeln!(std::io::stderr(), \"x\"); }", 1, Rule::Print);
        passes("ui/printer.rs", "fn f() { writeln!(std::io::stderr(), \"x\"); }");
        passes("engine/run.rs", "fn f(print: P) { print.line(); writeln!(out, \"x\") }");
    }

    #[test]
    fn wants_the_calls_declared_and_a_line_in_the_registry_of_every_kind() {
        let kind = |iam: &str| {
            let call = "fn f() { cx.ec2.create_vpc().send().await.call()?; }";
            format!(
                "impl Resource for Vpc {{ const INFO: KindInfo = KindInfo {{ iam: &[(ANYWHERE, &[\"{iam}\"])], ..KindInfo::DEFAULT }}; }}\n{call}\n"
            )
        };
        let good = &*kind("ec2:CreateVpc");
        let list = (
            "resources/mod.rs",
            "mod vpc; mod eip; pub const REGISTRY: &[Handler] = &[Handler::of::<vpc::Vpc>()];",
        );
        assert_eq!(house(&[list, ("resources/vpc.rs", good)]), []);
        let found = house(&[list, ("resources/vpc.rs", &kind("ec2:DeleteVpc"))]);
        assert_eq!(found, [("resources/vpc.rs".to_owned(), 2, Rule::Iam)]);
        let found = house(&[list, ("resources/eip.rs", good)]);
        assert_eq!(found, [("resources/eip.rs".to_owned(), 1, Rule::Registry)]);
        let none = ("resources/mod.rs", "mod vpc;");
        let found = house(&[none, ("resources/vpc.rs", good)]);
        assert_eq!(found, [("resources/vpc.rs".to_owned(), 1, Rule::Registry)]);
        let ledger = |list: &str| {
            (
                "aws/permissions.rs",
                format!("const RUN: &[&str] = &[{list}]; const CHECKED_BESIDE: &[&str] = &[];"),
            )
        };
        let asks = ("aws/ask.rs", "fn f() { clients.sts.get_caller_identity().send().await.call()?; }");
        let (path, listed) = ledger("\"sts:GetCallerIdentity\"");
        assert_eq!(house(&[(path, &listed), asks]), []);
        assert_eq!(house(&[(path, &listed)]), [(path.to_owned(), 1, Rule::Iam)]);
        let (path, bare) = ledger("");
        assert_eq!(house(&[(path, &bare), asks]), [("aws/ask.rs".to_owned(), 1, Rule::Iam)]);
        for registry in [
            "mod vpc; use vpc::Vpc; const REGISTRY: &[H] = &[H::of::<Vpc>()];",
            "mod vpc; const REGISTRY: &[H] = &handlers![vpc::Vpc];",
        ] {
            assert_eq!(
                house(&[("resources/mod.rs", registry), ("resources/vpc.rs", good)]),
                [],
                "{registry}"
            );
        }
    }

    #[test]
    fn measures_files() {
        let lines = |n: usize| "// x\n".repeat(n);
        passes("cli/up.rs", &lines(MAX_LINES));
        breaks("cli/up.rs", &lines(MAX_LINES + 1), MAX_LINES, Rule::Length);
        passes("main.rs", &lines(MAX_MAIN_LINES));
        breaks("main.rs", &lines(MAX_MAIN_LINES + 1), MAX_MAIN_LINES, Rule::Length);
        assert!(LONG_FILES.is_empty(), "the list was meant to stay empty");
    }

    #[test]
    fn wants_each_file_name_once() {
        assert_eq!(
            house(&[("graph/network.rs", ""), ("stack/network.rs", "")]),
            [("stack/network.rs".to_owned(), 1, Rule::FileName)]
        );
        assert_eq!(
            house(&[("cli/up.rs", ""), ("cli/state/up.rs", "")]),
            [("cli/state/up.rs".to_owned(), 1, Rule::FileName)]
        );
        assert_eq!(house(&[("graph/mod.rs", ""), ("stack/mod.rs", ""), ("plan/tests.rs", "")]), []);
        assert_eq!(house(&[("plan/tests.rs", ""), ("stack/tests.rs", ""), ("plan/my_tests.rs", "")]), []);
    }

    #[test]
    fn wants_each_public_type_name_once() {
        let first = ("aws/a.rs", "pub struct Token;");
        for second in [
            "\npub struct Token;",
            "\npub enum Token {}",
            "\npub trait Token {}",
            "\npub type Token = u8;",
            "pub mod inner {\npub struct Token; }",
        ] {
            let found = house(&[first, ("kube/b.rs", second)]);
            assert_eq!(found, [("kube/b.rs".to_owned(), 2, Rule::TypeName)], "{second}");
        }
        for fine in
            ["struct Token;", "pub(crate) struct Token;", "#[cfg(test)] mod tests { pub struct Token; }"]
        {
            assert_eq!(house(&[first, ("kube/b.rs", fine)]), [], "{fine}");
        }
        let tests = ("kube/mod.rs", "#[cfg(test)] mod b;");
        assert_eq!(house(&[first, tests, ("kube/b.rs", "pub struct Token;")]), []);
        let list =
            ("resources/mod.rs", "mod b; pub struct Token; const REGISTRY: &[H] = &[H::of::<b::B>()];");
        assert_eq!(house(&[first, list, ("resources/b.rs", "pub struct Token;")]), []);
    }

    #[test]
    fn wants_no_circle_of_files() {
        let a = ("plan/a.rs", "use super::b::B; pub struct A;");
        let circle = [("plan/a.rs".to_owned(), 1, Rule::Circle)];
        assert_eq!(house(&[a, ("plan/b.rs", "pub struct B; fn f(a: super::a::A) {}")]), circle);
        assert_eq!(
            house(&[a, ("plan/b.rs", "use crate::plan::c;"), ("plan/c.rs", "use crate::plan::a;")]),
            circle
        );
        assert_eq!(house(&[a, ("plan/b.rs", "pub struct B;")]), []);
        // A re-export is no import, and stands for the file that declares the name.
        let root = ("plan/mod.rs", "mod a; mod b; pub use a::A; pub use self::b::B;");
        assert_eq!(house(&[root, a, ("plan/b.rs", "pub struct B; fn f(a: crate::plan::A) {}")]), circle);
        assert_eq!(
            house(&[root, ("plan/a.rs", "pub struct A; fn f(b: super::B) {}"), ("plan/b.rs", "")]),
            []
        );
        let root = ("plan/mod.rs", "mod a; pub fn f(a: a::A) {}");
        assert_eq!(house(&[root, ("plan/a.rs", "pub struct A;")]), []);
        assert_eq!(house(&[root, ("plan/a.rs", "fn g() { super::f() }")]), circle);
    }

    #[test]
    fn follows_the_imports_of_python() {
        let circle = |files: &[(&str, &str)]| {
            let modules = files.iter().map(|(name, text)| ((*name).into(), format!("{text}\n"))).collect();
            circles(&python_imports(&modules)).concat().join(" ")
        };
        let b = ("s.b", "from s import a");
        assert_eq!(circle(&[("s.a", "from s.b import f"), b]), "s.a s.b");
        assert_eq!(
            circle(&[("s.a", "import os\nfrom s import (  # all\n    b as c,\n    d,\n)"), b]),
            "s.a s.b"
        );
        assert_eq!(circle(&[("s.a", "def f():\n    from s import b"), b]), "s.a s.b");
        assert_eq!(circle(&[("s.a", "from s import c"), b]), "");
        let package = ("s.p", "from s.p import x\nfrom s import a");
        assert_eq!(circle(&[("s.a", "from s.p.x import f"), package, ("s.p.x", "")]), "s.a s.p");
        assert_eq!(circle(&[package, ("s.p.x", "from s.p import y"), ("s.p.y", ""), ("s.a", "")]), "");
    }

    #[test]
    fn wants_the_list_of_circles_to_be_needed() {
        let tree = [("plan/a.rs", "use super::b;"), ("plan/b.rs", "use super::a;")]
            .map(|(path, text)| Source { path: path.into(), text: text.into() });
        for covering in [&["plan/a.rs", "plan/b.rs"][..], &["plan/"]] {
            assert_eq!(check(&tree, &[covering]), []);
        }
        assert_eq!(check(&tree, &[&["plan/a.rs"], &["plan/b.rs"]]).len(), 3);
    }

    #[test]
    fn leaves_tests_alone_and_nothing_that_only_looks_like_one() {
        let acts = "use crate::engine; use std::fs; fn f() { println!(); std::process::exit(1) }";
        passes("plan/a.rs", &format!("#[cfg(test)] mod tests {{ {acts} }}"));
        passes("plan/a.rs", &format!("#[cfg(all(test, unix))] mod tests {{ {acts} }}"));
        passes("plan/a.rs", &format!("#![cfg(test)] {acts}"));
        assert_eq!(house(&[("plan/mod.rs", "#[cfg(test)] mod cases;"), ("plan/cases.rs", acts)]), []);
        for sham in ["cfg(not(test))", "cfg(any(test, unix))", "cfg(unix)", "doc(test)"] {
            let found = house(&[("plan/a.rs", &format!("#[{sham}] mod tests {{ {acts} }}"))]);
            let rules: BTreeSet<_> = found.into_iter().map(|b| b.2).collect();
            assert_eq!(rules, [Rule::Arrow, Rule::Pure, Rule::Exit, Rule::Print].into(), "{sham}");
        }
    }

    #[test]
    fn reports_what_it_cannot_read_and_accepts_an_empty_tree() {
        breaks("plan/a.rs", "fn f() {}\nfn {", 2, Rule::Parse);
        assert_eq!(house(&[]), []);
        let told = check(&[Source { path: "plan/a.rs".into(), text: "use crate::aws::X;".into() }], &[]);
        let text = told.first().map(ToString::to_string).unwrap_or_default();
        assert!(text.starts_with("src/plan/a.rs:1: plan may not know aws\n"), "{text}");
    }
}
