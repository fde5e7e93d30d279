"""Fakes of the ports, for our own tests and for those of plugin authors."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import signal
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any, Literal

from relayfleet.errors import ConfigError, FleetError, StorageFailed, UnknownAgent
from relayfleet.model.agent import AgentSpec
from relayfleet.model.conversation import Conversation
from relayfleet.model.entry import Entry, refuse_long_body
from relayfleet.model.fault import Reason, as_reason
from relayfleet.model.filter import Filter
from relayfleet.model.fleet import Limits
from relayfleet.model.item import Act, Item, Kind, Note, Report, address_of
from relayfleet.model.join import join_entries
from relayfleet.model.moment import moment_of
from relayfleet.model.names import AgentName, EntryId, SessionId
from relayfleet.model.notice import Notice
from relayfleet.model.permission import Rule
from relayfleet.model.receipt import ENDS, EntryState, Receipt
from relayfleet.model.route import Gate
from relayfleet.model.snapshot import Snapshot, is_busy, is_open_pull
from relayfleet.model.status import AgentStatus
from relayfleet.model.supervision import Past
from relayfleet.model.watch import Feed, Progress
from relayfleet.model.wish import Wish
from relayfleet.model.writing import Writing
from relayfleet.ports.approval import Ruling
from relayfleet.ports.cursor import (
    Batch,
    Breaker,
    Cooldown,
    CursorCounts,
    Decision,
    FeedChange,
    Held,
    Owed,
)
from relayfleet.ports.daemon import Handle
from relayfleet.ports.github import GhAnswer
from relayfleet.ports.machine import Ran, SessionProcess
from relayfleet.ports.session import Cut, Sighting, Terminal, TurnProgress, Wiring
from relayfleet.ports.source import Budget, Failure, Found, Look, Round, Search, Sight, Spent
from relayfleet.ports.tool import Tool
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

    def jump(self, seconds: float) -> None:
        """The wall's clock is set, forward or back; no time passes."""
        self._start += seconds

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)


class MemoryTransport:
    """A Transport into lists, one per agent. With `agents` given, the others are unknown."""

    def __init__(self, agents: Sequence[str] | None = None) -> None:
        self.agents = None if agents is None else set(agents)
        self.entries: dict[str, list[Entry]] = {}

    def deliver(self, agent: str, entries: Sequence[Entry]) -> None:
        if self.agents is not None and agent not in self.agents:
            raise UnknownAgent(f"deliver to {agent!r}", agent)
        inbox = self.entries.setdefault(agent, [])
        _add_new(inbox, entries, known={entry.id for entry in inbox})


def _add_new(inbox: list[Entry], entries: Sequence[Entry], *, known: set[EntryId]) -> int:
    for entry in entries:
        refuse_long_body(entry)
    new = {entry.id: entry for entry in reversed(entries) if entry.id not in known}
    inbox += [entry for entry in entries if new.get(entry.id) is entry]
    return len(new)


class MemoryLog:
    """A Log that remembers: `lines` are (level, action, message, fields)."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str, dict[str, object]]] = []

    def debug(self, action: str, message: str = "", **fields: object) -> None:
        self.lines.append(("debug", action, message, fields))

    def info(self, action: str, message: str = "", **fields: object) -> None:
        self.lines.append(("info", action, message, fields))

    def info_each(self, action: str, lines: Sequence[Mapping[str, object]]) -> None:
        self.lines.extend(("info", action, "", dict(fields)) for fields in lines)

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

    def which(self, program: str, *, path: str | None = None) -> str | None:
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


class MemoryProcessTable:
    """A ProcessTable of `processes`, by fleet id. One in `stubborn` (a pid) does not end; `on_end` is called before any
    does."""

    def __init__(self, processes: Mapping[str, Sequence[SessionProcess]]) -> None:
        self.processes = {fleet_id: list(those) for fleet_id, those in processes.items()}
        self.stubborn: set[int] = set()
        self.on_end: Callable[[], None] = lambda: None

    def of_sessions(self, fleet_id: str, sessions: Mapping[SessionId, AgentName]) -> Sequence[SessionProcess]:
        return list(self.processes.get(fleet_id, ()))

    def end(self, processes: Sequence[SessionProcess], *, grace_s: float) -> None:
        self.on_end()
        going = [process for process in processes if process.pid not in self.stubborn]
        for those in self.processes.values():
            those[:] = [process for process in those if process not in going]

    def ownership(self) -> str:
        return "a made-up table"


# ------------------------------------------------------------------------------------------------- a runner's side


class MemoryInbox:
    """An Inbox in memory. While `full` it takes nothing, as a disk without room."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.archived: list[Entry] = []
        self.full = False
        self._read = 0

    def append_all(self, entries: Sequence[Entry]) -> int:
        if self.full:
            raise StorageFailed("append", "No space left on device")
        return _add_new(self.entries, entries, known={entry.id for entry in (*self.archived, *self.entries)})

    def read_new(self) -> list[Entry]:
        new, self._read = self.entries[self._read :], len(self.entries)
        return new

    def find(self, ids: Collection[EntryId]) -> list[Entry]:
        return [entry for entry in self.entries[: self._read] if entry.id in ids]

    def archive(self, count: int) -> None:
        """The first `count` entries, which were read."""
        self.archived += self.entries[:count]
        del self.entries[:count]
        self._read -= count


