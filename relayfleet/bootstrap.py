"""The one place that names concrete classes and joins them."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relayfleet.errors import FleetError
from relayfleet.store.files import write_atomic

if TYPE_CHECKING:
    from relayfleet.fleet.finding import Finding
    from relayfleet.fleet.lifecycle import Lifecycle
    from relayfleet.fleet.router_lifecycle import RouterLifecycle
    from relayfleet.fleet.scaffold import Scaffolder
    from relayfleet.model.layout import AgentLayout, FleetLayout
    from relayfleet.ports.log import Log
    from relayfleet.sources.github.source import GitHubSource


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
    from relayfleet.backends.processes import hide_from_other_processes
    from relayfleet.store.lock import FileLock
    from relayfleet.store.log import open_log

    hide_from_other_processes()
    agent = layout.agent(name)
    lock = FileLock(agent.runner_lock)
    lock.acquire(wait_s=2.0)
    log = open_log(agent.runner_log)
    try:
        await _run_agent(layout, agent, log)
    except ImportError as error:
        missing = FleetError(
            f"run agent {name!r}", str(error), hint='install what a runner needs: pip install "relayfleet[runner]"'
        )
        _record_failure(agent.failure, log, missing)
        raise missing from error
    except Exception as error:
        _record_failure(agent.failure, log, error)
        raise
    finally:
        lock.release()


async def _run_agent(layout: FleetLayout, agent: AgentLayout, log: Log) -> None:
    import os
    import time

    from relayfleet.backends.processes import LocalProcessTree
    from relayfleet.harness.claude import ClaudeHarness, operator_environment
    from relayfleet.harness.screen import SessionLog
    from relayfleet.harness.terminal import terminals
    from relayfleet.plughost.host import PluginHost
    from relayfleet.ports.session import Wiring
    from relayfleet.runner.daemon import Runner
    from relayfleet.runner.hooks import HookListener
    from relayfleet.runner.shim_link import ShimLink
    from relayfleet.store.bodies import FileBodies
    from relayfleet.store.file_watch import FileWatch
    from relayfleet.store.inbox import FileInbox
    from relayfleet.store.receipts import FileReceipts
    from relayfleet.store.session import JsonSessionFile
    from relayfleet.store.sockets import make_sockets
    from relayfleet.wire.launch import decode_launch
    from relayfleet.wire.server import ControlServer, WakeSocket

    spec = decode_launch(agent.launch.read_bytes())
    sockets = make_sockets(spec.fleet_id)
    wiring = Wiring(
        hook_url=f"http://127.0.0.1:{spec.port}/hooks",
        hook_token=os.urandom(32).hex(),
        shim_socket=sockets.control(agent.name),
        shim_token=os.urandom(32).hex(),
    )
    harness = ClaudeHarness(spec, agent, root=layout.root, operator=operator_environment(), fleet_bin=fleet_bin())
    tools = PluginHost(
        spec, agent, folders=plugin_folders(layout), inbox=FileInbox(agent.inbox), log=log, now=time.time
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
        sockets.control(agent.name), answer=runner.on_request, shim_token=wiring.shim_token, on_shim=link.serve
    )
    wake = WakeSocket(sockets.wake(agent.name), runner.on_wake)
    agent.inbox.touch(mode=0o600)
    appended = FileWatch(agent.inbox, runner.on_wake)
    _on_end(runner.stop)
    await control.open()
    wake.open()
    appended.open()
    try:
        await hooks.open()
        await tools.load()
        log.info("runner.up")
        harness.prepare(wiring)
        await runner.run()
    finally:
        await tools.close()
        hooks.close()
        appended.close()
        wake.close()
        control.close()


async def run_router(layout: FleetLayout) -> None:
    """The router, until it is told to stop. Raises FleetError when it cannot begin."""
    import asyncio
    import random
    import time

    from relayfleet.client.wake import wake
    from relayfleet.config.load import load_fleet, load_gate
    from relayfleet.router.daemon import Router
    from relayfleet.sources.clock import SystemClock
    from relayfleet.store.cursor import SqliteCursor
    from relayfleet.store.lock import FileLock
    from relayfleet.store.log import open_log
    from relayfleet.store.sockets import make_sockets
    from relayfleet.transports.file import FileTransport
    from relayfleet.wire.control import refusal
    from relayfleet.wire.server import ControlServer

    lock = FileLock(layout.router_lock)
    lock.acquire(wait_s=2.0)
    log = open_log(layout.router_log)
    try:
        fleet, gate = load_fleet(layout), load_gate(layout)
        sockets = make_sockets(fleet.id or scaffolder(layout).ensure_id())
        cursor = SqliteCursor(layout.router_db)
        router = Router(
            gate=gate,
            source=github_source(fleet.github_command, time.time),
            cursor=cursor,
            transport=FileTransport(layout, lambda agent: wake(sockets.wake(agent))),
            log=log,
            clock=SystemClock(),
            rng=random.Random(),  # noqa: S311 - jitter
        )
        stop = asyncio.Event()

        async def answer(request: Mapping[str, Any]) -> Mapping[str, Any]:
            if stop.is_set():
                return refusal("the router is stopping")
            if request.get("op") == "status":
                status = dataclasses.asdict(router.status(time.time()))
                # `state` is what is observed of the process; this is what the process says of its polling.
                status["polling"] = status.pop("state")
                held = [dataclasses.asdict(item) for item in cursor.held()]
                return {"ok": True, **status, "held_items": held}
            if request.get("op") == "stop":
                stop.set()
                return {"ok": True}
            return refusal(f"cannot do {request.get('op')!r}: the router knows status and stop")

        control = ControlServer(sockets.control("router"), answer=answer)
        _on_end(stop.set)
        await control.open()
        try:
            await router.run(stop)
        finally:
            control.close()
            cursor.close()
    except Exception as error:
        _record_failure(layout.router_failure, log, error)
        raise
    finally:
        lock.release()


def github_source(command: tuple[str, ...], now: Callable[[], float]) -> GitHubSource:
    """GitHub through `gh`, which gets the operator's environment."""
    from relayfleet.harness.claude import operator_environment
    from relayfleet.sources.github.gh import GhProgram
    from relayfleet.sources.github.source import GitHubSource

    return GitHubSource(GhProgram(command, operator_environment()), now)


