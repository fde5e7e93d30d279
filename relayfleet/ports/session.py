"""A session: its terminal, its processes, how it is started and looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from relayfleet.model.names import SessionId


class Terminal(Protocol):
    """A program in a pseudo-terminal of its own."""

    @property
    def pid(self) -> int: ...

    def write(self, data: bytes) -> None: ...

    def terminate(self) -> None:
        """Asks the program to end (SIGTERM)."""
        ...

    def kill(self) -> None: ...

    def close(self) -> None:
        """Lets go of the terminal; a program that is still there is hung up on."""
        ...


class Terminals(Protocol):
    """Starts programs in pseudo-terminals, inside a running event loop."""

    def spawn(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        on_output: Callable[[bytes], None],
        on_exit: Callable[[int], None],
    ) -> Terminal:
        """`on_output` gets what the program prints, undecoded; `on_exit` its exit code, a signal's number negated.

        Raises FleetError when the program cannot be started.
        """
        ...


class ProcessTree(Protocol):
    """The processes below this one, orphans included."""

    def adopt_orphans(self) -> None:
        """From now on, what a child leaves behind at its death becomes a child of this process."""
        ...

    def reap_orphans(self) -> None:
        """Takes note of adopted processes that have ended, so that they do not pile up."""
        ...

    def end_children(self, *, grace_s: float) -> int:
        """Ends every process below this one, first politely, after `grace_s` firmly; how many there were."""
        ...

    def end_strays(self, session_id: str) -> int:
        """Ends what an earlier runner's session left behind, found by the session id in its environment."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What the session's own registry says: `at` is when that status began, in seconds since the epoch."""

    status: Literal["idle", "busy", "waiting"]
    at: float
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What joins a session to its runner: where hooks are posted, where the shim connects, and the tokens for both."""

    hook_url: str
    hook_token: str
    shim_socket: Path
    shim_token: str


class Harness(Protocol):
    """How a session is started and looked at."""

    @property
    def folder(self) -> Path:
        """Where the session works."""
        ...

    def prepare(self, wiring: Wiring) -> None:
        """Writes the session's configuration, so that it starts without a dialog. Raises FleetError."""
        ...

    def command(self, session_id: SessionId, *, resume: bool) -> Sequence[str]: ...

    def environment(self, session_id: SessionId) -> Mapping[str, str]:
        """The whole environment of the session. Raises FleetError when a credential cannot be had."""
        ...

    def has_conversation(self, session_id: SessionId) -> bool:
        """Whether there is one to resume. Raises StorageFailed."""
        ...

    def make_way(self, session_id: SessionId) -> None:
        """Moves aside what is left of a session that died before its first message, so that one can begin under its
        id. Raises StorageFailed."""
        ...

    def look(self, session_id: SessionId, pid: int) -> Sighting | None:
        """None while the session has not said anything of itself."""
        ...


class SessionFile(Protocol):
    """Remembers the session's id, and the process it last ran as, across restarts of the runner."""

    def load(self) -> SessionId | None: ...

    def save(self, session_id: SessionId) -> None: ...
