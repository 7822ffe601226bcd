"""How much memory a container has, for its limit. Linux alone tells; control groups are not everywhere ours to make."""

from __future__ import annotations

import os
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
PROC = Path("/proc")
LOOK_SECONDS = 0.1


def exceeds(pid: int, limit: int) -> bool:
    """Whether a process and what it started have more than this many bytes. Pages that several share are counted once,
    which costs more to know, and is asked only where it may matter."""
    family = descendants(pid)
    return sum(resident(one) for one in family) > limit and sum(proportional(one) for one in family) > limit


def descendants(pid: int) -> list[int]:
    found, at = [pid], 0
    while at < len(found):
        found += children(found[at])
        at += 1
    return found


def children(pid: int) -> list[int]:
    try:
        tasks = (PROC / f"{pid}/task").iterdir()
        return [int(one) for task in tasks for one in (task / "children").read_text().split()]
    except OSError:
        return []


def resident(pid: int) -> int:
    try:
        return int((PROC / f"{pid}/statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def proportional(pid: int) -> int:
    try:
        lines = (PROC / f"{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