class MemoryReceipts:
    """Receipts in memory. While `full` it takes nothing."""

    def __init__(self) -> None:
        self.receipts: list[Receipt] = []
        self.full = False

    def append(self, *receipts: Receipt) -> None:
        if self.full:
            raise StorageFailed("append", "No space left on device")
        self.receipts += receipts

    def read_all(self) -> Iterable[Receipt]:
        return list(self.receipts)


class MemoryLastWords:
    """Implements the runner's LastWords. `full`: the disk is."""

    def __init__(self) -> None:
        self.kept: dict[EntryId, str] = {}
        self.full = False

    def keep(self, entry_id: EntryId, text: str, *, now: float) -> None:
        if self.full:
            raise StorageFailed("append", "No space left on device")
        self.kept[entry_id] = text


class MemoryUpkeep:
    """An Upkeep of a MemoryInbox and its MemoryReceipts: entries that have ended go, but for the last `keep`. While
    `full` it does nothing."""

    def __init__(self, inbox: MemoryInbox, receipts: MemoryReceipts, *, keep: int = 100) -> None:
        self._inbox = inbox
        self._receipts = receipts
        self._keep = keep
        self.full = False

    def step(self, states: Mapping[EntryId, EntryState]) -> Collection[EntryId]:
        if self.full:
            raise StorageFailed("archive entries", "No space left on device")
        old = [entry.id for entry in self._inbox.entries[: -self._keep]]
        going = set(itertools.takewhile(lambda entry_id: states.get(entry_id) in ENDS, old))
        self._inbox.archive(len(going))
        self._receipts.receipts = [receipt for receipt in self._receipts.receipts if receipt.id not in going]
        return going


class MemoryWritings:
    """Implements ports.Writings. `full`: the disk is."""

    def __init__(self) -> None:
        self.kept: list[Writing] = []
        self.full = False

    def append(self, writings: Sequence[Writing]) -> None:
        if self.full:
            raise StorageFailed("append to 'authored.jsonl'", "the disk is full")
        self.kept += writings


class MemoryRulings:
    """Rulings in memory. While `full` it takes nothing."""

    def __init__(self) -> None:
        self.rulings: list[Ruling] = []
        self.full = False

    def append(self, ruling: Ruling) -> None:
        if self.full:
            raise StorageFailed("append", "No space left on device")
        self.rulings.append(ruling)


class MemoryRememberedRules:
    """RememberedRules in memory. While `full` it takes nothing."""

    def __init__(self, *rules: Rule) -> None:
        self.rules = list(rules)
        self.full = False

    def load(self) -> Sequence[Rule]:
        return tuple(self.rules)

    def add(self, rule: Rule) -> None:
        if self.full:
            raise StorageFailed("add", "No space left on device")
        self.rules = [one for one in self.rules if (one.tool, one.pattern) != (rule.tool, rule.pattern)] + [rule]


