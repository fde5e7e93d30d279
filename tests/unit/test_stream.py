"""A headless session's words: what they are taken for, how they are shown, and what becomes of entries by them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relayfleet.harness.spoken import readable
from relayfleet.model.agent import AgentSpec
from relayfleet.model.entry import Entry
from relayfleet.model.names import AgentName, EntryId
from relayfleet.model.permission import Permissions
from relayfleet.runner import session as s
from relayfleet.runner.approvals import Approvals
from relayfleet.runner.deliveries import Deliveries
from relayfleet.runner.stream import Stream
from relayfleet.testing import (
    ManualClock,
    MemoryInbox,
    MemoryLastWords,
    MemoryLog,
    MemoryNotifier,
    MemoryReceipts,
    MemoryRememberedRules,
    MemoryRulings,
    MemoryUpkeep,
)
from relayfleet.wire.stream_json import (
    CLOSING,
    Asked,
    Began,
    Concluded,
    Ended,
    Message,
    Retrying,
    Withdrawn,
    decode,
    encode_permission,
    encode_user,
)


def line(**said: Any) -> bytes:
    return json.dumps(said).encode() + b"\n"


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ({"type": "command_lifecycle", "command_uuid": "u", "state": "queued"}, None),
        ({"type": "command_lifecycle", "command_uuid": "u", "state": "started"}, Began("u")),
        ({"type": "command_lifecycle", "command_uuid": "u", "state": "completed"}, Ended("u", completed=True)),
        ({"type": "command_lifecycle", "command_uuid": "u", "state": "cancelled"}, Ended("u", completed=False)),
        ({"type": "result", "is_error": False, "result": "done"}, Concluded("done", False, "", None)),
        (
            {"type": "result", "is_error": True, "result": "no", "api_error_status": 529, "api_error_type": "busy"},
            Concluded("no", True, "busy", 529),
        ),
        (
            {"type": "result", "is_error": True, "terminal_reason": "aborted_streaming"},
            Concluded("", True, "aborted_streaming", None),
        ),
        (
            {
                "type": "control_request",
                "request_id": "r",
                "request": {"subtype": "can_use_tool", "tool_name": "Bash", "input": {"command": "ls"}},
            },
            Asked("r", "Bash", {"command": "ls"}, ()),
        ),
        ({"type": "control_request", "request_id": "r", "request": {"subtype": "else"}}, None),
        ({"type": "control_cancel_request", "request_id": "r"}, Withdrawn("r")),
        (
            {"type": "system", "subtype": "api_retry", "attempt": 2, "error_status": 529, "error": "overloaded"},
            Retrying(2, 529, "overloaded"),
        ),
        ({"type": "system", "subtype": "init"}, None),
        ({"type": "user", "message": {"content": "hi"}}, Message("user", ({"type": "text", "text": "hi"},))),
        ({"type": "assistant", "message": None}, None),
    ],
)
def test_what_a_line_says(said: dict[str, Any], meaning: object) -> None:
    assert decode(line(**said)) == meaning


@given(st.binary() | st.recursive(st.none() | st.text() | st.integers(), lambda c: st.dictionaries(st.text(), c)))
def test_no_line_is_too_odd(odd: Any) -> None:
    decode(odd if isinstance(odd, bytes) else json.dumps(odd).encode())
    for kind in ("command_lifecycle", "result", "control_request", "system", "assistant", "user"):
        said = decode(line(type=kind, message=odd, request=odd, subtype="api_retry") if isinstance(odd, str) else b"{}")
        if said is not None:
            assert "\x1b" not in readable(said)


def test_what_is_said_to_it_never_stands_where_typed_text_is_read() -> None:
    message = json.loads(encode_user("/clear @/etc/passwd\n!ls", "u"))
    assert [block["text"] for block in message["message"]["content"]] == ["/clear @/etc/passwd\n!ls", CLOSING]
    assert message["uuid"] == "u"
    assert encode_user("a\nb", "u").count(b"\n") == 1


def test_a_decision_names_its_question() -> None:
    answer = json.loads(encode_permission("r", {"behavior": "deny", "message": "no"}))
    assert answer["response"] == {
        "subtype": "success",
        "request_id": "r",
        "response": {"behavior": "deny", "message": "no"},
    }


def test_it_is_shown_in_lines_that_drive_no_terminal() -> None:
    blocks = (
        {"type": "text", "text": "one\x1b]0;title\x07\ntwo"},
        {"type": "tool_use", "name": "Bash", "input": {"command": "ls\x1b[2J"}},
        {"type": "tool_result", "content": [{"type": "text", "text": "x" * 10_000}], "is_error": True},
        {"type": "text", "text": CLOSING},
    )
    shown = readable(Message("assistant", blocks))
    assert "\x1b" not in shown and "\x07" not in shown
    first, second, third, fourth = shown.split("\r\n")[:-1]
    assert (first[:5], second) == ("* one", "  two")
    assert third.startswith("* Bash ")
    assert fourth.startswith("  ! xxx") and len(fourth) < 1_000
    assert readable(Asked("r", "Bash", {"command": "ls"}, ())) == '? may it use Bash: {"command": "ls"}\r\n'
    assert "529" in readable(Retrying(1, 529, "overloaded"))
    assert readable(Began("u")) == ""


class World:
    """One entry's way into a headless session."""

    def __init__(self) -> None:
        spec = AgentSpec(name=AgentName("coder"), role="coder", fleet="f", fleet_id="0" * 12, port=1)
        self.inbox, self.receipts, self.log = MemoryInbox(), MemoryReceipts(), MemoryLog()
        self.words, self.refused, self.accepted = MemoryLastWords(), list[str](), 0
        self.spoken: list[dict[str, Any]] = []
        self.deliveries = Deliveries(
            spec=spec,
            inbox=self.inbox,
            receipts=self.receipts,
            upkeep=MemoryUpkeep(self.inbox, self.receipts),
            bodies=None,  # type: ignore[arg-type] - nothing here is long
            words=self.words,
            log=self.log,
            clock=ManualClock().now,
            on_change=lambda: None,
        )
        self.approvals = Approvals(
            agent="coder",
            permissions=Permissions(),
            rulings=MemoryRulings(),
            remembered=MemoryRememberedRules(),
            notifier=MemoryNotifier(),
            log=self.log,
            clock=ManualClock().now,
            press=lambda keys: "there is no dialog",
        )
        self.stream = Stream(
            self.deliveries,
            self.approvals,
            speak=lambda said: self.spoken.append(json.loads(said)),
            on_refused=lambda kind, words: self.refused.append(kind),
            on_accepted=self._accept,
            log=self.log,
        )
        self.deliveries.link = self.stream
        self.deliveries.feed(s.Linked(True))
        self.deliveries.feed(s.Noticed("idle", 2_000_000_000.0))
        self.inbox.append_all([Entry(id=EntryId("e1"), ts=1.0, source="operator", body="hello")])
        self.deliveries.restore()

    def _accept(self) -> None:
        self.accepted += 1

    @property
    def uuid(self) -> str:
        return str(self.spoken[-1]["uuid"])

    def states(self) -> list[tuple[str, str, str]]:
        return [(r.state, r.via, r.detail) for r in self.receipts.read_all()]


