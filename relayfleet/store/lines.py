"""Append-only files of lines: one writer at a time, durable when `append` returns, whole lines only.

A crash or a full disk can leave a torn last line; the next append ends it with a newline first, so that the torn line
stays alone and readers pass over it. A failed append takes back what it wrote.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from relayfleet.errors import StorageFailed
from relayfleet.store.files import make_private_folder, sync_folder, write_all
from relayfleet.store.lock import FileLock


def append_lines(path: Path, lines: Sequence[bytes]) -> None:
    """Appends `lines` (each ends with its newline) as one write and syncs it. Raises StorageFailed; then nothing was
    added."""
    make_private_folder(path.parent)
    with FileLock(path.with_suffix(".lock")):
        try:
            _append(path, b"".join(lines))
        except OSError as error:
            raise StorageFailed(
                f"append to {str(path)!r}", error.strerror or str(error), hint="free some space on that disk"
            ) from error


def _append(path: Path, data: bytes) -> None:
    fresh = not path.exists()
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        size = os.fstat(fd).st_size
        if size and _last_byte(fd, size) != b"\n":
            data = b"\n" + data
        try:
            write_all(fd, data)
            os.fsync(fd)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(fd, size)
            raise
    finally:
        os.close(fd)
    if fresh:
        sync_folder(path.parent)


def _last_byte(fd: int, size: int) -> bytes:
    os.lseek(fd, size - 1, os.SEEK_SET)
    return os.read(fd, 1)


class LineReader:
    """Reads what was added since the last call. Starts over when the file became another one or shorter."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode = 0
        self._offset = 0

    def read_new(self) -> list[bytes]:
        """Whole lines without their newlines; an unfinished last line waits for the next call."""
        try:
            fd = os.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            self._inode = self._offset = 0
            return []
        except OSError as error:
            raise StorageFailed(f"read {str(self._path)!r}", error.strerror or str(error)) from error
        with os.fdopen(fd, "rb") as file:
            status = os.fstat(fd)
            if status.st_ino != self._inode or status.st_size < self._offset:
                self._inode, self._offset = status.st_ino, 0
            if status.st_size == self._offset:
                return []
            file.seek(self._offset)
            data = file.read(status.st_size - self._offset)
        end = data.rfind(b"\n") + 1
        self._offset += end
        return [line for line in data[:end].split(b"\n") if line]
