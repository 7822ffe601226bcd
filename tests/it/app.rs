//! The demo application's own tests, with pytest.

use std::{path::Path, process::Command};

#[test]
fn the_application_answers_as_its_readme_says() {
    let python = crate::common::environment("app", "app/requirements-test.txt");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("app");
    let mut pytest = Command::new(python);
    pytest.args(["-B", "-m", "pytest", "-q", "-p", "no:cacheprovider"]).current_dir(&folder);
    let output = pytest.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    println!("{}", text.lines().last().unwrap_or_default());
}
