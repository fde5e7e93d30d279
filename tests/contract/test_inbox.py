"""What every `Inbox` promises."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
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
    assert inbox.append_all([first, second]) == 2
    assert inbox.read_new() == [first, second]
    assert inbox.append_all([third]) == 1
    assert inbox.read_new() == [third]
    assert inbox.read_new() == []


def test_an_id_is_taken_once(inbox: Inbox) -> None:
    assert inbox.append_all([entry("a", "first"), entry("b"), entry("a", "again")]) == 2
    assert inbox.append_all([entry("c"), entry("a", "second")]) == 1
    assert [(e.id, e.body) for e in inbox.read_new()] == [("a", "first"), ("b", "hello"), ("c", "hello")]
    assert inbox.append_all([entry("a", "third")]) == 0, "also after it was read"
    assert inbox.append_all([]) == 0
    assert inbox.read_new() == []


@pytest.mark.parametrize("character", ["x", "é", "🦩"])
def test_a_text_that_is_too_long_is_refused_with_its_whole_group(inbox: Inbox, character: str) -> None:
    most = MAX_BODY_BYTES // len(character.encode())
    with pytest.raises(FleetError, match=f"{MAX_BODY_BYTES + len(character.encode())} bytes"):
        inbox.append_all([entry("a"), entry("b", character * (most + 1))])
    assert inbox.read_new() == []
    assert inbox.append_all([entry("b", character * most)]) == 1
    assert [e.id for e in inbox.read_new()] == ["b"]


def test_much_is_read_in_portions_and_none_is_left_out(inbox: Inbox) -> None:
    entries = [entry(f"e{number}", "x" * 100_000) for number in range(60)]
    assert inbox.append_all(entries) == 60
    assert list(chain.from_iterable(iter(inbox.read_new, []))) == entries
