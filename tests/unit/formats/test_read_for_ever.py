"""State files as each version wrote them, kept beside this file, read by the code of today.

A sample is never changed. A new format gets a folder of its own, and its samples join those that are here.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from relayfleet.model.names import AgentName, EntryId, SessionId
from relayfleet.model.receipt import states_of
from relayfleet.model.writing import Writing, decode_writing
from relayfleet.store.failure import read_failure
from relayfleet.store.inbox import FileInbox, read_entries
from relayfleet.store.intent import read_intent, read_wish
from relayfleet.store.receipts import read_receipts
from relayfleet.store.router_db.cursor import SqliteCursor
from relayfleet.store.session import JsonSessionFile
from relayfleet.wire.launch import decode_launch, encode_launch

V1 = Path(__file__).parent / "v1"


def test_session() -> None:
    found = JsonSessionFile(V1 / "session.json").load()
    assert found is not None
    assert found.session_id == SessionId("11111111-2222-3333-4444-555555555555")
    assert found.created == 1_700_000_000.5


def test_a_session_that_was_read_and_written_again_is_the_same(tmp_path: Path) -> None:
    shutil.copy(V1 / "session.json", tmp_path)
    file = JsonSessionFile(tmp_path / "session.json")
    before = file.load()
    assert before is not None
    file.save(before)
    assert file.load() == before


def test_intent() -> None:
    assert read_intent(V1 / "intent.json") == "running"
    assert read_wish(V1 / "intent.json").wanted


def test_launch() -> None:
    spec = decode_launch((V1 / "launch.json").read_bytes())
    assert (spec.name, spec.role, spec.fleet_id, spec.port, spec.repo) == (
        AgentName("coder"),
        "coder",
        "0123456789ab",
        8700,
        "acme/WMS",
    )
    assert (spec.claude.command, spec.claude.args) == (("npx", "claude"), ("--verbose",))
    assert (spec.claude.endpoint.mode, spec.claude.endpoint.url) == ("custom", "http://127.0.0.1:1")
    assert (spec.credentials["k"].from_command, spec.credentials["k"].as_env) == (("pass", "x"), "K")
    assert (spec.inbox.seen_timeout_s, spec.inbox.max_attempts, spec.inbox.max_turn_chars) == (3.0, 2, 100)
    assert decode_launch(encode_launch(spec)) == spec


def test_failure() -> None:
    found = read_failure(V1 / "failure.json")
    assert found["error"] == "cannot run 'claude': it is not found on PATH"
    assert found["hint"] == "install it"


def test_inbox_and_receipts(tmp_path: Path) -> None:
    first, second = read_entries(V1 / "inbox.jsonl")
    assert (first.id, first.ts, first.source) == (EntryId("00000000000000aa"), 1_700_000_000.5, "operator")
    assert (first.body, first.metadata) == ("héllo\n☃", {"from": "ann"})
    assert states_of(read_receipts(V1 / "receipts.jsonl")) == {first.id: "handled"}
    shutil.copy(V1 / "inbox.jsonl", tmp_path)
    inbox = FileInbox(tmp_path / "inbox.jsonl")
    assert inbox.append_all([first, second]) == 0  # they are known by their ids
    assert [entry.id for entry in inbox.read_new()] == [first.id, second.id]


def test_authored() -> None:
    assert [decode_writing(line) for line in (V1 / "authored.jsonl").read_bytes().splitlines()] == [
        Writing(at=1_700_000_000.5, url="https://github.com/acme/WMS/issues/4#issuecomment-1"),
        Writing(at=1_700_000_001.0, repo="acme/WMS", number=4),
    ]


@pytest.mark.parametrize("name", ["inbox.jsonl", "receipts.jsonl", "authored.jsonl"])
def test_a_key_that_a_later_version_adds_to_a_line_is_passed_over(name: str, tmp_path: Path) -> None:
    """Lines have no version: keys are only ever added, and none is needed."""
    lines = [json.loads(line) for line in (V1 / name).read_bytes().splitlines()]
    (tmp_path / name).write_text("".join(json.dumps({**line, "later": [1]}) + "\n" for line in lines))
    for folder in (V1, tmp_path):
        read = {
            "inbox.jsonl": lambda path: [(e.id, e.body) for e in read_entries(path)],
            "receipts.jsonl": lambda path: list(read_receipts(path)),
            "authored.jsonl": lambda path: [decode_writing(line) for line in path.read_bytes().splitlines()],
        }[name]
        assert read(folder / name) == read(V1 / name)
        assert read(folder / name)


def test_the_routers_memory(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "router.db") as database:
        database.executescript((V1 / "router.sql").read_text())
    database.close()
    cursor = SqliteCursor(tmp_path / "router.db")
    assert cursor.watches() == {}
    assert list(cursor.cooldowns()) == []
    cursor.close()
