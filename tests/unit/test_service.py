"""`fleet service`: what is written for each service manager, and what is done about what is found."""

from __future__ import annotations

import plistlib
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PureWindowsPath
from typing import cast

import pytest

from relayfleet.backends.launchd import Launchd
from relayfleet.backends.systemd import Systemd, environment_in, render_unit
from relayfleet.backends.task_scheduler import TaskScheduler, render_task
from relayfleet.errors import FleetError
from relayfleet.fleet.service import ServiceControl, absolute_path, service_of
from relayfleet.ports.machine import Machine, Ran
from relayfleet.ports.service import Installed, Service, ServiceManager
from relayfleet.store.disk import LocalDisk
from relayfleet.testing import ScriptedMachine

ID = "0123456789ab"
SECRET = "ghp_notarealtoken"
ROOT = Path('/home/ann/my 100% "fleet" $HOME \\n')
SERVICE = Service(
    fleet_id=ID,
    fleet_name="crew",
    root=ROOT,
    argv=("/opt/relay fleet/bin/fleet", "--root", str(ROOT), "up"),
    environment={"PATH": "/home/ann/my bin:/usr/bin", "LANG": "C.UTF-8"},
)
DONE = Ran(code=0, stdout="", stderr="")


# ---- what is written


def test_a_user_unit() -> None:
    lines = render_unit(SERVICE, user=None).splitlines()
    assert 'ExecStart="/opt/relay fleet/bin/fleet" "--root" "/home/ann/my 100%% \\"fleet\\" $$HOME \\\\n" "up"' in lines
    assert 'WorkingDirectory=/home/ann/my 100%% "fleet" $HOME \\n' in lines
    assert 'Environment="PATH=/home/ann/my bin:/usr/bin"' in lines
    assert {"KillMode=process", "Delegate=yes", "Restart=always", "WantedBy=default.target"} <= set(lines)
    assert not [line for line in lines if line.startswith("User=")]


def test_a_system_unit_names_its_user() -> None:
    lines = render_unit(SERVICE, user="root").splitlines()
    assert {"User=root", "WantedBy=multi-user.target", "After=network-online.target"} <= set(lines)


def test_what_a_unit_recorded_is_read_again() -> None:
    odd = replace(SERVICE, environment={"PATH": '/a"b:/c\\d:/100%', "LANG": "C"})
    assert environment_in(render_unit(odd, user=None)) == odd.environment
    assert environment_in("[Unit]\n") == {}


@pytest.mark.parametrize("bad", ["/a\nExecStartPre=/bin/evil", "/a\r", "/a\0"])
def test_a_folder_that_would_write_lines_of_its_own_is_refused(bad: str) -> None:
    with pytest.raises(FleetError, match="holds a control character"):
        render_unit(replace(SERVICE, root=Path(bad)), user=None)
    with pytest.raises(FleetError, match="holds a control character"):
        render_unit(replace(SERVICE, environment={"PATH": bad}), user=None)


def test_a_property_list(tmp_path: Path) -> None:
    launchd = Launchd(ScriptedMachine(), LocalDisk(), folder=tmp_path, logs=tmp_path, domain="gui/501")
    text = launchd.define(SERVICE)
    found = plistlib.loads(text.encode())
    assert found["ProgramArguments"] == list(SERVICE.argv)
    assert found["WorkingDirectory"] == str(ROOT)
    assert (found["RunAtLoad"], found["KeepAlive"]) == (True, {"SuccessfulExit": False})
    assert found["AbandonProcessGroup"] is True
    assert launchd.environment_of(text) == SERVICE.environment
    assert launchd.environment_of("no list") == {}


def test_a_task(tmp_path: Path) -> None:
    root = cast(Path, PureWindowsPath(r"C:\Users\ann & bob\fleet"))
    environment = {"PATH": r"C:\Program Files\nodejs;C:\Windows"}
    service = replace(
        SERVICE, root=root, argv=(r"C:\x y\fleet.exe", "--root", str(root), "up"), environment=environment
    )
    text = render_task(service, user=r"HOME\ann")
    tree = ET.fromstring(text.split("\n", 1)[1])
    space = {"t": "http://schemas.microsoft.com/windows/2004/02/mit/task"}
    assert tree.findtext(".//t:Arguments", namespaces=space) == (
        r'/d /s /c "set "PATH=C:\Program Files\nodejs;C:\Windows"&& '
        r'"C:\x y\fleet.exe" --root "C:\Users\ann & bob\fleet" up"'
    )
    assert tree.findtext(".//t:LogonTrigger/t:UserId", namespaces=space) == r"HOME\ann"
    scheduler = TaskScheduler(ScriptedMachine(), LocalDisk(), folder=tmp_path, user="ann")
    assert scheduler.environment_of(text) == environment
    with pytest.raises(FleetError, match=r"cmd\.exe"):
        render_task(replace(service, environment={"PATH": "%EVIL%"}), user="ann")


