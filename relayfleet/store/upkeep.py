"""Keeps the record of one agent small: its inbox in segments, what has come to an end in the archive.

Done by the agent's runner alone. Each step leaves files that are right as they are, whenever a crash comes:

1. A large `inbox.jsonl` is renamed to `inbox.<n>.jsonl`; whoever appends next begins a new one.
2. A segment of which every entry has come to an end is archived: first the receipts that will not be kept are written
   to `archive/receipts.<n>.jsonl`, then the segment is moved there, then `receipts.jsonl` is replaced by what is kept.
   Ending in between leaves receipts in both places, which changes nothing, and goes when the next segment does.
3. The oldest archives are removed when there is too much of them.

The newest segment stays: a program that had the inbox open when it was renamed may still append to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from relayfleet.errors import LockHeld, StorageFailed
from relayfleet.model.entry import decode_entry
from relayfleet.model.names import EntryId
from relayfleet.model.receipt import ENDS, EntryState, decode_receipt
from relayfleet.store.files import make_private_folder, sync_folder, write_atomic
from relayfleet.store.lines import lock_of, read_lines
from relayfleet.store.segments import archived, segment_numbers, segment_path

SEGMENT_BYTES = 4 * 1024 * 1024
ARCHIVE_BYTES = 64 * 1024 * 1024


class FileUpkeep:
    """Implements `ports.Upkeep`; the sizes are for tests."""

    def __init__(
        self, inbox: Path, receipts: Path, *, segment_bytes: int = SEGMENT_BYTES, archive_bytes: int = ARCHIVE_BYTES
    ) -> None:
        self._inbox = inbox
        self._receipts = receipts
        self._segment_bytes = segment_bytes
        self._archive_bytes = archive_bytes
        self._waits_for: EntryId | None = None

    def step(self, states: Mapping[EntryId, EntryState]) -> frozenset[EntryId]:
        try:
            self._begin_segment()
            numbers = segment_numbers(self._inbox)
            if len(numbers) < 2 or (self._waits_for is not None and states.get(self._waits_for) not in ENDS):
                return frozenset()
            return self._archive(numbers[0], states)
        except OSError as error:
            raise StorageFailed(f"archive entries of {str(self._inbox)!r}", error.strerror or str(error)) from error

    def _begin_segment(self) -> None:
        try:
            if self._inbox.stat().st_size <= self._segment_bytes:
                return
        except FileNotFoundError:
            return
        lock = lock_of(self._inbox)
        try:
            lock.acquire()
        except LockHeld:
            return  # at the next step
        try:
            taken = (*segment_numbers(archived(self._inbox)), *segment_numbers(self._inbox))
            self._inbox.replace(segment_path(self._inbox, max(taken, default=0) + 1))
            sync_folder(self._inbox.parent)
            self._inbox.touch(mode=0o600)
        finally:
            lock.release()

    def _archive(self, number: int, states: Mapping[EntryId, EntryState]) -> frozenset[EntryId]:
        segment = segment_path(self._inbox, number)
        going = {entry.id for line in read_lines(segment) if (entry := decode_entry(line)) is not None}
        self._waits_for = next((entry_id for entry_id in going if states.get(entry_id) not in ENDS), None)
        if self._waits_for is not None:
            return frozenset()
        self._clear_torn()
        with lock_of(self._receipts):
            kept: list[bytes] = []
            gone: list[bytes] = []
            for line in read_lines(self._receipts):
                receipt = decode_receipt(line)
                stays = receipt is not None and receipt.id in states and receipt.id not in going
                (kept if stays else gone).append(line + b"\n")
            make_private_folder(archived(segment).parent)
            write_atomic(archived(segment_path(self._receipts, number)), b"".join(gone))
            segment.replace(archived(segment))
            sync_folder(archived(segment).parent)
            sync_folder(segment.parent)
            write_atomic(self._receipts, b"".join(kept))
        self._drop_oldest()
        return frozenset(going)

    def _clear_torn(self) -> None:
        """What a crash in the middle of an atomic write left."""
        for left in (
            *self._receipts.parent.glob(f".{self._receipts.name}.*.tmp"),
            *archived(self._receipts).parent.glob(".*.tmp"),
        ):
            left.unlink(missing_ok=True)

    def _drop_oldest(self) -> None:
        place = archived(self._inbox)
        pairs = [
            (archived(segment_path(self._receipts, number)), segment_path(place, number))
            for number in segment_numbers(place)
        ]
        sizes = [sum(_size(path) for path in pair) for pair in pairs]
        while len(pairs) > 1 and sum(sizes) > self._archive_bytes:
            for path in pairs.pop(0):  # the segment last: its number says that there is something to drop
                path.unlink(missing_ok=True)
            del sizes[0]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
