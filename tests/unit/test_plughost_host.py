"""Plugins are other people's code: whatever one does, it is named in the log and the rest goes on."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from relayfleet.errors import FleetError
from relayfleet.model.agent import AgentSpec
from relayfleet.model.layout import AgentLayout
from relayfleet.model.names import AgentName
from relayfleet.model.turn import Part, render
from relayfleet.plughost.host import PluginHost
from relayfleet.ports.delivery import Inbox
from relayfleet.store.inbox import FileInbox, read_entries
from relayfleet.testing import MemoryInbox, MemoryLog
from tests.conftest import CHECKOUT

SHIPPED = CHECKOUT / "plugins"
GOOD = """
async def setup(api):
    @api.tool
    def hello() -> str:
        "Says hello."
        return "hello from " + api.config.get("who", "nobody")
"""


class Bench:
    """Plugins in the root of a fleet, and the host that loads them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.layout = AgentLayout(root / "agents" / "coder")
        self.log = MemoryLog()
        self.inbox: Inbox = MemoryInbox()
        self.hosts: list[PluginHost] = []

    def add(self, name: str, code: str, *, manifest: dict[str, Any] | str | None = None) -> None:
        folder = self.root / "plugins" / name
        folder.mkdir(parents=True)
        made = {"name": name, "module": name} if manifest is None else manifest
        (folder / "plugin.json").write_text(made if isinstance(made, str) else json.dumps(made))
        (folder / f"{name}.py").write_text(code)

    async def load(self, **plugins: dict[str, Any]) -> PluginHost:
        spec = AgentSpec(name=AgentName("coder"), role="base", fleet="f", fleet_id="0" * 16, port=1, plugins=plugins)
        folders = [self.root / "plugins", SHIPPED]
        host = PluginHost(spec, self.layout, folders=folders, inbox=self.inbox, log=self.log, now=time.time)
        self.hosts.append(host)
        await host.load()
        return host

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                await asyncio.sleep(0.005)

    def failures(self) -> list[str]:
        return [message for message, _ in self.log.of("plugin.failed")]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    made.add("good", GOOD)
    yield made
    for host in made.hosts:
        await host.close()


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("raise RuntimeError('at import')", "at import"),
        ("import no_such_module", "no_such_module"),
        ("def setup(:", "invalid syntax"),
        ("import sys\nsys.exit('gone')", "gone"),
        ("", "no `async def setup"),
        ("def setup(api): pass", "no `async def setup"),
        ("async def setup(api): raise ValueError('in setup')", "in setup"),
        ("async def setup(api):\n    @api.tool\n    def t(x: bytes) -> str: ...", "parameter 'x'"),
        ("async def setup(api): api.no_such_thing()", "no_such_thing"),
    ],
)
async def test_a_plugin_that_cannot_be_set_up_is_named_and_the_rest_goes_on(bench: Bench, code: str, says: str) -> None:
    bench.add("bad", code)
    host = await bench.load(bad={}, good={"who": "ann"})
    (failure,) = bench.failures()
    assert "'bad'" in failure
    assert says in failure
    assert await host.call("hello", {}) == "hello from ann"


@pytest.mark.parametrize(
    ("manifest", "says"),
    [
        ("{", "plugin.json"),
        ("[]", "needs `name`"),
        ({"name": "other", "module": "bad"}, "needs `name` ('bad')"),
        ({"name": "bad"}, "needs `name`"),
        ({"name": "bad", "module": "missing"}, "not in its folder"),
        ({"name": "bad", "module": "../good/good"}, "not in its folder"),
        ({"name": "bad", "module": "bad", "autostart": True}, "needs `name`"),
    ],
)
async def test_a_manifest_that_is_none_is_named(bench: Bench, manifest: Any, says: str) -> None:
    bench.add("bad", GOOD, manifest=manifest)
    host = await bench.load(bad={}, good={})
    assert says in bench.failures()[0]
    assert [tool.name for tool in host.tools()] == ["hello"]


async def test_a_plugin_that_is_nowhere_is_named_with_the_places(bench: Bench) -> None:
    await bench.load(nowhere={})
    assert "there is no nowhere/plugin.json in" in bench.failures()[0]
    assert str(SHIPPED) in bench.failures()[0]


async def test_a_tool_that_raises_is_named_and_the_next_call_goes_on(bench: Bench) -> None:
    bench.add("bad", "async def setup(api):\n    @api.tool\n    def broken() -> str: raise KeyError('inside')")
    host = await bench.load(bad={}, good={})
    with pytest.raises(FleetError, match="cannot call tool 'broken': KeyError: 'inside'"):
        await host.call("broken", {})
    ((message, fields),) = bench.log.of("plugin.tool_failed")
    assert "broken" in message
    assert fields["tool"] == "broken"
    assert await host.call("hello", {}) == "hello from nobody"


