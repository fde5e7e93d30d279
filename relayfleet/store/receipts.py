"""The receipts file of one agent: agents/<name>/state/receipts.jsonl (format: `model/receipt.py`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from relayfleet.model.receipt import Receipt, decode_receipt, encode_receipt
from relayfleet.store.lines import append_lines, read_lines
from relayfleet.store.segments import archived, segment_numbers, segment_path


class FileReceipts:
    """Only the runner of the agent writes here."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, receipt: Receipt) -> None:
        append_lines(self._path, [encode_receipt(receipt)])

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
