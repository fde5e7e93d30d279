"""A daemon's sockets: requests and answers, the line to a shim, and the datagram that wakes it."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from relayfleet.errors import FleetError
from relayfleet.wire.control import MAX_LINE, NO_UNIX_SOCKETS, decode_line, encode_line, refusal

Answer = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
ShimLoop = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Mapping[str, Any]], Awaitable[None]]


class ControlServer:
    """One request, one answer, on a private unix socket; a shim that shows its token keeps its line open."""

    def __init__(self, path: Path, *, answer: Answer, shim_token: str = "", on_shim: ShimLoop | None = None) -> None:
        self._path = path
        self._answer = answer
        self._shim_token = shim_token
        self._on_shim = on_shim
        self._server: asyncio.AbstractServer | None = None

    async def open(self) -> None:
        """The caller holds the daemon's lock, so a socket that lies there is a dead one's."""
        if sys.platform == "win32":
            raise FleetError(f"listen on {str(self._path)!r}", NO_UNIX_SOCKETS)
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, str(self._path), limit=MAX_LINE)
        self._path.chmod(0o600)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = decode_line(await reader.readline())
            if request.get("op") == "shim" and self._on_shim is not None:
                if hmac.compare_digest(str(request.get("token")).encode(), self._shim_token.encode()):
                    await self._on_shim(reader, writer, request)
                return
            writer.write(encode_line(await self._answer(request)))
            await writer.drain()
        except ValueError as error:  # not a JSON object, or a line longer than the limit
            with contextlib.suppress(ConnectionError):
                writer.write(encode_line(refusal(f"cannot read the request: {error}")))
                await writer.drain()
        except ConnectionError:
            pass  # whoever asked is gone
        finally:
            writer.close()


class WakeSocket:
    """Calls `on_wake` for every datagram (or several at once)."""

    def __init__(self, path: Path, on_wake: Callable[[], None]) -> None:
        self._path = path
        self._on_wake = on_wake
        self._socket: socket.socket | None = None

    def open(self) -> None:
        if sys.platform == "win32":
            raise FleetError(f"listen on {str(self._path)!r}", NO_UNIX_SOCKETS)
        self._path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(self._path))
        self._path.chmod(0o600)
        asyncio.get_running_loop().add_reader(self._socket, self._drain)

    def close(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
        self._path.unlink(missing_ok=True)

    def _drain(self) -> None:
        assert self._socket is not None
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(1)
        self._on_wake()
