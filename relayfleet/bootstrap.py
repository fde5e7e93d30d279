"""The one place that names concrete classes and joins them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relayfleet.errors import FleetError, StorageFailed
from relayfleet.store.files import write_atomic

if TYPE_CHECKING:
    import asyncio

    from relayfleet.fleet.doctor_router import RouterMemory
    from relayfleet.fleet.finding import Finding
    from relayfleet.fleet.lifecycle import Lifecycle
    from relayfleet.fleet.router_lifecycle import RouterLifecycle
    from relayfleet.fleet.scaffold import Scaffolder
    from relayfleet.model.fleet import FleetConfig, GithubAccount
    from relayfleet.model.layout import AgentLayout, FleetLayout
    from relayfleet.ports.log import Log
    from relayfleet.router.daemon import Router
    from relayfleet.sources.github.source import GitHubSource
    from relayfleet.store.router_db.quarantine import Quarantine
    from relayfleet.store.router_db.replay import Replayer


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
    import time

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
    return diagnose(
        layout, machine, sockets=sockets, plugins=plugin_folders(layout), router=router_memory(layout, time.time())
    )


def router_memory(layout: FleetLayout, now: float) -> RouterMemory | None:
    """What router.db says, None when there is none."""
    import contextlib

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
        log.close()
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
    from relayfleet.store.upkeep import FileUpkeep
    from relayfleet.store.writings import FileWritings
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
        upkeep=FileUpkeep(agent.inbox, agent.receipts),
        harness=harness,
        terminals=terminals(),
        tree=LocalProcessTree(),
        session_file=JsonSessionFile(agent.session),
        bodies=FileBodies(agent.bodies),
        screen=SessionLog(agent.session_log),
        writings=FileWritings(agent.authored),
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

    from relayfleet.client.wake import wake
    from relayfleet.config.load import load_fleet
    from relayfleet.router.daemon import Router
    from relayfleet.sources.clock import SystemClock
    from relayfleet.store.authorship import FileAuthorship
    from relayfleet.store.gate_file import RoutesJson
    from relayfleet.store.lock import FileLock
    from relayfleet.store.log import open_log
    from relayfleet.store.router_db.cursor import SqliteCursor
    from relayfleet.store.sockets import make_sockets
    from relayfleet.transports.file import FileTransport
    from relayfleet.wire.server import ControlServer

    lock = FileLock(layout.router_lock)
    lock.acquire(wait_s=2.0)
    log = open_log(layout.router_log)
    try:
        fleet = load_fleet(layout)
        sockets = make_sockets(fleet.id or scaffolder(layout).ensure_id())
        cursor = SqliteCursor(layout.router_db)
        router = Router(
            gate_file=RoutesJson(layout),
            accounts=fleet.github_accounts,
            connect=lambda account: github_source(fleet.github_command, account),
            cursor=cursor,
            transport=FileTransport(layout, lambda agent: wake(sockets.wake(agent))),
            authorship=FileAuthorship(layout),
            log=log,
            clock=SystemClock(),
            rng=random.Random(),  # noqa: S311 - jitter
        )
        stop = asyncio.Event()
        control = ControlServer(sockets.control("router"), answer=lambda request: _answer(router, stop, request))
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
        log.close()
        lock.release()


async def _answer(router: Router, stop: asyncio.Event, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the router says to a request on its control socket."""
    from relayfleet.wire.control import refusal

    if stop.is_set():
        return refusal("the router is stopping")
    try:
        match request.get("op"):
            case "status":
                status = dataclasses.asdict(router.status())
                # `state` is what is observed of the process; this is what the process says of its looking.
                return {"ok": True, "polling": status.pop("state"), **status}
            case "stop":
                stop.set()
            case "reload":
                await router.reload()
            case "deliver":
                router.wake_deliveries()
            case "forget_breakers":
                router.forget_breakers()
            case other:
                return refusal(f"cannot do {other!r}: the router knows status, stop, reload, deliver, forget_breakers")
    except FleetError as error:
        return refusal(str(error), error.hint)
    return {"ok": True}


def github_source(command: tuple[str, ...], account: GithubAccount) -> GitHubSource:
    """GitHub through `gh`, which gets the operator's environment, and the account's token when it has one."""
    import time

    from relayfleet.harness.claude import operator_environment
    from relayfleet.harness.credentials import fetch
    from relayfleet.ports.github import Gh
    from relayfleet.sources.github.gh import GhProgram
    from relayfleet.sources.github.source import GitHubSource
    from relayfleet.sources.github.token import TokenGh

    # Without it `gh` may take another host for its own, when it is logged in there.
    operator = {**operator_environment(), "GH_HOST": account.host}
    token = account.token
    gh: Gh = GhProgram(command, operator)
    if token is not None:
        doing = f"get the token of GitHub account {account.name!r}"
        gh = TokenGh(command, operator, host=account.host, fetch=lambda: fetch(doing, token, operator))
    return GitHubSource(gh, time.time, host=account.host)


def github_source_of(fleet: FleetConfig, url: str) -> GitHubSource:
    """GitHub by the account that the repository of an item's URL is for."""
    from relayfleet.model.fleet import account_for

    _, _, host, owner, *_ = [*url.split("/"), "", "", "", ""]
    account = account_for(fleet.github_accounts, host=host.lower(), owner=owner)
    return github_source(fleet.github_command, account)


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


def quarantine(layout: FleetLayout) -> Quarantine:
    """What trust holds back. Raises FleetError."""
    import time

    from relayfleet.config.load import agent_names
    from relayfleet.model.entry import new_entry_id
    from relayfleet.router.release import released
    from relayfleet.store.router_db.quarantine import Quarantine

    return Quarantine(
        layout.router_db,
        released=lambda held: released(held, new_id=new_entry_id, now=time.time()),
        agents=agent_names(layout),
        now=time.time,
    )


def replayer(layout: FleetLayout) -> Replayer:
    """What makes deliveries once more. Raises FleetError."""
    import time

    from relayfleet.config.load import agent_names
    from relayfleet.model.entry import new_entry_id
    from relayfleet.router.replay import replayed
    from relayfleet.store.router_db.replay import Replayer

    return Replayer(
        layout.router_db,
        replayed=lambda owed, number: replayed(owed, number, entry_id=new_entry_id(), now=time.time()),
        agents=agent_names(layout),
        now=time.time,
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

    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    known = isinstance(error, FleetError)
    words = str(error) if known else f"{type(error).__name__}: {error} (this is a bug)"
    hint = error.hint if isinstance(error, FleetError) else "the trace is in the log"
    log.error("daemon.gave_up", words, trace=None if known else error, hint=hint)
    record = {"version": 1, "ts": time.time(), "error": words, "hint": hint}
    # On a full disk the reason is in the exit and in the log, where there is one; it must not be lost to this.
    with contextlib.suppress(StorageFailed):
        write_atomic(path, json.dumps(record).encode() + b"\n")
