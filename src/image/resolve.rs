//! Resolves what an application's files leave open: tags of base images by their registry, requirements by pip.
//! Source: <https://pip.pypa.io/en/stable/reference/installation-report/>

use super::{
    BuildMethod, ImageInputs, ImagePlatform, Store, Survey, SurveyError, Temp,
    base_reference::is_python,
    blob::{at, blocking},
    external,
    image_pins::{BasePin, ResolveRequest},
    markers::environment,
    pip::{ProgramError, isolated, python_version, python_with_pip, run},
    registry::ImageError,
    source::ImageSource,
    survey,
    wheels::WheelTarget,
};
use crate::{
    aws::{notice, report_progress},
    model::{CallError, ErrorKind},
    os::ProgramVariables,
};
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::{BTreeSet, btree_map::Entry},
    fs,
    path::{Path, PathBuf},
};

/// How often a folder is read: bases tell the Python, and that tells the packages.
const MAX_ROUNDS: usize = 4;

/// Runs pip with the markers of the image's platform. pip evaluates them for the machine that it runs on, whatever
/// `--platform` says.
/// Source: <https://pip.pypa.io/en/stable/cli/pip_download/#cmdoption-platform>
const DRIVER: &str = "import json\nimport sys\n\nfrom pip._vendor.packaging import markers\n\n\
    TARGET = json.loads(sys.argv[1])\nmarkers.default_environment = lambda: dict(TARGET)\n\n\
    from pip._internal.cli.main import main\n\nsys.exit(main(sys.argv[2:]))\n";

/// A request for a survey in which nothing is open.
#[derive(Clone, Debug)]
pub struct PinRequest {
    /// What the image is built from; its builder is that of the explicit word.
    pub inputs: ImageInputs,
    /// Whether the builder is chosen: the Python builder if it understands the folder, else an external one.
    pub auto: bool,
    /// The user's cache folder.
    pub cache: PathBuf,
    /// Whether an unreachable base image is accepted, which only the sandbox runs.
    pub without_base: bool,
}

/// Surveys a folder, and resolves what is neither pinned in the files nor in `inputs.pins`.
///
/// # Errors
/// Those of [`survey`]; also if a registry or the package index is unreachable, or a package has no wheel.
pub async fn pinned_survey(request: &PinRequest) -> Result<Survey, CallError> {
    let mut inputs = request.inputs.clone();
    if request.auto {
        inputs.builder = BuildMethod::Python;
    }
    let error = match pinned(request, &mut inputs).await {
        Ok(found) => return Ok(found),
        Err(error) => error,
    };
    let wanted = request.auto && is_for_another_builder(&error);
    if !wanted {
        return Err(error.into_call_error());
    }
    match external::is_available(&request.cache).await {
        Ok(()) => {
            let inputs = ImageInputs { builder: BuildMethod::Dockerfile, ..inputs };
            blocking(move || survey(&inputs).map_err(SurveyError::into_call_error)).await
        }
        Err(missing) => {
            let error = error.into_call_error();
            let message = format!("{}\nand no other builder works: {}", error.message, missing.message);
            Err(CallError { message, ..error })
        }
    }
}

/// Returns whether a builder that runs the Dockerfile could still build the image.
fn is_for_another_builder(error: &SurveyError) -> bool {
    match error {
        SurveyError::Unsupported(..) => true,
        SurveyError::Failed(error) => error.code == NO_WHEEL,
    }
}

/// Code of the error for a package without a wheel for the platform.
const NO_WHEEL: &str = "NoWheel";

async fn pinned(request: &PinRequest, inputs: &mut ImageInputs) -> Result<Survey, SurveyError> {
    let store = Store::in_cache(&request.cache)?;
    for _ in 0..MAX_ROUNDS {
        let given = inputs.clone();
        let read = tokio::task::spawn_blocking(move || survey(&given)).await;
        let found = read.unwrap_or_else(|error| Err(CallError::bug(error.to_string()).into()))?;
        let packages_open = !found.open_packages.is_empty();
        if found.open_bases.is_empty() && !packages_open {
            return Ok(found);
        }
        let mut bases = found.open_bases.clone();
        if packages_open && request.without_base {
            // On an empty base, the Python of the sandbox loads the packages.
            bases.extend(
                found.package_bases.iter().filter(|base| !inputs.pins.bases.contains_key(*base)).cloned(),
            );
        }
        if !bases.is_empty() {
            pin_bases(request, inputs, &store, &bases, &found).await?;
            continue;
        }
        for open in &found.open_packages {
            if let Entry::Vacant(place) = inputs.pins.packages.entry(open.key()) {
                place.insert(resolved(&store, open).await?);
            }
        }
    }
    Err(CallError::bug("the pins of the image do not settle").into())
}

