"""Asks daemons over their control sockets, many at once and with one deadline; standard library, no event loop."""

from __future__ import annotations

import selectors
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relayfleet.errors import FleetError, Unreachable
from relayfleet.wire.control import decode_line, encode_line


def ask(path: Path, request: Mapping[str, Any], *, timeout_s: float) -> dict[str, Any]:
    """The answer of one daemon. Raises Unreachable when there is none in time, FleetError when it refuses."""
    answer = ask_all({"": path}, request, timeout_s=timeout_s)[""]
    if answer is None:
        raise Unreachable(f"reach {str(path)!r}", f"no answer within {timeout_s:g} s")
    if not answer.get("ok"):
        raise FleetError(str(request.get("op")), str(answer.get("error")), hint=str(answer.get("hint", "")))
    return answer


def ask_all(
    paths: Mapping[str, Path], request: Mapping[str, Any], *, timeout_s: float
) -> dict[str, dict[str, Any] | None]:
    """The answers of several daemons by name, None for those that gave none within `timeout_s`."""
    answers: dict[str, dict[str, Any] | None] = dict.fromkeys(paths)
    line = encode_line(request)
    if sys.platform == "win32":
        from relayfleet.client.pipes import ask_pipes

        return {name: _decode(got) for name, got in ask_pipes(paths, line, timeout_s=timeout_s).items()}
    deadline = time.monotonic() + timeout_s
    with selectors.DefaultSelector() as selector:
        for name, path in paths.items():
            connection = _connect(path, line, timeout_s)
            if connection is not None:
                selector.register(connection, selectors.EVENT_READ, (name, bytearray()))
        while selector.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                name, received = key.data
                connection = key.fileobj  # type: ignore[assignment,unused-ignore]
                assert isinstance(connection, socket.socket)
                try:
                    chunk = connection.recv(1 << 16)
                except OSError:
                    chunk = b""
                received += chunk
                if not chunk or b"\n" in chunk:
                    answers[name] = _decode(bytes(received))
                    selector.unregister(connection)
                    connection.close()
        for key in list(selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
    return answers


def _connect(path: Path, line: bytes, timeout_s: float) -> socket.socket | None:
    if sys.platform == "win32":
        return None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout_s)
    try:
        connection.connect(str(path))
        connection.sendall(line)
    except OSError:
        connection.close()
        return None
    return connection


def _decode(received: bytes) -> dict[str, Any] | None:
    line, newline, _ = received.partition(b"\n")
    try:
        return decode_line(line) if newline else None
    except ValueError:
        return None
