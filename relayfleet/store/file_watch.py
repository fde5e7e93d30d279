"""Notices at once when another program appends to a file, where the system can (inotify on Linux).

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
_IN_NONBLOCK, _IN_CLOEXEC = 0o4000, 0o2000000


class FileWatch:
    """Calls `on_change` inside the running event loop. The file must be there when it is opened."""

    def __init__(self, path: Path, on_change: Callable[[], None]) -> None:
        self._path = path
        self._on_change = on_change
        self._fd = -1
        self._inode = 0
        self._libc: Any = None

    def open(self) -> None:
        """Does nothing where it cannot be done."""
        if sys.platform != "linux":
            return
        import ctypes

        self._libc = ctypes.CDLL(None)
        self._fd = self._libc.inotify_init1(_IN_NONBLOCK | _IN_CLOEXEC)
        if self._fd >= 0:
            asyncio.get_running_loop().add_reader(self._fd, self._read)
            self.renew()

    def renew(self) -> None:
        """Follows the file when it was replaced; cheap when it was not."""
        if self._fd < 0:
            return
        with contextlib.suppress(OSError):
            inode = self._path.stat().st_ino
            if inode != self._inode:
                mask = _IN_MODIFY | _IN_ATTRIB | _IN_MOVE_SELF | _IN_DELETE_SELF
                if self._libc.inotify_add_watch(self._fd, os.fsencode(self._path), mask) >= 0:
                    self._inode = inode

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
