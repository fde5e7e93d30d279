"""What every `AgentFiles` promises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from relayfleet.model.agent import AgentSpec
from relayfleet.model.layout import FleetLayout
from relayfleet.model.names import AgentName
from relayfleet.ports.daemon import AgentFiles
from relayfleet.store.agent_files import LocalAgentFiles
from relayfleet.store.intent import read_intent
from relayfleet.testing import MemoryAgentFiles
from relayfleet.wire.launch import decode_launch


@dataclass
class Kind:
    files: AgentFiles
    wanted: Callable[[str], str]
    launch: Callable[[str], AgentSpec]


def on_disk(folder: Path) -> Kind:
    layout = FleetLayout(folder)
    return Kind(
        LocalAgentFiles(layout),
        lambda name: read_intent(layout.agent(name).intent),
        lambda name: decode_launch(layout.agent(name).launch.read_bytes()),
    )


def in_memory(folder: Path) -> Kind:
    files = MemoryAgentFiles()
    return Kind(files, lambda name: files.wanted.get(name, "stopped"), lambda name: files.launches[name])


@pytest.fixture(params=[on_disk, in_memory])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    made: Kind = request.param(tmp_path)
    return made


def spec(name: str, port: int = 8750) -> AgentSpec:
    return AgentSpec(name=AgentName(name), role="coder", fleet="f", fleet_id="0" * 12, port=port)


def test_what_was_wanted_last_holds_for_each_agent(kind: Kind) -> None:
    assert kind.wanted("one") == "stopped"
    kind.files.want("one", "stopped")
    kind.files.want("one", "running")
    kind.files.want("two", "running")
    kind.files.want("two", "stopped")
    assert (kind.wanted("one"), kind.wanted("two")) == ("running", "stopped")


def test_an_agent_is_launched_with_what_was_written_last(kind: Kind) -> None:
    kind.files.write_launch(spec("one", port=1))
    kind.files.write_launch(spec("one"))
    kind.files.write_launch(spec("two"))
    assert (kind.launch("one"), kind.launch("two")) == (spec("one"), spec("two"))


def test_a_launch_forgets_why_the_last_one_failed(tmp_path: Path) -> None:
    agent = FleetLayout(tmp_path).agent("one")
    agent.state.mkdir(parents=True)
    agent.failure.write_text("{}")
    LocalAgentFiles(FleetLayout(tmp_path)).write_launch(spec("one"))
    assert not agent.failure.exists()
    assert agent.launch.stat().st_mode & 0o777 == 0o600
