"""Reads the configuration of a fleet and reports every fault of every file at once.

A fault reads `file: json.path: what is wrong`, the file relative to the fleet's root. The layers of an agent are
validated one by one, each fault under the file that holds it; what only shows when they are merged (see
`precedence.py`) is reported under the agent's own file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from relayfleet.config.agent import AgentFile, Settings, to_credential
from relayfleet.config.faults import did_you_mean, path_of, words_for
from relayfleet.config.fleet import FleetFile, to_fleet
from relayfleet.config.precedence import BUILT_IN, merge, unsugar
from relayfleet.config.read import Unreadable, read_object
from relayfleet.config.routes import RoutesFile, faults_of_gate, to_gate
from relayfleet.config.secret import shown
from relayfleet.errors import ConfigError, UnknownAgent
from relayfleet.model.agent import AgentSpec, Claude, Endpoint, InboxPolicy, Runtime, Session
from relayfleet.model.fleet import FleetConfig
from relayfleet.model.layout import FleetLayout
from relayfleet.model.names import AgentName, fault_of_name
from relayfleet.model.permission import Permissions, Rule
from relayfleet.model.route import Gate

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Everything that a person wrote, merged and checked. `agents` are in the order of their names."""

    fleet: FleetConfig
    gate: Gate
    agents: tuple[AgentSpec, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What could be read, and every fault of what could not."""

    fleet: FleetConfig | None
    gate: Gate | None
    agents: tuple[AgentSpec, ...]
    faults: tuple[str, ...]


@dataclass(slots=True)
class _Reader:
    """Collects faults while files are read."""

    layout: FleetLayout
    faults: list[str] = field(default_factory=list)

    def note(self, path: Path, where: str, what: str) -> None:
        file = path.relative_to(self.layout.root).as_posix()
        self.faults.append(f"{file}: {where}: {what}" if where else f"{file}: {what}")

    def read(self, path: Path, model: type[_Model]) -> _Model | None:
        """The file as `model`, or None when it has faults."""
        try:
            return self.judge(path, read_object(path), model)
        except FileNotFoundError:
            self.note(path, "", "there is no such file (`fleet init` writes it)")
        except Unreadable as error:
            for where, what in error.faults:
                self.note(path, where, what)
            if error.value is not None:
                self.judge(path, error.value, model)
        return None

    def judge(self, path: Path, value: Mapping[str, Any], model: type[_Model]) -> _Model | None:
        try:
            return model.model_validate(value)
        except ValidationError as error:
            for where, what in words_for(error, model):
                self.note(path, where, what)
        return None

    def fleet(self) -> FleetFile | None:
        return self.read(self.layout.fleet_json, FleetFile)

    def gate(self) -> Gate | None:
        file = self.read(self.layout.routes_json, RoutesFile)
        if file is None:
            return None
        faults = faults_of_gate(file)
        for loc, what in faults:
            self.note(self.layout.routes_json, path_of(loc), what)
        return None if faults else to_gate(file)

    def agent(self, name: str, fleet: FleetFile | None) -> AgentSpec | None:
        agent = self.layout.agent(name)
        fault = fault_of_name(name)
        if fault:
            self.note(agent.dir, "", f"the folder cannot be an agent: {fault}")
            return None
        file = self.read(agent.config, AgentFile)
        return self.resolve(name, file, fleet) if file is not None else None

    def resolve(self, name: str, file: AgentFile, fleet: FleetFile | None) -> AgentSpec | None:
        if fleet is None:
            # Against a fleet.json that has faults itself, what the merge shows would be noise.
            return None
        spec, faults = resolve(name, file, fleet, folder=self.layout.root.name)
        for where, what in faults:
            self.note(self.layout.agent(name).config, where, what)
        return spec

    def finish(self) -> None:
        if self.faults:
            raise ConfigError(tuple(self.faults))


def load_fleet(layout: FleetLayout) -> FleetConfig:
    """fleet.json. Raises ConfigError."""
    reader = _Reader(layout)
    file = reader.fleet()
    reader.finish()
    assert file is not None
    return to_fleet(file, folder=layout.root.name)


def load_gate(layout: FleetLayout) -> Gate:
    """routes.json. Raises ConfigError."""
    reader = _Reader(layout)
    gate = reader.gate()
    reader.finish()
    assert gate is not None
    return gate


def load_agent(layout: FleetLayout, name: str) -> AgentSpec:
    """One agent, whatever is wrong with the others. Raises UnknownAgent or ConfigError."""
    known = agent_names(layout)
    if name not in known:
        raise UnknownAgent(f"find agent {name!r}", name, known=known)
    reader = _Reader(layout)
    spec = reader.agent(name, reader.fleet())
    reader.finish()
    assert spec is not None
    return spec


def load_all(layout: FleetLayout) -> Loaded:
    """Every file of the fleet. Raises ConfigError with every fault of every file."""
    found = inspect_all(layout)
    if found.faults:
        raise ConfigError(found.faults)
    assert found.fleet is not None and found.gate is not None
    return Loaded(fleet=found.fleet, gate=found.gate, agents=found.agents)


def inspect_all(layout: FleetLayout) -> Inspection:
    """Every file of the fleet, as far as it is sound."""
    reader = _Reader(layout)
    fleet, gate = reader.fleet(), reader.gate()
    read = (reader.agent(name, fleet) for name in agent_names(layout))
    specs = tuple(spec for spec in read if spec is not None)
    for later, other in port_collisions(specs):
        reader.note(layout.agent(later.name).config, "port", f"{later.port} is the port of agent {other.name!r}, too")
    for later, other in login_collisions(specs):
        what = f"{shown(later.github_login)} is the login of agent {other.name!r}, too"
        reader.note(layout.agent(later.name).config, "github.login", what)
    return Inspection(
        fleet=to_fleet(fleet, folder=layout.root.name) if fleet else None,
        gate=gate,
        agents=specs,
        faults=tuple(reader.faults),
    )


def check_agent(layout: FleetLayout, name: str, config: Mapping[str, Any]) -> AgentSpec:
    """The agent that `config` would make as the config.json of `name`. Raises ConfigError."""
    reader = _Reader(layout)
    fleet = reader.fleet()
    file = reader.judge(layout.agent(name).config, config, AgentFile)
    spec = reader.resolve(name, file, fleet) if file is not None else None
    reader.finish()
    assert spec is not None
    return spec


def claimed_ports(layout: FleetLayout) -> dict[int, str]:
    """The ports that agents have in their files, faulty files as far as they can be read."""
    ports: dict[int, str] = {}
    for name in agent_names(layout):
        try:
            config: Mapping[str, Any] | None = read_object(layout.agent(name).config)
        except Unreadable as error:
            config = error.value
        except FileNotFoundError:
            continue
        port = config.get("port") if config else None
        if isinstance(port, int):
            ports.setdefault(port, name)
    return ports


def agent_names(layout: FleetLayout) -> tuple[str, ...]:
    """The folders in agents/ that hold a config.json, sorted."""
    try:
        folders = sorted(p for p in layout.agents.iterdir() if not p.name.startswith("."))
    except OSError:
        return ()
    return tuple(p.name for p in folders if (p / "config.json").exists())


def port_collisions(specs: Sequence[AgentSpec]) -> list[tuple[AgentSpec, AgentSpec]]:
    """Agents whose port another agent, earlier in the list, has already."""
    first: dict[int, AgentSpec] = {}
    return [(s, first[s.port]) for s in specs if first.setdefault(s.port, s) is not s]


def login_collisions(specs: Sequence[AgentSpec]) -> list[tuple[AgentSpec, AgentSpec]]:
    """Agents whose GitHub login another agent, earlier in the list, has already: it is to be one agent's alone."""
    first: dict[str, AgentSpec] = {}
    having = [spec for spec in specs if spec.github_login]
    return [
        (s, first[s.github_login.casefold()]) for s in having if first.setdefault(s.github_login.casefold(), s) is not s
    ]


def resolve(
    name: str, file: AgentFile, fleet: FleetFile, *, folder: str
) -> tuple[AgentSpec | None, list[tuple[str, str]]]:
    """The agent that the layers give, or the faults that show when they are merged, as (JSON path, what is wrong)."""
    layers = [_layer(fleet.defaults), _layer(fleet.roles.get(file.role, Settings())), _layer(file)]
    merged = merge(BUILT_IN, *layers)
    faults: list[tuple[str, str]] = []
    if file.name is not None and file.name != name:
        faults.append(("name", f"must be the folder's name, {name!r}"))
    if file.port is None:
        faults.append(("port", "is missing: give the agent a port that no other agent has"))
    faults += _faults_of_endpoint(merged.get("claude", {}).get("endpoint", {}), merged.get("env", {}))
    faults += _faults_of_mode(merged)
    faults += _faults_of_host(merged.get("runtime", {}), fleet)
    faults += _faults_of_places(merged.get("credentials", {}), merged.get("env", {}))
    if faults or file.port is None:
        return None, faults
    return _spec(merged, name=AgentName(name), file=file, port=file.port, fleet=to_fleet(fleet, folder=folder)), []


def _layer(settings: Settings) -> dict[str, Any]:
    own = settings.model_dump(exclude_unset=True, exclude={"schema_", "name", "role", "port", "github"})
    return unsugar(own)


def _faults_of_endpoint(endpoint: Mapping[str, Any], env: Mapping[str, Any]) -> list[tuple[str, str]]:
    if endpoint.get("mode") == "custom" and not endpoint.get("url"):
        return [("claude.endpoint", "mode custom needs a url")]
    if endpoint.get("mode") == "custom" and "ANTHROPIC_BASE_URL" in env:
        return [("env", "ANTHROPIC_BASE_URL is set by claude.endpoint and cannot be set here, too")]
    return []


def _faults_of_mode(merged: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What only an interactive session has."""
    if merged.get("session", {}).get("mode") != "headless":
        return []
    asked = [
        ("claude.channels", bool(merged.get("claude", {}).get("channels"))),
        ("inbox.mode", merged.get("inbox", {}).get("mode") == "steer"),
    ]
    return [(where, "is for interactive sessions; session.mode is headless") for where, is_so in asked if is_so]


def _faults_of_host(runtime: Mapping[str, Any], fleet: FleetFile) -> list[tuple[str, str]]:
    backend, host = runtime.get("backend", "local"), runtime.get("host")
    if host is None:
        return [("runtime.host", "backend ssh needs a host")] if backend == "ssh" else []
    if backend == "local":
        return [("runtime.host", "backend local has no host: name the backend, too")]
    if host in fleet.hosts:
        if fleet.hosts[host].backend != backend:
            return [
                ("runtime.host", f"host {shown(host)} is for backend {fleet.hosts[host].backend}, not for {backend}")
            ]
        return []
    if "@" in host and not host.startswith("-"):
        return []
    meant = did_you_mean(host, list(fleet.hosts)) or " (`fleet host add` adds it)"
    return [("runtime.host", f"no host is called {shown(host)} in fleet.json{meant}")]


def _faults_of_places(credentials: Mapping[str, Any], env: Mapping[str, Any]) -> list[tuple[str, str]]:
    taken: dict[str, str] = {}
    faults = []
    for name, credential in credentials.items():
        place = credential.get("as_env") or credential.get("as_file")
        where = path_of(("credentials", name))
        if place in taken:
            faults.append((where, f"{shown(place)} is the place of credential {shown(taken[place])}, too"))
        elif credential.get("as_env") in env:
            faults.append((where, f"{shown(place)} is set in env, too"))
        taken.setdefault(place, name)
    return faults


def _permissions(merged: Mapping[str, Any]) -> Permissions:
    rules = tuple(Rule(**rule) for rule in merged.get("rules", ()))
    return Permissions(**{**merged, "rules": rules})


def _spec(merged: dict[str, Any], *, name: AgentName, file: AgentFile, port: int, fleet: FleetConfig) -> AgentSpec:
    claude: dict[str, Any] = dict(merged.get("claude", {}))
    endpoint: dict[str, Any] = dict(claude.pop("endpoint", {}))
    if endpoint.get("mode") != "custom":
        # Inherited from a layer below that the agent's own mode put out of use.
        endpoint = {k: v for k, v in endpoint.items() if k == "mode"}
    for key in ("command", "args"):
        if key in claude:
            claude[key] = tuple(claude[key])
    return AgentSpec(
        name=name,
        role=file.role,
        fleet=fleet.name,
        fleet_id=fleet.id or "",
        port=port,
        repo=merged.get("repo"),
        github_login=file.github.login or "",
        remote_control=merged.get("remote_control", True),
        ssh_agent=merged.get("ssh_agent", False),
        claude=Claude(endpoint=Endpoint(**endpoint), **claude),
        runtime=Runtime(**merged.get("runtime", {})),
        session=Session(**merged.get("session", {})),
        inbox=InboxPolicy(**merged.get("inbox", {})),
        permissions=_permissions(merged.get("permissions", {})),
        notify=fleet.notify,
        env=merged.get("env", {}),
        credentials={key: to_credential(value) for key, value in merged.get("credentials", {}).items()},
        plugins=merged.get("plugins", {}),
    )
