"""What a session prints: its log, capped, and the end of it as plain words."""

from __future__ import annotations

import os
import re
from pathlib import Path

MAX_BYTES = 4 * 1024 * 1024
_TAIL = 16 * 1024
# ECMA-48: CSI, OSC and the other string sequences, two-byte escapes; then whatever control is left.
_ESCAPE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
_MOVE = re.compile(r"\x1b\[\d*(?:;\d*)?[HfEFAB]|\r")


def plain(text: str) -> str:
    """`text` without terminal controls; moves of the cursor to another line become line ends."""
    lines = _ESCAPE.sub("", _MOVE.sub("\n", text)).split("\n")
    return "\n".join(line.rstrip() for line in lines if line.strip())


class SessionLog:
    """Appends what the terminal printed to session.log; the one before it is kept as session.log.1."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = self._open()
        self._size = os.fstat(self._fd).st_size
        self._tail = b""

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, data: bytes) -> None:
        self._tail = (self._tail + data)[-_TAIL:]
        try:
            if self._size + len(data) > MAX_BYTES:
                self._begin_anew()
            self._size += os.write(self._fd, data)
        except OSError:
            return  # a full disk must not end the session; its screen stays in memory

    def _begin_anew(self) -> None:
        self._path.replace(self._path.with_name(self._path.name + ".1"))
        full, self._fd, self._size = self._fd, self._open(), 0
        os.close(full)

    def tail(self) -> str:
        return plain(self._tail.decode("utf-8", "replace"))
