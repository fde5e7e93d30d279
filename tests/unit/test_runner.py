"""A runner over fakes: its session is a program made up, its disk may be full."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from relayfleet.errors import FleetError
from relayfleet.model.agent import AgentSpec, Claude, InboxPolicy
from relayfleet.model.conversation import Conversation
from relayfleet.model.entry import Entry
from relayfleet.model.names import AgentName, EntryId, SessionId
from relayfleet.model.turn import ids_in_frames
from relayfleet.ports.session import Sighting, Wiring
from relayfleet.runner.daemon import Runner
from relayfleet.runner.shim_link import ShimLink
from relayfleet.testing import (
    ManualClock,
    MemoryInbox,
    MemoryLastWords,
    MemoryLog,
    MemoryNotifier,
    MemoryReceipts,
    MemoryRememberedRules,
    MemoryRulings,
    MemorySessionFile,
    MemoryTerminal,
    MemoryTerminals,
    MemoryTools,
    MemoryTree,
    MemoryUpkeep,
    MemoryWritings,
    ScriptedHarness,
)


class Link(ShimLink):
    """A line on which everything offered is kept, as (way, text)."""

    offers: list[tuple[str, str]]

    def offer(self, entry_id: str, content: str, uuid: str, *, steer: bool = False) -> None:
        self.offers.append(("steer" if steer else "socket", content))

    def notify(self, content: str, meta: Any) -> None:
        self.offers.append(("channel", content))


class Harness(ScriptedHarness):
    """`looks` counts how often the session was looked at."""

    looks = 0

    def look(self, session_id: SessionId, pid: int) -> Sighting | None:
        self.looks += 1
        return super().look(session_id, pid)


class Bodies:
    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def keep(self, entry_id: EntryId, text: str) -> str:
        self.kept[entry_id] = text
        return f"/bodies/{entry_id}"


class Screen:
    def __init__(self) -> None:
        self.shown = b""

    def write(self, data: bytes) -> None:
        self.shown += data

    def tail(self) -> str:
        return self.shown.decode()


class World:
    """One runner and everything around it. Its session registers as idle when it is started, unless told otherwise."""

    def __init__(self, folder: Path, **spec: Any) -> None:
        self.clock = ManualClock()
        self.inbox, self.receipts = MemoryInbox(), MemoryReceipts()
        self.harness, self.tree = Harness(folder), MemoryTree(children=2)
        self.session_file = MemorySessionFile()
        self.log, self.bodies, self.screen, self.writings = MemoryLog(), Bodies(), Screen(), MemoryWritings()
        self.words, self.notifier = MemoryLastWords(), MemoryNotifier()
        self.plays: Callable[[MemoryTerminal], None] = lambda terminal: self.says("idle")
        self.terminals = MemoryTerminals({"session": self._play})
        self.upkeep = MemoryUpkeep(self.inbox, self.receipts, keep=1)
        self.upkeep.full = True
        self.runner = Runner(
            spec=AgentSpec(
                name=AgentName("coder"), role="coder", fleet="f", fleet_id="0" * 12, port=1, **{**_QUICK, **spec}
            ),
            inbox=self.inbox,
            receipts=self.receipts,
            upkeep=self.upkeep,
            harness=self.harness,
            wiring=Wiring(hook_url="http://x", hook_token="t", shim_socket=folder / "s", shim_token="t"),
            terminals=self.terminals,
            tree=self.tree,
            session_file=self.session_file,
            bodies=self.bodies,
            words=self.words,
            screen=self.screen,
            writings=self.writings,
            rulings=MemoryRulings(),
            remembered=MemoryRememberedRules(),
            notifier=self.notifier,
            log=self.log,
            clock=self.clock.now,
        )
        self.link = Link(
            tools=MemoryTools(), log=self.log, on_link=self.runner.on_link, on_offered=self.runner.on_offered
        )
        self.link.offers = []
        self.runner.join(self.link)
        self.prompts = 0

    def _play(self, terminal: MemoryTerminal) -> None:
        self.plays(terminal)

    @property
    def session_id(self) -> SessionId:
        assert self.session_file.conversation is not None
        return self.session_file.conversation.session_id

    @property
    def session(self) -> MemoryTerminal:
        return self.terminals.spawned[-1]

    def says(self, status: Any, detail: str = "") -> None:
        self.harness.sightings[self.session_id] = Sighting(status=status, at=self.clock.now(), detail=detail)

    def tell(self, *names: str, body: str = "hello") -> None:
        self.inbox.append_all([Entry(id=EntryId(n), ts=1.0, source="operator", body=body) for n in names])
        self.runner.on_wake()

    async def hook(self, event: str, **fields: Any) -> Any:
        return await self.runner.on_hook({"hook_event_name": event, **fields})

    async def take_turn(self) -> str:
        """The session takes up what it was offered last; gives the prompt's id."""
        self.prompts += 1
        self.harness.conversations.add(self.session_id)
        prompt_id = f"p{self.prompts}"
        assert await self.hook("UserPromptSubmit", prompt_id=prompt_id, prompt=self.link.offers[-1][1]) == {}
        return prompt_id

    async def handle(self) -> None:
        await self.hook("Stop", prompt_id=await self.take_turn())

    def offered(self) -> list[str]:
        return [entry for _, text in self.link.offers for entry in ids_in_frames(text)]

    def recorded(self, name: str) -> list[str]:
        return [receipt.state for receipt in self.receipts.receipts if receipt.id == name]

    def state(self) -> str:
        return str(self.runner.status()["state"])

    def counts(self) -> dict[str, int]:
        return {state: count for state, count in self.runner.status()["inbox"].items() if count}

    @asynccontextmanager
    async def running(self, *, start: int = 1) -> AsyncIterator[None]:
        """From when its session is up: the `start`th, those before it did not last."""
        task = asyncio.ensure_future(self.runner.run())
        try:
            await until(lambda: len(self.terminals.spawned) == start)
            await self.join()
            yield
        finally:
            self.runner.stop()
            await task

    async def looked(self) -> None:
        """Until the runner has looked at everything once more, and done what came of it."""
        before = self.harness.looks
        self.runner.on_link(True)
        await until(lambda: self.harness.looks > before)

    async def join(self) -> None:
        self.runner.on_link(True)
        await until(lambda: self.state() == "idle")


