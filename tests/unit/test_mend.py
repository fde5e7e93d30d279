"""`fleet doctor --fix`: what it ends, and what it keeps its hands off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from relayfleet.errors import LockHeld
from relayfleet.fleet.mend import Mender
from relayfleet.model.layout import FleetLayout
from relayfleet.model.names import AgentName
from relayfleet.ports.machine import SessionProcess
from relayfleet.testing import FailingDisk, MemoryProcessTable

MINE, OTHER = "0123456789ab", "ba9876543210"


def process(pid: int, agent: str = "coder") -> SessionProcess:
    return SessionProcess(pid=pid, started=1.0, agent=AgentName(agent), command="sleep")


@dataclass
class Locks:
    """Locks by path: those in `held` are somebody's."""

    held: set[Path] = field(default_factory=set)
    taken: list[Path] = field(default_factory=list)

    @contextmanager
    def take(self, path: Path) -> Iterator[None]:
        if path in self.held:
            raise LockHeld(f"take lock {path}", "process 1 holds it")
        self.held.add(path)
        self.taken.append(path)
        yield
        self.held.remove(path)


@pytest.fixture
def layout(tmp_path: Path) -> FleetLayout:
    layout = FleetLayout(tmp_path)
    for name in ("coder", "reviewer"):
        layout.agent(name).state.mkdir(parents=True, mode=0o700)
    layout.state.mkdir(mode=0o700)
    return layout


def mender(layout: FleetLayout, table: MemoryProcessTable, locks: Locks, sockets: Path | None = None) -> Mender:
    return Mender(
        layout=layout, fleet_id=MINE, sessions={}, sockets=sockets, table=table, disk=FailingDisk(), lock=locks.take
    )


def test_strays_are_ended_under_their_runners_lock(layout: FleetLayout) -> None:
    table = MemoryProcessTable({MINE: [process(1), process(2)], OTHER: [process(3)]})
    locks = Locks()
    held: list[bool] = []
    table.on_end = lambda: held.append(layout.agent("coder").runner_lock in locks.held)
    done = mender(layout, table, locks).mend()
    assert [(one.subject, one.what, one.error) for one in done] == [
        ("coder", "ended process 1: sleep", ""),
        ("coder", "ended process 2: sleep", ""),
    ]
    assert held == [True]
    assert table.processes == {MINE: [], OTHER: [process(3)]}


def test_the_session_of_a_living_runner_is_left_alone(layout: FleetLayout) -> None:
    table = MemoryProcessTable({MINE: [process(1), process(2, "reviewer")]})
    done = mender(layout, table, Locks(held={layout.agent("coder").runner_lock})).mend()
    assert [one.subject for one in done] == ["reviewer"]
    assert table.processes[MINE] == [process(1)]


def test_what_does_not_end_is_said(layout: FleetLayout) -> None:
    table = MemoryProcessTable({MINE: [process(1)]})
    table.stubborn.add(1)
    (one,) = mender(layout, table, Locks()).mend()
    assert (one.subject, one.error) == ("coder", "it is still there")


def test_what_is_spawned_in_between_is_ended_too(layout: FleetLayout) -> None:
    table = MemoryProcessTable({MINE: [process(1)]})
    table.on_end = lambda: table.processes[MINE].append(process(2)) if len(table.processes[MINE]) == 1 else None
    table.on_end, first = lambda: None, table.on_end
    rounds: list[int] = []

    def spawn_once() -> None:
        if not rounds:
            first()
        rounds.append(1)

    table.on_end = spawn_once
    assert [one.what for one in mender(layout, table, Locks()).mend()] == [
        "ended process 1: sleep",
        "ended process 2: sleep",
    ]
    assert table.processes[MINE] == []


def test_strays_of_an_agent_that_was_taken_out_make_no_folder(layout: FleetLayout) -> None:
    table = MemoryProcessTable({MINE: [process(1, "gone")]})
    assert [one.subject for one in mender(layout, table, Locks()).mend()] == ["gone"]
    assert not layout.agent("gone").dir.exists()


def test_a_fleet_without_an_id_has_no_processes(layout: FleetLayout) -> None:
    table = MemoryProcessTable({MINE: [process(1)]})
    without = mender(layout, table, Locks())
    without.fleet_id = None
    assert without.mend() == []


def test_sockets_of_the_living_stay(layout: FleetLayout, tmp_path: Path) -> None:
    sockets = tmp_path / "sockets"
    sockets.mkdir()
    for name in ("coder.sock", "coder.wake", "reviewer.sock", "router.sock", "supervisor.sock", "removed.sock"):
        (sockets / name).touch()
    locks = Locks(held={layout.agent("coder").runner_lock, layout.router_lock})
    mender(layout, MemoryProcessTable({}), locks, sockets).mend()
    assert sorted(path.name for path in sockets.iterdir()) == ["coder.sock", "coder.wake", "router.sock"]


def test_what_is_being_changed_stays(layout: FleetLayout) -> None:
    half = layout.root / ".fleet.json.ab.tmp"
    half.touch()
    mender(layout, MemoryProcessTable({}), Locks(held={layout.config_lock})).mend()
    assert half.exists()
    mender(layout, MemoryProcessTable({}), Locks()).mend()
    assert not half.exists()
