"""systemd: a user unit with linger, or for root a system unit (systemd.service(5), systemd.exec(5), loginctl(1))."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from relayfleet.errors import FleetError
from relayfleet.ports.machine import Disk, Machine, Ran
from relayfleet.ports.service import Installed, Service

SYSTEM_UNITS = Path("/etc/systemd/system")
_TIMEOUT_S = 60.0
# A user manager that was just asked for takes a moment to listen.
_MANAGER_WITHIN_S = 10.0
_LOOK_S = 0.1
_NO_MANAGER = re.compile(r"[Ff]ailed to connect to bus|No medium found|Host is down")
_ENVIRONMENT = re.compile(r'^Environment="((?:[^"\\]|\\.)*)"$', re.MULTILINE)


def render_unit(service: Service, *, user: str | None) -> str:
    """The unit; `user` names the user of a system unit, None is a user unit.

    KillMode=process: the agents are in the unit's group and outlive the supervisor, which adopts them when it is back.
    An end with exit code 0 was asked for (`fleet down`), everything else is not. Raises FleetError.
    """
    environment = "".join(f"Environment={_quoted(f'{k}={v}')}\n" for k, v in sorted(service.environment.items()))
    return f"""\
[Unit]
Description=relayfleet supervisor of fleet {_text(service.fleet_name)}
StartLimitIntervalSec=300
StartLimitBurst=10
{_after(user)}
[Service]
Type=exec
ExecStart={" ".join(_quoted(word).replace("$", "$$") for word in service.argv)}
WorkingDirectory={_text(str(service.root))}
{environment}EnvironmentFile=-{_text(str(service.root / "state" / "service.env"))}
Restart=always
RestartPreventExitStatus=0
RestartSec=1
KillMode=process
TimeoutStopSec=30
Delegate=yes
OOMPolicy=continue
{f"User={user}" + chr(10) if user else ""}
[Install]
WantedBy={"multi-user.target" if user else "default.target"}
"""


def _after(user: str | None) -> str:
    return "After=network-online.target\nWants=network-online.target\n" if user else ""


def environment_in(unit: str) -> dict[str, str]:
    """The variables that a unit of ours sets."""
    found = {}
    for quoted in _ENVIRONMENT.findall(unit):
        name, _, value = re.sub(r"\\(.)", r"\1", quoted).replace("%%", "%").partition("=")
        found[name] = value
    return found


def _quoted(word: str) -> str:
    """One word in double quotes; a specifier's % is written twice."""
    _refuse_controls(word)
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'


def _text(words: str) -> str:
    """The rest of a line, which is not split."""
    _refuse_controls(words)
    return words.replace("%", "%%")


def _refuse_controls(text: str) -> None:
    if any(ord(character) < 32 or character == "\x7f" for character in text):
        raise FleetError(
            "install service",
            f"{text!r} holds a control character, which no unit can",
            hint="give the folder, or the entry of PATH, another name",
        )


