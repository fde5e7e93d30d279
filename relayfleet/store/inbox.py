"""The inbox of one agent: agents/<name>/state/inbox.jsonl and its segments (format: `model/entry.py`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from relayfleet.errors import StorageFailed
from relayfleet.model.entry import Entry, decode_entry, encode_entry, refuse_long_body
from relayfleet.model.names import EntryId
from relayfleet.store.lines import append_lines, append_locked, lock_of, read_lines
from relayfleet.store.segments import SegmentReader, archived, read_live, segment_numbers, segment_path

# A file's time comes from a coarser clock than an entry's.
_COARSE_S = 1.0


class FileInbox:
    """Appends are durable and whole; reading is incremental."""

    def __init__(self, path: Path, *, encode: Callable[[Entry], bytes] = encode_entry) -> None:
        """`encode` gives an entry's line, newline included."""
        self._path = path
        self._encode = encode
        self._reader = SegmentReader(path)
        self._index = SegmentReader(path)
        self._known: set[EntryId] = set()

    def append_all(self, entries: Sequence[Entry]) -> int:
        """One write and one sync for all. Raises FleetError for a body over MAX_BODY_BYTES, and StorageFailed."""
        for entry in entries:
            refuse_long_body(entry)
        with lock_of(self._path):
            self._catch_up()
            new = {entry.id: entry for entry in reversed(entries) if entry.id not in self._known}
            for known in _in_archive(self._path, new.values()):
                del new[known]
            if new:
                self._append([entry for entry in entries if new.get(entry.id) is entry])
        return len(new)

    def read_new(self) -> list[Entry]:
        while lines := self._reader.read_new():
            if entries := _decode(lines):
                return entries
        return []

    def find(self, ids: Collection[EntryId]) -> list[Entry]:
        return [entry for entry in read_entries(self._path) if entry.id in ids]

    def _append(self, entries: Sequence[Entry]) -> None:
        data = b"".join(map(self._encode, entries))
        before = append_locked(self._path, data)
        active = self._index.active
        if (before.st_ino, before.st_size) == (active.inode, active.offset):
            active.pass_over(data)
            self._known.update(entry.id for entry in entries)

    def _catch_up(self) -> None:
        """Somebody else may have appended, or have taken away what was known."""
        self._index_new()
        if self._index.lost:
            self._index, self._known = SegmentReader(self._path), set()
            self._index_new()

    def _index_new(self) -> None:
        while lines := self._index.read_new():
            self._known.update(entry.id for entry in _decode(lines))


def append_new(path: Path, *entries: Entry) -> None:
    """Adds entries whose ids were just made, without looking for them first. Raises FleetError, StorageFailed."""
    for entry in entries:
        refuse_long_body(entry)
    append_lines(path, [encode_entry(e) for e in entries])


def read_entries(path: Path) -> list[Entry]:
    """Every entry that is not archived; the first of each id counts, lines that are no entries are passed over."""
    return _first_of_each(_decode(read_live(path)))


def read_all_entries(path: Path) -> list[Entry]:
    """As `read_entries`, those that are archived first."""
    live = _decode(read_live(path))  # read before the archive: what is archived meanwhile is in one of them
    return _first_of_each([*_decode_archive(path, since=0.0), *live])


def _in_archive(path: Path, entries: Collection[Entry]) -> set[EntryId]:
    """Those of `entries` that an archived segment holds. What was appended and never marked as done is brought again,
    however late; it is older than the archive then, so that for new ones this is one look at a folder."""
    folder, oldest = archived(path).parent, min((entry.ts for entry in entries), default=0.0) - _COARSE_S
    try:
        if not entries or folder.stat().st_mtime < oldest:
            return set()
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise StorageFailed(f"look at {str(folder)!r}", error.strerror or str(error)) from error
    return {entry.id for entry in entries} & {entry.id for entry in _decode_archive(path, since=oldest)}


def _decode_archive(path: Path, *, since: float) -> Iterable[Entry]:
    """The entries of the archived segments that were written to since then (seconds, UTC)."""
    place = archived(path)
    for number in segment_numbers(place):
        segment = segment_path(place, number)
        try:
            if segment.stat().st_mtime >= since:
                yield from _decode(read_lines(segment))
        except FileNotFoundError:
            continue  # dropped just now
        except OSError as error:
            raise StorageFailed(f"read {str(segment)!r}", error.strerror or str(error)) from error


def _first_of_each(entries: Iterable[Entry]) -> list[Entry]:
    seen: dict[EntryId, Entry] = {}
    for entry in entries:
        seen.setdefault(entry.id, entry)
    return list(seen.values())


def _decode(lines: Iterable[bytes]) -> list[Entry]:
    return [entry for line in lines if (entry := decode_entry(line)) is not None]
