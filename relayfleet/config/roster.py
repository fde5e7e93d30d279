"""Who is in the fleet, read without the configuration models: they take longer to import than the answer to give.

Only what is plainly right is read here. Anything odd is left to the full loader, which has the words for it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relayfleet.config.precedence import BUILT_IN, merge, unsugar
from relayfleet.model.agent import ROLES
from relayfleet.model.fleet import is_fleet_id
from relayfleet.model.layout import FleetLayout
from relayfleet.model.names import AgentName, fault_of_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One agent, as `fleet list` shows it."""

    name: AgentName
    role: str
    backend: str
    host: str | None
    port: int
    model: str | None
    repo: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """`fleet_id` is None as long as the fleet has none: nothing of it can be running then."""

    fleet: str
    fleet_id: str | None
    members: tuple[Member, ...]


class _Odd(Exception):
    """A file is not plainly right."""


def read_roster(layout: FleetLayout) -> Roster:
    """Raises ConfigError with every fault, as the full loader does."""
    try:
        return _read(layout)
    except _Odd:
        return _read_fully(layout)


def _read(layout: FleetLayout) -> Roster:
    fleet = _object(layout.fleet_json)
    paths = sorted(layout.agents.glob("*/config.json"))
    members = [_member(p.parent.name, _object(p), fleet) for p in paths if not p.parent.name.startswith(".")]
    name, fleet_id = fleet.get("name", layout.root.name), fleet.get("id")
    if not isinstance(name, str) or not (fleet_id is None or (isinstance(fleet_id, str) and is_fleet_id(fleet_id))):
        raise _Odd
    return Roster(fleet=name, fleet_id=fleet_id, members=tuple(members))


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


def _read_fully(layout: FleetLayout) -> Roster:
    from relayfleet.config.load import load_all

    loaded = load_all(layout)
    members = [
        Member(
            name=spec.name,
            role=spec.role,
            backend=spec.runtime.backend,
            host=spec.runtime.host,
            port=spec.port,
            model=spec.claude.model,
            repo=spec.repo,
        )
        for spec in loaded.agents
    ]
    return Roster(fleet=loaded.fleet.name, fleet_id=loaded.fleet.id, members=tuple(members))
