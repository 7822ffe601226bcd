"""The control plane's binary: built from the Go module beside this package, once a version, into the user's cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

MODULE = Path(__file__).resolve().parent.parent
TRIMMED = ["-mod=readonly", "-trimpath", "-buildvcs=false"]
# How often the build says how far it is.
TELL_EVERY = 15.0

Tell = Callable[[str], None]


class GoMissing(Exception):
    """There is no Go, or one that is too old."""


class BuildFailed(Exception):
    """Go is there, and could not build it."""


def required(name: str) -> str:
    """What go.mod says: the version of a module that it requires, or of Go itself by the name `go`."""
    found = re.search(rf"^\s*(?:require )?{re.escape(name)} v?(\S+)", (MODULE / "go.mod").read_text(), re.MULTILINE)
    if not found:
        raise BuildFailed(f"{MODULE / 'go.mod'} names no {name}")
    return found[1]


def kubernetes() -> str:
    """The version of Kubernetes, such as `1.35.4`."""
    return required("k8s.io/kubernetes")


def linker_flags() -> str:
    # A release is stamped by its own build; without this the server says that it is v0.0.0.
    version = kubernetes()
    major, minor, _ = version.split(".", 2)
    package = "k8s.io/component-base/version"
    stamps = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor}
    return " ".join(["-s -w", *(f"-X {package}.{name}={value}" for name, value in stamps.items())])


def fingerprint() -> str:
    """Of all that the binary is made of."""
    whole = hashlib.sha256()
    for file in [MODULE / "go.mod", MODULE / "go.sum", *sorted(MODULE.glob("*.go"))]:
        whole.update(f"{file.name}\n".encode() + hashlib.sha256(file.read_bytes()).digest())
    whole.update(" ".join([*TRIMMED, linker_flags()]).encode())
    return whole.hexdigest()[:16]


def cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "provisioner"


def place() -> Path:
    """Where the binary is, or will be; beside it `kubectl`, which is the same file."""
    return cache() / f"testplane-{fingerprint()}" / "testplane"


def ensure(tell: Tell) -> Path:
    """The binary's path. Builds it where it is not there; of several callers at once, one builds and all wait.

    Raises `GoMissing` and `BuildFailed`; neither leaves a binary behind.
    """
    binary = place()
    if binary.exists():
        return binary
    go = find_go()
    binary.parent.mkdir(parents=True, exist_ok=True)
    with locked(binary.parent.with_suffix(".lock"), tell):
        if not binary.exists():
            build(go, binary, tell)
    return binary


def find_go() -> str:
    needed = required("go")
    go = shutil.which("go")
    if go is None:
        raise GoMissing(f"the Kubernetes control plane is built with Go {needed} or newer, and no `go` is in PATH")
    # In the module's folder and with no other toolchain allowed, since that decides which Go it is.
    asked = subprocess.run([go, "env", "GOVERSION"], cwd=MODULE, env=environment(), capture_output=True, text=True)
    have = asked.stdout.strip()
    if asked.returncode != 0:
        raise GoMissing(
            f"the Kubernetes control plane is built with Go {needed} or newer; {go} says: {asked.stderr.strip()}"
        )
    if numbers(have) < numbers(needed):
        raise GoMissing(f"the Kubernetes control plane is built with Go {needed} or newer; {go} is {have}")
    return go


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def environment() -> dict[str, str]:
    """The caller's, for its proxies and module mirrors, but without what changes the result."""
    kept = {name: value for name, value in os.environ.items() if name not in ("GOFLAGS", "GOWORK", "GOOS", "GOARCH")}
    return {**kept, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off"}


@contextmanager
def locked(path: Path, tell: Tell) -> Iterator[None]:
    """The system lets go of the lock when its holder ends, however that ends."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell("waiting for another process that builds the Kubernetes control plane")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Builder:
    """Runs Go, counts what it says, and tells how far it is."""

    def __init__(self, go: str, tell: Tell):
        self.go = go
        self.tell = tell
        self.began = self.told = time.monotonic()
        self.downloaded = self.compiled = 0
        self.packages = 0
        self.said: list[str] = []

    def run(self, *args: str) -> None:
        """Raises `BuildFailed`."""
        command = ["nice", "-n", "10", self.go, *args]
        try:
            process = subprocess.Popen(
                command,
                cwd=MODULE,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        except OSError as error:
            raise BuildFailed(f"`nice {self.go}` cannot be started: {error}") from error
        with process:
            for line in process.stdout or ():
                self.hear(line.rstrip(), args[0])
        if process.returncode != 0:
            cause = "\n".join(self.said[-20:]) or f"exit code {process.returncode}"
            raise BuildFailed(
                f"`go {args[0]}` failed in {MODULE} after {time.monotonic() - self.began:.0f} s:\n{cause}\n"
                "What was compiled is in Go's build cache; the next build resumes from there. "
                "Where modules could not be had, see GOPROXY (`go help goproxy`)."
            )

    def hear(self, line: str, command: str) -> None:
        # `list` prints all packages, `build -v` each that it compiles; what else Go says has spaces in it.
        if line.startswith("go: downloading "):
            self.downloaded += 1
        elif " " in line:
            self.said.append(line)
        elif command == "list":
            self.packages += 1
        else:
            self.compiled += 1
        now = time.monotonic()
        if now - self.told > TELL_EVERY:
            self.told = now
            known = f" of {self.packages}" if command != "list" else ""
            done = f"{self.downloaded} modules downloaded, {self.compiled}{known} packages compiled"
            self.tell(f"  {now - self.began:.0f} s: {done}")


def build(go: str, binary: Path, tell: Tell) -> None:
    for left in binary.parent.glob("*.partial"):
        left.unlink()
    partial = binary.parent / f"{os.getpid()}.partial"
    tell(f"building the Kubernetes {kubernetes()} control plane (once; about 5 minutes on 2 cores)")
    builder = Builder(go, tell)
    builder.run("list", "-mod=readonly", "-deps", ".")
    try:
        builder.run("build", "-v", *TRIMMED, "-ldflags", linker_flags(), "-o", str(partial), ".")
    except BuildFailed:
        partial.unlink(missing_ok=True)
        raise
    kubectl = binary.with_name("kubectl")
    kubectl.unlink(missing_ok=True)
    kubectl.symlink_to(binary.name)
    partial.rename(binary)
    tell(f"built in {time.monotonic() - builder.began:.0f} s: {binary}")
