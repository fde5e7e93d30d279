"""Processes of this machine: what is below this one, what an earlier one left behind, and ending them for good."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_DUMPABLE = 4
_LOOK_AGAIN_S = 0.01
_FIRM_S = 5.0
_CLOCK_GRACE_S = 3.0
# On Windows either signal ends the process at once.
if sys.platform == "win32":
    _FIRM = signal.SIGTERM
else:
    _FIRM = signal.SIGKILL


def hide_from_other_processes() -> None:
    """Keeps other processes of the same user out of /proc/<pid>/environ. Linux alone has it."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


class LocalProcessTree:
    """On Linux orphans are adopted, so nothing below this process can slip away. Elsewhere psutil walks the tree."""

    def adopt_orphans(self) -> None:
        if sys.platform == "linux":
            import ctypes

            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def reap_orphans(self) -> None:
        """Whatever this process started itself shares its terminal session and is left to whoever waits for it."""
        if sys.platform != "linux":
            return
        own = os.getsid(0)
        for pid in _children(os.getpid()):
            state, session = _stat(pid)
            if state == "Z" and session != own:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)

    def end_children(self, *, grace_s: float) -> int:
        first = descendants(os.getpid())
        _end(lambda: descendants(os.getpid()), grace_s=grace_s)
        return len(first)

    def end_strays(self, session_id: str) -> int:
        strays = processes_of_session(session_id)
        _end(lambda: processes_of_session(session_id), grace_s=1.0)
        return len(strays)


def end_process(pid: int, start_time: float, *, grace_s: float) -> None:
    """Ends one process if it is still the one that started at `start_time` (seconds since the epoch)."""
    _end(lambda: [pid] if is_alive(pid, start_time) else [], grace_s=grace_s)


def is_alive(pid: int, start_time: float) -> bool:
    """Whether `pid` is still the process that noted `start_time` as (just after) its own start.

    The system counts a process's start from a boot time that it knows to the second, and clocks are set: hence the
    seconds of grace, within which no pid comes round again.
    """
    import psutil

    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= start_time + _CLOCK_GRACE_S
    except psutil.Error:
        return False


def descendants(pid: int) -> list[int]:
    """Every process below `pid`, zombies left out (and reaped, if they are children of this process)."""
    if sys.platform != "linux":
        import psutil

        try:
            return [p.pid for p in psutil.Process(pid).children(recursive=True)]
        except psutil.Error:
            return []
    found: list[int] = []
    waiting = [pid]
    while waiting:
        for child in _children(waiting.pop()):
            waiting.append(child)
            if not _is_zombie(child):
                found.append(child)
    return found


def _children(pid: int) -> list[int]:
    children: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                children += [int(word) for word in (task / "children").read_text().split()]
    return children


def _is_zombie(pid: int) -> bool:
    state, _ = _stat(pid)
    if state == "Z" and sys.platform != "win32":
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    return state in ("Z", "")


def _stat(pid: int) -> tuple[str, int]:
    """State and session id of a process (proc(5), fields 3 and 6), or "" when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "", 0
    fields = text.rpartition(") ")[2].split()
    return fields[0], int(fields[3])


def processes_of_session(session_id: str) -> list[int]:
    """Processes that carry `session_id` in their environment, this one left out."""
    marker = f"RELAYFLEET_SESSION={session_id}"
    if sys.platform != "linux":
        import psutil

        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("RELAYFLEET_SESSION") == session_id:
                    found.append(process.pid)
        return [pid for pid in found if pid != os.getpid()]
    pids = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and int(folder.name) != os.getpid():
            with contextlib.suppress(OSError):
                if marker.encode() in (folder / "environ").read_bytes().split(b"\0") and not _is_zombie(
                    int(folder.name)
                ):
                    pids.append(int(folder.name))
    return pids


def _end(look: Callable[[], list[int]], *, grace_s: float) -> None:
    """Signals whatever `look` finds until it finds nothing: politely for `grace_s`, then firmly."""
    asked: set[int] = set()
    polite_until = time.monotonic() + grace_s
    firm_until = polite_until + _FIRM_S
    while (pids := look()) and (now := time.monotonic()) < firm_until:
        for pid in pids:
            firm = now >= polite_until
            if firm or pid not in asked:
                asked.add(pid)
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, _FIRM if firm else signal.SIGTERM)
        time.sleep(_LOOK_AGAIN_S)
