//! Images made by the library, and the programs of others that serve, copy and unpack them.

use provisioner::{
    image::{
        BuildMethod, BuildRequest, Built, ImageInputs, ImagePins, ImagePlatform, Survey, SurveyError, build,
        survey, write_layout,
    },
    model::CallError,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// The image of a folder, made without a daemon.
pub fn built(folder: &Path, cache: &Path, platforms: &[ImagePlatform]) -> Result<Built, CallError> {
    built_by(BuildMethod::Python, folder, cache, platforms)
}

/// What is built of a folder.
pub fn inputs(builder: BuildMethod, folder: &Path, platforms: &[ImagePlatform]) -> ImageInputs {
    let (folder, platforms) = (folder.to_path_buf(), platforms.to_vec());
    ImageInputs { folder, builder, platforms, own: Vec::new(), pins: ImagePins::default(), cache: None }
}

/// A folder as it is read.
pub fn surveyed(
    builder: BuildMethod,
    folder: &Path,
    platforms: &[ImagePlatform],
) -> Result<Survey, CallError> {
    survey(&inputs(builder, folder, platforms)).map_err(SurveyError::into_call_error)
}

/// The image of a folder.
pub fn built_by(
    builder: BuildMethod,
    folder: &Path,
    cache: &Path,
    platforms: &[ImagePlatform],
) -> Result<Built, CallError> {
    let inputs = inputs(builder, folder, platforms);
    let tag = survey(&inputs).map_err(SurveyError::into_call_error)?.tag;
    let ask = BuildRequest { inputs, tag, cache: cache.to_path_buf(), without_base: false };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(build(&ask))
}

/// Whether the programs are there. CI must have them.
pub fn have(programs: &[&str]) -> bool {
    let missing: Vec<&&str> = programs
        .iter()
        .filter(|name| {
            let found =
                Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            found.is_err()
        })
        .collect();
    missing.is_empty() || skipped(&format!("{missing:?} are not installed"))
}

/// Says why a test is left out, which CI leaves none.
pub fn skipped(why: &str) -> bool {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "not to be skipped in CI: {why}");
    println!("skipped: {why}");
    false
}

/// Runs a program that must succeed.
pub fn run(program: &str, arguments: &[&str]) {
    super::run(Command::new(program).args(arguments));
}

/// Writes the image as a layout, has `skopeo` copy that, and `umoci` unpack the copy; the bundle's folder.
pub fn unpacked(image: &Built, home: &Path) -> PathBuf {
    let at = |name: &str| home.join(name).display().to_string();
    write_layout(image, &home.join("layout"), "v1").unwrap();
    let (from, to) = (format!("oci:{}:v1", at("layout")), format!("oci:{}:v1", at("copy")));
    run("skopeo", &["copy", "--insecure-policy", &from, &to]);
    let mut unpack = vec!["unpack"];
    if !rustix::process::geteuid().is_root() {
        unpack.push("--rootless");
    }
    let (source, bundle) = (format!("{}:v1", at("copy")), home.join("bundle"));
    run("umoci", &[&unpack[..], &["--image", &source, bundle.to_str().unwrap()]].concat());
    bundle
}

/// A program that ends with this value.
pub struct Ends(pub Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A registry on loopback that ends with this value.
pub struct Registry {
    /// `127.0.0.1:PORT`
    pub host: String,
    _process: Ends,
}

impl Registry {
    /// One that keeps what it has in this folder.
    pub fn serve(folder: &Path) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let host = format!("127.0.0.1:{port}");
        let config = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{host}'}}\n",
            folder.join("registry").display()
        );
        fs::write(folder.join("config.yml"), config).unwrap();
        let mut serve = Command::new("docker-registry");
        serve.arg("serve").arg(folder.join("config.yml")).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Ends(serve.spawn().unwrap());
        let deadline = Instant::now() + Duration::from_mins(5);
        while std::net::TcpStream::connect(&host).is_err() {
            assert!(Instant::now() < deadline, "the registry does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Registry { host, _process: process }
    }

    /// Gives it an image of a layout (`DIR:TAG`) under this name and tag; the image's digest.
    pub fn take(&self, image: &str, name: &str) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (from, to) = (format!("oci:{image}"), format!("docker://{}/{name}", self.host));
        let digest = file.path().to_str().unwrap();
        let copy = ["copy", "--insecure-policy", "--all", "--preserve-digests", "--dest-tls-verify=false"];
        run("skopeo", &[&copy[..], &["--digestfile", digest, &from, &to]].concat());
        fs::read_to_string(file.path()).unwrap()
    }
}
