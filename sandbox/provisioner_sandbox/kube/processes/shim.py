"""Between the sandbox and one container: enters its root, becomes its user, runs it, passes signals on.

A program of its own, with nothing but the standard library. Standard input is a line of JSON and then the lifeline:
when it ends, however the sandbox ended, so does the container. To descriptor `report` go the process's id, and why it
could not be started.

    {"report", "argv", "env", "cwd", "uid", "gid", "groups",     uid null: as the current user
     "root", "mounts": [[SOURCE, TARGET, "ro"|"rw"|"tmpfs"|"proc"|"link"]], "seal",   root null: no root of its own
     "join": PID,                                                 in the container of this process
     "network": DESCRIPTOR}                                       null: in the machine's network

A container with a root of its own has its own mounts, process ids and System V IPC; nothing of the machine's tree is left in
it, only devices that hold nothing, and, of root's rights, the one to listen at ports below 1024.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import select
import signal
import struct
import sys

NEW_MOUNTS, NEW_IPC, NEW_PIDS, NEW_NETWORK = 0x00020000, 0x08000000, 0x20000000, 0x40000000
READ_ONLY, NO_SUID, NO_DEV, NO_EXEC, REMOUNT, NO_TIMES, NO_FOLDER_TIMES = 1, 2, 4, 8, 32, 1024, 2048
BIND, RECURSIVE, PRIVATE, RELATIVE_TIMES = 4096, 16384, 1 << 18, 1 << 21
# What a mount has and must keep, by `statvfs(3)`: another user namespace may have locked it.
KEPT = {1: READ_ONLY, 2: NO_SUID, 4: NO_DEV, 8: NO_EXEC, 1024: NO_TIMES, 2048: NO_FOLDER_TIMES, 4096: RELATIVE_TIMES}
DETACH = 2
NO_NEW_PRIVILEGES, PARENT_DEATH = 38, 1
DROP_FROM_BOUND, AMBIENT, CLEAR_ALL, READ_BOUND = 24, 47, 4, 23
# The one right of root's that stays, with a container whose user is root: as in a cluster it may listen at port 80.
NET_BIND_SERVICE = 10
CAPABILITIES_VERSION = 0x20080522
# In `/proc`, as in every container runtime: what tells of the machine, or changes it.
# https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#masked-paths
MASKED = (
    "acpi", "asound", "interrupts", "kcore", "keys", "latency_stats", "sched_debug", "scsi", "sysrq-trigger", "timer_list",
    "timer_stats",
)  # fmt: skip
NOT_STARTED = 128
POLL_SECONDS = 0.02
# Of a path, with all links in it.
MOST_PARTS = 255


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
    """Into the root, which only this process and its children see, and which nothing leads out of."""
    root = os.path.realpath(plan["root"])
    check(libc().unshare(NEW_MOUNTS), "unshare")
    mount("none", "/", "none", PRIVATE | RECURSIVE)
    if plan.get("made"):
        # A root that is made of parts of this machine.
        mount("tmpfs", root, "tmpfs", NO_SUID | NO_DEV, "mode=0755")
    else:
        mount(root, root, "none", BIND)
    for source, target, how in plan["mounts"]:
        place = within(root, target)
        if how == "proc":
            os.makedirs(place, exist_ok=True)
            mount("proc", place, "proc", NO_SUID | NO_DEV | NO_EXEC)
        elif how == "tmpfs":
            os.makedirs(place, exist_ok=True)
            mount("tmpfs", place, "tmpfs", NO_SUID | NO_DEV, "mode=0755")
        elif how == "link":
            os.symlink(source, root + target)
        else:
            if os.path.isdir(source):
                os.makedirs(place, exist_ok=True)
            elif not os.path.exists(place):
                os.makedirs(os.path.dirname(place), exist_ok=True)
                open(place, "wb").close()
            mount(source, place, "none", BIND | RECURSIVE)
            restrict(place, READ_ONLY if how == "ro" else 0, source.startswith("/dev/"))
    if any(how == "proc" for _, _, how in plan["mounts"]):
        mask(within(root, "/proc"))
    restrict_one(root, READ_ONLY if plan["seal"] else 0)
    turn(root)


def within(root: str, target: str) -> str:
    """Where a path of the container is now: links, which the image has made, lead nowhere else."""
    place, rest = root, [part for part in target.split("/") if part]
    for _ in range(MOST_PARTS):
        if not rest:
            return place
        part = rest.pop(0)
        if part == "..":
            place = place if place == root else os.path.dirname(place)
            continue
        path = f"{place}/{part}"
        if part != "." and os.path.islink(path):
            link = os.readlink(path)
            place = root if link.startswith("/") else place
            rest = [one for one in link.split("/") if one] + rest
        elif part != ".":
            place = path
    raise OSError(errno.ELOOP, f"{target}: {os.strerror(errno.ELOOP)}")


def restrict(place: str, flags: int, is_device: bool) -> None:
    """A mount with all that is mounted below it, since a remount reaches one alone."""
    for found in mounts_below(place):
        restrict_one(found, flags, 0 if is_device else NO_DEV)


def restrict_one(place: str, flags: int, devices: int = NO_DEV) -> None:
    had = os.statvfs(place).f_flag
    kept = sum(flag for bit, flag in KEPT.items() if had & bit)
    mount("none", place, "none", BIND | REMOUNT | NO_SUID | devices | flags | kept)


def mounts_below(place: str) -> list[str]:
    """With itself. Fields of `/proc/self/mountinfo` have blanks and backslashes as octal numbers."""
    found = {place}
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            point = line.split(" ")[4]
            for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
                point = point.replace(code, character)
            if point.startswith(f"{place}/"):
                found.add(point)
    return sorted(found)


def mask(place: str) -> None:
    """The kernel's own files: none can be written, since root may do that without any capability."""
    for name in MASKED:
        path = f"{place}/{name}"
        if os.path.isdir(path):
            mount("tmpfs", path, "tmpfs", NO_SUID | NO_DEV | NO_EXEC | READ_ONLY, "mode=0555,size=4k")
        elif os.path.exists(path):
            mount("/dev/null", path, "none", BIND)
            restrict_one(path, NO_EXEC, 0)
    restrict_one(place, READ_ONLY | NO_EXEC)


