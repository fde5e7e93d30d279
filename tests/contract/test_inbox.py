"""What every `Inbox` promises."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from relayfleet.errors import FleetError
from relayfleet.model.entry import MAX_BODY_BYTES, Entry
from relayfleet.model.names import EntryId
from relayfleet.ports.delivery import Inbox
from relayfleet.store.inbox import FileInbox
from relayfleet.testing import MemoryInbox

KINDS: dict[str, Callable[[Path], Inbox]] = {
    "file": lambda folder: FileInbox(folder / "state" / "inbox.jsonl"),
    "memory": lambda folder: MemoryInbox(),
}


@pytest.fixture(params=KINDS)
def inbox(request: pytest.FixtureRequest, tmp_path: Path) -> Inbox:
    return KINDS[request.param](tmp_path)


def entry(name: str, body: str = "hello") -> Entry:
    return Entry(id=EntryId(name), ts=1.5, source="operator", body=body, metadata={"n": [1, "é"]})


def test_what_is_appended_is_read_once_and_in_order(inbox: Inbox) -> None:
    assert inbox.read_new() == []
    first, second, third = (entry(n, f"text of {n}\n🦩 two lines") for n in "abc")
    assert inbox.append(first)
    assert inbox.append(second)
    assert inbox.read_new() == [first, second]
    assert inbox.append(third)
    assert inbox.read_new() == [third]
    assert inbox.read_new() == []


def test_an_id_is_taken_once(inbox: Inbox) -> None:
    assert inbox.append(entry("a", "first"))
    assert not inbox.append(entry("a", "second"))
    assert [e.body for e in inbox.read_new()] == ["first"]
    assert not inbox.append(entry("a", "third")), "also after it was read"


def test_a_text_that_is_too_long_is_refused(inbox: Inbox) -> None:
    with pytest.raises(FleetError, match="characters"):
        inbox.append(entry("a", "x" * (MAX_BODY_BYTES + 1)))
    assert inbox.read_new() == []
    assert inbox.append(entry("a", "x" * MAX_BODY_BYTES))
