//! The application's image: the same bytes wherever it is built, readable by programs of others, sent to ECR once and
//! found there again.

use crate::common::{
    Provider, copy, fixture,
    image::{Registry, built, built_by, have, surveyed, unpacked},
};
use provisioner::{
    aws::{Cx, ServiceEndpoint, connect},
    image::{self, BuildMethod, Built, ImagePlatform, LAYOUT, Remote, Store, push, write_layout},
    model::{AccessKey, CallError, ErrorKind, Intent, Owner, Process, Stage},
    resources::{Lookup, handler},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const BOTH: [ImagePlatform; 2] = [ImagePlatform::Amd64, ImagePlatform::Arm64];

/// The sandbox of a folder, as every AWS client reaches it.
fn sandbox_of(world: &Provider) -> ServiceEndpoint {
    ServiceEndpoint::Sandbox { url: world.endpoint(), access_key: AccessKey::new("any", "any") }
}

/// Says to a copy of a test that it is one, and what it is to build.
const CHILD: &str = "IMAGE_TEST_FOLDER";

/// Runs one test of this file again, in a process of its own.
fn again(test: &str, prefix: &[&str], folder: &Path, cache: &Path, program: &Path) -> Command {
    let words: Vec<String> = prefix.iter().map(|word| (*word).to_owned()).collect();
    let mut command = Command::new(words.first().map_or(program.to_str().unwrap(), String::as_str));
    command.args(words.iter().skip(1));
    if !words.is_empty() {
        command.arg(program);
    }
    command
        .args([&format!("image::{test}"), "--exact", "--nocapture"])
        .env(CHILD, folder)
        .env("IMAGE_TEST_CACHE", cache);
    command.env(LAYOUT, fixture("base")).stdin(Stdio::null());
    command
}

/// What the copy printed.
fn digests(mut command: Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text.lines().find_map(|line| line.split_once("built ")).unwrap().1.to_owned()
}

/// In a copy: builds, and says what came of it.
fn child(platforms: &[ImagePlatform]) -> bool {
    let Some(folder) = std::env::var_os(CHILD) else { return false };
    let cache = PathBuf::from(std::env::var_os("IMAGE_TEST_CACHE").unwrap());
    let image = built(Path::new(&folder), &cache, platforms).unwrap();
    let documents = image.documents.iter().map(|document| document.digest.clone());
    let blobs = image.blobs.iter().map(|blob| blob.digest.clone());
    println!("built {}", documents.chain(blobs).collect::<Vec<_>>().join(" "));
    true
}

#[test]
fn the_bytes_are_the_same_in_other_folders_at_other_times_under_other_masks_and_users() {
    if child(&BOTH) {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let test = "the_bytes_are_the_same_in_other_folders_at_other_times_under_other_masks_and_users";
    // Another user cannot run a program below our target folder.
    let program = home.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let place = |name: &str| {
        let folder = home.path().join(name);
        fs::create_dir(&folder).unwrap();
        copy(&fixture("app"), &folder.join("app"));
        copy(&fixture("base"), &folder.join("base"));
        let cache = folder.join("cache");
        fs::create_dir(&cache).unwrap();
        fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).unwrap();
        (folder.join("app"), cache)
    };
    let (app, cache) = place("one");
    let first = digests(again(test, &[], &app, &cache, &program));
    assert_eq!(
        first.split(' ').count(),
        3 + 5,
        "two manifests and an index; two of each layer and configuration but one: {first}"
    );

    let (app, cache) = place("another");
    let times = |path: &Path| {
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(12345)).unwrap();
    };
    times(&app.join("run.sh"));
    fs::set_permissions(app.join("data/one.txt"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::set_permissions(app.join("run.sh"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(app.join("notes.md"), "others\n").unwrap();
    let masked = ["sh", "-c", "umask 077; exec \"$0\" \"$@\""];
    assert_eq!(digests(again(test, &masked, &app, &cache, &program)), first);

    if rustix::process::geteuid().is_root() {
        let (app, cache) = place("other");
        let other_user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
        let mut command = again(test, &other_user, &app, &cache, &program);
        command.env(LAYOUT, home.path().join("other/base")).current_dir("/");
        assert_eq!(digests(command), first);
    } else {
        println!("skipped: another user, which only root can be");
    }

    let (app, cache) = place("changed");
    fs::write(app.join("data/one.txt"), "two\n").unwrap();
    let other = digests(again(test, &[], &app, &cache, &program));
    let both: BTreeSet<&str> = first.split(' ').collect();
    let new = other.split(' ').filter(|digest| !both.contains(digest)).count();
    assert_eq!(new, 3 + 2 + 1, "manifests, index, configurations and the source");
}

/// Path, mode and content (a link's target) of all files below a folder, owners left out.
fn tree(folder: &Path) -> BTreeMap<String, (u32, String)> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(at) = open.pop() {
        for item in fs::read_dir(&at).unwrap().map(Result::unwrap) {
            let path = item.path();
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            let (meta, kind) = (fs::symlink_metadata(&path).unwrap(), item.file_type().unwrap());
            let content = if kind.is_symlink() {
                fs::read_link(&path).unwrap().display().to_string()
            } else if kind.is_dir() {
                open.push(path);
                "folder".to_owned()
            } else {
                fs::read_to_string(&path).unwrap()
            };
            found.insert(name, (meta.permissions().mode() & 0o7777, content));
        }
    }
    found
}

#[test]
fn others_copy_it_and_unpack_what_went_in() {
    if child(&[ImagePlatform::Arm64]) {
        return;
    }
    if !have(&["skopeo", "umoci"]) {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    // The base is read where the variable says; a process of its own has one.
    let test = "others_copy_it_and_unpack_what_went_in";
    let program = std::env::current_exe().unwrap();
    digests(again(test, &[], &fixture("app"), &home.path().join("cache"), &program));
    // Everything is in the cache by now.
    let image = built(&fixture("app"), &home.path().join("cache"), &[ImagePlatform::Arm64]).unwrap();
    let bundle = unpacked(&image, home.path());
    let file = |mode: u32, text: &str| (mode, text.to_owned());
    let wanted: BTreeMap<String, (u32, String)> = [
        ("app", file(0o755, "folder")),
        ("app/data", file(0o755, "folder")),
        ("app/data/link", file(0o777, "one.txt")),
        ("app/data/one.txt", file(0o644, "one\n")),
        ("app/run.sh", file(0o755, "#!/bin/sh\necho \"$GREETING\"\n")),
        ("app/serve.py", file(0o644, include_str!("../fixtures/app/serve.py"))),
        ("etc", file(0o755, "folder")),
        ("etc/base-arch", file(0o644, "arm64\n")),
    ]
    .map(|(path, what)| (path.to_owned(), what))
    .into();
    assert_eq!(tree(&bundle.join("rootfs")), wanted);
    let config: Value = serde_json::from_slice(&fs::read(bundle.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["process"]["args"], json!(["/usr/bin/python3", "serve.py"]));
    assert_eq!(config["process"]["cwd"], "/app");
    assert_eq!(config["process"]["user"]["uid"], 65532);
    let env: Vec<&str> =
        config["process"]["env"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(env.contains(&"GREETING=hello") && env.contains(&"PATH=/usr/bin:/bin"), "{env:?}");
}

#[test]
fn a_base_is_pulled_from_its_registry_by_digest_and_kept() {
    if !have(&["skopeo", "docker-registry"]) {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let registry = Registry::serve(home.path());
    registry.take(&format!("{}:base", fixture("base").display()), "tests/base:1");
    let app = home.path().join("app");
    copy(&fixture("app"), &app);
    let text = fs::read_to_string(app.join("Dockerfile")).unwrap();
    let at_home = |digest: &str| text.replace("registry.invalid", &registry.host).replace("c756", digest);
    fs::write(app.join("Dockerfile"), at_home("c756")).unwrap();
    let image = built(&app, &home.path().join("cache"), &BOTH).unwrap();
    // The same files on the same base are the same image, wherever the base came from.
    assert_eq!((image.documents.len(), image.blobs.len()), (3, 5));
    fs::write(app.join("Dockerfile"), at_home("c757")).unwrap();
    let error = built(&app, &home.path().join("cache"), &BOTH).unwrap_err();
    assert!(error.message.contains("tests/base:1@sha256:c757") && error.hint.is_some(), "{error}");
    fs::write(app.join("Dockerfile"), at_home("c756")).unwrap();
    drop(registry);
    // Kept by its digest: the registry is not asked again.
    assert_eq!(built(&app, &home.path().join("cache"), &BOTH).unwrap().documents, image.documents);
    let error = built(&app, &home.path().join("empty"), &BOTH).unwrap_err();
    assert!(error.hint.unwrap().contains("reachable from here"), "{}", error.message);
}

/// Copies an image of another registry.
fn copied(cache: &Path, reference: &str, platforms: &[ImagePlatform]) -> Result<Built, CallError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(image::copy(&Store::new(cache), reference, platforms))
}

/// The digests of the manifests that an index names.
fn listed(index: &str) -> BTreeSet<String> {
    let index: Value = serde_json::from_str(index).unwrap();
    let all = index["manifests"].as_array().unwrap().iter();
    all.map(|one| one["digest"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_image_of_another_registry_is_copied_to_the_byte() {
    if std::env::var_os(CHILD).is_some() {
        let cache = PathBuf::from(std::env::var_os("IMAGE_TEST_CACHE").unwrap());
        println!("built {}", copied(&cache, "base", &BOTH).unwrap().root().unwrap().digest);
        return;
    }
    if !have(&["skopeo", "docker-registry"]) {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let cache = home.path().join("cache");
    let registry = Registry::serve(home.path());
    registry.take(&format!("{}:base", fixture("base").display()), "team/controller:v1");
    let reference = format!("{}/team/controller:v1", registry.host);
    let both = copied(&cache, &reference, &BOTH).unwrap();
    let raw = Command::new("skopeo")
        .args(["inspect", "--raw", "--tls-verify=false", &format!("docker://{reference}")])
        .output()
        .unwrap();
    let theirs = listed(&String::from_utf8(raw.stdout).unwrap());
    let ours: BTreeSet<String> = both.documents[..2].iter().map(|one| one.digest.clone()).collect();
    assert_eq!((both.documents.len(), &ours), (3, &theirs), "the manifests are those of the registry");

    // Of one platform, it is that platform's image; by a digest, that one, which is not for another platform.
    let one = copied(&cache, &reference, &[ImagePlatform::Arm64]).unwrap();
    assert_eq!(one.documents, [both.documents[1].clone()]);
    let exact = format!("{}/team/controller@{}", registry.host, one.documents[0].digest);
    assert_eq!(copied(&cache, &exact, &[ImagePlatform::Arm64]).unwrap().documents, one.documents);
    let other = copied(&cache, &exact, &[ImagePlatform::Amd64]).unwrap_err();
    assert!(other.message.contains("built for linux/arm64, not for linux/amd64"), "{other}");
    let missing = copied(&cache, &reference.replace(":v1", ":v2"), &BOTH).unwrap_err();
    assert!(missing.message.contains("team/controller:v2") && missing.hint.is_some(), "{missing}");

    // ECR takes it as it is.
    let world = Provider::new("name: shop\nregion: eu-central-1\nrepositories: [{name: shop/controller}]\n");
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let clients = runtime.block_on(connect(&sandbox_of(&world), "eu-central-1", None));
    let remote = Remote { ecr: &clients.ecr, repository: "shop/controller" };
    runtime.block_on(push(remote, &both, &["v1-both".to_owned()])).unwrap();
    let there = world.boto3(
        "got = client('ecr').batch_get_image(repositoryName='shop/controller', imageIds=[{'imageTag': 'v1-both'}])\n\
         print(json.dumps(got['images'][0]['imageManifest']))",
    );
    assert_eq!(listed(there.as_str().unwrap()), theirs);

    // Without the registry: a tag cannot be looked up, unless a layout near by names it.
    drop(registry);
    let away = copied(&home.path().join("empty"), &reference, &BOTH).unwrap_err();
    assert!(away.hint.unwrap().contains(LAYOUT), "{}", away.message);
    let test = "an_image_of_another_registry_is_copied_to_the_byte";
    let program = std::env::current_exe().unwrap();
    let near = digests(again(test, &[], home.path(), &home.path().join("near"), &program));
    assert_eq!(near, both.root().unwrap().digest);
}

#[test]
fn the_demo_applications_folder_is_one_that_is_built_without_a_daemon() {
    let app = Path::new(env!("CARGO_MANIFEST_DIR")).join("app");
    let found = surveyed(BuildMethod::Python, &app, &BOTH).unwrap();
    let stage = found.content.unwrap().stage;
    assert_eq!(stage.python.as_deref(), Some("3.13"));
    assert_eq!(stage.user.as_deref(), Some("65532:65532"));
    assert!(found.context.has("demo/__main__.py") && !found.context.has("tests/conftest.py"));
}

#[test]
fn without_docker_podman_and_buildah_the_reason_is_said() {
    if std::env::var_os(CHILD).is_some() {
        let cache = tempfile::tempdir().unwrap();
        let error = built_by(BuildMethod::Dockerfile, &fixture("app"), cache.path(), &BOTH).unwrap_err();
        println!("built {}", error.message);
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    let test = "without_docker_podman_and_buildah_the_reason_is_said";
    let mut command = again(test, &[], home.path(), home.path(), &program);
    command.env("PATH", home.path());
    assert!(digests(command).ends_with("docker, podman and buildah are not installed"));
    // One that is there and does not work is named, with what it says.
    fs::write(home.path().join("docker"), "#!/bin/sh\necho 'Cannot connect to the daemon' >&2\nexit 1\n")
        .unwrap();
    fs::set_permissions(home.path().join("docker"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = again(test, &[], home.path(), home.path(), &program);
    command.env("PATH", home.path());
    assert!(digests(command).ends_with("(docker: Cannot connect to the daemon)"));
}

#[test]
fn buildah_builds_what_the_dockerfile_says() {
    if let Some(folder) = std::env::var_os(CHILD) {
        let home = PathBuf::from(std::env::var_os("IMAGE_TEST_CACHE").unwrap());
        let image =
            built_by(BuildMethod::Dockerfile, Path::new(&folder), &home.join("cache"), &BOTH).unwrap();
        write_layout(&image, &home.join("layout"), "v1").unwrap();
        println!("built {}", image.root().unwrap().digest);
        return;
    }
    if !have(&["buildah"]) {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let app = home.path().join("app");
    copy(&fixture("app"), &app);
    fs::write(app.join("Dockerfile"), "FROM scratch\nCOPY . /srv\nUSER 7\nCMD [\"/srv/run.sh\"]\n").unwrap();
    // Where docker works, it would be asked first.
    let bin = home.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let places: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect();
    let buildah = places.iter().map(|place| place.join("buildah")).find(|path| path.is_file()).unwrap();
    symlink(buildah, bin.join("buildah")).unwrap();
    let program = std::env::current_exe().unwrap();
    let build = |name: &str| {
        let place = home.path().join(name);
        fs::create_dir(&place).unwrap();
        let mut command = again("buildah_builds_what_the_dockerfile_says", &[], &app, &place, &program);
        command.env("PATH", &bin);
        command.env("BUILDAH_ISOLATION", "chroot").env("STORAGE_DRIVER", "vfs");
        digests(command)
    };
    let first = build("one");
    assert_eq!(build("two"), first);
    let layout = home.path().join("one/layout/blobs/sha256");
    let read = |digest: &str| -> Value {
        serde_json::from_slice(&fs::read(layout.join(digest.trim_start_matches("sha256:"))).unwrap()).unwrap()
    };
    let index = read(&first);
    let images = index["manifests"].as_array().unwrap();
    assert_eq!(images.len(), 2);
    for (image, architecture) in images.iter().zip(["amd64", "arm64"]) {
        let manifest = read(image["digest"].as_str().unwrap());
        let config = read(manifest["config"]["digest"].as_str().unwrap());
        assert_eq!((&config["architecture"], &config["config"]["User"]), (&json!(architecture), &json!("7")));
        assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
    }
}

const STACK: &str = "name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: none, flowLogs: false}\n\
    cluster: {addons: [{name: metrics-server, enabled: false}]}\nfargateOnly: true\n\
    app: {ingress: none, platforms: [linux/amd64]}\n";

/// A stack without its cluster: only the image and its dependencies.
const ONLY: [&str; 4] = ["--sandbox", "--yes", "--target", "application/image"];

fn up() -> Provider {
    let world = Provider::new(STACK);
    world.sandbox(1200);
    world.run(&[&["up"], &ONLY[..]].concat()).with(0);
    world
}

fn count(calls: &[String], name: &str) -> usize {
    calls.iter().filter(|call| *call == name).count()
}

/// The layers of the image with this tag, and what is in the last one: path to text.
fn pushed(world: &Provider, tag: &str) -> Value {
    world.boto3(&format!(
        "import gzip, io, tarfile\necr = client('ecr')\n\
         got = ecr.batch_get_image(repositoryName='shop/app', imageIds=[{{'imageTag': '{tag}'}}])['images'][0]\n\
         layers = [l['digest'] for l in json.loads(got['imageManifest'])['layers']]\n\
         url = ecr.get_download_url_for_layer(repositoryName='shop/app', layerDigest=layers[-1])['downloadUrl']\n\
         data = urllib.request.urlopen(url).read()\n\
         tar = tarfile.open(fileobj=io.BytesIO(gzip.decompress(data)))\n\
         files = {{m.name: tar.extractfile(m).read().decode() for m in tar.getmembers() if m.isfile()}}\n\
         print(json.dumps({{'digest': got['imageId']['imageDigest'], 'layers': layers, 'files': files}}))"
    ))
}

fn content(world: &Provider) -> String {
    surveyed(BuildMethod::Python, &world.path().join("app"), &[ImagePlatform::Amd64]).unwrap().tag
}

#[test]
fn up_pushes_what_changed_and_nothing_else() {
    let world = up();
    let first = pushed(&world, &content(&world));
    assert_eq!(first["files"]["app/run.sh"], "#!/bin/sh\necho \"$GREETING\"\n");
    let plan = world.calls(&["plan", "--sandbox", "--detailed-exitcode", "--target", "application/image"]);
    assert_eq!(count(&plan, "ecr:BatchGetImage"), 1, "{plan:?}");
    assert!(!plan.iter().any(|call| call.contains("Put") || call.contains("Upload")), "{plan:?}");
    let calls = world.calls(&[&["up"], &ONLY[..]].concat());
    assert!(!calls.iter().any(|call| call.starts_with("ecr:Put") || call.contains("Layer")), "{calls:?}");

    // From another machine: another folder, nothing in the way of a cache, the same state.
    fs::write(world.path().join("app/notes.md"), "not part of it").unwrap();
    world.run(&["plan", "--sandbox", "--detailed-exitcode", "--target", "application/image"]).with(0);

    fs::write(world.path().join("app/data/one.txt"), "two\n").unwrap();
    let plan = world.run(&["plan", "--sandbox", "--json", "--target", "application/image"]).with(0);
    let [change] = &plan.lines("change")[..] else { panic!("one change: {}", plan.out) };
    assert_eq!(
        (change["action"].as_str(), change["address"].as_str()),
        (Some("update"), Some("application/image"))
    );
    assert_eq!(change["fields"][0]["path"], "content");
    let calls = world.calls(&[&["up"], &ONLY[..]].concat());
    assert_eq!(count(&calls, "ecr:UploadLayerPart"), 2, "the source and the configuration: {calls:?}");
    let second = pushed(&world, &content(&world));
    assert_ne!(second["digest"], first["digest"]);
    assert_eq!(second["files"]["app/data/one.txt"], "two\n");
    let (old, new) = (first["layers"].as_array().unwrap(), second["layers"].as_array().unwrap());
    assert_eq!(old[..old.len() - 1], new[..new.len() - 1]);
    // What still runs the old one finds it.
    let tags = world
        .boto3("print(json.dumps(len(client('ecr').list_images(repositoryName='shop/app')['imageIds'])))");
    assert_eq!(tags, 2);
    // Back again: it is there already.
    fs::write(world.path().join("app/data/one.txt"), "one\n").unwrap();
    let calls = world.calls(&[&["up"], &ONLY[..]].concat());
    assert!(!calls.iter().any(|call| call.contains("Layer") || call.contains("PutImage")), "{calls:?}");
    // It was deleted outside provisioner: it is created again, byte for byte.
    world.boto3(&format!(
        "client('ecr').batch_delete_image(repositoryName='shop/app', imageIds=[{{'imageTag': '{}'}}]); print('null')",
        content(&world)
    ));
    world.run(&[&["up"], &ONLY[..]].concat()).with(0);
    assert_eq!(pushed(&world, &content(&world)), first);
    world.run(&["down", "--sandbox", "--yes"]).with(0);
}

#[test]
fn a_push_that_is_killed_or_disturbed_converges() {
    let world = Provider::new(STACK);
    world.sandbox(1200);
    let fault = |on: &str, kind: &str, skip: usize| json!({"on": format!("ecr:{on}"), "kind": kind, "skip": skip, "times": 1});
    let endpoint = world.endpoint();
    for (on, kind) in
        [("UploadLayerPart", "hold_response"), ("PutImage", "hold_request"), ("PutImage", "hold_response")]
    {
        fs::write(world.path().join("app/data/one.txt"), format!("{on} {kind}\n")).unwrap();
        world.configure(&json!({"timeScale": 1200, "faults": [fault(on, kind, 0)]}));
        let mut child = world.start(&[&["up"], &ONLY[..]].concat());
        let deadline = Instant::now() + Duration::from_mins(5);
        let held = || {
            let status =
                ureq::get(format!("{endpoint}/_ext/status")).call().unwrap().body_mut().read_to_string();
            serde_json::from_str::<Value>(&status.unwrap()).unwrap()["held"].is_string()
        };
        while !held() {
            assert!(
                child.try_wait().unwrap().is_none() && Instant::now() < deadline,
                "{on} {kind} is not reached"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        ureq::post(format!("{endpoint}/_ext/release")).send_empty().unwrap();
        world.configure(&json!({"timeScale": 1200}));
        world.run(&[&["up"], &ONLY[..]].concat()).with(0);
        assert_eq!(pushed(&world, &content(&world))["files"]["app/data/one.txt"], format!("{on} {kind}\n"));
    }
    // Answers that are lost, calls that fail after their effect: the same run gets over them.
    for (index, kind) in ["lost_response", "lost_request", "error_after", "throttle"].into_iter().enumerate()
    {
        fs::write(world.path().join("app/data/one.txt"), format!("{kind}\n")).unwrap();
        let calls = ["UploadLayerPart", "CompleteLayerUpload", "PutImage", "InitiateLayerUpload"];
        let faults: Vec<Value> = calls.iter().map(|on| fault(on, kind, index % 2)).collect();
        world.configure(&json!({"timeScale": 1200, "faults": faults}));
        world.run(&[&["up"], &ONLY[..]].concat()).with(0);
        assert_eq!(pushed(&world, &content(&world))["files"]["app/data/one.txt"], format!("{kind}\n"));
    }
    // A part that ECR had already went on where ECR said, and was not sent from the beginning.
    let refused = world.boto3(
        "log = json.load(urllib.request.urlopen(e + '/_ext/log'))\n\
         print(json.dumps(len([c for c in log if c['action'] == 'UploadLayerPart' and c['status'] == 400 and not c['fault']])))",
    );
    assert!(refused.as_u64().is_some_and(|count| count > 0), "{refused}");
    world.configure(&json!({"timeScale": 1200}));
    world.run(&["plan", "--sandbox", "--detailed-exitcode", "--target", "application/image"]).with(0);
}

#[test]
fn one_digest_has_several_tags_and_a_tag_stays_where_it_is() {
    let world = up();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let clients = runtime.block_on(connect(&sandbox_of(&world), "eu-central-1", None));
    let local = provisioner::aws::Local {
        folder: world.path().into(),
        cache: world.path().join("cache"),
        own: Vec::new(),
        sandbox: true,
    };
    let cx = Cx::new(clients, Owner::default(), "123456789012", "eu-central-1").on(local);
    let kind = handler("image").unwrap();
    let spec = |tags: &[&str]| {
        json!({
            "repository": "shop/app", "registry": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/shop/app",
            "content": content(&world), "tags": tags, "immutableTags": true, "path": "app", "builder": "python",
            "platforms": ["linux/amd64"],
        })
    };
    let look = |want: &Value| {
        let ask = Lookup {
            address: "application/image".into(),
            want: want.clone(),
            recorded: Value::Null,
            name: None,
        };
        let mut found = runtime.block_on((kind.find)(&cx, &[ask])).unwrap();
        found.pop().unwrap().live
    };
    let want = spec(&["1.0.0", "1.0"]);
    let before = look(&want);
    assert_eq!(before["tags"], json!([]));
    let paths = |want: &Value, live: &Value| {
        (kind.kind.diff)(want, live).unwrap().0.into_iter().map(|change| change.path).collect::<Vec<_>>()
    };
    assert_eq!(paths(&want, &before), ["tags"]);
    runtime.block_on((kind.sync)(&cx, &want, &before)).unwrap();
    let after = look(&want);
    assert!(paths(&want, &after).is_empty());
    assert_eq!((&after["digest"], &after["tags"]), (&before["digest"], &json!(["1.0", "1.0.0"])));
    // The state does not know of the tags, and the next plan has nothing against them.
    world.run(&["plan", "--sandbox", "--detailed-exitcode", "--target", "application/image"]).with(0);

    // Other content under a tag that is taken.
    fs::write(world.path().join("app/data/one.txt"), "two\n").unwrap();
    world.run(&[&["up"], &ONLY[..]].concat()).with(0);
    let (want, live) = (spec(&["1.0"]), look(&spec(&["1.0"])));
    assert_eq!(live["taken"], json!(["1.0"]));
    assert!(
        (kind.kind.validate_change)(&want, &live)
            .unwrap()
            .unwrap()
            .contains("tag 1.0 belongs to another image")
    );
    let error = runtime.block_on((kind.sync)(&cx, &want, &live)).unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorKind::Refused, "ImageTagAlreadyExistsException"));
    assert!(error.hint.unwrap().contains("choose another tag"));

    // Files that change between plan and build.
    let stale = json!({"content": "0".repeat(32)});
    let mut want = want;
    want["content"] = stale["content"].clone();
    let intent = Intent {
        kind: "image".to_owned(),
        stage: Stage::Application,
        token: String::new(),
        nonce: String::new(),
        signed_at: 0,
        request: Value::Null,
        dependencies: BTreeSet::new(),
        owner: String::new(),
        process: Process::default(),
        made: false,
    };
    let error = runtime.block_on((kind.create)(&cx, &want, &intent)).unwrap_err();
    assert!(error.message.contains("changed since the plan was created"), "{error}");

    // What others tagged stays.
    world.boto3(
        "ecr = client('ecr')\ngot = ecr.batch_get_image(repositoryName='shop/app', imageIds=[{'imageTag': '1.0'}])['images'][0]\n\
         ecr.put_image(repositoryName='shop/app', imageManifest=got['imageManifest'], imageTag='theirs'); print('null')",
    );
    runtime.block_on((kind.delete)(&cx, &after)).unwrap();
    runtime.block_on((kind.delete)(&cx, &after)).unwrap();
    let left = world.boto3(
        "print(json.dumps(sorted(i.get('imageTag', '') for i in client('ecr').list_images(repositoryName='shop/app')['imageIds'])))",
    );
    assert_eq!(left, json!([content(&world), "theirs"]));
}

#[test]
fn a_folder_that_cannot_be_built_is_refused_before_anything_is_called() {
    let world = Provider::new(&STACK.replace("app: {", "app: {builder: python, "));
    world.sandbox(1200);
    let refused = |words: &str| {
        let ended = world.run(&["plan", "--sandbox"]).with(3);
        assert!(ended.err.contains(words), "{words}: {}", ended.err);
    };
    symlink("/etc/passwd", world.path().join("app/data/out")).unwrap();
    refused("target of the link is outside the build context (/etc/passwd)");
    fs::remove_file(world.path().join("app/data/out")).unwrap();
    let file = world.path().join("app/Dockerfile");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("@sha256:", ":")).unwrap();
    refused("image registry.invalid/tests/base:1:c756");
    fs::write(&file, format!("{text}RUN make\n")).unwrap();
    refused("app/Dockerfile:10: command `make` has to run");
    fs::remove_dir_all(world.path().join("app")).unwrap();
    refused("folder not found: app");
}
