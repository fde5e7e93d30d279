"""What creates the agents of a fleet, and starts and stops them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from relayfleet.bootstrap.programs import launch_runner

if TYPE_CHECKING:
    from relayfleet.fleet.lifecycle import Lifecycle
    from relayfleet.fleet.scaffold import Scaffolder
    from relayfleet.model.layout import FleetLayout


def scaffolder(layout: FleetLayout) -> Scaffolder:
    """What creates and changes the files of the fleet."""
    from relayfleet.fleet.port import is_port_free
    from relayfleet.fleet.scaffold import Scaffolder
    from relayfleet.store.disk import LocalDisk
    from relayfleet.store.lock import FileLock, holder_of

    def holder(path: Path) -> int | None:
        found = holder_of(path)
        return found.pid if found else None

    return Scaffolder(
        layout=layout,
        disk=LocalDisk(),
        lock=lambda: FileLock(layout.config_lock),
        port_free=is_port_free,
        holder=holder,
    )


def lifecycle(layout: FleetLayout) -> Lifecycle:
    """What starts and stops the agents of the fleet. Raises ConfigError."""
    from relayfleet.backends.local import LocalBackend
    from relayfleet.client.observer import FleetObserver
    from relayfleet.client.supervisor import call_supervisor
    from relayfleet.config.load import load_fleet
    from relayfleet.config.roster import read_roster
    from relayfleet.fleet.lifecycle import Lifecycle
    from relayfleet.store.agent_files import LocalAgentFiles
    from relayfleet.store.machine import free_memory_mb
    from relayfleet.store.sockets import make_sockets

    fleet_id = scaffolder(layout).ensure_id()
    make_sockets(fleet_id)
    backend = LocalBackend(fleet_id)
    return Lifecycle(
        observer=FleetObserver(layout, fleet_id, read_roster(layout).members),
        backend=backend,
        files=LocalAgentFiles(layout),
        launch=lambda name: launch_runner(backend, layout, name),
        limits=load_fleet(layout).limits,
        free_mb=free_memory_mb,
        call=lambda: call_supervisor(layout, fleet_id),
    )
