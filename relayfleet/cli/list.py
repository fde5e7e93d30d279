"""`fleet list`."""

from __future__ import annotations

from relayfleet.cli.context import Context
from relayfleet.cli.output import emit_json, say, table
from relayfleet.config.roster import read_roster

_KEYS = ("name", "role", "backend", "host", "port", "model", "repo", "fault")


def run(ctx: Context) -> int:
    """--json: {"version": 1, "fleet", "agents": [{"name", "role", "backend", "host", "port", "model", "repo",
    "fault"}]}; `fault` says what is wrong with an agent's config.json, and is empty when all is well."""
    roster = read_roster(ctx.layout)
    rows = [{key: getattr(member, key) for key in _KEYS} for member in roster.members]
    if ctx.json:
        emit_json({"version": 1, "fleet": roster.fleet, "agents": rows})
        return 0
    if not rows:
        say("no agents yet; create one with `fleet new-agent <name> --role <role>`")
        return 0
    shown = [["-" if row[key] is None else row[key] for key in _KEYS[:-1]] for row in rows]
    table([key.upper() for key in _KEYS[:-1]], shown)
    for member in roster.members:
        if member.fault:
            say(f"{member.name}: {member.fault}")
    return 0
