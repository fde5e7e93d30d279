"""The supervisor, joined."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from relayfleet.bootstrap.agents import scaffolder
from relayfleet.bootstrap.daemons import on_end, record_failure
from relayfleet.bootstrap.programs import launch_router, launch_runner, launch_supervisor
from relayfleet.errors import FleetError

if TYPE_CHECKING:
    from relayfleet.backends.local import LocalBackend
    from relayfleet.client.fleet_view import LocalFleetView
    from relayfleet.fleet.daemon_lifecycle import DaemonLifecycle
    from relayfleet.model.layout import FleetLayout
    from relayfleet.ports.daemon import Handle
    from relayfleet.ports.log import Log
    from relayfleet.supervisor.plan import Change


async def run_supervisor(
    layout: FleetLayout, *, tell: Callable[[Change], None] | None = None, on_up: Callable[[], None] | None = None
) -> None:
    """The supervisor, until it is told to stop; what it keeps runs on then. `on_up` is called when it begins, `tell`
    with every change. Raises LockHeld when there is one, FleetError when it cannot begin."""
    import asyncio

    from relayfleet.sources.clock import SystemClock
    from relayfleet.store.files import make_private_folder
    from relayfleet.store.intent import down_since, write_fleet_intent
    from relayfleet.store.lock import FileLock
    from relayfleet.store.log import open_log
    from relayfleet.store.sockets import make_sockets
    from relayfleet.supervisor.daemon import Supervisor
    from relayfleet.supervisor.requests import answer
    from relayfleet.wire.server import ControlServer

    make_private_folder(layout.state)
    lock = FileLock(layout.supervisor_lock)
    lock.acquire(wait_s=0.5)
    log = open_log(layout.supervisor_log)
    try:
        fleet_id = scaffolder(layout).ensure_id()
        backend, view = fleet_view(layout, fleet_id, log)
        supervisor = Supervisor(view=view, backend=backend, log=log, clock=SystemClock())
        if tell is not None:
            supervisor.tell = tell
        stop = asyncio.Event()
        control = ControlServer(
            make_sockets(fleet_id).control("supervisor"),
            answer=lambda request: answer(supervisor, stop, request),
        )
        on_end(stop.set)
        layout.supervisor_failure.unlink(missing_ok=True)
        write_fleet_intent(layout.supervisor_intent, "running", down=False)
        await control.open()
        try:
            if on_up is not None:
                on_up()
            await supervisor.run(stop)
        finally:
            control.close()
        if down_since(layout.supervisor_intent) is None:  # `fleet down` has said so already
            write_fleet_intent(layout.supervisor_intent, "stopped", down=False)
    except Exception as error:
        record_failure(layout.supervisor_failure, log, error)
        raise
    finally:
        log.close()
        lock.release()


def supervisor_lifecycle(layout: FleetLayout) -> DaemonLifecycle:
    """What starts and stops the supervisor as a daemon. To stop it leaves the agents and the router running."""
    from relayfleet.backends.local import LocalBackend
    from relayfleet.client.supervisor import observe_supervisor, stop_supervisor
    from relayfleet.fleet.daemon_lifecycle import DaemonLifecycle
    from relayfleet.store.intent import write_fleet_intent
    from relayfleet.store.sockets import make_sockets

    fleet_id = scaffolder(layout).ensure_id()
    make_sockets(fleet_id)
    backend = LocalBackend()
    return DaemonLifecycle(
        "supervisor",
        backend=backend,
        observe=lambda: observe_supervisor(layout, fleet_id),
        ask_to_stop=lambda: stop_supervisor(fleet_id),
        want=lambda wanted: write_fleet_intent(layout.supervisor_intent, wanted, down=False),
        launch=lambda: launch_supervisor(backend, layout),
        failure=layout.supervisor_failure,
    )


def fleet_view(layout: FleetLayout, fleet_id: str, log: Log) -> tuple[LocalBackend, LocalFleetView]:
    """The fleet as its supervisor looks at it, and what launches its daemons."""
    from relayfleet.backends.local import LocalBackend
    from relayfleet.client.fleet_view import LocalFleetView
    from relayfleet.config.load import load_agent, load_fleet
    from relayfleet.fleet.plan import fault_of_spec
    from relayfleet.model.supervision import ROUTER
    from relayfleet.store.agent_files import LocalAgentFiles

    backend, files = LocalBackend(fleet_id), LocalAgentFiles(layout)

    def launch(name: str) -> Handle:
        if name == ROUTER:
            layout.router_failure.unlink(missing_ok=True)
            return launch_router(backend, layout)
        spec = load_agent(layout, name)
        if fault := fault_of_spec(spec):
            raise FleetError(f"start {name!r}", fault[0], hint=fault[1], fault="bad_config")
        files.write_launch(spec)
        return launch_runner(backend, layout, name)

    def record(name: str, error: Exception) -> None:
        record_failure(layout.router_failure if name == ROUTER else layout.agent(name).failure, log, error)

    view = LocalFleetView(
        layout,
        fleet_id,
        read_limits=lambda: load_fleet(layout).limits,
        launch=launch,
        record_failure=record,
    )
    return backend, view