def turn(root: str) -> None:
    """Makes it the root of these mounts, and lets go of what was it before. Raises `OSError` if `/` is not a mount point."""
    os.chdir(root)
    check(libc().pivot_root(b".", b"."), "pivot_root")
    # Both are at the same place now, the old root on top.
    check(libc().umount2(b".", DETACH), "umount")
    os.chdir("/")


def become(plan: dict) -> None:
    isolated = plan["root"] is not None
    kept = {NET_BIND_SERVICE} if isolated and plan["uid"] == 0 else set()
    if isolated:
        drop_bound(kept)
    if plan["uid"] is not None:
        os.setgroups(plan["groups"])
        os.setgid(plan["gid"])
        os.setuid(plan["uid"])
    if isolated:
        set_capabilities(kept)
    if sys.platform == "linux":
        check(libc().prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0), "prctl")
        check(libc().prctl(PARENT_DEATH, signal.SIGKILL, 0, 0, 0), "prctl")


def drop_bound(kept: set[int]) -> None:
    """No program that is started from now on gets more than these."""
    number = 0
    # An error says that the kernel knows no more.
    while (state := libc().prctl(READ_BOUND, number, 0, 0, 0)) >= 0:
        if state == 1 and number not in kept:
            check(libc().prctl(DROP_FROM_BOUND, number, 0, 0, 0), "prctl")
        number += 1
    check(libc().prctl(AMBIENT, CLEAR_ALL, 0, 0, 0), "prctl")


def set_capabilities(kept: set[int]) -> None:
    bits = sum(1 << number for number in kept)
    head = struct.pack("=Ii", CAPABILITIES_VERSION, 0)
    # Effective, permitted and inheritable, for the lower and the upper 32.
    data = struct.pack("=6I", bits, bits, 0, 0, 0, 0)
    check(libc().capset(head, data), "capset")


def open_join(plan: dict) -> list[tuple[str, int]]:
    """The namespaces of the container to join."""
    names = ("ipc", "pid", "mnt")
    return [(name, os.open(f"/proc/{plan['join']}/ns/{name}", os.O_RDONLY)) for name in names]


def join(spaces: list[tuple[str, int]]) -> None:
    for name, descriptor in spaces:
        check(libc().setns(descriptor, 0), f"setns {name}")
        os.close(descriptor)


def run(plan: dict, mounts: list[tuple[str, int]]) -> None:
    """In the child. `mounts`: those of the container to join. Does not return."""
    report = plan["report"]
    try:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGPIPE, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        if plan["root"] is not None:
            if plan.get("join"):
                # Its root becomes this one's too.
                join(mounts)
                os.chdir("/")
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
    if plan.get("network") is not None:
        # First: the container is never in another.
        join([("net", plan["network"])])
    spaces: list[tuple[str, int]] = []
    if plan.get("join"):
        spaces = open_join(plan)
        # The child alone enters the mounts: this process reads the machine's `/proc`.
        join(spaces[:-1])
    elif plan["root"] is not None:
        check(libc().unshare(NEW_PIDS | NEW_IPC), "unshare")
    # No thread can be started once children are to have process numbers of their own: one loop for all.
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(wake)
    child = os.fork()
    if child == 0:
        signal.set_wakeup_fd(-1)
        run(plan, spaces[-1:])
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