async def test_a_task_that_raises_is_named_and_the_others_go_on(bench: Bench) -> None:
    bench.add(
        "bad",
        "import asyncio\n"
        "async def setup(api):\n"
        "    async def fails(): raise OSError('in a task')\n"
        "    async def goes_on():\n"
        "        await asyncio.sleep(0.01)\n"
        "        await api.emit('still here')\n"
        "    api.spawn(fails())\n"
        "    api.spawn(goes_on())\n",
    )
    await bench.load(bad={})
    await bench.until(bench.inbox.read_new)
    assert bench.failures() == ["a task of plugin 'bad' failed: in a task"]


async def test_tasks_end_with_the_runner(bench: Bench) -> None:
    bench.add(
        "waits",
        "import asyncio\n"
        "async def setup(api):\n"
        "    async def wait():\n"
        "        try: await asyncio.Event().wait()\n"
        "        finally: await api.emit('cancelled')\n"
        "    api.spawn(wait())\n"
        "    await asyncio.sleep(0)\n",
    )
    host = await bench.load(waits={})
    await host.close()
    assert [entry.body for entry in bench.inbox.read_new()] == ["cancelled"]
    assert bench.failures() == []


async def test_a_tool_of_a_name_that_is_taken_is_not_offered_twice(bench: Bench) -> None:
    bench.add("second", GOOD.replace("hello from", "usurped by"))
    host = await bench.load(good={}, second={})
    assert [tool.name for tool in host.tools()] == ["hello"]
    assert await host.call("hello", {}) == "hello from nobody"
    assert bench.log.of("plugin.clash")[0][1] == {"tools": ["hello"]}


async def test_what_was_emitted_is_on_disk_when_emit_returns(bench: Bench) -> None:
    bench.add(
        "emits",
        "async def setup(api):\n"
        "    @api.tool\n"
        "    async def emit(body: str) -> str:\n"
        "        return await api.emit(body, metadata={'kind': 'note'}, source=api.config.get('source'))\n",
    )
    bench.inbox = FileInbox(bench.layout.inbox)
    host = await bench.load(emits={})
    entry_id = await host.call("emit", {"body": "remember"})
    (entry,) = read_entries(bench.layout.inbox)
    assert (entry.id, entry.source, entry.body, entry.metadata) == (entry_id, "emits", "remember", {"kind": "note"})


async def test_an_emit_that_the_disk_refuses_raises_in_the_plugin(bench: Bench) -> None:
    bench.add("emits", "async def setup(api):\n    await api.emit('x')\n")
    full = MemoryInbox()
    full.full = True
    bench.inbox = full
    await bench.load(emits={})
    assert "No space left on device" in bench.failures()[0]


async def test_the_roots_plugin_shadows_the_shipped_one(bench: Bench) -> None:
    bench.add("_template", GOOD)
    host = await bench.load(_template={})
    assert [tool.name for tool in host.tools()] == ["hello"]


async def test_a_plugin_may_use_dataclasses_and_postponed_annotations(bench: Bench) -> None:
    bench.add(
        "modern",
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "@dataclass(kw_only=True)\nclass Note:\n    text: str\n"
        "async def setup(api):\n"
        "    @api.tool\n"
        "    def note(text: str) -> str:\n        return Note(text=text).text\n",
    )
    host = await bench.load(modern={})
    assert bench.failures() == []
    assert await host.call("note", {"text": "x"}) == "x"


@pytest.mark.parametrize(
    ("result", "text"), [("'plain'", "plain"), ("{'a': ['é', 1]}", '{"a": ["é", 1]}'), ("None", "null")]
)
async def test_what_a_tool_returns_is_shown_as_text(bench: Bench, result: str, text: str) -> None:
    bench.add("gives", f"async def setup(api):\n    @api.tool\n    def give() -> str: return {result}\n")
    assert await (await bench.load(gives={})).call("give", {}) == text


async def test_a_tool_can_be_named_and_described(bench: Bench) -> None:
    bench.add(
        "named",
        "async def setup(api):\n"
        "    @api.tool('other-name', 'What it does.')\n"
        "    def t() -> str: return 'x'\n"
        "    @api.tool(description='Another.')\n"
        "    def u() -> str: return 'y'\n",
    )
    host = await bench.load(named={})
    assert [(t.name, t.description) for t in host.tools()] == [("other-name", "What it does."), ("u", "Another.")]


# ---- the template that is shipped


async def test_the_template_runs(bench: Bench) -> None:
    host = await bench.load(_template={"greeting": "good day", "remind_every_s": 0.01})
    assert await host.call("greet", {"name": "ann"}) == "good day, ann"
    seen: list[Any] = []
    await bench.until(lambda: seen.extend(bench.inbox.read_new()) or len(seen) >= 2)
    text = render([Part(entry=seen[0])], limit=1000)
    assert text.startswith(f"[FROM _template | reminder | id={seen[0].id}]\n")
    assert text.endswith("> Look through your inbox for what is left undone.")
    assert bench.failures() == []


async def test_the_template_greets_without_any_configuration(bench: Bench) -> None:
    host = await bench.load(_template={})
    assert await host.call("greet", {"name": "ann"}) == "hello, ann"
    assert bench.inbox.read_new() == []
