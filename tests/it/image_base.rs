//! The demo application's image on a base that has a Python: served by a registry, copied and unpacked by others, and
//! started as a cluster does.

use crate::common::{
    cache, copy,
    image::{Ends, Registry, built, have, run, skipped, unpacked},
    once,
};
use provisioner::{image::ImagePlatform, model::Snapshot};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const PROGRAMS: [&str; 8] =
    ["debootstrap", "apt-get", "umoci", "skopeo", "docker-registry", "unshare", "setpriv", "chroot"];

const PACKAGES: &str = "python3-minimal,libpython3-stdlib";

/// What need not survive a power cut, and documentation, which is not needed.
const DPKG: &str = "force-unsafe-io\npath-exclude=/usr/share/doc/*\npath-exclude=/usr/share/info/*\n\
    path-exclude=/usr/share/locale/*\npath-exclude=/usr/share/man/*\n";

/// What debootstrap leaves that no image has or needs.
const WASTE: [&str; 7] = [
    "dev",
    "usr/share/doc",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/man",
    "var/cache/apt",
    "var/lib/apt/lists",
];

/// Makes a root read-only and goes there as a user, as `$0 USER:GROUP PROGRAM...` says. The shell stays: who changes
/// its user is no longer told when its parent dies, and the first process of a namespace takes all others with it.
const START: &str = "set -eu\nuser=$1\nshift\nmount --bind \"$0\" \"$0\"\nmount -t proc proc \"$0/proc\"\n\
    mount -o remount,bind,ro \"$0\"\nchroot --userspec=\"$user\" --groups= \"$0\" \"$@\"\nexit";

/// A command whose processes and mounts end with us.
fn apart() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig=KILL", "--no-new-privs", "unshare", "--mount", "--mount-proc", "--pid"]);
    command.args(["--fork", "--kill-child", "--"]).stdin(Stdio::null());
    command
}

/// Whether this can be tested here.
fn able() -> bool {
    if !rustix::process::geteuid().is_root() {
        return skipped("only root can make a Debian, and change its root and user");
    }
    if !have(&PROGRAMS) {
        return false;
    }
    let tried = apart().arg("true").output().unwrap();
    tried.status.success() || skipped(&String::from_utf8_lossy(&tried.stderr))
}

/// The release that this machine runs, and where apt has it from.
fn archive() -> Option<(String, String)> {
    let about = fs::read_to_string("/etc/os-release").ok()?;
    let release = about.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?.trim_matches('"');
    let ask = ["indextargets", "--no-release-info", "--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)"];
    let said = Command::new("apt-get").args(ask).arg("Created-By: Packages").output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout);
    let mut found = said.lines().filter_map(|line| line.strip_prefix(&format!("{release} main ")));
    let uri = found.find(|uri| uri.starts_with("http"))?.to_owned();
    Some((release.to_owned(), uri))
}

/// A layout whose image `base` has the machine's release with its Python, and that Python's minor version. Made once.
fn base(release: &str, uri: &str) -> (PathBuf, String) {
    let what = [release, std::env::consts::ARCH, PACKAGES, DPKG, &WASTE.concat()].join(" ");
    let name = format!("base-{release}-{}", &Snapshot::hash(what.as_bytes())[..16]);
    let folder = cache().join("provisioner").join(name);
    let (layout, note) = (folder.join("layout"), folder.join("python"));
    once(&folder, || {
        let _ = fs::remove_dir_all(&folder);
        let root = folder.join("rootfs");
        fs::create_dir_all(root.join("etc/dpkg/dpkg.cfg.d")).unwrap();
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(root.join("etc/dpkg/dpkg.cfg.d/test"), DPKG).unwrap();
        let mut make = apart();
        make.args(["debootstrap", "--variant=minbase", &format!("--include={PACKAGES}"), release]);
        let made = make.arg(&root).arg(uri).output().unwrap();
        assert!(made.status.success(), "debootstrap: {}", String::from_utf8_lossy(&made.stdout));
        for path in WASTE.map(|path| root.join(path)).iter().filter(|path| path.exists()) {
            fs::remove_dir_all(path).unwrap();
        }
        let (layout, image) = (layout.display().to_string(), format!("{}:base", layout.display()));
        run("umoci", &["init", "--layout", &layout]);
        run("umoci", &["new", "--image", &image]);
        run("umoci", &["insert", "--image", &image, root.to_str().unwrap(), "/"]);
        let program = fs::read_link(root.join("usr/bin/python3")).unwrap();
        fs::write(&note, program.to_str().unwrap().trim_start_matches("python")).unwrap();
        fs::remove_dir_all(&root).unwrap();
    });
    (layout, fs::read_to_string(note).unwrap())
}

