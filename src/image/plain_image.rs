//! The image that earlier versions of this program built: the build context in `/app`, and the wheels of
//! `requirements.txt` in `/app/site-packages`. Its tag is still the one that they gave it.

use super::{
    build_context::{BuildContext, ContextEntry},
    build_stage::BuildStage,
    dockerfile::SITE,
    file_tree::{FOLDER_MODE, FileOwner, FileTree, TreeNode},
    packages::{Install, Packages},
};

/// Folder of the build context.
const HOME: &str = "app";

/// Text of requirements for a plain image without wheels.
pub const NONE: &str = "\0";

/// Returns the text of `requirements.txt` for a plain image ([`NONE`] without wheels), and `None` for another image.
pub fn requirements(
    stage: &BuildStage,
    tree: &FileTree,
    packages: &[Packages],
    context: &BuildContext,
) -> Option<String> {
    let text = match packages {
        [] => NONE.to_owned(),
        [one] if one.site.as_deref() == Some(SITE) && one.scripts.is_none() => {
            match one.installs.as_slice() {
                [Install::Requirements(one)] if one.is_plain() => one.text.clone(),
                _ => return None,
            }
        }
        _ => return None,
    };
    let is_plain = |(path, entry): &(String, ContextEntry)| {
        let node = tree.nodes.get(&format!("{HOME}/{path}"));
        match (entry, node) {
            (ContextEntry::Link { target: a }, Some(TreeNode::Link { target: b })) => a == b,
            (ContextEntry::File { executable, .. }, Some(TreeNode::File { from, mode, owner, .. })) => {
                from == path
                    && *mode == if *executable { 0o755 } else { 0o644 }
                    && *owner == FileOwner::default()
            }
            _ => false,
        }
    };
    let is_home = |(path, node): (&String, &TreeNode)| {
        path == HOME && *node == TreeNode::Folder { mode: FOLDER_MODE, owner: FileOwner::default() }
    };
    let homes = tree.nodes.iter().filter(|one| is_home(*one)).count();
    let same = context.entries.iter().all(is_plain)
        && tree.nodes.len() == context.entries.len().saturating_add(homes);
    (same && stage.volumes.is_empty()).then_some(text)
}
