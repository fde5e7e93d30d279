"""`fleet service` under a real systemd: installed, killed, booted, uninstalled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import SCRIPTED
from tests.conftest import CHECKOUT
from tests.standins.model import until
from tests.standins.systemd import HOME, SystemdMachine, run_systemd

ROOT = HOME / "my %fleet"  # a name that has to be quoted
UNITS = HOME / ".config" / "systemd" / "user"
AGENTS = ("one", "two")


class ServiceFleet:
    """The fleet of that machine's user."""

    def __init__(self, machine: SystemdMachine) -> None:
        self.machine = machine

    def run(self, *words: str, code: int | None = 0) -> str:
        done = self.machine.run(str(CHECKOUT / "bin" / "fleet"), "--root", str(ROOT), *words)
        assert code is None or done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def json(self, *words: str, code: int | None = 0) -> Any:
        done = self.machine.run(str(CHECKOUT / "bin" / "fleet"), "--root", str(ROOT), *words, "--json")
        assert code is None or done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)

    def service(self) -> dict[str, Any]:
        found: dict[str, Any] = self.json("service", "status", code=None)
        return found

    def agents(self) -> dict[str, tuple[int, str]]:
        """Runner and session of every agent that is ready."""
        up = [a for a in self.json("status")["agents"] if a["state"] == "idle"]
        return {a["name"]: (a["pid"], a["session_id"]) for a in up}

    def all_up(self) -> dict[str, tuple[int, str]]:
        def there() -> dict[str, tuple[int, str]]:
            found = self.agents()
            return found if len(found) == len(AGENTS) else {}

        found: dict[str, tuple[int, str]] = until(there, within_s=60, what=self.run("status", code=None))
        return found

    def files(self) -> list[str]:
        done = self.machine.run("find", str(UNITS), "-name", "relayfleet*")
        return sorted(done.stdout.split())


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServiceFleet]:
    with run_systemd(tmp_path) as machine:
        machine.run("mkdir", str(ROOT))
        fleet = ServiceFleet(machine)
        fleet.run("init")
        settings = json.loads(machine.run("cat", str(ROOT / "fleet.json")).stdout)
        settings["defaults"] = {"remote_control": False, "claude": {"command": SCRIPTED}}
        machine.run("sh", "-c", 'printf %s "$1" > "$2"', "-", json.dumps(settings), str(ROOT / "fleet.json"))
        for agent in AGENTS:
            fleet.run("new-agent", agent)
        yield fleet


@pytest.mark.needs("systemd", "root")
@pytest.mark.timeout(300)
def test_a_service_from_its_installation_to_its_end(service: ServiceFleet) -> None:
    assert service.service()["installed"] is False
    assert "installed: systemd user unit relayfleet-" in service.run("service", "install")
    assert "already installed: " in service.run("service", "install")
    found = service.service()
    assert (found["installed"], found["enabled"], found["active"], found["linger"]) == (True, True, True, True)
    assert found["differences"] == []
    service.run("start", "--all")
    before = service.all_up()

    # Killed: it is back, and has adopted the agents.
    service.machine.run("kill", "-9", str(found["pid"]))
    until(lambda: service.service()["pid"] not in (None, found["pid"]))
    assert service.all_up() == before

    # Installed anew, when something differs: restarted, and has adopted the agents.
    service.machine.run("sed", "-i", "s/RestartSec=1/RestartSec=9/", found["place"])
    assert service.service()["differences"] == ["-RestartSec=9", "+RestartSec=1"]
    assert "\ninstalled: " in "\n" + service.run("service", "install")
    assert service.service()["differences"] == []
    assert service.all_up() == before

    # The power fails: the machine brings the fleet up again, with the same sessions.
    service.machine.cut_the_power()
    service.machine.boot()
    until(lambda: service.service()["active"])
    after = service.all_up()
    assert {name: session for name, (_, session) in after.items()} == {n: s for n, (_, s) in before.items()}

    # The unit's control group is the user's, so each session has one of its own in it.
    groups = service.machine.run("find", "/sys/fs/cgroup", "-name", "relayfleet-*-one").stdout.split()
    assert [Path(group).parent.name for group in groups] == [found["name"]]
    assert service.machine.run("cat", f"{groups[0]}/cgroup.procs").stdout.split()

    # What was asked for is not undone by restarting: `down` is final, an uninstallation leaves nothing.
    service.run("down")
    until(lambda: not service.service()["active"])
    assert service.agents() == {}
    assert "uninstalled: " in service.run("service", "uninstall")
    assert "not installed: " in service.run("service", "uninstall")
    assert service.files() == []
