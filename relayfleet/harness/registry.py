"""Claude Code's own registry of sessions: `$CLAUDE_CONFIG_DIR/sessions/<pid>.json`, one file per live process.

Observed of 2.1.328: `sessionId`, `status`, `statusUpdatedAt` in milliseconds, `waitingFor`, `pid`, and `procStart`, on
Linux the start time that /proc/<pid>/stat has (proc(5), field 22). Written in place; it survives SIGKILL.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from relayfleet.model.names import SessionId
from relayfleet.ports.session import Sighting


class Registry:
    """The registry in one folder. It is listed again only when something in it came or went."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._listed: tuple[int, tuple[Path, ...]] = (0, ())
        self._ours: set[Path] = set()

    def look(self, session_id: SessionId, pid: int) -> Sighting | None:
        found = _sighting(_entry(self._folder / f"{pid}.json"), session_id)
        if found is not None:
            return found
        # `claude.command` may be a wrapper that starts the CLI as a child, under another pid.
        return next(
            (found for path in self._folder.glob("*.json") if (found := _sighting(_entry(path), session_id))), None
        )

    def held_elsewhere(self, session_id: SessionId) -> int | None:
        """The live process that has the session open and does not descend from this one."""
        for path in self._list():
            if path in self._ours:
                continue
            entry = _entry(path)
            pid = entry.get("pid")
            if entry.get("sessionId") != session_id or not isinstance(pid, int) or not _lives(pid, entry):
                continue
            if not _descends(pid):
                return pid
            self._ours.add(path)  # until something comes or goes: a process stays whose it is
        return None

    def _list(self) -> tuple[Path, ...]:
        try:
            changed = self._folder.stat().st_mtime_ns
        except OSError:
            return ()
        if changed != self._listed[0]:
            self._listed = (changed, tuple(self._folder.glob("*.json")))
            self._ours.clear()
        return self._listed[1]


def _entry(path: Path) -> dict[str, Any]:
    try:
        entry = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return entry if isinstance(entry, dict) else {}


def _sighting(entry: dict[str, Any], session_id: SessionId) -> Sighting | None:
    if entry.get("sessionId") != session_id:
        return None
    status = entry.get("status")
    if status not in ("idle", "busy", "waiting"):
        return None
    at = entry.get("statusUpdatedAt")
    return Sighting(
        status=status,
        at=at / 1000 if isinstance(at, int | float) else 0.0,
        detail=str(entry.get("waitingFor") or ""),
    )


def _lives(pid: int, entry: dict[str, Any]) -> bool:
    """Whether the process that wrote an entry is still there."""
    if sys.platform == "linux":
        known = _stat(pid)
        return bool(known) and known[0] not in "ZX" and str(entry.get("procStart", known[19])) == known[19]
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _descends(pid: int) -> bool:
    """Whether it is this process or one below it."""
    if sys.platform != "linux":
        import psutil

        try:
            return os.getpid() in [pid, *(parent.pid for parent in psutil.Process(pid).parents())]
        except psutil.Error:
            return True  # it ended just now
    while pid > 1:
        if pid == os.getpid():
            return True
        known = _stat(pid)
        pid = int(known[1]) if known else 0
    return False


def _stat(pid: int) -> list[str]:
    """The fields of proc(5) from the third on; empty when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(") ")[2].split()