def test_no_secret_is_recorded_and_paths_are_absolute() -> None:
    environ = {
        "PATH": "bin:/usr/bin:.::/usr/bin:/bin",
        "GH_TOKEN": SECRET,
        "HTTPS_PROXY": f"http://a:{SECRET}@p",
        "LANG": "C",
    }
    service = service_of(ID, "crew", ROOT, program=Path("/opt/fleet"), environ=environ)
    assert service.environment == {"PATH": "/usr/bin:/bin", "LANG": "C"}
    assert service.argv == ("/opt/fleet", "--root", str(ROOT), "up")
    assert SECRET not in render_unit(service, user=None)
    assert absolute_path("") == absolute_path(".:bin") == "/usr/local/bin:/usr/bin:/bin"


# ---- what is run, with the platform's programs made up


@dataclass
class Programs(ScriptedMachine):
    """A Machine that notes what it runs and answers with what `say` gives."""

    say: Callable[[Sequence[str]], Ran] = lambda argv: DONE
    ran: list[str] = field(default_factory=list)

    def run(self, argv: Sequence[str], *, timeout_s: float) -> Ran:
        self.ran.append(" ".join(word for word in argv if word != "--no-ask-password"))
        return self.say(argv)


def systemd(folder: Path, machine: Machine, *, is_system: bool = False) -> Systemd:
    return Systemd(machine, LocalDisk(), folder=folder / "units", user="ann", is_system=is_system)


NAME = f"relayfleet-{ID}.service"


def test_a_user_unit_is_installed_with_linger(tmp_path: Path) -> None:
    machine = Programs()
    systemd(tmp_path, machine).install(SERVICE)
    assert (tmp_path / "units" / NAME).read_text() == render_unit(SERVICE, user=None)
    assert machine.ran == [
        "loginctl show-user ann --property=Linger --value",
        "loginctl enable-linger ann",
        "systemctl --user daemon-reload",
        f"systemctl --user enable --quiet {NAME}",
        f"systemctl --user reset-failed {NAME}",
        f"systemctl --user restart {NAME}",
    ]


def test_a_system_unit_needs_no_linger(tmp_path: Path) -> None:
    machine = Programs()
    systemd(tmp_path, machine, is_system=True).install(SERVICE)
    assert not [line for line in machine.ran if "loginctl" in line or "--user" in line]


def test_who_may_not_linger_is_told_what_to_do_and_nothing_is_written(tmp_path: Path) -> None:
    machine = Programs(say=lambda argv: Ran(code=1, stdout="", stderr="Could not enable linger: Access denied\n"))
    with pytest.raises(FleetError, match=r"cannot install service: .* Access denied") as failure:
        systemd(tmp_path, machine).install(SERVICE)
    assert failure.value.hint == "`sudo loginctl enable-linger ann`, then install again"
    assert not (tmp_path / "units").exists()


def test_a_unit_that_does_not_start_is_taken_out_again(tmp_path: Path) -> None:
    def say(argv: Sequence[str]) -> Ran:
        return Ran(code=1, stdout="", stderr="Job failed\n") if "restart" in argv else DONE

    with pytest.raises(FleetError, match="cannot install service: systemctl restart: Job failed"):
        systemd(tmp_path, Programs(say=say)).install(SERVICE)
    assert not (tmp_path / "units" / NAME).exists()


def test_what_systemd_says(tmp_path: Path) -> None:
    shown = (
        "MainPID=0\nActiveState=activating\nSubState=auto-restart\nUnitFileState=enabled\nResult=signal\nNRestarts=3\n"
    )
    machine = Programs(say=lambda argv: Ran(code=0, stdout="yes\n" if argv[0] == "loginctl" else shown, stderr=""))
    assert systemd(tmp_path, machine).look(ID) == Installed(
        definition=None,
        enabled=True,
        active=False,
        pid=None,
        linger=True,
        detail="activating (auto-restart), last result: signal, 3 restarts",
    )


def test_a_user_manager_that_is_not_there_is_said(tmp_path: Path) -> None:
    machine = Programs(say=lambda argv: Ran(code=1, stdout="", stderr="Failed to connect to bus: No medium found\n"))
    found = systemd(tmp_path, machine).look(ID)
    assert (found.active, found.linger, found.detail) == (False, False, "Failed to connect to bus: No medium found")


def test_nothing_is_uninstalled_where_nothing_is(tmp_path: Path) -> None:
    machine = Programs()
    systemd(tmp_path, machine).uninstall(ID)
    assert machine.ran == []


def test_launchd_is_told(tmp_path: Path) -> None:
    machine = Programs()
    launchd = Launchd(machine, LocalDisk(), folder=tmp_path / "l", logs=tmp_path / "log", domain="gui/501")
    launchd.install(SERVICE)
    path = tmp_path / "l" / f"relayfleet.{ID}.plist"
    assert machine.ran == [
        f"launchctl bootout gui/501/relayfleet.{ID}",
        f"launchctl enable gui/501/relayfleet.{ID}",
        f"launchctl bootstrap gui/501 {path}",
    ]
    machine.say = lambda argv: Ran(code=0, stdout="x = {\n\tstate = running\n\tpid = 77\n}\n", stderr="")
    assert launchd.look(ID) == Installed(
        definition=path.read_text(), enabled=True, active=True, pid=77, detail="running"
    )
    launchd.uninstall(ID)
    assert not path.exists()


