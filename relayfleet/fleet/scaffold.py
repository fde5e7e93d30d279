"""Creates and changes the files of a fleet: `init`, `new-agent`, `remove-agent`, `host add`.

Every change runs under one lock over the whole fleet, so that concurrent ones lose nothing of one another. What fails
is undone with renames alone, because they need no space: the disk may be full.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from relayfleet.config.faults import words_for
from relayfleet.config.fleet import FleetFile, to_fleet
from relayfleet.config.load import check_agent, claimed_ports, load_fleet, load_gate
from relayfleet.config.read import read_object
from relayfleet.errors import ConfigError, FleetError, NotAllowed, UnknownAgent, UsageError
from relayfleet.fleet.persona import read_persona
from relayfleet.fleet.port import choose_port
from relayfleet.fleet.pretty_json import pretty_json
from relayfleet.fleet.routes_edit import add_starter, starter_of, take_out
from relayfleet.model.fleet import FleetConfig
from relayfleet.model.layout import AgentLayout, FleetLayout
from relayfleet.model.names import FLEET_ID_DIGITS, AgentName, Role, fault_of_name
from relayfleet.ports.machine import Disk

_FLEET_KEYS = ("$schema", "version", "id", "name", "defaults", "roles", "hosts", "gateway", "github", "ports")
_STAGE = ".new-"
_SHARED_MODE = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentWish:
    """What was asked of `fleet new-agent`. None leaves it to the defaults."""

    name: str
    role: Role = "base"
    repo: str | None = None
    model: str | None = None
    route: bool = True
    remote: bool = True
    force: bool = False
    backend: str | None = None
    host: str | None = None
    inbox_transport: str | None = None
    endpoint: str | None = None
    endpoint_url: str | None = None
    via_gateway: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Initialised:
    """`written` are the files that were made or changed, none when everything was there."""

    fleet: str
    id: str
    written: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """`watch` is the name of the starter watch, None when there is none."""

    name: AgentName
    role: Role
    port: int
    folder: Path
    watch: str | None
    renewed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """`routes` counts the routes that lost the agent; `watches` are those that went with them."""

    name: AgentName
    archived: Path
    routes: int
    watches: tuple[str, ...]


def check_allowed(wish: AgentWish, caller: AgentName | None) -> None:
    """Refuses to an agent what widens trust or spending: where model traffic (and the key with it) goes, the files of
    agents that are there, and another agent with the orchestrator's rights. Raises NotAllowed.

    Everything else is the orchestrator's own work: role, repository, model, backend, and hosts that the operator has
    put into the registry.
    """
    if caller is None:
        return
    refused = {
        "--endpoint": wish.endpoint not in (None, "default"),
        "--endpoint-url": wish.endpoint_url is not None,
        "--via-gateway": wish.via_gateway,
        "--force": wish.force,
        "--role orchestrator": wish.role == "orchestrator",
        "--host USER@HOST": wish.host is not None and "@" in wish.host,
    }
    for option, used in refused.items():
        if used:
            raise NotAllowed(
                f"create agent {wish.name!r}",
                f"{option} is for the operator, not for agent {caller!r}",
                hint="leave it out, or ask the operator",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaffolder:
    """`lock` makes the lock over the fleet's configuration; `port_free` asks the machine; `holder` gives the process
    that holds a lock file, None when nobody does."""

    layout: FleetLayout
    disk: Disk
    lock: Callable[[], AbstractContextManager[object]]
    port_free: Callable[[int], bool]
    holder: Callable[[Path], int | None]

    def init(self, name: str | None) -> Initialised:
        """Makes what is missing and sets the name if one is given. Raises ConfigError, UsageError, StorageFailed."""
        with self.lock():
            written = []
            fleet_json, routes_json = self.layout.fleet_json, self.layout.routes_json
            raw = read_object(fleet_json) if self._check(load_fleet, fleet_json) else {"version": 1}
            changed = _with(raw, name=name or raw.get("name") or _fleet_name(self.layout.root))
            changed = changed if changed.get("id") else _with(changed, id=new_fleet_id())
            if changed != raw:
                self._check_fleet(changed, "name the fleet")
                self._write(fleet_json, changed)
                written.append(fleet_json)
            if not self._check(load_gate, routes_json):
                self._write(routes_json, {"watches": [], "routes": []})
                written.append(routes_json)
            keep = self.layout.agents / ".gitkeep"
            if not self.layout.agents.is_dir():
                self.disk.make_folder(self.layout.agents)
                self.disk.write(keep, b"", mode=_SHARED_MODE)
                written.append(keep)
            return Initialised(fleet=changed["name"], id=changed["id"], written=tuple(written))

    def ensure_id(self) -> str:
        """The fleet's id; makes one when fleet.json has none yet. Raises ConfigError, StorageFailed."""
        with self.lock():
            return self._ensure_id(load_fleet(self.layout))

    def new_agent(self, wish: AgentWish, *, caller: AgentName | None = None) -> Created:
        """Makes the agent, or leaves everything as it was.

        A kill in the very middle can leave the agent without its starter route, never half an agent: the folder appears
        whole, by one rename. Raises UsageError, NotAllowed, ConfigError, StorageFailed, and FleetError when the agent
        is there and `force` was not asked for.
        """
        doing = f"create agent {wish.name!r}"
        fault = fault_of_name(wish.name)
        if fault:
            raise UsageError(doing, fault, hint="choose another name")
        check_allowed(wish, caller)
        with self.lock():
            agent = self.layout.agent(wish.name)
            renewing = agent.dir.exists()
            if renewing and not wish.force:
                raise FleetError(doing, "it is there already", hint="--force writes its config.json and CLAUDE.md anew")
            fleet = load_fleet(self.layout)
            load_gate(self.layout)
            claimed = claimed_ports(self.layout)
            port = next((p for p, owner in claimed.items() if owner == wish.name), None)
            if port is None:
                port = choose_port(fleet.first_port, claimed, self.port_free)
            config = config_of(wish, fleet, port=port)
            try:
                spec = check_agent(self.layout, wish.name, config)
            except ConfigError as error:
                raise UsageError(doing, _without_file(error.faults), hint="see `fleet new-agent --help`") from None
            routes, watch = read_object(self.layout.routes_json), None
            starter = starter_of(wish.role, spec.repo) if wish.route and spec.repo else None
            changed = routes
            if starter is not None:
                changed, watch = add_starter(routes, starter, wish.name)
            persona = read_persona(wish.role, name=wish.name, repo=spec.repo, fleet=fleet.name)
            self._ensure_id(fleet)
            self._place(agent, config, persona, changed if changed != routes else None, renewing=renewing)
            return Created(
                name=AgentName(wish.name),
                role=wish.role,
                port=port,
                folder=agent.dir,
                watch=watch,
                renewed=renewing,
            )

    def remove_agent(self, name: str, *, now: float) -> Removed:
        """Moves the agent to archive/ and takes it out of the routes, or leaves everything as it was.

        Raises UnknownAgent, ConfigError, StorageFailed, and FleetError while the agent's runner is alive.
        """
        doing = f"remove agent {name!r}"
        with self.lock():
            agent = self.layout.agent(name)
            if fault_of_name(name) or not agent.dir.is_dir():
                known = sorted(path.parent.name for path in self.layout.agents.glob("*/config.json"))
                raise UnknownAgent(doing, name, known=tuple(known))
            pid = self.holder(agent.runner_lock)
            if pid is not None:
                raise FleetError(doing, f"it is running (process {pid})", hint=f"stop it first: `fleet stop {name}`")
            load_gate(self.layout)
            routes = read_object(self.layout.routes_json)
            changed, touched, watches = take_out(routes, name)
            archived = self.layout.archive / f"{name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}"
            while archived.exists():
                archived = archived.with_name(f"{archived.name}-{secrets.token_hex(2)}")
            self.disk.make_folder(self.layout.archive)
            self.disk.rename(agent.dir, archived)
            try:
                if changed != routes:
                    self._write(self.layout.routes_json, changed)
            except BaseException:
                self.disk.rename(archived, agent.dir)
                raise
            return Removed(name=agent.name, archived=archived, routes=touched, watches=watches)

    def add_host(self, name: str, host: Mapping[str, Any]) -> bool:
        """Adds a host to the registry; False when it is there just so.

        Raises UsageError for what the registry does not take, FleetError when the name is taken.
        """
        doing = f"add host {name!r}"
        with self.lock():
            known = load_fleet(self.layout).hosts
            raw = read_object(self.layout.fleet_json)
            changed = _with(raw, hosts={**raw.get("hosts", {}), name: dict(host)})
            checked = self._check_fleet(changed, doing)
            if name in known:
                if known[name] == checked.hosts[name]:
                    return False
                raise FleetError(
                    doing, "it is there with other settings", hint=f"edit hosts.{name} in {self.layout.fleet_json}"
                )
            self._write(self.layout.fleet_json, changed)
            return True

    def _check(self, load: Callable[[FleetLayout], object], path: Path) -> bool:
        """Whether the file is there. Raises ConfigError when it has faults: they are not written over."""
        if not path.exists():
            return False
        load(self.layout)
        return True

    def _check_fleet(self, raw: Mapping[str, Any], doing: str) -> FleetConfig:
        try:
            return to_fleet(FleetFile.model_validate(raw), folder=self.layout.root.name)
        except ValidationError as error:
            faults = tuple(f"{where}: {what}" for where, what in words_for(error, FleetFile))
            raise UsageError(doing, "; ".join(faults)) from None

    def _ensure_id(self, fleet: FleetConfig) -> str:
        if fleet.id:
            return fleet.id
        made = new_fleet_id()
        self._write(self.layout.fleet_json, _with(read_object(self.layout.fleet_json), id=made))
        return made

    def _write(self, path: Path, value: Mapping[str, Any]) -> None:
        mode = path.stat().st_mode & 0o777 if path.exists() else _SHARED_MODE
        self.disk.write(path, pretty_json(value), mode=mode)

    def _place(
        self, agent: AgentLayout, config: dict[str, Any], persona: str, routes: dict[str, Any] | None, *, renewing: bool
    ) -> None:
        self._sweep_stages()
        if (self.layout.root / "schemas" / "agent.json").is_file():
            config = {"$schema": "../../schemas/agent.json", **config}
        stage = AgentLayout(self.layout.agents / f"{_STAGE}{agent.name}-{secrets.token_hex(4)}")
        undo: list[tuple[Path, Path]] = []
        try:
            for folder in (stage.dir, stage.work, stage.state):
                self.disk.make_folder(folder)
            self.disk.write(stage.config, pretty_json(config))
            self.disk.write(stage.persona, persona.encode())
            if renewing:
                self._renew(agent, stage, undo)
            else:
                self.disk.rename(stage.dir, agent.dir)
                undo.append((agent.dir, stage.dir))
            if routes is not None:
                self._write(self.layout.routes_json, routes)
        except BaseException:
            for source, target in reversed(undo):
                self.disk.rename(source, target)
            # What stays of the stage is swept by the next change; the fault to report is the first one.
            with contextlib.suppress(FleetError):
                self.disk.remove_tree(stage.dir)
            raise
        self.disk.remove_tree(stage.dir)

    def _renew(self, agent: AgentLayout, stage: AgentLayout, undo: list[tuple[Path, Path]]) -> None:
        """Replaces the two files of an agent that is there, each with a copy of the old one to go back to."""
        replaced = []
        for new, old in ((stage.persona, agent.persona), (stage.config, agent.config)):
            copy = stage.dir / f"old-{old.name}"
            if old.exists():
                self.disk.write(copy, old.read_bytes())
            replaced.append((new, old, copy))
        for new, old, copy in replaced:
            there = old.exists()
            self.disk.rename(new, old)
            undo.append((copy, old) if there else (old, new))

    def _sweep_stages(self) -> None:
        """Removes what a killed `new-agent` left: nobody else is building one while the lock is held."""
        for left in self.layout.agents.glob(f"{_STAGE}*"):
            self.disk.remove_tree(left)


