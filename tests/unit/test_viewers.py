"""Who looks on and who types, over real sockets: what is passed on, what is left out, who holds deliveries."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from relayfleet.runner.viewers import RING_BYTES, Ring, Viewers
from relayfleet.testing import ManualClock, MemoryLog, MemoryTerminal
from relayfleet.wire.attach import (
    FROM_RUNNER,
    KEYS,
    LEAVE,
    OUTPUT,
    REPAINT,
    Frames,
    State,
    decode_state,
    encode_frame,
    encode_size,
)


class Line:
    """A viewer's end. `pause` stops it from taking anything in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, task: asyncio.Task[None]) -> None:
        self.reader, self.writer, self.task = reader, writer, task
        self.answer: dict[str, Any] = {}
        self.output, self.states = bytearray(), list[State]()
        self._frames = Frames(kinds=FROM_RUNNER)

    def send(self, kind: bytes, payload: bytes = b"") -> None:
        self.writer.write(encode_frame(kind, payload))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                data = await self.reader.read(1 << 16)
                assert data, "the line ended"
                for kind, payload in self._frames.feed(data):
                    if kind == OUTPUT:
                        self.output += payload
                    else:
                        state = decode_state(payload)
                        self.states.append(state)
                        if state.fresh:
                            self.output.clear()

    async def close(self) -> None:
        self.writer.close()
        async with asyncio.timeout(20):
            await self.task


class World:
    def __init__(self) -> None:
        self.holds: set[str] = set()
        self.log, self.clock = MemoryLog(), ManualClock()
        self.viewers = self.make()
        self.terminal = MemoryTerminal(1, [], {}, lambda data: None, lambda code: None)
        self.lines: list[Line] = []

    def make(self, **fields: Any) -> Viewers:
        return Viewers(rows=50, columns=160, hold=self.hold, log=self.log, clock=self.clock.now, **fields)

    def hold(self, by: str, up: bool) -> None:
        (self.holds.add if up else self.holds.discard)(by)

    async def join(self, *, drive: bool = False, take: bool = False, version: int = 1, who: object = "ann") -> Line:
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_unix_connection(sock=theirs)
        hello = {"version": version, "drive": drive, "take": take, "who": who}

        async def serve() -> None:
            await self.viewers.serve(reader, writer, hello)
            writer.close()

        line = Line(*await asyncio.open_unix_connection(sock=ours), asyncio.create_task(serve()))
        line.answer = json.loads(await line.reader.readline())
        self.lines.append(line)
        return line


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    made.viewers.begin(made.terminal)
    yield made
    for line in made.lines:
        await line.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


def test_the_ring_keeps_the_end_and_says_when_it_is_not_all() -> None:
    ring = Ring()
    ring.add(b"a" * RING_BYTES)
    assert ring.whole
    ring.add(b"b")
    assert not ring.whole
    assert ring.bytes() == b"a" * (RING_BYTES - 1) + b"b"
    ring.clear()
    assert ring.whole and ring.bytes() == b""


async def test_who_comes_late_is_shown_what_was_before_and_then_all_that_follows(world: World) -> None:
    world.viewers.output(b"before ")
    line = await world.join()
    world.viewers.output(b"after")
    await line.until(lambda: line.output == b"before after")
    first = line.states[0]
    assert (first.rows, first.columns, first.up, first.fresh, first.whole) == (50, 160, True, True, True)
    world.viewers.begin(world.terminal)
    world.viewers.output(b"anew")
    await line.until(lambda: line.output == b"anew")


async def test_a_viewer_that_takes_nothing_in_slows_nobody_and_costs_little(world: World) -> None:
    stuck, quick = await world.join(who="stuck"), await world.join(who="quick")
    piece, sent = b"0123456789abcdef" * 4096, 0
    for _ in range(1600):  # 100 MB
        world.viewers.output(piece)
        sent += len(piece)
        await quick.until(lambda all_of_it=sent: len(quick.output) >= all_of_it)
        assert all(viewer.behind <= 1 << 20 for viewer in world.viewers._viewers)
    assert len(quick.output) == sent, "who keeps up loses nothing"
    assert sent >= 100_000_000
    await stuck.until(lambda: any(state.lost for state in stuck.states))
    world.viewers.output(b"the end")
    await stuck.until(lambda: stuck.output.endswith(b"the end"))
    told = next(state for state in stuck.states if state.lost)
    assert told.fresh and not told.whole and told.lost > 90_000_000


