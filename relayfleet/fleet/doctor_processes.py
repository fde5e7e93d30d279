"""Processes that sessions spawned: whose runner is gone, and what keeps the others together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from relayfleet.fleet.finding import Finding, ok, warning
from relayfleet.model.layout import FleetLayout
from relayfleet.ports.machine import Machine, SessionProcess


@dataclass(frozen=True, slots=True, kw_only=True)
class Spawned:
    """What the process table says of this fleet's sessions. `ownership`: see `ports.ProcessTable`."""

    processes: Sequence[SessionProcess]
    ownership: str


def check_processes(layout: FleetLayout, machine: Machine, spawned: Spawned) -> Iterable[Finding]:
    strays: dict[str, list[SessionProcess]] = {}
    for process in spawned.processes:
        if machine.lock_holder(layout.agent(process.agent).runner_lock) is None:
            strays.setdefault(process.agent, []).append(process)
    for agent, left in sorted(strays.items()):
        shown = ", ".join(f"{process.pid} ({process.command})" for process in left[:3])
        more = f" and {len(left) - 3} more" if len(left) > 3 else ""
        yield warning(
            agent,
            f"its runner is gone, and processes of its session are left: {shown}{more}",
            f"`fleet doctor --fix` ends them, so does `fleet start {agent}`",
        )
    if not strays:
        yield ok("processes", f"no strays; what sessions spawn is kept together by {spawned.ownership}")
