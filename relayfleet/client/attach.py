"""A viewer's line to a runner."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from pathlib import Path

from relayfleet.errors import FleetError, Unreachable
from relayfleet.wire.attach import (
    FROM_RUNNER,
    KEYS,
    LEAVE,
    MAX_FRAME,
    OUTPUT,
    REPAINT,
    VERSION,
    Composer,
    Frames,
    State,
    decode_state,
    encode_frame,
    encode_size,
)
from relayfleet.wire.control import NO_UNIX_SOCKETS, decode_line, encode_line

_ANSWER_WITHIN_S = 5.0
_READ = 1 << 14


class Attachment:
    """Made by `attach`. `fileno` is for `selectors`; `receive` gives what came, None at the end of the line."""

    def __init__(self, connection: socket.socket, first: bytes) -> None:
        self._connection = connection
        self._frames = Frames(kinds=FROM_RUNNER)
        self._first = first

    @property
    def has_more(self) -> bool:
        """Whether `receive` gives something at once, whatever the connection says."""
        return bool(self._first)

    def fileno(self) -> int:
        return self._connection.fileno()

    def receive(self) -> list[State | bytes] | None:
        """States and output in their order. Raises ValueError for what is no frame."""
        if self._first:
            data, self._first = self._first, b""
        else:
            try:
                data = self._connection.recv(_READ)
            except TimeoutError:
                return []
            except OSError:
                data = b""
            if not data:
                return None
        return [payload if kind == OUTPUT else decode_state(payload) for kind, payload in self._frames.feed(data)]

    def type(self, keys: bytes) -> None:
        for at in range(0, len(keys), MAX_FRAME):
            self._send(encode_frame(KEYS, keys[at : at + MAX_FRAME]))

    def resize(self, rows: int, columns: int) -> None:
        self._send(encode_size(rows, columns))

    def repaint(self) -> None:
        self._send(encode_frame(REPAINT, b""))

    def leave(self, composer: Composer) -> None:
        """Stops driving, and says what is left in the composer."""
        self._send(encode_frame(LEAVE, composer.encode()))

    def close(self) -> None:
        self._connection.close()

    def _send(self, frame: bytes) -> None:
        with contextlib.suppress(OSError):  # the runner is gone: `receive` says so
            self._connection.sendall(frame)


def attach(path: Path, *, doing: str, drive: bool, take: bool) -> Attachment:
    """Raises Unreachable when no runner listens, FleetError when it refuses."""
    if sys.platform == "win32":
        raise Unreachable(doing, NO_UNIX_SOCKETS)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(_ANSWER_WITHIN_S)
    hello = {"op": "attach", "version": VERSION, "drive": drive, "take": take, "who": _who()}
    try:
        connection.connect(str(path))
        connection.sendall(encode_line(hello))
        received = b""
        while b"\n" not in received:
            if not (data := connection.recv(1 << 12)):
                raise OSError("it hung up")
            received += data
        line, _, rest = received.partition(b"\n")
        answer = decode_line(line)
    except (OSError, ValueError) as error:
        connection.close()
        raise Unreachable(doing, f"its runner does not answer ({error})") from None
    if not answer.get("ok"):
        connection.close()
        raise FleetError(doing, str(answer.get("error")), hint=str(answer.get("hint", "")))
    return Attachment(connection, rest)


def _who() -> str:
    """What others are told of this viewer."""
    user = os.environ.get("USER") or os.environ.get("LOGNAME") or "somebody"
    where = ""
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            where = f" at {os.ttyname(0)}"
    return f"{user}{where} (pid {os.getpid()})"
