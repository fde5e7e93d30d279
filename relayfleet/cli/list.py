"""`fleet list`, without the configuration models: they would take longer to import than the answer to give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from relayfleet.cli.context import Context
from relayfleet.cli.output import emit_json, say, table
from relayfleet.config.precedence import BUILT_IN, merge, unsugar
from relayfleet.model.agent import ROLES
from relayfleet.model.layout import FleetLayout
from relayfleet.model.names import fault_of_name

_KEYS = ("name", "role", "backend", "host", "port", "model", "repo")


class _Odd(Exception):
    """A file is not as it should be: the full loader has the words for it."""


def run(ctx: Context) -> int:
    """--json: {"version": 1, "fleet", "agents": [{"name", "role", "backend", "host", "port", "model", "repo"}]}."""
    try:
        fleet, rows = _read(ctx.layout)
    except _Odd:
        fleet, rows = _read_fully(ctx.layout)
    if ctx.json:
        emit_json({"version": 1, "fleet": fleet, "agents": rows})
        return 0
    if not rows:
        say("no agents yet; create one with `fleet new-agent <name> --role <role>`")
    shown = [[_cell(row[key]) for key in _KEYS] for row in rows]
    table([key.upper() for key in _KEYS], shown)
    return 0


def _cell(value: object) -> str:
    return "-" if value is None else str(value)


def _read(layout: FleetLayout) -> tuple[str, list[dict[str, Any]]]:
    fleet = _object(layout.fleet_json)
    rows = []
    for path in sorted(layout.agents.glob("*/config.json")):
        name = path.parent.name
        if not name.startswith("."):
            rows.append(_row(name, _object(path), fleet))
    name = fleet.get("name", layout.root.name)
    if not isinstance(name, str):
        raise _Odd
    return name, rows


def _object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        raise _Odd from None
    if not isinstance(value, dict):
        raise _Odd
    return value


def _row(name: str, own: dict[str, Any], fleet: dict[str, Any]) -> dict[str, Any]:
    role, port = own.get("role", "base"), own.get("port")
    defaults, roles = fleet.get("defaults", {}), fleet.get("roles", {})
    if role not in ROLES or not isinstance(port, int) or fault_of_name(name) or not isinstance(roles, dict):
        raise _Odd
    layers = [defaults, roles.get(role, {}), own]
    if not all(isinstance(layer, dict) for layer in layers):
        raise _Odd
    merged = merge(BUILT_IN, *(unsugar(layer) for layer in layers))
    runtime, claude = merged.get("runtime", {}), merged.get("claude", {})
    if not isinstance(runtime, dict) or not isinstance(claude, dict):
        raise _Odd
    row = {
        "name": name,
        "role": role,
        "backend": runtime.get("backend", "local"),
        "host": runtime.get("host"),
        "port": port,
        "model": claude.get("model"),
        "repo": merged.get("repo"),
    }
    if not all(value is None or isinstance(value, str | int) for value in row.values()):
        raise _Odd
    return row


def _read_fully(layout: FleetLayout) -> tuple[str, list[dict[str, Any]]]:
    from relayfleet.config.load import load_all

    loaded = load_all(layout)
    return loaded.fleet.name, [
        {
            "name": spec.name,
            "role": spec.role,
            "backend": spec.runtime.backend,
            "host": spec.runtime.host,
            "port": spec.port,
            "model": spec.claude.model,
            "repo": spec.repo,
        }
        for spec in loaded.agents
    ]
