"""A container of root's stays in its root: no chroot, no device, no mount, no file of the kernel leads out of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from conftest import Sandbox, until
from kubernetes import SLOW, Kube, pod_spec, push

from provisioner_sandbox.kube.processes import isolation, shim

SHIM = shim.__file__
PYTHON = os.path.realpath(sys.executable)
pytestmark = pytest.mark.skipif(isolation.find_trouble() is not None, reason="containers have no root of their own here")

# Tries the ways out of a root that are known, and prints how each went.
TRIES = r"""
import ctypes, json, os, stat, sys
libc = ctypes.CDLL(None, use_errno=True)
said = {}

def attempt(name):
    def run(function):
        try:
            result = function()
            said[name] = "done" if result is None else result
        except OSError as error:
            said[name] = f"{type(error).__name__} {error.errno}"
    return run

def call(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), "")

here = next(one for one in ("/work", "/tmp") if os.path.isdir(one))

@attempt("chroot")
def _():
    # The way that led out of a mere chroot.
    os.mkdir(f"{here}/a")
    old = os.open("/", os.O_RDONLY)
    os.chroot(f"{here}/a")
    os.fchdir(old)
    for _ in range(64):
        os.chdir("..")
    os.chroot(".")

@attempt("mknod")
def _():
    os.mknod(f"{here}/disk", stat.S_IFBLK | 0o600, os.makedev(8, 0))

@attempt("mknod character")
def _():
    os.mknod(f"{here}/memory", stat.S_IFCHR | 0o600, os.makedev(1, 1))

attempt("mount")(lambda: call(libc.mount(b"proc", f"{here}".encode(), b"proc", 0, None)))
attempt("umount")(lambda: call(libc.umount2(b"/proc", 2)))
attempt("remount")(lambda: call(libc.mount(b"none", b"/", b"none", 32 | 4096, None)))
attempt("unshare mounts")(lambda: call(libc.unshare(0x20000)))
attempt("pivot_root")(lambda: call(libc.pivot_root(b"/", f"{here}".encode())))
attempt("core_pattern")(lambda: open("/proc/sys/kernel/core_pattern", "w").close())
attempt("sysrq")(lambda: open("/proc/sysrq-trigger", "w").write("h") and None)
attempt("kcore")(lambda: len(open("/proc/kcore", "rb").read(16)))
attempt("setuid")(lambda: os.setuid(12345))
attempt("chown")(lambda: os.chown(here, 12345, 12345))
said["up"] = os.path.realpath("/" + "../" * 64)
said["outside"] = os.path.exists(OUTSIDE)
said["root"] = sorted(os.listdir("/"))
said["devices"] = sorted(os.listdir("/dev"))
said["processes"] = sorted(int(one) for one in os.listdir("/proc") if one.isdecimal())
said["status"] = {
    key: value.strip() for key, _, value in (line.partition(":") for line in open("/proc/self/status"))
    if key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Uid")
}
said["mounts"] = {line.split()[4]: line.split()[5].split(",") for line in open("/proc/self/mountinfo")}
open("/dev/null", "w").write("x")
said["random"] = len(open("/dev/urandom", "rb").read(8))
print(json.dumps(said), flush=True)
"""


def parts() -> list[list[str]]:
    """This machine's Python, and what it needs."""
    found = []
    for folder in ("/usr", "/lib", "/lib64", "/bin"):
        if os.path.islink(folder):
            found.append([os.readlink(folder), folder, "link"])
        elif os.path.isdir(folder):
            found.append([folder, folder, "ro"])
    base = os.path.realpath(sys.base_prefix)
    return found if base.startswith("/usr") else [*found, [base, base, "ro"]]


