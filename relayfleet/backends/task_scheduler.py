"""The Windows task scheduler: a task that runs while its user is logged in (schtasks.exe, task schema 1.2)."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import escape, unescape

from relayfleet.errors import FleetError
from relayfleet.ports.machine import Disk, Machine, Ran
from relayfleet.ports.service import Installed, Service

_TIMEOUT_S = 60.0
_SET = re.compile(r'set "([^"=]+)=([^"]*)"')
_ARGUMENTS = re.compile(r"<Arguments>(.*)</Arguments>")


def render_task(service: Service, *, user: str) -> str:
    """The task as XML. A task has no environment of its own, so a command line of cmd.exe sets it. Raises FleetError.

    What cmd.exe would read as something else cannot be escaped there, so it is refused.
    """
    for word in (*service.argv, *service.environment.values()):
        if any(character in word for character in '"%\r\n'):
            raise FleetError(
                "install service",
                f"{word!r} holds a character that cmd.exe takes for something else",
                hint="give the folder, or the entry of PATH, another name",
            )
    settings = "".join(f'set "{name}={value}"&& ' for name, value in sorted(service.environment.items()))
    arguments = f'/d /s /c "{settings}{subprocess.list2cmdline(service.argv)}"'
    return f"""\
<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>relayfleet supervisor of fleet {escape(service.fleet_name)}</Description>
  </RegistrationInfo>
  <Triggers><LogonTrigger><Enabled>true</Enabled><UserId>{escape(user)}</UserId></LogonTrigger></Triggers>
  <Principals>
    <Principal id="Author"><UserId>{escape(user)}</UserId><LogonType>InteractiveToken</LogonType></Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <RestartOnFailure><Interval>PT1M</Interval><Count>255</Count></RestartOnFailure>
    <Hidden>true</Hidden>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>cmd.exe</Command>
      <Arguments>{escape(arguments)}</Arguments>
      <WorkingDirectory>{escape(str(service.root))}</WorkingDirectory>
    </Exec>
  </Actions>
</Task>
"""


class TaskScheduler:
    """`folder` keeps what was registered, because the scheduler gives tasks back in words of its own."""

    def __init__(self, machine: Machine, disk: Disk, *, folder: Path, user: str) -> None:
        self._machine = machine
        self._disk = disk
        self._folder = folder
        self._user = user

    @property
    def kind(self) -> str:
        return "scheduled task"

    def name(self, fleet_id: str) -> str:
        return f"relayfleet-{fleet_id}"

    def place(self, fleet_id: str) -> str:
        return str(self._file(fleet_id))

    def log_command(self, fleet_id: str) -> str:
        return "fleet logs supervisor"

    def define(self, service: Service) -> str:
        return render_task(service, user=self._user)

    def environment_of(self, definition: str) -> Mapping[str, str]:
        arguments = _ARGUMENTS.search(definition)
        return dict(_SET.findall(unescape(arguments.group(1)))) if arguments else {}

    def look(self, fleet_id: str) -> Installed:
        ran = self._schtasks("/Query", "/TN", self.name(fleet_id), "/FO", "LIST", "/V")
        if ran.code != 0:
            return Installed(definition=None, detail="no such task")
        try:
            definition = self._file(fleet_id).read_text(encoding="utf-16")
        except (OSError, ValueError):
            definition = ""
        said = {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in ran.stdout.splitlines())}
        status = said.get("Status", "")
        return Installed(
            definition=definition,
            enabled=said.get("Scheduled Task State", "Enabled") == "Enabled",
            active=status == "Running",
            detail=status.lower(),
        )

    def install(self, service: Service) -> None:
        definition, path = self.define(service), self._file(service.fleet_id)
        self._disk.make_folder(path.parent)
        self._disk.write(path, definition.encode("utf-16"))
        self._do("install", "/Create", "/TN", self.name(service.fleet_id), "/XML", str(path), "/F")
        self._schtasks("/End", "/TN", self.name(service.fleet_id))
        self._do("install", "/Run", "/TN", self.name(service.fleet_id))

    def uninstall(self, fleet_id: str) -> None:
        if self.look(fleet_id).definition is not None:
            self._schtasks("/End", "/TN", self.name(fleet_id))
            self._do("uninstall", "/Delete", "/TN", self.name(fleet_id), "/F")
        self._disk.remove_tree(self._file(fleet_id))

    def _file(self, fleet_id: str) -> Path:
        return self._folder / f"{self.name(fleet_id)}.xml"

    def _schtasks(self, *words: str) -> Ran:
        return self._machine.run(["schtasks", *words], timeout_s=_TIMEOUT_S)

    def _do(self, verb: str, *words: str) -> None:
        ran = self._schtasks(*words)
        if ran.code != 0:
            reason = (ran.stderr or ran.stdout).strip() or f"exit code {ran.code}"
            raise FleetError(
                f"{verb} service", f"schtasks {words[0]}: {reason}", hint="try it by hand, in a console of that user"
            )
