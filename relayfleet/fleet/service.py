"""`fleet service`: a fleet's supervisor as a service of the machine."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from relayfleet.config.load import Inspection
from relayfleet.errors import FleetError
from relayfleet.model.agent import Claude
from relayfleet.model.fleet import FleetConfig
from relayfleet.ports.machine import Machine
from relayfleet.ports.service import Service, ServiceManager

# Paths and languages; nothing of this is a secret. Proxies may hold a password, tokens are one: those stay out.
_RECORDED = ("PATH", "LANG", "CLAUDE_CONFIG_DIR", "GH_CONFIG_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
_SECRET = ("GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_API_KEY")
_NETWORK = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """What the service manager has, and what would be written now. `changed`: something was done just now.

    `differences` are the lines that an install would take out (`-`) and put in (`+`); the PATH that was recorded stays
    out of that, but `not_found` are programs that the fleet needs and that are not on it. `not_passed` are variables
    that are set here, are needed, and are not the service's.
    """

    kind: str
    name: str
    place: str
    installed: bool
    enabled: bool
    active: bool
    pid: int | None
    linger: bool | None
    detail: str
    log_command: str
    differences: Sequence[str]
    not_found: Sequence[str]
    not_passed: Sequence[str]
    changed: bool = False


def service_of(fleet_id: str, fleet_name: str, root: Path, *, program: Path, environ: Mapping[str, str]) -> Service:
    """What is to run for a fleet: `fleet --root <root> up`, with what this environment has for it."""
    recorded = {name: environ[name] for name in _RECORDED if environ.get(name)}
    recorded["PATH"] = absolute_path(recorded.get("PATH", ""))
    argv = (str(program), "--root", str(root), "up")
    return Service(fleet_id=fleet_id, fleet_name=fleet_name, root=root, argv=argv, environment=recorded)


def absolute_path(path: str, separator: str = ":") -> str:
    """The folders of a PATH that mean the same wherever one stands, each once."""
    if "\\" in path:
        separator = ";"  # Windows; a backslash in a folder's name elsewhere is not worth more
    folders = dict.fromkeys(entry for entry in path.split(separator) if Path(entry).is_absolute())
    return separator.join(folders) or "/usr/local/bin:/usr/bin:/bin"


def programs_of(found: Inspection) -> tuple[str, ...]:
    """What the daemons of the fleet run: each `claude`, and `gh`."""
    commands = [agent.claude.command for agent in found.agents] or [Claude().command]
    commands.append((found.fleet or FleetConfig(name="")).github_command)
    return tuple(dict.fromkeys(command[0] for command in commands))


def variables_of(found: Inspection) -> tuple[str, ...]:
    """The variables that credentials of the fleet are taken from, and those that `claude` and `gh` take one from."""
    named = [c.from_env for agent in found.agents for c in agent.credentials.values()]
    named += [account.token.from_env for account in found.fleet.github_accounts if account.token] if found.fleet else []
    return tuple(dict.fromkeys([*(name for name in named if name), *_SECRET, *_NETWORK]))


class ServiceControl:
    """`programs` are needed on the recorded PATH, `variables` are those that are never recorded."""

    def __init__(
        self,
        manager: ServiceManager,
        service: Service,
        machine: Machine,
        *,
        supervisor_lock: Path,
        programs: Sequence[str],
        variables: Sequence[str],
    ) -> None:
        self._manager = manager
        self._service = service
        self._machine = machine
        self._lock = supervisor_lock
        self._programs = programs
        self._variables = variables

    def status(self, *, changed: bool = False) -> ServiceStatus:
        """Raises FleetError when the service manager cannot be asked."""
        manager, service = self._manager, self._service
        found = manager.look(service.fleet_id)
        recorded = manager.environment_of(found.definition) if found.definition is not None else {}
        environment = {**service.environment, **recorded} if found.definition else service.environment
        return ServiceStatus(
            kind=manager.kind,
            name=manager.name(service.fleet_id),
            place=manager.place(service.fleet_id),
            installed=found.definition is not None,
            enabled=found.enabled,
            active=found.active,
            pid=found.pid,
            linger=found.linger,
            detail=found.detail,
            log_command=manager.log_command(service.fleet_id),
            differences=self._differences(found.definition, recorded),
            not_found=[p for p in self._programs if not self._machine.which(p, path=environment.get("PATH", ""))],
            not_passed=[v for v in self._variables if self._machine.environ.get(v) and v not in environment],
            changed=changed,
        )

    def install(self) -> ServiceStatus:
        """Nothing is done where it is installed, enabled and running as it would be written now."""
        manager, service = self._manager, self._service
        wanted = manager.define(service)
        found = manager.look(service.fleet_id)
        if found.definition == wanted and found.enabled and found.active and found.linger is not False:
            return self.status()
        holder = self._machine.lock_holder(self._lock)
        if holder is not None and not found.active:
            raise FleetError(
                "install service",
                f"a supervisor that is not the service's runs as process {holder}",
                hint=f"end it (`kill {holder}`; agents run on and are adopted), then install again",
            )
        manager.install(service)
        return self.status(changed=True)

    def uninstall(self) -> ServiceStatus:
        """Agents run on. Nothing is done where nothing is installed."""
        was_there = self._manager.look(self._service.fleet_id).definition is not None
        self._manager.uninstall(self._service.fleet_id)
        return self.status(changed=was_there)

    def _differences(self, definition: str | None, recorded: Mapping[str, str]) -> list[str]:
        if definition is None:
            return []
        environment = {**self._service.environment, **recorded}
        service = self._service
        wanted = self._manager.define(
            Service(
                fleet_id=service.fleet_id,
                fleet_name=service.fleet_name,
                root=service.root,
                argv=service.argv,
                environment={name: environment[name] for name in recorded},
            )
        )
        lines = difflib.unified_diff(definition.splitlines(), wanted.splitlines(), n=0, lineterm="")
        return [line for line in lines if not line.startswith(("---", "+++", "@@"))]