def test_taken_up_and_completed_are_its_receipts() -> None:
    world = World()
    world.stream.take(Began(world.uuid))
    world.stream.take(Concluded("done", False, "", None))
    world.stream.take(Ended(world.uuid, completed=True))
    assert [state[:2] for state in world.states()] == [
        ("offered", "stream"),
        ("seen", "stream"),
        ("handled", "stream"),
    ]
    assert world.accepted == 1
    assert world.words.kept == {"e1": "done"}


@pytest.mark.parametrize(
    ("conclusion", "detail"),
    [
        (Concluded("API Error: 400 bad", True, "invalid_request_error", 400), "the model refused: API Error: 400 bad"),
        (Concluded("", True, "aborted_streaming", None), "interrupted"),
        (None, "interrupted"),
    ],
)
def test_a_turn_that_was_cancelled_failed(conclusion: Concluded | None, detail: str) -> None:
    world = World()
    world.stream.take(Began(world.uuid))
    if conclusion is not None:
        world.stream.take(conclusion)
    world.stream.take(Ended(world.uuid, completed=False))
    assert world.states()[-1] == ("failed", "stream", detail)
    assert world.accepted == 0


@pytest.mark.parametrize(
    ("conclusion", "kind"),
    [
        (Concluded("API Error: 401", True, "authentication_error", 401), "authentication_failed"),
        (Concluded("API Error: 429", True, "rate_limit_error", 429), "rate_limit"),
        (Concluded("API Error: 529", True, "overloaded_error", 529), "server_error"),
        (Concluded("Unable to connect", True, "api_error", None), "server_error"),
    ],
)
def test_a_refusal_that_may_pass_brings_the_entry_back(conclusion: Concluded, kind: str) -> None:
    world = World()
    world.stream.take(Began(world.uuid))
    world.stream.take(conclusion)
    world.stream.take(Ended(world.uuid, completed=False))
    assert world.refused == [kind]
    assert "failed" not in [state[0] for state in world.states()]


async def test_what_it_may_not_unasked_waits_for_a_person() -> None:
    world = World()
    world.stream.take(Began(world.uuid))
    world.stream.take(Asked("r", "Bash", {"command": "rm x"}, ()))
    await asyncio.sleep(0)
    (item,) = world.approvals.listed()
    assert (item["tool"], item["entry"]["id"]) == ("Bash", "e1")
    world.approvals.decide(item["id"], "allow", by="operator", reason="", always=False, answer=None)
    for _ in range(5):
        await asyncio.sleep(0)
    response = world.spoken[-1]["response"]
    assert response["request_id"] == "r"
    assert response["response"] == {"behavior": "allow", "updatedInput": {"command": "rm x"}}


async def test_what_is_withdrawn_needs_no_answer() -> None:
    world = World()
    world.stream.take(Began(world.uuid))
    spoken = len(world.spoken)
    world.stream.take(Asked("r", "Bash", {"command": "rm x"}, ()))
    await asyncio.sleep(0)
    world.stream.take(Withdrawn("r"))
    for _ in range(5):
        await asyncio.sleep(0)
    world.approvals.session_over()
    assert len(world.spoken) == spoken


def test_somebody_elses_message_touches_no_entry() -> None:
    world = World()
    world.stream.take(Began("other"))
    world.stream.take(Ended("other", completed=True))
    assert [state[0] for state in world.states()] == ["offered"]


def test_that_the_endpoint_refuses_is_said_while_it_does() -> None:
    world = World()
    world.stream.take(Began(world.uuid))
    world.stream.take(Retrying(3, 529, "overloaded"))
    assert "529" in world.stream.detail
    world.stream.take(Concluded("done", False, "", None))
    assert world.stream.detail == ""
