"""What every `Transport` promises."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from relayfleet.errors import FleetError, UnknownAgent
from relayfleet.model.entry import MAX_BODY_BYTES, Entry
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


def by_file(folder: Path) -> Way:
    layout = FleetLayout(folder)
    for name in ("one", "two"):
        layout.agent(name).dir.mkdir(parents=True)
        layout.agent(name).config.write_text("{}")
    return Way(FileTransport(layout, lambda name: None), lambda name: read_entries(layout.agent(name).inbox))


def by_memory(folder: Path) -> Way:
    transport = MemoryTransport(["one", "two"])
    return Way(transport, lambda name: transport.entries.get(name, []))


KINDS = {"file": by_file, "memory": by_memory}


@pytest.fixture(params=KINDS)
def way(request: pytest.FixtureRequest, tmp_path: Path) -> Way:
    return KINDS[request.param](tmp_path)


def entry(name: str) -> Entry:
    return Entry(id=EntryId(name), ts=1.0, source="github", body=name, metadata={})


def test_each_entry_arrives_once_and_in_order(way: Way) -> None:
    way.transport.deliver("one", [entry("b"), entry("a")])
    way.transport.deliver("one", [entry("c"), entry("a"), entry("d"), entry("c")])
    assert way.arrived("one") == [entry("b"), entry("a"), entry("c"), entry("d")]


def test_agents_have_inboxes_of_their_own(way: Way) -> None:
    way.transport.deliver("one", [entry("a")])
    way.transport.deliver("two", [entry("a")])
    assert way.arrived("one") == way.arrived("two") == [entry("a")]


def test_a_group_is_delivered_whole_or_not_at_all(way: Way) -> None:
    long = Entry(id=EntryId("long"), ts=1.0, source="github", body="x" * (MAX_BODY_BYTES + 1), metadata={})
    with pytest.raises(FleetError, match="its text has"):
        way.transport.deliver("one", [entry("a"), long, entry("b")])
    assert way.arrived("one") == []
    way.transport.deliver("one", [entry("a"), entry("b")])
    assert way.arrived("one") == [entry("a"), entry("b")]


@pytest.mark.parametrize("name", ["nobody", "", "..", "../agents/one/..", "one/../nobody"])
def test_an_unknown_agent_is_named(way: Way, name: str) -> None:
    with pytest.raises(UnknownAgent):
        way.transport.deliver(name, [entry("a")])


def test_the_runner_is_woken_once_after_the_group_is_there(tmp_path: Path) -> None:
    way = by_file(tmp_path)
    seen: list[list[Entry]] = []
    transport = FileTransport(FleetLayout(tmp_path), lambda name: seen.append(way.arrived(name)))
    transport.deliver("one", [entry("a"), entry("b")])
    assert seen == [[entry("a"), entry("b")]]


def test_a_wake_up_that_is_lost_loses_nothing(tmp_path: Path, short_folder: Path) -> None:
    from relayfleet.client.wake import wake

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(short_folder / "one.wake"))
        layout = FleetLayout(tmp_path)
        by_file(tmp_path)
        transport = FileTransport(layout, lambda name: wake(short_folder / f"{name}.wake"))
        for number in range(30):
            transport.deliver("one", [entry(f"e{number}")])
    transport.deliver("one", [entry("last")])  # nobody listens any more
    assert len(read_entries(layout.agent("one").inbox)) == 31
