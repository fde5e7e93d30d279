"""What every `Machine` promises."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from relayfleet.errors import FleetError
from relayfleet.fleet.port import is_port_free
from relayfleet.ports.machine import Machine, Ran
from relayfleet.store.lock import FileLock
from relayfleet.store.machine import LocalMachine
from relayfleet.testing import ScriptedMachine

SAYS = (sys.executable, "-c", "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
HANGS = (sys.executable, "-c", "import sys; sys.stdin.read(); import threading; threading.Event().wait()")


@pytest.fixture(params=["local", "scripted"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    if request.param == "local":
        return LocalMachine(environ={"PATH": str(Path(sys.executable).parent)}, port_free=is_port_free)
    return ScriptedMachine(
        programs=[Path(sys.executable).name],
        answers={
            " ".join(SAYS): Ran(code=3, stdout="out\n", stderr="err\n"),
            " ".join(HANGS): FleetError("run", "it gave no answer within 0.2 s"),
        },
        holders={tmp_path / "held": 1},
    )


def test_programs_are_found_or_not(machine: Machine) -> None:
    found = machine.which(Path(sys.executable).name)
    assert found is not None and Path(found).name == Path(sys.executable).name
    assert machine.which("no-such-program") is None


def test_a_program_gives_its_code_and_its_streams(machine: Machine) -> None:
    assert machine.run(SAYS, timeout_s=30) == Ran(code=3, stdout="out\n", stderr="err\n")


def test_a_program_that_cannot_run_or_does_not_end(machine: Machine) -> None:
    with pytest.raises(FleetError, match="cannot run"):
        machine.run(["/no/such/program"], timeout_s=1)
    with pytest.raises(FleetError, match=r"it gave no answer within 0\.2 s"):
        machine.run(HANGS, timeout_s=0.2)


def test_locks_and_room(machine: Machine, tmp_path: Path) -> None:
    assert machine.lock_holder(tmp_path / "nobodys") is None
    with FileLock(tmp_path / "held"):
        assert machine.lock_holder(tmp_path / "held") is not None
    assert machine.free_bytes(tmp_path) > 0
    assert machine.python >= (3, 11, 0)
