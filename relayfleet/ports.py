"""What the work asks of the outside.

Each port has a fake in `testing.py`, and one contract suite runs over both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from relayfleet.model.agent import AgentSpec
from relayfleet.model.entry import Entry
from relayfleet.model.event import Item, Kind
from relayfleet.model.filter import Filter
from relayfleet.model.names import EntryId, SessionId
from relayfleet.model.receipt import Receipt
from relayfleet.model.status import AgentStatus
from relayfleet.model.watch import Progress, Watch


class Log(Protocol):
    """Structured lines: `action` is a stable name such as `router.polled`, the fields are data."""

    def debug(self, action: str, message: str = "", **fields: object) -> None: ...

    def info(self, action: str, message: str = "", **fields: object) -> None: ...

    def warning(self, action: str, message: str = "", **fields: object) -> None: ...

    def error(
        self, action: str, message: str = "", *, trace: BaseException | None = None, **fields: object
    ) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GhAnswer:
    """What one run of `gh` gave: its exit code and its two streams, undecoded."""

    code: int
    stdout: bytes
    stderr: bytes


class Gh(Protocol):
    """Runs the `gh` program. Raises FleetError when the program cannot be started or outlives `timeout_s`."""

    async def run(self, args: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 15.0) -> GhAnswer: ...


class Inbox(Protocol):
    """The durable queue of one agent. An append that returned is on disk."""

    def append(self, entry: Entry) -> bool:
        """False when an entry of that id is there already. Raises StorageFailed; then nothing was written."""
        ...

    def read_new(self) -> list[Entry]:
        """The entries appended since the last call, in order."""
        ...


class Receipts(Protocol):
    """The record of what was observed. An append that returned is on disk."""

    def append(self, receipt: Receipt) -> None: ...

    def read_all(self) -> list[Receipt]: ...


class Transport(Protocol):
    """Brings an entry to the inbox of an agent, wherever that agent lives, once per entry id."""

    def deliver(self, agent: str, entry: Entry) -> bool:
        """True when it was written now, False when it was there already. Raises FleetError."""
        ...


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


class Observer(Protocol):
    """Looks at agents and asks their runners."""

    def observe(self, names: Sequence[str], *, timeout_s: float = 2.0) -> Sequence[AgentStatus]: ...

    def ask_to_stop(self, names: Sequence[str]) -> None:
        """Asks the runners of `names` to end; those that do not answer are passed over."""
        ...

    def holder(self, name: str) -> Handle | None:
        """The process that holds the lock of this agent's runner, None when nobody does."""
        ...


class AgentFiles(Protocol):
    """What is written of an agent when it is started or stopped."""

    def want(self, name: str, wanted: Literal["running", "stopped"]) -> None: ...

    def write_launch(self, spec: AgentSpec) -> None: ...


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

    def has_transcript(self, session_id: SessionId) -> bool: ...

    def look(self, session_id: SessionId, pid: int) -> Sighting | None:
        """None while the session has not said anything of itself."""
        ...


class SessionFile(Protocol):
    """Remembers the session's id, and the process it last ran as, across restarts of the runner."""

    def load(self) -> SessionId | None: ...

    def save(self, session_id: SessionId) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool that a plugin offers to its session, as MCP describes it."""

    name: str
    description: str
    input_schema: Mapping[str, Any]


class ToolHost(Protocol):
    """The plugins of one agent, loaded."""

    def tools(self) -> Sequence[Tool]: ...

    async def call(self, name: str, arguments: Mapping[str, Any]) -> str:
        """The tool's answer as text. Raises FleetError when there is no such tool or it failed."""
        ...


# ------------------------------------------------------------------------------------------------- the router's ports