_QUICK = {"inbox": InboxPolicy(seen_timeout_s=10.0, max_attempts=3, max_turn_chars=100)}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_an_entry_is_on_record_before_it_is_offered_and_ends_with_its_turn(world: World) -> None:
    async with world.running():
        world.tell("a", "b")
        assert world.recorded("a") == ["offered"]
        assert (world.offered(), world.link.offers[0][0]) == (["a"], "socket")
        assert world.counts() == {"offered": 1, "queued": 1}
        prompt = await world.take_turn()
        assert world.state() == "busy"
        await world.hook("Stop", prompt_id=prompt)
        assert world.recorded("a") == ["offered", "seen", "handled"]
        assert world.offered() == ["a", "b"]
        await world.hook("StopFailure", prompt_id=await world.take_turn(), error="model_not_found")
        assert world.recorded("b") == ["offered", "seen", "failed"]
        assert world.receipts.receipts[-1].detail == "the model refused: model_not_found"
    assert world.tree.children == 0
    assert world.session.over


async def test_what_waited_on_disk_comes_first_in_order(world: World) -> None:
    world.inbox.append_all([Entry(id=EntryId(n), ts=1.0, source="operator", body=n) for n in ("a", "b")])
    async with world.running():
        await world.handle()
        await world.handle()
        assert world.offered() == ["a", "b"]


async def test_a_late_copy_is_blocked(world: World) -> None:
    async with world.running():
        world.tell("a")
        await world.handle()
        text = world.link.offers[0][1]
        assert (await world.hook("UserPromptSubmit", prompt_id="late", prompt=text))["decision"] == "block"
        assert await world.hook("UserPromptSubmit", prompt_id="mine", prompt="what is new?") == {}


async def test_channels_are_tried_first_where_they_are_wanted(tmp_path: Path) -> None:
    world = World(tmp_path, claude=Claude(channels=True))
    async with world.running():
        world.tell("a")
        world.clock.advance(11)
        await until(lambda: len(world.link.offers) == 2)
        assert [way for way, _ in world.link.offers] == ["channel", "socket"]
        assert [receipt.via for receipt in world.receipts.receipts] == ["channel", "socket"]


async def test_a_long_text_is_kept_beside_its_turn(world: World) -> None:
    async with world.running():
        world.tell("a", body="x" * 101)
        assert "x" * 101 in world.bodies.kept["a"]
        assert "/bodies/a" in world.link.offers[0][1]


