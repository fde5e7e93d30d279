"""What a runner makes of an inbox and its receipts when it starts."""

from __future__ import annotations

from collections import Counter

import pytest

from relayfleet.model.entry import Entry
from relayfleet.model.names import EntryId
from relayfleet.model.receipt import Observed, Receipt
from relayfleet.runner.entries import Entries
from relayfleet.runner.session import Pending


def entry(name: str, body: str = "") -> Entry:
    return Entry(id=EntryId(name), ts=1.0, source="operator", body=body)


def receipts(name: str, *states: Observed, attempt: int = 1) -> list[Receipt]:
    return [Receipt(id=EntryId(name), state=state, ts=1.0, attempt=attempt) for state in states]


def test_what_is_left_of_an_earlier_runner_and_its_priority() -> None:
    held = Entries()
    written = [
        *receipts("done", "offered", "seen", "handled"),
        *receipts("given-up", "failed"),
        *receipts("unseen", "offered", attempt=2),
        *receipts("in-turn", "offered", "seen"),
    ]
    urgent = Entry(id=EntryId("new"), ts=1.0, source="github", body="", metadata={"priority": 5})
    odd = Entry(id=EntryId("odd"), ts=1.0, source="github", body="", metadata={"priority": "high"})
    found = held.restore([entry("done"), urgent, entry("given-up"), entry("unseen"), entry("in-turn")], written)
    assert found == (
        Pending(id=EntryId("new"), priority=5),
        Pending(id=EntryId("unseen"), attempts=2),
        Pending(id=EntryId("in-turn"), attempts=1, repeat=True),
    )
    assert Entries().add([odd]) == (Pending(id=EntryId("odd")),)
    assert held.counts == Counter(handled=1, queued=1, failed=1, offered=1, seen=1)


def test_a_repeat_stays_one_when_it_was_only_offered_again() -> None:
    written = [*receipts("x", "offered", "seen"), *receipts("x", "offered", attempt=2)]
    assert Entries().restore([entry("x")], written) == (Pending(id=EntryId("x"), attempts=2, repeat=True),)


def test_the_first_line_of_an_id_counts() -> None:
    held = Entries()
    assert len(held.restore([entry("x", "first"), entry("x", "second")], [])) == 1
    assert held.add([entry("x", "third"), entry("y")]) == (Pending(id=EntryId("y")),)
    assert held.get(EntryId("x")).body == "first"


def test_counts_follow_the_receipts_and_ends_are_forgotten() -> None:
    held = Entries()
    held.add([entry("x"), entry("y")])
    for state in ("offered", "seen", "handled"):
        held.move(EntryId("x"), state)  # type: ignore[arg-type]
    assert {k: v for k, v in held.counts.items() if v} == {"handled": 1, "queued": 1}
    with pytest.raises(KeyError):
        held.get(EntryId("x"))
    held.move(EntryId("x"), "failed")
    assert held.counts["failed"] == 0, "an end is never left"


def test_receipts_of_entries_that_are_not_there_change_nothing() -> None:
    held = Entries()
    assert held.restore([], receipts("gone", "offered")) == ()
    assert not +held.counts