class Systemd:
    """`folder` is where its unit files lie, `user` whose services these are. `is_system`: units of the machine."""

    def __init__(self, machine: Machine, disk: Disk, *, folder: Path, user: str, is_system: bool) -> None:
        self._machine = machine
        self._disk = disk
        self._folder = folder
        self._user = user
        self._is_system = is_system

    @property
    def kind(self) -> str:
        return "systemd system unit" if self._is_system else "systemd user unit"

    def name(self, fleet_id: str) -> str:
        return f"relayfleet-{fleet_id}.service"

    def place(self, fleet_id: str) -> str:
        return str(self._file(fleet_id))

    def log_command(self, fleet_id: str) -> str:
        return f"journalctl {'-u' if self._is_system else '--user -u'} {self.name(fleet_id)}"

    def define(self, service: Service) -> str:
        return render_unit(service, user=self._user if self._is_system else None)

    def environment_of(self, definition: str) -> Mapping[str, str]:
        return environment_in(definition)

    def look(self, fleet_id: str) -> Installed:
        linger = None if self._is_system else self._lingers()
        try:
            definition = self._file(fleet_id).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            definition = None
        shown = ("--property=UnitFileState,ActiveState,SubState,MainPID,Result,NRestarts", self.name(fleet_id))
        ran = self._systemctl("show", *shown)
        if ran.code != 0:
            return Installed(definition=definition, linger=linger, detail=_first_line(ran))
        said = dict(line.split("=", 1) for line in ran.stdout.splitlines() if "=" in line)
        pid = int(said.get("MainPID") or 0)
        detail = f"{said.get('ActiveState', '')} ({said.get('SubState', '')})"
        if said.get("Result", "success") != "success":
            detail += f", last result: {said['Result']}"
        if said.get("NRestarts", "0") != "0":
            detail += f", {said['NRestarts']} restarts"
        return Installed(
            definition=definition,
            enabled=said.get("UnitFileState") == "enabled",
            active=said.get("ActiveState") in ("active", "activating") and said.get("SubState") != "auto-restart",
            pid=pid or None,
            linger=linger,
            detail=detail,
        )

    def install(self, service: Service) -> None:
        definition, path, name = self.define(service), self._file(service.fleet_id), self.name(service.fleet_id)
        if not self._is_system:
            self._linger()
        was_there = path.exists()
        self._disk.make_folder(path.parent)
        self._disk.write(path, definition.encode(), mode=0o644)
        try:
            self._do("install", "daemon-reload", wait_s=_MANAGER_WITHIN_S)
            self._do("install", "enable", "--quiet", name)
            self._systemctl("reset-failed", name)
            self._do("install", "restart", name)
        except FleetError:
            if not was_there:
                self._remove(service.fleet_id)
            raise

    def uninstall(self, fleet_id: str) -> None:
        path = self._file(fleet_id)
        if path.exists():
            self._do("uninstall", "disable", "--now", "--quiet", self.name(fleet_id), wait_s=_MANAGER_WITHIN_S)
            self._remove(fleet_id)

    def _remove(self, fleet_id: str) -> None:
        self._systemctl("disable", "--now", "--quiet", self.name(fleet_id))
        self._disk.remove_tree(self._file(fleet_id))
        self._systemctl("daemon-reload")
        self._systemctl("reset-failed", self.name(fleet_id))

    def _file(self, fleet_id: str) -> Path:
        return self._folder / self.name(fleet_id)

    def _lingers(self) -> bool:
        ran = self._machine.run(
            ["loginctl", "show-user", self._user, "--property=Linger", "--value"], timeout_s=_TIMEOUT_S
        )
        return ran.code == 0 and ran.stdout.strip() == "yes"

    def _linger(self) -> None:
        if self._lingers():
            return
        ran = self._machine.run(["loginctl", "--no-ask-password", "enable-linger", self._user], timeout_s=_TIMEOUT_S)
        if ran.code != 0:
            raise FleetError(
                "install service",
                f"user {self._user!r} may not linger, so it would end at logout: {_first_line(ran)}",
                hint=f"`sudo loginctl enable-linger {self._user}`, then install again",
            )

    def _systemctl(self, *words: str) -> Ran:
        argv: Sequence[str] = ["systemctl", "--no-ask-password", *([] if self._is_system else ["--user"]), *words]
        return self._machine.run(argv, timeout_s=_TIMEOUT_S)

    def _do(self, verb: str, *words: str, wait_s: float = 0.0) -> None:
        deadline = time.monotonic() + wait_s
        while (ran := self._systemctl(*words)).code != 0:
            no_manager = bool(_NO_MANAGER.search(ran.stderr))
            if no_manager and time.monotonic() < deadline:
                time.sleep(_LOOK_S)
                continue
            hint = f"try by hand: systemctl {'' if self._is_system else '--user '}{' '.join(words)}"
            if no_manager:
                hint = f"log in as {self._user!r} with a session of its own (ssh, not su), then try again"
            raise FleetError(f"{verb} service", f"systemctl {words[0]}: {_first_line(ran)}", hint=hint)


def _first_line(ran: Ran) -> str:
    return (ran.stderr.strip() or ran.stdout.strip() or f"exit code {ran.code}").splitlines()[0]