class MemoryNotifier:
    """A Notifier that remembers what it was told."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []

    def notify(self, notice: Notice) -> None:
        self.notices.append(notice)


class MemorySessionFile:
    """A SessionFile in memory; `others` are agents whose files name the same conversation."""

    def __init__(self, conversation: Conversation | None = None) -> None:
        self.conversation = conversation
        self.others: list[str] = []
        self.asked = ""
        self.full = self.broken = False

    def load(self) -> Conversation | None:
        if self.broken:
            raise StorageFailed("read 'session.json'", "it is torn", fault="transcript_corrupt")
        return self.conversation

    def asked_anew(self) -> str:
        return self.asked

    def forget_asked(self) -> None:
        self.asked = ""

    def set_aside(self) -> None:
        self.conversation, self.broken = None, False

    def save(self, conversation: Conversation) -> None:
        if self.full:
            raise StorageFailed("write 'session.json'", "No space left on device")
        self.conversation = conversation

    def others_with(self, session_id: SessionId) -> Sequence[str]:
        return self.others if self.conversation is not None and self.conversation.session_id == session_id else ()


class MemoryTerminal:
    """A program made up: it prints what `print` is given and ends when `exit` is called or a signal reaches it."""

    def __init__(
        self,
        pid: int,
        argv: Sequence[str],
        env: Mapping[str, str],
        on_output: Callable[[bytes], None],
        on_exit: Callable[[int], None],
    ) -> None:
        self.argv, self.env = tuple(argv), dict(env)
        self.written = bytearray()
        self.sizes: list[tuple[int, int]] = []
        self.on_write: Callable[[bytes], None] = lambda data: None
        self.ignores: set[int] = set()
        self.over = False
        self._pid = pid
        self._on_output = on_output
        self._on_exit = on_exit
        self._loop = asyncio.get_running_loop()

    @property
    def pid(self) -> int:
        return self._pid

    def print(self, data: bytes) -> None:
        if not self.over:
            self._loop.call_soon(self._on_output, data)

    def exit(self, code: int) -> None:
        if not self.over:
            self.over = True
            self._loop.call_soon(self._on_exit, code)

    def write(self, data: bytes) -> None:
        if not self.over:
            self.written += data
            self.on_write(data)

    def resize(self, rows: int, columns: int) -> None:
        if not self.over:
            self.sizes.append((rows, columns))

    def interrupt(self) -> None:
        self.write(b"\x1b")

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self.exit(-9)

    def close(self) -> None:
        self._signal(1)  # SIGHUP, which Windows has no name for

    def _signal(self, number: int) -> None:
        if number not in self.ignores:
            self.exit(-number)


class MemoryTerminals:
    """Terminals whose programs are functions, by the name in argv[0]; `spawned` holds what was started."""

    def __init__(self, programs: Mapping[str, Callable[[MemoryTerminal], None]]) -> None:
        self._programs = programs
        self._pids = itertools.count(10_000)
        self.spawned: list[MemoryTerminal] = []

    def spawn(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        on_output: Callable[[bytes], None],
        on_exit: Callable[[int], None],
    ) -> Terminal:
        if argv[0] not in self._programs:
            raise FleetError(f"run {argv[0]!r}", "it is not found on PATH")
        terminal = MemoryTerminal(next(self._pids), argv, env, on_output, on_exit)
        self.spawned.append(terminal)
        self._programs[argv[0]](terminal)
        return terminal


class MemoryTree:
    """A ProcessTree of numbers: `children` below this process, `strays` by session id."""

    def __init__(self, *, children: int = 0, strays: Mapping[str, int] | None = None) -> None:
        self.children = children
        self.strays = dict(strays or {})
        self.agents: set[int] = set()
        self.adopts = False

    def adopt_orphans(self) -> None:
        self.adopts = True

    def reap_orphans(self) -> None:
        pass

    def end_children(self, *, grace_s: float) -> int:
        ended, self.children = self.children, 0
        return ended

    def end_strays(self, session_id: str) -> int:
        return self.strays.pop(session_id, 0)

    def is_agents(self, pid: int) -> bool:
        return pid in self.agents


class ScriptedHarness:
    """A Harness whose sessions say what `sightings` has for them; `argv` is their command line. `conversations` can be
    resumed, `leftovers` are of sessions that died before their first message, `cuts` what they died in. `says_why` is
    what their last words mean, `holder` the process of somebody else who has the conversation open."""

    def __init__(self, folder: Path, *, argv: Sequence[str] = ("session",)) -> None:
        self._folder = folder
        self._argv = tuple(argv)
        self.sightings: dict[SessionId, Sighting] = {}
        self.conversations: set[SessionId] = set()
        self.leftovers: set[SessionId] = set()
        self.wirings: list[Wiring] = []
        self.cuts: dict[SessionId, Cut] = {}
        self.archived: list[SessionId] = []
        self.briefs: dict[str, str] = {"CLAUDE.md": "1"}
        self.says_why: dict[str, Reason] = {}
        self.holder: int | None = None
        self.waits_for: TurnProgress | None = None
        self.login = self._started_with = "login"
        self.full = False

    @property
    def folder(self) -> Path:
        return self._folder

    def prepare(self, wiring: Wiring) -> None:
        if self.full:
            raise StorageFailed("write 'settings.json'", "No space left on device")
        self.wirings.append(wiring)
        self._started_with = self.login

    def command(self, session_id: SessionId, *, resume: bool) -> Sequence[str]:
        return (*self._argv, "--resume" if resume else "--session-id", session_id)

    def environment(self, session_id: SessionId) -> Mapping[str, str]:
        return {"RELAYFLEET_SESSION": session_id}

    def has_conversation(self, session_id: SessionId) -> bool:
        return session_id in self.conversations

    def make_way(self, session_id: SessionId) -> Sequence[Path]:
        if session_id not in self.leftovers | self.conversations:
            return ()
        self.leftovers.discard(session_id)
        self.conversations.discard(session_id)
        self.archived.append(session_id)
        return (self._folder / "archive" / session_id,)

    def cut_off(self, session_id: SessionId) -> Cut | None:
        return self.cuts.get(session_id)

    def brief(self) -> Mapping[str, str]:
        return dict(self.briefs)

    def why_ended(self, words: str) -> Reason | None:
        return next((reason for known, reason in self.says_why.items() if known in words), None)

    def held_elsewhere(self, session_id: SessionId) -> int | None:
        return self.holder

    def credentials_changed(self) -> bool:
        return self.login != self._started_with

    def follow(self, session_id: SessionId) -> None:
        self.waits_for = None

    def progress(self, session_id: SessionId) -> TurnProgress | None:
        return self.waits_for

    def look(self, session_id: SessionId, pid: int) -> Sighting | None:
        return self.sightings.get(session_id)


class MemoryTools:
    """A ToolHost of functions, each under its own name; what they raise is a failed call."""

    def __init__(self, *functions: Callable[..., Any]) -> None:
        self._functions = {function.__name__: function for function in functions}

    def tools(self) -> Sequence[Tool]:
        from relayfleet.plughost.schema import schema_of

        return [
            Tool(name=name, description=(function.__doc__ or "").strip(), input_schema=schema_of(function))
            for name, function in self._functions.items()
        ]

    async def call(self, name: str, arguments: Mapping[str, Any]) -> str:
        if name not in self._functions:
            raise FleetError(f"call tool {name!r}", "there is no such tool")
        try:
            result = self._functions[name](**arguments)
            return str(await result if inspect.isawaitable(result) else result)
        except FleetError:
            raise
        except Exception as error:
            raise FleetError(f"call tool {name!r}", f"{type(error).__name__}: {error}") from error


# --------------------------------------------------------------------------------------- starting and stopping agents


class MemoryBackend:
    """A Backend whose daemons are entries in `launched` until they are killed, or `die` is called. A program named in
    `missing` cannot be started."""

    def __init__(self, *, missing: Sequence[str] = ()) -> None:
        self._missing = missing
        self._pids = itertools.count(20_000)
        self.launched: dict[int, tuple[str, ...]] = {}
        self.swept: list[str] = []  # ids of sessions

    def launch(self, argv: Sequence[str], *, folder: Path, errors: Path) -> Handle:
        if argv[0] in self._missing:
            raise FleetError(f"run {argv[0]!r}", "No such file or directory")
        pid = next(self._pids)
        self.launched[pid] = tuple(argv)
        return Handle(backend="memory", pid=pid, start_time=0.0)

    def is_alive(self, handle: Handle) -> bool:
        return handle.pid in self.launched

    def kill(self, handle: Handle) -> None:
        self.launched.pop(handle.pid, None)

    def end_strays(self, agent: str, session_id: str) -> int:
        self.swept.append(session_id)
        return 0

    def die(self, handle: Handle) -> None:
        self.launched.pop(handle.pid, None)


class MemoryObserver:
    """An Observer of agents whose `statuses` a test sets. A runner that is asked to stop does, unless it is in
    `stubborn`; then its `holder` stays, until `lost` says that somebody killed it."""

    def __init__(self, *statuses: AgentStatus, stubborn: Sequence[str] = ()) -> None:
        self.statuses = {str(status.name): status for status in statuses}
        self.stubborn = set(stubborn)
        self.lost: Callable[[Handle], bool] = lambda handle: False

    def observe(self, names: Sequence[str], *, timeout_s: float = 2.0) -> Sequence[AgentStatus]:
        return [self.statuses[name] for name in names]

    def ask_to_stop(self, names: Sequence[str]) -> None:
        for name in names:
            if name not in self.stubborn:
                self.statuses[name] = replace(self.statuses[name], state="stopped", pid=None)

    def holder(self, name: str) -> Handle | None:
        pid = self.statuses[name].pid
        handle = Handle(backend="memory", pid=pid, start_time=0.0) if pid is not None else None
        return None if handle is None or self.lost(handle) else handle

    def alive(self) -> int:
        return sum(self.holder(name) is not None for name in self.statuses)


class MemoryAgentFiles:
    """AgentFiles in memory: what is `wanted` of each agent, what it is `queued` behind, what it was launched with."""

    def __init__(self) -> None:
        self.queued: dict[str, str] = {}
        self.wanted: dict[str, Literal["running", "stopped"]] = {}
        self.launches: dict[str, AgentSpec] = {}

    def want(self, name: str, wanted: Literal["running", "stopped"], *, queued: str = "") -> None:
        self.wanted[name] = wanted
        self.queued[name] = queued

    def write_launch(self, spec: AgentSpec) -> None:
        self.launches[spec.name] = spec


class MemoryFleetView:
    """A FleetView of daemons made up, which run in a MemoryBackend. A test sets `wishes`, `failures` and `answers` (a
    state, or None for one that is silent; `idle` without one); what cannot be launched is in `refused`."""

    def __init__(self, *names: str, backend: MemoryBackend) -> None:
        self.backend = backend
        self.wishes = {name: Wish() for name in ("router", *names)}
        self.failures: dict[str, tuple[float, Reason, str]] = {}
        self.answers: dict[str, str | None] = {}
        self.refused: dict[str, FleetError] = {}
        self.signatures: dict[str, str] = {}
        self.space = True
        self.memory_mb = 64_000
        self.bounds = Limits()
        self.holders: dict[str, Handle] = {}
        self.launched: list[str] = []
        self.stopped: list[str] = []
        self.memory: dict[str, Past] = {}
        self.full = False

    def names(self) -> Sequence[str]:
        return list(self.wishes)

    def wish(self, name: str) -> Wish:
        return self.wishes[name]

    def alive(self, name: str) -> bool:
        return self.holder(name) is not None

    def holder(self, name: str) -> Handle | None:
        handle = self.holders.get(name)
        return handle if handle is not None and self.backend.is_alive(handle) else None

    def failure(self, name: str) -> tuple[float, Reason, str] | None:
        return self.failures.get(name)

    def signature(self, name: str) -> str:
        return self.signatures.get(name, "")

    def has_space(self) -> bool:
        return self.space

    def free_mb(self) -> int:
        return self.memory_mb

    def limits(self) -> Limits:
        return self.bounds

    def ask(self, names: Sequence[str], *, timeout_s: float) -> Mapping[str, str | None]:
        return {name: self.answers.get(name, "idle") for name in names}

    def ask_to_stop(self, names: Sequence[str]) -> None:
        self.stopped += names
        for name in names:
            if (handle := self.holders.pop(name, None)) is not None:
                self.backend.die(handle)

    def session_id(self, name: str) -> str | None:
        return f"session of {name}"

    def launch(self, name: str) -> Handle:
        self.failures.pop(name, None)
        if name in self.refused:
            raise self.refused[name]
        handle = self.backend.launch(["run", name], folder=Path(), errors=Path())
        self.launched.append(name)
        self.holders[name] = handle
        return handle

    def record_failure(self, name: str, error: Exception) -> None:
        fault = as_reason(error.fault) if isinstance(error, FleetError) else None
        self.failures[name] = (inf, fault or "crashed_before_ready", str(error))

    def load(self) -> Mapping[str, Past]:
        return dict(self.memory)

    def save(self, memory: Mapping[str, Past]) -> None:
        if self.full:
            raise StorageFailed("write 'supervisor.json'", "No space left on device")
        self.memory = dict(memory)


# ------------------------------------------------------------------------------------------------- the router's side


class MemoryGateFile:
    """A GateFile in memory. While there are `faults` it cannot be read."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._read = False
        self.faults: tuple[str, ...] = ()

    def edit(self, gate: Gate, *, faults: tuple[str, ...] = ()) -> None:
        self._gate, self.faults, self._read = gate, faults, False

    def has_changed(self) -> bool:
        return not self._read

    def read(self) -> Gate:
        self._read = True
        if self.faults:
            raise ConfigError(self.faults)
        return self._gate


