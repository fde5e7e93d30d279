"""From what is owed to the inboxes."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from relayfleet.errors import FleetError, StorageFailed
from relayfleet.model.entry import Entry
from relayfleet.model.names import EntryId
from relayfleet.ports.cursor import Batch, Owed
from relayfleet.router.deliver import GATHER_S, LOOK_S, Deliverer
from relayfleet.testing import ManualClock, MemoryCursor, MemoryLog, MemoryTransport


class Post:
    """A deliverer and what stands around it."""

    def __init__(self, *agents: str) -> None:
        self.clock = ManualClock()
        self.cursor = MemoryCursor()
        self.transport = MemoryTransport(agents)
        self.log = MemoryLog()
        self.deliverer = Deliverer(
            cursor=self.cursor, transport=self.transport, log=self.log, clock=self.clock, rng=random.Random(1)
        )

    def owe(self, agent: str, name: str, *, priority: int = 0, wait_s: float = 0.0, item: str = "") -> None:
        now = self.clock.now()
        entry = Entry(id=EntryId(name), ts=now, source="github", body=name)
        not_before = now + wait_s if wait_s else 0.0
        owed = Owed(agent=agent, key=name, entry=entry, item=item or name, priority=priority, not_before=not_before)
        self.cursor.commit(Batch(owed=[owed]), now=now)

    def arrived(self, agent: str) -> list[str]:
        return [entry.id for entry in self.transport.entries.get(agent, [])]


async def test_each_agent_gets_its_own_in_order() -> None:
    post = Post("one", "two")
    for name in ("a", "b", "c"):
        post.owe("one", name)
    post.owe("two", "d")
    assert await post.deliverer.deliver() is None
    assert post.arrived("one") == ["a", "b", "c"]
    assert post.arrived("two") == ["d"]
    assert post.cursor.counts().owed == 0
    assert [fields for _, fields in post.log.of("router.delivered")] == [
        {"agent": "one", "entries": ["a", "b", "c"]},
        {"agent": "two", "entries": ["d"]},
    ]


async def test_the_higher_priority_goes_first() -> None:
    post = Post("one")
    for name, priority in (("a", 0), ("b", -5), ("c", 9), ("d", 9)):
        post.owe("one", name, priority=priority)
    await post.deliverer.deliver()
    assert post.arrived("one") == ["c", "d", "a", "b"]


async def test_what_cools_down_waits_and_is_then_delivered() -> None:
    post = Post("one")
    post.deliverer.cooldown_s = 20.0
    post.owe("one", "later", wait_s=20.0)
    post.owe("one", "now")
    again = await post.deliverer.deliver()
    assert post.arrived("one") == ["now"]
    assert again == pytest.approx(20.0)
    post.clock.advance(19.0)
    assert await post.deliverer.deliver() == pytest.approx(20.0)
    post.clock.advance(1.0)
    assert await post.deliverer.deliver() is None
    assert post.arrived("one") == ["now", "later"]


async def test_a_clock_that_jumped_ahead_and_back_makes_nobody_wait_for_years() -> None:
    post = Post("one")
    post.deliverer.cooldown_s = 60.0
    post.clock.jump(10 * 365 * 86_400.0)
    post.owe("one", "a", wait_s=60.0)
    post.clock.jump(-10 * 365 * 86_400.0)
    await post.deliverer.deliver()
    assert post.arrived("one") == ["a"]


async def test_a_clock_that_jumped_back_is_noticed_soon() -> None:
    post = Post("one")
    post.deliverer.cooldown_s = 86_400.0
    post.owe("one", "a", wait_s=86_400.0)
    assert await post.deliverer.deliver() == GATHER_S + LOOK_S
    post.clock.jump(86_401.0)
    assert await post.deliverer.deliver() is None
    assert post.arrived("one") == ["a"]


async def test_an_agent_that_is_not_there_keeps_back_nobody_else() -> None:
    post = Post("one")
    post.owe("nobody", "x")
    post.owe("one", "a")
    again = await post.deliverer.deliver()
    assert again is not None and 1.0 <= again <= 1.5
    assert post.arrived("one") == ["a"]
    assert post.cursor.counts().owed == 1

    # Tried again when its time has come, and only then.
    post.transport.agents = {"one", "nobody"}
    await post.deliverer.deliver()
    assert post.arrived("nobody") == []
    post.clock.advance(2.0)
    assert await post.deliverer.deliver() is None
    assert post.arrived("nobody") == ["x"]
    assert len(post.log.of("router.delivery_failed")) == len(post.log.of("router.delivery_recovered")) == 1


async def test_a_failure_is_said_once_and_the_waits_grow() -> None:
    post = Post()
    post.owe("one", "a")
    waits = []
    for _ in range(8):
        again = await post.deliverer.deliver()
        assert again is not None
        waits.append(again - post.clock.monotonic())
        post.clock.advance(waits[-1])
    assert len(post.log.of("router.delivery_failed")) == 1
    assert waits == sorted(waits) and 60.0 <= waits[-1] <= 90.0


async def test_an_entry_that_no_inbox_takes_keeps_back_no_other() -> None:
    post = Post("one")

    class Picky(MemoryTransport):
        def deliver(self, agent: str, entries: Sequence[Entry]) -> None:
            if any(entry.body == "huge" for entry in entries):
                raise FleetError("add entry 'huge'", "its text has 9000000 bytes")
            super().deliver(agent, entries)

    transport = Picky(["one"])
    post.deliverer = Deliverer(
        cursor=post.cursor, transport=transport, log=post.log, clock=post.clock, rng=random.Random(1)
    )
    for name in ("a", "huge", "b"):
        post.owe("one", name)
    assert await post.deliverer.deliver() is not None
    assert [entry.id for entry in transport.entries["one"]] == ["a", "b"]
    assert post.cursor.counts().owed == 1
    [(message, _)] = post.log.of("router.delivery_failed")
    assert "9000000" in message


async def test_a_cursor_that_is_full_is_said_and_nothing_comes_twice() -> None:
    post = Post("one")
    post.owe("one", "a")
    post.cursor.full = True
    with pytest.raises(StorageFailed):
        await post.deliverer.deliver()
    assert post.arrived("one") == ["a"]
    post.cursor.full = False
    assert await post.deliverer.deliver() is None
    assert post.arrived("one") == ["a"]
