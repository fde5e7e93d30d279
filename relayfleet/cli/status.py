"""`fleet status`."""

from __future__ import annotations

from typing import Any

from relayfleet.cli.context import Context
from relayfleet.cli.output import emit, emit_json, say, table
from relayfleet.cli.selection import select
from relayfleet.client.observe import observe
from relayfleet.client.router import observe_router
from relayfleet.config.roster import read_roster
from relayfleet.model.receipt import ENTRY_STATES
from relayfleet.model.status import AgentStatus


def run(ctx: Context, *, agents: tuple[str, ...]) -> int:
    """--json: {"version": 1, "fleet", "router": {"state", "pid", "cursor_age_s", ...}, "agents": [{"name", "role",
    "backend", "state", "pid", "session_id", "inbox": {state: count}, "observed_age_s", "detail"}]}."""
    roster = read_roster(ctx.layout)
    everyone = not agents
    members = select(roster, doing="show", names=agents, everyone=everyone, role=None)
    statuses = observe(ctx.layout, roster.fleet_id, members)
    router = observe_router(ctx.layout, roster.fleet_id)
    if ctx.json:
        emit_json(
            {"version": 1, "fleet": roster.fleet, "router": router, "agents": [_as_json(status) for status in statuses]}
        )
        return 0
    age = router["cursor_age_s"]
    emit(f"router: {router['state']}" + (f", cursor {age:.0f} s old" if age is not None else ""))
    if not statuses:
        say("no agents yet; create one with `fleet new-agent <name> --role <role>`")
        return 0
    table(
        ("AGENT", "ROLE", "BACKEND", "STATE", "PID", "INBOX", "OBSERVED", "DETAIL"),
        [
            (
                s.name,
                s.role,
                f"[{s.backend}]",
                s.state,
                s.pid or "-",
                ", ".join(f"{s.inbox[k]} {k}" for k in ENTRY_STATES if s.inbox[k]) or "-",
                f"{s.observed_age_s:.1f} s ago" if s.observed_age_s is not None else "-",
                s.detail[:200],
            )
            for s in statuses
        ],
    )
    return 0


def _as_json(status: AgentStatus) -> dict[str, Any]:
    return {
        "name": status.name,
        "role": status.role,
        "backend": status.backend,
        "state": status.state,
        "pid": status.pid,
        "session_id": status.session_id,
        "inbox": dict(status.inbox),
        "observed_age_s": status.observed_age_s,
        "detail": status.detail,
    }
