//! Which packages lock files name.

#![allow(clippy::unwrap_used)]

use super::*;

const HASH: &str = "sha256:361ca0950cc7082f53fa69e9328409f40a62c61e57e0a47e1825a08078a58a53";

fn lock(form: LockForm, text: &str, extras: &[&str], groups: &[&str]) -> LockFile {
    let set = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect();
    LockFile {
        form,
        file: "lock".to_owned(),
        text: text.replace("HASH", HASH),
        project:
            "[tool.poetry.dependencies]\npython = '^3.12'\na = '1'\nx = {version = '1', optional = true}\n\
            [tool.poetry.group.dev.dependencies]\nt = '1'\n"
                .to_owned(),
        extras: set(extras),
        groups: set(groups),
        only_groups: false,
    }
}

fn names(lock: &LockFile) -> String {
    let lines = lock.lines("3.12", ImagePlatform::Amd64).unwrap();
    assert!(lines.iter().all(|line| line.ends_with(&format!("--hash={HASH}"))), "{lines:?}");
    let names: Vec<&str> = lines.iter().filter_map(|line| line.split(' ').next()).collect();
    names.join(" ")
}

const UV: &str = r#"
version = 1
[[package]]
name = "shop"
version = "0.1.0"
source = { virtual = "." }
dependencies = [{ name = "a" }, { name = "b", extra = ["more"] }, { name = "w", marker = "sys_platform == 'win32'" }]
[package.optional-dependencies]
db = [{ name = "d" }]
[package.dev-dependencies]
dev = [{ name = "t" }]
[[package]]
name = "a"
version = "1"
source = { registry = "https://example.com/simple" }
dependencies = [{ name = "b" }]
wheels = [{ url = "https://example.com/a.whl", hash = "HASH" }]
[[package]]
name = "b"
version = "2"
source = { registry = "https://example.com/simple" }
wheels = [{ url = "https://example.com/b.whl", hash = "HASH" }]
[package.optional-dependencies]
more = [{ name = "c" }]
[[package]]
name = "c"
version = "3"
source = { registry = "https://example.com/simple" }
wheels = [{ url = "https://example.com/c.whl", hash = "HASH" }]
[[package]]
name = "d"
version = "4"
source = { registry = "https://example.com/simple" }
wheels = [{ url = "https://example.com/d.whl", hash = "HASH" }]
[[package]]
name = "t"
version = "5"
source = { git = "https://example.com/t" }
[[package]]
name = "w"
version = "6"
source = { registry = "https://example.com/simple" }
"#;

#[test]
fn uv_locks_are_followed_from_the_project() {
    assert_eq!(names(&lock(LockForm::Uv, UV, &[], &[])), "a==1 b==2 c==3");
    assert_eq!(names(&lock(LockForm::Uv, UV, &["db"], &[])), "a==1 b==2 c==3 d==4");
    let refused = lock(LockForm::Uv, UV, &[], &["dev"]).lines("3.12", ImagePlatform::Amd64).unwrap_err();
    assert!(refused.what.contains("`t` does not come from a package index"), "{refused:?}");
    let refused = lock(LockForm::Uv, "x", &[], &[]).lines("3.12", ImagePlatform::Amd64).unwrap_err();
    assert!(refused.what.starts_with("invalid lock file"), "{refused:?}");
    let text = UV.replace("wheels = [{ url = \"https://example.com/c.whl\", hash = \"HASH\" }]", "");
    let refused = lock(LockForm::Uv, &text, &[], &[]).lines("3.12", ImagePlatform::Amd64).unwrap_err();
    assert!(refused.what.contains("package `c` 3 has no wheel"), "{refused:?}");
}

#[test]
fn poetry_locks_name_groups_or_are_followed() {
    let package = |name: &str, rest: &str| {
        format!(
            "[[package]]\nname = \"{name}\"\nversion = \"1\"\n{rest}\nfiles = [\n{{file = \"{name}.whl\", hash = \"HASH\"}},\n\
             {{file = \"{name}.tar.gz\", hash = \"sha256:00\"}}]\n"
        )
    };
    let new = [
        package("a", "optional = false\ngroups = [\"main\"]"),
        package("t", "optional = false\ngroups = [\"dev\"]"),
        package("w", "optional = false\ngroups = [\"main\"]\nmarkers = \"sys_platform == 'win32'\""),
        package("x", "optional = true\ngroups = [\"main\"]\nmarkers = \"extra == 'db'\""),
    ]
    .concat()
        + "[extras]\ndb = [\"x\"]\n";
    assert_eq!(names(&lock(LockForm::Poetry, &new, &[], &[])), "a==1");
    assert_eq!(names(&lock(LockForm::Poetry, &new, &["db"], &["dev"])), "a==1 t==1 x==1");
    let old = [
        package("A", "optional = false")
            + "[package.dependencies]\nb_c = {version = \"*\", markers = \"python_version < '3.13'\"}\n",
        package("b-c", "optional = false"),
        package("t", "optional = false"),
        package("x", "optional = true"),
    ]
    .concat()
        + "[extras]\ndb = [\"x\"]\n";
    assert_eq!(names(&lock(LockForm::Poetry, &old, &[], &[])), "A==1 b-c==1");
    assert_eq!(names(&lock(LockForm::Poetry, &old, &["*"], &["dev"])), "A==1 b-c==1 t==1 x==1");
}

#[test]
fn pylock_names_the_wheels_of_each_package() {
    let hex = HASH.trim_start_matches("sha256:");
    let text = format!(
        "lock-version = '1.0'\n[[packages]]\nname = 'a'\nversion = '1'\n[[packages.wheels]]\nurl = 'x'\n\
         hashes = {{sha256 = '{hex}'}}\n[[packages]]\nname = 'w'\nversion = '1'\nmarker = \"os_name == 'nt'\"\n"
    );
    assert_eq!(names(&lock(LockForm::Pylock, &text, &[], &[])), "a==1");
    assert_eq!(normalized("Zope.Interface__x"), "zope-interface-x");
}
