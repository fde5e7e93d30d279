"""A lock that the kernel frees at death, kill -9 included, and that says who holds it.

Identity of the holder is pid + start time, written into the file by the holder itself; that it is alive is proved by
the lock being held, never by the file being there.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from relayfleet.errors import LockHeld, StorageFailed

_RETRY_S = 0.02
_NAME_BYTES = 32  # always as many: cutting the file first would take longer than all the rest


@dataclass(frozen=True, slots=True)
class LockHolder:
    """`start_time` is in seconds since the epoch, as the holder noted it when it took the lock."""

    pid: int
    start_time: float


if sys.platform == "win32":
    import msvcrt

    # Windows locks bytes and refuses to read them: a byte far behind the text is taken.
    _LOCK_BYTE = 1 << 30

    def _try_lock(fd: int) -> bool:
        os.lseek(fd, _LOCK_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class FileLock:
    """An exclusive lock on `path`, between processes. Not re-entrant."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def acquire(self, *, wait_s: float = 0.0) -> None:
        """Takes the lock, trying for `wait_s` seconds.

        Raises LockHeld, or StorageFailed when the file cannot be made.
        """
        deadline = time.monotonic() + wait_s
        try:
            fd = self._open()
        except OSError as error:
            raise StorageFailed(f"open lock {str(self._path)!r}", error.strerror or str(error)) from error
        while not _try_lock(fd):
            if time.monotonic() >= deadline:
                os.close(fd)
                holder = read_holder(self._path)
                who = f"process {holder.pid}" if holder else "another process"
                raise LockHeld(f"take lock {str(self._path)!r}", f"{who} holds it")
            time.sleep(_RETRY_S)
        try:
            os.lseek(fd, 0, os.SEEK_SET)
            os.write(fd, f"{os.getpid()} {time.time():.3f}".ljust(_NAME_BYTES - 1).encode() + b"\n")
        except OSError as error:
            os.close(fd)
            raise StorageFailed(f"take lock {str(self._path)!r}", error.strerror or str(error)) from error
        self._fd = fd

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        try:
            return os.open(self._path, flags, 0o600)
        except FileNotFoundError:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(self._path, flags, 0o600)

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> FileLock:
        self.acquire(wait_s=10.0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def read_holder(path: Path) -> LockHolder | None:
    """Who wrote its name into the lock file last, whether or not it lives."""
    try:
        pid, start = path.read_bytes()[:100].split()[:2]
        return LockHolder(int(pid), float(start))
    except (OSError, ValueError):
        return None


def is_held(path: str) -> bool:
    """Whether somebody holds the lock; quicker than `holder_of`, for who looks at many of them each second.

    Raises StorageFailed.
    """
    try:
        fd = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StorageFailed(f"open lock {path!r}", error.strerror or str(error)) from error
    try:
        return not _try_lock(fd)
    finally:
        os.close(fd)


def holder_of(path: Path) -> LockHolder | None:
    """The live holder of the lock, or None when nobody holds it.

    The test takes the lock for an instant: whoever takes a lock for good tries for longer than that (`wait_s`).
    """
    try:
        fd = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageFailed(f"open lock {str(path)!r}", error.strerror or str(error)) from error
    try:
        if _try_lock(fd):
            return None
        return read_holder(path) or LockHolder(0, 0.0)
    finally:
        os.close(fd)
