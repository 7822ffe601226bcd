//! Follows COPY and ADD: files of the build context, and files and packages of other stages.
//! Source: <https://docs.docker.com/reference/dockerfile/#copy>

use super::{
    Refusal,
    build_context::ContextEntry,
    file_tree::{FileOwner, TreeNode, below, is_match, is_system_folder, joined, resolved},
    lexer::words,
    packages::Packages,
    stage_state::StageState,
};
use std::collections::BTreeSet;

/// The arguments of a COPY or ADD.
#[derive(Debug, PartialEq)]
pub struct CopyArguments {
    /// The stage or image that files are copied from; `None` for the build context.
    pub from: Option<String>,
    chown: Option<String>,
    chmod: Option<u32>,
    sources: Vec<String>,
    target: String,
}

impl CopyArguments {
    /// Returns whether one folder is copied to the same path.
    pub fn is_exactly(&self, state: &StageState<'_>, path: &str) -> bool {
        matches!(self.sources.as_slice(), [source] if resolved("", source) == path)
            && state.path(&self.target) == path
    }
}

/// Reads the arguments.
///
/// # Errors
/// Fails on options and sources that are not supported.
pub fn arguments(
    state: &StageState<'_>,
    line: usize,
    name: &str,
    rest: &str,
) -> Result<CopyArguments, Refusal> {
    let get = |name: &str| state.variable(name);
    let refused = |what: String| Refusal::new(line, what).hint(super::TWO_WAYS);
    let mut found =
        CopyArguments { from: None, chown: None, chmod: None, sources: Vec::new(), target: String::new() };
    let mut text = rest;
    while let Some(option) = text.strip_prefix("--") {
        let (option, after) = option.split_once(char::is_whitespace).unwrap_or((option, ""));
        text = after.trim_start();
        let option = words(line, option, &get)?.concat();
        let (key, value) = option.split_once('=').unwrap_or((&option, "true"));
        match key {
            "from" => found.from = Some(value.to_owned()),
            "chown" => found.chown = Some(value.to_owned()),
            "chmod" => {
                let mode = u32::from_str_radix(value, 8).ok().filter(|mode| *mode <= 0o777);
                found.chmod = Some(mode.ok_or_else(|| refused(format!("unsupported mode `{value}`")))?);
            }
            // Changes how the layer is stacked, not which files it has.
            "link" => {}
            _ => return Err(refused(format!("unsupported option `--{option}` of {name}"))),
        }
    }
    if text.contains("<<") {
        return Err(refused(format!("{name} of a here-document")));
    }
    let mut places = match serde_json::from_str::<Vec<String>>(text) {
        Ok(list) => list,
        Err(_) => words(line, text, &get)?,
    };
    let target = places.pop().filter(|_| !places.is_empty());
    found.target =
        target.ok_or_else(|| refused(format!("{name} without a source and a target (`{rest}`)")))?;
    if name == "ADD" {
        let archive = |path: &str| {
            [".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"].iter().any(|end| path.ends_with(end))
        };
        if let Some(source) =
            places.iter().find(|path| path.contains("://") || path.starts_with("git@") || archive(path))
        {
            return Err(refused(format!("ADD of a URL or an archive (`{source}`)")));
        }
    }
    found.sources = places;
    Ok(found)
}

fn owner(state: &StageState<'_>, line: usize, arguments: &CopyArguments) -> Result<FileOwner, Refusal> {
    let Some(text) = &arguments.chown else { return Ok(FileOwner::default()) };
    let found = if let Some(group) = text.strip_prefix(':') {
        state.accounts.group(group).map(|gid| FileOwner { uid: 0, gid })
    } else {
        // Unlike a login, `--chown=1000` also sets the group.
        let plain = text.parse::<u32>().ok().map(|id| FileOwner { uid: id, gid: id });
        plain.or_else(|| state.accounts.find(text))
    };
    found.ok_or_else(|| {
        Refusal::new(line, format!("unknown user or group `{text}`"))
            .hint("create it with `useradd` or `adduser` in an earlier line, or write its number")
    })
}

/// Copies files of the build context.
///
/// # Errors
/// Fails if a source does not exist, and on an unknown owner.
pub fn from_context(
    state: &mut StageState<'_>,
    line: usize,
    arguments: &CopyArguments,
) -> Result<(), Refusal> {
    let owner = owner(state, line, arguments)?;
    let context = state.inputs.context;
    let mut roots: Vec<String> = Vec::new();
    for source in &arguments.sources {
        let pattern = resolved("", source);
        let found: BTreeSet<String> = if pattern.contains(['*', '?', '[']) {
            let depth = pattern.matches('/').count();
            let heads = context.entries.iter().filter_map(|(path, _)| {
                let head: Vec<&str> = path.split('/').take(depth.saturating_add(1)).collect();
                Some(head.join("/")).filter(|head| is_match(&pattern, head))
            });
            heads.collect()
        } else {
            context
                .entries
                .iter()
                .any(|(path, _)| below(&pattern, path).is_some())
                .then_some(pattern)
                .into_iter()
                .collect()
        };
        // A pattern that matches nothing is no error beside other sources: `COPY app.py settings.toml* ./`.
        let is_last = arguments.sources.last() == Some(source);
        if found.is_empty() && (!source.contains(['*', '?', '[']) || is_last && roots.is_empty()) {
            return Err(Refusal::new(line, format!("`{source}` is not in the build context"))
                .hint("correct the path, or keep it in .dockerignore: a line with `!` and the path"));
        }
        roots.extend(found);
    }
    let into_folder = arguments.target.ends_with('/') || roots.len() > 1;
    for root in roots {
        let target = state.path(&arguments.target);
        let start = context.entries.partition_point(|(path, _)| path.as_bytes() < root.as_bytes());
        for (path, entry) in context.entries.iter().skip(start) {
            let Some(rest) = below(&root, path) else {
                if path.starts_with(&root) {
                    continue;
                }
                break;
            };
            let to = match rest {
                "" => file_target(state, &target, into_folder, path),
                rest => joined(&target, rest),
            };
            let node = match entry {
                ContextEntry::Link { target } => TreeNode::Link { target: target.clone() },
                ContextEntry::File { executable, size, hash } => TreeNode::File {
                    from: path.clone(),
                    size: *size,
                    hash: *hash,
                    mode: arguments.chmod.unwrap_or(if *executable { 0o755 } else { 0o644 }),
                    owner,
                },
            };
            put(state, &to, node, owner);
        }
    }
    Ok(())
}

