//! What a Dockerfile makes of a folder, without running it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;
use crate::image::{
    build_context::{BuildContext, ContextRules},
    file_tree::{FileOwner, TreeNode},
};
use std::{fs, path::Path};

const HASHED: &str = "a==1 --hash=sha256:361ca0950cc7082f53fa69e9328409f40a62c61e57e0a47e1825a08078a58a53\n";

fn put(folder: &Path, path: &str, text: &str) {
    let file = folder.join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

/// A stage as a text: settings, then files, then packages.
struct Seen {
    settings: crate::image::build_stage::BuildStage,
    files: Vec<String>,
    packages: Vec<Packages>,
}

impl Seen {
    fn places(&self) -> Vec<String> {
        let all = self.packages.iter();
        all.map(|one| {
            let name = |folder: &Option<String>| folder.clone().unwrap_or_else(|| "-".to_owned());
            format!("{} {} {}", name(&one.site), name(&one.scripts), one.interpreter)
        })
        .collect()
    }

    /// The requirements, the constraints and the options of all commands.
    fn requirements(&self) -> Vec<(String, String, Vec<String>)> {
        let all = self.packages.iter().flat_map(|one| &one.installs);
        all.filter_map(|one| match one {
            Install::Requirements(one) => {
                Some((one.text.clone(), one.constraints.clone(), one.options.clone()))
            }
            Install::Lock(_) => None,
        })
        .collect()
    }
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in [
        ("main.py", "app = 1\n"),
        ("run.sh", "#!/bin/sh\n"),
        ("shop/__init__.py", ""),
        ("shop/views.py", ""),
        ("static/a.css", ""),
        ("requirements.txt", "fastapi>=0.115\n"),
        ("requirements/base.txt", "django\n"),
        (
            "requirements/prod.txt",
            "-r base.txt\n-c limits.txt\n--index-url https://example.com\ngunicorn # why\n",
        ),
        ("requirements/limits.txt", "django<6\n"),
        ("hashed.txt", HASHED),
        ("uv.lock", "version = 1\n"),
        ("poetry.lock", ""),
        (
            "pyproject.toml",
            "[project]\nname = \"shop\"\nversion = \"1.2\"\ndependencies = [\"x>=1\"]\n[project.optional-dependencies]\n\
             db = [\"y\"]\n[project.scripts]\nserve = \"shop.views:main\"\n[build-system]\nrequires = []\n",
        ),
    ] {
        put(folder.path(), path, text);
    }
    folder
}

fn read(text: &str) -> Result<Seen, Vec<Refusal>> {
    let home = folder();
    let context = BuildContext::read(home.path(), &ContextRules::default()).unwrap();
    let inputs = StageInputs { context: &context, python_of: &|_| None };
    let requirements = fs::read_to_string(home.path().join("requirements.txt")).unwrap();
    let state = super::read(text, inputs, Some(&requirements))?;
    let owner = |owner: &FileOwner| match owner {
        FileOwner { uid: 0, gid: 0 } => String::new(),
        FileOwner { uid, gid } => format!(" {uid}:{gid}"),
    };
    let files = state.tree.nodes.iter().map(|(path, node)| match node {
        TreeNode::File { mode: 0o644, owner: of, .. } => format!("{path}{}", owner(of)),
        TreeNode::File { mode, owner: of, .. } => format!("{path} {mode:o}{}", owner(of)),
        TreeNode::Text { mode, owner: of, .. } => format!("{path} text {mode:o}{}", owner(of)),
        TreeNode::Link { target } => format!("{path} -> {target}"),
        TreeNode::Folder { mode: 0o755, owner: of } => format!("{path}/{}", owner(of)),
        TreeNode::Folder { mode, owner: of } => format!("{path}/ {mode:o}{}", owner(of)),
    });
    Ok(Seen { files: files.collect(), settings: state.settings.clone(), packages: state.packages })
}

fn seen(text: &str) -> Seen {
    read(text).unwrap_or_else(|refusals| panic!("{text}: {refusals:?}"))
}

fn list(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn the_usual_service_is_understood() {
    let found = seen(
        "ARG PYTHON=3.12\nFROM python:${PYTHON}-slim\nENV PYTHONUNBUFFERED=1 \\\n  PATH=\"/x:$PATH\"\nWORKDIR /app\n\
         COPY requirements.txt .\nRUN --mount=type=cache,target=/root/.cache pip install --no-cache-dir --upgrade pip \
         && pip install --no-cache-dir -r requirements.txt\nCOPY . .\nEXPOSE 8000\nHEALTHCHECK CMD curl localhost\n\
         CMD uvicorn main:app --host 0.0.0.0 --port ${PORT:-8000}\n",
    );
    assert_eq!(found.settings.base, "python:3.12-slim");
    assert_eq!(found.settings.folder.as_deref(), Some("/app"));
    assert_eq!(
        found.settings.cmd,
        Some(list(&["/bin/sh", "-c", "uvicorn main:app --host 0.0.0.0 --port ${PORT:-8000}"]))
    );
    assert_eq!(found.settings.variable("PATH"), Some("/x:${PATH}"));
    assert!(
        found.files.contains(&"app/main.py".to_owned())
            && found.files.contains(&"app/shop/views.py".to_owned())
    );
    assert_eq!(
        found.places(),
        ["usr/local/lib/python3.12/site-packages usr/local/bin /usr/local/bin/python3.12"]
    );
    assert_eq!(found.requirements(), [("fastapi>=0.115\n".to_owned(), String::new(), Vec::new())]);
}

#[test]
fn files_go_where_copy_puts_them() {
    let from = "FROM python:3.12\nCMD [\"x\"]\nWORKDIR /srv\n";
    let cases: &[(&str, &[&str])] = &[
        ("COPY main.py ./", &["srv/main.py"]),
        ("COPY main.py other.py", &["srv/other.py"]),
        ("COPY main.py run.sh /opt/", &["opt/main.py", "opt/run.sh"]),
        ("COPY shop /srv/shop", &["srv/shop/__init__.py", "srv/shop/views.py"]),
        ("COPY shop/ .", &["srv/__init__.py", "srv/views.py"]),
        ("COPY s* all/", &["srv/all/__init__.py", "srv/all/a.css", "srv/all/views.py"]),
        ("COPY main.py absent* ./", &["srv/main.py"]),
        ("COPY shop/*.py .", &["srv/__init__.py", "srv/views.py"]),
        ("ADD --chmod=750 run.sh /usr/local/bin", &["usr/local/bin/run.sh 750"]),
        ("COPY [\"main.py\", \"a b.py\"]", &["srv/a b.py"]),
        ("COPY --link --chown=5:6 main.py data/x.py", &["srv/data/x.py 5:6"]),
    ];
    for (line, wanted) in cases {
        let found = seen(&format!("{from}{line}\n")).files;
        let found: Vec<&String> =
            found.iter().filter(|path| !path.split(' ').next().unwrap().ends_with('/')).collect();
        assert_eq!(found, *wanted, "{line}");
    }
}

#[test]
fn commands_that_need_not_run_are_followed() {
    let found = seen(
        "FROM python:3.12-slim\nRUN set -eux; groupadd -r -g 77 app && useradd --no-log-init -r -u 78 -g app -m app\n\
         WORKDIR /app\nRUN mkdir -p /app/data /var/log/app && chown -R app:app /app && chmod 770 /app/data && \
         rm -rf /root/.cache /var/lib/apt/lists/*\nCOPY --chown=app:app run.sh .\nRUN chmod +x run.sh\nUSER app\n\
         VOLUME /app/data\nSTOPSIGNAL SIGINT\nSHELL [\"/bin/bash\", \"-c\"]\nENTRYPOINT ./run.sh\n",
    );
    assert_eq!(
        found.files,
        ["app/ 78:77", "app/data/ 770 78:77", "app/run.sh 755 78:77", "home/app/ 78:77", "var/log/app/"]
    );
    assert_eq!(found.settings.user.as_deref(), Some("78:77"));
    assert_eq!(found.settings.entrypoint, Some(list(&["/bin/bash", "-c", "./run.sh"])));
    assert!(found.settings.volumes.contains("/app/data"));
}

#[test]
fn a_builder_stage_gives_its_environment() {
    let found = seen(
        "FROM python:3.12 AS build\nRUN apt-get update && apt-get install -y gcc\nRUN python -m venv /opt/venv\n\
         ENV PATH=/opt/venv/bin:$PATH\nCOPY requirements.txt .\nRUN pip install -r requirements.txt\n\
         FROM python:3.12-slim\nCOPY --from=build /opt/venv /opt/venv\nENV PATH=\"/opt/venv/bin:$PATH\"\n\
         CMD [\"uvicorn\", \"main:app\"]\n",
    );
    assert_eq!(found.places(), ["opt/venv/lib/python3.12/site-packages opt/venv/bin /opt/venv/bin/python"]);
    assert!(
        found.files.contains(&"opt/venv/bin/python -> /usr/local/bin/python3".to_owned()),
        "{:?}",
        found.files
    );
    // Modules and programs are copied separately; a prefix becomes the base's folder.
    let found = seen(
        "FROM python:3.12 AS build\nCOPY requirements.txt .\nRUN pip install --prefix=/install -r requirements.txt\n\
         FROM python:3.12-slim\nCOPY --from=0 /install /usr/local\nCMD [\"x\"]\n",
    );
    assert_eq!(
        found.places(),
        ["usr/local/lib/python3.12/site-packages usr/local/bin /usr/local/bin/python3.12"]
    );
    let found = seen(
        "FROM python:3.12 AS build\nRUN pip install flask\nFROM python:3.12-slim\n\
         COPY --from=build /usr/local/lib/python3.12/site-packages /usr/local/lib/python3.12/site-packages\n\
         COPY --from=build /usr/local/bin /usr/local/bin\nCMD [\"x\"]\n",
    );
    assert_eq!(
        found.places(),
        ["usr/local/lib/python3.12/site-packages usr/local/bin /usr/local/bin/python3.12"]
    );
    // A stage that continues another has what that has.
    let found =
        seen("FROM python:3.12 AS base\nENV A=1\nWORKDIR /srv\nFROM base\nCOPY main.py .\nCMD [\"$A\"]\n");
    assert_eq!((found.settings.variable("A"), found.files.len()), (Some("1"), 1));
}

#[test]
fn requirements_files_include_others() {
    let from = "FROM python:3.12\nCMD [\"x\"]\nCOPY . .\n";
    let found = seen(&format!("{from}RUN pip install -r requirements/prod.txt psycopg\n")).requirements();
    assert_eq!(
        found,
        [
            (
                "django\ngunicorn\n".to_owned(),
                "django<6\n".to_owned(),
                list(&["--index-url=https://example.com"])
            ),
            ("psycopg\n".to_owned(), String::new(), Vec::new()),
        ]
    );
    let found = seen(&format!("{from}RUN pip install '.[db]'\n"));
    assert_eq!(found.requirements()[0].0, "x>=1\ny\n");
    for path in [
        "usr/local/bin/serve text 755",
        "usr/local/lib/python3.12/site-packages/shop/views.py",
        "usr/local/lib/python3.12/site-packages/shop-1.2.dist-info/METADATA text 644",
    ] {
        assert!(found.files.contains(&path.to_owned()), "{path}: {:?}", found.files);
    }
    let found = seen(&format!("{from}RUN pip install -e .\n"));
    assert!(found.files.iter().any(|path| path.ends_with("_shop.pth text 644")), "{:?}", found.files);
}

#[test]
fn uv_and_poetry_install_what_their_locks_name() {
    let found = seen(
        "FROM python:3.12-slim\nCOPY --from=ghcr.io/astral-sh/uv:0.5 /uv /uvx /bin/\nWORKDIR /app\n\
         RUN --mount=type=bind,source=uv.lock,target=uv.lock --mount=type=bind,source=pyproject.toml,target=pyproject.toml \
         uv sync --frozen --no-install-project --no-dev\nCOPY . .\nRUN uv sync --frozen --no-dev\n\
         CMD [\"uv\", \"run\", \"--no-sync\", \"serve\", \"--port\", \"80\"]\n",
    );
    assert_eq!(
        found.places(),
        ["app/.venv/lib/python3.12/site-packages app/.venv/bin /app/.venv/bin/python"]
    );
    assert_eq!(found.packages[0].installs.len(), 1);
    assert_eq!(found.settings.cmd, Some(list(&["/app/.venv/bin/serve", "--port", "80"])));
    assert!(found.files.contains(&"app/.venv/bin/serve text 755".to_owned()), "{:?}", found.files);
    let found = seen(
        "FROM python:3.12-slim\nRUN pip install poetry==1.8 && poetry config virtualenvs.create false\nWORKDIR /app\n\
         COPY pyproject.toml poetry.lock ./\nRUN poetry install --no-root --only main --no-interaction\nCMD [\"x\"]\n",
    );
    assert_eq!(
        found.places(),
        ["usr/local/lib/python3.12/site-packages usr/local/bin /usr/local/bin/python3.12"]
    );
    let Install::Lock(lock) = &found.packages[0].installs[0] else { panic!("a lock") };
    assert_eq!((lock.file.as_str(), lock.groups.len()), ("poetry.lock", 1));
}

#[test]
fn all_lines_that_cannot_be_followed_are_reported() {
    let refusals = read(
        "FROM python:3.12-slim\nRUN apt-get update && apt-get install -y libpq5\nCOPY absent.txt .\nRUN make && x\n\
         RUN pip install git+https://example.com/x\nRUN curl https://example.com | sh\nONBUILD RUN x\nCOPY main.py .\n\
         RUN python manage.py collectstatic\nENV A=$UNSET\nADD https://example.com/x /x\nUSER a b\n",
    )
    .err()
    .unwrap();
    let found: Vec<String> = refusals.iter().map(|one| format!("{}: {}", one.line, one.what)).collect();
    let wanted = [
        (1, "no ENTRYPOINT and no CMD"),
        (2, "`apt-get install -y libpq5` has to run"),
        (3, "`absent.txt` is not in the build context"),
        (4, "`make` has to run"),
        (5, "which is not in a package index"),
        (6, "`|`"),
        (7, "unsupported instruction ONBUILD"),
        (9, "`python manage.py collectstatic` has to run"),
        (10, "variable `UNSET` has no value"),
        (11, "ADD of a URL"),
        (12, "expected one value"),
    ];
    assert_eq!(found.len(), wanted.len(), "{found:#?}");
    for ((line, what), found) in wanted.iter().zip(&found) {
        assert!(found.starts_with(&format!("{line}: ")) && found.contains(what), "{what}: {found}");
    }
    assert!(refusals.iter().all(|one| one.hint.is_some() || [12].contains(&one.line)), "{refusals:#?}");
}

#[test]
fn what_a_stage_of_the_base_has_is_not_known() {
    for (text, what) in [
        (
            "FROM python:3.12 AS b\nFROM python:3.12\nCOPY --from=b /etc/ssl /etc/ssl\nCMD [\"x\"]",
            "comes from its base image",
        ),
        ("FROM python:3.12\nCOPY --from=nginx /x /x\nCMD [\"x\"]", "COPY from the image `nginx`"),
        ("FROM scratch\nCMD [\"x\"]", "unsupported base image `scratch`"),
        ("FROM debian:13\nRUN pip install x\nCMD [\"x\"]", "is not an image of Python"),
        ("FROM gcr.io/distroless/python3-debian12\nCMD python main.py", "the image has no shell"),
        ("FROM python:3.12\nUSER x\nRUN chown x /x\nCMD [\"x\"]", "unknown user or group"),
        ("FROM python:3.12\nEXPOSE 0\nCMD [\"x\"]", "invalid port"),
        ("FROM ${BASE}\nCMD [\"x\"]", "variable `BASE`"),
        ("CMD [\"x\"]", "no FROM"),
        ("", "no FROM"),
    ] {
        let refusals = read(text).err().unwrap_or_else(|| panic!("{text}"));
        assert!(refusals.iter().any(|one| one.what.contains(what)), "{text}: {refusals:?}");
    }
}
