"""The supervisor over daemons that are made up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from relayfleet.errors import ConfigError
from relayfleet.model.fleet import Limits
from relayfleet.model.supervision import Past
from relayfleet.model.wish import Wish
from relayfleet.supervisor.daemon import Supervisor
from relayfleet.supervisor.plan import STORM_STARTS, UNRESPONSIVE_AFTER_S, Change
from relayfleet.testing import ManualClock, MemoryBackend, MemoryFleetView, MemoryLog


class World:
    """A supervisor that looks when it is told to."""

    def __init__(self, *names: str) -> None:
        self.backend = MemoryBackend()
        self.view = MemoryFleetView(*names, backend=self.backend)
        self.clock = ManualClock()
        self.log = MemoryLog()
        self.changes: list[Change] = []
        self._wishes = 0.0
        self._stop = asyncio.Event()
        self.begin()

    def begin(self) -> None:
        """Another supervisor, with what the last one wrote down."""
        self.supervisor = Supervisor(
            view=self.view, backend=self.backend, log=self.log, clock=self.clock, tell=self.changes.append
        )

    def want(self, *names: str) -> None:
        for name in names:
            self._wishes += 1
            self.view.wishes[name] = Wish(wanted=True, since=self._wishes)

    async def run(self, script: Callable[[], object]) -> None:
        """Runs the supervisor while `script` is carried out."""
        self._stop.clear()
        running = asyncio.ensure_future(self.supervisor.run(self._stop))
        try:
            await script()  # type: ignore[misc]
        finally:
            self._stop.set()
            await running

    async def look(self, *, after_s: float = 0.0) -> None:
        self.clock.advance(after_s)
        for _ in range(3):  # asked, answered, looked at
            await self.supervisor.look()
            if self.supervisor._asking is not None:
                await asyncio.wait([self.supervisor._asking])

    def kinds(self, name: str) -> list[str]:
        return [change.kind for change in self.changes if change.name == name]


@pytest.fixture
async def world() -> World:
    return World("one", "two")


async def test_what_is_wanted_comes_up_and_the_rest_does_not(world: World) -> None:
    world.want("one", "router")

    async def script() -> None:
        await world.look()
        await world.look(after_s=1)

    await world.run(script)
    assert world.view.launched == ["router", "one"]
    assert world.kinds("one") == ["launch", "up"]
    assert world.kinds("two") == []


async def test_a_supervisor_that_was_killed_is_followed_by_one_that_knows_what_it_knew(world: World) -> None:
    world.want("one", "two")

    async def first() -> None:
        await world.look()
        await world.look(after_s=1)
        world.backend.die(world.view.holders["two"])
        await world.look(after_s=1)

    await world.run(first)
    before = dict(world.view.memory)
    assert (before["one"].phase, before["two"].phase, before["two"].tries) == ("up", "down", 1)
    world.begin()
    world.changes.clear()

    async def second() -> None:
        await world.look()
        assert world.view.launched == ["one", "two"], "what runs is taken over, and the delay is kept"
        await world.look(after_s=1)
        await world.look(after_s=1)

    await world.run(second)
    assert world.view.launched == ["one", "two", "two"]
    assert world.kinds("one") == []
    assert world.kinds("two") == ["launch", "up"]


async def test_a_storm_outlives_the_supervisor(world: World) -> None:
    world.want("one")

    async def die_again_and_again() -> None:
        for _ in range(STORM_STARTS + 1):
            while world.view.holder("one") is None:
                await world.look(after_s=0.5)
            world.backend.die(world.view.holders["one"])
            await world.look()

    await world.run(die_again_and_again)
    assert world.kinds("one")[-1] == "held"
    assert len(world.view.launched) == STORM_STARTS + 1
    world.begin()

    async def wait() -> None:
        for _ in range(10):
            await world.look(after_s=3600)
        assert len(world.view.launched) == STORM_STARTS + 1
        world.want("one")
        await world.look()

    await world.run(wait)
    assert len(world.view.launched) == STORM_STARTS + 2


async def test_one_that_is_silent_is_ended_with_what_it_left_and_the_other_is_not(world: World) -> None:
    world.want("one", "two")

    async def script() -> None:
        await world.look()
        await world.look(after_s=1)
        world.view.answers["one"] = None
        await world.look(after_s=61)
        await world.look(after_s=UNRESPONSIVE_AFTER_S + 1)
        await world.look(after_s=2)

    await world.run(script)
    assert world.kinds("one")[:3] == ["launch", "up", "down"]
    assert world.backend.swept == ["session of one"]
    assert world.kinds("two") == ["launch", "up"]
    assert world.view.launched == ["one", "two", "one"]


async def test_one_that_cannot_be_launched_keeps_nobody_else_down(world: World) -> None:
    world.want("one", "two")
    world.view.refused["one"] = ConfigError(("agents/one/config.json: no",))

    async def script() -> None:
        await world.look()
        await world.look(after_s=1)
        world.view.refused.clear()
        await world.look(after_s=61)
        assert world.view.launched == ["two"], "nothing changed that it waits for"
        world.view.signatures["one"] = "corrected"
        await world.look(after_s=61)
        await world.look(after_s=1)

    await world.run(script)
    assert world.kinds("one") == ["launch", "waiting", "launch", "up"]
    assert [change.reason for change in world.changes if change.kind == "waiting"] == ["bad_config"]
    assert world.view.launched == ["two", "one"]


async def test_a_full_disk_is_said_once_and_the_supervisor_goes_on(world: World) -> None:
    world.want("one")
    world.view.full = True

    async def script() -> None:
        await world.look()
        world.backend.die(world.view.holders["one"])
        await world.look(after_s=1)
        await world.look(after_s=2)
        world.view.full = False
        await world.look(after_s=1)

    await world.run(script)
    assert world.view.launched == ["one", "one"]
    assert len(world.log.of("supervisor.memory_failed")) == 1
    assert world.view.memory["one"].phase in ("coming", "up")


async def test_what_finds_no_room_is_started_when_there_is_some(world: World) -> None:
    world.view.bounds = Limits(max_agents=1)
    world.want("one", "two")

    async def script() -> None:
        await world.look()
        assert world.view.launched == ["one"]
        assert world.view.memory["two"].phase == "queued"
        world.view.wishes["one"] = Wish()
        world.backend.die(world.view.holders["one"])
        await world.look()

    await world.run(script)
    assert world.view.launched == ["one", "two"]
    assert world.kinds("two")[:2] == ["queued", "launch"]


async def test_what_it_remembers_is_on_disk_before_it_acts(world: World) -> None:
    world.want("one")
    seen: list[Past] = []
    launch = world.view.launch

    def spying(name: str) -> object:
        seen.append(world.view.memory[name])
        return launch(name)

    world.view.launch = spying  # type: ignore[assignment,method-assign]

    async def script() -> None:
        await world.look()

    await world.run(script)
    assert [past.phase for past in seen] == ["coming"]
    assert replace(seen[0], since=0.0, launched_at=0.0) == Past(wish=1.0, phase="coming")
