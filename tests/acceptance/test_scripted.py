"""What the real session is too slow for: order, kills at every step, files that were touched, many agents."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import psutil
import pytest

from tests.acceptance.conftest import Fleet, words_of
from tests.standins.model import until


@pytest.fixture
def coder(scripted: Fleet) -> Fleet:
    scripted.run("new-agent", "coder")
    return scripted


def test_a_hundred_entries_from_eight_tellers_are_each_one_turn_in_order(coder: Fleet) -> None:
    coder.run("start", "coder")
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda n: coder.tell("coder", f"m{n}"), range(24)))
    handled = coder.wait_for("coder", "handled", count=24)
    assert sorted(entry["id"] for entry in handled) == sorted(told)
    assert all([h["state"] for h in entry["history"]] == ["offered", "seen", "handled"] for entry in handled)
    starts = [entry["history"][0]["ts"] for entry in handled]
    assert starts == sorted(starts), "the order of the inbox is the order of the turns"


def _is_seen(coder: Fleet, entry: str) -> bool:
    """Quicker than the command line, which may take as long as the turn."""
    receipts = (coder.root / "agents/coder/state/receipts.jsonl").read_text()
    return any(entry in line and '"seen"' in line for line in receipts.splitlines())


@pytest.mark.parametrize("when", ["idle", "busy"])
def test_the_runner_is_killed_again_and_again_and_nothing_is_lost(coder: Fleet, when: str) -> None:
    coder.run("start", "coder")
    session_id = coder.status("coder")["session_id"]
    for round_number in range(2):
        pid = coder.status("coder")["pid"]
        pause = "[[sleep 4]] " if when == "busy" else ""
        entry = coder.tell("coder", f"{pause}before {round_number}")
        if when == "busy":
            until(partial(_is_seen, coder, entry))
        else:
            coder.wait_for("coder", "handled", count=2 * round_number + 1)
        psutil.Process(pid).kill()
        until(lambda: coder.status("coder")["state"] == "failed")
        coder.tell("coder", f"after {round_number}")
        coder.run("start", "coder")
        coder.wait_for("coder", "handled", count=2 * round_number + 2)
    assert coder.status("coder")["session_id"] == session_id
    entries = coder.entries("coder")
    assert [e["state"] for e in entries] == ["handled"] * 4
    expected = [2, 1, 2, 1] if when == "busy" else [1, 1, 1, 1]
    assert [e["attempts"] for e in entries] == expected
    assert [e["history"][-1]["attempt"] for e in entries] == expected


def test_a_session_that_dies_comes_back_with_its_conversation(coder: Fleet) -> None:
    coder.run("start", "coder")
    coder.tell("coder", "hello")
    coder.wait_for("coder", "handled")
    coder.tell("coder", "[[exit 3]]")
    coder.tell("coder", "after the death")

    def started() -> list[dict[str, Any]]:
        return [line for line in coder.log("coder") if line["action"] == "session.started"]

    until(lambda: len(started()) == 2)
    first, second = started()
    assert (first["resume"], second["resume"]) == (False, True)
    assert first["session_id"] == second["session_id"]
    until(lambda: coder.entries("coder")[1]["attempts"] == 2)
    assert coder.entries("coder")[1]["history"][2]["detail"] == "again: the session died in this turn"


def test_a_torn_line_and_a_line_of_another_program_harm_nothing(coder: Fleet) -> None:
    coder.tell("coder", "first")
    inbox = coder.root / "agents" / "coder" / "state" / "inbox.jsonl"
    with inbox.open("ab") as file:
        file.write(b'{"id": "job-17", "ts": 1, "source": "cron", "body": "of another program"}\n')
        file.write(b'\xff\x00 not json\n[1, 2]\n{"id": "../../x"}\n{"id": "torn by a cra')
    coder.tell("coder", "last")
    coder.run("start", "coder")
    handled = coder.wait_for("coder", "handled", count=3)
    assert [entry["body"] for entry in handled] == ["first", "of another program", "last"]
    assert all(entry["attempts"] == 1 for entry in handled)


def test_an_inbox_that_was_replaced_is_read_anew_without_a_second_turn(coder: Fleet) -> None:
    coder.run("start", "coder")
    coder.tell("coder", "first")
    coder.wait_for("coder", "handled")
    inbox = coder.root / "agents" / "coder" / "state" / "inbox.jsonl"
    copy = inbox.with_name("copy")
    copy.write_bytes(inbox.read_bytes())
    copy.replace(inbox)
    coder.tell("coder", "second")
    handled = coder.wait_for("coder", "handled", count=2)
    assert [entry["attempts"] for entry in handled] == [1, 1]


def test_stop_leaves_no_process_and_what_is_stopped_stays_stopped(coder: Fleet) -> None:
    coder.edit(
        "agents/coder/config.json",
        lambda c: c.update(claude={"mcp_servers": {"own": {"type": "stdio", "command": "sh", "args": ["-c", SERVER]}}}),
    )
    coder.run("start", "coder")
    assert any("stubborn-server" in " ".join(words_of(p)) for p in coder.processes())
    coder.run("stop", "coder")
    assert coder.processes() == []
    status = coder.status("coder")
    assert (status["state"], status["pid"]) == ("stopped", None)
    coder.tell("coder", "waits")
    assert coder.states("coder") == ["queued"]


# A server that ignores requests to end and has a child that left its process group.
SERVER = """
: stubborn-server
trap '' TERM HUP
setsid sleep 300 &
while read -r line; do
  case "$line" in
    *'"initialize"'*) echo '{"jsonrpc":"2.0","id":1,"result":{}}' ;;
    *'"tools/list"'*) echo '{"jsonrpc":"2.0","id":2,"result":{"tools":[]}}' ;;
  esac
done
sleep 300
"""


def test_status_says_what_was_observed_and_how_long_ago(coder: Fleet) -> None:
    coder.run("start", "coder")
    coder.tell("coder", "[[sleep 300]]")
    coder.wait_for("coder", "seen")
    status = coder.status("coder")
    assert status["state"] == "busy"
    assert status["inbox"] == {"queued": 0, "offered": 0, "seen": 1, "handled": 0, "failed": 0, "dead": 0, "dropped": 0}
    assert status["observed_age_s"] is not None
    psutil.Process(status["pid"]).suspend()
    assert coder.status("coder")["state"] == "unresponsive"  # and it does not wait for ever
    psutil.Process(status["pid"]).resume()
    coder.run("interrupt", "coder")
    coder.wait_for("coder", "failed")


def test_an_unreadable_session_file_is_a_clear_failure_and_not_a_new_conversation(coder: Fleet) -> None:
    path = coder.root / "agents" / "coder" / "state" / "session.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text('{"version": 7}')
    done = coder.run("start", "coder", code=1)
    assert "session.json" in done.stderr
    assert "version 7 is not known" in done.stderr
    assert json.loads(path.read_text()) == {"version": 7}
