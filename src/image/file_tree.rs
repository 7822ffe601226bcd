//! The files that a stage of a Dockerfile adds to its base.

use super::hashing::ContentHash;
use serde::Serialize;
use std::{collections::BTreeMap, ops::Bound};

/// User and group of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FileOwner {
    /// Number of the user.
    pub uid: u32,
    /// Number of the group.
    pub gid: u32,
}

/// A file, link or folder of a stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TreeNode {
    /// A file of the build context.
    File {
        /// Path in the context. It does not determine the image.
        #[serde(skip)]
        from: String,
        /// Size in bytes.
        size: u64,
        /// SHA-256 of the content.
        hash: ContentHash,
        /// Permissions.
        mode: u32,
        /// User and group.
        owner: FileOwner,
    },
    /// A file that an instruction writes.
    Text {
        /// Content.
        text: String,
        /// Permissions.
        mode: u32,
        /// User and group.
        owner: FileOwner,
    },
    /// A symbolic link.
    Link {
        /// Target, as written.
        target: String,
    },
    /// A folder.
    Folder {
        /// Permissions.
        mode: u32,
        /// User and group.
        owner: FileOwner,
    },
}

/// Files by their paths in the image, `/`-separated, without a `/` at the beginning.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct FileTree {
    /// The nodes.
    pub nodes: BTreeMap<String, TreeNode>,
}

/// Permissions of a folder that an instruction creates.
pub const FOLDER_MODE: u32 = 0o755;

impl FileTree {
    /// Adds a node. What lies below a folder stays if the node is a folder, too.
    pub fn put_in_place(&mut self, path: &str, node: TreeNode) {
        let was_folder = matches!(self.nodes.get(path), Some(TreeNode::Folder { .. }));
        if was_folder && !matches!(node, TreeNode::Folder { .. }) {
            self.remove(path);
        }
        self.nodes.insert(path.to_owned(), node);
    }

    /// Adds a folder, unless it exists.
    pub fn folder(&mut self, path: &str, owner: FileOwner) {
        if !path.is_empty() && !matches!(self.nodes.get(path), Some(TreeNode::Folder { .. })) {
            self.put_in_place(path, TreeNode::Folder { mode: FOLDER_MODE, owner });
        }
    }

    /// Removes what lies at a path and below it. Returns whether there was anything.
    pub fn remove(&mut self, path: &str) -> bool {
        let before = self.nodes.len();
        self.nodes.retain(|name, _| below(path, name).is_none());
        before != self.nodes.len()
    }

    /// Returns what lies at a path and below it: the rest of the path, which is empty for the path itself, and the node.
    pub fn at(&self, path: &str) -> impl Iterator<Item = (&str, &TreeNode)> {
        let start = self.nodes.range::<str, _>((Bound::Included(path), Bound::Unbounded));
        start
            .take_while(move |(name, _)| name.starts_with(path))
            .filter_map(move |(name, node)| Some((below(path, name)?, node)))
    }

    /// Changes the owners or permissions of what lies at a path and, if asked, below it. Returns whether there was anything.
    pub fn change(
        &mut self,
        path: &str,
        recursive: bool,
        mut change: impl FnMut(&mut u32, &mut FileOwner, bool),
    ) -> bool {
        let mut found = false;
        for (name, node) in &mut self.nodes {
            if !below(path, name).is_some_and(|rest| recursive || rest.is_empty()) {
                continue;
            }
            found = true;
            match node {
                TreeNode::File { mode, owner, .. } | TreeNode::Text { mode, owner, .. } => {
                    change(mode, owner, false);
                }
                TreeNode::Folder { mode, owner } => change(mode, owner, true),
                TreeNode::Link { .. } => {}
            }
        }
        found
    }
}

/// Folders that bases have. They are not written into layers, since they may be links or have other permissions there.
const SYSTEM_FOLDERS: &[&str] = &[
    "bin",
    "boot",
    "dev",
    "etc",
    "home",
    "lib",
    "lib64",
    "media",
    "mnt",
    "opt",
    "proc",
    "root",
    "run",
    "sbin",
    "srv",
    "sys",
    "tmp",
    "usr",
    "usr/bin",
    "usr/lib",
    "usr/local",
    "usr/local/bin",
    "usr/local/lib",
    "usr/local/share",
    "usr/sbin",
    "usr/share",
    "usr/src",
    "var",
    "var/cache",
    "var/lib",
    "var/log",
    "var/run",
    "var/tmp",
];

