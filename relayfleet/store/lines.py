"""Append-only files of lines: one writer at a time, durable when `append_lines` returns, whole lines only.

A crash or a full disk can leave a torn last line. Whoever appends that line again completes it; any other append ends
it with a newline first, so that it stays alone and readers pass over it. A failed append takes back what it wrote.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from relayfleet.errors import StorageFailed
from relayfleet.store.files import BINARY, sync_folder, write_all
from relayfleet.store.lock import FileLock

_PORTION = 1 << 18
_REMEMBERED = 256


def append_lines(path: Path, lines: Sequence[bytes]) -> None:
    """Appends `lines` (each ends with its newline) under the file's lock, and syncs them. Raises StorageFailed; then
    nothing was added."""
    with lock_of(path):
        append_locked(path, b"".join(lines))


def lock_of(path: Path) -> FileLock:
    """What every writer of this program holds while it changes the file; other programs may append without."""
    return FileLock(path.with_suffix(".lock"))


def append_locked(path: Path, data: bytes) -> os.stat_result:
    """As `append_lines`, for who holds the lock. Gives what the file was before. Raises StorageFailed."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | BINARY, 0o600)
        try:
            before = os.fstat(fd)
            _append(fd, before.st_size, data)
        finally:
            os.close(fd)
        if before.st_size == 0:
            sync_folder(path.parent)
    except OSError as error:
        raise StorageFailed(
            f"append to {str(path)!r}", error.strerror or str(error), hint="free some space on that disk"
        ) from error
    return before


def _append(fd: int, size: int, data: bytes) -> None:
    if size and _read_at(fd, size - 1, 1) != b"\n":
        data = _after_torn(fd, size, data)
    try:
        written = os.write(fd, data)
        write_all(fd, data[written:])
        end = os.fstat(fd).st_size
        # In several writes, somebody else's lines may stand between our pieces.
        if end < size + len(data) or (written < len(data) and end > size + len(data)):
            raise OSError(errno.EIO, "a part of it was not written")
        os.fsync(fd)
    except OSError:
        with contextlib.suppress(OSError):
            _take_back(fd, size, data)
        raise


def _after_torn(fd: int, size: int, data: bytes) -> bytes:
    """What is to be appended behind a torn line for the file to hold the lines of `data`."""
    lines = [line + b"\n" for line in data.split(b"\n")[:-1]]
    start = max(0, size - max(map(len, lines)))
    _, newline, torn = _read_at(fd, start, size - start).rpartition(b"\n")
    if newline or not start:
        for place, line in enumerate(lines):
            if line.startswith(torn):
                return b"".join((line[len(torn) :], *lines[:place], *lines[place + 1 :]))
    return b"\n" + data


def _take_back(fd: int, size: int, data: bytes) -> None:
    """Only what is ours: somebody else may have appended since."""
    added = os.fstat(fd).st_size - size
    if 0 < added <= len(data) and _read_at(fd, size, added) == data[:added]:
        os.ftruncate(fd, size)


def _read_at(fd: int, offset: int, count: int) -> bytes:
    """`count` bytes, or those up to the end of the file."""
    os.lseek(fd, offset, os.SEEK_SET)
    pieces = []
    while count and (piece := os.read(fd, count)):
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def read_lines(path: Path) -> Iterator[bytes]:
    """Every whole line without its newline, none when there is no file. Raises StorageFailed."""
    try:
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n") and len(line) > 1:
                    yield line[:-1]
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unreadable(path, error) from error


class LineReader:
    """Reads what was added to a file since the last call, a portion at a time.

    Starts over when the file became another one, shorter, or another up to where it was read: what it read last is
    remembered and compared. `restarts` counts that.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.inode = 0
        self.offset = 0
        self.restarts = 0
        self._last = b""

    def read_new(self) -> list[bytes]:
        """Whole lines without their newlines, empty ones left out; [] when all were read. An unfinished last line waits
        for the next call. Raises StorageFailed."""
        try:
            fd = os.open(self.path, os.O_RDONLY | BINARY)
        except FileNotFoundError:
            self._restart(0)
            return []
        except OSError as error:
            raise _unreadable(self.path, error) from error
        try:
            return self.read_from(fd)
        finally:
            os.close(fd)

    def read_from(self, fd: int) -> list[bytes]:
        """As `read_new`, of the file that is open as `fd`."""
        try:
            status = os.fstat(fd)
            if status.st_ino != self.inode or status.st_size < self.offset or not self._is_where_it_was(fd):
                self._restart(status.st_ino)
            lines: list[bytes] = []
            while not lines and (data := self._whole_lines(fd, status.st_size)):
                self.pass_over(data)
                lines = [line for line in data.split(b"\n") if line]
            return lines
        except OSError as error:
            raise _unreadable(self.path, error) from error

    def pass_over(self, data: bytes) -> None:
        """Takes `data` as read: the lines that follow in the file."""
        self.offset += len(data)
        self._last = (self._last + data[-_REMEMBERED:])[-_REMEMBERED:]

    def _is_where_it_was(self, fd: int) -> bool:
        return _read_at(fd, self.offset - len(self._last), len(self._last)) == self._last

    def _restart(self, inode: int) -> None:
        self.restarts += self.offset > 0
        self.inode, self.offset, self._last = inode, 0, b""

    def _whole_lines(self, fd: int, size: int) -> bytes:
        """About a portion of them, at least one when there is one."""
        data = b""
        while self.offset + len(data) < size:
            more = _read_at(fd, self.offset + len(data), min(max(_PORTION, len(data)), size - self.offset - len(data)))
            data += more
            end = data.rfind(b"\n") + 1
            if end or not more:
                return data[:end]
        return b""


def _unreadable(path: Path, error: OSError) -> StorageFailed:
    return StorageFailed(f"read {str(path)!r}", error.strerror or str(error))
