"""The disk and the programs of this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from relayfleet.model.names import AgentName, SessionId


class Disk(Protocol):
    """Durable changes to files. What a method raises StorageFailed for did not happen."""

    def write(self, path: Path, data: bytes, *, mode: int = 0o600) -> None:
        """Replaces the file as a whole."""
        ...

    def make_folder(self, path: Path) -> None:
        """With its parents, 0700; one that is there stays as it is."""
        ...

    def rename(self, source: Path, target: Path) -> None:
        """Replaces a file; refuses to replace a folder that holds something."""
        ...

    def remove_tree(self, path: Path) -> None:
        """Removes a file, or a folder and everything in it; none being there is fine."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a short program gave: its exit code, and its two streams as text."""

    code: int
    stdout: str
    stderr: str


class Machine(Protocol):
    """The machine as it is at this moment; nothing is changed by looking."""

    @property
    def environ(self) -> Mapping[str, str]: ...

    @property
    def python(self) -> tuple[int, int, int]: ...

    @property
    def is_root(self) -> bool: ...

    def which(self, program: str, *, path: str | None = None) -> str | None:
        """Where a program is, None when it is nowhere on `path` (default: the PATH of this process)."""
        ...

    def run(self, argv: Sequence[str], *, timeout_s: float) -> Ran:
        """Raises FleetError when it cannot be started or takes longer."""
        ...

    def port_free(self, port: int) -> bool: ...

    def lock_holder(self, path: Path) -> int | None:
        """The process that holds a lock file, None when nobody does."""
        ...

    def free_bytes(self, path: Path) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionProcess:
    """A process that a session spawned. `pid` and `started` (in the system's own units) together identify it."""

    pid: int
    started: float
    agent: AgentName
    command: str


class ProcessTable(Protocol):
    """The processes of this machine that sessions spawned."""

    def of_sessions(self, fleet_id: str, sessions: Mapping[SessionId, AgentName]) -> Sequence[SessionProcess]:
        """Those that carry one of these session ids, or are in a control group of a session of this fleet. This
        process, and those that it is below, are never among them."""
        ...

    def end(self, processes: Sequence[SessionProcess], *, grace_s: float) -> None:
        """Asks them to end, after `grace_s` firmly. One that is another process by now is left alone."""
        ...

    def ownership(self) -> str:
        """How what a session spawns is kept together when it is started from here, in words."""
        ...