/// Returns whether a path is a folder of every base.
pub fn is_system_folder(path: &str) -> bool {
    path.is_empty() || SYSTEM_FOLDERS.contains(&path)
}

/// Returns the rest of a path below a folder: empty for the folder itself, `None` outside of it.
pub fn below<'a>(folder: &str, path: &'a str) -> Option<&'a str> {
    match path.strip_prefix(folder)? {
        "" => Some(""),
        rest if folder.is_empty() => Some(rest),
        rest => rest.strip_prefix('/'),
    }
}

/// Joins two parts of a path, of which one may be empty.
pub fn joined(folder: &str, rest: &str) -> String {
    match (folder.is_empty(), rest.is_empty()) {
        (true, _) => rest.to_owned(),
        (_, true) => folder.to_owned(),
        _ => format!("{folder}/{rest}"),
    }
}

/// Resolves a path against a folder, without `.`, `..` and a `/` at the beginning.
pub fn resolved(folder: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{folder}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match part {
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Returns whether a path matches a pattern of Go's `filepath.Match`, part by part.
pub fn is_match(pattern: &str, path: &str) -> bool {
    let (patterns, parts): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    patterns.len() == parts.len()
        && patterns.iter().zip(parts).all(|(pattern, part)| {
            part_matches(&pattern.chars().collect::<Vec<_>>(), &part.chars().collect::<Vec<_>>())
        })
}

/// Matches one part by the set of positions in the pattern that are reachable, so that no pattern takes long.
fn part_matches(pattern: &[char], text: &[char]) -> bool {
    let Some(tokens) = tokens(pattern) else { return false };
    let closed = |mut open: Vec<bool>| {
        for (at, token) in tokens.iter().enumerate() {
            if matches!(token, GlobToken::Any)
                && open.get(at) == Some(&true)
                && let Some(next) = open.get_mut(at.saturating_add(1))
            {
                *next = true;
            }
        }
        open
    };
    let mut open = vec![false; tokens.len().saturating_add(1)];
    if let Some(first) = open.first_mut() {
        *first = true;
    }
    open = closed(open);
    for char in text {
        let mut next = vec![false; open.len()];
        for (at, token) in tokens.iter().enumerate().filter(|(at, _)| open.get(*at) == Some(&true)) {
            let to = match token {
                GlobToken::Any => at,
                GlobToken::One => at.saturating_add(1),
                GlobToken::Char(wanted) if wanted == char => at.saturating_add(1),
                GlobToken::Class { not, ranges }
                    if ranges.iter().any(|(from, to)| (from..=to).contains(&char)) != *not =>
                {
                    at.saturating_add(1)
                }
                _ => continue,
            };
            if let Some(place) = next.get_mut(to) {
                *place = true;
            }
        }
        open = closed(next);
    }
    open.last() == Some(&true)
}

enum GlobToken {
    Any,
    One,
    Char(char),
    Class { not: bool, ranges: Vec<(char, char)> },
}

fn tokens(pattern: &[char]) -> Option<Vec<GlobToken>> {
    let (mut chars, mut found) = (pattern.iter().copied().peekable(), Vec::new());
    while let Some(char) = chars.next() {
        found.push(match char {
            '*' => GlobToken::Any,
            '?' => GlobToken::One,
            '\\' => GlobToken::Char(chars.next()?),
            '[' => {
                let not = chars.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                loop {
                    let first = chars.next()?;
                    if first == ']' && !ranges.is_empty() {
                        break;
                    }
                    let last = if chars.next_if_eq(&'-').is_some() { chars.next()? } else { first };
                    ranges.push((first, last));
                }
                GlobToken::Class { not, ranges }
            }
            char => GlobToken::Char(char),
        });
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_parts() {
        for (pattern, path, wanted) in [
            ("*.py", "a.py", true),
            ("*.py", "a/b.py", false),
            ("a*b?", "axxbc", true),
            ("requirements*.txt", "requirements.txt", true),
            ("package[s-t].x", "packaget.x", true),
            ("[^a]", "a", false),
            ("*/*.toml", "a/b.toml", true),
            ("[", "[", false),
        ] {
            assert_eq!(is_match(pattern, path), wanted, "{pattern} {path}");
        }
    }

    #[test]
    fn paths_are_resolved_and_compared() {
        assert_eq!(resolved("app", "./a//b/../c/"), "app/a/c");
        assert_eq!(resolved("app", "/x/../../y"), "y");
        assert_eq!(below("app", "app/a"), Some("a"));
        assert_eq!(below("app", "apps"), None);
        assert_eq!(below("", "a"), Some("a"));
    }
}
