"""The record of an agent stays small: what has ended goes to the archive, and can still be looked at."""

from __future__ import annotations

from pathlib import Path

from relayfleet.model.entry import Entry, new_entry_id
from relayfleet.model.receipt import EntryState, Receipt
from relayfleet.store.inbox import append_new
from relayfleet.store.receipts import FileReceipts
from tests.acceptance.conftest import Fleet
from tests.standins.model import until


def handled(state: Path, *, count: int = 5) -> None:
    """Entries of 1 MiB that have come to their end."""
    entries = [Entry(id=new_entry_id(), ts=1.0, source="operator", body="x" * (1 << 20)) for _ in range(count)]
    append_new(state / "inbox.jsonl", *entries)
    states: tuple[EntryState, ...] = ("offered", "seen", "handled")
    for entry in entries:
        for observed in states:
            FileReceipts(state / "receipts.jsonl").append(Receipt(id=entry.id, state=observed, ts=1.0, via="socket"))


def test_entries_that_have_ended_are_archived_and_work_goes_on(scripted: Fleet) -> None:
    scripted.run("new-agent", "coder")
    state = scripted.root / "agents" / "coder" / "state"
    handled(state)
    scripted.run("start", "coder")
    until((state / "inbox.1.jsonl").exists)
    scripted.tell("coder", "first")
    scripted.wait_for("coder", "handled", count=6)
    scripted.run("stop", "coder")
    assert scripted.status("coder")["inbox"]["handled"] == 6
    handled(state)
    scripted.tell("coder", "second")
    scripted.run("start", "coder")
    until((state / "archive" / "inbox.1.jsonl").exists)
    assert (state / "inbox.2.jsonl").exists()
    until(lambda: scripted.status("coder")["inbox"]["handled"] == 7)
    assert [entry["state"] for entry in scripted.entries("coder")] == ["handled"] * 7
    everything = scripted.json("inbox", "coder", "--all")["entries"]
    assert [entry["attempts"] for entry in everything] == [1] * 12
    assert [entry["body"][:6] for entry in everything] == ["xxxxxx"] * 5 + ["first"] + ["xxxxxx"] * 5 + ["second"]
    scripted.run("stop", "coder")
    assert scripted.status("coder")["inbox"]["handled"] == 7
    scripted.tell("coder", "third")
    scripted.run("start", "coder")
    scripted.wait_for("coder", "handled", count=8)
