//! The house rules: who may know whom, and who may act. Parsed with `syn`, not grepped, so a rename,
//! a nested group, `super::super`, or a path inside a macro does not slip by. The map they guard is
//! in `docs/ARCHITECTURE.md`. Change a rule here only together with the map.
//!
//! `#[cfg(test)]` modules are outside every rule about names; line counts count them.

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
    ("aws", &["model"]),
    ("store", &["model", "aws"]),
    ("kube", &["model", "aws"]),
    ("image", &["model", "aws"]),
    ("resources", &["model", "aws", "kube", "image"]),
    ("engine", &["model", "plan", "resources", "aws", "store"]),
    ("ui", &["model"]),
    ("sandbox", &["model"]),
    ("cli", &["*"]),
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

const PRINTS: &[&str] = &["print", "println", "eprint", "eprintln", "dbg"];
const MAY_PRINT: &[&str] = &["ui", "cli"];

/// Files in `src/resources/` that hold no kind of their own.
const RESOURCE_HELPERS: &[&str] = &["handler.rs", "node_terms.rs"];

const MAX_LINES: usize = 400;
const MAX_MAIN_LINES: usize = 40;
/// Files that may be longer for now, each with the issue that will divide it. An entry that is no
/// longer needed fails too.
const LONG_FILES: &[&str] = &[];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rule {
    Parse,
    Room,
    Arrow,
    Pure,
    Sleep,
    Exit,
    Print,
    Iam,
    Registry,
    Length,
}

