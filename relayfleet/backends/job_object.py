"""A Windows Job Object: what a runner and its session spawn ends when the runner does, killed or not.

The runner puts itself into a job that ends its processes when its last handle is closed; the system closes handles at
death. Children are born into the job. A daemon that a session starts breaks away on purpose (see `ports.Backend`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection
from typing import Protocol

_LOOK_AGAIN_S = 0.02
_FIRM_S = 5.0


class JobApi(Protocol):
    """The calls of kernel32 that are needed, with handles as numbers. Each raises OSError."""

    def create(self) -> int:
        """A job with KILL_ON_JOB_CLOSE and BREAKAWAY_OK."""
        ...

    def assign(self, job: int, pid: int) -> None: ...

    def pids(self, job: int) -> list[int]: ...

    def terminate(self, pid: int) -> None: ...


class JobProcessTree:
    """Implements `ports.ProcessTree` with a job. What a killed runner left is nothing, so there are no strays."""

    def __init__(self, api: JobApi, *, own_pid: int, spare: Callable[[], Collection[int]] = tuple) -> None:
        self._api = api
        self._own_pid = own_pid
        self._spare = spare
        self._job: int | None = None

    def adopt_orphans(self) -> None:
        self._job = self._api.create()
        self._api.assign(self._job, self._own_pid)

    def reap_orphans(self) -> None:
        pass

    def end_children(self, *, grace_s: float) -> int:
        """There is no asking: Windows has no signal that a console program of another console would get."""
        first = self._below()
        deadline = time.monotonic() + _FIRM_S
        while (left := self._below()) and time.monotonic() < deadline:
            for pid in left:
                try:
                    self._api.terminate(pid)
                except OSError:
                    continue  # gone by itself
            time.sleep(_LOOK_AGAIN_S)
        return len(first)

    def end_strays(self, session_id: str) -> int:
        return 0

    def is_agents(self, pid: int) -> bool:
        return pid in self._below()

    def close(self) -> None:
        """The job ends with this process."""

    @property
    def enter(self) -> Callable[[], None] | None:
        """Children are born into the job."""
        return None

    def _below(self) -> list[int]:
        if self._job is None:
            return []
        spared = {self._own_pid, *self._spare()}
        return [pid for pid in self._api.pids(self._job) if pid not in spared]


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    _EXTENDED_LIMIT, _PROCESS_IDS = 9, 3  # JOBOBJECTINFOCLASS
    _KILL_ON_JOB_CLOSE, _BREAKAWAY_OK = 0x2000, 0x0800
    _SET_QUOTA_AND_TERMINATE = 0x0100 | 0x0001
    _MOST_PROCESSES = 4096

    class _BasicLimits(ctypes.Structure):
        _fields_ = (
            ("per_process_user_time", wintypes.LARGE_INTEGER),
            ("per_job_user_time", wintypes.LARGE_INTEGER),
            ("flags", wintypes.DWORD),
            ("minimum_working_set", ctypes.c_size_t),
            ("maximum_working_set", ctypes.c_size_t),
            ("active_processes", wintypes.DWORD),
            ("affinity", ctypes.c_size_t),
            ("priority_class", wintypes.DWORD),
            ("scheduling_class", wintypes.DWORD),
        )

    class _ExtendedLimits(ctypes.Structure):
        _fields_ = (
            ("basic", _BasicLimits),
            ("io", ctypes.c_ulonglong * 6),
            ("memory", ctypes.c_size_t * 4),
        )

    class _ProcessIds(ctypes.Structure):
        _fields_ = (
            ("assigned", wintypes.DWORD),
            ("listed", wintypes.DWORD),
            ("pids", ctypes.c_size_t * _MOST_PROCESSES),
        )

    class Kernel32Jobs:
        """`JobApi` through kernel32."""

        def __init__(self) -> None:
            self._kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
            for name in ("CreateJobObjectW", "OpenProcess"):
                getattr(self._kernel32, name).restype = wintypes.HANDLE

        def create(self) -> int:
            job = self._kernel32.CreateJobObjectW(None, None)
            self._check(job)
            limits = _ExtendedLimits()
            limits.basic.flags = _KILL_ON_JOB_CLOSE | _BREAKAWAY_OK
            handle = wintypes.HANDLE(job)
            self._check(
                self._kernel32.SetInformationJobObject(
                    handle, _EXTENDED_LIMIT, ctypes.byref(limits), ctypes.sizeof(limits)
                )
            )
            return int(job)

        def assign(self, job: int, pid: int) -> None:
            process = wintypes.HANDLE(self._open(pid))
            try:
                self._check(self._kernel32.AssignProcessToJobObject(wintypes.HANDLE(job), process))
            finally:
                self._kernel32.CloseHandle(process)

        def pids(self, job: int) -> list[int]:
            found = _ProcessIds()
            self._check(
                self._kernel32.QueryInformationJobObject(
                    wintypes.HANDLE(job), _PROCESS_IDS, ctypes.byref(found), ctypes.sizeof(found), None
                )
            )
            return [int(found.pids[index]) for index in range(found.listed)]

        def terminate(self, pid: int) -> None:
            process = wintypes.HANDLE(self._open(pid))
            try:
                self._check(self._kernel32.TerminateProcess(process, 1))
            finally:
                self._kernel32.CloseHandle(process)

        def _open(self, pid: int) -> int:
            process = self._kernel32.OpenProcess(_SET_QUOTA_AND_TERMINATE, False, pid)
            self._check(process)
            return int(process)

        def _check(self, result: object) -> None:
            if not result:
                raise ctypes.WinError(ctypes.get_last_error())
