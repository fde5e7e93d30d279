"""Control groups (cgroup v2, cgroups(7)): what a session spawns stays in its group, whatever it does to hide.

A process leaves its group only by a write to another group's `cgroup.procs`: not by forking twice, not by a session of
its own, not by another environment or name. A group is a folder; `cgroup.kill` (Linux 5.14) ends everything in it at
once. It lies below the group of the runner that made it, and its name says whose it is, so it is found again through
/proc/<pid>/cgroup when that runner was killed.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_NAME = re.compile(r"relayfleet-[0-9a-f]+-[a-z0-9][a-z0-9_-]*")
_PROC = Path("/proc")
_EMPTY_WITHIN_S, _LOOK_AGAIN_S = 0.5, 0.01


def group_name(fleet_id: str, agent: str) -> str:
    """The name of the group of an agent's session."""
    return f"relayfleet-{fleet_id}-{agent}"


def group_path(text: str) -> str | None:
    """The cgroup v2 path of a process, from its /proc/<pid>/cgroup; None where it is in none."""
    for line in text.splitlines():
        if line.startswith("0::/"):
            return line[3:]
    return None


def outside_of_sessions(path: str) -> str:
    """`path` without the group of a session and what is below it: where a daemon belongs that a session starts."""
    parts = path.split("/")
    for index, part in enumerate(parts):
        if _NAME.fullmatch(part):
            return "/".join(parts[:index]) or "/"
    return path


def mount_point(mountinfo: str, path: str) -> Path | None:
    """The folder of the group `path` (as /proc/self/cgroup tells it), from /proc/self/mountinfo."""
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        if not right.startswith("cgroup2 ") or len(fields) < 5:
            continue
        root, folder = (_unescape(field) for field in fields[3:5])
        if path == root or path.startswith(root.rstrip("/") + "/"):
            return Path(folder) / path[len(root.rstrip("/")) :].lstrip("/")
    return None


def _unescape(field: str) -> str:
    return field.encode().decode("unicode_escape")


@dataclass(frozen=True, slots=True)
class ControlGroup:
    """One group, whether or not it is there."""

    folder: Path

    def make(self) -> bool:
        """False where this process may not make groups, or may not move processes into them."""
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError:
            return False
        return os.access(self.folder / "cgroup.procs", os.W_OK) and os.access(
            self.folder.parent / "cgroup.procs", os.W_OK
        )

    def enter(self) -> None:
        """Moves this process into the group; called between fork and exec. Where that fails the process stays where it
        is, and is found as it is without groups."""
        with contextlib.suppress(OSError):
            if not self.folder.is_dir():  # empty, it may have been taken for a dead runner's
                self.folder.mkdir()
            fd = os.open(self.folder / "cgroup.procs", os.O_WRONLY)
            try:
                os.write(fd, b"0")
            finally:
                os.close(fd)

    def members(self) -> list[int]:
        """The processes in the group and below it; those of another pid namespace cannot be seen (they read as 0)."""
        pids: list[int] = []
        for folder in self._folders():
            with contextlib.suppress(OSError):
                pids += [pid for word in (folder / "cgroup.procs").read_text().split() if (pid := int(word))]
        return pids

    def kill(self) -> None:
        """Ends everything in the group at once; an older kernel leaves it to signals."""
        with contextlib.suppress(OSError):
            (self.folder / "cgroup.kill").write_text("1")

    def remove(self) -> None:
        """Removes an empty group and the empty ones below it; one with processes stays. What has just ended is held
        for a moment more, which is waited for."""
        deadline = time.monotonic() + _EMPTY_WITHIN_S
        while (folders := self._folders()) and not self.members():
            for folder in reversed(folders):
                with contextlib.suppress(OSError):
                    folder.rmdir()
            if not self.folder.exists() or time.monotonic() > deadline:
                return
            time.sleep(_LOOK_AGAIN_S)

    def _folders(self) -> list[Path]:
        return [Path(parent) for parent, _, _ in os.walk(self.folder)]


def session_group(fleet_id: str, agent: str) -> ControlGroup | None:
    """The group for an agent's session, beside this process; None where there is no writable cgroup v2."""
    base = own_group()
    if base is None:
        return None
    group = ControlGroup(base.folder / group_name(fleet_id, agent))
    if not group.make():
        return None
    return group


def own_group() -> ControlGroup | None:
    """The group of this process, or, inside a session, the one that the session's runner is in."""
    path = _read_group("self")
    return _group_at(outside_of_sessions(path)) if path is not None else None


def in_session() -> bool:
    """Whether this process is in the group of a session."""
    path = _read_group("self")
    return path is not None and outside_of_sessions(path) != path


def groups_named(name: str, pids: Iterable[int]) -> list[ControlGroup]:
    """The groups of this name that any of `pids` is in."""
    found: dict[str, None] = {}
    for pid in pids:
        path = _read_group(str(pid)) or ""
        parts = path.split("/")
        if name in parts:
            found["/".join(parts[: parts.index(name) + 1])] = None
    return [group for path in found if (group := _group_at(path)) is not None]


def is_in(name: str, pid: int) -> bool:
    """Whether a process is in a group of this name, or below one."""
    return name in (_read_group(str(pid)) or "").split("/")


def session_of(pid: int) -> tuple[str, str] | None:
    """The fleet's id and the agent's name of the session group that a process is in."""
    for part in (_read_group(str(pid)) or "").split("/"):
        if _NAME.fullmatch(part):
            fleet_id, _, agent = part.removeprefix("relayfleet-").partition("-")
            return fleet_id, agent
    return None


def _group_at(path: str) -> ControlGroup | None:
    try:
        folder = mount_point((_PROC / "self" / "mountinfo").read_text(encoding="utf-8", errors="replace"), path)
    except OSError:
        return None
    return ControlGroup(folder) if folder is not None and folder.is_dir() else None


def _read_group(process: str) -> str | None:
    try:
        return group_path((_PROC / process / "cgroup").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None
