"""A daemon's sockets: requests and answers, the line to a shim, and the datagram that wakes it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relayfleet.errors import FleetError
from relayfleet.wire.control import MAX_LINE, decode_line, encode_line, refusal
from relayfleet.wire.token import is_token

if TYPE_CHECKING:
    from relayfleet.wire.pipes import Closing, Serve

Answer = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
LineLoop = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Mapping[str, Any]], Awaitable[None]]


def with_token(token: str, line: LineLoop) -> LineLoop:
    """Lets in only who shows the token; anybody else is hung up on."""

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hello: Mapping[str, Any]) -> None:
        if is_token(str(hello.get("token")).encode("utf-8", "replace"), token.encode()):
            await line(reader, writer, hello)

    return guarded


if sys.platform == "win32":
    from relayfleet.wire.pipes import pipe_loop, pipe_name, serve_pipe

    async def listen(path: Path, serve: Serve) -> Sequence[Closing]:
        """Gives every connection to `serve`. Raises FleetError."""
        try:
            return await serve_pipe(pipe_loop(), path, serve, limit=MAX_LINE)
        except OSError as error:
            raise FleetError(f"listen on {pipe_name(path)!r}", error.strerror or str(error)) from error

    def forget(path: Path) -> None:
        """A pipe goes with its last instance."""

else:

    async def listen(path: Path, serve: Serve) -> Sequence[Closing]:
        """Gives every connection to `serve`; takes the place of a socket that lies there."""
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - no disk: these are names in a file system in memory
        server = await asyncio.start_unix_server(serve, str(path), limit=MAX_LINE)
        path.chmod(0o600)  # noqa: ASYNC240
        return (server,)

    def forget(path: Path) -> None:
        path.unlink(missing_ok=True)


class ControlServer:
    """One request, one answer, on a private unix socket; a request that one of `lines` is for keeps its line open."""

    def __init__(self, path: Path, *, answer: Answer, lines: Mapping[str, LineLoop] | None = None) -> None:
        self._path = path
        self._answer = answer
        self._lines = lines or {}
        self._listening: Sequence[Closing] = ()

    async def open(self) -> None:
        """The caller holds the daemon's lock, so a socket that lies there is a dead one's."""
        self._listening = await listen(self._path, self._serve)

    def close(self) -> None:
        for one in self._listening:
            one.close()
        forget(self._path)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = decode_line(await reader.readline())
            line = self._lines.get(str(request.get("op")))
            if line is not None:
                await line(reader, writer, request)
                return
            answer = await self._answer({**request, "caller_pid": _peer_pid(writer)})
            writer.write(encode_line(answer))
            await writer.drain()
        except ValueError as error:  # not a JSON object, or a line longer than the limit
            with contextlib.suppress(ConnectionError):
                writer.write(encode_line(refusal(f"cannot read the request: {error}")))
                await writer.drain()
        except ConnectionError:
            pass  # whoever asked is gone
        finally:
            writer.close()


def _peer_pid(writer: asyncio.StreamWriter) -> int | None:
    """The process at the other end, None where the system does not say."""
    if sys.platform != "linux":
        return None
    peer = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)  # struct ucred
    return int.from_bytes(peer[:4], sys.byteorder, signed=True)


if sys.platform == "win32":

    class WakeSocket:
        """Calls `on_wake` for every connection to its pipe."""

        def __init__(self, path: Path, on_wake: Callable[[], None]) -> None:
            self._path = path
            self._on_wake = on_wake
            self._listening: Sequence[Closing] = ()
            self._opening: asyncio.Task[None] | None = None

        def open(self) -> None:
            self._opening = asyncio.ensure_future(self._listen())

        def close(self) -> None:
            if self._opening is not None:
                self._opening.cancel()
            for one in self._listening:
                one.close()

        async def _listen(self) -> None:
            self._listening = await listen(self._path, self._serve)

        async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()
            self._on_wake()

else:

    class WakeSocket:
        """Calls `on_wake` for every datagram (or several at once)."""

        def __init__(self, path: Path, on_wake: Callable[[], None]) -> None:
            self._path = path
            self._on_wake = on_wake
            self._socket: socket.socket | None = None

        def open(self) -> None:
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
