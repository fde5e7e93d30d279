"""`fleet approve`, and what it shares with `fleet deny`."""

from __future__ import annotations

import getpass

from relayfleet.cli.context import Context
from relayfleet.cli.output import emit, emit_json, say
from relayfleet.client.approvals import Answer, decide
from relayfleet.config.roster import read_roster


def run(ctx: Context, *, id: str, always: bool, reason: str | None, answer: str | None) -> int:
    """--json: {"version": 1, "id", "agent", "tool", "decided": "allow", "always": [rules], "note"}. Raises FleetError
    when it was decided before, by whom it says, or nobody waits for it."""
    return give(ctx, id, Answer(behaviour="allow", by=who(), reason=reason or "", always=always, text=answer))


def give(ctx: Context, approval_id: str, answer: Answer) -> int:
    """Brings an answer to the session that waits for it. Raises FleetError."""
    done = decide(ctx.layout, read_roster(ctx.layout), approval_id.strip(), answer)
    if ctx.json:
        emit_json({"version": 1, "id": approval_id.strip(), "decided": answer.behaviour, **done})
        return 0
    emit(f"{done['agent']}: {done['tool']} {'approved' if answer.behaviour == 'allow' else 'denied'}")
    for rule in done["always"] or ():
        emit(f"from now on: {rule}")
    if done["note"]:
        say(f"note: {done['note']}")
    return 0


def who() -> str:
    """Whom the next one is told who answers the same."""
    try:
        return f"operator {getpass.getuser()}"
    except (OSError, KeyError, ImportError):  # a user without a name
        return "operator"
