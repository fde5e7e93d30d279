"""Writing files so that a crash, a full disk or a second writer loses nothing that was there before."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from relayfleet.errors import StorageFailed

# Windows changes line ends in files that are opened without it.
BINARY = getattr(os, "O_BINARY", 0)


def write_all(fd: int, data: bytes) -> None:
    """Writes every byte, or raises OSError: a full disk may take a part of a write without an error."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable. Windows has no such call and needs none."""
    if os.name == "nt":
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_atomic(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replaces `path` as a whole and durably: a reader sees the old bytes or the new ones, also after a power cut.

    Raises StorageFailed; the old file is then untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | BINARY, mode)
        try:
            write_all(fd, data)
            if os.fstat(fd).st_size != len(data):
                raise OSError(errno.EIO, "a part of it was not written")
            os.fsync(fd)
        finally:
            os.close(fd)
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise StorageFailed(
            f"write {str(path)!r}", error.strerror or str(error), hint="free some space or mend the permissions"
        ) from error


def make_private_folder(path: Path) -> None:
    """Creates `path` (and its parents) with mode 0700; one that is there keeps its mode."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageFailed(f"create folder {str(path)!r}", error.strerror or str(error)) from error