class MemoryAuthorship:
    """An Authorship of what a test says: `urls` and `logins` are by agent, `touches` are (agent, repo, number, at)."""

    def __init__(self) -> None:
        self.urls: dict[str, str] = {}
        self.logins: dict[str, str] = {}
        self.touches: list[tuple[str, str, int, float]] = []

    def author(self, url: str, login: str) -> str:
        return self.urls.get(url, "") or self.logins.get(login, "")

    def touched(self, agent: str, repo: str, number: int, *, since: float) -> bool:
        return any(one[:3] == (agent, repo, number) and one[3] > since for one in self.touches)


class ScriptedSource:
    """A Source that shows the reports it was given, by `now` (seconds since the epoch) as GitHub's clock.

    `repos` are the repositories that there are, as a watch spells them; `finds` is GitHub's search, which finds nothing
    by default. Each of `failures` ends one round before it reads anything; `broken` fail by feed key. A request is for
    up to `at_once` feeds and costs `points`. `looks` holds what was asked.
    """

    SETTLE_S = 2.0

    def __init__(self, *repos: str, now: Callable[[], float]) -> None:
        self._now = now
        self._reports: dict[str, Report] = {}
        self.repos = {repo.casefold() for repo in repos}
        self.finds: Callable[[Filter, Item], bool] = lambda chosen, item: False
        self.failures: list[Failure] = []
        self.broken: dict[str, Failure] = {}
        self.budgets: tuple[Budget, ...] = ()
        self.viewer = "relaybot"
        self.points = 1
        self.at_once = 50
        self.looks: list[tuple[Look, ...]] = []

    def put(self, report: Report) -> None:
        """In the place of what was there under its node id."""
        self._reports[report.item.node_id] = report

    def remove(self, node_id: str) -> None:
        del self._reports[node_id]

    async def look(self, looks: Sequence[Look]) -> Round:
        self.looks.append(tuple(looks))
        await asyncio.sleep(0)
        spent = tuple(
            Spent(
                purpose="runs" if looks[0].feed.lane == "runs" else "probe",
                resource="core" if looks[0].feed.lane == "runs" else "graphql",
                points=self.points,
                seconds=0.1,
                feeds=tuple(look.feed.key for look in looks[start : start + self.at_once]),
            )
            for start in range(0, len(looks), self.at_once)
        )
        if self.failures:
            return Round(failure=self.failures.pop(0), budgets=self.budgets, spent=spent[:1])
        failures = {look.feed.key: self.broken[look.feed.key] for look in looks if look.feed.key in self.broken}
        for look in looks:
            if address_of(look.feed.host, look.feed.repo) not in self.repos:
                failures.setdefault(look.feed.key, Failure(kind="not_found", message="Not Found", status=404))
        return Round(
            sights=tuple(self._see(look) for look in looks if look.feed.key not in failures),
            failures=failures,
            budgets=self.budgets,
            spent=spent,
            viewer=self.viewer if any(look.needs_viewer for look in looks) else "",
        )

    def _see(self, look: Look) -> Sight:
        settled_at = moment_of(self._now() - self.SETTLE_S)
        progress, gone = dict(look.progress), set[str]()
        reports: dict[str, Report] = {}
        for kind in look.kinds:
            there = self._of(look, kind)
            before = look.progress.get(kind)
            newest = max((one.item.updated_at for one in there.values()), default=settled_at)
            mark = max(before.mark if before else "", min(newest, settled_at))
            floor = before.mark if before else mark
            reports |= {key: one for key, one in there.items() if one.item.updated_at > floor or key in look.again}
            if before is not None:
                gone |= set(look.members(kind)) - there.keys()
            progress[kind] = Progress(mark=mark, settled_at=settled_at, count=len(there))
        return Sight(
            feed=look.feed,
            progress=progress,
            named="" if look.feed.lane == "runs" else look.feed.repo,
            reports=tuple(reports.values()),
            gone=tuple(sorted(gone)),
            listed={one.watch: tuple(r.item for r in self._of(look, one.kind).values()) for one in look.listings},
            found={one.watch: self._find(look, one) for one in look.searches},
        )

    def _find(self, look: Look, wanted: Search) -> Found:
        there = self._of(look, wanted.filter.kind)
        items = {key: one.item for key, one in there.items() if self.finds(wanted.filter, one.item)}
        return Found(items=items, whole=wanted.whole)

    def _of(self, look: Look, kind: Kind) -> dict[str, Report]:
        place = (look.feed.host, look.feed.repo)
        return {
            key: one
            for key, one in self._reports.items()
            if one.item.kind == kind and (one.item.host, one.item.repo.casefold()) == place
        }


