"""Implements `ports.Observer` for one fleet."""

from __future__ import annotations

from collections.abc import Sequence

from relayfleet.client.control import ask_all
from relayfleet.client.observe import observe
from relayfleet.config.roster import Member
from relayfleet.model.layout import FleetLayout
from relayfleet.model.status import AgentStatus
from relayfleet.ports.daemon import Handle
from relayfleet.store.lock import holder_of, is_held
from relayfleet.store.sockets import sockets_of


class FleetObserver:
    def __init__(self, layout: FleetLayout, fleet_id: str, members: Sequence[Member]) -> None:
        self._layout = layout
        self._fleet_id = fleet_id
        self._members = {m.name: m for m in members}

    def observe(self, names: Sequence[str], *, timeout_s: float = 2.0) -> list[AgentStatus]:
        by_name = {str(name): member for name, member in self._members.items()}
        return observe(self._layout, self._fleet_id, [by_name[name] for name in names], timeout_s=timeout_s)

    def ask_to_stop(self, names: Sequence[str]) -> None:
        sockets = sockets_of(self._fleet_id)
        ask_all({name: sockets.control(name) for name in names}, {"op": "stop"}, timeout_s=2.0)

    def holder(self, name: str) -> Handle | None:
        found = holder_of(self._layout.agent(name).runner_lock)
        return Handle(backend="local", pid=found.pid, start_time=found.start_time) if found else None

    def alive(self) -> int:
        return sum(is_held(str(self._layout.agent(name).runner_lock)) for name in self._members)
