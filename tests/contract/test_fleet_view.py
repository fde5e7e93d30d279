"""What every `FleetView` promises."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from relayfleet.client.fleet_view import LocalFleetView
from relayfleet.errors import ConfigError
from relayfleet.model.fault import Reason
from relayfleet.model.fleet import Limits
from relayfleet.model.layout import FleetLayout
from relayfleet.model.supervision import Past
from relayfleet.model.wish import Wish
from relayfleet.ports.daemon import Handle
from relayfleet.ports.supervision import FleetView
from relayfleet.store.failure import write_failure
from relayfleet.store.intent import read_wish, write_fleet_intent, write_intent
from relayfleet.store.lock import FileLock
from relayfleet.store.sockets import make_sockets
from relayfleet.testing import MemoryBackend, MemoryFleetView


class World(Protocol):
    """The router and two agents, `one` and `two`."""

    view: FleetView

    def want(self, name: str, wanted: bool) -> None: ...

    def hold(self, name: str) -> None:
        """A daemon of this name lives from now on."""

    def fail(self, name: str, reason: Reason) -> None: ...

    def touch(self, name: str) -> None:
        """Something changes that a start of it depends on."""


class Real:
    def __init__(self, folder: Path) -> None:
        self.layout, self.fleet_id = FleetLayout(folder), os.urandom(6).hex()
        self.sockets = make_sockets(self.fleet_id)
        self.limits = Limits()
        self.recorded: list[str] = []
        for name in ("two", "one"):
            self.layout.agent(name).state.mkdir(parents=True)
            self.layout.agent(name).config.write_text("{}")
        (self.layout.agents / "no-agent").mkdir()
        self.layout.state.mkdir()
        self.layout.fleet_json.write_text("{}")
        self.view: FleetView = LocalFleetView(
            self.layout,
            self.fleet_id,
            read_limits=self._read,
            launch=lambda name: Handle(backend="local", pid=1, start_time=0.0),
            record_failure=lambda name, error: self.recorded.append(name),
        )
        self.locks: list[FileLock] = []

    def _read(self) -> Limits:
        if self.layout.fleet_json.read_text() == "broken":
            raise ConfigError(("fleet.json: broken",))
        return Limits(**json.loads(self.layout.fleet_json.read_text()))

    def want(self, name: str, wanted: bool) -> None:
        path = self.layout.router_intent if name == "router" else self.layout.agent(name).intent
        write_intent(path, "running" if wanted else "stopped")

    def hold(self, name: str) -> None:
        lock = FileLock(self.layout.router_lock if name == "router" else self.layout.agent(name).runner_lock)
        lock.acquire()
        self.locks.append(lock)

    def fail(self, name: str, reason: Reason) -> None:
        path = self.layout.router_failure if name == "router" else self.layout.agent(name).failure
        write_failure(path, ts=5.0, error="why", hint="", reason=reason)

    def touch(self, name: str) -> None:
        path = self.layout.routes_json if name == "router" else self.layout.agent(name).config
        path.write_text("{} ")
        os.utime(path, (1, 1))


class Fake:
    def __init__(self) -> None:
        self.memory = MemoryFleetView("one", "two", backend=MemoryBackend())
        self.view: FleetView = self.memory
        self.times = 0.0

    def want(self, name: str, wanted: bool) -> None:
        self.times += 1
        self.memory.wishes[name] = Wish(wanted=wanted, since=self.times)

    def hold(self, name: str) -> None:
        self.memory.launch(name)

    def fail(self, name: str, reason: Reason) -> None:
        self.memory.failures[name] = (5.0, reason, "why")

    def touch(self, name: str) -> None:
        self.memory.signatures[name] = "touched"


@pytest.fixture(params=["real", "fake"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param == "fake":
        yield Fake()
        return
    made = Real(tmp_path)
    yield made
    for lock in made.locks:
        lock.release()
    shutil.rmtree(made.sockets.folder)


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Real]:
    made = Real(tmp_path)
    yield made
    shutil.rmtree(made.sockets.folder)


def test_the_router_comes_first_and_then_the_agents(world: World) -> None:
    assert list(world.view.names()) == ["router", "one", "two"]


@pytest.mark.parametrize("name", ["router", "one"])
def test_a_wish_is_the_last_one_and_each_is_another(world: World, name: str) -> None:
    assert world.view.wish(name).wanted is False
    world.want(name, True)
    first = world.view.wish(name)
    world.want(name, True)
    second = world.view.wish(name)
    assert first.wanted and second.wanted and first.since != second.since
    world.want(name, False)
    assert world.view.wish(name).wanted is False


@pytest.mark.parametrize("name", ["router", "one"])
def test_who_holds_the_lock_lives(world: World, name: str) -> None:
    assert (world.view.alive(name), world.view.holder(name)) == (False, None)
    world.hold(name)
    assert world.view.alive(name)
    assert world.view.holder(name) is not None
    assert not world.view.alive("two")


@pytest.mark.parametrize("name", ["router", "one"])
def test_why_it_gave_up_and_what_its_start_depends_on(world: World, name: str) -> None:
    assert world.view.failure(name) is None
    world.fail(name, "login_expired")
    assert world.view.failure(name) == (5.0, "login_expired", "why")
    before = world.view.signature(name)
    assert world.view.signature(name) == before
    world.touch(name)
    assert world.view.signature(name) != before


def test_what_is_remembered_comes_back(world: World) -> None:
    assert dict(world.view.load()) == {}
    memory = {"one": Past(wish=1.5, phase="held", reason="storm", starts=(1.0, 2.0), detail="x")}
    world.view.save(memory)
    assert dict(world.view.load()) == memory


def test_the_machine_has_memory_and_room(world: World) -> None:
    assert world.view.free_mb() > 0
    assert world.view.has_space()
    assert world.view.limits() == Limits()


# ---- what only files can show


def test_what_rests_with_the_fleet_is_not_wanted_until_it_is_asked_for_again(real: Real) -> None:
    real.want("one", True)
    write_fleet_intent(real.layout.supervisor_intent, "stopped", down=True)
    assert real.view.wish("one") == Wish()
    real.want("two", True)
    assert real.view.wish("two").wanted
    write_fleet_intent(real.layout.supervisor_intent, "running", down=False)
    assert real.view.wish("one").wanted


@pytest.mark.parametrize("text", [b"", b"[]", b"\xff", b'{"wanted": "running", "ts": "soon"}', b'{"wanted": 7}'])
def test_an_intent_with_faults_wants_nothing_or_has_no_moment(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "intent.json"
    path.write_bytes(text)
    assert read_wish(path) in (Wish(), Wish(wanted=True))


def test_an_intent_of_an_older_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "intent.json"
    path.write_text('{"version": 1, "wanted": "running"}')
    assert read_wish(path) == Wish(wanted=True, since=0.0)


def test_a_failure_of_an_older_version_is_one_before_it_was_ready(real: Real) -> None:
    real.layout.agent("one").failure.write_text('{"version": 1, "ts": 3, "error": "e", "hint": ""}')
    assert real.view.failure("one") == (3.0, "crashed_before_ready", "e")


def test_limits_with_faults_leave_the_last_in_force(real: Real) -> None:
    real.layout.fleet_json.write_text('{"max_agents": 3}')
    assert real.view.limits() == Limits(max_agents=3)
    real.layout.fleet_json.write_text("broken")
    assert real.view.limits() == Limits(max_agents=3)


def test_nobody_there_is_silent(real: Real) -> None:
    assert real.view.ask(["one", "router"], timeout_s=0.1) == {"one": None, "router": None}
