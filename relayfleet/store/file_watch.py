"""Notices at once when another program appends to a file, or changes one in a folder, where the system can (inotify
on Linux).

A help, never a need: a user has 128 inotify instances by default, other systems have none, and whoever uses this looks
at the file from time to time anyway.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# inotify(7)
_IN_MODIFY, _IN_ATTRIB, _IN_MOVE_SELF, _IN_DELETE_SELF = 0x2, 0x4, 0x800, 0x400
_IN_CLOSE_WRITE, _IN_MOVED_TO, _IN_CREATE, _IN_DELETE = 0x8, 0x80, 0x100, 0x200
_IN_NONBLOCK, _IN_CLOEXEC = 0o4000, 0o2000000


class FileWatch:
    """Calls `on_change` inside the running event loop. The file must be there when it is opened. With `folder`, every
    change of a file in it counts, too."""

    def __init__(self, path: Path, on_change: Callable[[], None], *, folder: Path | None = None) -> None:
        self._path = path
        self._folder = folder
        self._on_change = on_change
        self._fd = -1
        self._inode = 0
        self._libc: Any = None

    def open(self) -> bool:
        """Whether it watches now: it does nothing where it cannot be done."""
        if sys.platform != "linux":
            return False
        import ctypes

        self._libc = ctypes.CDLL(None)
        self._fd = self._libc.inotify_init1(_IN_NONBLOCK | _IN_CLOEXEC)
        if self._fd >= 0:
            asyncio.get_running_loop().add_reader(self._fd, self._read)
            self.renew()
            mask = _IN_CLOSE_WRITE | _IN_MOVED_TO | _IN_CREATE | _IN_DELETE
            watched = self._folder is None or self._add(self._folder, mask)
            return watched and self._inode != 0
        return False

    def renew(self) -> None:
        """Follows the file when it was replaced; cheap when it was not."""
        if self._fd < 0:
            return
        with contextlib.suppress(OSError):
            inode = self._path.stat().st_ino
            if inode != self._inode:
                mask = _IN_MODIFY | _IN_ATTRIB | _IN_MOVE_SELF | _IN_DELETE_SELF
                if self._add(self._path, mask):
                    self._inode = inode

    def _add(self, path: Path, mask: int) -> bool:
        return bool(self._libc.inotify_add_watch(self._fd, os.fsencode(path), mask) >= 0)

    def close(self) -> None:
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._fd, 1 << 16)
        self._on_change()
        self.renew()
