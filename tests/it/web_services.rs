//! Services as they are written elsewhere, in `tests/apps`: what the Python builder makes of their Dockerfiles, lock files and
//! requirements, how that stays the same, and two of them from a folder with a stack file to an answering address.

use crate::common::{
    Provider, copy, fixture,
    image::{Registry, have, inputs, run, unpacked},
};
use provisioner::{
    image::{BuildMethod, BuildRequest, Built, ImagePlatform, PinRequest, Survey, build, pinned_survey},
    model::{CallError, ErrorKind},
};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

const AMD: [ImagePlatform; 1] = [ImagePlatform::Amd64];

fn app(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/apps").join(name)
}

/// A copy of an application, whose images of Python come from the registry.
fn at_home(name: &str, registry: &Registry, home: &Path) -> PathBuf {
    let folder = home.join(name);
    copy(&app(name), &folder);
    let text = fs::read_to_string(folder.join("Dockerfile")).unwrap();
    let text = text.replace("FROM python:", &format!("FROM {}/library/python:", registry.host));
    fs::write(folder.join("Dockerfile"), text).unwrap();
    folder
}

fn registry(home: &Path) -> Registry {
    let registry = Registry::serve(home);
    let layout = format!("{}:base", fixture("base").display());
    for tag in ["3.12-slim", "3.12-alpine"] {
        registry.take(&layout, &format!("library/python:{tag}"));
    }
    registry
}

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn request(folder: &Path, cache: &Path, auto: bool) -> PinRequest {
    let inputs = inputs(BuildMethod::Python, folder, &AMD);
    PinRequest { inputs, auto, cache: cache.to_path_buf(), without_base: false }
}

/// Resolves what a folder leaves open, and builds it.
fn made(folder: &Path, cache: &Path) -> (Survey, Built) {
    let mut asked = request(folder, cache, false);
    let found = wait(pinned_survey(&asked)).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    asked.inputs.pins = found.pins.clone();
    let ask = BuildRequest {
        inputs: asked.inputs,
        tag: found.tag.clone(),
        cache: cache.to_path_buf(),
        without_base: false,
    };
    let image = wait(build(&ask)).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    (found, image)
}

fn process(bundle: &Path) -> Value {
    let config: Value = serde_json::from_slice(&fs::read(bundle.join("config.json")).unwrap()).unwrap();
    config["process"].clone()
}

