//! A Kubernetes cluster on loopback: a real API server, EKS tokens, nodes that pretend (`tests/kube/README.md`).

use super::{Ended, python};
use provisioner::{
    aws::{ClusterEndpoint, ServiceEndpoint, connect},
    kube::KubeClient,
    model::AccessKey,
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    time::{Duration, Instant},
};

/// Exit code of the testbed if Go, which builds the control plane, is missing.
const NO_GO: i32 = 3;

/// How long the end of a cluster may take; it kills what it started, and waits for nothing.
const STOP: Duration = Duration::from_secs(20);

/// Who calls by the keys that this program uses with the sandbox.
pub const CALLER: &str = "arn:aws:iam::123456789012:role/caller";

/// The folder of the testbed.
pub fn testbed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kube")
}

/// Whether the control plane is there, built where it was not. Where there is no Go, says that the test is skipped,
/// and why; in CI, that is a failure.
pub fn built() -> bool {
    // The first build takes minutes, and tells how far it is: past the test's captured output.
    let status = testplane("build").stdout(Stdio::null()).stderr(Stdio::inherit()).status().unwrap();
    if status.code() == Some(NO_GO) && std::env::var_os("CI").is_none_or(|ci| ci != "true") {
        eprintln!("skipped: no Kubernetes API server, for the reason above");
        return false;
    }
    assert!(status.success(), "the Kubernetes control plane could not be built, for the reason above");
    true
}

/// The kubectl of the control plane's own version, where there is one (see `built`).
pub fn kubectl() -> Option<PathBuf> {
    if !built() {
        return None;
    }
    let output = testplane("build").output().unwrap();
    let program = String::from_utf8(output.stdout).unwrap();
    Some(Path::new(program.trim()).with_file_name("kubectl"))
}

fn testplane(command: &str) -> Command {
    let mut program = Command::new(python());
    program.arg("-B").arg(testbed().join("testplane.py")).arg(command).stdin(Stdio::null());
    program
}

/// A cluster that ends with this value, or with this process, however that ends.
pub struct Plane {
    /// `https://127.0.0.1:PORT`
    pub endpoint: String,
    /// The authority's certificate in base64, as EKS's `certificateAuthority.data`.
    pub ca: String,
    /// A kubeconfig of `system:masters`, whole in itself.
    pub admin_kubeconfig: PathBuf,
    /// The kubectl of the control plane's own version.
    pub kubectl: PathBuf,
    identities: PathBuf,
    behaviour: PathBuf,
    folder: tempfile::TempDir,
    process: Child,
    lifeline: Option<ChildStdin>,
}

impl Plane {
    /// A cluster of this name in eu-central-1, with two nodes; `None` where there can be none (see `built`).
    pub fn start(cluster: &str) -> Option<Self> {
        Self::with(cluster, &[])
    }

    /// The same, with more options of `testplane.py run`.
    pub fn with(cluster: &str, options: &[&str]) -> Option<Self> {
        if !built() {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let mut command = testplane("run");
        command
            .args(["--cluster", cluster, "--region", "eu-central-1", "--dir"])
            .arg(folder.path())
            .args(options);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lifeline = process.stdin.take();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        // Why it did not start is on its standard error, which is the test's.
        let found: Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("the cluster did not start: {error}"));
        let text = |name: &str| found[name].as_str().unwrap().to_owned();
        Some(Plane {
            endpoint: text("endpoint"),
            ca: text("caData"),
            admin_kubeconfig: text("adminKubeconfig").into(),
            kubectl: text("kubectl").into(),
            identities: text("identities").into(),
            behaviour: text("behaviour").into(),
            folder,
            process,
            lifeline,
        })
    }

    /// All keys and access entries, in the form that `tests/kube/plane/webhook.py` says. They count at once.
    pub fn identify(&self, identities: &Value) {
        replace(&self.identities, identities);
    }

    /// How containers behave, in the form that `tests/kube/plane/kubelet/behaviour.py` says. It counts at once.
    pub fn behave(&self, rules: &Value) {
        replace(&self.behaviour, rules);
    }

    /// This program's client for the cluster of this name, whose caller's access entry gives it these groups.
    pub async fn client(&self, name: &str, groups: &[&str]) -> KubeClient {
        self.identify(&json!({
            "credentials": {"sandbox": {"secret": "sandbox", "arn": CALLER}},
            "access": {CALLER: {"groups": groups}},
        }));
        let access_key = AccessKey::new("sandbox", "sandbox");
        let clients = connect(
            &ServiceEndpoint::Sandbox { url: "http://127.0.0.1:9".to_owned(), access_key },
            "eu-central-1",
            None,
        )
        .await;
        let reach =
            ClusterEndpoint { arn: CALLER.to_owned(), endpoint: self.endpoint.clone(), ca: self.ca.clone() };
        KubeClient::new(&clients, &reach, name, "eu-central-1").unwrap()
    }

    /// Starts the API server again: connections break, and watches that ask for what was before get 410.
    pub fn restart(&self) {
        Ended::of(&testplane("restart-api-server").arg("--dir").arg(self.folder.path()).output().unwrap())
            .with(0);
    }

    /// What kubectl says to an administrator.
    pub fn kubectl(&self, args: &[&str]) -> Ended {
        self.kubectl_as(&self.admin_kubeconfig, args)
    }

    /// What kubectl says by this kubeconfig.
    pub fn kubectl_as(&self, kubeconfig: &Path, args: &[&str]) -> Ended {
        let mut command = Command::new(&self.kubectl);
        command.arg("--kubeconfig").arg(kubeconfig).args(args).stdin(Stdio::null());
        Ended::of(&command.output().unwrap())
    }

    /// Makes objects as an administrator.
    pub fn make(&self, objects: &[Value]) {
        let file = self.folder.path().join("made.json");
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        fs::write(&file, list.to_string()).unwrap();
        self.kubectl(&["apply", "-f", &file.display().to_string()]).with(0);
    }

    /// An object as JSON; `args` are those of `kubectl get`.
    pub fn get(&self, args: &[&str]) -> Value {
        let mut all = vec!["get", "-o", "json"];
        all.extend(args);
        let said = self.kubectl(&all).with(0);
        serde_json::from_str(&said.out).unwrap()
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        // The cluster ends with its standard input.
        drop(self.lifeline.take());
        let limit = Instant::now() + STOP;
        while matches!(self.process.try_wait(), Ok(None)) {
            if Instant::now() > limit {
                let _ = self.process.kill();
                let _ = self.process.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// By rename, so that half of it is never read.
fn replace(path: &Path, document: &Value) {
    let partial = path.with_extension("partial");
    fs::write(&partial, document.to_string()).unwrap();
    fs::rename(&partial, path).unwrap();
}
