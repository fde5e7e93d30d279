"""What the documentation says of files, configuration, verbs and plugins is so."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from relayfleet.cli.reference import shape_in, stale_pages
from relayfleet.cli.table import VERBS
from relayfleet.config.agent import AgentFile
from relayfleet.config.fleet import FleetFile
from relayfleet.config.routes import RoutesFile
from relayfleet.harness.environment import INHERITED_AUTH, PASSED
from relayfleet.model.agent import AgentSpec
from relayfleet.model.claude_version import TESTED
from relayfleet.model.entry import decode_entry
from relayfleet.model.layout import AgentLayout
from relayfleet.model.names import AgentName
from relayfleet.model.receipt import ENTRY_STATES
from relayfleet.plughost.discover import find_plugin
from relayfleet.plughost.host import PluginHost
from relayfleet.store.inbox import FileInbox
from relayfleet.testing import MemoryLog
from tests.conftest import CHECKOUT
from tests.documents import PAGES, Block, blocks

_NAMED = re.compile(r"`((?:relayfleet|bin|docs|tests|plugins/_template|plugins/inbox|\.ci)/?[\w./-]*|pyproject\.toml)`")
_LINK = re.compile(r"\]\((?!https?:)([^)#]*)(#[^)]*)?\)")
_PLUGINS = CHECKOUT / "docs" / "plugins.md"


def _id(page: Path) -> str:
    return page.relative_to(CHECKOUT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_every_file_that_is_named_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    missing = [name for name in _NAMED.findall(text) if not (CHECKOUT / name).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target, anchor in _LINK.findall(page.read_text(encoding="utf-8")):
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), target
        if anchor:
            heads = re.findall(r"^#+ (.*)$", there.read_text(encoding="utf-8"), re.M)
            slugs = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}
            assert anchor[1:] in slugs, anchor


def test_architecture_names_every_room() -> None:
    text = (CHECKOUT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = {p.parent.name for p in (CHECKOUT / "relayfleet").glob("*/__init__.py")}
    assert [room for room in sorted(rooms) if f"`relayfleet/{room}/`" not in text] == []


def test_the_reference_is_current() -> None:
    assert stale_pages(CHECKOUT) == []


def test_readme_names_every_verb() -> None:
    table = (CHECKOUT / "README.md").read_text(encoding="utf-8").partition("## The verbs")[2].partition("## ")[0]
    words = set(re.findall(r"[a-z][a-z-]*", table))
    unnamed = [v.path for v in VERBS if not v.hidden and v.path != "route show" and not set(v.path.split()) <= words]
    assert unnamed == []


def test_every_verb_with_json_says_its_shape() -> None:
    text = (CHECKOUT / "docs" / "cli.md").read_text(encoding="utf-8")
    sections = {part.partition("\n")[0]: part for part in text.split("\n## ")}
    assert [v.path for v in VERBS if v.json and not v.hidden and "--json" not in sections[f"fleet {v.path}"]] == []


def test_shape_in() -> None:
    assert shape_in('Prints it.\n\n--json: {"version": 1,\n"x"}. 1 when\nnot.\n\nMore.') == (
        '--json: {"version": 1, "x"}. 1 when not.'
    )
    assert shape_in("Nothing of the kind.") == ""


def _model_for(block: Block) -> type[BaseModel] | None:
    if "fleet.json" in block.before:
        return FleetFile
    if "routes.json" in block.before:
        return RoutesFile
    return AgentFile if re.search(r"agents/[\w<>-]+/config\.json", block.before) else None


@pytest.mark.parametrize("block", [b for p in PAGES for b in blocks(p, "json")], ids=lambda b: _id(b.page))
def test_json_is_what_the_file_may_say(block: Block) -> None:
    value = json.loads(block.text)
    model = _model_for(block)
    if model is not None:
        model.model_validate(value)
    else:
        assert "plugin.json" in block.before, "the line before a JSON block names the file"


def test_runtimes_names_the_whole_environment() -> None:
    text = (CHECKOUT / "docs" / "RUNTIMES.md").read_text(encoding="utf-8")
    table = text.partition("## What a session's environment holds")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([A-Za-z_*]+)`", table))
    assert set(PASSED) | {"LC_*", "SSH_AUTH_SOCK"} | set(INHERITED_AUTH) <= named
    set_by_us = {"CLAUDE_CONFIG_DIR", "ANTHROPIC_BASE_URL", "DISABLE_AUTOUPDATER"}
    set_by_us |= {"RELAYFLEET_AGENT", "RELAYFLEET_ROOT", "RELAYFLEET_SESSION"}
    others = {"GH_TOKEN", "env", "credentials", "fleet", "isolate_config"}
    assert {n for n in named if n.isupper()} - set(PASSED) - set(INHERITED_AUTH) - set_by_us - others <= {
        "LC_*",
        "SSH_AUTH_SOCK",
    }


def test_the_tested_versions_of_claude_are_named() -> None:
    text = (CHECKOUT / "docs" / "RUNTIMES.md").read_text(encoding="utf-8")
    assert f"is {TESTED[0]} to {TESTED[1]}" in text
    for page in PAGES:
        assert set(re.findall(r"claude-code@([\w.]+)", page.read_text(encoding="utf-8"))) <= {TESTED[1]}


def test_every_state_of_an_entry_is_explained() -> None:
    text = (CHECKOUT / "docs" / "json.md").read_text(encoding="utf-8")
    assert [state for state in ENTRY_STATES if f"| `{state}` |" not in text] == []


async def test_the_plugin_of_the_page_works(tmp_path: Path) -> None:
    (manifest,) = blocks(_PLUGINS, "json")[:1]
    (module,) = blocks(_PLUGINS, "python")
    config = AgentFile.model_validate(json.loads(blocks(_PLUGINS, "json")[1].text)).plugins
    assert config is not None
    folder = tmp_path / "plugins" / "stock"
    folder.mkdir(parents=True)
    (folder / "plugin.json").write_text(manifest.text)
    (folder / "stock.py").write_text(module.text)
    assert find_plugin("stock", [tmp_path / "plugins"]).name == "stock"
    agent = AgentLayout(tmp_path / "agents" / "keeper")
    agent.state.mkdir(parents=True)
    stock = {**(config["stock"] or {}), "shelves": {"bolts": 3, "nuts": 0}, "look_every_s": 0.001}
    spec = AgentSpec(
        name=AgentName("keeper"), role="base", fleet="f", fleet_id="0" * 12, port=8700, plugins={"stock": stock}
    )
    log = MemoryLog()
    host = PluginHost(
        spec, agent, folders=[tmp_path / "plugins"], inbox=FileInbox(agent.inbox), log=log, now=lambda: 1.0
    )
    await host.load()
    assert log.of("plugin.failed") == []
    assert [tool.name for tool in host.tools()] == ["count", "restock"]
    assert await host.call("count", {"what": "bolts", "unit": "boxes"}) == "3 boxes"
    assert json.loads(await host.call("restock", {"what": "bolts", "how_many": 2})) == {"bolts": 5, "nuts": 0}
    import asyncio

    async with asyncio.timeout(60):
        while not agent.inbox.exists():
            await asyncio.sleep(0.005)
    await host.close()
    entry = decode_entry(agent.inbox.read_bytes().splitlines()[0])
    assert entry is not None
    assert (entry.source, entry.body) == ("stock", "There are no nuts left.")


def _actions() -> set[str]:
    """The first argument of every call of a log, `<state>` standing for what is filled in."""
    found = set()
    for path in (CHECKOUT / "relayfleet").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and re.search(
                r"(?:^|[._])log\.(debug|info|info_each|warning|error)$", ast.unparse(node.func)
            ):
                found.add(re.sub(r"^f?'|'$", "", ast.unparse(node.args[0])))
    return found


def test_every_action_of_the_logs_is_listed() -> None:
    text = (CHECKOUT / "docs" / "operations.md").read_text(encoding="utf-8")
    table = text.partition("### Actions")[2].partition("\n## ")[0]
    listed = set(
        re.findall(r"`([a-z]+\.[a-z_]+)`", "\n".join(row.split("|")[1] for row in re.findall(r"^\| `.*", table, re.M)))
    )
    receipts = {f"entry.{state}" for state in ENTRY_STATES if state != "dropped"}
    assert _actions() - {"entry.{one.state}"} | receipts == listed
