"""`fleet doctor`: looks at everything, changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from relayfleet.config.load import inspect_all
from relayfleet.fleet.doctor_accounts import check_accounts
from relayfleet.fleet.doctor_config import check_config, check_gate, check_tokens
from relayfleet.fleet.doctor_files import check_disk, check_leftovers, check_modes, check_sockets
from relayfleet.fleet.doctor_processes import Spawned, check_processes
from relayfleet.fleet.doctor_programs import check_claude, check_gh, check_proxies, check_python
from relayfleet.fleet.doctor_router import RouterMemory, check_router
from relayfleet.fleet.doctor_sessions import check_plugins, check_ports, check_sessions, check_wanted
from relayfleet.fleet.finding import Finding
from relayfleet.model.layout import FleetLayout
from relayfleet.ports.machine import Machine


def diagnose(
    layout: FleetLayout,
    machine: Machine,
    *,
    sockets: Path | None,
    plugins: Sequence[Path],
    router: RouterMemory | None = None,
    spawned: Spawned | None = None,
) -> tuple[Finding, ...]:
    """Every finding, in the order in which one would mend them.

    `sockets` is the fleet's folder of sockets, `plugins` are the folders that plugins are looked for in, `router` is
    what router.db says, None when there is none, `spawned` what the table of processes says of the fleet's sessions.
    """
    found = inspect_all(layout)
    agents = found.agents
    return (
        *check_python(machine),
        *check_claude(agents, machine),
        *check_gh(found.fleet, found.gate, machine),
        *check_accounts(found.fleet, found.gate, machine),
        *check_proxies(machine.environ),
        *check_config(found),
        *check_gate(layout, found.gate),
        *check_tokens(layout),
        *check_ports(layout, agents, machine),
        *check_plugins(agents, plugins),
        *check_sessions(layout, agents, machine),
        *check_wanted(layout, agents, machine),
        *(check_processes(layout, machine, spawned) if spawned is not None else ()),
        *check_router(router, found.gate),
        *check_modes(layout),
        *check_leftovers(layout),
        *check_sockets(layout, sockets, machine),
        *check_disk(layout, machine),
    )
