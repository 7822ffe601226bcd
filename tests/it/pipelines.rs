//! The pipelines of `docs/ci`, job by job and step by step, with the shell that GitHub and GitLab use, against the
//! sandbox. Only what the runner itself does is played here: checkout, credentials, artifacts. A step that is unknown
//! fails the test, so that none is left out.

use crate::common::{Ended, Provider};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

const STACK: &str = "name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: none, endpoints: []}\n\
    parameters: [{name: /shop/greeting, value: hello}]\n";

/// What is downloaded: the program, as a script that starts the one that was built.
fn download() -> String {
    format!("#!/bin/sh\nexec '{}' \"$@\"\n", env!("CARGO_BIN_EXE_provisioner"))
}

/// Stands for curl: it downloads the program, or posts a comment, which is kept.
const CURL: &str = r#"#!/bin/bash
set -e
output= body= url=
while [ $# -gt 0 ]; do
    case "$1" in
        --output) output="$2"; shift ;;
        --data-urlencode) body="${2#body@}"; shift ;;
        --request | --header) shift ;;
        --*) ;;
        *) url="$1" ;;
    esac
    shift
done
case "$url" in
    https://downloads.example.com/provisioner) cp "$KEPT/download" "$output" ;;
    https://gitlab.example.com/api/v4/projects/7/merge_requests/42/notes) cp "$body" "$KEPT/comment" ;;
    *) echo "curl: unknown address $url" >&2; exit 6 ;;
esac
"#;

/// Stands for the GitHub CLI: it keeps the comment.
const GH: &str = r#"#!/bin/bash
set -e
[ "$*" = "pr comment 42 --edit-last --create-if-none --body-file plan.md" ] || { echo "gh: $*" >&2; exit 1; }
[ -n "$GH_TOKEN" ] || { echo "gh: no token" >&2; exit 4; }
cp plan.md "$KEPT/comment"
"#;

/// A project with a pipeline, the sandbox that its jobs reach, and what they leave.
struct Project {
    world: Provider,
    kept: tempfile::TempDir,
    pipeline: Value,
}

/// What a job left: how it ended, and its artifacts and outputs are in the project.
type Environment = BTreeMap<String, String>;

impl Project {
    fn new(pipeline: &str) -> Self {
        let text =
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ci").join(pipeline)).unwrap();
        let project = Project {
            world: Provider::new(STACK),
            kept: tempfile::tempdir().unwrap(),
            pipeline: serde_yaml::from_str(&text).unwrap(),
        };
        project.world.sandbox(600);
        project.keep("download", &download());
        for (name, text) in [("curl", CURL), ("gh", GH)] {
            project.keep(&format!("bin/{name}"), text);
        }
        project
    }

