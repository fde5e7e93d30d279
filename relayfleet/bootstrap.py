"""The one place that names concrete classes and joins them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from relayfleet.errors import FleetError
from relayfleet.store.files import write_atomic

if TYPE_CHECKING:
    from relayfleet.fleet.finding import Finding
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


def examine(layout: FleetLayout) -> tuple[Finding, ...]:
    """What `fleet doctor` finds on this machine."""
    import os

    from relayfleet.config.load import load_fleet
    from relayfleet.errors import ConfigError
    from relayfleet.fleet.doctor import diagnose
    from relayfleet.fleet.port import is_port_free
    from relayfleet.store.machine import LocalMachine
    from relayfleet.store.sockets import sockets_of

    try:
        fleet_id = load_fleet(layout).id
    except ConfigError:
        fleet_id = None
    machine = LocalMachine(environ=os.environ, port_free=is_port_free)
    sockets = sockets_of(fleet_id).folder if fleet_id else None
    return diagnose(layout, machine, sockets=sockets, plugins=plugin_folders(layout))


def lifecycle(layout: FleetLayout) -> Lifecycle:
    """What starts and stops the agents of the fleet. Raises ConfigError."""
    from relayfleet.backends.local import LocalBackend
    from relayfleet.client.observer import FleetObserver
    from relayfleet.config.roster import read_roster
    from relayfleet.fleet.lifecycle import Lifecycle
    from relayfleet.store.agent_files import LocalAgentFiles
    from relayfleet.store.sockets import make_sockets

    fleet_id = scaffolder(layout).ensure_id()
    make_sockets(fleet_id)
    return Lifecycle(
        layout,
        observer=FleetObserver(layout, fleet_id, read_roster(layout).members),
        backend=LocalBackend(),
        files=LocalAgentFiles(layout),
        argv_of=lambda name: daemon_argv(layout, "agent", name),
    )


def daemon_argv(layout: FleetLayout, *words: str) -> list[str]:
    """The command line of a daemon: this interpreter, this program, this fleet."""
    return [sys.executable, "-m", "relayfleet", "run", *words, "--root", str(layout.root)]


def fleet_bin() -> Path:
    """The folder of the `fleet` command that belongs to this program."""
    from relayfleet.store.root import CHECKOUT

    beside = Path(sys.executable).with_name("fleet")
    return beside.parent if beside.exists() else CHECKOUT / "bin"


def plugin_folders(layout: FleetLayout) -> tuple[Path, ...]:
    """The root's plugins, then those shipped (inside the package, or in the checkout)."""
    from relayfleet.store.root import CHECKOUT

    package = Path(__file__).parent / "plugins"
    shipped = package if package.is_dir() else CHECKOUT / "plugins"
    return (layout.plugins, shipped)


async def run_agent(layout: FleetLayout, name: str) -> None:
    """The runner of one agent, until it is told to stop. Raises FleetError when its session cannot be brought up."""
    import asyncio
    import secrets
    import signal
    import time

    from relayfleet.backends.processes import LocalProcessTree, hide_from_other_processes
    from relayfleet.harness.claude import ClaudeHarness, operator_environment
    from relayfleet.harness.screen import SessionLog
    from relayfleet.harness.terminal import terminals
    from relayfleet.plughost.host import PluginHost
    from relayfleet.ports import Wiring
    from relayfleet.runner.control import ControlServer, WakeSocket
    from relayfleet.runner.daemon import Runner
    from relayfleet.runner.hooks import HookListener
    from relayfleet.runner.shim_link import ShimLink
    from relayfleet.store.bodies import FileBodies
    from relayfleet.store.inbox import FileInbox
    from relayfleet.store.lock import FileLock
    from relayfleet.store.log import open_log
    from relayfleet.store.receipts import FileReceipts
    from relayfleet.store.session import JsonSessionFile
    from relayfleet.store.sockets import make_sockets
    from relayfleet.wire.launch import decode_launch

    hide_from_other_processes()
    agent = layout.agent(name)
    lock = FileLock(agent.runner_lock)
    lock.acquire(wait_s=2.0)
    log = open_log(agent.runner_log)
    try:
        spec = decode_launch(agent.launch.read_bytes())
        sockets = make_sockets(spec.fleet_id)
        wiring = Wiring(
            hook_url=f"http://127.0.0.1:{spec.port}/hooks",
            hook_token=secrets.token_urlsafe(32),
            shim_socket=sockets.control(name),
            shim_token=secrets.token_urlsafe(32),
        )
        harness = ClaudeHarness(spec, agent, root=layout.root, operator=operator_environment(), fleet_bin=fleet_bin())
        tools = PluginHost(
            spec,
            agent,
            folders=plugin_folders(layout),
            inbox=FileInbox(agent.inbox),
            log=log,
            now=time.time,
        )
        runner = Runner(
            spec=spec,
            inbox=FileInbox(agent.inbox),
            receipts=FileReceipts(agent.receipts),
            harness=harness,
            terminals=terminals(),
            tree=LocalProcessTree(),
            session_file=JsonSessionFile(agent.session),
            bodies=FileBodies(agent.bodies),
            screen=SessionLog(agent.session_log),
            log=log,
            clock=time.time,
        )
        link = ShimLink(tools=tools, log=log, on_link=runner.on_link, on_offered=runner.on_offered)
        runner.join(link)
        hooks = HookListener(port=spec.port, token=wiring.hook_token, on_hook=runner.on_hook)
        control = ControlServer(
            sockets.control(name), answer=runner.on_request, shim_token=wiring.shim_token, on_shim=link.serve
        )
        wake = WakeSocket(sockets.wake(name), runner.on_wake)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, runner.stop)
        await control.open()
        wake.open()
        try:
            await hooks.open()
            await tools.load()
            harness.prepare(wiring)
            await runner.run()
        finally:
            await tools.close()
            hooks.close()
            wake.close()
            control.close()
    except FleetError as error:
        log.error("runner.gave_up", str(error), hint=error.hint)
        record = {"version": 1, "ts": time.time(), "error": str(error), "hint": error.hint}
        write_atomic(agent.failure, json.dumps(record).encode() + b"\n")
        raise
    except Exception as error:
        log.error("runner.bug", f"{type(error).__name__}: {error}", trace=error)
        raise
    finally:
        lock.release()
