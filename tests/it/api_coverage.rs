//! `docs/API_COVERAGE.md`: what sets each parameter of the create calls. `tests/api_coverage/table.py` prints the page, or names
//! each parameter without a decision and each decision that is untrue. `PROVISIONER_TABLE=update` rewrites the page.

use crate::common::{Ended, python};
use provisioner::stack;
use std::{fs, path::Path, process::Command};

#[test]
fn every_parameter_of_a_create_call_has_a_decision() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let schema = tempfile::NamedTempFile::new().unwrap();
    fs::write(schema.path(), stack::schema().to_string()).unwrap();
    let mut script = Command::new(python());
    script.args(["-I", "-B"]).arg(root.join("tests/api_coverage/table.py")).stdin(schema.reopen().unwrap());
    let made = Ended::of(&script.output().unwrap()).with(0).out;
    let page = root.join("docs/API_COVERAGE.md");
    if std::env::var("PROVISIONER_TABLE").as_deref() == Ok("update") {
        fs::write(&page, &made).unwrap();
    }
    assert_eq!(fs::read_to_string(&page).unwrap(), made, "PROVISIONER_TABLE=update rewrites the page");
}
