"""What one agent wrote on GitHub: agents/<name>/state/authored.jsonl (format: `model/writing.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from relayfleet.model.writing import Writing, encode_writing
from relayfleet.store.files import write_atomic
from relayfleet.store.lines import append_lines

# Far more than anybody answers to: what is older does not come back.
MOST_BYTES = 1024 * 1024


class FileWritings:
    """Implements ports.Writings. Only the runner of the agent writes here."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, writings: Sequence[Writing]) -> None:
        """Raises StorageFailed."""
        append_lines(self._path, [encode_writing(one) for one in writings])
        if self._path.stat().st_size > MOST_BYTES:
            kept = self._path.read_bytes()[-MOST_BYTES // 2 :]
            write_atomic(self._path, kept[kept.find(b"\n") + 1 :])