impl Rule {
    /// Why the rule is there: what whoever broke it reads.
    fn why(self) -> &'static str {
        match self {
            Self::Parse => "a file that cannot be read cannot be checked",
            Self::Room => {
                "every file lives in a room of the map in tests/house.rs; lib.rs holds the module list alone"
            }
            Self::Arrow => {
                "rooms know only the rooms on their arrow, so that each can be read and tested alone"
            }
            Self::Pure => {
                "model, stack, graph and plan decide and never act: give them what they need as a value"
            }
            Self::Sleep => {
                "waiting belongs to the engine, where it is paced, reported and can be interrupted"
            }
            Self::Exit => {
                "only main exits: elsewhere it would skip saving the state and giving the lock back"
            }
            Self::Print => {
                "only ui and cli print, so that --json stays clean: send an Event or return the text"
            }
            Self::Iam => {
                "a kind's IAM names every call it makes: `provisioner policy` is made from it, and no more is granted"
            }
            Self::Registry => {
                "a kind that is not in resources::REGISTRY is never observed, and so never deleted"
            }
            Self::Length => "look for the wall that is missing",
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

/// Somebody named something.
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

    /// Macros are not parsed by anybody before they are expanded: find the paths by their shape.
    fn tokens(&mut self, stream: TokenStream, prefix: &[String]) {
        let mut run = Run::start(prefix);
        let mut tokens = stream.into_iter().peekable();
        while let Some(token) = tokens.next() {
            match token {
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
    /// A `::` came last, or the path goes on from the prefix of a `use` group.
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

/// `crate::resources::vpc`, `...::vpc::Spec`, `...::vpc::VpcSpec::default`; nothing that acts.
fn spec_only(path: &[String], modules: &BTreeSet<Vec<String>>) -> bool {
    let below_crate = path.get(1..).unwrap_or_default();
    match below_crate.iter().find(|name| !name.starts_with(char::is_lowercase)) {
        Some(first_item) => first_item.ends_with("Spec"),
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

/// The house: every file of `src/`, and what is wrong with it.
fn check(tree: &[Source]) -> Vec<Breach> {
    let mut breaches = vec![];
    let mut parsed = vec![];
    for source in tree {
        let too_long = if source.path == "main.rs" { MAX_MAIN_LINES } else { MAX_LINES };
        let excused = LONG_FILES.contains(&source.path.as_str());
        if (source.lines() > too_long) != excused {
            let what = if excused {
                "is short enough now: take it off LONG_FILES".to_owned()
            } else {
                format!("has {} lines, {too_long} are the most", source.lines())
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
    breaches.sort();
    // one line for each thing, at its first place
    let mut seen = BTreeSet::new();
    breaches.retain(|b| seen.insert((b.file.clone(), b.rule, b.what.clone())));
    breaches
}

fn breach(source: &Source, line: usize, rule: Rule, what: String) -> Breach {
    Breach { file: source.path.clone(), line, rule, what }
}

fn names_breached(source: &Source, mentions: &[Mention], modules: &BTreeSet<Vec<String>>) -> Vec<Breach> {
    let module = source.module();
    let room = module.first().map_or("", String::as_str);
    let may = ROOMS.iter().find(|(name, _)| *name == room).map(|(_, may)| *may);
    let mut out = vec![];
    if may.is_none() && !["main", "lib"].contains(&room) {
        out.push(breach(source, 1, Rule::Room, format!("{room} is no room of this house")));
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
        for (items, rooms, rule) in [(SLEEPS, MAY_SLEEP, Rule::Sleep), (EXITS, MAY_EXIT, Rule::Exit)] {
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
    let all: Vec<_> = parsed
        .iter()
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
    for (source, calls) in all.iter().filter(|(source, _)| !source.path.starts_with("resources/")) {
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
        out.push(breach(ledger, 1, Rule::Iam, format!("{BESIDE} names {action}, which nobody declares")));
    }
    out
}

/// The calls that a kind makes, and those that it declares.
#[derive(Default)]
struct Calls {
    made: Vec<(String, usize)>,
    declared: BTreeSet<String>,
}

/// Services whose operations and IAM actions have different names.
const NAMED_OTHERWISE: [&str; 2] = ["s3", "tag"];

impl<'ast> Visit<'ast> for Calls {
    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let text = |arg: &syn::Expr| match arg {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        };
        let args: Vec<_> = call.args.iter().filter_map(text).collect();
        if let (true, [service, operation]) = (call.method == "call", args.as_slice())
            && !NAMED_OTHERWISE.contains(&service.as_str())
        {
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
        if item.ident == "IAM" {
            self.declared.extend(strings(&item.expr));
        }
    }
}

/// The strings in an array.
fn strings(value: &syn::Expr) -> Vec<String> {
    match value {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => vec![text.value()],
        syn::Expr::Reference(to) => strings(&to.expr),
        syn::Expr::Array(array) => array.elems.iter().flat_map(strings).collect(),
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

#[test]
fn the_house_stands() {
    let mut tree = vec![];
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut tree).unwrap();
    assert!(tree.iter().any(|source| source.path == "lib.rs"), "src/lib.rs is missing: nothing was checked");
    let breaches = check(&tree);
    let text: Vec<_> = breaches.iter().map(ToString::to_string).collect();
    assert!(breaches.is_empty(), "{} house rule(s) broken\n\n{}\n", breaches.len(), text.join("\n\n"));
}

/// The checker checked: each rule must be able to fail, and must leave what is right alone.
mod the_checker {
    use super::*;

    /// What is wrong in a house of these files.
    fn house(files: &[(&str, &str)]) -> Vec<(String, usize, Rule)> {
        let tree: Vec<_> =
            files.iter().map(|(path, text)| Source { path: (*path).into(), text: (*text).into() }).collect();
        check(&tree).into_iter().map(|b| (b.file, b.line, b.rule)).collect()
    }

    /// One file breaks exactly one rule, on that line.
    #[track_caller]
    fn breaks(path: &str, text: &str, line: usize, rule: Rule) {
        assert_eq!(house(&[(path, text)]), [(path.to_owned(), line, rule)], "{path}: {text}");
    }

    #[track_caller]
    fn stands(path: &str, text: &str) {
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
        stands(
            "plan/a.rs",
            "fn f() { x!(a != b, c: crate::model::X, d::<crate::plan::Y>(), \"std::fs is a name\") }",
        );
        stands("plan/a.rs", "m! { pub(crate) struct S { fs: u8 } }");
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
        stands("plan/mod.rs", "mod kube; use kube::Order; fn f() { kube::x() }");
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
                let found = house(&[registry, (&path, &text)]);
                let allowed = to == *room || may.contains(&to) || may.contains(&"*");
                assert_eq!(found.is_empty(), allowed, "{room} -> {to}: {found:?}");
            }
        }
        stands("main.rs", "use provisioner::cli; fn main() { std::process::exit(cli::main()) }");
        stands("lib.rs", "//! The map.\npub mod model;\npub mod aws;");
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
            stands(
                &format!("{room}/a.rs"),
                "use std::time::Duration; use uuid::Uuid; fn f(kube: u8) { kube }",
            );
            breaks(&format!("{room}/a.rs"), "fn f() { println!() }", 1, Rule::Print);
            assert_eq!(house(&[(&format!("{room}/a.rs"), "use std::time::*;")]).len(), 2);
        }
        stands("aws/a.rs", "use std::{fs, env}; use tokio::sync::mpsc; use aws_sdk_ec2::Client;");
    }

    #[test]
    fn says_who_may_sleep_exit_and_print() {
        let sleep = "async fn f() { tokio::time::sleep(d).await }";
        for bad in ["aws/a.rs", "kube/a.rs", "ui/a.rs", "cli/up.rs", "main.rs"] {
            breaks(bad, sleep, 1, Rule::Sleep);
        }
        for fine in
            ["engine/wait.rs", "store/lease.rs", "sandbox/mod.rs", "cli/status.rs", "cli/status/watch.rs"]
        {
            stands(fine, sleep);
        }
        for exit in [
            "fn f() { std::process::exit(1) }",
            "use std::process::exit;",
            "use std::process; fn f() { process::exit(1) }",
            "use std::process::*; fn f() { abort() }",
        ] {
            assert!(house(&[("cli/up.rs", exit)]).iter().all(|b| b.2 == Rule::Exit));
            assert!(!house(&[("cli/up.rs", exit)]).is_empty(), "{exit}");
            stands("main.rs", exit);
        }
        for name in PRINTS {
            let print = format!("fn f() {{ {name}!(\"x\") }}");
            breaks("engine/run.rs", &print, 1, Rule::Print);
            breaks("main.rs", &print, 1, Rule::Print);
            stands("cli/url.rs", &print);
            stands("ui/text.rs", &print);
        }
        stands("engine/run.rs", "fn f(print: P) { print.line(); writeln!(out, \"x\") }");
    }

    #[test]
    fn wants_the_calls_declared_and_a_line_in_the_registry_of_every_kind() {
        let kind = |iam: &str| {
            let call = "fn f() { x.send().await.call(\"ec2\", \"CreateVpc\")?; }";
            format!(
                "impl Resource for Vpc {{ const IAM: &'static [&'static str] = &[\"{iam}\"]; }}\n{call}\n"
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
        let asks = ("aws/ask.rs", "fn f() { x.send().await.call(\"sts\", \"GetCallerIdentity\")?; }");
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
        stands("cli/up.rs", &lines(MAX_LINES));
        breaks("cli/up.rs", &lines(MAX_LINES + 1), MAX_LINES, Rule::Length);
        stands("main.rs", &lines(MAX_MAIN_LINES));
        breaks("main.rs", &lines(MAX_MAIN_LINES + 1), MAX_MAIN_LINES, Rule::Length);
        assert!(LONG_FILES.is_empty(), "the list was meant to stay empty");
    }

    #[test]
    fn leaves_tests_alone_and_nothing_that_only_looks_like_one() {
        let acts = "use crate::engine; use std::fs; fn f() { println!(); std::process::exit(1) }";
        stands("plan/a.rs", &format!("#[cfg(test)] mod tests {{ {acts} }}"));
        stands("plan/a.rs", &format!("#[cfg(all(test, unix))] mod tests {{ {acts} }}"));
        stands("plan/a.rs", &format!("#![cfg(test)] {acts}"));
        assert_eq!(house(&[("plan/mod.rs", "#[cfg(test)] mod cases;"), ("plan/cases.rs", acts)]), []);
        for sham in ["cfg(not(test))", "cfg(any(test, unix))", "cfg(unix)", "doc(test)"] {
            let found = house(&[("plan/a.rs", &format!("#[{sham}] mod tests {{ {acts} }}"))]);
            let rules: BTreeSet<_> = found.into_iter().map(|b| b.2).collect();
            assert_eq!(rules, [Rule::Arrow, Rule::Pure, Rule::Exit, Rule::Print].into(), "{sham}");
        }
    }

    #[test]
    fn reports_what_it_cannot_read_and_stands_in_an_empty_house() {
        breaks("plan/a.rs", "fn f() {}\nfn {", 2, Rule::Parse);
        assert_eq!(house(&[]), []);
        let told = check(&[Source { path: "plan/a.rs".into(), text: "use crate::aws::X;".into() }]);
        let text = told.first().map(ToString::to_string).unwrap_or_default();
        assert!(text.starts_with("src/plan/a.rs:1: plan may not know aws\n"), "{text}");
    }
}
