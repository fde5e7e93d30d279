"""launchd: an agent of the user's (at login), or for root a daemon (at boot); launchd.plist(5), launchctl(1)."""

from __future__ import annotations

import plistlib
import re
from collections.abc import Mapping
from pathlib import Path

from relayfleet.errors import FleetError
from relayfleet.ports.machine import Disk, Machine, Ran
from relayfleet.ports.service import Installed, Service

_TIMEOUT_S = 60.0
_PID = re.compile(r"^\s*pid = (\d+)$", re.MULTILINE)
_STATE = re.compile(r"^\s*state = (.+)$", re.MULTILINE)


def render_plist(service: Service, *, label: str, log: Path) -> str:
    """The property list. AbandonProcessGroup: agents outlive the supervisor. An end with exit code 0 was asked for."""
    definition = {
        "Label": label,
        "ProgramArguments": list(service.argv),
        "WorkingDirectory": str(service.root),
        "EnvironmentVariables": dict(sorted(service.environment.items())),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 10,
        "AbandonProcessGroup": True,
        "ExitTimeOut": 30,
        "StandardOutPath": str(log),
        "StandardErrorPath": str(log),
    }
    try:
        return plistlib.dumps(definition, sort_keys=False).decode()
    except ValueError as error:  # control characters
        raise FleetError("install service", str(error), hint="give the folder another name") from None


class Launchd:
    """`folder` is where its property lists lie, `domain` is `gui/<uid>` or `system`."""

    def __init__(self, machine: Machine, disk: Disk, *, folder: Path, logs: Path, domain: str) -> None:
        self._machine = machine
        self._disk = disk
        self._folder = folder
        self._logs = logs
        self._domain = domain

    @property
    def kind(self) -> str:
        return "launchd daemon" if self._domain == "system" else "launchd agent"

    def name(self, fleet_id: str) -> str:
        return f"relayfleet.{fleet_id}"

    def place(self, fleet_id: str) -> str:
        return str(self._file(fleet_id))

    def log_command(self, fleet_id: str) -> str:
        return f"tail -F {self._log(fleet_id)}"

    def define(self, service: Service) -> str:
        return render_plist(service, label=self.name(service.fleet_id), log=self._log(service.fleet_id))

    def environment_of(self, definition: str) -> Mapping[str, str]:
        try:
            found = plistlib.loads(definition.encode()).get("EnvironmentVariables")
        except (plistlib.InvalidFileException, ValueError, AttributeError):
            return {}
        return found if isinstance(found, dict) else {}

    def look(self, fleet_id: str) -> Installed:
        try:
            definition = self._file(fleet_id).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            definition = None
        ran = self._launchctl("print", self._target(fleet_id))
        if ran.code != 0:
            return Installed(definition=definition, detail="not loaded")
        pid, state = _PID.search(ran.stdout), _STATE.search(ran.stdout)
        return Installed(
            definition=definition,
            enabled=True,
            active=pid is not None,
            pid=int(pid.group(1)) if pid else None,
            detail=state.group(1) if state else "loaded",
        )

    def install(self, service: Service) -> None:
        definition, path = self.define(service), self._file(service.fleet_id)
        was_there = path.exists()
        self._disk.make_folder(path.parent)
        self._disk.make_folder(self._logs)
        self._disk.write(path, definition.encode(), mode=0o644)
        self._launchctl("bootout", self._target(service.fleet_id))
        self._launchctl("enable", self._target(service.fleet_id))
        ran = self._launchctl("bootstrap", self._domain, str(path))
        if ran.code != 0:
            if not was_there:
                self._disk.remove_tree(path)
            raise FleetError(
                "install service",
                f"launchctl bootstrap: {(ran.stderr or ran.stdout).strip() or f'exit code {ran.code}'}",
                hint="run it in a session of the user at the Mac's own screen, or as root for a daemon of the system",
            )

    def uninstall(self, fleet_id: str) -> None:
        self._launchctl("bootout", self._target(fleet_id))
        self._disk.remove_tree(self._file(fleet_id))

    def _file(self, fleet_id: str) -> Path:
        return self._folder / f"{self.name(fleet_id)}.plist"

    def _log(self, fleet_id: str) -> Path:
        return self._logs / f"{self.name(fleet_id)}.log"

    def _target(self, fleet_id: str) -> str:
        return f"{self._domain}/{self.name(fleet_id)}"

    def _launchctl(self, *words: str) -> Ran:
        return self._machine.run(["launchctl", *words], timeout_s=_TIMEOUT_S)
