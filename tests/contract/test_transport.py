"""What every `Transport` promises."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from relayfleet.errors import UnknownAgent
from relayfleet.model.entry import Entry
from relayfleet.model.layout import FleetLayout
from relayfleet.model.names import EntryId
from relayfleet.ports.delivery import Transport
from relayfleet.store.inbox import read_entries
from relayfleet.testing import MemoryTransport
from relayfleet.transports.file import FileTransport


@dataclass
class Way:
    """A transport to the agents `one` and `two`, and a look at what has arrived."""

    transport: Transport
    arrived: Callable[[str], list[Entry]]
    woken: list[str] = field(default_factory=list)


def by_file(folder: Path) -> Way:
    layout, woken = FleetLayout(folder), list[str]()
    for name in ("one", "two"):
        layout.agent(name).dir.mkdir(parents=True)
        layout.agent(name).config.write_text("{}")
    return Way(FileTransport(layout, woken.append), lambda name: read_entries(layout.agent(name).inbox), woken)


def by_memory(folder: Path) -> Way:
    transport = MemoryTransport(["one", "two"])
    return Way(transport, lambda name: transport.entries.get(name, []))


KINDS = {"file": by_file, "memory": by_memory}


@pytest.fixture(params=KINDS)
def way(request: pytest.FixtureRequest, tmp_path: Path) -> Way:
    return KINDS[request.param](tmp_path)


def entry(name: str) -> Entry:
    return Entry(id=EntryId(name), ts=1.0, source="github", body=name, metadata={})


def test_each_entry_arrives_once(way: Way) -> None:
    assert way.transport.deliver("one", entry("a"))
    assert not way.transport.deliver("one", entry("a"))
    assert way.transport.deliver("one", entry("b"))
    assert way.arrived("one") == [entry("a"), entry("b")]


def test_agents_have_inboxes_of_their_own(way: Way) -> None:
    assert way.transport.deliver("one", entry("a"))
    assert way.transport.deliver("two", entry("a"))
    assert way.arrived("one") == way.arrived("two") == [entry("a")]


@pytest.mark.parametrize("name", ["nobody", "", "..", "../agents/one/..", "one/../nobody"])
def test_an_unknown_agent_is_named(way: Way, name: str) -> None:
    with pytest.raises(UnknownAgent):
        way.transport.deliver(name, entry("a"))


def test_the_runner_is_woken_after_the_entry_is_there(tmp_path: Path) -> None:
    way = by_file(tmp_path)
    way.transport.deliver("one", entry("a"))
    assert way.woken == ["one"]


def test_a_wake_up_that_is_lost_loses_nothing(tmp_path: Path, short_folder: Path) -> None:
    from relayfleet.client.wake import wake

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(short_folder / "one.wake"))
        layout = FleetLayout(tmp_path)
        by_file(tmp_path)
        transport = FileTransport(layout, lambda name: wake(short_folder / f"{name}.wake"))
        assert all(transport.deliver("one", entry(f"e{number}")) for number in range(30))
    assert transport.deliver("one", entry("last")), "nobody listens any more"
    assert len(read_entries(layout.agent("one").inbox)) == 31