# ---- a disk that takes no receipt


async def test_what_arrives_while_nothing_can_be_recorded_is_offered_later(world: World) -> None:
    async with world.running():
        world.receipts.full = True
        world.tell("a")
        assert world.offered() == []
        assert "No space left" in world.runner.status()["detail"]
        world.tell("b")
        world.receipts.full = False
        await until(lambda: world.offered() == ["a"])
        await world.handle()
        await world.handle()
    assert (world.recorded("a"), world.recorded("b")) == (["offered", "seen", "handled"],) * 2


async def test_the_end_of_a_turn_is_recorded_when_there_is_room_again(world: World) -> None:
    async with world.running():
        world.tell("a", "b")
        prompt = await world.take_turn()
        world.receipts.full = True
        await world.hook("Stop", prompt_id=prompt)
        assert world.state() == "idle"
        assert world.recorded("a") == ["offered", "seen"]
        assert world.offered() == ["a"], "nothing is offered that is not on record"
        world.clock.advance(5)
        world.says("idle")
        world.receipts.full = False
        await until(lambda: world.offered() == ["a", "b"])
    assert world.recorded("a") == ["offered", "seen", "handled"]
    assert world.recorded("b") == ["offered"]


async def test_a_turn_that_began_without_room_is_seen_and_ends_once(world: World) -> None:
    async with world.running():
        world.tell("a")
        world.receipts.full = True
        await world.handle()
        assert world.recorded("a") == ["offered"]
        world.receipts.full = False
        await until(lambda: len(world.recorded("a")) == 3)
    assert world.recorded("a") == ["offered", "seen", "handled"]


async def test_what_was_observed_is_written_at_the_latest_when_the_runner_ends(world: World) -> None:
    async with world.running():
        world.tell("a")
        world.receipts.full = True
        await world.handle()
        world.runner.stop()
        world.receipts.full = False
    assert world.recorded("a") == ["offered", "seen", "handled"]


async def test_a_session_that_dies_while_nothing_can_be_recorded_gets_its_entry_again(world: World) -> None:
    async with world.running():
        world.tell("a")
        await world.take_turn()
        world.receipts.full = True
        world.session.exit(3)
        await until(lambda: len(world.terminals.spawned) == 2)
        world.receipts.full = False
        await world.join()
        await until(lambda: world.offered() == ["a", "a"])
        assert "repeat=session-died" in world.link.offers[-1][1]
        await world.handle()
    assert world.recorded("a") == ["offered", "seen", "offered", "seen", "handled"]


async def test_an_offer_is_not_repeated_while_it_cannot_be_recorded(world: World) -> None:
    async with world.running():
        world.tell("a")
        world.receipts.full = True
        world.clock.advance(11)
        await world.looked()
        assert world.offered() == ["a"]
        world.receipts.full = False
        await until(lambda: world.offered() == ["a", "a"])
    assert [receipt.attempt for receipt in world.receipts.receipts] == [1, 2]


# ---- the life of the session


async def test_a_conversation_is_begun_under_an_id_and_resumed_under_it(world: World) -> None:
    async with world.running():
        world.harness.leftovers.add(world.session_id)
        assert world.session.argv == ("session", "--session-id", world.session_id)
        world.session.exit(1)
        await until(lambda: len(world.terminals.spawned) == 2)
        assert world.session.argv == ("session", "--session-id", world.session_id)
        assert not world.harness.leftovers, "what was in its way"
        world.harness.conversations.add(world.session_id)
        await world.join()
        world.session.exit(1)
        await until(lambda: len(world.terminals.spawned) == 3)
        assert world.session.argv == ("session", "--resume", world.session_id)


async def test_an_id_that_was_saved_is_kept_and_its_strays_are_ended(world: World) -> None:
    world.session_file.conversation = Conversation(session_id=SessionId("saved"))
    world.tree.strays["saved"] = 3
    async with world.running():
        assert world.session.env["RELAYFLEET_SESSION"] == "saved"
        assert not world.tree.strays
    assert world.log.of("runner.strays")


async def test_one_that_never_gets_ready_is_given_up_with_its_last_words(world: World) -> None:
    def play(terminal: MemoryTerminal) -> None:
        terminal.print(b"bad flag ")
        terminal.exit(2)

    world.plays = play
    with pytest.raises(FleetError, match=r"it ended 3 times before it was ready \(exit code 2\)") as raised:
        async with asyncio.timeout(20):
            await world.runner.run()
    assert "bad flag" in raised.value.hint


