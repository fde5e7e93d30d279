"""Structured logs: one JSON object per line, rotated and capped.

Every line has `ts` (seconds, UTC), `level`, `action` (a stable name such as `router.event`; programs may rely on it),
`message`, and whatever else was given. Values are data: nothing in them can forge a line.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from io import FileIO
from pathlib import Path

from relayfleet.errors import StorageFailed
from relayfleet.store.files import BINARY

MAX_BYTES = 2 * 1024 * 1024
KEEP = 3
# So many lines are written at once: few enough for the cap to mean something.
_AT_ONCE = 100
_to_json = json.JSONEncoder(ensure_ascii=True, default=str).encode


def encode_log_record(record: Mapping[str, object]) -> bytes:
    """In ASCII: whatever a terminal takes for an order is spelt out."""
    return _to_json(record).encode()


class Log:
    """`log.info("router.event", "12 items", watch="wms")`. A line that the disk refuses is lost: a log stops nobody."""

    def __init__(self, path: Path, *, encode: Callable[[Mapping[str, object]], bytes] = encode_log_record) -> None:
        """`encode` gives a record's line, without the newline. Raises StorageFailed."""
        self._path = path
        self._encode = encode
        self._lock = threading.Lock()
        self._torn = False
        try:
            self._open()
        except OSError as error:
            raise StorageFailed(f"open log {str(path)!r}", error.strerror or str(error)) from error

    def debug(self, action: str, message: str = "", **fields: object) -> None:
        """Is not written."""

    def info(self, action: str, message: str = "", **fields: object) -> None:
        self._write("info", action, message, fields)

    def info_each(self, action: str, lines: Sequence[Mapping[str, object]]) -> None:
        for start in range(0, len(lines), _AT_ONCE):
            self._append(b"".join([self._line("info", action, "", one) for one in lines[start : start + _AT_ONCE]]))

    def warning(self, action: str, message: str = "", **fields: object) -> None:
        self._write("warning", action, message, fields)

    def error(self, action: str, message: str = "", *, trace: BaseException | None = None, **fields: object) -> None:
        if trace is not None:
            fields["trace"] = "".join(traceback.format_exception(trace)).rstrip()
        self._write("error", action, message, fields)

    def close(self) -> None:
        self._file.close()

    def _write(self, level: str, action: str, message: str, fields: Mapping[str, object]) -> None:
        self._append(self._line(level, action, message, fields))

    def _line(self, level: str, action: str, message: str, fields: Mapping[str, object]) -> bytes:
        record = {"ts": round(time.time(), 3), "level": level, "action": action, "message": message, **fields}
        return self._encode(record) + b"\n"

    def _append(self, lines: bytes) -> None:
        # ValueError: the file could not be opened anew after the last rotation.
        with self._lock, contextlib.suppress(OSError, ValueError):
            if self._size + len(lines) > MAX_BYTES:
                self._rotate()
            self._size += len(lines)
            self._torn = self._file.write(b"\n" + lines if self._torn else lines) != len(lines) + self._torn

    def _rotate(self) -> None:
        self._file.close()
        try:
            for number in range(KEEP, 0, -1):
                older = self._path.with_name(f"{self._path.name}.{number - 1}") if number > 1 else self._path
                with contextlib.suppress(FileNotFoundError):
                    older.replace(self._path.with_name(f"{self._path.name}.{number}"))
        finally:
            self._open()

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | BINARY
        self._file = FileIO(os.open(self._path, flags, 0o600), "a")
        self._size = os.fstat(self._file.fileno()).st_size
        self._path.chmod(0o600)


def open_log(path: Path, *, encode: Callable[[Mapping[str, object]], bytes] = encode_log_record) -> Log:
    """A log that writes to `path` and keeps at most KEEP older files of MAX_BYTES beside it; `encode` gives a record's
    line, without the newline. Raises StorageFailed."""
    return Log(path, encode=encode)