async fn pin_bases(
    request: &PinRequest,
    inputs: &mut ImageInputs,
    store: &Store,
    bases: &BTreeSet<String>,
    found: &Survey,
) -> Result<(), SurveyError> {
    let sources = ImageSource::new(store);
    let platform = found.platforms.first().copied().unwrap_or(ImagePlatform::Amd64);
    for reference in bases {
        report_progress(&format!("resolving {reference}"));
        let pin = match base_pin(&sources, reference, platform).await {
            Err(ImageError::Unreachable(error)) if request.without_base => {
                let text = "building on an empty base, which only runs in the sandbox";
                notice(&format!("{}; {text}", error.message));
                BasePin { digest: None, python: python_version(&request.cache).await }
            }
            found => found.map_err(|error| unresolved(error.into_call_error(), reference))?,
        };
        inputs.pins.bases.insert(reference.clone(), pin);
    }
    Ok(())
}

fn unresolved(error: CallError, reference: &str) -> CallError {
    let hint = format!("check the name and the network, or pin the base: `FROM {reference}@sha256:...`");
    if error.hint.is_some() { error } else { error.hint(hint) }
}

async fn base_pin(
    sources: &ImageSource,
    reference: &str,
    platform: ImagePlatform,
) -> Result<BasePin, ImageError> {
    let image = sources.open(reference).await?;
    let found = image.find(platform).await?;
    let config: Value = serde_json::from_slice(&found.settings).map_err(|error| image.refused(&error))?;
    Ok(BasePin { digest: Some(image.digest().to_owned()), python: config.get("config").and_then(python_of) })
}

/// Returns the Python version that a base's settings name.
/// Source: `PYTHON_VERSION` in <https://github.com/docker-library/python>
pub fn python_of(settings: &Value) -> Option<String> {
    let variables =
        settings.get("Env").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let version = variables.filter_map(|pair| pair.strip_prefix("PYTHON_VERSION=")).next_back()?;
    let python = version.split('.').take(2).collect::<Vec<_>>().join(".");
    Some(python).filter(|python| is_python(python))
}

#[derive(Deserialize)]
struct Report {
    install: Vec<Installed>,
}

#[derive(Deserialize)]
struct Installed {
    metadata: Metadata,
    download_info: DownloadInfo,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    version: String,
}

#[derive(Deserialize)]
struct DownloadInfo {
    archive_info: Option<ArchiveInfo>,
}

#[derive(Deserialize)]
struct ArchiveInfo {
    #[serde(default)]
    hash: String,
    #[serde(default)]
    hashes: std::collections::BTreeMap<String, String>,
}

/// Returns the packages that pip chooses, each with its version and hash.
async fn resolved(store: &Store, request: &ResolveRequest) -> Result<Vec<String>, CallError> {
    report_progress(&format!("resolving {} for {}", name_of(request), request.platform));
    let python = python_with_pip(store.home()).await?;
    let folder = Temp::new(&store.work(), "resolve")?;
    let file = |name: &str| folder.path().join(name);
    let write = |name: &str, text: &str| fs::write(file(name), text).map_err(|error| at(&file(name), &error));
    fs::create_dir_all(folder.path()).map_err(|error| folder.io_error(&error))?;
    write("driver.py", DRIVER)?;
    write("requirements.txt", &request.text)?;
    write("constraints.txt", &request.constraints)?;
    let target = serde_json::to_string(&environment(&request.python, request.platform)).unwrap_or_default();
    let mut pip = isolated(&python, folder.path(), ProgramVariables::Pip)?;
    pip.arg(file("driver.py")).arg(target);
    pip.args([
        "install",
        "--dry-run",
        "--ignore-installed",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
    ]);
    pip.args(["--retries", "3"]).args(&request.options);
    let choose = WheelTarget { python: &request.python, platform: request.platform, musl: request.musl };
    pip.args(choose.options());
    if request.no_deps {
        pip.arg("--no-deps");
    }
    pip.arg("--target").arg(file("none")).arg("--report").arg(file("report.json"));
    pip.arg("--requirement").arg(file("requirements.txt")).arg("--constraint").arg(file("constraints.txt"));
    run(pip).await.map_err(|said| failed(request, said))?;
    read_report(&file("report.json"), request)
}

