"""Between the sandbox and one container: enters its root, becomes its user, runs it, passes signals on.

A program of its own, with nothing but the standard library. Standard input is a line of JSON and then the lifeline:
when it ends, however the sandbox ended, so does the container. To descriptor `report` go the process's id, and why it
could not be started.

    {"report", "argv", "env", "cwd", "uid", "gid", "groups",     uid null: as the current user
     "root", "mounts": [[SOURCE, TARGET, "ro"|"rw"|"tmpfs"|"proc"]], "seal",   root null: no root of its own
     "join": PID}                                                 in the container of this process
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import select
import signal
import sys

NEW_MOUNTS, NEW_PIDS = 0x00020000, 0x20000000
READ_ONLY, NO_SUID, NO_DEV, REMOUNT, BIND, RECURSIVE, PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
NO_NEW_PRIVILEGES, PARENT_DEATH = 38, 1
NOT_STARTED = 128
POLL_SECONDS = 0.02


def libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    result = libc().mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode())
    check(result, f"mount {target}")


def enter(plan: dict) -> None:
    """Into the root, which only this process and its children see."""
    root = plan["root"]
    mount("none", "/", "none", PRIVATE | RECURSIVE)
    if plan.get("made"):
        # A root that is made of parts of this machine.
        mount("tmpfs", root, "tmpfs", NO_SUID, "mode=0755")
    else:
        mount(root, root, "none", BIND)
    for source, target, how in plan["mounts"]:
        place = root + target
        if how == "proc":
            os.makedirs(place, exist_ok=True)
            mount("proc", place, "proc", NO_SUID | NO_DEV)
        elif how == "tmpfs":
            os.makedirs(place, exist_ok=True)
            mount("tmpfs", place, "tmpfs", NO_SUID, "mode=0755")
        elif how == "link":
            os.symlink(source, place)
        else:
            if os.path.isdir(source):
                os.makedirs(place, exist_ok=True)
            elif not os.path.exists(place):
                os.makedirs(os.path.dirname(place), exist_ok=True)
                open(place, "wb").close()
            mount(source, place, "none", BIND | RECURSIVE)
            if how == "ro":
                mount(source, place, "none", BIND | REMOUNT | READ_ONLY | NO_SUID)
    if plan["seal"]:
        mount(root, root, "none", BIND | REMOUNT | READ_ONLY)
    os.chroot(root)
    os.chdir("/")


def become(plan: dict) -> None:
    if plan["uid"] is not None:
        os.setgroups(plan["groups"])
        os.setgid(plan["gid"])
        os.setuid(plan["uid"])
    if sys.platform == "linux":
        libc().prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        libc().prctl(PARENT_DEATH, signal.SIGKILL, 0, 0, 0)


def join(plan: dict) -> None:
    for name in ("pid", "mnt"):
        descriptor = os.open(f"/proc/{plan['join']}/ns/{name}", os.O_RDONLY)
        check(libc().setns(descriptor, 0), f"setns {name}")
        os.close(descriptor)


def run(plan: dict) -> None:
    """In the child. Does not return."""
    report = plan["report"]
    try:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGPIPE, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        if plan["root"] is not None:
            if plan.get("join"):
                os.chroot(plan["root"])
            else:
                enter(plan)
        nothing = os.open("/dev/null", os.O_RDONLY) if os.path.exists("/dev/null") else os.pipe()[0]
        os.dup2(nothing, 0)
        become(plan)
        try:
            os.chdir(plan["cwd"])
        except OSError as error:
            raise OSError(error.errno, f"chdir to cwd ({plan['cwd']!r}) failed: {error.strerror}") from error
        program = find(
            plan["argv"][0], plan["env"].get("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        )
        os.execve(program, plan["argv"], plan["env"])
    except OSError as error:
        text = error.strerror or str(error)
        if error.filename and error.filename == plan["argv"][0]:
            text = f'exec: "{error.filename}": {text.lower()}'
        os.write(report, f"error {text}\n".encode())
    except BaseException as error:
        os.write(report, f"error {error!r}\n".encode())
    os._exit(NOT_STARTED)


def find(program: str, path: str) -> str:
    if "/" in program:
        return program
    for folder in path.split(":"):
        candidate = os.path.join(folder or ".", program)
        if os.access(candidate, os.X_OK) and not os.path.isdir(candidate):
            return candidate
    raise OSError(errno.ENOENT, f'exec: "{program}": executable file not found in $PATH')


def read_plan() -> dict:
    text = b""
    while not text.endswith(b"\n"):
        part = os.read(0, 1 << 16)
        if not part:
            os._exit(NOT_STARTED)
        text += part
    return json.loads(text)


def main() -> None:
    plan = read_plan()
    report = plan["report"]
    os.set_inheritable(report, False)
    if plan.get("join"):
        join(plan)
    elif plan["root"] is not None:
        check(libc().unshare(NEW_MOUNTS | NEW_PIDS), "unshare")
    # No thread can be started once children are to have process numbers of their own: one loop for all.
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(wake)
    child = os.fork()
    if child == 0:
        signal.set_wakeup_fd(-1)
        run(plan)
    os.write(report, f"pid {child}\n".encode())
    os.close(report)
    state = attend(child, woken, plan["root"] is not None and not plan.get("join"))
    if plan["root"] is None:
        # What it has left behind is its own group's.
        end(child, signal.SIGKILL)
    os._exit(os.WEXITSTATUS(state) if os.WIFEXITED(state) else 128 + os.WTERMSIG(state))


def end(child: int, number: int) -> None:
    for kill in (os.kill, os.killpg) if number == signal.SIGKILL else (os.kill,):
        try:
            kill(child, number)
        except (ProcessLookupError, PermissionError):
            continue


def listens(child: int) -> bool:
    """Whether it takes SIGTERM: the first process of a container does not hear what it has no handler for, and one that
    is still starting will have it in a moment."""
    try:
        with open(f"/proc/{child}/status") as file:
            caught = next(int(line.split()[1], 16) for line in file if line.startswith("SigCgt:"))
    except (OSError, StopIteration, ValueError):
        return True
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def attend(child: int, woken: int, sealed: bool) -> int:
    """Until the child has ended; its wait status. `sealed`: it has process numbers of its own."""
    watched = [0, woken]
    asked = False
    while True:
        ready, _, _ = select.select(watched, [], [], POLL_SECONDS if asked else None)
        if woken in ready and signal.SIGTERM in os.read(woken, 256):
            asked = True
        if asked and (not sealed or listens(child)):
            asked = False
            end(child, signal.SIGTERM)
        if 0 in ready and not os.read(0, 1024):
            watched = [woken]
            end(child, signal.SIGKILL)
        found, state = os.waitpid(child, os.WNOHANG)
        if found == child:
            return state


if __name__ == "__main__":
    main()
