"""`fleet interrupt`."""

from __future__ import annotations

from relayfleet.cli.context import Context
from relayfleet.cli.output import emit, emit_json
from relayfleet.cli.selection import select
from relayfleet.client.control import ask
from relayfleet.config.roster import read_roster
from relayfleet.errors import FleetError, Unreachable
from relayfleet.store.sockets import sockets_of

_ANSWER_WITHIN_S = 5.0


def run(ctx: Context, *, agent: str) -> int:
    """--json: {"version": 1, "agent", "interrupted": true}. Raises FleetError when no turn is under way."""
    roster = read_roster(ctx.layout)
    select(roster, doing="interrupt", names=(agent,), everyone=False, role=None)
    try:
        ask(sockets_of(roster.fleet_id or "").control(agent), {"op": "interrupt"}, timeout_s=_ANSWER_WITHIN_S)
    except Unreachable:
        raise FleetError(f"interrupt {agent!r}", "it is not running", hint=f"see `fleet status {agent}`") from None
    if ctx.json:
        emit_json({"version": 1, "agent": agent, "interrupted": True})
    else:
        emit(f"{agent}: interrupted")
    return 0
