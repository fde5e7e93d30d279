"""`fleet list`."""

from __future__ import annotations

from relayfleet.cli.context import Context
from relayfleet.cli.output import emit_json, say, table
from relayfleet.config.roster import read_roster

_KEYS = ("name", "role", "backend", "host", "port", "model", "repo")


def run(ctx: Context) -> int:
    """--json: {"version": 1, "fleet", "agents": [{"name", "role", "backend", "host", "port", "model", "repo"}]}."""
    roster = read_roster(ctx.layout)
    rows = [{key: getattr(member, key) for key in _KEYS} for member in roster.members]
    if ctx.json:
        emit_json({"version": 1, "fleet": roster.fleet, "agents": rows})
        return 0
    if not rows:
        say("no agents yet; create one with `fleet new-agent <name> --role <role>`")
        return 0
    shown = [["-" if value is None else value for value in row.values()] for row in rows]
    table([key.upper() for key in _KEYS], shown)
    return 0
