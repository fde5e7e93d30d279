"""Processes of this machine: what is below this one, what an earlier one left behind, and ending them for good."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Protocol

from relayfleet.backends.cgroup import ControlGroup, group_name, groups_named, is_in, own_group, session_group
from relayfleet.backends.proc import all_pids, children_of, stat_of, variables_of, words_of
from relayfleet.ports.session import ProcessTree

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


class SessionTree(ProcessTree, Protocol):
    """What a runner and its session spawn. A child calls `enter` before it becomes the session, where there is one;
    `close` is for the end of the runner."""

    @property
    def enter(self) -> Callable[[], None] | None: ...

    def close(self) -> None: ...


def session_tree(fleet_id: str, agent: str, *, spare: Callable[[], Collection[int]]) -> SessionTree:
    """The kind that this system has; `spare`: see LocalProcessTree."""
    if sys.platform == "win32":
        from relayfleet.backends.job_object import JobProcessTree, Kernel32Jobs

        return JobProcessTree(Kernel32Jobs(), own_pid=os.getpid(), spare=spare)
    else:
        return LocalProcessTree(
            session_group(fleet_id, agent), name=group_name(fleet_id, agent), agent=agent, spare=spare
        )


class LocalProcessTree:
    """On Linux orphans are adopted, so nothing below this process can slip away; with a control group for the session
    it cannot slip away from a later process either. Elsewhere psutil walks the tree."""

    def __init__(
        self,
        group: ControlGroup | None = None,
        *,
        name: str = "",
        agent: str = "",
        spare: Callable[[], Collection[int]] = tuple,
    ) -> None:
        """`name` is that of the session's groups, whoever made them. `agent` is whose a session's processes are: where
        a folder was copied, two agents' sessions have one id. `spare` tells processes that are nobody's: a
        daemon that was started from inside the session, and what is below it, is not the session's."""
        self._group = group
        self._name = name
        self._agent = agent
        self._spare = spare

    @property
    def enter(self) -> Callable[[], None] | None:
        """What a child of this process calls before it becomes the session; None where there is nothing to do."""
        return self._group.enter if self._group is not None else None

    def adopt_orphans(self) -> None:
        if sys.platform == "linux":
            import ctypes

            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def reap_orphans(self) -> None:
        """Whatever this process started itself shares its terminal session and is left to whoever waits for it."""
        if sys.platform != "linux":
            return
        own = os.getsid(0)
        for pid in children_of(os.getpid()):
            stat = stat_of(pid)
            if stat is not None and stat.state == "Z" and stat.session != own:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)

    def end_children(self, *, grace_s: float) -> int:
        spared = frozenset(self._spare())

        def look() -> list[int]:
            inside = self._group.members() if self._group is not None else []
            below = descendants(os.getpid(), spare=spared)
            return list(dict.fromkeys([*below, *(pid for pid in inside if not _is_zombie(pid))]))

        first = look()
        _end(look, grace_s=grace_s, groups=lambda: [self._group] if self._group is not None else [])
        return len(first)

    def is_agents(self, pid: int) -> bool:
        """Linux alone tells who a process descends from in a way that costs nothing."""
        if sys.platform != "linux":
            return False
        spared, here = frozenset(self._spare()), os.getpid()
        while pid > 1:
            # What lost its parent inside a session is a child of that session's runner.
            if pid == here or _is_runner(pid):
                return True
            if pid in spared:
                return False
            if any(one.startswith(b"RELAYFLEET_AGENT=") for one in variables_of(pid)):
                return True
            stat = stat_of(pid)
            pid = stat.parent if stat is not None else 0
        return False

    def end_strays(self, session_id: str) -> int:
        def strays() -> list[int]:
            return processes_of_session(session_id, group=self._name, agent=self._agent)

        first = strays()
        groups: dict[Path, ControlGroup] = {}

        def groups_of(pids: Collection[int]) -> list[ControlGroup]:
            groups.update({group.folder: group for group in groups_named(self._name, pids)} if self._name else {})
            return list(groups.values())

        _end(
            strays,
            grace_s=1.0,
            groups=lambda: groups_of(strays()),
        )
        if self._name and (base := own_group()) is not None:  # an empty one is found by no process
            empty = ControlGroup(base.folder / self._name)
            groups[empty.folder] = empty
        for group in groups.values():
            if self._group is None or group.folder != self._group.folder:
                group.remove()
        return len(first)

    def close(self) -> None:
        """Takes the empty group away."""
        if self._group is not None:
            self._group.remove()


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


def descendants(pid: int, *, spare: Collection[int] = ()) -> list[int]:
    """Every process below `pid`, zombies left out (and reaped, if they are children of this process). One of `spare` is
    left out, too, with all below it."""
    if sys.platform != "linux":
        import psutil

        try:
            children = [child.pid for child in psutil.Process(pid).children() if child.pid not in spare]
        except psutil.Error:
            return []
        return [*children, *(below for child in children for below in descendants(child, spare=spare))]
    found: list[int] = []
    waiting = [pid]
    while waiting:
        for child in children_of(waiting.pop()):
            if child in spare:
                continue
            waiting.append(child)
            if not _is_zombie(child):
                found.append(child)
    return found


def _is_runner(pid: int) -> bool:
    """Whether its command line is one of `fleet run agent`; runners hide their environment."""
    words = words_of(pid)
    return (b"run", b"agent") in itertools.pairwise(words) and any(b"relayfleet" in word for word in words)


def _is_zombie(pid: int) -> bool:
    stat = stat_of(pid)
    if stat is not None and stat.state == "Z" and sys.platform != "win32":
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    return stat is None or stat.state == "Z"


def processes_of_session(session_id: str, *, group: str = "", agent: str = "") -> list[int]:
    """Processes that carry `session_id` (and `agent`, unless that is empty) in their environment or are in a control
    group called `group`, this one left out."""
    marker = {"RELAYFLEET_SESSION": session_id} | ({"RELAYFLEET_AGENT": agent} if agent else {})
    if sys.platform != "linux":
        import psutil

        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if marker.items() <= process.environ().items():
                    found.append(process.pid)
        return [pid for pid in found if pid != os.getpid()]
    wanted = {f"{name}={value}".encode() for name, value in marker.items()}
    return [
        pid
        for pid in all_pids()
        if pid != os.getpid()
        and (wanted.issubset(variables_of(pid)) or (group and is_in(group, pid)))
        and not _is_zombie(pid)
    ]


def _end(
    look: Callable[[], list[int]], *, grace_s: float, groups: Callable[[], Collection[ControlGroup]] = tuple
) -> None:
    """Signals whatever `look` finds until it finds nothing: politely for `grace_s`, then firmly, `groups` at once."""
    asked: set[int] = set()
    polite_until = time.monotonic() + grace_s
    firm_until = polite_until + _FIRM_S
    while (pids := look()) and (now := time.monotonic()) < firm_until:
        firm = now >= polite_until
        if firm:
            for group in groups():
                group.kill()
        for pid in pids:
            if firm or pid not in asked:
                asked.add(pid)
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, _FIRM if firm else signal.SIGTERM)
        time.sleep(_LOOK_AGAIN_S)
