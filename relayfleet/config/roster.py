"""Who is in the fleet, read without the configuration models: they take longer to import than the answer to give.

Only what is plainly right is read here. Anything odd is left to the full loader, which has the words for it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relayfleet.config.precedence import BUILT_IN, merge, unsugar
from relayfleet.errors import ConfigError
from relayfleet.model.layout import FleetLayout
from relayfleet.model.names import ROLES, AgentName, fault_of_name, is_fleet_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One agent, as `fleet list` shows it. `fault` is what is wrong with its config.json; the rest is unknown then."""

    name: AgentName
    role: str
    backend: str
    host: str | None
    port: int
    model: str | None
    repo: str | None
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """`fleet_id` is None as long as the fleet has none: nothing of it can be running then."""

    fleet: str
    fleet_id: str | None
    members: tuple[Member, ...]


class _Odd(Exception):
    """A file is not plainly right."""


def read_roster(layout: FleetLayout) -> Roster:
    """Agents whose configuration has faults are members, too: they can be told, stopped and looked at.

    Raises ConfigError when fleet.json has faults.
    """
    try:
        fleet = _object(layout.fleet_json)
        name, fleet_id = fleet.get("name", layout.root.name), fleet.get("id")
        if not isinstance(name, str) or not _is_id_or_none(fleet_id):
            raise _Odd
    except _Odd:
        fleet, name, fleet_id = _read_fleet_fully(layout)
    paths = sorted(p for p in layout.agents.glob("*/config.json") if not fault_of_name(p.parent.name))
    return Roster(fleet=name, fleet_id=fleet_id, members=tuple(_read_member(p, fleet, layout) for p in paths))


def _read_member(path: Path, fleet: dict[str, Any], layout: FleetLayout) -> Member:
    try:
        return _member(path.parent.name, _object(path), fleet)
    except _Odd:
        return _read_member_fully(layout, AgentName(path.parent.name))


def _object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        raise _Odd from None
    if not isinstance(value, dict):
        raise _Odd
    return value


def _member(name: str, own: dict[str, Any], fleet: dict[str, Any]) -> Member:
    role, port = own.get("role", "base"), own.get("port")
    roles = fleet.get("roles", {})
    if role not in ROLES or not isinstance(port, int) or fault_of_name(name) or not isinstance(roles, dict):
        raise _Odd
    layers = [fleet.get("defaults", {}), roles.get(role, {}), own]
    if not all(isinstance(layer, dict) for layer in layers):
        raise _Odd
    merged = merge(BUILT_IN, *(unsugar(layer) for layer in layers))
    runtime, claude = merged.get("runtime", {}), merged.get("claude", {})
    if not isinstance(runtime, dict) or not isinstance(claude, dict):
        raise _Odd
    backend = runtime.get("backend", "local")
    words = (runtime.get("host"), claude.get("model"), merged.get("repo"))
    if not isinstance(backend, str) or not all(isinstance(word, str | None) for word in words):
        raise _Odd
    host, model, repo = words
    return Member(name=AgentName(name), role=role, backend=backend, host=host, port=port, model=model, repo=repo)


def _is_id_or_none(value: object) -> bool:
    return value is None or (isinstance(value, str) and is_fleet_id(value))


def _read_fleet_fully(layout: FleetLayout) -> tuple[dict[str, Any], str, str | None]:
    """What the quick way found odd is right (and then said in full), or a fault."""
    from relayfleet.config.load import load_fleet

    fleet = load_fleet(layout)
    return json.loads(layout.fleet_json.read_bytes()), fleet.name, fleet.id


def _read_member_fully(layout: FleetLayout, name: AgentName) -> Member:
    from relayfleet.config.load import load_agent

    try:
        spec = load_agent(layout, name)
    except ConfigError as error:
        return Member(
            name=name, role="?", backend="?", host=None, port=0, model=None, repo=None, fault="; ".join(error.faults)
        )
    return Member(
        name=spec.name,
        role=spec.role,
        backend=spec.runtime.backend,
        host=spec.runtime.host,
        port=spec.port,
        model=spec.claude.model,
        repo=spec.repo,
    )
