"""What /proc says of the processes of this machine (proc(5)). Linux alone; nothing of one that is gone, or hides it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import NamedTuple


class Stat(NamedTuple):
    """Fields 3, 4, 6 and 22: `state` is one letter, `parent` and `session` are ids of processes, `started` counts clock
    ticks since the boot, which no setting of the clock changes."""

    state: str
    parent: int
    session: int
    started: float


def stat_of(pid: int) -> Stat | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name of the program comes before, in brackets, and may hold anything.
    fields = text.rpartition(") ")[2].split()
    return Stat(fields[0], int(fields[1]), int(fields[3]), float(fields[19]))


def children_of(pid: int) -> list[int]:
    children: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                children += [int(word) for word in (task / "children").read_text().split()]
    return children


def variables_of(pid: int) -> list[bytes]:
    """Its environment when it began, each variable as `name=value`."""
    return _words(pid, "environ")


def words_of(pid: int) -> list[bytes]:
    """Its command line."""
    return _words(pid, "cmdline")


def all_pids() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdecimal()]


def _words(pid: int, name: str) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes().split(b"\0")
    except OSError:
        return []
