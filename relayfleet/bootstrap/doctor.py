"""What `fleet doctor` looks with, and mends with."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from relayfleet.bootstrap.programs import plugin_folders
from relayfleet.errors import FleetError, StorageFailed

if TYPE_CHECKING:
    from relayfleet.fleet.doctor_router import RouterMemory
    from relayfleet.fleet.finding import Finding
    from relayfleet.fleet.mend import Mender
    from relayfleet.model.layout import FleetLayout
    from relayfleet.model.names import AgentName, SessionId


def examine(layout: FleetLayout) -> tuple[Finding, ...]:
    """What `fleet doctor` finds on this machine."""
    import os
    import time

    from relayfleet.backends.process_table import LocalProcessTable
    from relayfleet.fleet.doctor import diagnose
    from relayfleet.fleet.doctor_processes import Spawned
    from relayfleet.fleet.port import is_port_free
    from relayfleet.store.machine import LocalMachine
    from relayfleet.store.sockets import sockets_of

    fleet_id = _fleet_id(layout)
    machine = LocalMachine(environ=os.environ, port_free=is_port_free)
    sockets = sockets_of(fleet_id).folder if fleet_id else None
    table = LocalProcessTable()
    processes = table.of_sessions(fleet_id, sessions_of(layout)) if fleet_id else ()
    return diagnose(
        layout,
        machine,
        sockets=sockets,
        plugins=plugin_folders(layout),
        router=router_memory(layout, time.time()),
        spawned=Spawned(processes=processes, ownership=table.ownership()),
    )


def mender(layout: FleetLayout) -> Mender:
    """What `fleet doctor --fix` mends with."""
    from collections.abc import Iterator

    from relayfleet.backends.process_table import LocalProcessTable
    from relayfleet.fleet.mend import Mender
    from relayfleet.store.disk import LocalDisk
    from relayfleet.store.lock import FileLock
    from relayfleet.store.sockets import sockets_of

    @contextlib.contextmanager
    def taken(path: Path) -> Iterator[None]:
        lock = FileLock(path)
        lock.acquire()
        try:
            yield
        finally:
            lock.release()

    fleet_id = _fleet_id(layout)
    return Mender(
        layout=layout,
        fleet_id=fleet_id,
        sessions=sessions_of(layout),
        sockets=sockets_of(fleet_id).folder if fleet_id else None,
        table=LocalProcessTable(),
        disk=LocalDisk(),
        lock=taken,
    )


def _fleet_id(layout: FleetLayout) -> str | None:
    """None as long as the fleet's configuration cannot be read, or gives it none."""
    from relayfleet.config.load import load_fleet
    from relayfleet.errors import ConfigError

    try:
        return load_fleet(layout).id
    except ConfigError:
        return None


def sessions_of(layout: FleetLayout) -> dict[SessionId, AgentName]:
    """The sessions of every agent, former ones included."""
    from relayfleet.store.session import JsonSessionFile

    found: dict[SessionId, AgentName] = {}
    for path in layout.agents.glob("*/state/session.json"):
        with contextlib.suppress(StorageFailed):
            conversation = JsonSessionFile(path).load()
            if conversation is not None:
                ids = [conversation.session_id, *(former.session_id for former in conversation.former)]
                found |= dict.fromkeys(ids, layout.agent(path.parents[1].name).name)
    return found


def router_memory(layout: FleetLayout, now: float) -> RouterMemory | None:
    """What router.db says, None when there is none."""
    from relayfleet.fleet.doctor_router import RouterMemory
    from relayfleet.store.router_db.database import Database
    from relayfleet.store.router_db.summary import summary_of

    if not layout.router_db.exists():
        return None
    try:
        with contextlib.closing(Database(layout.router_db)) as database:
            known = summary_of(database)
    except FleetError as error:
        return RouterMemory(fault=error.reason, hint=error.hint)
    return RouterMemory(
        bytes=known.bytes,
        held=known.rows["held"],
        held_s=max(0.0, now - known.oldest_held_at) if known.oldest_held_at is not None else 0.0,
        breakers=known.open_breakers,
    )