async def test_a_session_without_its_shim_is_started_anew(world: World) -> None:
    async with world.running():
        world.runner.on_link(False)
        await until(lambda: len(world.terminals.spawned) == 2)


# ---- what it is asked


async def test_requests_are_answered_or_refused_with_the_reason(world: World) -> None:
    async with world.running():
        ask = world.runner.on_request
        assert "no turn is under way" in (await ask({"op": "interrupt"}))["error"]
        world.tell("a", "b")
        await world.take_turn()
        assert (await ask({"op": "interrupt"}))["ok"]
        assert bytes(world.session.written) == b"\x1b"
        assert (await ask({"op": "fail", "id": "b", "detail": "not mine"}))["ok"]
        assert world.receipts.receipts[-1].detail == "not mine"
        assert "not in this inbox" in (await ask({"op": "fail", "id": "b"}))["error"]
        assert "cannot do 'dance'" in (await ask({"op": "dance"}))["error"]
        status = await ask({"op": "status"})
        assert (status["state"], status["session_id"]) == ("busy", world.session_id)
        assert (await ask({"op": "stop"}))["ok"]


async def test_an_unknown_entry_cannot_be_given_up_even_when_another_is_offered_then(world: World) -> None:
    async with world.running():
        world.receipts.full = True
        world.tell("a")
        world.receipts.full = False
        assert "not in this inbox" in (await world.runner.on_request({"op": "fail", "id": "?"}))["error"]
        assert world.offered() == ["a"]


# ---- upkeep


async def test_what_has_ended_is_archived_and_no_longer_counted(world: World) -> None:
    async with world.running():
        world.tell("a", "b", "c")
        for _ in range(3):
            await world.handle()
        await until(lambda: world.counts() == {"handled": 3})
        world.upkeep.full = False
        world.clock.advance(60)
        await until(lambda: world.counts() == {"handled": 1})
        assert [entry.id for entry in world.inbox.archived] == ["a", "b"]
        world.tell("d")
        await world.handle()
        assert world.counts() == {"handled": 2}


async def test_nothing_is_archived_between_an_offer_and_its_receipt_or_while_one_is_unsaved(tmp_path: Path) -> None:
    world = World(tmp_path, inbox=InboxPolicy(seen_timeout_s=1000.0))
    async with world.running():
        world.tell("a", "b", "c")
        await world.handle()
        world.upkeep.full = False
        world.clock.advance(60)
        await world.looked()
        assert world.inbox.archived == []
        world.receipts.full = True
        await world.hook("Stop", prompt_id=await world.take_turn())
        world.clock.advance(60)
        await world.looked()
        assert world.inbox.archived == []
        world.receipts.full = False
        await until(lambda: world.offered() == ["a", "b", "c"])
        await world.take_turn()
        world.clock.advance(60)
        await until(lambda: [entry.id for entry in world.inbox.archived] == ["a", "b"])


async def test_an_upkeep_that_fails_is_told_and_holds_nothing_up(world: World) -> None:
    async with world.running():
        await until(lambda: bool(world.log.of("inbox.upkeep_failed")))
        world.tell("a")
        await world.handle()
        assert world.recorded("a") == ["offered", "seen", "handled"]


async def test_what_the_sessions_gh_calls_write_is_kept(tmp_path: Path) -> None:
    world = World(tmp_path)
    url = "https://github.com/acme/WMS/issues/41#issuecomment-9"

    async def used(command: str, **response: str) -> None:
        payload = {"hook_event_name": "PostToolUse", "tool_input": {"command": command}, "tool_response": response}
        assert await world.runner.on_hook(payload) == {}

    await used("gh issue view 41", stdout=url)
    await used("gh issue comment 41 --body hi", stdout=url)
    assert [one.url for one in world.writings.kept if one.url] == [url]
    world.writings.full = True
    await used("gh issue comment 41 --body again", stdout=url)
    assert world.log.of("writings.lost")
    for odd in (
        {},
        {"tool_input": []},
        {"tool_input": {"command": 1}},
        {"tool_input": {"command": "gh issue close 1"}},
    ):
        assert await world.runner.on_hook({"hook_event_name": "PostToolUse", **odd}) == {}
