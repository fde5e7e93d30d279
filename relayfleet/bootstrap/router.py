"""The router, joined; what reads GitHub for it, and what the operator has of its database."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from relayfleet.bootstrap.agents import scaffolder
from relayfleet.bootstrap.daemons import on_end, record_failure, take
from relayfleet.bootstrap.programs import launch_router

if TYPE_CHECKING:
    from relayfleet.fleet.daemon_lifecycle import DaemonLifecycle
    from relayfleet.model.event import Event
    from relayfleet.model.fleet import FleetConfig, GithubAccount
    from relayfleet.model.layout import FleetLayout
    from relayfleet.sources.github.source import GitHubSource
    from relayfleet.store.router_db.past import Past
    from relayfleet.store.router_db.quarantine import Quarantine
    from relayfleet.store.router_db.replay import Replayer


async def run_router(layout: FleetLayout, *, if_wanted: bool = False) -> None:
    """The router, until it is told to stop; `if_wanted` as for `run_agent`. Raises FleetError when it cannot begin."""
    import asyncio
    import random

    from relayfleet.client.wake import wake
    from relayfleet.config.load import load_fleet
    from relayfleet.router.daemon import Router
    from relayfleet.router.requests import answer
    from relayfleet.sources.clock import SystemClock
    from relayfleet.store.authorship import FileAuthorship
    from relayfleet.store.gate_file import RoutesJson
    from relayfleet.store.lock import FileLock
    from relayfleet.store.log import open_log
    from relayfleet.store.router_db.cursor import SqliteCursor
    from relayfleet.store.router_db.records import encode_line, encode_log_line
    from relayfleet.store.sockets import make_sockets
    from relayfleet.transports.file import FileTransport
    from relayfleet.wire.server import ControlServer

    lock = FileLock(layout.router_lock)
    if not take(lock, layout, layout.router_intent, if_wanted=if_wanted):
        return
    log = open_log(layout.router_log, encode=encode_log_line)
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
        control = ControlServer(sockets.control("router"), answer=lambda request: answer(router, stop, request))
        on_end(stop.set)
        await control.open()
        try:
            await router.run(stop)
        finally:
            control.close()
            cursor.close()
    except Exception as error:
        record_failure(layout.router_failure, log, error)
        raise
    finally:
        log.close()
        lock.release()


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

    backend = LocalBackend()
    return DaemonLifecycle(
        "router",
        backend=backend,
        observe=lambda: observe_router(layout, fleet_id),
        ask_to_stop=ask_to_stop,
        want=lambda wanted: write_intent(layout.router_intent, wanted),
        launch=lambda: launch_router(backend, layout),
        failure=layout.router_failure,
        call=lambda: call_supervisor(layout, fleet_id),
    )


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


def past_of_item(layout: FleetLayout, event: Event, agents: Collection[str]) -> Past:
    """What the router did about an event's item so far; nothing when it has no database. Raises FleetError."""
    import contextlib

    from relayfleet.store.router_db.database import Database
    from relayfleet.store.router_db.past import Past, past_of

    if not layout.router_db.exists():
        return Past()
    with contextlib.closing(Database(layout.router_db)) as database:
        return past_of(database, kind=event.item.kind, node_id=event.item.node_id, agents=agents)


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