class Clock(Protocol):
    """Time, given. `now` is seconds since the epoch, UTC; `monotonic` never goes back."""

    def now(self) -> float: ...

    def monotonic(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


FailureKind = Literal["transport", "server", "secondary", "primary", "auth", "forbidden", "not_found", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why GitHub did not answer. `wait_s` is how long it asked us to stay away, when it did.

    `transport`: it was not reached. `server`: 5xx, or an answer that cannot be read. `secondary` and `primary`: the two
    rate limits. `auth`: no token, or a bad one. `forbidden` and `not_found` concern one repository. `refused`: our
    request is wrong.
    """

    kind: FailureKind
    message: str
    status: int = 0
    wait_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What is left of the token's hourly allowance. `resource` is `graphql` or `core`; `reset_at` in seconds, UTC."""

    resource: str
    limit: int
    remaining: int
    reset_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One watch to look at. Without `progress` it is the first look: everything that is there now is read.

    `known` gives the `updated_at` of each of these node ids as the watch saw it last (absent when it has not).
    """

    watch: Watch
    filter: Filter
    progress: Progress | None
    known: Callable[[Sequence[str]], Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What a look found: the items that may have changed, whole (on a first look: those that are there).

    The watch's filter is not applied yet, apart from what only GitHub's search can decide. On a first look, items whose
    node ids are in `glimpsed` were not read whole, but for what the filter asks for.
    """

    watch: str
    items: tuple[Item, ...]
    progress: Progress
    glimpsed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What came of several looks. A look is in `sights`, or in `failures`, or fell to `failure`, which ended the round.

    `viewer` is the login behind `@me`, empty while nobody needs it.
    """

    sights: tuple[Sight, ...] = ()
    failures: Mapping[str, Failure] = field(default_factory=dict)
    failure: Failure | None = None
    budgets: tuple[Budget, ...] = ()
    viewer: str = ""


class Source(Protocol):
    """Reads what watches look at. Never raises for what goes wrong outside: that is in the Round."""

    async def look(self, looks: Sequence[Look]) -> Round: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An item in a watch's view, as the watch saw it last. `content` is empty when it was only glimpsed."""

    node_id: str
    number: int
    content: str
    updated_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchChange:
    """What one poll changes in what is known of a watch. A `fresh` one replaces everything that was known."""

    watch: str
    fingerprint: str
    progress: Progress
    fresh: bool = False
    entered: tuple[Member, ...] = ()
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """An entry that an agent is to get. `key` is the event's dedup key."""

    agent: str
    key: str
    entry: Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What trust held back. Nothing in it is a stranger's text but the login."""

    key: str
    watch: str
    repo: str
    kind: Kind
    number: int
    author: str
    association: str
    agents: tuple[str, ...]
    url: str
    reason: str
    at: float


class Cursor(Protocol):
    """The router's durable memory. Every call is a transaction of its own; all raise StorageFailed."""

    def progress(self, watch: str, fingerprint: str) -> Progress | None:
        """None when the watch was never polled, or looked at something else then."""
        ...

    def members(self, watch: str, node_ids: Sequence[str]) -> Mapping[str, Member]: ...

    def commit(
        self, changes: Sequence[WatchChange], owed: Sequence[Owed], held: Sequence[Held], *, now: float
    ) -> tuple[Owed, ...]:
        """Records a whole round at once; gives the deliveries that are new (an agent gets a key once)."""
        ...

    def owed(self, *, besides: Collection[str] = (), limit: int = 500) -> Sequence[Owed]:
        """What is not delivered yet, oldest first, leaving out these agents."""
        ...

    def settle(self, delivered: Sequence[EntryId], *, now: float) -> None: ...

    def prune(self, *, watches: Sequence[str], now: float) -> None:
        """Forgets watches that are no more, and what was settled or held back long ago."""
        ...

    def counts(self) -> CursorCounts: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CursorCounts:
    """`items` is by watch; `committed_at` is the time of the last commit, None before the first."""

    items: Mapping[str, int]
    owed: int
    delivered: int
    held: int
    committed_at: float | None


# What scaffolding asks of the disk.


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
        """Removes a folder and everything in it; none being there is fine."""
        ...


# What `fleet doctor` asks of the machine.


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

    def which(self, program: str) -> str | None:
        """The path of a program, None when there is none on PATH."""
        ...

    def run(self, argv: Sequence[str], *, timeout_s: float) -> Ran:
        """Raises FleetError when it cannot be started or takes longer."""
        ...

    def port_free(self, port: int) -> bool: ...

    def lock_holder(self, path: Path) -> int | None:
        """The process that holds a lock file, None when nobody does."""
        ...

    def free_bytes(self, path: Path) -> int: ...
