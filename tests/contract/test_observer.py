"""What every `Observer` promises."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pytest

from relayfleet.client.observer import FleetObserver
from relayfleet.config.roster import Member
from relayfleet.model.layout import FleetLayout
from relayfleet.model.names import AgentName
from relayfleet.model.receipt import ENTRY_STATES
from relayfleet.model.status import AgentStatus
from relayfleet.ports.daemon import Observer
from relayfleet.store.lock import FileLock
from relayfleet.store.sockets import make_sockets
from relayfleet.testing import MemoryObserver
from relayfleet.wire.server import ControlServer

NAMES = ("one", "two", "three")


class World(Protocol):
    """Three agents; each runner that is started here is this process."""

    observer: Observer

    async def start(self, name: str) -> None:
        """A runner that says that it idles, and ends when it is asked to."""

    async def start_deaf(self, name: str) -> None:
        """A runner that lives and answers nothing."""


class Real:
    def __init__(self, folder: Path) -> None:
        self.layout, self.fleet_id = FleetLayout(folder), os.urandom(6).hex()
        self.sockets = make_sockets(self.fleet_id)
        members = [
            Member(name=AgentName(name), role="coder", backend="local", host=None, port=1, model=None, repo=None)
            for name in NAMES
        ]
        self.observer: Observer = FleetObserver(self.layout, self.fleet_id, members)
        self.ends: list[Callable[[], None]] = []

    async def start(self, name: str) -> None:
        lock = FileLock(self.layout.agent(name).runner_lock)
        lock.acquire()

        async def answer(request: Mapping[str, Any]) -> Mapping[str, Any]:
            if request["op"] == "stop":
                lock.release()
            status = {"state": "idle", "session_id": "s", "inbox": dict.fromkeys(ENTRY_STATES, 2)}
            return {"ok": True, **status, "observed_age_s": 0.5, "detail": "well"}

        server = ControlServer(self.sockets.control(name), answer=answer)
        await server.open()
        self.ends += [server.close, lock.release]

    async def start_deaf(self, name: str) -> None:
        lock = FileLock(self.layout.agent(name).runner_lock)
        lock.acquire()
        self.ends.append(lock.release)

    def close(self) -> None:
        for end in self.ends:
            end()
        shutil.rmtree(self.sockets.folder)


class Fake:
    def __init__(self) -> None:
        self.memory = MemoryObserver(*(stopped(name) for name in NAMES))
        self.observer: Observer = self.memory

    async def start(self, name: str) -> None:
        self.memory.statuses[name] = replace(
            stopped(name),
            state="idle",
            pid=os.getpid(),
            session_id="s",
            inbox=dict.fromkeys(ENTRY_STATES, 2),
            observed_age_s=0.5,
            detail="well",
        )

    async def start_deaf(self, name: str) -> None:
        self.memory.stubborn.add(name)
        detail = "the runner lives and does not answer"
        self.memory.statuses[name] = replace(stopped(name), state="unresponsive", pid=os.getpid(), detail=detail)


def stopped(name: str) -> AgentStatus:
    return AgentStatus(
        name=AgentName(name),
        role="coder",
        backend="local",
        state="stopped",
        pid=None,
        session_id=None,
        inbox=dict.fromkeys(ENTRY_STATES, 0),
        observed_age_s=None,
    )


@pytest.fixture(params=["real", "fake"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    if request.param == "fake":
        yield Fake()
        return
    made = Real(tmp_path)
    yield made
    made.close()


async def look(world: World, *names: str) -> list[AgentStatus]:
    """In a thread: the runners of this process answer meanwhile."""
    return list(await asyncio.to_thread(world.observer.observe, names, timeout_s=5.0))


async def test_agents_are_observed_in_the_order_asked_for(world: World) -> None:
    await world.start("two")
    assert [status.name for status in await look(world, "three", "two", "one")] == ["three", "two", "one"]
    assert await look(world) == []


async def test_a_stopped_agent_has_no_process(world: World) -> None:
    assert await look(world, "one") == [stopped("one")]
    assert world.observer.holder("one") is None


async def test_a_runner_is_what_it_says_and_who_holds_its_lock(world: World) -> None:
    await world.start("one")
    (status,) = await look(world, "one")
    assert (status.state, status.detail, status.session_id, status.observed_age_s) == ("idle", "well", "s", 0.5)
    assert status.inbox == dict.fromkeys(ENTRY_STATES, 2)
    holder = world.observer.holder("one")
    assert holder is not None and holder.pid == status.pid == os.getpid()


async def test_who_is_asked_to_stop_does_and_the_others_do_not(world: World) -> None:
    await world.start("one")
    await world.start("two")
    await asyncio.to_thread(world.observer.ask_to_stop, ["one", "three"])
    assert world.observer.holder("one") is None
    assert [status.state for status in await look(world, "one", "two", "three")] == ["stopped", "idle", "stopped"]


async def test_a_runner_that_answers_nothing_lives_on_and_is_said_to(world: World) -> None:
    await world.start_deaf("one")
    await asyncio.to_thread(world.observer.ask_to_stop, ["one"])
    (status,) = await look(world, "one")
    assert (status.state, status.pid) == ("unresponsive", os.getpid())
    assert "does not answer" in status.detail
    assert world.observer.holder("one") is not None
