"""The processes of this machine that sessions spawned, for `fleet doctor`."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence

from relayfleet.backends.cgroup import own_group, session_of
from relayfleet.backends.proc import all_pids, stat_of, variables_of
from relayfleet.model.names import AgentName, SessionId
from relayfleet.ports.machine import SessionProcess

_LOOK_AGAIN_S = 0.02
_FIRM_S = 5.0
_COMMAND_CHARS = 120


class LocalProcessTable:
    """Implements `ports.ProcessTable`."""

    def of_sessions(self, fleet_id: str, sessions: Mapping[SessionId, AgentName]) -> list[SessionProcess]:
        above = _ancestors()
        found = []
        for pid in _pids():
            agent = None if pid in above else _agent_of(pid, fleet_id, sessions)
            started = _started(pid) if agent is not None else None
            if agent is not None and started is not None:
                found.append(SessionProcess(pid=pid, started=started, agent=agent, command=_command(pid)))
        return found

    def end(self, processes: Sequence[SessionProcess], *, grace_s: float) -> None:
        polite_until = time.monotonic() + grace_s
        left = [process for process in processes if _send(process, signal.SIGTERM)]
        while left and time.monotonic() < polite_until + _FIRM_S:
            firm = time.monotonic() >= polite_until
            left = [process for process in left if _send(process, _FIRM if firm else None)]
            time.sleep(_LOOK_AGAIN_S)

    def ownership(self) -> str:
        if sys.platform == "win32":
            return "a job object"
        group = own_group()
        if group is not None and os.access(group.folder, os.W_OK) and os.access(group.folder / "cgroup.procs", os.W_OK):
            return "a control group (cgroup v2)"
        if sys.platform == "linux":
            return "adoption by the runner and the session's environment: no cgroup v2 here that this user may write to"
        return "the tree of processes and the session's environment"


def _pids() -> list[int]:
    if sys.platform == "linux":
        return all_pids()
    import psutil

    return psutil.pids()


def _agent_of(pid: int, fleet_id: str, sessions: Mapping[SessionId, AgentName]) -> AgentName | None:
    group = session_of(pid)
    if group is not None:
        return AgentName(group[1]) if group[0] == fleet_id else None
    return sessions.get(SessionId(_environment(pid).get("RELAYFLEET_SESSION", "")))


def _environment(pid: int) -> dict[str, str]:
    if sys.platform != "linux":
        import psutil

        try:
            return psutil.Process(pid).environ()
        except (psutil.Error, OSError):
            return {}
    return dict(one.decode("utf-8", "replace").partition("=")[::2] for one in variables_of(pid))


def _started(pid: int) -> float | None:
    """When a process started, None for a zombie and for one that is gone: clock ticks since the boot; elsewhere seconds
    since the epoch."""
    if sys.platform != "linux":
        import psutil

        try:
            return psutil.Process(pid).create_time()
        except psutil.Error:
            return None
    stat = stat_of(pid)
    return None if stat is None or stat.state in "ZX" else stat.started


def _command(pid: int) -> str:
    import psutil

    try:
        process = psutil.Process(pid)
        return (" ".join(process.cmdline()) or process.name())[:_COMMAND_CHARS]
    except psutil.Error:
        return ""


def _ancestors() -> set[int]:
    import psutil

    own = psutil.Process()
    return {own.pid, *(parent.pid for parent in own.parents())}


if sys.platform == "win32":
    _FIRM = signal.SIGTERM  # ends a process at once there
else:
    _FIRM = signal.SIGKILL


def _send(process: SessionProcess, number: signal.Signals | None) -> bool:
    """Whether it still is that process; if so it is sent the signal. On Linux nobody can take its number in between."""
    if sys.platform == "linux":
        try:
            fd = os.pidfd_open(process.pid)
        except OSError:
            return False
        try:
            if _started(process.pid) != process.started:
                return False
            if number is not None:
                with contextlib.suppress(OSError):
                    signal.pidfd_send_signal(fd, number)
            return True
        finally:
            os.close(fd)
    if _started(process.pid) != process.started:
        return False
    if number is not None:
        with contextlib.suppress(OSError):
            os.kill(process.pid, number)
    return True
