//! Follows `chown` and `chmod`.
//! Source: <https://pubs.opengroup.org/onlinepubs/9799919799/utilities/chmod.html>

use super::{
    Refusal,
    file_tree::{FOLDER_MODE, FileOwner, TreeNode, below},
    run_scope::RunScope,
    stage_state::StageState,
};

/// The arguments of both programs: options, and paths after the first word.
fn split(arguments: &[String]) -> Option<(bool, &String, Vec<&String>)> {
    let is_option = |word: &&String| {
        [
            "-R",
            "--recursive",
            "-v",
            "-f",
            "-c",
            "-h",
            "--verbose",
            "--silent",
            "--changes",
            "-Rf",
            "-Rv",
            "-fR",
            "-hR",
            "-Rh",
        ]
        .contains(&word.as_str())
    };
    let recursive =
        arguments.iter().any(|word| is_option(&word) && (word.contains('R') || word == "--recursive"));
    let words: Vec<&String> = arguments.iter().filter(|word| !is_option(word)).collect();
    let (first, paths) = words.split_first()?;
    (!paths.is_empty()).then(|| (recursive, *first, paths.to_vec()))
}

/// Changes nodes at paths, or adds a folder for a path that only packages lie below.
fn change(
    state: &mut StageState<'_>,
    scope: &RunScope,
    (recursive, paths): (bool, &[&String]),
    mut apply: impl FnMut(&mut u32, &mut FileOwner, bool),
) -> Result<(), Refusal> {
    for path in paths {
        let whole = scope.path(path);
        let has_packages = state.packages.iter().any(|packages| {
            let folders = packages.site.iter().chain(&packages.scripts);
            folders
                .into_iter()
                .any(|folder| below(&whole, folder).is_some() || below(folder, &whole).is_some())
        });
        if state.tree.change(&whole, recursive, &mut apply) || has_packages {
            continue;
        }
        let is_home = whole.starts_with("home/") && whole.matches('/').count() == 1;
        if is_home {
            let (mut mode, mut owner) = (FOLDER_MODE, FileOwner::default());
            apply(&mut mode, &mut owner, true);
            state.tree.put_in_place(&whole, TreeNode::Folder { mode, owner });
            continue;
        }
        let what = format!(
            "`{path}` is not among the files that this stage adds, so that its permissions are not known"
        );
        return Err(Refusal::new(scope.line, what).hint(super::TWO_WAYS));
    }
    Ok(())
}

/// Follows `chown`.
///
/// # Errors
/// Fails on an unknown user, and on paths of the base.
pub fn change_owner(
    state: &mut StageState<'_>,
    scope: &RunScope,
    arguments: &[String],
) -> Result<(), Refusal> {
    let refused = |what: String| Refusal::new(scope.line, what).hint(super::TWO_WAYS);
    let (recursive, owner, paths) =
        split(arguments).ok_or_else(|| refused("`chown` without an owner and a path".to_owned()))?;
    let (user, group) =
        owner.split_once(':').map_or((owner.as_str(), None), |(user, group)| (user, Some(group)));
    let unknown = || refused(format!("unknown user or group `{owner}`"));
    let found = match user {
        "" => None,
        user => Some(state.accounts.find(user).ok_or_else(unknown)?),
    };
    let group = match group {
        // `USER:` is the group of the user.
        Some("") => found.map(|owner| owner.gid),
        Some(group) => Some(state.accounts.group(group).ok_or_else(unknown)?),
        None => None,
    };
    change(state, scope, (recursive, &paths), |_, owner, _| {
        owner.uid = found.map_or(owner.uid, |found| found.uid);
        owner.gid = group.unwrap_or(owner.gid);
    })
}

/// Follows `chmod`.
///
/// # Errors
/// Fails on a mode that cannot be followed, and on paths of the base.
pub fn change_mode(
    state: &mut StageState<'_>,
    scope: &RunScope,
    arguments: &[String],
) -> Result<(), Refusal> {
    let refused = |what: String| Refusal::new(scope.line, what).hint(super::TWO_WAYS);
    let (recursive, mode, paths) =
        split(arguments).ok_or_else(|| refused("`chmod` without a mode and a path".to_owned()))?;
    new_mode(mode, 0o644, false).ok_or_else(|| refused(format!("unsupported mode `{mode}` of `chmod`")))?;
    change(state, scope, (recursive, &paths), |old, _, is_folder| {
        *old = new_mode(mode, *old, is_folder).unwrap_or(*old);
    })
}

/// Returns the mode after `chmod` with an octal or symbolic mode, or `None` if it is invalid.
fn new_mode(text: &str, old: u32, is_folder: bool) -> Option<u32> {
    if text.chars().all(|char| char.is_digit(8)) {
        return u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o1777);
    }
    let mut mode = old;
    for clause in text.split(',') {
        let at = clause.find(['+', '-', '='])?;
        let (who, rest) = (clause.get(..at)?, clause.get(at..)?);
        let mut chars = rest.chars();
        let sign = chars.next()?;
        let mut bits = 0;
        for char in chars {
            bits |= match char {
                'r' => 0o4,
                'w' => 0o2,
                'x' => 0o1,
                'X' if is_folder || old & 0o111 != 0 => 0o1,
                'X' => 0,
                // The permissions of another class: `g=u`.
                'u' => (old >> 6) & 0o7,
                'g' => (old >> 3) & 0o7,
                'o' => old & 0o7,
                _ => return None,
            };
        }
        let classes = if who.is_empty() || who.contains('a') { "ugo" } else { who };
        for class in classes.chars() {
            let shift = match class {
                'u' => 6,
                'g' => 3,
                'o' => 0,
                _ => return None,
            };
            mode = match sign {
                '+' => mode | (bits << shift),
                '-' => mode & !(bits << shift),
                _ => (mode & !(0o7 << shift)) | (bits << shift),
            };
        }
    }
    Some(mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_changed_as_chmod_changes_them() {
        for (text, old, is_folder, wanted) in [
            ("755", 0o644, false, Some(0o755)),
            ("1777", 0o755, true, Some(0o1777)),
            ("+x", 0o644, false, Some(0o755)),
            ("u+x,g-r", 0o644, false, Some(0o704)),
            ("g=u", 0o750, true, Some(0o770)),
            ("a+rX", 0o600, false, Some(0o644)),
            ("a+rX", 0o700, true, Some(0o755)),
            ("go-rwx", 0o755, true, Some(0o700)),
            ("4755", 0o644, false, None),
            ("u+s", 0o644, false, None),
            ("abc", 0o644, false, None),
        ] {
            assert_eq!(new_mode(text, old, is_folder), wanted, "{text}");
        }
    }
}
