"""The one place that names concrete classes and joins them."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relayfleet.errors import FleetError, StorageFailed

if TYPE_CHECKING:
    import asyncio

    from relayfleet.backends.local import LocalBackend
    from relayfleet.backends.notify import CommandNotifier
    from relayfleet.client.fleet_view import LocalFleetView
    from relayfleet.fleet.daemon_lifecycle import DaemonLifecycle
    from relayfleet.fleet.doctor_router import RouterMemory
    from relayfleet.fleet.finding import Finding
    from relayfleet.fleet.lifecycle import Lifecycle
    from relayfleet.fleet.mend import Mender
    from relayfleet.fleet.scaffold import Scaffolder
    from relayfleet.fleet.service import ServiceControl
    from relayfleet.model.fault import Reason
    from relayfleet.model.fleet import FleetConfig, GithubAccount
    from relayfleet.model.layout import AgentLayout, FleetLayout
    from relayfleet.model.names import AgentName, SessionId
    from relayfleet.model.notice import Notify
    from relayfleet.ports.daemon import Handle
    from relayfleet.ports.log import Log
    from relayfleet.ports.service import ServiceManager
    from relayfleet.router.daemon import Router
    from relayfleet.sources.github.source import GitHubSource
    from relayfleet.store.lock import FileLock
    from relayfleet.store.router_db.quarantine import Quarantine
    from relayfleet.store.router_db.replay import Replayer
    from relayfleet.supervisor.daemon import Supervisor
    from relayfleet.supervisor.plan import Change

# A command of the user's that takes longer goes on without the daemon that began it.
_TELL_WITHIN_S = 5.0


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

    from relayfleet.backends.process_table import LocalProcessTable
    from relayfleet.config.load import load_fleet
    from relayfleet.errors import ConfigError
    from relayfleet.fleet.doctor import diagnose
    from relayfleet.fleet.doctor_processes import Spawned
    from relayfleet.fleet.port import is_port_free
    from relayfleet.store.machine import LocalMachine
    from relayfleet.store.sockets import sockets_of

    try:
        fleet_id = load_fleet(layout).id
    except ConfigError:
        fleet_id = None
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
    from relayfleet.config.load import load_fleet
    from relayfleet.errors import ConfigError
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

    try:
        fleet_id = load_fleet(layout).id
    except ConfigError:
        fleet_id = None
    return Mender(
        layout=layout,
        fleet_id=fleet_id,
        sessions=sessions_of(layout),
        sockets=sockets_of(fleet_id).folder if fleet_id else None,
        table=LocalProcessTable(),
        disk=LocalDisk(),
        lock=taken,
    )


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


def service_manager(layout: FleetLayout) -> ServiceManager:
    """The service manager of this machine. Raises FleetError when there is none that a service can be given to."""
    import getpass
    import os

    from relayfleet.fleet.port import is_port_free
    from relayfleet.store.disk import LocalDisk
    from relayfleet.store.machine import LocalMachine

    disk = LocalDisk()
    if sys.platform == "win32":
        from relayfleet.backends.task_scheduler import TaskScheduler

        machine = LocalMachine(environ=os.environ, port_free=is_port_free)
        user = f"{os.environ.get('USERDOMAIN', '.')}\\{getpass.getuser()}"
        return TaskScheduler(machine, disk, folder=layout.state, user=user)
    else:
        import pwd

        user_id = os.geteuid()
        account = pwd.getpwuid(user_id)
        home = Path(account.pw_dir)
        if sys.platform == "darwin":
            from relayfleet.backends.launchd import Launchd

            machine = LocalMachine(environ=os.environ, port_free=is_port_free)
            library = Path("/Library") if user_id == 0 else home / "Library"
            return Launchd(
                machine,
                disk,
                folder=library / ("LaunchDaemons" if user_id == 0 else "LaunchAgents"),
                logs=library / "Logs",
                domain="system" if user_id == 0 else f"gui/{user_id}",
            )
        from relayfleet.backends.systemd import SYSTEM_UNITS, Systemd

        if not Path("/run/systemd/system").is_dir():
            raise FleetError(
                "use a service of this machine",
                "systemd does not run on this machine",
                hint="have what starts your programs at boot run `fleet --root <folder> up -d` (cron: `@reboot`)",
            )
        # Not what the shell says: it may be another user's, or none, after `su` and in cron jobs.
        environ = {**os.environ, "XDG_RUNTIME_DIR": f"/run/user/{user_id}"}
        return Systemd(
            LocalMachine(environ=environ, port_free=is_port_free),
            disk,
            folder=SYSTEM_UNITS if user_id == 0 else home / ".config" / "systemd" / "user",
            user=account.pw_name,
            is_system=user_id == 0,
        )


def service_control(layout: FleetLayout) -> ServiceControl:
    """What installs the fleet's service. Raises FleetError."""
    import os

    from relayfleet.config.load import inspect_all
    from relayfleet.fleet.port import is_port_free
    from relayfleet.fleet.service import ServiceControl, programs_of, service_of, variables_of
    from relayfleet.store.machine import LocalMachine

    fleet_id = scaffolder(layout).ensure_id()
    found = inspect_all(layout)
    name = found.fleet.name if found.fleet is not None else layout.root.name
    program = fleet_bin() / ("fleet.exe" if sys.platform == "win32" else "fleet")
    return ServiceControl(
        service_manager(layout),
        service_of(fleet_id, name, layout.root, program=program, environ=os.environ),
        LocalMachine(environ=os.environ, port_free=is_port_free),
        supervisor_lock=layout.supervisor_lock,
        programs=programs_of(found),
        variables=variables_of(found),
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
    return Lifecycle(
        layout,
        observer=FleetObserver(layout, fleet_id, read_roster(layout).members),
        backend=LocalBackend(fleet_id),
        files=LocalAgentFiles(layout),
        argv_of=lambda name: agent_argv(layout, name),
        limits=load_fleet(layout).limits,
        free_mb=free_memory_mb,
        call=lambda: call_supervisor(layout, fleet_id),
    )


def agent_argv(layout: FleetLayout, name: str) -> list[str]:
    """The command line of a runner that gives way when it is not wanted any more, or somebody else was quicker."""
    return daemon_argv(layout, "agent", name, "--if-wanted")


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


async def run_agent(layout: FleetLayout, name: str, *, if_wanted: bool = False) -> None:
    """The runner of one agent, until it is told to stop. With `if_wanted` it ends at once, without a word, when the
    agent is not to run or has a runner. Raises FleetError when its session cannot be brought up."""
    from relayfleet.backends.processes import hide_from_other_processes
    from relayfleet.store.lock import FileLock
    from relayfleet.store.log import open_log

    hide_from_other_processes()
    agent = layout.agent(name)
    lock = FileLock(agent.runner_lock)
    if not _take(lock, layout, agent.intent, if_wanted=if_wanted):
        return
    log = open_log(agent.runner_log)
    try:
        await _run_agent(layout, agent, log)
    except ImportError as error:
        missing = FleetError(
            f"run agent {name!r}",
            str(error),
            hint='install what a runner needs: pip install "relayfleet[runner]"',
            fault="program_missing",
        )
        _record_failure(agent.failure, log, missing)
        _tell_of_death(layout, agent, log)
        raise missing from error
    except Exception as error:
        _record_failure(agent.failure, log, error)
        _tell_of_death(layout, agent, log)
        raise
    finally:
        log.close()
        lock.release()


def _notifier(notify: Notify | None, layout: FleetLayout, fleet: str, log: Log) -> CommandNotifier | None:
    """What runs the user's command; None for who has none."""
    if notify is None:
        return None
    from relayfleet.backends.notify import CommandNotifier
    from relayfleet.harness.claude import operator_environment

    return CommandNotifier(notify, fleet=fleet, root=layout.root, env=operator_environment(), log=log)


def _tell_of_death(layout: FleetLayout, agent: AgentLayout, log: Log) -> None:
    """A runner gave up, and why is on record."""
    import time

    from relayfleet.model.notice import Notice
    from relayfleet.store.failure import read_failure
    from relayfleet.wire.launch import decode_launch

    try:
        spec = decode_launch(agent.launch.read_bytes())
    except (OSError, ValueError, KeyError, TypeError):
        return  # whom to tell is not known either
    notifier = _notifier(spec.notify, layout, spec.fleet, log)
    if notifier is not None:
        failure = read_failure(agent.failure)
        more = {key: str(failure.get(key, "")) for key in ("reason", "hint")}
        detail = str(failure.get("error", ""))
        notifier.notify(Notice(event="agent_died", ts=time.time(), agent=agent.name, detail=detail, more=more))
        notifier.wait(_TELL_WITHIN_S)


# How often an idle session is looked at where every change of its registry is told of; and where it is not, because the
# first 120 agents or so use up the user's inotify instances: hooks and wake datagrams tell most of it even then.
_WATCHED_LOOK_S, _UNWATCHED_LOOK_S = 10.0, 8.0


async def _run_agent(layout: FleetLayout, agent: AgentLayout, log: Log) -> None:
    import os
    import time

    from relayfleet.backends.processes import session_tree
    from relayfleet.harness.claude import ClaudeHarness, operator_environment
    from relayfleet.harness.screen import SessionLog
    from relayfleet.harness.terminal import terminals
    from relayfleet.plughost.host import PluginHost
    from relayfleet.ports.notifier import NullNotifier
    from relayfleet.ports.session import Wiring
    from relayfleet.runner.daemon import Runner
    from relayfleet.runner.dead_letters import ToldReceipts
    from relayfleet.runner.hooks import HookListener
    from relayfleet.runner.shim_link import ShimLink
    from relayfleet.store.approvals import FileRulings, JsonRememberedRules
    from relayfleet.store.bodies import FileBodies
    from relayfleet.store.file_watch import FileWatch
    from relayfleet.store.files import make_private_folder
    from relayfleet.store.inbox import FileInbox
    from relayfleet.store.last_words import FileLastWords
    from relayfleet.store.receipts import FileReceipts
    from relayfleet.store.session import JsonSessionFile
    from relayfleet.store.sockets import make_sockets
    from relayfleet.store.upkeep import FileUpkeep
    from relayfleet.store.writings import FileWritings
    from relayfleet.wire.launch import decode_launch
    from relayfleet.wire.server import ControlServer, WakeSocket, with_token

    spec = decode_launch(agent.launch.read_bytes())
    sockets = make_sockets(spec.fleet_id)
    wiring = Wiring(
        hook_url=f"http://127.0.0.1:{spec.port}/hooks",
        hook_token=os.urandom(32).hex(),
        shim_socket=sockets.control(agent.name),
        shim_token=os.urandom(32).hex(),
    )
    notifier = _notifier(spec.notify, layout, spec.fleet, log) or NullNotifier()
    tree = session_tree(
        spec.fleet_id,
        agent.name,
        spare=lambda: {*other_daemons(layout), *notifier.pids},
    )
    harness = ClaudeHarness(spec, agent, root=layout.root, operator=operator_environment(), fleet_bin=fleet_bin())
    tools = PluginHost(
        spec, agent, folders=plugin_folders(layout), inbox=FileInbox(agent.inbox), log=log, now=time.time
    )
    headless = None
    if spec.session.mode == "headless":
        from relayfleet.harness.headless import HeadlessTerminals

        headless = HeadlessTerminals(tree.enter)
    runner = Runner(
        spec=spec,
        inbox=FileInbox(agent.inbox),
        receipts=ToldReceipts(FileReceipts(agent.receipts), notifier, agent=agent.name),
        upkeep=FileUpkeep(agent.inbox, agent.receipts),
        harness=harness,
        wiring=wiring,
        terminals=headless or terminals(tree.enter),
        tree=tree,
        session_file=JsonSessionFile(agent.session),
        bodies=FileBodies(agent.bodies),
        words=FileLastWords(agent.words),
        screen=SessionLog(agent.session_log),
        writings=FileWritings(agent.authored),
        rulings=FileRulings(agent.approvals),
        remembered=JsonRememberedRules(agent.permissions),
        notifier=notifier,
        log=log,
        clock=time.time,
    )
    link = ShimLink(
        tools=tools,
        log=log,
        on_link=runner.on_link,
        on_offered=runner.on_offered,
        on_permission=runner.on_permission,
    )
    if headless is None:
        runner.join(link)
    else:
        headless.on_said = runner.join_stream(headless.say)
    hooks = HookListener(port=spec.port, token=wiring.hook_token, on_hook=runner.on_hook)
    control = ControlServer(
        sockets.control(agent.name),
        answer=runner.on_request,
        lines={"shim": with_token(wiring.shim_token, link.serve), "attach": runner.viewers.serve},
    )
    wake = WakeSocket(sockets.wake(agent.name), runner.on_wake)
    agent.inbox.touch(mode=0o600)
    make_private_folder(harness.registry)
    changes = FileWatch(agent.inbox, runner.on_wake, folder=harness.registry)
    _on_end(runner.stop)
    await control.open()
    wake.open()
    runner.idle_look_s = _WATCHED_LOOK_S if changes.open() else _UNWATCHED_LOOK_S
    try:
        await hooks.open()
        await tools.load()
        log.info("runner.up")
        await runner.run()
    finally:
        await tools.close()
        hooks.close()
        changes.close()
        wake.close()
        control.close()
        tree.close()


def other_daemons(layout: FleetLayout) -> set[int]:
    """The fleet's daemons but for this process, by the locks that they hold. An orchestrator's session may have
    started them."""
    import os

    from relayfleet.store.lock import holder_of

    locks = [*layout.state.glob("*.lock"), *layout.agents.glob("*/state/runner.lock")]
    holders = [holder_of(lock) for lock in locks if lock != layout.config_lock]
    return {holder.pid for holder in holders if holder is not None} - {os.getpid()}


def _take(lock: FileLock, layout: FleetLayout, intent: Path, *, if_wanted: bool) -> bool:
    """Takes a daemon's lock; False when it is to give way. Raises LockHeld when it is not and somebody holds the lock.

    Whoever stops a daemon records that first and looks at the lock then; here the lock comes first. So one of the two
    sees the other.
    """
    from relayfleet.errors import LockHeld
    from relayfleet.store.intent import down_since, read_wish, rests

    try:
        lock.acquire(wait_s=2.0)
    except LockHeld:
        if if_wanted:
            return False
        raise
    if if_wanted:
        wish = read_wish(intent)
        if not wish.wanted or rests(wish, down_since(layout.supervisor_intent)):
            lock.release()
            return False
    return True


async def run_router(layout: FleetLayout, *, if_wanted: bool = False) -> None:
    """The router, until it is told to stop; `if_wanted` as for `run_agent`. Raises FleetError when it cannot begin."""
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
    from relayfleet.store.router_db.records import encode_line
    from relayfleet.store.sockets import make_sockets
    from relayfleet.transports.file import FileTransport
    from relayfleet.wire.server import ControlServer

    lock = FileLock(layout.router_lock)
    if not _take(lock, layout, layout.router_intent, if_wanted=if_wanted):
        return
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
            transport=FileTransport(layout, lambda agent: wake(sockets.wake(agent)), encode=encode_line),
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


def router_lifecycle(layout: FleetLayout) -> DaemonLifecycle:
    """What starts and stops the router."""
    from relayfleet.backends.local import LocalBackend
    from relayfleet.client.control import ask_all
    from relayfleet.client.router import observe_router
    from relayfleet.client.supervisor import call_supervisor
    from relayfleet.fleet.daemon_lifecycle import DaemonLifecycle
    from relayfleet.store.intent import write_intent
    from relayfleet.store.sockets import make_sockets

    fleet_id = scaffolder(layout).ensure_id()
    control = make_sockets(fleet_id).control("router")

    def ask_to_stop() -> None:
        ask_all({"router": control}, {"op": "stop"}, timeout_s=2.0)

    return DaemonLifecycle(
        "router",
        backend=LocalBackend(),
        observe=lambda: observe_router(layout, fleet_id),
        ask_to_stop=ask_to_stop,
        want=lambda wanted: write_intent(layout.router_intent, wanted),
        argv=daemon_argv(layout, "router", "--if-wanted"),
        folder=layout.root,
        failure=layout.router_failure,
        errors=layout.state / "router.err",
        call=lambda: call_supervisor(layout, fleet_id),
    )


def supervisor_lifecycle(layout: FleetLayout) -> DaemonLifecycle:
    """What starts and stops the supervisor as a daemon. To stop it leaves the agents and the router running."""
    from relayfleet.backends.local import LocalBackend
    from relayfleet.client.supervisor import observe_supervisor, stop_supervisor
    from relayfleet.fleet.daemon_lifecycle import DaemonLifecycle
    from relayfleet.store.intent import write_fleet_intent
    from relayfleet.store.sockets import make_sockets

    fleet_id = scaffolder(layout).ensure_id()
    make_sockets(fleet_id)
    return DaemonLifecycle(
        "supervisor",
        backend=LocalBackend(),
        observe=lambda: observe_supervisor(layout, fleet_id),
        ask_to_stop=lambda: stop_supervisor(fleet_id),
        want=lambda wanted: write_fleet_intent(layout.supervisor_intent, wanted, down=False),
        argv=daemon_argv(layout, "supervisor"),
        folder=layout.root,
        failure=layout.supervisor_failure,
        errors=layout.state / "supervisor.err",
    )


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
            answer=lambda request: _answer_of_supervisor(supervisor, stop, request),
        )
        _on_end(stop.set)
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
        _record_failure(layout.supervisor_failure, log, error)
        raise
    finally:
        log.close()
        lock.release()


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
            argv = daemon_argv(layout, "router", "--if-wanted")
            return backend.launch(argv, folder=layout.root, errors=layout.state / "router.err")
        spec = load_agent(layout, name)
        if fault := fault_of_spec(spec):
            raise FleetError(f"start {name!r}", fault[0], hint=fault[1], fault="bad_config")
        files.write_launch(spec)
        agent = layout.agent(name)
        return backend.launch(agent_argv(layout, name), folder=agent.dir, errors=agent.state / "runner.err")

    def record_failure(name: str, error: Exception) -> None:
        path = layout.router_failure if name == ROUTER else layout.agent(name).failure
        _record_failure(path, log, error)

    view = LocalFleetView(
        layout,
        fleet_id,
        read_limits=lambda: load_fleet(layout).limits,
        launch=launch,
        record_failure=record_failure,
    )
    return backend, view