def new_fleet_id() -> str:
    return secrets.token_hex(FLEET_ID_DIGITS // 2)


def config_of(wish: AgentWish, fleet: FleetConfig, *, port: int) -> dict[str, Any]:
    """The config.json that was asked for: what differs from the defaults, in the order of the documentation. Pure."""
    config: dict[str, Any] = {"role": wish.role}
    if wish.repo is not None:
        config["repo"] = wish.repo
    config["port"] = port
    if wish.model is not None:
        config["model"] = wish.model
    if not wish.remote:
        config["remote_control"] = False
    backend = wish.backend
    if backend is None and wish.host is not None and wish.host in fleet.hosts:
        backend = fleet.hosts[wish.host].backend
    runtime = {"backend": backend, "host": wish.host, "inbox_transport": wish.inbox_transport}
    runtime = {k: v for k, v in runtime.items() if v is not None}
    if runtime:
        config["runtime"] = runtime
    mode = wish.endpoint or ("custom" if wish.endpoint_url else None)
    endpoint: dict[str, Any] = {"mode": mode, "url": wish.endpoint_url, "via_gateway": wish.via_gateway or None}
    endpoint = {k: v for k, v in endpoint.items() if v is not None}
    if endpoint:
        config["claude"] = {"endpoint": endpoint}
    return config


def _with(raw: Mapping[str, Any], **values: Any) -> dict[str, Any]:
    """fleet.json with these keys set: known ones keep their place, new ones come where the documentation has them."""
    merged = {**raw, **values}
    ordered = list(raw)
    for key in (k for k in _FLEET_KEYS if k in values and k not in raw):
        later = _FLEET_KEYS[_FLEET_KEYS.index(key) + 1 :]
        index = next((i for i, k in enumerate(ordered) if k in later), len(ordered))
        ordered.insert(index, key)
    return {key: merged[key] for key in ordered}


def _fleet_name(root: Path) -> str:
    """The folder's name as far as it can be a fleet's."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in root.name).strip("-._")
    return kept[:60] or "fleet"


def _without_file(faults: tuple[str, ...]) -> str:
    return "; ".join(fault.split("config.json: ", 1)[-1] for fault in faults)
