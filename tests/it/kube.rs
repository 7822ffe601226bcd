//! The Kubernetes testbed: its own tests, and its harness for tests in Rust.

use crate::common::kube::{Plane, built, testbed};
use serde_json::json;
use std::process::Command;

#[test]
fn the_testbed_behaves_like_a_cluster_of_eks() {
    if !built() {
        return;
    }
    let mut tests = Command::new(crate::common::python());
    tests.args(["-B", "-m", "unittest", "test_parts", "test_testplane"]).current_dir(testbed());
    let output = tests.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(!text.contains("skipped="), "{text}");
}

#[test]
fn a_plane_starts_is_used_and_leaves_nothing() {
    let Some(plane) = Plane::start("demo") else { return };
    assert_eq!(plane.get(&["nodes"])["items"].as_array().unwrap().len(), 2);
    plane.behave(&json!([{"pod": "bad", "behaviour": {"exit": {"code": 3}}}]));
    for name in ["good", "bad"] {
        plane.kubectl(&["run", name, "--image=nginx"]).with(0);
    }
    plane.kubectl(&["wait", "pod/good", "--for=condition=Ready", "--timeout=90s"]).with(0);
    let crashed = "--for=jsonpath={.status.containerStatuses[0].lastState.terminated.exitCode}=3";
    plane.kubectl(&["wait", "pod/bad", crashed, "--timeout=90s"]).with(0);
    plane.restart();
    let endpoint = plane.endpoint.clone();
    plane.kubectl(&["logs", "good"]).with(0);
    drop(plane);
    let address = endpoint.strip_prefix("https://").unwrap();
    assert!(std::net::TcpStream::connect(address).is_err(), "the API server still listens at {address}");
}
