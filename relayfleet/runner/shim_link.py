"""The line to the shim inside the session: JSON-RPC both ways, and offers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from relayfleet.errors import FleetError
from relayfleet.ports.log import Log
from relayfleet.ports.tool import ToolHost
from relayfleet.runner.mcp import (
    PermissionRelay,
    ToolCall,
    answer,
    channel_notification,
    permission_notification,
    permission_relay,
    tool_answer,
)
from relayfleet.wire.shim import ANSWER, MESSAGE, decode_answer, encode_message, encode_offer


class ShimLink:
    """At most one shim at a time; a newer one takes the older one's place."""

    name = "socket"

    def __init__(
        self,
        *,
        tools: ToolHost,
        log: Log,
        on_link: Callable[[bool], None],
        on_offered: Callable[[str, str], None],
        on_permission: Callable[[PermissionRelay], None] = lambda relay: None,
    ) -> None:
        self._tools = tools
        self._log = log
        self._on_link = on_link
        self._on_offered = on_offered
        self._on_permission = on_permission
        self._writer: asyncio.StreamWriter | None = None
        self._calls: set[asyncio.Task[None]] = set()
        self.has_socket = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hello: Mapping[str, Any]) -> None:
        """Until the shim goes away."""
        self._writer = writer
        self.has_socket = bool(hello.get("socket"))
        self._log.info("shim.joined", pid=hello.get("pid"), socket=self.has_socket)
        try:
            while line := await reader.readline():
                self._take(line.rstrip(b"\n"))
        except ValueError as error:
            self._log.error("shim.bad_line", str(error))
        finally:
            if self._writer is writer:
                self._writer = None
                self._on_link(False)
                self._log.info("shim.left")

    def offer(self, entry_id: str, content: str, uuid: str, *, steer: bool = False) -> None:
        """Through the session's inbox socket."""
        self._write(encode_offer(entry_id, content, uuid, steer=steer))

    def notify(self, content: str, meta: Mapping[str, str]) -> None:
        """Through a channel notification."""
        self._write(encode_message(channel_notification(content, meta)))

    def permit(self, request_id: str, behaviour: str) -> None:
        """Answers what the session asked through the channel."""
        self._write(encode_message(permission_notification(request_id, behaviour)))

    def _write(self, line: bytes) -> None:
        if self._writer is not None:
            self._writer.write(line)

    def _take(self, line: bytes) -> None:
        if line[:1] == ANSWER:
            self._on_offered(*decode_answer(line))
        elif line[:1] == MESSAGE:
            self._take_message(line[1:])

    def _take_message(self, data: bytes) -> None:
        from relayfleet.wire.control import decode_line

        try:
            message = decode_line(data)
        except ValueError:
            self._log.warning("shim.bad_message", "the session sent something that is not a JSON object")
            return
        if message.get("method") == "notifications/initialized":
            self._on_link(True)
        if relay := permission_relay(message):
            self._on_permission(relay)
        reaction = answer(message, tools=self._tools.tools())
        if isinstance(reaction, ToolCall):
            task = asyncio.get_running_loop().create_task(self._call(reaction))
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)
        elif reaction is not None:
            self._write(encode_message(reaction))

    async def _call(self, call: ToolCall) -> None:
        try:
            text, failed = await self._tools.call(call.name, call.arguments), False
        except FleetError as error:
            text, failed = f"{error}. {error.hint}".rstrip(". "), True
        self._write(encode_message(tool_answer(call, text, failed=failed)))
