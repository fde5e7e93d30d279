"""The receipts file of one agent: agents/<name>/state/receipts.jsonl (format: `model/receipt.py`)."""

from __future__ import annotations

from pathlib import Path

from relayfleet.model.receipt import Receipt, decode_receipt, encode_receipt
from relayfleet.store.lines import LineReader, append_lines


class FileReceipts:
    """Only the runner of the agent writes here."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, receipt: Receipt) -> None:
        append_lines(self._path, [encode_receipt(receipt)])

    def read_all(self) -> list[Receipt]:
        return read_receipts(self._path)


def read_receipts(path: Path) -> list[Receipt]:
    """Every receipt in the order it was written; lines that are no receipts are passed over."""
    lines = LineReader(path).read_new()
    return [receipt for line in lines if (receipt := decode_receipt(line)) is not None]
