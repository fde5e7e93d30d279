"""An append-only file in segments, so that it can be kept small under writers that take no lock.

`inbox.jsonl` is never copied and replaced: when it is large it is renamed to `inbox.<n>.jsonl` (n counts up) and a new
one is begun. Who still had the old one open appends to the segment, which is read to its end all the same. Segments of
which nothing is needed any more lie in the folder `archive` beside it. `upkeep.py` does the renaming.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from relayfleet.errors import StorageFailed
from relayfleet.store.files import BINARY
from relayfleet.store.lines import LineReader


def segment_path(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}.{number}{path.suffix}")


def archived(path: Path) -> Path:
    """Where a segment, or what belongs to one, goes when nothing of it is needed any more."""
    return path.parent / "archive" / path.name


def segment_numbers(path: Path) -> list[int]:
    """The numbers of the segments of `path` that lie beside it, oldest first. Raises StorageFailed."""
    before, after = path.stem + ".", path.suffix
    try:
        names = [found.name for found in path.parent.iterdir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageFailed(f"list {str(path.parent)!r}", error.strerror or str(error)) from error
    middles = (name[len(before) : -len(after)] for name in names if name.startswith(before) and name.endswith(after))
    return sorted(int(middle) for middle in middles if middle.isdecimal() and middle.isascii())


class SegmentReader:
    """Reads what was added to a file and its segments since the last call, a portion at a time and in order.

    `lost` says that something of what was read is not there any more: a file was truncated, replaced, removed or
    archived.
    """

    def __init__(self, path: Path) -> None:
        self.lost = False
        self.active = LineReader(path)
        self._path = path
        self._segments: list[LineReader] = []

    def read_new(self) -> list[bytes]:
        """Whole lines as `LineReader.read_new`; [] when all were read. Raises StorageFailed."""
        # Opened before the segments are looked for: whenever it is renamed, nothing is missed or read out of order.
        try:
            fd = os.open(self._path, os.O_RDONLY | BINARY)
        except FileNotFoundError:
            fd = -1
        except OSError as error:
            raise StorageFailed(f"read {str(self._path)!r}", error.strerror or str(error)) from error
        try:
            inode = os.fstat(fd).st_ino if fd >= 0 else 0
            if inode == 0 or inode != self.active.inode:
                self._look_for_segments(inode)
            return self._read_on(fd)
        finally:
            if fd >= 0:
                os.close(fd)

    def _read_on(self, fd: int) -> list[bytes]:
        readers = [*self._segments, self.active]
        restarts = sum(reader.restarts for reader in readers)
        lines: list[bytes] = []
        for reader in self._segments:
            lines = lines or reader.read_new()
        if fd >= 0 and not lines:
            lines = self.active.read_from(fd)
        self.lost |= restarts != sum(reader.restarts for reader in readers)
        return lines

    def _look_for_segments(self, inode: int) -> None:
        """`inode` is that of the file itself, which may just have become a segment."""
        known = {reader.inode: reader for reader in (*self._segments, self.active) if reader.offset}
        found: list[LineReader] = []
        for number in segment_numbers(self._path):
            path = segment_path(self._path, number)
            try:
                status = path.stat()
            except FileNotFoundError:
                continue  # archived just now
            if status.st_ino != inode:
                found.append(known.pop(status.st_ino, LineReader(path)))
                found[-1].path = path
        self._segments = found
        self.active = known.pop(inode, LineReader(self._path))
        self.lost |= bool(known)


def read_live(path: Path) -> Iterator[bytes]:
    """Every whole line of the file and its segments, in order. Raises StorageFailed."""
    reader = SegmentReader(path)
    while lines := reader.read_new():
        yield from lines
