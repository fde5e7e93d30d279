"""Listens for the session's hooks: HTTP on loopback, h11 for the protocol.

Only the session may speak here: a bearer token that is made anew at each start, and the Host header must name this
listener, so that a web page in somebody's browser cannot reach it by another name.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeVar

import h11

from relayfleet.errors import FleetError
from relayfleet.wire.token import is_token

MAX_BODY = 32 * 1024 * 1024
_READ_TIMEOUT_S = _SEND_TIMEOUT_S = 30.0

T = TypeVar("T")
Answer = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


class HookListener:
    """Calls `on_hook` with each hook's payload; what that returns is the answer to the session."""

    def __init__(self, *, port: int, token: str, on_hook: Answer) -> None:
        self._port = port
        self._token = token
        self._on_hook = on_hook
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Raises FleetError when the port is taken."""
        try:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        except OSError as error:
            raise FleetError(
                f"listen for hooks on 127.0.0.1:{self._port}",
                error.strerror or str(error),
                hint="end what uses that port, or give the agent another `port` in its config.json",
            ) from error

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=64 * 1024)
        try:
            async with asyncio.timeout(_READ_TIMEOUT_S):
                request = await _read_head(connection, reader)
                refused = self._refuse(request)
                body = b"" if refused else await _read_body(connection, reader)
            if refused is None:
                status, answer = await _unless_gone(reader, self._answer(body))
            else:
                status, answer = refused
            async with asyncio.timeout(_SEND_TIMEOUT_S):
                _send(connection, writer, status, answer)
                await writer.drain()
        except (h11.ProtocolError, TimeoutError, ConnectionError):
            pass  # not HTTP, or gone: there is nobody to answer
        finally:
            writer.close()

    def _refuse(self, request: h11.Request) -> tuple[int, Mapping[str, Any]] | None:
        """Judged before the body is read: a stranger is not to fill our memory."""
        headers = {name.lower(): value for name, value in request.headers}
        if headers.get(b"host", b"").decode("latin-1") not in (f"127.0.0.1:{self._port}", f"localhost:{self._port}"):
            return 421, {"error": "this listener is reached as 127.0.0.1 only"}
        given = headers.get(b"authorization", b"")
        if not is_token(given, b"Bearer " + self._token.encode()):
            return 401, {"error": "a bearer token is needed"}
        if request.method != b"POST":
            return 405, {"error": "hooks are posted"}
        return None

    async def _answer(self, body: bytes) -> tuple[int, Mapping[str, Any]]:
        if len(body) > MAX_BODY:
            return 413, {"error": "the body is too large"}
        try:
            payload = json.loads(body)
        except (ValueError, RecursionError):
            return 400, {"error": "the body is not JSON"}
        if not isinstance(payload, dict):
            return 400, {"error": "the body is not an object"}
        return 200, await self._on_hook(payload)


async def _unless_gone(reader: asyncio.StreamReader, answer: Coroutine[Any, Any, T]) -> T:
    """The answer, however long it takes; it is given up when whoever asked goes away (ConnectionResetError)."""
    answering = asyncio.ensure_future(answer)
    gone = asyncio.ensure_future(reader.read(1))
    try:
        await asyncio.wait((answering, gone), return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            raise ConnectionResetError
        return answering.result()
    finally:
        answering.cancel()
        gone.cancel()


async def _read_head(connection: h11.Connection, reader: asyncio.StreamReader) -> h11.Request:
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(await reader.read(1 << 16))
    if not isinstance(event, h11.Request):
        raise ConnectionResetError
    return event


async def _read_body(connection: h11.Connection, reader: asyncio.StreamReader) -> bytes:
    """At most a little more than MAX_BODY bytes; what is longer is left unread."""
    body = bytearray()
    while len(body) <= MAX_BODY:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(1 << 16))
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            break
        else:
            raise ConnectionResetError
    return bytes(body)


def _send(connection: h11.Connection, writer: asyncio.StreamWriter, status: int, answer: Mapping[str, Any]) -> None:
    body = json.dumps(answer).encode()
    headers = [("content-type", "application/json"), ("content-length", str(len(body))), ("connection", "close")]
    for event in (h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
        writer.write(connection.send(event) or b"")