/// Returns where a single file goes: into the target if that is a folder, else to the target.
fn file_target(state: &StageState<'_>, target: &str, into_folder: bool, path: &str) -> String {
    let is_folder = into_folder
        || is_system_folder(target)
        || state.tree.nodes.get(target).is_some_and(|node| matches!(node, TreeNode::Folder { .. }))
        || state.tree.at(target).any(|(rest, _)| !rest.is_empty());
    let name = path.rsplit('/').next().unwrap_or_default();
    if is_folder { joined(target, name) } else { target.to_owned() }
}

/// Adds a node, and its folders if they belong to a user.
fn put(state: &mut StageState<'_>, path: &str, node: TreeNode, owner: FileOwner) {
    if owner != FileOwner::default() {
        let ends: Vec<usize> = path.match_indices('/').map(|(at, _)| at).collect();
        for end in ends {
            let folder = path.get(..end).unwrap_or_default();
            if !is_system_folder(folder) {
                state.tree.folder(folder, owner);
            }
        }
    }
    match node {
        TreeNode::Folder { .. } if is_system_folder(path) => {}
        TreeNode::Folder { .. } if matches!(state.tree.nodes.get(path), Some(TreeNode::Folder { .. })) => {}
        node => state.tree.put_in_place(path, node),
    }
}

/// Copies files and packages of another stage.
///
/// # Errors
/// Fails on paths of which it is not known what they hold: those of the stage's base, and what a command makes.
pub fn from_stage(
    state: &mut StageState<'_>,
    from: &StageState<'_>,
    line: usize,
    arguments: &CopyArguments,
) -> Result<(), Refusal> {
    let owner = owner(state, line, arguments)?;
    let several = arguments.sources.len() > 1 || arguments.target.ends_with('/');
    for source in &arguments.sources {
        let (source, target) = (resolved("", source), state.path(&arguments.target));
        let refused = |why: &str| {
            Refusal::new(
                line,
                format!("`/{source}` of the stage `{}` {why}", arguments.from.as_deref().unwrap_or_default()),
            )
            .hint(super::TWO_WAYS)
        };
        if source.is_empty() {
            return Err(refused("includes the files of its base image"));
        }
        let mut found = false;
        for (rest, node) in from.tree.at(&source) {
            found = true;
            let is_file = rest.is_empty() && !matches!(node, TreeNode::Folder { .. });
            let to = match is_file {
                true => file_target(state, &target, several, &source),
                false => joined(&target, rest),
            };
            let mut node = node.clone();
            if let TreeNode::File { mode, owner: of, .. } | TreeNode::Text { mode, owner: of, .. } = &mut node
            {
                *mode = arguments.chmod.unwrap_or(*mode);
                *of = owner;
            }
            if let TreeNode::Folder { owner: of, .. } = &mut node {
                *of = owner;
            }
            put(state, &to, node, owner);
        }
        let moved = |folder: &Option<String>| {
            let folder = folder.as_ref()?;
            below(&source, folder).map(|rest| joined(&target, rest))
        };
        for packages in &from.packages {
            if packages.site.as_ref().is_some_and(|site| site != &source && below(site, &source).is_some()) {
                return Err(refused("is a part of the installed packages"));
            }
            let mut scripts = moved(&packages.scripts);
            // One program of several: the others do no harm.
            if packages
                .scripts
                .as_ref()
                .is_some_and(|scripts| below(scripts, &source).is_some_and(|rest| !rest.is_empty()))
            {
                let is_name = target.rsplit('/').next() == source.rsplit('/').next();
                let folder = target.rsplit_once('/').map_or("", |(folder, _)| folder);
                scripts = Some(if is_name { folder.to_owned() } else { target.clone() });
            }
            let site = moved(&packages.site);
            if site.is_some() || scripts.is_some() {
                found = true;
                add(state, Packages { site, scripts, ..packages.clone() });
            }
        }
        for venv in &from.venvs {
            if let Some(rest) = below(&source, venv) {
                state.venvs.insert(joined(&target, rest));
                found = true;
            }
        }
        if !found {
            return Err(refused("comes from its base image, or from a command that has to run"));
        }
    }
    Ok(())
}

/// Adds packages. Two copies of the same packages, one of the modules and one of the scripts, are one.
fn add(state: &mut StageState<'_>, new: Packages) {
    let same = |old: &&mut Packages| {
        old.installs == new.installs
            && (old.site.is_none() || new.site.is_none() || old.site == new.site)
            && (old.scripts.is_none() || new.scripts.is_none() || old.scripts == new.scripts)
    };
    if let Some(old) = state.packages.iter_mut().find(same) {
        old.site = old.site.take().or(new.site);
        old.scripts = old.scripts.take().or(new.scripts);
    } else {
        state.packages.push(new);
    }
}