class MemoryCursor:
    """A Cursor in memory. While `full` it takes nothing."""

    def __init__(self) -> None:
        self.full = False
        self.held: dict[tuple[str, str], Held] = {}
        self.decisions: list[Decision] = []
        self._watches: dict[str, str] = {}
        self._members: dict[str, set[str]] = {}
        self._progress: dict[str, dict[Kind, Progress]] = {}
        self._snapshots: dict[str, tuple[str, Snapshot]] = {}
        self._owed: dict[tuple[str, str], Owed] = {}
        self._done: dict[tuple[str, str], float] = {}
        self._under_way: set[EntryId] = set()
        self._cooldowns: dict[tuple[str, str], Cooldown] = {}
        self._breakers: dict[tuple[str, str], Breaker] = {}
        self._committed_at: float | None = None

    def watches(self) -> Mapping[str, str]:
        return dict(self._watches)

    def progress(self, feed: Feed) -> Mapping[Kind, Progress]:
        return dict(self._progress.get(feed.key, {}))

    def snapshots(self, node_ids: Sequence[str]) -> Mapping[str, Snapshot]:
        return {node_id: self._snapshots[node_id][1] for node_id in node_ids if node_id in self._snapshots}

    def in_view(self, watch: str, node_ids: Sequence[str]) -> Set[str]:
        return self._members.get(watch, set()) & set(node_ids)

    def members(self, watches: Collection[str]) -> Sequence[str]:
        return sorted(set[str]().union(*(self._members.get(watch, set()) for watch in watches)))

    def open_pulls(self, watches: Collection[str]) -> Sequence[str]:
        return [one for one, known in self.snapshots(self.members(watches)).items() if is_open_pull(known)]

    def busy_pulls(self) -> Mapping[str, Sequence[str]]:
        found: dict[str, list[str]] = {}
        for node_id, (feed, known) in self._snapshots.items():
            if is_busy(known):
                found.setdefault(feed, []).append(node_id)
        return found

    def told(self, agents: Collection[str], *, kind: Kind, node_id: str) -> Set[str]:
        places = [*self._owed, *self._done]
        return {name for name, key in places if name in agents and key.startswith(f"{kind}/{node_id}/")}

    def cooldowns(self) -> Sequence[Cooldown]:
        return list(self._cooldowns.values())

    def breakers(self) -> Sequence[Breaker]:
        return sorted(self._breakers.values(), key=lambda one: one.since)

    def commit(self, batch: Batch, *, now: float) -> tuple[Owed, ...]:
        self._refuse()
        for change in batch.feeds:
            self._record(change)
        new = [owed for owed in batch.owed if self._owe(owed, now=now)]
        for held in batch.held:
            self.held.setdefault((held.key, held.watch), held)
        self.decisions += batch.decisions
        self._cooldowns |= {(one.route, one.item): one for one in batch.cooldowns}
        self._breakers |= {(one.route, one.item): one for one in batch.breakers}
        if batch.feeds:
            self._committed_at = now
        return tuple(new)

    def owed(
        self, *, now: float, ahead_s: float = inf, besides: Collection[str] = (), limit: int = 500
    ) -> Sequence[Owed]:
        due = [one for one in self._owed.values() if not now < one.not_before <= now + ahead_s]
        found = sorted((one for one in due if one.agent not in besides), key=lambda one: -one.priority)[:limit]
        self._under_way.update(one.entry.id for one in found)
        return found

    def due_at(self, *, besides: Collection[str] = ()) -> float | None:
        return min((one.not_before for one in self._owed.values() if one.agent not in besides), default=None)

    def settle(self, delivered: Sequence[EntryId], *, now: float) -> None:
        self._refuse()
        made = self._under_way.intersection(delivered)
        self._under_way -= made
        for place in [place for place, owed in self._owed.items() if owed.entry.id in made]:
            del self._owed[place]
            self._done[place] = now

    def retain(self, *, watches: Collection[str], feeds: Collection[str]) -> None:
        self._refuse()
        self._watches = {name: one for name, one in self._watches.items() if name in watches}
        self._members = {name: one for name, one in self._members.items() if name in watches}
        self._progress = {feed: one for feed, one in self._progress.items() if feed in feeds}
        self._snapshots = {node_id: one for node_id, one in self._snapshots.items() if one[0] in feeds}

    def prune(self, *, now: float) -> None:
        self._refuse()
        self._cooldowns = {place: one for place, one in self._cooldowns.items() if one.until >= now}

    def newest_held(self, limit: int) -> Sequence[Held]:
        return list(self.held.values())[::-1][:limit]

    def counts(self) -> CursorCounts:
        return CursorCounts(
            items={name: len(members) for name, members in self._members.items() if members},
            owed=len(self._owed),
            delivered=len(self._done),
            held=len(self.held),
            committed_at=self._committed_at,
        )

    def _refuse(self) -> None:
        if self.full:
            raise StorageFailed("write", "No space left on device")

    def _record(self, change: FeedChange) -> None:
        self._progress.setdefault(change.feed.key, {}).update(change.progress)
        self._snapshots |= {one.node_id: (change.feed.key, one) for one in change.snapshots}
        for node_id in change.gone:
            self._snapshots.pop(node_id, None)
        for fresh in change.fresh:
            self._watches[fresh.name] = fresh.fingerprint
            self._members[fresh.name] = set(fresh.members)
        for watch, node_id in change.entered:
            self._members.setdefault(watch, set()).add(node_id)
        for watch, node_id in change.left:
            self._members.setdefault(watch, set()).discard(node_id)

    def _owe(self, owed: Owed, *, now: float) -> bool:
        place = (owed.agent, owed.key)
        if place in self._owed or place in self._done:
            return False
        for waits, other in self._owed.items():
            same = (other.agent, other.item) == (owed.agent, owed.item) and other.entry.id not in self._under_way
            if same and now < other.not_before <= owed.not_before:
                entry, priority = join_entries(other.entry, owed.entry), max(other.priority, owed.priority)
                self._owed[waits] = replace(other, entry=entry, priority=priority)
                self._done[place] = now
                return True
        self._owed[place] = owed
        return True


def a_report(number: int = 1, *, notes: Sequence[Note] = (), acts: Sequence[Act] = (), **fields: Any) -> Report:
    """An open issue of acme/WMS that a collaborator wrote long ago; `fields` are an item's."""
    known: dict[str, Any] = {
        "repo": "acme/WMS",
        "private": False,
        "kind": "issues",
        "number": number,
        "title": f"title {number}",
        "body": f"body {number}",
        "author": "ann",
        "association": "COLLABORATOR",
        "state": "open",
        "created_at": "2020-01-01T00:00:00Z",
        "updated_at": "2020-01-01T00:00:00Z",
        **fields,
    }
    known.setdefault("node_id", f"{known['repo']}/{known['kind']}/{number}")
    known.setdefault("url", f"https://{known.get('host', 'github.com')}/{known['repo']}/issues/{number}")
    return Report(item=Item(**known), notes=tuple(notes), acts=tuple(acts))
