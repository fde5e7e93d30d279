"""A session: its terminal, its processes, how it is started and looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from relayfleet.model.conversation import Conversation
from relayfleet.model.fault import Reason
from relayfleet.model.names import SessionId

# The size of a session's terminal while nobody drives it.
ROWS, COLUMNS = 50, 160


class Terminal(Protocol):
    """A program in a pseudo-terminal of its own."""

    @property
    def pid(self) -> int: ...

    def write(self, data: bytes) -> None: ...

    def resize(self, rows: int, columns: int) -> None:
        """Tells the program that its window has another size now, where it has one."""
        ...

    def interrupt(self) -> None:
        """Asks the session to stop the turn that it is at."""
        ...

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

    def is_agents(self, pid: int) -> bool:
        """Whether a process was started from inside an agent's session, as far as that can be told: a guardrail."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What the session's own registry says: `at` is when that status began, in seconds since the epoch."""

    status: Literal["idle", "busy", "waiting"]
    at: float
    detail: str = ""


class Cut(NamedTuple):
    """A turn that did not come to its end: the id of its prompt, and the prompt."""

    id: str
    prompt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnProgress:
    """What the transcript says of the turn under way, times in seconds since the epoch. `at` is when it last grew, 0
    when it did not since the session was started. `asked` requests were made of the model since it last said anything,
    the first at `asked_since`. `tool` is the call that is under way the longest, empty when none is."""

    at: float = 0.0
    asked: int = 0
    asked_since: float = 0.0
    tool: str = ""
    tool_since: float = 0.0


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
        """Whether there is one to resume. Raises StorageFailed, `transcript_corrupt` when it cannot be read."""
        ...

    def make_way(self, session_id: SessionId) -> Sequence[Path]:
        """Archives the transcripts of a conversation, so that one can begin under its id; gives where they are now.
        Raises StorageFailed."""
        ...

    def cut_off(self, session_id: SessionId) -> Cut | None:
        """The turn at which the session died, None when it did not die in one."""
        ...

    def brief(self) -> Mapping[str, str]:
        """Fingerprints of what a session reads of its agent at its start, by name. Raises StorageFailed."""
        ...

    def why_ended(self, words: str) -> Reason | None:
        """What the last words of a session that ended before it was ready say, None when they name no known reason."""
        ...

    def held_elsewhere(self, session_id: SessionId) -> int | None:
        """The process id of a live session that has the same conversation open and is none of this process's."""
        ...

    def credentials_changed(self) -> bool:
        """Whether a session that is started now would get another login than the one that runs. Takes seconds where a
        command gives it."""
        ...

    def look(self, session_id: SessionId, pid: int) -> Sighting | None:
        """None while the session has not said anything of itself."""
        ...

    def follow(self, session_id: SessionId) -> None:
        """A process of the session is about to start: `progress` tells what is written from now on."""
        ...

    def progress(self, session_id: SessionId) -> TurnProgress | None:
        """None while there is no transcript."""
        ...


class SessionFile(Protocol):
    """Remembers the session's conversation across restarts of the runner."""

    def load(self) -> Conversation | None: ...

    def save(self, conversation: Conversation) -> None:
        """Raises StorageFailed."""
        ...

    def asked_anew(self) -> str:
        """The request to begin a new conversation, empty when there is none."""
        ...

    def forget_asked(self) -> None:
        """The request was met. Raises StorageFailed."""
        ...

    def set_aside(self) -> None:
        """Makes way for a new record where the one that is there cannot be understood. Raises StorageFailed."""
        ...

    def others_with(self, session_id: SessionId) -> Sequence[str]:
        """The other agents of the fleet whose file names the same id: their folder, or this one, is a copy."""
        ...
