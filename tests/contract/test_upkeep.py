"""What every `Upkeep` promises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pytest

from relayfleet.errors import StorageFailed
from relayfleet.model.entry import Entry
from relayfleet.model.names import EntryId
from relayfleet.model.receipt import Receipt, states_of
from relayfleet.ports.delivery import Inbox, Receipts, Upkeep
from relayfleet.store.inbox import FileInbox
from relayfleet.store.receipts import FileReceipts
from relayfleet.store.upkeep import FileUpkeep
from relayfleet.testing import MemoryInbox, MemoryReceipts, MemoryUpkeep


@dataclass
class Kind:
    inbox: Inbox
    receipts: Receipts
    upkeep: Upkeep
    reopen: Callable[[], Inbox]
    fill_disk: Callable[[], None]

    def found(self) -> list[EntryId]:
        """What somebody finds who opens the inbox now."""
        return [entry.id for entry in chain.from_iterable(iter(self.reopen().read_new, []))]


def of_files(folder: Path) -> Kind:
    inbox, receipts = folder / "inbox.jsonl", folder / "receipts.jsonl"
    upkeep = FileUpkeep(inbox, receipts, segment_bytes=200)

    def fill_disk() -> None:
        (folder / "archive").write_text("no folder can be made here")

    return Kind(FileInbox(inbox), FileReceipts(receipts), upkeep, lambda: FileInbox(inbox), fill_disk)


def in_memory(folder: Path) -> Kind:
    inbox, receipts = MemoryInbox(), MemoryReceipts()
    upkeep = MemoryUpkeep(inbox, receipts, keep=5)

    def reopen() -> Inbox:
        again = MemoryInbox()
        again.entries, again.archived = inbox.entries, inbox.archived
        return again

    def fill_disk() -> None:
        upkeep.full = True

    return Kind(inbox, receipts, upkeep, reopen, fill_disk)


@pytest.fixture(params=[of_files, in_memory])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    made: Kind = request.param(tmp_path)
    return made


def work_off(kind: Kind, *, count: int = 30, waits: str = "") -> tuple[list[EntryId], set[EntryId]]:
    """Entries that all come to their end, but for the one that waits; which there were and which are archived."""
    ids, archived = [EntryId(f"e{number:02}") for number in range(count)], set[EntryId]()
    for entry_id in ids:
        kind.inbox.append_all([Entry(id=entry_id, ts=1.0, source="operator", body="hello")])
        kind.inbox.read_new()
        if entry_id != waits:
            kind.receipts.append(Receipt(id=entry_id, state="handled", ts=2.0))
        states = dict.fromkeys(ids, "queued") | states_of(kind.receipts.read_all()) | dict.fromkeys(archived, "handled")
        archived |= set(kind.upkeep.step({i: s for i, s in states.items() if i not in archived}))  # type: ignore[misc]
    return ids, archived


def test_what_has_ended_goes_oldest_first_and_the_rest_stays(kind: Kind) -> None:
    ids, archived = work_off(kind)
    assert 0 < len(archived) < len(ids)
    assert archived == set(ids[: len(archived)])
    assert kind.found() == ids[len(archived) :]
    assert [receipt.id for receipt in kind.receipts.read_all()] == ids[len(archived) :]
    assert kind.inbox.read_new() == [], "nothing is read again"


def test_an_entry_that_was_archived_is_not_taken_again(kind: Kind) -> None:
    _, archived = work_off(kind)
    again = [Entry(id=entry_id, ts=1.0, source="operator", body="hello") for entry_id in sorted(archived)]
    assert kind.inbox.append_all(again) == 0


def test_nothing_goes_before_an_entry_that_waits(kind: Kind) -> None:
    ids, archived = work_off(kind, waits="e00")
    assert not archived
    assert kind.found() == ids


def test_a_disk_that_refuses_loses_nothing(kind: Kind) -> None:
    kind.fill_disk()
    with pytest.raises(StorageFailed):
        work_off(kind)
    assert kind.found() == [receipt.id for receipt in kind.receipts.read_all()]