    fn keep(&self, name: &str, text: &str) -> PathBuf {
        let path = self.kept.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Takes the last comment.
    fn comment(&self) -> Option<String> {
        let path = self.kept.path().join("comment");
        let text = fs::read_to_string(&path).ok();
        let _ = fs::remove_file(path);
        text
    }

    /// The machine of a job: an empty folder, and the variables that the runner and the credentials step set.
    fn machine(&self) -> (tempfile::TempDir, Environment) {
        let machine = tempfile::tempdir().unwrap();
        let sum = Command::new("sha256sum").arg(self.kept.path().join("download")).output().unwrap();
        let sum = String::from_utf8(sum.stdout).unwrap().split_whitespace().next().unwrap().to_owned();
        let path = format!("{}:{}", self.kept.path().join("bin").display(), std::env::var("PATH").unwrap());
        let variables = [
            ("PATH", path),
            ("HOME", machine.path().join("home").display().to_string()),
            ("KEPT", self.kept.path().display().to_string()),
            ("AWS_ENDPOINT_URL", self.world.endpoint()),
            ("AWS_ACCESS_KEY_ID", "x".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "x".to_owned()),
            ("PROVISIONER_URL", "https://downloads.example.com/provisioner".to_owned()),
            ("PROVISIONER_SHA256", sum),
        ];
        fs::create_dir(machine.path().join("home")).unwrap();
        (machine, variables.map(|(name, value)| (name.to_owned(), value)).into())
    }

    fn checkout(&self, machine: &Path) {
        fs::copy(self.world.path().join("stack.yaml"), machine.join("stack.yaml")).unwrap();
    }

    fn drift(&self) {
        self.world.boto3(
            "client('ssm').put_parameter(Name='/shop/greeting', Value='changed by hand', Overwrite=True)\nprint('null')",
        );
    }

    fn names(&self, at: &str) -> Vec<String> {
        let found = if at.is_empty() { &self.pipeline } else { &self.pipeline[at] };
        found.as_object().unwrap().keys().cloned().collect()
    }
}

/// Runs a script in the folder with these variables and no others.
fn shell(options: &[&str], script: &str, folder: &Path, environment: &Environment) -> Ended {
    let mut command = Command::new("bash");
    command
        .args(["--noprofile", "--norc"])
        .args(options)
        .args(["-c", script])
        .current_dir(folder)
        .env_clear();
    Ended::of(&command.envs(environment).stdin(std::process::Stdio::null()).output().unwrap())
}

/// The value of an expression of GitHub's in a variable.
fn expression(text: &str) -> String {
    let Some(inside) = text.strip_prefix("${{ ").and_then(|rest| rest.strip_suffix(" }}")) else {
        assert!(!text.contains("${{"), "{text}");
        return text.to_owned();
    };
    match inside {
        "vars.PROVISIONER_URL" | "vars.PROVISIONER_SHA256" => String::new(), // the machine has them
        "github.token" => "token".to_owned(),
        "github.event.pull_request.number" => "42".to_owned(),
        "vars.PLAN_ROLE" | "vars.UP_ROLE" => "arn:aws:iam::123456789012:role/ci".to_owned(),
        "vars.AWS_REGION" => "eu-central-1".to_owned(),
        other => panic!("unknown expression {other}"),
    }
}

fn variables(node: &Value) -> Environment {
    let entries = node.as_object().into_iter().flatten();
    let values = entries.map(|(name, value)| (name.clone(), expression(value.as_str().unwrap())));
    values.filter(|(_, value)| !value.is_empty()).collect()
}

/// Runs the steps of a job of GitHub's, and returns how the last one ended and what the job gave out.
fn github(project: &Project, job: &str) -> (Ended, String) {
    let (machine, mut environment) = project.machine();
    let folder = machine.path();
    environment.extend(variables(&project.pipeline["env"]));
    let (summary, output, path) = (folder.join("summary"), folder.join("output"), folder.join("path"));
    for (name, file) in
        [("GITHUB_STEP_SUMMARY", &summary), ("GITHUB_OUTPUT", &output), ("GITHUB_PATH", &path)]
    {
        fs::write(file, "").unwrap();
        environment.insert(name.to_owned(), file.display().to_string());
    }
    let mut last = None;
    for step in project.pipeline["jobs"][job]["steps"].as_array().unwrap() {
        let with = &step["with"];
        if let Some(action) = step["uses"].as_str() {
            match action.split('@').next().unwrap() {
                "actions/checkout" => project.checkout(folder),
                "aws-actions/configure-aws-credentials" => {
                    assert!(with["role-to-assume"].as_str().unwrap().contains("_ROLE"), "{step}");
                    let region = expression(with["aws-region"].as_str().unwrap());
                    environment.insert("AWS_REGION".to_owned(), region);
                }
                "actions/upload-artifact" => {
                    let path = with["path"].as_str().unwrap();
                    fs::copy(folder.join(path), project.kept.path().join(with["name"].as_str().unwrap()))
                        .unwrap();
                }
                "actions/download-artifact" => {
                    let name = with["name"].as_str().unwrap();
                    fs::copy(project.kept.path().join(name), folder.join(name)).unwrap();
                }
                other => panic!("unknown action {other}"),
            }
            continue;
        }
        let script = step["run"].as_str().unwrap_or_else(|| panic!("unknown step {step}"));
        // What a pull request says must not become a part of a script.
        assert!(!script.contains("${{"), "{script}");
        let mut own = environment.clone();
        own.extend(variables(&step["env"]));
        // Source: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idstepsshell
        let ended = shell(&["-e"], script, folder, &own);
        let added = fs::read_to_string(&path).unwrap();
        let paths = added.lines().chain([environment["PATH"].as_str()]);
        let joined = paths.collect::<Vec<_>>().join(":");
        fs::write(&path, "").unwrap();
        environment.insert("PATH".to_owned(), joined);
        let failed = ended.code != Some(0);
        last = Some(ended);
        if failed {
            break;
        }
    }
    let given = fs::read_to_string(&output).unwrap();
    (last.unwrap(), given)
}

#[test]
fn the_jobs_of_github_plan_apply_and_find_drift() {
    let project = Project::new("github-actions.yaml");
    let mut jobs = project.names("jobs");
    jobs.sort();
    assert_eq!(jobs, ["drift", "plan", "pull-request", "up"]);
    assert_eq!(project.pipeline["permissions"], serde_json::json!({}));

    let (ended, _) = github(&project, "pull-request");
    ended.with(0);
    let comment = project.comment().unwrap();
    assert!(
        comment.starts_with("### Plan for `shop in eu-central-1") && comment.contains(" to create"),
        "{comment}"
    );

    let (ended, given) = github(&project, "plan");
    ended.with(0);
    assert_eq!(given, "changes=true\n");
    let (ended, _) = github(&project, "up");
    let ended = ended.with(0);
    assert!(ended.err.contains("created"), "{}", ended.err);
    let (ended, given) = github(&project, "plan");
    ended.with(0);
    assert_eq!(given, "");
    github(&project, "drift").0.with(0);
    project.drift();
    github(&project, "drift").0.with(2);

    // A refused plan is a comment, too, and fails the check.
    project.world.stack(&STACK.replace("nat: none", "nat: none, flowLogs: false"));
    let (ended, _) = github(&project, "pull-request");
    ended.with(3);
    let comment = project.comment().unwrap();
    assert!(comment.contains("#### Destroys data"), "{comment}");
    let (ended, given) = github(&project, "plan");
    ended.with(3);
    assert_eq!(given, "");
    project.world.stack("name: shop\nregoin: eu-central-1\n");
    let (ended, _) = github(&project, "pull-request");
    assert!(ended.with(3).err.contains("did you mean `region`?"));
    assert_eq!(project.comment(), None);
}

#[test]
fn another_binary_than_the_one_of_the_checksum_does_not_run() {
    let project = Project::new("github-actions.yaml");
    let (machine, mut environment) = project.machine();
    environment.insert("GITHUB_PATH".to_owned(), machine.path().join("path").display().to_string());
    project.keep("download", "#!/bin/sh\ntouch \"$HOME/ran\"\n");
    let steps = project.pipeline["jobs"]["up"]["steps"].as_array().unwrap();
    let install = steps.iter().find(|step| step["name"] == "Install provisioner").unwrap();
    let ended = shell(&["-e"], install["run"].as_str().unwrap(), machine.path(), &environment);
    assert_ne!(ended.code, Some(0), "{}", ended.err);
    assert!(!machine.path().join("path").exists());
    // Each job installs the same.
    for (name, job) in project.pipeline["jobs"].as_object().unwrap() {
        assert!(job["steps"].as_array().unwrap().contains(install), "{name}");
    }
}

/// Runs a job of GitLab's: its scripts are one.
fn gitlab(project: &Project, job: &str) -> Ended {
    let (machine, mut environment) = project.machine();
    let folder = machine.path();
    project.checkout(folder);
    let set = [
        ("AWS_TOKEN", "token"),
        ("PLAN_ROLE", "arn:aws:iam::123456789012:role/plan"),
        ("UP_ROLE", "arn:aws:iam::123456789012:role/up"),
        ("COMMENT_TOKEN", "token"),
        ("CI_API_V4_URL", "https://gitlab.example.com/api/v4"),
        ("CI_PROJECT_ID", "7"),
        ("CI_MERGE_REQUEST_IID", "42"),
    ];
    environment.extend(set.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let saved = project.kept.path().join("saved-plan");
    if job == "up" {
        fs::copy(&saved, folder.join("saved-plan")).unwrap();
    }
    let lines = |node: &Value| -> Vec<String> {
        node.as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect()
    };
    let job = &project.pipeline[job];
    let script =
        [lines(&project.pipeline["default"]["before_script"]), lines(&job["script"])].concat().join("\n");
    // Source: https://docs.gitlab.com/runner/shells/#shbash-shells
    let ended = shell(&["-e", "-o", "pipefail"], &script, folder, &environment);
    for path in job["artifacts"]["paths"].as_array().into_iter().flatten() {
        if let Ok(text) = fs::read(folder.join(path.as_str().unwrap())) {
            fs::write(&saved, text).unwrap();
        }
    }
    ended
}

#[test]
fn the_jobs_of_gitlab_plan_apply_and_find_drift() {
    let project = Project::new("gitlab-ci.yaml");
    let mut names = project.names("");
    names.retain(|name| !["stages", "workflow", "default"].contains(&name.as_str()));
    names.sort();
    assert_eq!(names, ["drift", "merge-request", "plan", "up", "validate"]);

    gitlab(&project, "validate").with(0);
    gitlab(&project, "merge-request").with(0);
    let comment = project.comment().unwrap();
    assert!(comment.starts_with("### Plan for `shop in eu-central-1"), "{comment}");
    gitlab(&project, "plan").with(0);
    gitlab(&project, "up").with(0);
    let again = gitlab(&project, "up").with(3);
    assert!(again.err.contains("the saved plan no longer holds"), "{}", again.err);
    gitlab(&project, "drift").with(0);
    project.drift();
    gitlab(&project, "drift").with(2);
    project.world.stack(&STACK.replace("nat: none", "nat: none, flowLogs: false"));
    gitlab(&project, "merge-request").with(3);
    assert!(project.comment().unwrap().contains("#### Destroys data"));
    project.world.stack("name: shop\n");
    gitlab(&project, "validate").with(3);
}