fn read_report(path: &Path, request: &ResolveRequest) -> Result<Vec<String>, CallError> {
    let text = fs::read(path).map_err(|error| at(path, &error))?;
    let invalid = |what: &str| CallError::new(ErrorKind::Other, format!("{}: {what}", name_of(request)));
    let report: Report =
        serde_json::from_slice(&text).map_err(|error| invalid(&format!("pip's report: {error}")))?;
    let mut lines = Vec::new();
    for one in report.install {
        let Metadata { name, version } = one.metadata;
        let archive = one.download_info.archive_info;
        let hash = archive.and_then(|archive| {
            archive
                .hashes
                .get("sha256")
                .cloned()
                .or_else(|| archive.hash.strip_prefix("sha256=").map(str::to_owned))
        });
        let hash = hash.ok_or_else(|| {
            invalid(&format!("`{name}` {version} does not come from a package index"))
                .hint("require a version of a package index, or set `builder: dockerfile`")
        })?;
        lines.push(format!("{name}=={version} --hash=sha256:{hash}"));
    }
    lines.sort();
    Ok(lines)
}

fn name_of(request: &ResolveRequest) -> &str {
    if request.file.is_empty() { "the requirements of the Dockerfile" } else { &request.file }
}

fn failed(request: &ResolveRequest, said: ProgramError) -> CallError {
    let words = match said {
        ProgramError::Nothing => "no longer installed".to_owned(),
        ProgramError::Words(words) => words,
    };
    let python = format!("Python {} on {}", request.python, request.platform);
    if let Some((_, rest)) = words.rsplit_once("No matching distribution found for ") {
        let package = rest.split([';', ' ', '(']).next().unwrap_or_default();
        let text = format!(
            "{}: `{package}` has no wheel for {python}, or no version that fits ({words})",
            name_of(request)
        );
        let error = CallError::new(ErrorKind::Refused, text);
        return CallError { code: NO_WHEEL.to_owned(), ..error }.hint(
            "require a version with a wheel (a `-binary` package, if there is one), or set `builder: dockerfile` and \
             build it there",
        );
    }
    let text = format!("{}: pip failed to resolve the requirements for {python}: {words}", name_of(request));
    CallError::new(ErrorKind::Other, text)
        .hint("check the requirements, and that the package index (set in pip's configuration) is reachable")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request() -> ResolveRequest {
        ResolveRequest {
            file: "requirements.txt".to_owned(),
            text: String::new(),
            constraints: String::new(),
            options: Vec::new(),
            no_deps: false,
            python: "3.12".to_owned(),
            platform: ImagePlatform::Amd64,
            musl: false,
        }
    }

    #[test]
    fn a_report_becomes_hashed_requirements() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        let one = |name: &str, archive: Value| json!({"metadata": {"name": name, "version": "1"}, "download_info": {"url": "x", "archive_info": archive}});
        let all = json!({"install": [one("b", json!({"hashes": {"sha256": "bb"}})), one("a", json!({"hash": "sha256=aa"}))]});
        fs::write(&path, all.to_string()).unwrap();
        assert_eq!(
            read_report(&path, &request()).unwrap(),
            ["a==1 --hash=sha256:aa", "b==1 --hash=sha256:bb"]
        );
        let git = json!({"install": [{"metadata": {"name": "g", "version": "1"}, "download_info": {"url": "x", "vcs_info": {}}}]});
        fs::write(&path, git.to_string()).unwrap();
        assert!(read_report(&path, &request()).unwrap_err().message.contains("`g` 1 does not come"));
    }

    #[test]
    fn a_package_without_a_wheel_is_named() {
        let words = "ERROR: Could not find a version (from versions: none); ERROR: No matching distribution found for mysqlclient";
        let error = failed(&request(), ProgramError::Words(words.to_owned()));
        assert!(
            error.message.starts_with("requirements.txt: `mysqlclient` has no wheel for Python 3.12"),
            "{error}"
        );
        assert!(error.hint.as_deref().unwrap_or_default().contains("builder: dockerfile"));
        assert!(is_for_another_builder(&SurveyError::Failed(error)));
        let error = failed(&request(), ProgramError::Words("connection refused".to_owned()));
        assert!(!is_for_another_builder(&SurveyError::Failed(error)));
    }

    #[test]
    fn a_base_tells_its_python() {
        assert_eq!(python_of(&json!({"Env": ["A=1", "PYTHON_VERSION=3.12.7"]})).as_deref(), Some("3.12"));
        assert_eq!(python_of(&json!({"Env": ["PYTHON_VERSION=2.7.1"]})), None);
        assert_eq!(python_of(&json!({})), None);
    }
}
