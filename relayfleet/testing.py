"""Fakes of the ports, for our own tests and for those of plugin authors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from relayfleet.errors import FleetError, StorageFailed, UnknownAgent
from relayfleet.model.entry import Entry
from relayfleet.ports import GhAnswer, Ran
from relayfleet.store.disk import LocalDisk


class ManualClock:
    """A clock that moves when it is told to, or when somebody sleeps on it. Starts at `start`, seconds UTC."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._start = start
        self._passed = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self._start + self._passed

    def monotonic(self) -> float:
        return self._passed

    def advance(self, seconds: float) -> None:
        self._passed += seconds

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)


class MemoryTransport:
    """A Transport into lists, one per agent. With `agents` given, the others are unknown."""

    def __init__(self, agents: Sequence[str] | None = None) -> None:
        self.agents = None if agents is None else set(agents)
        self.entries: dict[str, list[Entry]] = {}

    def deliver(self, agent: str, entry: Entry) -> bool:
        if self.agents is not None and agent not in self.agents:
            raise UnknownAgent(f"deliver {entry.id!r} to {agent!r}", agent)
        inbox = self.entries.setdefault(agent, [])
        if any(there.id == entry.id for there in inbox):
            return False
        inbox.append(entry)
        return True


class MemoryLog:
    """A Log that remembers: `lines` are (level, action, message, fields)."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str, dict[str, object]]] = []

    def debug(self, action: str, message: str = "", **fields: object) -> None:
        self.lines.append(("debug", action, message, fields))

    def info(self, action: str, message: str = "", **fields: object) -> None:
        self.lines.append(("info", action, message, fields))

    def warning(self, action: str, message: str = "", **fields: object) -> None:
        self.lines.append(("warning", action, message, fields))

    def error(self, action: str, message: str = "", *, trace: BaseException | None = None, **fields: object) -> None:
        self.lines.append(("error", action, message, fields))

    def of(self, action: str) -> list[tuple[str, dict[str, object]]]:
        """Message and fields of every line with this action."""
        return [(message, fields) for _, name, message, fields in self.lines if name == action]


class ScriptedGh:
    """A Gh that answers as `script` says; `calls` holds the arguments and the standard input of every run."""

    def __init__(self, script: Callable[[Sequence[str], bytes], GhAnswer]) -> None:
        self._script = script
        self.calls: list[tuple[tuple[str, ...], bytes]] = []

    async def run(self, args: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 15.0) -> GhAnswer:
        self.calls.append((tuple(args), stdin))
        await asyncio.sleep(0)
        return self._script(args, stdin)


class FailingDisk:
    """A real Disk on which change number `fails_at` (from 0) fails, once; None never fails. Removals do not count."""

    def __init__(self, fails_at: int | None = None) -> None:
        self._disk = LocalDisk()
        self._left = fails_at
        self.failed = False

    def _count(self) -> None:
        if self._left is None or self.failed:
            return
        if self._left == 0:
            self.failed = True
            raise StorageFailed("write", "No space left on device")
        self._left -= 1

    def write(self, path: Path, data: bytes, *, mode: int = 0o600) -> None:
        self._count()
        self._disk.write(path, data, mode=mode)

    def make_folder(self, path: Path) -> None:
        self._count()
        self._disk.make_folder(path)

    def rename(self, source: Path, target: Path) -> None:
        self._count()
        self._disk.rename(source, target)

    def remove_tree(self, path: Path) -> None:
        self._disk.remove_tree(path)


@dataclass(kw_only=True)
class ScriptedMachine:
    """A Machine made up: `answers` are by the words of the command, `holders` by the lock's path. What `which` finds
    lies in /bin; a FleetError among the answers is raised."""

    environ: Mapping[str, str] = field(default_factory=dict)
    python: tuple[int, int, int] = (3, 11, 7)
    is_root: bool = False
    programs: Sequence[str] = ()
    answers: Mapping[str, Ran | FleetError] = field(default_factory=dict)
    taken_ports: Sequence[int] = ()
    holders: Mapping[Path, int] = field(default_factory=dict)
    free: int = 80_000_000_000

    def which(self, program: str) -> str | None:
        return f"/bin/{program}" if program in self.programs else None

    def run(self, argv: Sequence[str], *, timeout_s: float) -> Ran:
        answer = self.answers.get(" ".join([argv[0].removeprefix("/bin/"), *argv[1:]]))
        if answer is None:
            raise FleetError(f"run {argv[0]!r}", "no answer was scripted for it")
        if isinstance(answer, FleetError):
            raise answer
        return answer

    def port_free(self, port: int) -> bool:
        return port not in self.taken_ports

    def lock_holder(self, path: Path) -> int | None:
        return self.holders.get(path)

    def free_bytes(self, path: Path) -> int:
        return self.free
