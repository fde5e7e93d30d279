"""The receipts file of one agent: agents/<name>/state/receipts.jsonl (format: `model/receipt.py`)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from relayfleet.errors import FleetError
from relayfleet.model.names import EntryId
from relayfleet.model.receipt import (
    DROPPABLE,
    ENTRY_STATES,
    OPERATOR,
    RETRIABLE,
    Receipt,
    decode_receipt,
    encode_receipt,
    states_of,
)
from relayfleet.store.lines import LineReader, append_lines, append_locked, lock_of, read_lines
from relayfleet.store.segments import archived, segment_numbers, segment_path


class FileReceipts:
    """The runner of the agent writes here what it observed; the operator, what he decided of an entry."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, *receipts: Receipt) -> None:
        append_lines(self._path, [encode_receipt(receipt) for receipt in receipts])

    def read_all(self) -> Iterator[Receipt]:
        return read_receipts(self._path)


def read_receipts(path: Path) -> Iterator[Receipt]:
    """Every receipt in the order it was written, but for those of archived entries; lines that are no receipts are
    passed over."""
    return _decode(read_lines(path))


def read_all_receipts(path: Path) -> Iterator[Receipt]:
    """As `read_receipts`, those of archived entries first."""
    live = list(read_lines(path))  # read before the archive: what is archived meanwhile is in one of them, or in both
    place = archived(path)
    old = (line for number in segment_numbers(place) for line in read_lines(segment_path(place, number)))
    return _decode(dict.fromkeys((*old, *live)))


def _decode(lines: Iterable[bytes]) -> Iterator[Receipt]:
    return (receipt for line in lines if (receipt := decode_receipt(line)) is not None)


class ReceiptWatch:
    """What becomes of some entries of one agent, read from its receipts as they are added."""

    def __init__(self, path: Path, ids: Iterable[EntryId]) -> None:
        self._path = path
        self._reader = LineReader(path)
        self._restarts = 0
        self._found: dict[EntryId, list[Receipt]] = {entry_id: [] for entry_id in ids}

    def look(self) -> Mapping[EntryId, Sequence[Receipt]]:
        """Every receipt of each so far, in order. Raises StorageFailed."""
        while lines := self._reader.read_new():
            self._take(_decode(lines))
        if self._reader.restarts != self._restarts:  # some were archived, and the file replaced by what is left
            self._restarts = self._reader.restarts
            self._found = {entry_id: [] for entry_id in self._found}
            self._take(read_all_receipts(self._path))
        return self._found

    def _take(self, receipts: Iterable[Receipt]) -> None:
        for receipt in receipts:
            if receipt.id in self._found:
                self._found[receipt.id].append(receipt)


def decide(path: Path, ids: Collection[EntryId], *, state: Literal["queued", "dropped"], now: float) -> None:
    """The operator has these entries tried again, or drops them: all of them, or none. Durable when it returns. Raises
    FleetError when one cannot be, StorageFailed."""
    may, doing = (RETRIABLE, "retry") if state == "queued" else (DROPPABLE, "drop")
    with lock_of(path):
        states = states_of(read_receipts(path))
        for entry_id in ids:
            found = states.get(entry_id, "queued")
            if found not in may:
                raise FleetError(
                    f"{doing} entry {entry_id!r}",
                    f"it is {found}",
                    hint=f"only what is {' or '.join(one for one in ENTRY_STATES if one in may)} can be",
                )
        attempts = {receipt.id: receipt.attempt for receipt in read_receipts(path) if receipt.id in ids}
        made = [
            Receipt(
                id=entry_id,
                state=state,
                ts=now,
                via=OPERATOR,
                attempt=0 if state == "queued" else attempts.get(entry_id, 0),
            )
            for entry_id in dict.fromkeys(ids)
        ]
        append_locked(path, b"".join(map(encode_receipt, made)))
