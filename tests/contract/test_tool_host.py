"""What every `ToolHost` promises."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from relayfleet.errors import FleetError
from relayfleet.model.agent import AgentSpec
from relayfleet.model.layout import AgentLayout
from relayfleet.model.names import AgentName
from relayfleet.plughost.host import PluginHost
from relayfleet.ports.tool import ToolHost
from relayfleet.testing import MemoryInbox, MemoryLog, MemoryTools

PLUGIN = '''
from relayfleet.errors import FleetError


async def setup(api):
    @api.tool()
    def add(a: int, b: int = 1) -> str:
        """Adds."""
        return str(a + b)

    @api.tool()
    async def later(text: str) -> str:
        """Answers in its own time."""
        return text

    @api.tool()
    def refuses() -> str:
        """Says no."""
        raise FleetError("do that", "it is Sunday", hint="come back")

    @api.tool()
    def breaks() -> str:
        """Divides by zero."""
        return str(1 // 0)
'''


async def of_plugins(folder: Path) -> ToolHost:
    (folder / "plugins" / "sums").mkdir(parents=True)
    (folder / "plugins" / "sums" / "plugin.json").write_text('{"name": "sums", "module": "sums"}')
    (folder / "plugins" / "sums" / "sums.py").write_text(PLUGIN)
    spec = AgentSpec(name=AgentName("coder"), role="base", fleet="f", fleet_id="0" * 16, port=1, plugins={"sums": {}})
    layout = AgentLayout(folder / "agents" / "coder")
    host = PluginHost(spec, layout, folders=[folder / "plugins"], inbox=MemoryInbox(), log=MemoryLog(), now=time.time)
    await host.load()
    return host


async def of_functions(folder: Path) -> ToolHost:
    def add(a: int, b: int = 1) -> str:
        """Adds."""
        return str(a + b)

    async def later(text: str) -> str:
        """Answers in its own time."""
        return text

    def refuses() -> str:
        """Says no."""
        raise FleetError("do that", "it is Sunday", hint="come back")

    def breaks() -> str:
        """Divides by zero."""
        return str(1 // 0)

    return MemoryTools(add, later, refuses, breaks)


@pytest.fixture(params=[of_plugins, of_functions])
async def tools(request: pytest.FixtureRequest, tmp_path: Path) -> ToolHost:
    make: Callable[[Path], Awaitable[ToolHost]] = request.param
    return await make(tmp_path)


async def test_tools_are_described(tools: ToolHost) -> None:
    described = {tool.name: tool for tool in tools.tools()}
    assert list(described) == ["add", "later", "refuses", "breaks"]
    assert described["add"].description == "Adds."
    assert described["add"].input_schema == {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer", "default": 1}},
        "required": ["a"],
        "additionalProperties": False,
    }


async def test_a_call_gives_text(tools: ToolHost) -> None:
    assert await tools.call("add", {"a": 2, "b": 3}) == "5"
    assert await tools.call("add", {"a": 2}) == "3"
    assert await tools.call("later", {"text": "in time"}) == "in time"


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("nothing", {}, "there is no such tool"),
        ("refuses", {}, "it is Sunday"),
        ("breaks", {}, "ZeroDivisionError"),
        ("add", {}, "'a'"),
        ("add", {"a": 1, "c": 2}, "'c'"),
    ],
)
async def test_what_goes_wrong_is_said(tools: ToolHost, name: str, arguments: dict[str, int], says: str) -> None:
    with pytest.raises(FleetError, match=says):
        await tools.call(name, arguments)
    assert await tools.call("add", {"a": 1}) == "2", "the rest goes on"