#[test]
fn services_become_images_that_others_read() {
    if !have(&["docker-registry", "skopeo", "umoci"]) {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let (registry, cache) = (registry(home.path()), home.path().join("cache"));
    let packages = "usr/local/lib/python3.12/site-packages";
    // Arguments, user, a program with its interpreter, a module, a file.
    let cases = [
        (
            "fastapi",
            json!(["/bin/sh", "-c", "uvicorn main:app --host 0.0.0.0 --port ${PORT:-8000}"]),
            65532,
            Some(("usr/local/bin/uvicorn", "#!/usr/local/bin/python3.12\n")),
            format!("{packages}/pydantic_core/__init__.py"),
            "app/main.py",
        ),
        (
            "flask",
            json!(["gunicorn", "--worker-tmp-dir", "/tmp", "--bind", "0.0.0.0:8000", "shop.views:app"]),
            999,
            Some(("opt/venv/bin/gunicorn", "#!/opt/venv/bin/python\n")),
            "opt/venv/lib/python3.12/site-packages/flask/app.py".to_owned(),
            "srv/shop/shop/views.py",
        ),
        (
            "django",
            json!(["/app/.venv/bin/gunicorn", "--bind", "0.0.0.0:8000", "pages.wsgi"]),
            65532,
            Some(("app/.venv/bin/django-admin", "#!/app/.venv/bin/python\n")),
            "app/.venv/lib/python3.12/site-packages/whitenoise/base.py".to_owned(),
            "app/static/site.css",
        ),
        (
            "poetry",
            json!(["python", "-m", "shop"]),
            1500,
            Some(("usr/local/bin/httpx", "#!/usr/local/bin/python3.12\n")),
            format!("{packages}/httpx/__init__.py"),
            "app/shop/__main__.py",
        ),
        ("worker", json!(["python", "worker.py"]), 100, None, "work/worker.py".to_owned(), "work/worker.py"),
    ];
    for (name, arguments, user, program, module, file) in cases {
        let folder = at_home(name, &registry, home.path());
        let place = home.path().join(format!("{name}-image"));
        fs::create_dir(&place).unwrap();
        let (found, image) = made(&folder, &cache);
        assert_eq!(found.builder, BuildMethod::Python);
        let bundle = unpacked(&image, &place);
        let process = process(&bundle);
        assert_eq!((&process["args"], &process["user"]["uid"]), (&arguments, &json!(user)), "{name}");
        let root = bundle.join("rootfs");
        for path in [module.as_str(), file] {
            assert!(root.join(path).is_file(), "{name}: {path}");
        }
        if let Some((path, interpreter)) = program {
            let text = fs::read_to_string(root.join(path)).unwrap();
            assert!(text.starts_with(interpreter), "{name}: {text}");
            assert_eq!(fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o777, 0o755);
        }
        let has_pytest = root.join("app/.venv/lib/python3.12/site-packages/pytest").exists()
            || root.join(packages).join("pytest").exists();
        assert!(!has_pytest, "{name}: the tools of development stay out");
        // With the pins, nothing is resolved again, and the folder is the same on any machine.
        let mut again = request(&folder, &home.path().join("other cache"), false);
        again.inputs.pins = found.pins.clone();
        assert_eq!(wait(pinned_survey(&again)).unwrap().tag, found.tag, "{name}");
        let (second, _) = made(&folder, &cache);
        assert_eq!((second.tag, second.pins), (found.tag, found.pins), "{name}");
    }
    let worker = home.path().join("worker-image/bundle/rootfs/work/data");
    let data = fs::metadata(worker).unwrap();
    assert_eq!((data.permissions().mode() & 0o777, data.is_dir()), (0o770, true));
    if rustix::process::geteuid().is_root() {
        assert_eq!((data.uid(), data.gid()), (100, 101));
    }
}

#[test]
fn a_tag_that_moves_changes_nothing_until_it_is_resolved_again() {
    if !have(&["docker-registry", "skopeo"]) {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let (registry, cache) = (registry(home.path()), home.path().join("cache"));
    let folder = at_home("worker", &registry, home.path());
    let mut asked = request(&folder, &cache, false);
    let first = wait(pinned_survey(&asked)).unwrap();
    let (reference, pin) = first.pins.bases.first_key_value().unwrap();
    assert!(reference.ends_with("/library/python:3.12-alpine") && pin.digest.is_some(), "{:?}", first.pins);
    drop(registry);
    asked.inputs.pins = first.pins.clone();
    assert_eq!(wait(pinned_survey(&asked)).unwrap().tag, first.tag, "a pin needs no registry");
    asked.inputs.pins = provisioner::image::ImagePins::default();
    let error = wait(pinned_survey(&asked)).unwrap_err();
    assert!(error.message.contains("/library/python:3.12-alpine") && error.hint.is_some(), "{error}");
    asked.without_base = true;
    let open = wait(pinned_survey(&asked)).unwrap();
    assert!(open.pins.bases[reference].digest.is_none(), "{:?}", open.pins);
    let mut moved = first.pins.clone();
    moved.bases.get_mut(reference).unwrap().digest = Some("sha256:other".to_owned());
    assert_eq!(moved.moved_from(&first.pins).len(), 1);
}

#[test]
fn a_package_without_a_wheel_is_named_with_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("app");
    fs::create_dir(&folder).unwrap();
    let digest = "c756291ee1300fbbe15b1197f52ef9e6c3350c647d43f284f56cbc4f5913d350";
    let text = format!(
        "FROM python:3.12@sha256:{digest}\nRUN pip install no-such-package-of-provisioner\nCMD [\"x\"]\n"
    );
    fs::write(folder.join("Dockerfile"), text).unwrap();
    let error: CallError =
        wait(pinned_survey(&request(&folder, &home.path().join("cache"), false))).unwrap_err();
    assert_eq!(error.class, ErrorKind::Refused, "{error}");
    assert!(
        error.message.contains("`no-such-package-of-provisioner` has no wheel for Python 3.12"),
        "{error}"
    );
    assert!(error.hint.unwrap().contains("builder: dockerfile"));
}

const ONLY: [&str; 3] = ["--sandbox", "--target", "application/image"];

/// The program with only these programs of the machine in reach.
fn with_programs(world: &Provider, args: &[&str], programs: &[&str]) -> Command {
    let bin = world.path().join("bin");
    let _ = fs::remove_dir_all(&bin);
    fs::create_dir(&bin).unwrap();
    let places: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect();
    for program in programs {
        let path = places.iter().map(|place| place.join(program)).find(|path| path.is_file()).unwrap();
        symlink(path, bin.join(program)).unwrap();
    }
    let mut command = world.command(args);
    command.env("PATH", bin).env("BUILDAH_ISOLATION", "chroot").env("STORAGE_DRIVER", "vfs");
    command
}

#[test]
fn what_has_to_run_is_told_line_by_line_and_handed_to_a_builder_that_is_there() {
    let world = Provider::new("name: shop\nregion: eu-central-1\n");
    world.sandbox(1200);
    copy(&app("native"), &world.path().join("app"));
    let stack = |builder: &str| {
        let text = format!(
            "name: shop\nregion: eu-central-1\nnetwork: {{zones: 2, nat: none, flowLogs: false}}\nfargateOnly: true\n\
             app: {{ingress: none, platforms: [linux/amd64]{builder}}}\n"
        );
        fs::write(world.path().join("stack.yaml"), text).unwrap();
    };
    let ran = |args: &[&str], programs: &[&str]| {
        let output = with_programs(&world, args, programs).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let file = world.path().join("app/Dockerfile");
    let text = fs::read_to_string(&file).unwrap().replace("FROM scratch", "FROM python:3.12-slim");
    fs::write(&file, &text).unwrap();
    for builder in ["", ", builder: python"] {
        stack(builder);
        let (code, said) = ran(&[&["plan"], &ONLY[..]].concat(), &[]);
        assert_eq!(code, Some(3), "{said}");
        for line in [
            "Dockerfile:2: command `apt-get install -y libpq5` has to run",
            "Dockerfile:4: command `make -C /srv`",
        ] {
            assert!(said.contains(line), "{line}: {said}");
        }
        assert_eq!(
            said.contains("docker, podman and buildah are not installed"),
            builder.is_empty(),
            "{said}"
        );
    }
    if !have(&["buildah"]) {
        return;
    }
    // The lines run, and what they say is told.
    fs::write(&file, "FROM scratch\nCOPY main.py /srv/\nRUN [\"/srv/main.py\"]\n").unwrap();
    stack("");
    let up = [&["up", "--yes", "-v"], &ONLY[..]].concat();
    let (code, said) = ran(&up, &["buildah", "python3"]);
    assert!(code == Some(6) && said.contains("buildah: failed to build the image"), "{said}");
    assert!(said.contains("RUN [\"/srv/main.py\"]"), "the end of the log: {said}");
    fs::write(&file, "FROM scratch\nCOPY main.py /srv/\nCMD [\"/srv/main.py\"]\n").unwrap();
    let (code, said) = ran(&up, &["buildah", "python3"]);
    assert!(
        code == Some(0) && said.contains("app: the Python builder cannot follow the Dockerfile"),
        "{said}"
    );
    let plan = [&["plan", "--detailed-exitcode"], &ONLY[..]].concat();
    assert_eq!(ran(&plan, &["buildah"]).0, Some(0));
    // The explicit word for what was chosen is no change.
    stack(", builder: dockerfile");
    assert_eq!(ran(&plan, &["buildah"]).0, Some(0));
}

/// A port that is free on all addresses of this machine, since a server of a pod listens on all of them.
fn free_port() -> u16 {
    std::net::TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port()
}

/// Brings up a service whose folder holds nothing but its files and a stack file.
fn answers(name: &str) {
    let world = Provider::new("name: shop\nregion: eu-central-1\n");
    for item in fs::read_dir(app(name)).unwrap().map(Result::unwrap) {
        run("cp", &["-r", item.path().to_str().unwrap(), world.path().to_str().unwrap()]);
    }
    let port = free_port();
    let file = world.path().join("Dockerfile");
    let text = fs::read_to_string(&file).unwrap().replace("8000", &port.to_string());
    fs::write(&file, text).unwrap();
    let stack = format!(
        "name: shop\nregion: eu-central-1\nnetwork: {{zones: 2, nat: single, flowLogs: false}}\n\
         cluster: {{addons: [{{name: metrics-server, enabled: false}}]}}\n\
         app: {{path: ., replicas: 1, port: {port}, health: {{startup: /, live: /, ready: /}}}}\n"
    );
    fs::write(world.path().join("stack.yaml"), stack).unwrap();
    world.sandbox(1200);
    let up = world.run(&["up", "--sandbox", "--yes", "-v"]).with(0);
    for left in ["./stack.yaml (the stack file)", "./state (a folder of the stack)"] {
        assert!(up.err.contains(left), "{left}: {}", up.err);
    }
    let url = up.out.trim().to_owned();
    let deadline = Instant::now() + Duration::from_mins(3);
    let text = loop {
        let answer =
            ureq::get(&url).call().ok().and_then(|mut answer| answer.body_mut().read_to_string().ok());
        if let Some(text) = answer {
            break text;
        }
        assert!(Instant::now() < deadline, "{url} does not answer");
        std::thread::sleep(Duration::from_millis(200));
    };
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), json!({"shop": "open"}), "{text}");
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);
    let refreshed = world.run(&["deploy", "--sandbox", "--yes", "--refresh"]).with(0);
    assert!(refreshed.err.contains("base image and packages of .: nothing moves"), "{}", refreshed.err);
}

#[test]
fn a_fastapi_folder_answers_with_nothing_but_a_stack_file() {
    answers("fastapi");
}

#[test]
fn a_flask_service_in_a_virtual_environment_answers() {
    answers("flask");
}
