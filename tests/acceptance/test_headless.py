"""A headless session of the real `claude`: the same promises as the interactive one, by messages instead of a
terminal."""

from __future__ import annotations

import signal
from typing import Any

import psutil
import pytest

from tests.acceptance.conftest import Fleet
from tests.standins.model import ModelStandin, until

pytestmark = pytest.mark.needs("claude")


@pytest.fixture
def headless(real: Fleet) -> Fleet:
    def change(config: dict[str, Any]) -> None:
        config["defaults"]["session"] = {"mode": "headless"}

    real.edit("fleet.json", change)
    real.run("new-agent", "coder")
    real.run("start", "coder")
    return real


def test_a_message_becomes_a_turn_with_exact_receipts(headless: Fleet, model: ModelStandin) -> None:
    assert headless.status("coder")["state"] == "idle"
    entry_id = headless.tell("coder", "look", "at", "this")
    (entry,) = headless.wait_for("coder", "handled")
    assert [h["state"] for h in entry["history"]] == ["offered", "seen", "handled"]
    assert (entry["via"], entry["attempts"]) == ("stream", 1)
    assert model.has_seen(f"[FROM operator | message | id={entry_id}]\nlook at this")
    headless.run("stop", "coder")
    assert headless.processes() == []


def test_entries_queued_while_busy_get_turns_of_their_own(headless: Fleet) -> None:
    headless.tell("coder", "[[sleep 2]] one")
    headless.wait_for("coder", "seen")
    headless.tell("coder", "two")
    headless.tell("coder", "three")
    assert headless.states("coder") == ["seen", "queued", "queued"]
    headless.wait_for("coder", "handled", count=3)
    times = [h["ts"] for entry in headless.entries("coder") for h in entry["history"]]
    assert sorted(times) == times, "a turn began before the one before it had ended"


def test_an_interrupted_turn_is_failed_and_the_next_goes_on(headless: Fleet) -> None:
    headless.tell("coder", "[[sleep 60]] long")
    headless.wait_for("coder", "seen")
    headless.tell("coder", "next")
    until(lambda: headless.status("coder")["state"] == "busy")
    headless.run("interrupt", "coder")
    headless.wait_for("coder", "handled")
    first, second = headless.entries("coder")
    assert (first["state"], first["history"][-1]["detail"]) == ("failed", "interrupted")
    assert second["state"] == "handled"


def test_a_refused_model_request_is_a_failed_entry(headless: Fleet) -> None:
    headless.tell("coder", "[[http 400]]")
    (entry,) = headless.wait_for("coder", "failed")
    assert "the model refused: API Error: 400" in entry["history"][-1]["detail"]


@pytest.mark.parametrize("first_turn", [False, True])
def test_kill_9_in_a_turn_comes_back_with_its_history(headless: Fleet, model: ModelStandin, first_turn: bool) -> None:
    if first_turn:
        headless.tell("coder", "the word is heron")
        headless.wait_for("coder", "handled")
    before = headless.status("coder")
    headless.tell("coder", "[[sleep 3]] killed in this")
    headless.wait_for("coder", "seen")
    runner = psutil.Process(before["pid"])
    session = next(p for p in runner.children() if "stream-json" in p.cmdline())
    session.send_signal(signal.SIGKILL)
    *_, entry = headless.wait_for("coder", "handled", count=1 + first_turn, within_s=60)
    assert [h["state"] for h in entry["history"]] == ["offered", "seen", "offered", "seen", "handled"]
    assert headless.status("coder")["session_id"] == before["session_id"]
    assert model.has_seen("repeat=session-died")
    if first_turn:
        assert "the word is heron" in str(model.requests[-1]["messages"])


def test_a_tool_call_reaches_the_plugin_and_back(headless: Fleet, model: ModelStandin) -> None:
    headless.run("new-agent", "two")
    headless.tell("coder", '[[tool mcp__relayfleet__tell {"agent": "two", "message": "over to you"}]]')
    headless.wait_for("coder", "handled")
    (entry,) = headless.entries("two")
    assert (entry["source"], entry["body"]) == ("agent", "over to you")
    assert model.has_seen(f"queued for two as entry {entry['id']}")


def test_nothing_in_a_message_opens_a_file_or_runs_a_command(headless: Fleet, model: ModelStandin) -> None:
    """A message to a headless session is read like typed text."""
    work = headless.root / "agents" / "coder" / "work"
    (work / "planted.txt").write_text("PLANTED-WORDS")
    headless.tell("coder", "the words before")
    headless.wait_for("coder", "handled")
    for text in (
        "look at @planted.txt",
        f"@{work}/planted.txt",
        "/clear",
        "!cat planted.txt",
        "```\n@planted.txt\n```",
    ):
        headless.tell("coder", text)
    headless.wait_for("coder", "handled", count=6)
    assert not model.has_seen("PLANTED-WORDS")
    assert model.has_seen("look at @planted.txt")
    assert "the words before" in str(model.requests[-1]["messages"]), "/clear was obeyed"


def test_its_screen_is_readable_lines(headless: Fleet) -> None:
    headless.tell("coder", "say \x1b]52;c;aGk=\x07it [[say here it is]]")
    headless.wait_for("coder", "handled")
    shown = headless.run("logs", "coder").stdout
    assert "* here it is" in shown
    assert "\x1b" not in shown


def test_what_it_may_not_unasked_waits_for_a_person(headless: Fleet, model: ModelStandin) -> None:
    """By the control protocol: allowed once, refused with a reason, and answered only once."""
    made = headless.root / "agents" / "coder" / "work" / "made"
    headless.edit("agents/coder/config.json", lambda c: c.update(claude={"permission_mode": "default"}))
    headless.run("restart", "coder")
    headless.tell("coder", '[[tool Bash {"command": "touch made", "description": "d"}]] go')
    item = until(lambda: headless.json("approvals")["approvals"])[0]
    assert (item["agent"], item["tool"], item["input"]["command"]) == ("coder", "Bash", "touch made")
    assert not made.exists()
    headless.run("approve", item["id"])
    headless.wait_for("coder", "handled")
    assert made.exists()
    headless.tell("coder", '[[tool Bash {"command": "touch other", "description": "d"}]] go')
    item = until(lambda: headless.json("approvals")["approvals"])[0]
    headless.run("deny", item["id"], "--reason", "not on a Friday")
    headless.wait_for("coder", "handled", count=2)
    assert model.has_seen("not on a Friday")
    assert headless.run("approve", item["id"], code=1).stderr
    assert headless.json("approvals")["approvals"] == []
