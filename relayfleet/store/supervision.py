"""Keeps the supervisor's memory on disk."""

from __future__ import annotations

from pathlib import Path

from relayfleet.model.supervision import Memory, Past, decode_memory, encode_memory
from relayfleet.store.files import make_private_folder, write_atomic


def read_memory(path: Path) -> dict[str, Past]:
    """Empty when there is none, or it cannot be read: then every delay begins anew, which harms nobody."""
    try:
        return decode_memory(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}


def write_memory(path: Path, memory: Memory) -> None:
    """Raises StorageFailed."""
    make_private_folder(path.parent)
    write_atomic(path, encode_memory(memory))
