"""The channel shim against the official MCP SDK: its client is the session, a real runner's socket the other side."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import psutil
import pytest
from mcp.client.client import Client
from mcp.client.extension import NotificationBinding
from mcp.client.session import ClientSession
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError
from mcp.types import Notification
from pydantic import BaseModel, ConfigDict

from relayfleet.errors import FleetError
from relayfleet.runner.mcp import PermissionRelay
from relayfleet.runner.shim_link import ShimLink
from relayfleet.testing import MemoryLog, MemoryTools
from relayfleet.wire.control import refusal
from relayfleet.wire.server import ControlServer, with_token
from tests.conftest import CHECKOUT

SHIM = ["-I", "-S", str(CHECKOUT / "relayfleet" / "harness" / "shim.py")]
TOKEN = "shim-token"


class ChannelEvent(BaseModel):
    """Everything that a channel notification carries, unchecked."""

    model_config = ConfigDict(extra="allow")


class RunnerSide:
    """A control socket with a link on it, and the inbox socket of a session, as a runner and its session have them."""

    def __init__(self, folder: Path) -> None:
        self.control_path, self.inbox_path = folder / "c.sock", folder / "i.sock"
        self.links: list[bool] = []
        self.offered: list[tuple[str, str]] = []
        self.inbox_lines: list[bytes] = []
        self.events: list[ChannelEvent] = []
        self.relays: list[PermissionRelay] = []
        self.permissions: list[ChannelEvent] = []
        self.log = MemoryLog()
        self.link = ShimLink(
            tools=MemoryTools(greet, refuses),
            log=self.log,
            on_link=self.links.append,
            on_offered=lambda entry_id, error: self.offered.append((entry_id, error)),
            on_permission=self.relays.append,
        )
        self.control = ControlServer(
            self.control_path, answer=self._answer, lines={"shim": with_token(TOKEN, self.link.serve)}
        )
        self._inbox: asyncio.Server | None = None

    async def _answer(self, request: Any) -> Any:
        return refusal("not asked here")

    async def open(self) -> None:
        await self.control.open()
        self._inbox = await asyncio.start_unix_server(self._take, str(self.inbox_path))

    async def close(self) -> None:
        self.control.close()
        if self._inbox is not None:
            self._inbox.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.inbox_lines += (await reader.read()).splitlines()
        writer.close()

    def shim(self, *, inbox: bool = True, token: str = TOKEN) -> StdioServerParameters:
        env = {"RELAYFLEET_SHIM_SOCKET": str(self.control_path), "RELAYFLEET_SHIM_TOKEN": token}
        if inbox:
            env |= {
                "CLAUDE_CODE_MESSAGING_SOCKET": str(self.inbox_path),
                "CLAUDE_CODE_MESSAGING_TOKEN": "session-token",
            }
        return StdioServerParameters(command=sys.executable, args=SHIM, env=env)

    @asynccontextmanager
    async def session(self, **given: Any) -> AsyncIterator[ClientSession]:
        """A client that has shaken hands, as Claude Code does."""

        async def take(event: ChannelEvent) -> None:
            self.events.append(event)

        async def take_permission(event: ChannelEvent) -> None:
            self.permissions.append(event)

        permission = NotificationBinding(
            method="notifications/claude/channel/permission", params_type=ChannelEvent, handler=take_permission
        )
        channel = NotificationBinding(method="notifications/claude/channel", params_type=ChannelEvent, handler=take)
        async with (
            stdio_client(self.shim(**given)) as (read, write),
            ClientSession(read, write, notification_bindings=[channel, permission]) as session,
        ):
            await session.initialize()
            await until(lambda: self.links)
            yield session


def greet(name: str) -> str:
    """Greets somebody."""
    return f"hello, {name} 🦩"


def refuses() -> str:
    """Says no."""
    raise FleetError("do that", "it is Sunday", hint="come back tomorrow")


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
async def side() -> AsyncIterator[RunnerSide]:
    with tempfile.TemporaryDirectory(prefix="rf-", dir="/tmp") as folder:
        made = RunnerSide(Path(folder))
        await made.open()
        yield made
        await made.close()


async def test_the_handshake_tells_who_it_is_and_joins_the_runner(side: RunnerSide) -> None:
    async with side.session() as session:
        assert session.protocol_version == "2025-11-25"
        assert session.server_info is not None
        assert session.server_info.name == "relayfleet"
        result = session.initialize_result
        assert result is not None
        assert result.capabilities.experimental == {"claude/channel": {}, "claude/channel/permission": {}}
        assert "[FROM github" in (result.instructions or "")
        assert side.links == [True]
        ((_, joined),) = side.log.of("shim.joined")
        assert joined["socket"] is True
    await until(lambda: side.links == [True, False])


async def test_a_client_that_asks_for_the_newer_protocol_first_falls_back(side: RunnerSide) -> None:
    async with Client(stdio_client(side.shim()), mode="auto") as client:
        assert client.protocol_version == "2025-11-25"
        with pytest.raises(MCPError) as failure:
            await client.session.send_discover("2026-07-28")
        assert failure.value.error.code == -32601
        assert [tool.name for tool in (await client.list_tools()).tools] == ["greet", "refuses"]


async def test_tools_are_listed_and_called(side: RunnerSide) -> None:
    async with side.session() as session:
        tools = {tool.name: tool for tool in (await session.list_tools()).tools}
        assert tools["greet"].description == "Greets somebody."
        assert tools["greet"].input_schema["required"] == ["name"]
        result = await session.call_tool("greet", {"name": "ann"})
        assert not result.is_error
        assert [block.text for block in result.content if block.type == "text"] == ["hello, ann 🦩"]


async def test_a_tool_that_fails_is_an_error_that_the_model_can_read(side: RunnerSide) -> None:
    async with side.session() as session:
        for name, says in (
            ("refuses", "cannot do that: it is Sunday. come back tomorrow"),
            ("nothing", "no such tool"),
        ):
            result = await session.call_tool(name, {})
            assert result.is_error
            assert says in str(result.content)
        assert not (await session.call_tool("greet", {"name": "x"})).is_error, "the rest goes on"


async def test_an_unknown_method_is_refused_and_a_ping_is_answered(side: RunnerSide) -> None:
    async with side.session() as session:
        with pytest.raises(MCPError) as failure:
            await session.list_prompts()
        assert failure.value.error.code == -32601
        await session.send_ping()


async def test_calls_that_overlap_each_get_their_own_answer(side: RunnerSide) -> None:
    async with side.session() as session:
        results = await asyncio.gather(*(session.call_tool("greet", {"name": f"n{n}"}) for n in range(30)))
        assert [result.content[0].text for result in results] == [f"hello, n{n} 🦩" for n in range(30)]  # type: ignore[union-attr]


async def test_a_large_answer_comes_through_whole(side: RunnerSide) -> None:
    async with side.session() as session:
        name = "ü" * 1_000_000
        result = await session.call_tool("greet", {"name": name})
        assert result.content[0].text == f"hello, {name} 🦩"  # type: ignore[union-attr]


async def test_a_channel_notification_arrives_as_it_was_sent(side: RunnerSide) -> None:
    text = '[FROM operator | message | id=0123456789abcdef]\nline two "quoted" \\ 🦩'
    async with side.session():
        side.link.notify(text, {"id": "0123456789abcdef", "origin": "operator"})
        await until(lambda: side.events)
        assert side.events[0].model_dump() == {
            "content": text,
            "meta": {"id": "0123456789abcdef", "origin": "operator"},
        }


class PermissionRequest(Notification[ChannelEvent, Literal["notifications/claude/channel/permission_request"]]):
    """As Claude Code sends it."""

    method: Literal["notifications/claude/channel/permission_request"] = (
        "notifications/claude/channel/permission_request"
    )


async def test_a_permission_is_relayed_and_answered(side: RunnerSide) -> None:
    asked = {"request_id": "r1", "tool_name": "Bash", "description": "builds", "input_preview": '{"command": "make"}'}
    async with side.session() as session:
        await session.send_notification(PermissionRequest(params=ChannelEvent.model_validate(asked)))  # type: ignore[arg-type]
        await until(lambda: side.relays)
        assert side.relays == [
            PermissionRelay(request_id="r1", tool="Bash", description="builds", preview='{"command": "make"}')
        ]
        side.link.permit("r1", "allow")
        await until(lambda: side.permissions)
        assert side.permissions[0].model_dump() == {"request_id": "r1", "behavior": "allow"}


async def test_an_offer_is_written_into_the_sessions_inbox_socket(side: RunnerSide) -> None:
    async with side.session():
        side.link.offer("e1", "text\nof two lines 🦩", "uuid-1")
        await until(lambda: side.offered)
        assert side.offered == [("e1", "")]
        await until(lambda: len(side.inbox_lines) == 2)
        auth, frame = map(json.loads, side.inbox_lines)
        assert auth == {"type": "auth", "token": "session-token"}
        assert frame == {
            "type": "user",
            "message": {"role": "user", "content": "text\nof two lines 🦩"},
            "uuid": "uuid-1",
            "priority": "later",
        }


async def test_an_offer_that_cannot_be_written_is_told(side: RunnerSide) -> None:
    async with side.session(inbox=False):
        side.link.offer("e1", "text", "uuid-1")
        await until(lambda: side.offered)
    assert side.offered == [("e1", "this session has no inbox socket")]
    side.inbox_path.unlink()
    async with side.session():
        side.link.offer("e2", "text", "uuid-2")
        await until(lambda: len(side.offered) == 2)
    assert side.offered[1][0] == "e2"
    assert "No such file" in side.offered[1][1]


async def test_the_shim_ends_with_its_session(side: RunnerSide) -> None:
    async with side.session():
        pid = side.log.of("shim.joined")[0][1]["pid"]
        assert isinstance(pid, int)
        assert psutil.pid_exists(pid)
    assert not psutil.pid_exists(pid)


async def start_shim(side: RunnerSide, **given: Any) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    shim = side.shim(**given)
    return await asyncio.create_subprocess_exec(
        shim.command, *shim.args, env=shim.env, stdin=pipe, stdout=pipe, stderr=pipe
    )


async def test_the_shim_ends_when_its_runner_goes_away(side: RunnerSide) -> None:
    process = await start_shim(side)
    await until(lambda: side.log.of("shim.joined"))
    side.link._writer.close()  # type: ignore[union-attr]  # the runner's end of the line, as its death closes it
    async with asyncio.timeout(60):
        assert (await process.communicate())[1] == b""
    assert process.returncode == 0


@pytest.mark.parametrize("how", ["no runner", "wrong token"])
async def test_a_shim_that_is_not_let_in_ends(side: RunnerSide, how: str) -> None:
    if how == "no runner":
        await side.close()
    process = await start_shim(side, token="wrong")
    async with asyncio.timeout(60):
        _, said = await process.communicate()
    assert side.log.of("shim.joined") == []
    if how == "no runner":
        assert process.returncode == 1
        assert b"cannot join the session to its runner" in said


async def test_a_newer_shim_takes_the_older_ones_place(side: RunnerSide) -> None:
    async with side.session():
        async with side.session():
            side.link.offer("e1", "text", "uuid-1")
            await until(lambda: side.offered)
            newest = side.log.of("shim.joined")[-1][1]["pid"]
        assert len(side.log.of("shim.joined")) == 2
        assert newest != side.log.of("shim.joined")[0][1]["pid"]


async def test_what_the_session_says_that_is_no_json_rpc_harms_nothing(side: RunnerSide) -> None:
    process = await start_shim(side)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b'not json\n[]\n"x"\n\n{}\n{"id": 1, "method": "ping"}\n')
    async with asyncio.timeout(60):
        assert json.loads(await process.stdout.readline()) == {"jsonrpc": "2.0", "id": 1, "result": {}}
    process.stdin.close()
    await process.wait()
    assert len(side.log.of("shim.bad_message")) == 3


async def test_the_shim_imports_next_to_nothing() -> None:
    code = f"import sys; exec(open({SHIM[-1]!r}).read(), {{'__name__': 'shim'}}); print(*sorted(sys.modules))"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", "-c", code, stdout=asyncio.subprocess.PIPE
    )
    loaded = (await process.communicate())[0].decode().split()
    assert {"select", "_socket"} <= set(loaded)
    assert not {"json", "asyncio", "socket", "re", "typing", "relayfleet"} & set(loaded)
