"""Launching daemons, and looking at them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from relayfleet.model.agent import AgentSpec
from relayfleet.model.status import AgentStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Handle:
    """A started runner: `pid` and `start_time` (seconds since the epoch) together identify the process."""

    backend: str
    pid: int
    start_time: float


class Backend(Protocol):
    """Launches a daemon somewhere and ends it."""

    def launch(self, argv: Sequence[str], *, folder: Path, errors: Path) -> Handle:
        """Starts `argv` detached in `folder`; what it says before its log is open goes to `errors`."""
        ...

    def is_alive(self, handle: Handle) -> bool: ...

    def kill(self, handle: Handle) -> None:
        """Ends the daemon and everything below it, firmly. Returns when they are gone."""
        ...

    def end_strays(self, agent: str, session_id: str) -> int:
        """Ends what the session of an agent's killed runner left behind; how many processes there were."""
        ...


class Observer(Protocol):
    """Looks at agents and asks their runners."""

    def observe(self, names: Sequence[str], *, timeout_s: float = 2.0) -> Sequence[AgentStatus]: ...

    def ask_to_stop(self, names: Sequence[str]) -> None:
        """Asks the runners of `names` to end; those that do not answer are passed over."""
        ...

    def holder(self, name: str) -> Handle | None:
        """The process that holds the lock of this agent's runner, None when nobody does."""
        ...

    def alive(self) -> int:
        """How many runners of the whole fleet hold their locks."""
        ...


class AgentFiles(Protocol):
    """What is written of an agent when it is started or stopped."""

    def want(self, name: str, wanted: Literal["running", "stopped"], *, queued: str = "") -> None:
        """`queued` is what a start waits behind that found no room."""
        ...

    def write_launch(self, spec: AgentSpec) -> None: ...
