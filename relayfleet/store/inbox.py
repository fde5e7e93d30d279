"""The inbox file of one agent: agents/<name>/state/inbox.jsonl (format: `model/entry.py`)."""

from __future__ import annotations

from pathlib import Path

from relayfleet.errors import FleetError
from relayfleet.model.entry import MAX_BODY_BYTES, Entry, decode_entry, encode_entry
from relayfleet.model.names import EntryId
from relayfleet.store.lines import LineReader, append_lines


class FileInbox:
    """Appends are durable and whole; reading is incremental."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader = LineReader(path)
        self._index = LineReader(path)
        self._known: set[EntryId] = set()

    def append(self, entry: Entry) -> bool:
        """Adds an entry whose id is not there yet; False when it is. Raises FleetError for a body over 8 MiB, and
        StorageFailed."""
        self._known.update(e.id for e in _decode(self._index.read_new()))
        if entry.id in self._known:
            return False
        append_new(self._path, entry)
        return True

    def read_new(self) -> list[Entry]:
        return _decode(self._reader.read_new())


def append_new(path: Path, *entries: Entry) -> None:
    """Adds entries whose ids were just made, without looking for them first. Raises FleetError, StorageFailed."""
    for entry in entries:
        if len(entry.body) > MAX_BODY_BYTES:
            raise FleetError(
                f"add an entry to {str(path)!r}",
                f"the text has {len(entry.body)} characters, at most {MAX_BODY_BYTES} are taken",
                hint="put it into a file and tell the agent where it is",
            )
    append_lines(path, [encode_entry(e) for e in entries])


def read_entries(path: Path) -> list[Entry]:
    """Every entry; the first of each id counts, lines that are no entries are passed over."""
    seen: dict[EntryId, Entry] = {}
    for entry in _decode(LineReader(path).read_new()):
        seen.setdefault(entry.id, entry)
    return list(seen.values())


def _decode(lines: list[bytes]) -> list[Entry]:
    return [entry for line in lines if (entry := decode_entry(line)) is not None]