/// A program in the image of this bundle, with what the image says of user, folder and variables.
fn inside(bundle: &Path, program: &[&str], variables: &[&str]) -> Command {
    let process = &config(bundle)["process"];
    let user = format!("{}:{}", process["user"]["uid"], process["user"]["gid"]);
    let mut command = apart();
    command.args(["sh", "-c", START]).arg(bundle.join("rootfs")).arg(user);
    command.args(["env", "-i", "-C", process["cwd"].as_str().unwrap()]);
    command.args(process["env"].as_array().unwrap().iter().filter_map(Value::as_str));
    command.args(variables).args(program);
    command
}

fn config(bundle: &Path) -> Value {
    serde_json::from_slice(&fs::read(bundle.join("config.json")).unwrap()).unwrap()
}

/// Whose socket listens on this port of 127.0.0.1.
fn listener(port: u64) -> Option<u32> {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let listens = words[1] == format!("0100007F:{port:04X}") && words[3] == "0A";
        listens.then(|| words[7].parse().unwrap())
    })
}

#[test]
fn the_demo_application_answers_from_its_image_as_another_user_on_a_read_only_root() {
    if !able() {
        return;
    }
    let Some((release, uri)) = archive() else {
        skipped("apt has no archive of this machine's release");
        return;
    };
    let (layout, python) = base(&release, &uri);

    let home = tempfile::tempdir().unwrap();
    let registry = Registry::serve(home.path());
    let digest = registry.take(&format!("{}:base", layout.display()), "tests/python:1");
    let app = home.path().join("app");
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("app"), &app);
    let text = fs::read_to_string(app.join("Dockerfile")).unwrap();
    let (before, last) = text.rsplit_once("\nFROM ").unwrap();
    let (_, after) = last.split_once('\n').unwrap();
    let from =
        format!("FROM {}/tests/python:1@{digest}\nLABEL provisioner.python=\"{python}\"", registry.host);
    fs::write(app.join("Dockerfile"), format!("{before}\n{from}\n{after}")).unwrap();

    let here = if cfg!(target_arch = "aarch64") { ImagePlatform::Arm64 } else { ImagePlatform::Amd64 };
    let image = built(&app, &home.path().join("cache"), &[here]).unwrap();
    drop(registry);
    let bundle = unpacked(&image, home.path());
    let process = &config(&bundle)["process"];
    assert_eq!(process["args"], json!(["/usr/bin/python3", "-m", "demo"]));
    assert_eq!(process["cwd"], "/app");
    assert_eq!((&process["user"]["uid"], &process["user"]["gid"]), (&json!(65532), &json!(65532)));

    // Who it is and what it may: in /tmp everybody may write, but for the root that is read-only.
    let tries = "import errno, json, os\n\
        def write(path):\n    try:\n        open(path, 'w')\n    except OSError as error:\n        \
        return errno.errorcode[error.errno]\n\
        print(json.dumps([os.getresuid(), os.getresgid(), os.getgroups(), os.getcwd(), write('/tmp/x'), write('x')]))";
    let said = inside(&bundle, &["/usr/bin/python3", "-c", tries], &[]).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    let all = [65532; 3];
    assert_eq!(said, json!([all, all, [], "/app", "EROFS", "EROFS"]));

    let log = fs::File::create(home.path().join("log")).unwrap();
    let program: Vec<&str> = process["args"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let mut command = inside(&bundle, &program, &["HOST=127.0.0.1", "PORT=0"]);
    command.stdout(log.try_clone().unwrap()).stderr(log);
    let mut service = Ends(command.spawn().unwrap());
    let deadline = Instant::now() + Duration::from_mins(5);
    let (port, mut answer) = loop {
        let log = fs::read_to_string(home.path().join("log")).unwrap();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let port = lines.filter(|line| line["message"] == "listening").find_map(|line| line["port"].as_u64());
        let answer = port.and_then(|port| {
            let ask = ureq::get(format!("http://127.0.0.1:{port}/health"));
            ask.config().timeout_global(Some(Duration::from_secs(60))).build().call().ok()
        });
        if let (Some(port), Some(answer)) = (port, answer) {
            break (port, answer);
        }
        assert!(Instant::now() < deadline, "it does not answer: {log}");
        assert!(service.0.try_wait().unwrap().is_none(), "it ended: {log}");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!((answer.status().as_u16(), listener(port)), (200, Some(65532)));
    assert_eq!(answer.headers()["content-type"], "application/health+json");
    let body: Value = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
    assert_eq!((&body["status"], &body["serviceId"]), (&json!("pass"), &json!("demo")), "{body}");
    assert_eq!(body["checks"]["server:state"][0]["observedValue"], "serving", "{body}");

    drop(service);
    while listener(port).is_some() {
        assert!(Instant::now() < deadline, "it outlives what started it");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(home.path().to_str().unwrap()), "{mounts}");
}
