"""What the work asks of the outside.

Each port has a fake in `testing.py`, and one contract suite runs over both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from relayfleet.model.agent import AgentSpec
from relayfleet.model.entry import Entry
from relayfleet.model.layout import AgentLayout
from relayfleet.model.receipt import Receipt


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
    """Launches a runner somewhere and ends it."""

    def launch(self, spec: AgentSpec, agent: AgentLayout, argv: Sequence[str]) -> Handle: ...

    def kill(self, handle: Handle) -> None:
        """Ends the runner and everything below it, firmly. Returns when they are gone."""
        ...


class Terminal(Protocol):
    """A program in a pseudo-terminal of its own."""

    @property
    def pid(self) -> int: ...

    async def wait(self) -> int:
        """The exit code; a negative one is a signal's number."""
        ...

    def write(self, data: bytes) -> None: ...

    def signal(self, number: int) -> None: ...

    def close(self) -> None: ...


class Terminals(Protocol):
    """Starts programs in pseudo-terminals. `on_output` gets what they print, undecoded."""

    def spawn(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        on_output: Callable[[bytes], None],
    ) -> Terminal: ...


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