def router_lifecycle(layout: FleetLayout) -> RouterLifecycle:
    """What starts and stops the router."""
    from relayfleet.backends.local import LocalBackend
    from relayfleet.client.control import ask_all
    from relayfleet.client.router import observe_router
    from relayfleet.fleet.router_lifecycle import RouterLifecycle
    from relayfleet.store.intent import write_intent
    from relayfleet.store.sockets import make_sockets

    fleet_id = scaffolder(layout).ensure_id()
    control = make_sockets(fleet_id).control("router")

    def ask_to_stop() -> None:
        ask_all({"router": control}, {"op": "stop"}, timeout_s=2.0)

    return RouterLifecycle(
        layout,
        backend=LocalBackend(),
        observe=lambda: observe_router(layout, fleet_id),
        ask_to_stop=ask_to_stop,
        want=lambda wanted: write_intent(layout.router_intent, wanted),
        argv=daemon_argv(layout, "router"),
    )


def _on_end(stop: Callable[[], None]) -> None:
    """Every signal that asks a daemon to end makes it end in order."""
    import asyncio
    import signal

    loop = asyncio.get_running_loop()
    if sys.platform != "win32":
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, stop)


def _record_failure(path: Path, log: Log, error: Exception) -> None:
    """What `fleet start` and `fleet status` tell of a daemon that gave up."""
    import time

    known = isinstance(error, FleetError)
    words = str(error) if known else f"{type(error).__name__}: {error} (this is a bug)"
    hint = error.hint if isinstance(error, FleetError) else "the trace is in the log"
    log.error("daemon.gave_up", words, trace=None if known else error, hint=hint)
    record = {"version": 1, "ts": time.time(), "error": words, "hint": hint}
    write_atomic(path, json.dumps(record).encode() + b"\n")
