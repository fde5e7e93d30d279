"""What every `Receipts` promises."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from relayfleet.model.names import EntryId
from relayfleet.model.receipt import Receipt
from relayfleet.ports.delivery import Receipts
from relayfleet.store.receipts import FileReceipts
from relayfleet.testing import MemoryReceipts

KINDS: dict[str, Callable[[Path], Receipts]] = {
    "file": lambda folder: FileReceipts(folder / "state" / "receipts.jsonl"),
    "memory": lambda folder: MemoryReceipts(),
}


@pytest.fixture(params=KINDS)
def receipts(request: pytest.FixtureRequest, tmp_path: Path) -> Receipts:
    return KINDS[request.param](tmp_path)


def test_all_are_there_each_time_and_in_order(receipts: Receipts) -> None:
    assert list(receipts.read_all()) == []
    written = [
        Receipt(id=EntryId("a"), state="offered", ts=1.25, via="socket"),
        Receipt(id=EntryId("a"), state="seen", ts=2.5, via="socket"),
        Receipt(id=EntryId("b"), state="offered", ts=3.0, via="channel", attempt=2, detail="a\nb \x1b[2J é"),
        Receipt(id=EntryId("a"), state="seen", ts=2.5, via="socket"),
    ]
    for receipt in written:
        receipts.append(receipt)
    assert list(receipts.read_all()) == written
    assert list(receipts.read_all()) == written
