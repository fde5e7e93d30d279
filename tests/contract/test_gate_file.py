"""What every `GateFile` promises."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from relayfleet.errors import ConfigError
from relayfleet.model.layout import FleetLayout
from relayfleet.model.route import Gate
from relayfleet.model.watch import Watch
from relayfleet.ports.gate import GateFile
from relayfleet.store.gate_file import RoutesJson
from relayfleet.testing import MemoryGateFile

ONE = Gate(watches=(Watch(name="one", kind="issues", repo="acme/WMS", poll_sec=240),))
TWO = Gate(watches=(Watch(name="two", kind="pulls", repo="acme/WMS", poll_sec=240),))


@dataclass
class Desk:
    """A gate file and how to write it; None is something with faults."""

    gate_file: GateFile
    write: Callable[[Gate | None], None]

    def looks(self) -> bool:
        """Whether a change is seen, when it is looked twice."""
        self.gate_file.has_changed()
        return self.gate_file.has_changed()


def on_disk(folder: Path) -> Desk:
    layout = FleetLayout(folder)

    def write(gate: Gate | None) -> None:
        record: dict[str, Any] = {"watches": 7}
        if gate is not None:
            record = {"watches": [{"name": one.name, "kind": one.kind, "repo": one.repo} for one in gate.watches]}
        layout.routes_json.write_text(json.dumps(record))

    write(ONE)
    return Desk(RoutesJson(layout), write)


def in_memory(folder: Path) -> Desk:
    gate_file = MemoryGateFile(ONE)

    def write(gate: Gate | None) -> None:
        gate_file.edit(gate or ONE, faults=() if gate else ("routes.json: watches: must be a list",))

    return Desk(gate_file, write)


KINDS = {"disk": on_disk, "memory": in_memory}


@pytest.fixture(params=KINDS)
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Desk:
    return KINDS[request.param](tmp_path)


def test_what_was_read_has_not_changed(desk: Desk) -> None:
    assert desk.gate_file.read() == ONE
    assert not desk.looks()


def test_an_edit_is_seen_until_it_is_read(desk: Desk) -> None:
    desk.gate_file.read()
    desk.write(TWO)
    assert desk.looks() and desk.looks()
    assert desk.gate_file.read() == TWO
    assert not desk.looks()


def test_faults_are_all_told_and_are_read_once(desk: Desk) -> None:
    desk.gate_file.read()
    desk.write(None)
    assert desk.looks()
    with pytest.raises(ConfigError) as refused:
        desk.gate_file.read()
    assert len(refused.value.faults) == 1 and "watches" in refused.value.faults[0]
    assert not desk.looks()
    desk.write(TWO)
    assert desk.looks()
    assert desk.gate_file.read() == TWO


def test_half_an_edit_is_not_read(tmp_path: Path) -> None:
    desk = on_disk(tmp_path)
    desk.gate_file.read()
    path = tmp_path / "routes.json"
    for text in ("{", '{"watches": [', '{"watches": []'):
        path.write_text(text)
        assert not desk.gate_file.has_changed()
    path.write_text('{"watches": []}')
    assert not desk.gate_file.has_changed()
    assert desk.gate_file.has_changed()


def test_an_editor_that_puts_another_file_in_its_place(tmp_path: Path) -> None:
    desk = on_disk(tmp_path)
    desk.gate_file.read()
    path = tmp_path / "routes.json"
    before = path.stat()
    path.rename(tmp_path / "routes.json~")
    assert not desk.gate_file.has_changed()
    path.write_text((tmp_path / "routes.json~").read_text())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not desk.gate_file.has_changed()
    assert desk.gate_file.has_changed()
    assert desk.gate_file.read() == ONE


def test_a_file_that_is_gone_is_a_fault_once_it_stays_away(tmp_path: Path) -> None:
    desk = on_disk(tmp_path)
    desk.gate_file.read()
    (tmp_path / "routes.json").unlink()
    assert not desk.gate_file.has_changed()
    assert desk.gate_file.has_changed()
    with pytest.raises(ConfigError, match="no such file"):
        desk.gate_file.read()
    assert not desk.looks()