def test_launchd_refuses(tmp_path: Path) -> None:
    machine = Programs(say=lambda argv: Ran(code=5, stdout="", stderr="Bootstrap failed: 5: Input/output error\n"))
    launchd = Launchd(machine, LocalDisk(), folder=tmp_path / "l", logs=tmp_path / "log", domain="gui/501")
    with pytest.raises(FleetError, match="cannot install service: launchctl bootstrap: Bootstrap failed: 5"):
        launchd.install(SERVICE)
    assert list((tmp_path / "l").iterdir()) == []


def test_the_task_scheduler_is_told(tmp_path: Path) -> None:
    machine = Programs()
    scheduler = TaskScheduler(machine, LocalDisk(), folder=tmp_path, user="ann")
    service = replace(SERVICE, root=tmp_path, argv=("fleet", "up"))
    scheduler.install(service)
    assert [line.split()[1] for line in machine.ran] == ["/Create", "/End", "/Run"]
    machine.say = lambda argv: Ran(code=0, stdout="TaskName: x\nStatus:  Running\n", stderr="")
    assert scheduler.look(ID) == Installed(
        definition=scheduler.define(service), enabled=True, active=True, detail="running"
    )
    scheduler.uninstall(ID)
    assert list(tmp_path.iterdir()) == []


# ---- what is decided


class MemoryManager:
    """A ServiceManager in memory, whose definitions are the recorded PATH and the command."""

    kind = "made-up service"

    def __init__(self, found: Installed) -> None:
        self.found = found
        self.installs = 0

    def name(self, fleet_id: str) -> str:
        return f"relayfleet-{fleet_id}"

    def place(self, fleet_id: str) -> str:
        return f"/services/{fleet_id}"

    def log_command(self, fleet_id: str) -> str:
        return "log"

    def define(self, service: Service) -> str:
        return f"PATH={service.environment['PATH']}\nrun={' '.join(service.argv)}\n"

    def environment_of(self, definition: str) -> Mapping[str, str]:
        return {"PATH": definition.splitlines()[0].removeprefix("PATH=")}

    def look(self, fleet_id: str) -> Installed:
        return self.found

    def install(self, service: Service) -> None:
        self.installs += 1
        self.found = Installed(definition=self.define(service), enabled=True, active=True, pid=5)

    def uninstall(self, fleet_id: str) -> None:
        self.found = Installed(definition=None)


LOCK = Path("/fleet/state/supervisor.lock")


def control(manager: ServiceManager, machine: Machine | None = None, service: Service = SERVICE) -> ServiceControl:
    machine = machine or ScriptedMachine(programs=["gh"], environ={"GH_TOKEN": SECRET})
    return ServiceControl(
        manager, service, machine, supervisor_lock=LOCK, programs=["claude", "gh"], variables=["GH_TOKEN", "OTHER"]
    )


def test_installed_twice_is_done_once() -> None:
    manager = MemoryManager(Installed(definition=None))
    first, second = control(manager).install(), control(manager).install()
    assert (first.changed, second.changed, manager.installs) == (True, False, 1)
    assert (first.not_found, first.not_passed) == (["claude"], ["GH_TOKEN"])


def test_one_that_was_stopped_is_started_by_an_install() -> None:
    manager = MemoryManager(Installed(definition=None))
    control(manager).install()
    manager.found = replace(manager.found, active=False)
    assert control(manager).install().changed


def test_another_path_is_no_difference_and_another_program_is_one() -> None:
    manager = MemoryManager(Installed(definition=None))
    control(manager).install()
    elsewhere = replace(SERVICE, environment={"PATH": "/cron/bin"})
    assert control(manager, service=elsewhere).status().differences == []
    moved = replace(elsewhere, argv=("/moved/fleet", "up"))
    assert control(manager, service=moved).status().differences == [
        f"-run={' '.join(SERVICE.argv)}",
        "+run=/moved/fleet up",
    ]
    assert control(manager, service=moved).install().changed


def test_a_supervisor_that_is_not_the_services_is_not_fought() -> None:
    manager = MemoryManager(Installed(definition=None))
    with pytest.raises(FleetError, match="a supervisor that is not the service's runs as process 42") as failure:
        control(manager, ScriptedMachine(holders={LOCK: 42})).install()
    assert "kill 42" in failure.value.hint
    assert manager.installs == 0


def test_uninstalled_twice_is_done_once() -> None:
    manager = MemoryManager(Installed(definition="PATH=/x\nrun=y\n", active=True))
    assert control(manager).uninstall().changed
    assert not control(manager).uninstall().changed