def contain(folder: Path, script: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """Runs Python in a root of its own, as the kubelet does."""
    root = folder / "root"
    root.mkdir(exist_ok=True)
    work = folder / "volume"
    work.mkdir(exist_ok=True)
    work.chmod(0o777)
    devices = [[f"/dev/{name}", f"/dev/{name}", "rw"] for name in ("null", "zero", "full", "random", "urandom")]
    mounts = [*parts(), ["proc", "/proc", "proc"], ["", "/dev", "tmpfs"], *devices, [str(work), "/work", "rw"]]
    reading, writing = os.pipe()
    plan = {
        "argv": [PYTHON, "-c", script], "env": {"PATH": "/usr/bin:/bin"}, "cwd": "/", "uid": 0, "gid": 0, "groups": [],
        "root": str(root), "made": True, "mounts": mounts, "seal": False, "report": writing, **more,
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", SHIM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        pass_fds=(writing,),
    )  # fmt: skip
    os.close(writing)
    assert process.stdin and process.stdout
    process.stdin.write(json.dumps(plan) + "\n")
    process.stdin.flush()
    with open(reading) as report:
        said = report.read()
    out = process.stdout.read()
    process.wait()
    process.stdin.close()
    return subprocess.CompletedProcess([], process.returncode, out, said)


def tried(folder: Path, **more: Any) -> dict[str, Any]:
    outside = folder / "outside"
    outside.write_text("of the machine")
    done = contain(folder, TRIES.replace("OUTSIDE", repr(str(outside))), **more)
    assert done.returncode == 0, (done.stdout, done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


DENIED = "PermissionError 1"


@pytest.mark.parametrize("uid", [0, 65532])
def test_no_way_out_is_open(tmp_path: Path, uid: int) -> None:
    said = tried(tmp_path, uid=uid, gid=uid)
    for way in ("chroot", "mknod", "mknod character", "mount", "umount", "remount", "unshare mounts", "pivot_root", "chown"):
        assert said[way] == DENIED, (way, said[way])
    assert said["core_pattern"] in ("OSError 30", "PermissionError 13")
    assert said["sysrq"] in ("OSError 30", "PermissionError 13", "FileNotFoundError 2")
    # What the machine has there is another file.
    assert said["kcore"] in (0, "PermissionError 13", "FileNotFoundError 2")
    assert said["up"] == "/" and not said["outside"]
    assert not {"home", "var", "boot", "etc"} & set(said["root"])
    assert said["devices"] == ["full", "null", "random", "urandom", "zero"]
    assert said["processes"] == [1]
    assert said["random"] == 8


def test_only_the_right_to_listen_at_low_ports_is_left_of_roots(tmp_path: Path) -> None:
    said = tried(tmp_path)["status"]
    assert said["Uid"].split() == ["0"] * 4
    low_ports = f"{1 << 10:016x}"
    none = f"{0:016x}"
    assert {name: said[name] for name in said if name.startswith("Cap")} == {
        "CapInh": none, "CapPrm": low_ports, "CapEff": low_ports, "CapBnd": low_ports, "CapAmb": none,
    }  # fmt: skip
    assert said["NoNewPrivs"] == "1"
    other = tried(tmp_path, uid=65532, gid=65532)["status"]
    assert {other[name] for name in other if name.startswith("Cap")} == {none}
    assert other["NoNewPrivs"] == "1"


def test_nothing_is_mounted_with_devices_or_set_id_programs(tmp_path: Path) -> None:
    mounts = tried(tmp_path)["mounts"]
    for place, options in mounts.items():
        assert "nosuid" in options, place
        assert "nodev" in options or place.startswith(("/dev/", "/proc/")), place
        assert "rw" in options if place in ("/", "/work", "/dev") else "ro" in options or place.startswith(("/dev/", "/proc/")), place


def test_mounts_below_a_folder_are_restricted_too(tmp_path: Path) -> None:
    """A remount reaches one mount; a folder of the machine may have others in it."""
    folder = tmp_path / "shared"
    (folder / "below").mkdir(parents=True)
    code = (
        "import json, os, sys\nfrom provisioner_sandbox.kube.processes import shim\nshim.libc().unshare(shim.NEW_MOUNTS)\n"
        "shim.mount('none', '/', 'none', shim.PRIVATE | shim.RECURSIVE)\n"
        f"shim.mount('tmpfs', {str(folder / 'below')!r}, 'tmpfs', 0)\n"
        f"shim.mount({str(folder)!r}, {str(folder)!r}, 'none', shim.BIND | shim.RECURSIVE)\n"
        f"shim.restrict({str(folder)!r}, shim.READ_ONLY, False)\n"
        "print(json.dumps([line.split()[4:6] for line in open('/proc/self/mountinfo')]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ})
    assert done.returncode == 0, done.stderr
    # The last mount at a place is what is seen there.
    found = dict(json.loads(done.stdout))
    for place in (folder, folder / "below"):
        assert {"ro", "nosuid", "nodev"} <= set(found[str(place)].split(",")), place


def test_links_of_an_image_lead_to_nothing_outside(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "real").mkdir(parents=True)
    (root / "etc").symlink_to("/../../../../../../real")
    (root / "up").symlink_to("../../../real")
    (root / "loop").symlink_to("loop")
    assert shim.within(str(root), "/etc/hosts") == f"{root}/real/hosts"
    assert shim.within(str(root), "/up/x") == f"{root}/real/x"
    assert shim.within(str(root), "/../../x") == f"{root}/x"
    with pytest.raises(OSError, match="symbolic links"):
        shim.within(str(root), "/loop/x")


def test_a_probe_enters_the_same_walls(tmp_path: Path) -> None:
    """`exec` probes run in the container of another process."""
    folder = tmp_path / "first"
    folder.mkdir()
    script = (
        "import os, sys, time\nopen('/work/up', 'w').close()\n"
        "while not os.path.exists('/work/end'): time.sleep(0.02)\n"
    )
    ended: list[Any] = []
    thread = threading.Thread(target=lambda: ended.append(contain(folder, script)))
    thread.start()
    try:
        until(lambda: (folder / "volume" / "up").exists(), SLOW)
        child = next(
            int(one.name) for one in Path("/proc").iterdir()
            if one.name.isdecimal() and str("/work/end") in read(one / "cmdline") and "shim" not in read(one / "cmdline")
        )  # fmt: skip
        said = tried(tmp_path, join=child)
        assert said["chroot"] == DENIED and said["mknod"] == DENIED and said["mount"] == DENIED
        assert not said["outside"] and 1 in said["processes"]
        assert said["status"]["CapBnd"] == f"{1 << 10:016x}"
    finally:
        (folder / "volume" / "end").touch()
        thread.join()
    assert ended[0].returncode == 0


def read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def test_a_pod_of_root_stays_in_its_root(sandbox: Sandbox, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("of the machine")
    script = TRIES.replace("OUTSIDE", repr(str(outside)))
    kube = Kube(sandbox, nodes=1)
    kube.namespace()
    try:
        image = push(sandbox, {"app": None, "app/web.py": script.encode()})
        spec = pod_spec(image, readinessProbe=None, securityContext={"runAsUser": 0, "runAsNonRoot": False})
        spec["restartPolicy"] = "Never"
        del spec["containers"][0]["readinessProbe"]
        code, made = kube.api("POST", f"{kube.ns}/pods", {"metadata": {"name": "root"}, "spec": spec})
        assert code == 201, made
        until(lambda: kube.api.get(f"{kube.ns}/pods/root")["status"].get("phase") in ("Succeeded", "Failed"), SLOW)
        code, text = kube.api("GET", f"{kube.ns}/pods/root/log")
        assert code == 200, text
        said = text if isinstance(text, dict) else json.loads(text.splitlines()[-1])
        assert said["status"]["Uid"].split()[0] == "0"
        for way in ("chroot", "mknod", "mount", "unshare mounts"):
            assert said[way] == DENIED, (way, said[way])
        assert not said["outside"] and "home" not in said["root"]
    finally:
        kube.clear()


# --- where it cannot be had -------------------------------------------------------------------------------------------


def test_what_cannot_be_isolated_is_told_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    found = isolation.Isolation()
    assert found.trouble() == found.trouble() == "the sandbox does not run as root"
    assert capsys.readouterr().err == "pods run without isolation: the sandbox does not run as root\n"


def test_a_refusal_of_the_kernel_is_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Any) -> None:
        raise OSError(1, "pivot_root: Operation not permitted")

    monkeypatch.setattr(shim, "enter", refuse)
    assert isolation.find_trouble() == "namespaces are not permitted here (pivot_root: Operation not permitted)"