async def _answer_of_supervisor(
    supervisor: Supervisor, stop: asyncio.Event, request: Mapping[str, Any]
) -> Mapping[str, Any]:
    """What the supervisor says to a request on its control socket."""
    from relayfleet.wire.control import refusal

    if stop.is_set():
        return refusal("the supervisor is stopping")
    match request.get("op"):
        case "status":
            return {"ok": True, **supervisor.status()}
        case "stop":
            stop.set()
        case "look":
            await supervisor.look()
        case other:
            return refusal(f"cannot do {other!r}: the supervisor knows status, stop, look")
    return {"ok": True}


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

    from relayfleet.store.failure import write_failure

    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    known = isinstance(error, FleetError)
    words = str(error) if known else f"{type(error).__name__}: {error} (this is a bug)"
    hint = error.hint if isinstance(error, FleetError) else "the trace is in the log"
    log.error("daemon.gave_up", words, trace=None if known else error, hint=hint)
    # On a full disk the reason is in the exit and in the log, where there is one; it must not be lost to this.
    with contextlib.suppress(StorageFailed):
        write_failure(path, ts=time.time(), error=words, hint=hint, reason=_reason_of(error))


def _reason_of(error: Exception) -> Reason:
    """The name of what a daemon ended by; a full disk is told from whatever it was wrapped in."""
    import errno

    from relayfleet.model.fault import as_reason

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return "disk_full"
        cause = cause.__cause__
    if isinstance(error, FleetError):
        return as_reason(error.fault) or "crashed_before_ready"
    return "bug"
