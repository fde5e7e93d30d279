"""The life of a session in a runner over fakes: what each way to die, to be refused and to be held leads to."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from relayfleet.errors import FleetError, StorageFailed
from relayfleet.model.agent import InboxPolicy, Session
from relayfleet.model.conversation import Conversation
from relayfleet.model.names import SessionId
from relayfleet.ports.session import Cut, TurnProgress
from relayfleet.runner import daemon
from relayfleet.testing import MemoryTerminal
from tests.unit.test_runner import World, until


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "_ROOM_AGAIN_S", 0.01)
    monkeypatch.setattr(daemon, "_LOGIN_AGAIN_S", 0.01)


def status(world: World) -> dict[str, Any]:
    return world.runner.status()


async def given_up(world: World) -> FleetError:
    with pytest.raises(FleetError) as raised:
        async with asyncio.timeout(20):
            await world.runner.run()
    return raised.value


async def spawned(world: World, count: int) -> None:
    await until(lambda: len(world.terminals.spawned) == count)


# ---- a history that cannot be resumed


async def test_a_refused_resume_begins_anew_under_the_same_id_and_says_so(world: World) -> None:
    known = SessionId("known")
    world.session_file.conversation = Conversation(session_id=known, agent="coder", history=True)
    world.harness.conversations.add(known)
    world.harness.says_why["No conversation found"] = "resume_refused"

    def play(terminal: MemoryTerminal) -> None:
        if "--resume" in terminal.argv:
            terminal.print(b"No conversation found with session ID")
            terminal.exit(1)
        else:
            world.says("idle")

    world.plays = play
    async with world.running(start=2):
        assert world.session.argv == ("session", "--session-id", known)
        assert world.harness.archived == [known]
        assert world.log.of("session.history_lost")
        prompted = await world.hook("UserPromptSubmit", prompt_id="p", prompt="hello")
        told = prompted["hookSpecificOutput"]["additionalContext"]
        assert "could not be resumed" in told
        assert f"archive/{known}" in told
        assert await world.hook("UserPromptSubmit", prompt_id="q", prompt="again") == {}, "once"


async def test_an_id_that_is_refused_altogether_is_left(world: World) -> None:
    world.harness.says_why["already in use"] = "resume_refused"
    first = SessionId("first")
    world.session_file.conversation = Conversation(session_id=first, agent="coder")

    def play(terminal: MemoryTerminal) -> None:
        if first in terminal.argv:
            terminal.print(b"Session ID is already in use")
            terminal.exit(1)
        else:
            world.says("idle")

    world.plays = play
    async with world.running(start=2):
        assert world.session_id != first
        assert [former.session_id for former in world.session_file.conversation.former] == [first]


async def test_a_history_that_is_gone_is_told_and_one_that_never_was_is_not(world: World) -> None:
    world.session_file.conversation = Conversation(session_id=SessionId("x"), agent="coder", history=True)
    async with world.running():
        answer = await world.hook("UserPromptSubmit", prompt_id="p", prompt="hello")
        assert "holds none any more" in answer["hookSpecificOutput"]["additionalContext"]
        world.session.exit(1)
        await spawned(world, 2)
        await world.join()
        assert await world.hook("UserPromptSubmit", prompt_id="p", prompt="hello") == {}


async def test_a_transcript_that_cannot_be_read_is_not_thrown_away(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(session_id: SessionId) -> bool:
        raise StorageFailed("read 'x.jsonl'", "Input/output error", fault="transcript_corrupt")

    monkeypatch.setattr(world.harness, "has_conversation", fails)
    assert (await given_up(world)).fault == "transcript_corrupt"
    assert world.harness.archived == []


# ---- whose conversation it is


async def test_a_copied_folder_is_refused_until_it_has_a_conversation_of_its_own(world: World) -> None:
    world.session_file.conversation = Conversation(session_id=SessionId("x"), agent="original")
    world.session_file.others = ["original"]
    world.tree.strays["x"] = 2
    error = await given_up(world)
    assert error.fault == "session_held"
    assert "original" in str(error)
    assert world.tree.strays, "the original's processes are not touched"
    world.session_file.asked = "request"
    async with world.running():
        assert world.session_id != "x"


async def test_the_original_of_a_copy_goes_on(world: World) -> None:
    world.session_file.conversation = Conversation(session_id=SessionId("x"), agent="coder")
    world.session_file.others = ["copy"]
    async with world.running():
        assert world.session_id == "x"


async def test_a_conversation_that_somebody_else_has_open_is_not_started(world: World) -> None:
    world.harness.holder = 4711
    error = await given_up(world)
    assert (error.fault, "4711" in str(error)) == ("session_held", True)
    assert not world.terminals.spawned


async def test_one_that_somebody_else_opens_is_let_go(world: World) -> None:
    with pytest.raises(FleetError, match="4711"):
        async with world.running():
            world.harness.holder = 4711
            await until(lambda: world.session.over)
            await until(lambda: bool(world.log.of("session.held_elsewhere")))
            async with asyncio.timeout(60):
                while world.runner._given_up is None:
                    await asyncio.sleep(0.01)
            await until(lambda: world.tree.children == 0)
            await asyncio.sleep(0.1)


# ---- a new conversation on purpose


async def test_a_fresh_conversation_is_begun_once_and_the_old_one_is_archived(world: World) -> None:
    old = SessionId("old")
    world.session_file.conversation = Conversation(session_id=old, agent="coder", history=True)
    world.harness.conversations.add(old)
    world.session_file.asked = "request"
    async with world.running():
        new = world.session_id
        assert (new != old, world.session_file.asked) == (True, "")
        assert world.harness.archived == [old]
    # Killed after the record was written and before the request was taken away:
    again = World(world.harness.folder)
    again.session_file.conversation, again.session_file.asked = world.session_file.conversation, "request"
    async with again.running():
        assert again.session_id == new


async def test_a_record_that_cannot_be_read_gives_way_to_a_fresh_one(world: World) -> None:
    world.session_file.broken = True
    assert (await given_up(world)).fault == "transcript_corrupt"
    world.session_file.asked = "request"
    async with world.running():
        assert world.session_id


# ---- the turn that was cut off


async def test_a_cut_off_turn_of_a_person_is_told_once_and_before_what_waits(tmp_path: Path) -> None:
    world = World(tmp_path, inbox=InboxPolicy())
    known = SessionId("known")
    world.session_file.conversation = Conversation(session_id=known, agent="coder", history=True)
    world.harness.conversations.add(known)
    world.harness.cuts[known] = Cut(id="prompt-1", prompt="mend the pump\n@/etc/passwd")
    world.tell("a")
    async with world.running():
        (_, text) = world.link.offers[0]
        assert text.startswith("[FROM fleet | interrupted | id=")
        assert "was interrupted" in text
        assert "> mend the pump" in text
        assert "@/etc" not in text
        await world.handle()
        world.session.exit(1)
        await spawned(world, 2)
        await world.join()
        await until(lambda: world.offered()[-1] == "a")
        assert len(world.inbox.entries) == 2, "once"


async def test_a_cut_off_turn_of_an_entry_is_told_by_its_repeat(world: World) -> None:
    known = SessionId("known")
    world.session_file.conversation = Conversation(session_id=known, agent="coder", history=True)
    world.harness.conversations.add(known)
    world.harness.cuts[known] = Cut(id="prompt-1", prompt="[FROM operator | message | id=abc]\nhello")
    async with world.running():
        assert world.inbox.entries == []


# ---- what changed


async def test_a_changed_brief_is_told_with_the_next_turn(world: World) -> None:
    async with world.running():
        world.tell("a")
        await world.handle()
        world.harness.briefs["CLAUDE.md"] = "2"
        world.session.exit(1)
        await spawned(world, 2)
        await world.join()
        answer = await world.hook("UserPromptSubmit", prompt_id="p", prompt="hello")
        assert "Your brief changed" in answer["hookSpecificOutput"]["additionalContext"]
        assert len(world.log.of("session.brief_changed")) == 1
        assert await world.hook("UserPromptSubmit", prompt_id="p", prompt="hello") == {}


# ---- a model that refuses


async def test_nothing_is_offered_while_the_login_is_refused_and_new_credentials_mend_it(world: World) -> None:
    async with world.running():
        world.tell("a", "b")
        prompt = await world.take_turn()
        await world.hook(
            "StopFailure", prompt_id=prompt, error="authentication_failed", last_assistant_message="Please run /login"
        )
        assert status(world)["reason"] == "login_expired"
        assert "Please run /login" in status(world)["detail"]
        assert "fleet login coder" in status(world)["hint"]
        assert world.offered() == ["a"]
        world.clock.advance(500)
        await world.looked()
        assert world.offered() == ["a"]
        world.harness.login = "another"
        await spawned(world, 2)
        await world.join()
        world.clock.advance(10)
        await world.looked()
        await until(lambda: world.offered() == ["a", "a"])
        assert status(world)["reason"] is None
        assert world.log.of("session.renewed")
        await world.handle()
        await world.handle()
    assert world.recorded("a")[-1] == world.recorded("b")[-1] == "handled"


async def test_an_endpoint_that_is_down_is_tried_again_after_a_while_and_burns_no_entry(world: World) -> None:
    async with world.running():
        world.tell("a")
        prompt = await world.take_turn()
        await world.hook("StopFailure", prompt_id=prompt, error="server_error", last_assistant_message="529 overloaded")
        assert (status(world)["reason"], world.offered()) == ("endpoint_down", ["a"])
        assert "529 overloaded" in status(world)["detail"]
        world.clock.advance(16)
        await until(lambda: world.offered() == ["a", "a"])
        await world.handle()
        assert status(world)["reason"] is None
    assert world.recorded("a")[-1] == "handled"


# ---- a full disk


@pytest.mark.parametrize("what", ["harness", "session_file"])
async def test_a_full_disk_is_waited_for(world: World, what: str) -> None:
    full = getattr(world, what)
    full.full = True
    task = asyncio.ensure_future(world.runner.run())
    await until(lambda: status(world)["reason"] == "disk_full")
    assert "No space left" in status(world)["detail"]
    assert not world.terminals.spawned
    full.full = False
    await spawned(world, 1)
    await world.join()
    assert status(world)["reason"] is None
    world.runner.stop()
    await task
    assert len(world.log.of("disk.full")) == 1


async def test_a_runner_that_waits_for_room_can_be_stopped(world: World) -> None:
    world.harness.full = True
    task = asyncio.ensure_future(world.runner.run())
    await until(lambda: status(world)["reason"] == "disk_full")
    world.runner.stop()
    with pytest.raises(StorageFailed):
        await task


# ---- evidence


async def test_what_is_seen_of_a_session_has_its_age(world: World) -> None:
    async with world.running():
        world.session.print(b"hello")
        await world.hook("PostToolUse")
        await until(lambda: status(world)["evidence"]["output"] == 0.0)
        world.clock.advance(3)
        assert status(world)["evidence"] == {"registry": 3.0, "hook": 3.0, "transcript": None, "output": 3.0}


async def test_a_session_that_claims_to_work_and_shows_no_life_is_unresponsive_until_it_does(tmp_path: Path) -> None:
    world = World(tmp_path, session=Session(unresponsive_s=100.0))
    async with world.running():
        world.tell("a")
        prompt = await world.take_turn()
        world.says("busy")
        await world.looked()
        world.clock.advance(101)
        await until(lambda: world.state() == "unresponsive")
        assert "nothing was seen of it" in status(world)["detail"]
        assert [notice.event for notice in world.notifier.notices] == ["agent_unresponsive"]
        world.session.print(b"*")
        await until(lambda: world.state() == "busy")
        await world.hook("Stop", prompt_id=prompt)
        assert world.recorded("a")[-1] == "handled"
    assert len(world.log.of("session.unresponsive")) == 1


async def test_what_a_long_turn_waits_for_is_told(world: World) -> None:
    async with world.running():
        world.tell("a")
        await world.take_turn()
        world.says("busy")
        world.harness.waits_for = TurnProgress(at=world.clock.now(), tool="Bash", tool_since=world.clock.now())
        world.clock.advance(2520)
        world.session.print(b"*")
        await until(lambda: status(world)["detail"] == "in Bash for 42 min")
        assert world.state() == "busy"


# ---- deaths


async def test_one_that_dies_again_and_again_in_its_turns_is_given_up_by_name(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relayfleet.runner.lives.BACK_OFF_S", (0.0,))
    with pytest.raises(FleetError) as raised:
        async with world.running():
            for count in range(1, 11):
                await spawned(world, count)
                await world.join()
                await world.hook("UserPromptSubmit", prompt_id="p", prompt="die")
                world.session.exit(3)
                await until(lambda: world.runner._terminal is None or not world.session.over)
            async with asyncio.timeout(60):
                while world.runner._deaths < 10:
                    await asyncio.sleep(0.01)
    assert raised.value.fault == "crashed_in_turn"