async def test_only_the_driver_types_and_while_it_does_nothing_is_delivered(world: World) -> None:
    driver, viewer = await world.join(drive=True), await world.join()
    await until(lambda: world.holds == {"driver"})
    viewer.send(KEYS, b"not mine")
    driver.send(KEYS, b"mine")
    await until(lambda: world.terminal.written == b"mine")
    assert world.viewers.held.startswith("held: ann types into its terminal (since ")
    refused = await world.join(drive=True)
    assert (refused.answer["ok"], "drives it since" in refused.answer["error"]) == (False, True)
    taker = await world.join(drive=True, take=True, who="bea")
    await driver.until(lambda: any(state.driver == "bea" for state in driver.states))
    driver.send(KEYS, b"too late")
    driver.send(LEAVE, b"empty")
    taker.send(KEYS, b"!")
    await until(lambda: world.terminal.written == b"mine!")
    assert world.holds == {"driver"}
    taker.send(LEAVE, b"empty")
    await until(lambda: world.holds == set())
    assert world.viewers.held == ""


@pytest.mark.parametrize(
    ("typed", "seen", "held"),
    [
        (True, "text", True),
        (True, "empty", False),
        (True, "unknown", True),
        (True, None, True),
        (False, "unknown", False),
        (False, "text", True),
        (False, None, False),
    ],
)
async def test_what_is_left_in_the_composer_holds(world: World, typed: bool, seen: str | None, held: bool) -> None:
    driver = await world.join(drive=True)
    await until(lambda: "driver" in world.holds)
    if typed:
        driver.send(KEYS, b"half")
        await until(lambda: world.terminal.written == b"half")
    if seen is not None:
        driver.send(LEAVE, seen.encode())
    driver.writer.write_eof()
    await driver.task
    assert world.holds == ({"draft"} if held else set())
    assert world.viewers.held.startswith("held: a draft") is held
    again = await world.join(drive=True)
    again.send(LEAVE, b"empty")
    await until(lambda: world.holds == set())


@pytest.mark.parametrize("end", ["sent", "session died", "session began"])
async def test_a_draft_is_gone_with_its_prompt_or_its_session(world: World, end: str) -> None:
    driver = await world.join(drive=True)
    driver.send(KEYS, b"half")
    driver.send(LEAVE, b"text")
    await until(lambda: world.holds == {"draft"})
    ends = {
        "sent": world.viewers.drop_draft,
        "session died": world.viewers.end,
        "session began": lambda: world.viewers.begin(world.terminal),
    }
    ends[end]()
    assert world.holds == set()


async def test_the_size_is_the_drivers_within_bounds_and_goes_back(world: World) -> None:
    driver = await world.join(drive=True)
    driver.writer.write(encode_size(24, 80))
    await until(lambda: world.terminal.sizes[-1:] == [(24, 80)])
    driver.writer.write(encode_size(1, 65535))
    await until(lambda: world.terminal.sizes[-1:] == [(10, 500)])
    restarted = MemoryTerminal(2, [], {}, lambda data: None, lambda code: None)
    world.viewers.begin(restarted)
    assert restarted.sizes == [(10, 500)]
    driver.send(LEAVE, b"empty")
    await until(lambda: restarted.sizes[-1:] == [(50, 160)])


async def test_many_who_ask_have_it_painted_once(world: World) -> None:
    lines = [await world.join() for _ in range(3)]
    for line in lines:
        line.send(REPAINT)
    await until(lambda: len(world.terminal.sizes) == 2)
    assert world.terminal.sizes == [(49, 160), (50, 160)]


@pytest.mark.parametrize(
    "bad", [b"X\0\0\0\0", b"I\0\1\0\1", b"Z\0\0\0\1x", b"O\0\0\0\0"], ids=["kind", "long", "size", "side"]
)
async def test_what_is_no_frame_ends_the_line(world: World, bad: bytes) -> None:
    line = await world.join(drive=True)
    line.writer.write(bad)
    with contextlib.suppress(AssertionError):
        await line.until(lambda: False)
    assert line.states[-1].error
    assert world.holds == set()


async def test_who_may_not_is_told_why(world: World) -> None:
    assert "version 2" in (await world.join(version=2)).answer["error"]
    for _ in range(16):
        assert (await world.join(who="x\x1b[31m" + "y" * 200)).answer["ok"]
    assert "16 viewers" in (await world.join()).answer["error"]
    assert "\x1b" not in world.viewers._viewers[0].who and len(world.viewers._viewers[0].who) == 80
    world.viewers = world.make(typed_into=False)
    assert "headless" in (await world.join(drive=True)).answer["error"]
