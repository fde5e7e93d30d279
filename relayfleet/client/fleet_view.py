"""Implements `ports.FleetView` for one fleet on this machine: what did not change is not read again."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from relayfleet.client.control import ask_all
from relayfleet.errors import ConfigError
from relayfleet.model.fault import Reason, as_reason
from relayfleet.model.fleet import Limits
from relayfleet.model.layout import FleetLayout
from relayfleet.model.names import fault_of_name
from relayfleet.model.supervision import ROUTER, Memory, Past
from relayfleet.model.wish import Wish
from relayfleet.ports.daemon import Handle
from relayfleet.store.failure import read_failure
from relayfleet.store.intent import down_since, read_wish, rests
from relayfleet.store.lock import holder_of, is_held
from relayfleet.store.machine import free_memory_mb
from relayfleet.store.sockets import sockets_of
from relayfleet.store.supervision import read_memory, write_memory

# What a daemon needs to write its receipts for a while; `fleet doctor` calls less than that broken.
_SPACE_BYTES = 100 * 1024 * 1024
_Stamp = tuple[int, int] | None


class LocalFleetView:
    """`launch` launches a daemon by its name, `record_failure` writes down why that could not be done."""

    def __init__(
        self,
        layout: FleetLayout,
        fleet_id: str,
        *,
        read_limits: Callable[[], Limits],
        launch: Callable[[str], Handle],
        record_failure: Callable[[str, Exception], None],
    ) -> None:
        self._layout = layout
        self._sockets = sockets_of(fleet_id)
        self._read_limits = read_limits
        self._launch = launch
        self._record_failure = record_failure
        self._wishes: dict[str, tuple[_Stamp, Wish]] = {}
        self._intents: dict[str, str] = {}  # paths, which are dear to build a thousand times a second
        self._locks: dict[str, str] = {}
        self._supervisor_intent = str(layout.supervisor_intent)
        self._down: tuple[_Stamp, float | None] = (None, None)
        self._limits: tuple[_Stamp, Limits] = (None, Limits())

    def names(self) -> Sequence[str]:
        try:
            with os.scandir(self._layout.agents) as folders:
                found = sorted(f.name for f in folders if _is_agent(f.name, f.path))
        except OSError:
            found = []
        return (ROUTER, *found)

    def wish(self, name: str) -> Wish:
        path = self._intents.get(name)
        if path is None:
            layout = self._layout
            path = self._intents[name] = str(layout.router_intent if name == ROUTER else layout.agent(name).intent)
        stamp = _stamp(path)
        known = self._wishes.get(name)
        if known is None or known[0] != stamp:
            known = self._wishes[name] = (stamp, read_wish(Path(path)))
        wish = known[1]
        return Wish() if wish.wanted and rests(wish, self._down_since()) else wish

    def alive(self, name: str) -> bool:
        path = self._locks.get(name)
        if path is None:
            path = self._locks[name] = str(self._lock(name))
        return is_held(path)

    def holder(self, name: str) -> Handle | None:
        found = holder_of(self._lock(name))
        return Handle(backend="local", pid=found.pid, start_time=found.start_time) if found else None

    def failure(self, name: str) -> tuple[float, Reason, str] | None:
        record = read_failure(self._layout.router_failure if name == ROUTER else self._layout.agent(name).failure)
        if not record:
            return None
        ts = record.get("ts")
        reason = as_reason(record.get("reason")) or "crashed_before_ready"
        return float(ts) if isinstance(ts, int | float) else 0.0, reason, str(record.get("error", ""))

    def signature(self, name: str) -> str:
        layout = self._layout
        if name == ROUTER:
            return _signature((layout.fleet_json, layout.routes_json))
        agent = layout.agent(name)
        logins = (agent.claude_config / ".credentials.json", Path.home() / ".claude" / ".credentials.json")
        return _signature((layout.fleet_json, agent.config, agent.persona, *logins, *_credential_files(agent.launch)))

    def has_space(self) -> bool:
        return shutil.disk_usage(self._layout.root).free >= _SPACE_BYTES

    def free_mb(self) -> int:
        return free_memory_mb()

    def limits(self) -> Limits:
        stamp = _stamp(self._layout.fleet_json)
        if self._limits[0] != stamp:
            limits = self._limits[1]
            try:
                limits = self._read_limits()
            except ConfigError:
                pass
            self._limits = (stamp, limits)
        return self._limits[1]

    def ask(self, names: Sequence[str], *, timeout_s: float) -> Mapping[str, str | None]:
        paths = {name: self._sockets.control(name) for name in names}
        answers = ask_all(paths, {"op": "status"}, timeout_s=timeout_s)
        return {name: _state_of(name, answer) for name, answer in answers.items()}

    def ask_to_stop(self, names: Sequence[str]) -> None:
        ask_all({name: self._sockets.control(name) for name in names}, {"op": "stop"}, timeout_s=2.0)

    def session_id(self, name: str) -> str | None:
        try:
            return str(json.loads(self._layout.agent(name).session.read_bytes())["session_id"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def launch(self, name: str) -> Handle:
        return self._launch(name)

    def record_failure(self, name: str, error: Exception) -> None:
        self._record_failure(name, error)

    def load(self) -> Mapping[str, Past]:
        return read_memory(self._layout.supervisor_memory)

    def save(self, memory: Memory) -> None:
        write_memory(self._layout.supervisor_memory, memory)

    def _lock(self, name: str) -> Path:
        return self._layout.router_lock if name == ROUTER else self._layout.agent(name).runner_lock

    def _down_since(self) -> float | None:
        stamp = _stamp(self._supervisor_intent)
        if self._down[0] != stamp:
            self._down = (stamp, down_since(Path(self._supervisor_intent)))
        return self._down[1]


def _is_agent(name: str, folder: str) -> bool:
    return os.path.exists(f"{folder}/config.json") and fault_of_name(name) is None  # noqa: PTH110 - 200 a second


def _state_of(name: str, answer: Mapping[str, object] | None) -> str | None:
    if answer is None:
        return None
    return "running" if name == ROUTER else str(answer.get("state"))


def _stamp(path: Path | str) -> _Stamp:
    """Changes with every atomic write; None when there is no such file."""
    try:
        found = os.stat(path)  # noqa: PTH116 - 200 a second
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def _signature(paths: Sequence[Path]) -> str:
    return " ".join("-" if (stamp := _stamp(path)) is None else f"{stamp[0]}" for path in paths)


def _credential_files(launch: Path) -> list[Path]:
    """The files that an agent's credentials were last taken from."""
    try:
        lent = json.loads(launch.read_bytes())["agent"]["credentials"].values()
        return [Path(entry["from_file"]).expanduser() for entry in lent if entry.get("from_file")]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
