"""What the session's MCP client is answered."""

from __future__ import annotations

from typing import Any

import pytest

from relayfleet.ports.tool import Tool
from relayfleet.runner.mcp import (
    PROTOCOLS,
    PermissionRelay,
    ToolCall,
    answer,
    channel_notification,
    permission_notification,
    permission_relay,
    tool_answer,
)

SCHEMA = {"type": "object", "properties": {}, "required": []}
TOOLS = (Tool(name="greet", description="Greets.", input_schema=SCHEMA),)


def ask(method: str, params: Any = None, request_id: object = 1) -> Any:
    message = {"jsonrpc": "2.0", "id": request_id, "method": method}
    return answer(message | ({} if params is None else {"params": params}), tools=TOOLS)


@pytest.mark.parametrize(
    ("asked", "given"),
    [*((p, p) for p in PROTOCOLS), ("2026-07-28", PROTOCOLS[0]), ("1999-01-01", PROTOCOLS[0]), (None, PROTOCOLS[0])],
)
def test_the_protocol_is_the_clients_if_it_is_known(asked: str | None, given: str) -> None:
    result = ask("initialize", {"protocolVersion": asked})["result"]
    assert result["protocolVersion"] == given
    experimental = {"claude/channel": {}, "claude/channel/permission": {}}
    assert result["capabilities"] == {"experimental": experimental, "tools": {}}


def test_a_permission_relay_is_told_from_everything_else() -> None:
    method = "notifications/claude/channel/permission_request"
    params = {"request_id": "r1", "tool_name": "Bash", "description": "d", "input_preview": "p"}
    assert permission_relay({"method": method, "params": params}) == PermissionRelay(
        request_id="r1", tool="Bash", description="d", preview="p"
    )
    for odd in ({"params": params}, {"method": method}, {"method": method, "params": {"request_id": 7}}):
        assert permission_relay(odd) is None
    assert permission_notification("r1", "deny") == {
        "jsonrpc": "2.0",
        "method": "notifications/claude/channel/permission",
        "params": {"request_id": "r1", "behavior": "deny"},
    }


def test_the_newer_protocol_is_not_declared() -> None:
    """Claude Code refuses a server that declares it as a channel."""
    assert ask("server/discover")["error"]["code"] == -32601


@pytest.mark.parametrize("method", ["resources/list", "prompts/list", "logging/setLevel", "", "tools"])
def test_an_unknown_method_is_refused(method: str) -> None:
    assert ask(method)["error"]["code"] == -32601


def test_tools_are_listed_as_mcp_describes_them() -> None:
    listed = ask("tools/list")["result"]["tools"]
    assert listed == [{"name": "greet", "description": "Greets.", "inputSchema": SCHEMA}]


def test_a_tool_call_is_for_the_plugins_to_answer() -> None:
    call = ask("tools/call", {"name": "greet", "arguments": {"name": "ann"}}, request_id="r1")
    assert call == ToolCall(request_id="r1", name="greet", arguments={"name": "ann"})
    assert tool_answer(call, "hello, ann") == {
        "jsonrpc": "2.0",
        "id": "r1",
        "result": {"content": [{"type": "text", "text": "hello, ann"}], "isError": False},
    }


@pytest.mark.parametrize("params", [None, [], "x", {"arguments": []}, {"name": None}])
def test_an_odd_tool_call_is_still_a_call(params: Any) -> None:
    call = ask("tools/call", params)
    assert isinstance(call, ToolCall)
    assert call.arguments == {}


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"method": "notifications/initialized"},
        {"method": "notifications/cancelled", "params": {"requestId": 1}},
        {"id": 7, "result": {}},
        {"id": None, "method": "ping"},
    ],
)
def test_what_asks_nothing_gets_no_answer(message: dict[str, Any]) -> None:
    assert answer(message, tools=TOOLS) is None


def test_request_number_zero_is_answered() -> None:
    assert ask("ping", request_id=0) == {"jsonrpc": "2.0", "id": 0, "result": {}}


def test_a_channel_notification_has_no_id() -> None:
    assert channel_notification("text", {"id": "e1"}) == {
        "jsonrpc": "2.0",
        "method": "notifications/claude/channel",
        "params": {"content": "text", "meta": {"id": "e1"}},
    }
