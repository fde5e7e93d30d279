"""`fleet deny`."""

from __future__ import annotations

from relayfleet.cli.approve import give, who
from relayfleet.cli.context import Context
from relayfleet.client.approvals import Answer


def run(ctx: Context, *, id: str, always: bool, reason: str | None) -> int:
    """--json: as `fleet approve`, "decided": "deny". Raises FleetError when it was decided before, by whom it says, or
    nobody waits for it."""
    return give(ctx, id, Answer(behaviour="deny", by=who(), reason=reason or "", always=always))
