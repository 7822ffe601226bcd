//! The sandbox's own tests, with pytest and boto3.

use std::{path::Path, process::Command};

#[test]
fn the_sandbox_behaves_like_aws() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sandbox");
    let mut pytest = Command::new(crate::common::python());
    pytest.args(["-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]).current_dir(&folder);
    let output = pytest.env("PYTHONPATH", &folder).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    println!("{}", text.lines().last().unwrap_or_default());
}
